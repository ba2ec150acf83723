"""A real sandbox in a process of its own: ``service.py`` with the mark and the admin token."""

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from service import ApiClient, Made, Served, clean_environment, hwdash, make_service, serve


@dataclass
class Sandbox:
    """A running sandbox."""

    served: Served

    @property
    def token(self) -> str:
        return str(self.made.credentials["sandboxToken"])

    @property
    def url(self) -> str:
        return self.served.url

    @property
    def made(self) -> Made:
        return self.served.made

    def client(self) -> ApiClient:
        """A client of the API. What a scenario answers is not held against the OpenAPI document."""
        client = self.served.client()
        client.http.event_hooks["response"].clear()
        return client

    def admin(self, method: str, path: str, *, authorization: str | None = None, **content: Any) -> httpx.Response:
        context = ssl.create_default_context(cafile=self.made.credentials["caCertificate"])
        headers = {"Authorization": authorization or f"Bearer {self.token}", **content.pop("headers", {})}
        with httpx.Client(base_url=self.url, verify=context, timeout=30) as http:
            return http.request(method, f"/_sandbox{path}", headers=headers, **content)

    def play(self, scenario: str) -> None:
        answer = self.admin("POST", "/scenario", content=scenario, headers={"Content-Type": "application/toml"})
        assert answer.status_code == 200, answer.text

    def play_shipped(self, name: str) -> None:
        answer = self.admin("POST", "/scenario", json={"name": name})
        assert answer.status_code == 200, answer.text

    def advance(self, span: str) -> None:
        answer = self.admin("POST", "/clock", json={"advance": span})
        assert answer.status_code == 200, answer.text

    def requests(self, text: str = "") -> list[dict[str, Any]]:
        answer = self.admin("GET", "/requests", params={"q": text})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["requests"]
        return found

    def command(self, *words: str) -> str:
        """A client command, with the environment that hwdash init --sandbox tells."""
        return hwdash(*words, environment=self.environment())

    def environment(self) -> Mapping[str, str]:
        given = self.made.credentials
        return clean_environment(
            HWDASH_URL=self.url,
            HWDASH_CA=given["caCertificate"],
            HWDASH_TENANT_ID=given["tenantId"],
            HWDASH_CLIENT_ID=given["clientId"],
            HWDASH_CLIENT_SECRET=given["clientSecret"],
            HWDASH_SANDBOX_TOKEN=self.token,
            XDG_STATE_HOME=str(self.made.data.parent / "state"),
        )


def make_sandbox(folder: Path, **settings: str) -> Made:
    return make_service(folder, "--sandbox", **({"HWDASH_SANDBOX_STEP_TIMES": "none"} | settings))


@contextmanager
def sandbox(folder: Path, **settings: str) -> Iterator[Sandbox]:
    with serve(make_sandbox(folder, **settings)) as served:
        yield Sandbox(served)


def json_line(output: str) -> dict[str, Any]:
    """The JSON document of a command: the last line."""
    found: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return found
