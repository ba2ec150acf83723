"""``hwdash conformance`` as its users call it, and the mechanics of the suite."""

import io
import json
import os
import runpy
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hwdash.cli.main import main
from hwdash.conformance import shapes
from hwdash.conformance.caller import shown
from hwdash.conformance.outcome import Mismatch, NotApplicable, Result, Source
from hwdash.conformance.row import Row
from hwdash.conformance.rows import ROWS
from hwdash.conformance.rows.enumerations import FAMILIES, OS_CODES, TYPES
from hwdash.conformance.rows.leniency import NULLABLE
from hwdash.conformance.stage import SAMPLE, Stage, Workflow
from hwdash.conformance.suite import creations, run
from hwdash.conformance.target import Application, Target
from service import ROOT, ApiClient, Served

PAGE = ROOT / "docs" / "reference" / "conformance.md"
ROW = "status-422-required"


@dataclass
class Done:
    """What a command printed, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


class Conformance:
    """``hwdash conformance``, as the installed command runs it, in this process."""

    def __init__(self, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]) -> None:
        self._patch = patch
        self._captured = captured

    def __call__(self, *arguments: str, answer: str = "") -> Done:
        for name in [name for name in os.environ if name.startswith("HWDASH_")]:
            self._patch.delenv(name)
        self._patch.setattr(sys, "argv", ["hwdash", "conformance", *arguments])
        self._patch.setattr(sys, "stdin", io.StringIO(answer))
        self._captured.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = self._captured.readouterr()
        return Done(int(ended.value.code or 0), printed.out, printed.err)


@pytest.fixture
def conformance(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Conformance:
    return Conformance(monkeypatch, capsys)


def credentials(service: Served, secret: str | None = None) -> list[str]:
    given = service.made.credentials
    return [
        *("--url", service.url, "--tenant-id", given["tenantId"], "--client-id", given["clientId"]),
        *("--client-secret", secret or given["clientSecret"], "--ca", given["caCertificate"]),
    ]


def target_of(service: Served) -> Target:
    given = service.made.credentials
    application = Application(given["tenantId"], given["clientId"], given["clientSecret"])
    return Target(service.url, service.url, application, ca=given["caCertificate"], poll_seconds=0.1)


# The command


def test_the_command_ends_with_one_object_and_0_when_no_row_failed(conformance: Conformance, service: Served) -> None:
    done = conformance(*credentials(service), "--row", ROW, "--row", "owner-03-get-product", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    first, second = json.loads(line)["rows"]
    assert set(first) == {"id", "result", "why", "source", "title"}
    assert (second["id"], second["result"], second["why"]) == (ROW, "pass", "")
    assert (first["id"], first["result"]) == ("owner-03-get-product", "not applicable")
    assert "--second-client-id" in first["why"]


def test_the_table_counts_our_recommendations_apart(conformance: Conformance, service: Served) -> None:
    done = conformance(*credentials(service), "--row", ROW, "--row", "status-401-bad-token", "--yes")
    assert done.returncode == 0, done.stderr
    assert ROW in done.stdout
    assert done.stdout.splitlines()[-2:] == [
        "documented or seen: 1 pass, 0 fail, 0 not applicable",
        "our recommendation: 1 pass, 0 fail, 0 not applicable",
    ]


@contextmanager
def answering_teapots() -> Iterator[str]:
    """A service that gives tokens and answers everything else with 418."""

    class Teapot(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            token = self.path.endswith("/token")
            body = b'{"access_token": "t", "expires_in": 3600}' if token else b"teapot"
            self.send_response(200 if token else 418)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Teapot)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_service_that_is_none_fails_every_row_with_a_reason(conformance: Conformance) -> None:
    with answering_teapots() as url:
        given = ("--url", url, "--tenant-id", "t", "--client-id", "c", "--client-secret", "s")
        done = conformance(*given, "--yes", "--json", "--timeout", "5")
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    rows = json.loads(done.stdout.splitlines()[-1])["rows"]
    assert [row["id"] for row in rows] == [row.id for row in ROWS]
    assert [row["id"] for row in rows if row["result"] == "pass"] == []
    assert [row["id"] for row in rows if not row["why"]] == []
    assert any("418" in row["why"] for row in rows)


def test_nothing_is_created_without_a_yes(conformance: Conformance, service: Served, client: ApiClient) -> None:
    before = client.http.get("/v2.0/my/hardware/products").json()["value"]
    done = conformance(*credentials(service), answer="n\n")
    assert done.returncode not in (0, 1)
    told = creations(replace(target_of(service), stranger=Path("x")))
    assert f"at most {told.products} products and {told.submissions} submissions" in done.stderr
    assert "for ever" in done.stderr
    assert client.http.get("/v2.0/my/hardware/products").json()["value"] == before


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ((), 2, "HWDASH_URL"),
        (("--row", "nothing"), 2, "no row nothing"),
        (("--second-client-id", "x"), 2, "--second-client-secret"),
        (("--certificate", str(PAGE)), 2, "--key"),
        (("--url", "http://127.0.0.1:9", "--yes"), 3, "127.0.0.1:9"),
    ],
)
def test_wrong_usage_is_told_plainly(
    conformance: Conformance, arguments: tuple[str, ...], code: int, told: str
) -> None:
    given = ("--tenant-id", "t", "--client-id", "c", "--client-secret", "s")
    more = () if "--url" in arguments or not arguments else ("--url", "http://127.0.0.1:9")
    done = conformance(*given, *more, *arguments)
    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_secret_ends_with_4_and_is_not_shown(conformance: Conformance, service: Served) -> None:
    done = conformance(*credentials(service, "wrong-secret"), "--yes", "--json")
    assert done.returncode == 4
    assert "wrong-secret" not in done.stderr + done.stdout


# The suite


def row(name: str, check: Any, waits: str | None = None) -> Row:
    return Row(name, name, Source.OURS, check, waits)


def test_a_row_ends_by_itself_whatever_happens_in_it(service: Served) -> None:
    def fails(_: Stage) -> None:
        raise Mismatch("this came")

    def cannot(_: Stage) -> None:
        raise NotApplicable("needs more")

    def breaks(_: Stage) -> None:
        raise KeyError("links")

    stage = Stage(target_of(service))
    seen: list[str] = []
    rows = [row("a", fails), row("b", cannot), row("c", breaks), row("d", lambda _: None)]
    found = run(stage, rows, lambda finding: seen.append(finding.row.id))
    stage.close()
    assert [(each.row.id, each.result) for each in found] == [
        ("a", Result.FAIL),
        ("b", Result.NOT_APPLICABLE),
        ("c", Result.FAIL),
        ("d", Result.PASS),
    ]
    assert [each.why for each in found[:2]] == ["this came", "needs more"]
    assert "KeyError: 'links'" in found[2].why
    assert seen == ["a", "b", "c", "d"]


def test_workflows_begin_before_the_first_row_and_are_waited_for_after_the_last(service: Served) -> None:
    stage = Stage(target_of(service))
    begun: list[bool] = []
    rows = [
        row("waits", lambda stage: stage.finished("failing"), waits="failing"),
        row("at once", lambda stage: begun.append("workflow failing" in stage._kept)),
    ]
    order: list[str] = []
    found = run(stage, rows, lambda finding: order.append(finding.row.id))
    stage.close()
    assert [each.result for each in found] == [Result.PASS, Result.PASS]
    assert begun == [True]
    assert order == ["at once", "waits"]


def test_what_could_not_be_made_is_not_tried_again(service: Served) -> None:
    stage = Stage(target_of(service))
    tries: list[int] = []

    def make() -> None:
        tries.append(1)
        raise Mismatch("refused")

    for _ in range(2):
        with pytest.raises(Mismatch, match="refused"):
            stage.once("thing", make)
    stage.close()
    assert tries == [1]


def test_a_workflow_that_does_not_end_is_a_failure(service: Served) -> None:
    stage = Stage(replace(target_of(service), timeout_seconds=0))
    begun = Workflow(stage.sample, stage.pending, [], stage.pending.answer)
    begun.looks.append({"workflowStatus": {"currentStep": "scanning", "state": "started", "messages": []}})
    stage._watch(begun)
    stage.close()
    assert begun.ended.is_set()
    assert "--timeout" in begun.broke


def test_signatures_of_urls_are_not_told(service: Served) -> None:
    stage = Stage(target_of(service))

    def tells(stage: Stage) -> None:
        raise Mismatch(shown(stage.pending.answer))

    (found,) = run(stage, [row("tells", tells)])
    stage.close()
    assert "answered 201" in found.why
    assert "sig=" not in found.why.replace("sig=...", "")


# Rows and forms


def test_ids_are_unique_and_titles_are_there() -> None:
    ids = [each.id for each in ROWS]
    assert len(ids) == len(set(ids))
    assert [each.id for each in ROWS if not each.title] == []


def test_members_sent_as_null_are_members_of_a_product() -> None:
    """A misspelt one would be ignored, and the row prove nothing."""
    assert set(NULLABLE) <= set(SAMPLE)


def test_the_enumerations_are_as_many_as_documented() -> None:
    types = {kind for each in TYPES.values() for kind in each.values()}
    assert (len(types - {"Unclassified"}), len(FAMILIES), len(OS_CODES)) == (147, 34, 66)


def test_the_reference_lists_every_row_as_the_script_writes_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where this fails: ``.venv/bin/python scripts/conformance_table.py``."""
    text = PAGE.read_text("utf-8")
    for each in ROWS:
        assert f"| `{each.id}` | {each.title} | {each.source} |\n" in text
    assert text.count("\n| `") == len(ROWS)
    script = runpy.run_path(str(ROOT / "scripts" / "conformance_table.py"))
    copy = tmp_path / PAGE.name
    copy.write_text(text.replace("| documented |", "| field report |"), "utf-8")
    monkeypatch.setitem(script["main"].__globals__, "PAGE", copy)
    script["main"]()
    assert copy.read_text("utf-8").partition("<!--")[2] == text.partition("<!--")[2]


