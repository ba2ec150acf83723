"""A sandbox and a release service are two things from birth, and nothing turns one into the other.

Four marks have to agree, and each is looked at whenever a service is made or put together:

- ``sandbox.json`` in the data folder (mark.py), which only a new folder gets;
- the subject of the root of the signing keys, which says SANDBOX or does not (signing/authority.py);
- the subject of the TLS CA;
- the row ``service_kind`` of the database (storage/kind.py), which with PostgreSQL is not in the folder.

So a clock that was moved and a fault that was injected never reach a key that machines trust (docs/adr/0017).
"""

from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from hwdash.clock import system_clock
from hwdash.sandbox.mark import MARK, make_mark, mark_of
from hwdash.server.setup import NewService, make_service, tls_files
from hwdash.settings import Settings, SettingsError
from hwdash.signing.authority import TlsFiles

LOGIN_HOST = "login.microsoftonline.com"
API_HOST = "manage.devcenter.microsoft.com"
IMPERSONATED = (API_HOST, LOGIN_HOST)
"""The names that clients of Microsoft's have built in."""


def make_release(
    settings: Settings,
    *,
    account_name: str,
    application_name: str,
    hosts: list[str],
    root_key: Path | None = None,
    token: str = "",
) -> NewService:
    """Make a release service; ``root_key`` is the file for the keys of its roots, ``token`` where the others are made.

    Raises SettingsError in a sandbox's folder, and what make_service raises.
    """
    if mark_of(settings.data) is not None:
        raise SettingsError(f"{settings.data} is a sandbox, and never becomes anything else: choose another folder.")
    return make_service(
        settings,
        account_name=account_name,
        application_name=application_name,
        hosts=hosts,
        now=system_clock(),
        root_key=root_key,
        token=token,
    )


def make_sandbox(
    settings: Settings, *, account_name: str, application_name: str, hosts: list[str], step_times: str = "realistic"
) -> tuple[NewService, str]:
    """Make a sandbox; what its first client needs and its admin token, which is shown once.

    ``step_times``: realistic, or none.
    Raises SettingsError where there is a service already, and what make_service raises.
    """
    token = make_mark(settings.data, system_clock(), step_times=step_times)
    made = make_service(
        settings,
        account_name=account_name,
        application_name=application_name,
        hosts=sandbox_names(settings, hosts),
        now=system_clock(),
        sandbox=True,
    )
    return made, token


def check_sandbox(settings: Settings) -> None:
    """Refuse a folder that is no sandbox. Raises SettingsError."""
    if mark_of(settings.data) is None:
        raise SettingsError(
            f"{settings.data} is no sandbox (it has no {MARK}): make one with hwdash init --sandbox --data FOLDER. "
            "A service with release keys never becomes one."
        )


def sandbox_names(settings: Settings, hosts: list[str]) -> list[str]:
    """The names that the TLS CA of a sandbox is held to: its own and the impersonated ones, and no others."""
    public = urlsplit(settings.public_url).hostname or "localhost"
    return list(dict.fromkeys([public, *hosts, *IMPERSONATED]))


def sandbox_tls(settings: Settings, hosts: list[str], now: datetime) -> TlsFiles:
    """The sandbox's CA and server certificate for its names and ``hosts``, made or renewed as needed.

    One leaf holds all names, so that one port answers for each of them. Raises KeysError.
    """
    return tls_files(settings, sandbox_names(settings, hosts), now, sandbox=True)
