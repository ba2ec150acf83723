"""The service's settings: ``HWDASH_*`` variables over ``hwdash.toml`` in the data folder over defaults.

docs/reference/settings.md lists them; a test holds the page and this file equal.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

DEFAULT_PORT = 8443
LOOPBACK = ("localhost", "127.0.0.1", "::1")
DEFAULT_URL = f"https://localhost:{DEFAULT_PORT}"
CRL_PATH = "/crl/issuing.crl"
STEP_TIMES = ("realistic", "none")


SECRETS = ("database_url", "key_passphrase", "key_pin", "secrets_passphrase")
"""What the service is told that opens something: each may stand in a file of its own (secret_of)."""
_LARGEST_SECRET = 64 << 10


class SettingsError(Exception):
    """A setting cannot be used. The message names it, its place and what it must be."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the service needs to know before it starts."""

    data: Path = Path("hwdash-data")
    """The data folder: database, blobs, keys, work in progress."""
    database_url: str = field(default="", repr=False)
    """SQLAlchemy URL of the database; empty: SQLite in the data folder."""
    public_url: str = DEFAULT_URL
    """The address that clients use; links and upload URLs are built from it."""
    clamd: str = ""
    """clamd's address, unix:/PATH or tcp:HOST:PORT; empty: scan with yara-x."""
    yara_rules: str = ""
    """A folder of *.yar files that are used beside the built-in rules."""
    bad_hashes: str = ""
    """A list of known bad drivers, in JSON as loldrivers.io has it: no package with one of them is signed."""
    child_memory_mb: int = 1024
    """Address space of the process that parses a package, in MB."""
    child_seconds: int = 600
    """Wall time of one run of that process, in seconds."""
    max_package_mb: int = 2048
    """The largest package that can be uploaded, in MB."""
    accept_new_os_codes: bool = False
    """Accept OS codes of releases that hwdash does not know yet, when they have the form of Windows 10's."""
    requests_per_minute: int = 6000
    """How many requests an application may send in a minute, in the long run, to one process of the service."""
    request_burst: int = 3000
    """How many requests an application may send at once."""
    signer_socket: str = ""
    """The Unix socket of hwdash signer, which another user runs; empty: the service starts its signer itself."""
    signer_user: str = "hwdash-signer"
    """The user who runs it, by name or number."""
    audit_checkpoints: str = ""
    """A folder to which signed checkpoints of the audit log are added; empty: none are."""
    audit_checkpoint_minutes: int = 60
    """How often, in minutes."""
    signature_url: str = ""
    """The URL that signatures name for more information; empty: none."""
    sandbox_step_times: str = ""
    """In a sandbox, how long the steps of a submission take by its clock: realistic, or none; empty: as it was made."""

    entra_issuers: str = ""
    """Issuers whose tokens are accepted beside the service's own, separated by blanks; {tenantid} stands for tid."""
    entra_keys: str = ""
    """Where their keys are: the URL of a JSON Web Key Set, or a file of one."""
    entra_audience: str = "https://manage.devcenter.microsoft.com"
    """What their tokens must be for."""

    @property
    def crl_url(self) -> str:
        """Where machines find the list of revoked certificates; empty while no public URL is set."""
        return "" if self.public_url == DEFAULT_URL else f"{self.public_url}{CRL_PATH}"

    @property
    def database(self) -> str:
        """The SQLAlchemy URL of the database."""
        return self.database_url or f"sqlite:///{self.data / 'hwdash.db'}"


