"""The effects of a scenario on answers, with the workflow just where it is awkward."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from starlette.types import Message, Receive, Scope, Send

from finished_submission import finished_submission
from hwdash.clock import system_clock
from hwdash.sandbox.faults import RULE, Faults
from hwdash.sandbox.playbill import Playbill
from hwdash.sandbox.scenario_file import read_scenario
from hwdash.server.service import Service
from hwdash.storage.accounts import create_account, create_application
from hwdash.storage.database import Database
from hwdash.storage.tables import submissions


def test_a_download_is_hidden_also_when_the_workflow_ends_during_the_request(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'hwdash.db'}")
    database.create()
    now = system_clock()
    with database.writing() as connection:
        account = create_account(connection, "Vendor", now)
        client = create_application(connection, account.id, "CI", [], now).client_id
        finished = finished_submission(connection, account.id, finished_at=None, state="started")

    async def application(_scope: Scope, _receive: Receive, send: Send) -> None:
        with database.writing() as connection:
            ended = submissions.update().where(submissions.c.id == finished.id).values(finished_at=now)
            connection.execute(ended)
        items = [{"type": each, "url": "https://localhost/x"} for each in ("signedPackage", "driverMetadata")]
        body = json.dumps({"id": finished.id, "downloads": {"items": items}}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": body})

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    tokens = SimpleNamespace(verify=lambda _token: SimpleNamespace(client_id=client))
    service = cast(Service, SimpleNamespace(database=database, tokens=tokens, sas=None))
    playbill = Playbill(tmp_path)
    playbill.set(read_scenario("metadata-late"), "metadata-late")
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": finished.path,
        "query_string": b"",
        "headers": [(b"authorization", b"Bearer any")],
    }
    try:
        asyncio.run(Faults(application, service, playbill, lambda: now)(scope, receive, send))
    finally:
        database.close()
    document = json.loads(b"".join(each.get("body", b"") for each in sent))
    assert [each["type"] for each in document["downloads"]["items"]] == ["signedPackage"]
    assert scope[RULE] == ["metadata-late, rule 1"]
