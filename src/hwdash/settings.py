"""The service's settings: ``HWDASH_*`` variables over ``hwdash.toml`` in the data folder over defaults.

docs/reference/settings.md lists them; a test holds the page and this file equal.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

DEFAULT_PORT = 8443


class SettingsError(Exception):
    """A setting cannot be used. The message names it, its place and what it must be."""


def _setting(default: Any, meaning: str) -> Any:
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True, slots=True)
class Settings:
    """What the service needs to know before it starts."""

    data: Path = _setting(Path("hwdash-data"), "the data folder: database, blobs, keys, work in progress")
    database_url: str = _setting("", "SQLAlchemy URL; empty: SQLite in the data folder")
    public_url: str = _setting(
        f"https://localhost:{DEFAULT_PORT}", "the address that clients use; links and upload URLs are built from it"
    )
    clamd: str = _setting("", "clamd's address, unix:/PATH or tcp:HOST:PORT; empty: scan with yara-x")
    yara_rules: str = _setting("", "a folder of *.yar files used beside the built-in rules")
    child_memory_mb: int = _setting(1024, "address space of the process that parses a package, in MB")
    child_seconds: int = _setting(600, "wall time of one run of that process, in seconds")
    max_package_mb: int = _setting(2048, "largest package that can be uploaded, in MB")
    signature_url: str = _setting("", "the URL written into signatures as more information; empty: none")

    @property
    def database(self) -> str:
        """The SQLAlchemy URL of the database."""
        return self.database_url or f"sqlite:///{self.data / 'hwdash.db'}"


def load_settings(data: Path | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings. ``data`` wins over HWDASH_DATA. Raises SettingsError."""
    folder = data or Path(environment.get("HWDASH_DATA") or Settings().data)
    folder = folder.absolute()
    values: dict[str, Any] = {}
    known = {each.name: each for each in fields(Settings)}
    file = folder / "hwdash.toml"
    if file.exists():
        try:
            written = tomllib.loads(file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise SettingsError(f"{file}: {error}") from error
        for name, value in written.items():
            if name not in known or name == "data":
                raise SettingsError(f"{file}: there is no setting {name}; there are {', '.join(sorted(known))}")
            values[name] = value
    for name in known:
        if (value := environment.get(f"HWDASH_{name.upper()}")) is not None and name != "data":
            values[name] = value
    for name, value in values.items():
        default = known[name].default
        if isinstance(default, int):
            try:
                values[name] = int(value)
            except (TypeError, ValueError):
                raise SettingsError(f"{name} must be a whole number, not {value!r}") from None
            if values[name] <= 0:
                raise SettingsError(f"{name} must be more than 0, not {value!r}")
        elif not isinstance(value, str):
            raise SettingsError(f"{name} must be text, not {value!r}")
    if "public_url" in values:
        values["public_url"] = values["public_url"].rstrip("/")
        if not values["public_url"].startswith(("https://", "http://")):
            raise SettingsError(f"public_url must begin with https:// or http://, not {values['public_url']!r}")
    return Settings(data=folder, **values)