def secret_of(name: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """A secret from where it was put: ``HWDASH_NAME``, the file that ``HWDASH_NAME_FILE`` names, or the file ``name``
    in the folder that systemd made for the service's credentials (systemd.exec(5), LoadCredential); None from none.

    Of a file's text the last line break is left out. Raises SettingsError, in which no secret stands.
    """
    variable = f"HWDASH_{name.upper()}"
    named, folder = environment.get(f"{variable}_FILE"), environment.get("CREDENTIALS_DIRECTORY")
    if named:
        if environment.get(variable):
            raise SettingsError(f"{variable} and {variable}_FILE are both set: set one of them")
        return _secret_in(Path(named), f"{variable}_FILE")
    if environment.get(variable):
        return environment[variable]
    if folder and (file := Path(folder) / name).exists():
        return _secret_in(file, "the credential")
    return None


def _secret_in(file: Path, told_by: str) -> str:
    try:
        with file.open("rb") as stream:
            content = stream.read(_LARGEST_SECRET + 1)
        text = content.decode("utf-8")
    except OSError as error:
        raise SettingsError(f"{told_by}: {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        # The decoder's own words would quote the secret.
        raise SettingsError(f"{told_by}: {file} is not UTF-8 text") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text or len(content) > _LARGEST_SECRET or "\0" in text:
        why = "is empty" if not text else "is no secret: it is larger than 64 KB, or has a NUL character"
        raise SettingsError(f"{told_by}: {file} {why}")
    return text


def load_settings(data: Path | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings. ``data`` wins over HWDASH_DATA. Raises SettingsError."""
    folder = (data or Path(environment.get("HWDASH_DATA") or Settings().data)).absolute()
    names = [each.name for each in fields(Settings) if each.name != "data"]
    values = _from_file(folder / "hwdash.toml", names)
    for name in names:
        if (variable := f"HWDASH_{name.upper()}") in environment:
            values[name] = environment[variable]
        if name in SECRETS and (secret := secret_of(name, environment)) is not None:
            values[name] = secret
    settings = Settings(data=folder, **{name: _checked(name, value) for name, value in values.items()})
    _check_entra(settings)
    return settings


def _check_entra(settings: Settings) -> None:
    if bool(settings.entra_issuers.strip()) != bool(settings.entra_keys):
        raise SettingsError("entra_issuers and entra_keys belong together: set both, or neither")
    for issuer in settings.entra_issuers.split():
        if not _is_safe(issuer):
            raise SettingsError(f"entra_issuers must begin with https://, not {issuer!r}")
    if "://" in settings.entra_keys and not _is_safe(settings.entra_keys):
        raise SettingsError(f"entra_keys must begin with https://, or be a file, not {settings.entra_keys!r}")


def _is_safe(url: str) -> bool:
    """Whether nobody on the way can change what it leads to."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.scheme == "https" or parts.hostname in LOOPBACK)
    except ValueError:
        return False


def _from_file(file: Path, names: list[str]) -> dict[str, Any]:
    try:
        values = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file}: {error}") from error
    if unknown := [name for name in values if name not in names]:
        raise SettingsError(f"{file}: there is no setting {', '.join(unknown)}; there are {', '.join(names)}")
    return values


def _checked(name: str, value: object) -> Any:
    """The value in the type that its setting has. Environment variables are text, also for numbers."""
    default = getattr(Settings(), name)
    if isinstance(default, bool):
        if str(value).casefold() not in ("true", "false"):
            raise SettingsError(f"{name} must be true or false, not {value!r}")
        return str(value).casefold() == "true"
    if isinstance(default, int):
        if not isinstance(value, int | str) or isinstance(value, bool) or not str(value).isdecimal() or int(value) <= 0:
            raise SettingsError(f"{name} must be a whole number above 0, not {value!r}")
        return int(value)
    if not isinstance(value, str):
        raise SettingsError(f"{name} must be text, not {value!r}")
    if name == "public_url":
        value = value.rstrip("/")
        if not value.startswith(("https://", "http://")):
            raise SettingsError(f"public_url must begin with https:// or http://, not {value!r}")
    if name == "sandbox_step_times" and value and value not in STEP_TIMES:
        raise SettingsError(f"sandbox_step_times must be {' or '.join(STEP_TIMES)}, not {value!r}")
    return value