@pytest.mark.parametrize(
    ("kind", "value", "complaint"),
    [
        (shapes.integer, 1.0, "not a whole number"),
        (shapes.integer, True, "not a whole number"),
        (shapes.integer, "5", "not a whole number"),
        (shapes.date, "0001-01-01T00:00:00", "not an ISO"),
        (shapes.date, "2018-13-01T00:00:00Z", "not an ISO"),
        (shapes.date, "1 April 2018", "not an ISO"),
        (shapes.guid, "{8a4a9d6d-0f3b-4a0e-9c8a-111111111111}", "without braces"),
        (shapes.url, "https:// host/x", "not an absolute URL"),
        (shapes.url, "/x", "not an absolute URL"),
        (shapes.camel_case, "InvalidInput", "not a camelCase"),
        (shapes.array(shapes.text), "x", "not an array"),
        (shapes.mapping(shapes.text), {"a": None}, "a is None"),
        (shapes.members({"name": shapes.text}), {}, "name is missing"),
        (shapes.members({"name": shapes.text}), {"Name": "x"}, "name is spelt Name"),
        (shapes.members({}, {"name": shapes.text}), {"name": None}, "name is None"),
        (shapes.members({}, never="downloads"), {"downloads": {}}, "no place here"),
        (shapes.members({}), [], "not an object"),
    ],
)
def test_a_form_complains_with_place_and_value(kind: shapes.Kind, value: object, complaint: str) -> None:
    complaints = kind(value, "")
    assert len([each for each in complaints if complaint in each]) == 1, complaints


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (shapes.integer, 1152921504621441930),
        (shapes.date, "2018-04-01T00:00:00.1234567+02:00"),
        (shapes.date, "2018-04-01T00:00:00"),
        (shapes.guid, "8A4A9D6D-0F3B-4A0E-9C8A-111111111111"),
        (shapes.members({"name": shapes.text}), {"name": "x", "more": None}),
    ],
)
def test_a_form_takes_what_clients_take(kind: shapes.Kind, value: object) -> None:
    assert kind(value, "") == []
