"""The connection of ``hwdash sandbox clock``, ``scenario`` and ``log`` to a running sandbox."""

import os
import ssl
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click
import httpx

from hwdash.cli.output import Exit, refuse
from hwdash.cli.sandbox_options import TOKEN

F = TypeVar("F", bound=Callable[..., Any])


def url_option(command: F) -> F:
    """The ``--url`` option."""
    return click.option("--url", metavar="URL", help="The sandbox's address [HWDASH_URL].")(command)


class SandboxAdmin:
    """Calls below ``/_sandbox``. What is refused ends the command, with every finding."""

    def __init__(self, url: str | None, environment: Mapping[str, str] = os.environ) -> None:
        address, token = url or environment.get("HWDASH_URL"), environment.get(TOKEN)
        missing = [name for name, value in (("HWDASH_URL", address), (TOKEN, token)) if not value]
        if not address or not token:
            refuse(
                f"Not told which sandbox to talk to: set {' and '.join(missing)}, as hwdash init --sandbox printed it.",
                Exit.USAGE,
            )
        ca = environment.get("HWDASH_CA")
        try:
            trust: ssl.SSLContext | bool = ssl.create_default_context(cafile=ca) if ca else True
        except OSError as error:
            refuse(f"{ca}: {error.strerror or error}. HWDASH_CA names the sandbox's CA certificate.", Exit.USAGE)
        self._address = address.rstrip("/")
        headers = {"Authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=self._address, verify=trust, headers=headers, timeout=30)

    def call(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        """One call; the JSON of its answer, {} without one."""
        try:
            answer = self._http.request(method, f"/_sandbox{path}", **content)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            refuse(f"{self._address}: {error or type(error).__name__}", Exit.UNREACHABLE)
        if answer.status_code == 401:
            refuse(f"{self._address} does not take the admin token in {TOKEN}.", Exit.UNAUTHORISED)
        if answer.status_code == 404:
            refuse(f"{self._address} is no sandbox: make one with hwdash init --sandbox.")
        if not answer.is_success:
            refuse("\n".join(_findings(answer)) or f"{self._address} answered {answer.status_code}.")
        document: dict[str, Any] = answer.json() if answer.content else {}
        return document


def _findings(answer: httpx.Response) -> list[str]:
    try:
        return [str(each["message"]) for each in answer.json()["error"]["validationErrors"]]
    except (ValueError, KeyError, TypeError):
        return []
