"""A sandbox for the length of a ``with`` block: ``hwdash sandbox up`` in a process of its own."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hwdash.sandbox.requests import Requests, request_log

STOP_SECONDS = 20


class SandboxFailed(Exception):
    """The sandbox did not start. The message holds what it said."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A running sandbox and what its first client needs."""

    url: str
    tenant_id: str
    client_id: str
    client_secret: str = field(repr=False)
    ca: Path
    """The certificate that its clients have to trust."""
    root: Path
    """The root of what it signs."""
    token: str = field(repr=False)
    """Opens /_sandbox; empty for a sandbox that was there before."""
    data: Path
    requests: Requests


@contextmanager
def running(*, data: Path | None = None, certificates: Sequence[Path] = (), scenario: str = "") -> Iterator[Sandbox]:
    """Start a sandbox on a free port and stop it when the block ends.

    Without ``data`` it is thrown away then; with it the sandbox in that folder is used, made when there is none.
    ``certificates`` (files, PEM or DER) are those that packages may be signed with; ``scenario`` is what it plays, a
    TOML file or the name of one that comes with hwdash. Raises SandboxFailed.
    """
    command = [sys.executable, "-m", "hwdash.cli.main", "sandbox", "up", "--json"]
    if data is not None:
        command += ["--data", str(data)]
    for file in certificates:
        command += ["--certificate", str(file)]
    if scenario:
        command += ["--scenario", scenario]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)  # noqa: S603 - our own
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                process.wait()
                errors.seek(0)
                raise SandboxFailed(f"The sandbox did not start:\n{errors.read()[-4000:]}")
            yield _sandbox(json.loads(line))
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()


def _sandbox(given: dict[str, str]) -> Sandbox:
    data = Path(given["data"])
    return Sandbox(
        url=given["url"],
        tenant_id=given["tenantId"],
        client_id=given["clientId"],
        client_secret=given["clientSecret"],
        ca=Path(given["caCertificate"]),
        root=Path(given["rootCertificate"]),
        token=given.get("sandboxToken", ""),
        data=data,
        requests=Requests(request_log(data)),
    )
