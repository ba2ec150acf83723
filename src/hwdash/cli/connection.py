"""Which service a client command talks to: a profile of ``~/.config/hwdash/config.toml``, or the ``HWDASH_*``
variables.
"""

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click

from hwdash.cli.kept_sign_ins import KeptSignIns
from hwdash.cli.output import Exit, refuse
from hwdash.sdk.auth import ClientSecret, Credentials, SignedIn
from hwdash.settings import SettingsError, secret_of

F = TypeVar("F", bound=Callable[..., Any])

MICROSOFT = {"url": "https://manage.devcenter.microsoft.com", "authority": "https://login.microsoftonline.com"}
_VARIABLES = {
    "url": "HWDASH_URL",
    "authority": "HWDASH_AUTHORITY",
    "tenant_id": "HWDASH_TENANT_ID",
    "client_id": "HWDASH_CLIENT_ID",
    "client_secret": "HWDASH_CLIENT_SECRET",
    "ca": "HWDASH_CA",
}


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the service is and who asks: an application, or without a secret the person who is signed in."""

    url: str
    authority: str
    tenant_id: str
    client_id: str
    client_secret: str = field(repr=False)
    ca: str | None

    @property
    def credentials(self) -> Credentials:
        """Where tokens come from."""
        if self.client_secret:
            return ClientSecret(self.authority, self.tenant_id, self.client_id, self.client_secret)
        kept = KeptSignIns.of()
        return SignedIn(
            self.authority, self.tenant_id, lambda renew: kept.exchange(self.authority, self.tenant_id, renew)
        )


def config_file(environment: Mapping[str, str] = os.environ) -> Path:
    """The file of the client's profiles."""
    base = environment.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "hwdash" / "config.toml"


def load_connection(
    profile: str | None, environment: Mapping[str, str] = os.environ, *, needs_caller: bool = True
) -> Connection:
    """The connection of a profile, or of the environment. What is missing is named, with where to put it.

    Without a client secret a person who has signed in calls (``hwdash login``), or, where no caller is needed, nobody.
    """
    profile = profile or environment.get("HWDASH_PROFILE")
    values: dict[str, str] = {}
    if profile is not None:
        file = config_file(environment)
        profiles: dict[str, Any] = {}
        if file.exists():
            try:
                profiles = tomllib.loads(file.read_text("utf-8")).get("profiles", {})
            except (OSError, ValueError) as error:
                refuse(f"{file}: {error}", Exit.USAGE)
        if profile not in profiles and profile != "microsoft":
            known = ", ".join(["microsoft", *profiles])
            refuse(f"There is no profile {profile} in {file}; there are {known}.", Exit.USAGE)
        values = (MICROSOFT if profile == "microsoft" else {}) | profiles.get(profile, {})
    for name, variable in _VARIABLES.items():
        if environment.get(variable):
            values.setdefault(name, environment[variable])
    try:
        if "client_secret" not in values and (secret := secret_of("client_secret", environment)):
            values["client_secret"] = secret
    except SettingsError as error:
        refuse(str(error), Exit.USAGE)
    authority = values.get("authority", values.get("url", "")).rstrip("/")
    needed = ["url", "tenant_id"]
    if needs_caller and not values.get("client_secret"):
        is_signed_in = KeptSignIns.of(environment).has(authority, values.get("tenant_id", ""))
        needed += [] if is_signed_in else ["client_id", "client_secret"]
    elif needs_caller:
        needed.append("client_id")
    missing = [name for name in needed if not values.get(name)]
    if missing:
        refuse(
            "Not told which service to talk to: set "
            + ", ".join(_VARIABLES[name] for name in missing)
            + f", or write a profile into {config_file(environment)} and name it with --profile."
            + (" A person signs in with hwdash login instead of a client id and secret." if needs_caller else ""),
            Exit.USAGE,
        )
    if not values["url"].startswith(("https://", "http://")):
        refuse(f"The service's URL must begin with https://, not {values['url']!r}.", Exit.USAGE)
    return Connection(
        url=values["url"].rstrip("/"),
        authority=authority,
        tenant_id=values["tenant_id"],
        client_id=values.get("client_id", ""),
        client_secret=values.get("client_secret", ""),
        ca=values.get("ca") or None,
    )


def profile_option(command: F) -> F:
    """The ``--profile`` option of every client command."""
    return click.option(
        "--profile", metavar="NAME", help="A profile of the configuration file; microsoft is Microsoft's own service."
    )(command)
