"""``hwdash`` as a program in a CI job runs it, against a service of the tests."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service import HWDASH, X64, Served, clean_environment


@dataclass
class Ran:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document: one line, the last on standard output."""
        found: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return found


class Submitter:
    """``hwdash submit`` in a folder of its own, with the environment of a CI job."""

    def __init__(self, service: Served, folder: Path) -> None:
        given = service.made.credentials
        self.folder = folder
        self.environment = clean_environment(
            HOME=str(folder),
            XDG_STATE_HOME=str(folder / "state"),
            XDG_CONFIG_HOME=str(folder / "config"),
            HWDASH_URL=service.url,
            HWDASH_TENANT_ID=given["tenantId"],
            HWDASH_CLIENT_ID=given["clientId"],
            HWDASH_CLIENT_SECRET=given["clientSecret"],
            HWDASH_CA=given["caCertificate"],
        )

    def __call__(self, package: Path, *more: str, **environment: str) -> Ran:
        arguments = ["submit", str(package), "--name", "From CI", "--signature", X64, "--poll", "0.1", *more]
        return self.run(*arguments, **environment)

    def run(self, *arguments: str, **environment: str) -> Ran:
        done = subprocess.run(
            [*HWDASH, *arguments],
            env=self.environment | environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert "Traceback" not in done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)
