"""The suite is tried itself: a real service passes every row, and each planted defect is seen by the rows of it."""

import dataclasses
import ssl
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import label_defects  # noqa: F401 - planted by being imported
import pytest
from defects import DEFECTS

from hwdash.cli.conformance import make_local
from hwdash.conformance.outcome import Result
from hwdash.conformance.rows import ROWS
from hwdash.conformance.stage import Stage
from hwdash.conformance.suite import Finding, adopt, creations, run
from hwdash.conformance.target import Target
from service import Made, new_vendor, serve

HERE = Path(__file__).parent
BY_ID = {row.id: row for row in ROWS}

# What nobody can show: being flooded, and what is documented without saying when.
NEEDS_MORE = {"status-429-throttled", "error-updateUnauthorized-e-name-now"}


@dataclass
class Run:
    """A service with changeable defects, the suite's findings without any, and the stage that it ran on."""

    target: Target
    stage: Stage
    findings: dict[str, Finding]
    products: list[dict[str, Any]]

    def choose(self, defect: str) -> None:
        verify = ssl.create_default_context(cafile=self.target.ca)
        assert httpx.put(f"{self.target.url}/defect/{defect}", verify=verify).status_code == 204


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("conformance")
    environment, target = make_local(folder)
    made = Made(folder / "service", {}, new_vendor(), environment)
    with serve(made, command=[sys.executable, str(HERE / "defective_service.py")]) as served:
        target = dataclasses.replace(target, url=served.url, authority=served.url)
        stage = Stage(target)
        findings = run(stage, ROWS)
        products = stage.caller.send("GET", "/products").json()["value"]
        yield Run(target, stage, {each.row.id: each for each in findings}, products)
        stage.close()


def test_a_real_service_passes_every_row(tried: Run) -> None:
    failed = {name: each.why for name, each in tried.findings.items() if each.result is Result.FAIL}
    assert failed == {}
    untried = {name for name, each in tried.findings.items() if each.result is Result.NOT_APPLICABLE}
    assert untried == NEEDS_MORE


def test_no_more_is_created_than_was_told(tried: Run) -> None:
    told = creations(tried.target)
    assert len(tried.products) == told.products
    assert all(each["productName"].startswith("hwdash conformance") for each in tried.products)
    submissions = [
        tried.stage.caller.send("GET", f"/products/{each['id']}/submissions").json()["value"] for each in tried.products
    ]
    assert sum(map(len, submissions)) == told.submissions
    labels = [
        tried.stage.caller.send("GET", f"/products/{product}/submissions/{each['id']}/shippingLabels").json()["value"]
        for product, listed in zip((each["id"] for each in tried.products), submissions, strict=True)
        for each in listed
    ]
    # The author sees the receiver's label too.
    assert sum(map(len, labels)) == told.labels + 1


@pytest.mark.parametrize("name", DEFECTS)
def test_a_planted_defect_is_seen_by_the_rows_that_it_concerns(tried: Run, name: str) -> None:
    planted = DEFECTS[name]
    assert [tried.findings[row].result for row in planted.rows] == [Result.PASS] * len(planted.rows)
    stage = Stage(tried.target)
    tried.choose(name)
    try:
        for workflow in planted.revisits:
            adopt(stage, workflow, tried.stage)
        found = run(stage, [BY_ID[row] for row in planted.rows])
    finally:
        tried.choose("none")
        stage.close()
    assert {each.row.id: each.result for each in found} == dict.fromkeys(planted.rows, Result.FAIL)
    assert [each.why for each in found if not each.why or each.why.startswith("no answer")] == []


def test_there_are_defects_for_every_family_of_rows() -> None:
    assert len(DEFECTS) >= 30
    seen = {BY_ID[row].check.__module__ for each in DEFECTS.values() for row in each.rows}
    assert {row.check.__module__ for row in ROWS} - seen == set()
