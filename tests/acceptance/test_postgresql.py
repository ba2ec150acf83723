"""The main path over a real PostgreSQL, by configuration alone."""

import subprocess
import uuid
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from callers import database_of, new_client
from hwdash.storage.tables import submissions
from postgresql_cluster import cluster
from published import publish
from service import (
    API,
    ApiClient,
    Made,
    Served,
    download_url,
    make_service,
    sample_entries,
    serve,
    signed_cabinet,
    unsigned_cabinet,
)
from wire_routes import MACHINE, OFFERS


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """The SQLAlchemy URL of an empty database."""
    with cluster() as running:
        yield running.url


@pytest.fixture(scope="module")
def made(postgresql: str, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_service(tmp_path_factory.mktemp("postgresql"), HWDASH_DATABASE_URL=postgresql)


@pytest.fixture(scope="module")
def served(made: Made) -> Iterator[Served]:
    with serve(made) as running:
        yield running


@pytest.fixture
def client(served: Served) -> Iterator[ApiClient]:
    made = served.client()
    with closing(made.http):
        yield made


def test_a_driver_is_signed_and_its_rows_stand_in_postgresql(
    client: ApiClient, served: Served, postgresql: str, tmp_path: Path
) -> None:
    finished = client.submit(signed_cabinet(tmp_path, served.made.vendor), productName="Über PostgreSQL")
    assert finished["workflowStatus"] == {"currentStep": "finalizeIngestion", "state": "completed", "messages": []}
    signed = tmp_path / "signed.zip"
    signed.write_bytes(client.http.get(download_url(finished, "signedPackage"), headers={"Authorization": ""}).content)
    with zipfile.ZipFile(signed) as archive:
        driver = Path(archive.extract("hwdash_sample/hwdash_sample.sys", tmp_path))
    root = str(served.made.root_certificate)
    done = subprocess.run(
        ["osslsigncode", "verify", "-in", str(driver), "-CAfile", root], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = client.http.get(download_url(finished, "certificationReport"), headers={"Authorization": ""})
    assert "Über PostgreSQL" in report.text

    engine = sa.create_engine(postgresql)
    try:
        with engine.connect() as connection:
            stored = sa.select(submissions.c.state).where(submissions.c.id == finished["id"])
            assert connection.execute(stored).scalar() == "completed"
    finally:
        engine.dispose()
    assert not list(served.made.data.glob("*.db"))


def test_a_bad_package_fails_with_its_findings(client: ApiClient, tmp_path: Path) -> None:
    failed = client.submit(unsigned_cabinet(tmp_path, sample_entries()))
    assert failed["workflowStatus"]["state"] == "failed"
    assert any("package.unsigned" in message for message in failed["workflowStatus"]["messages"])


def test_pages_are_walked_in_order(client: ApiClient) -> None:
    made = [client.create_product()["id"] for _ in range(5)]
    walked: list[int] = []
    url = f"{API}/products?pageSize=2"
    while url and len(walked) < 5:
        page = client.http.get(url).json()
        walked += [each["id"] for each in page["value"]]
        url = next((link["href"] for link in page["links"] if link["rel"] == "next_link"), "")
    assert walked[:5] == made[::-1]


def _together(count: int, client: ApiClient, path: str, **request: object) -> list[httpx.Response]:
    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(lambda _: client.http.post(path, **request), range(count)))  # type: ignore[arg-type]  # httpx types its keywords one by one


def test_a_create_repeated_at_the_same_time_makes_one_object(client: ApiClient) -> None:
    """With several writers, unlike SQLite: the unique keys decide, and the slower request finds what the other made."""
    body = {"productName": "n", "testHarness": "Attestation", "requestedSignatures": ["WINDOWS_v100_X64_GE_FULL"]}
    for _ in range(10):
        headers = {"MS-RequestId": str(uuid.uuid4())}
        products = _together(8, client, f"{API}/products", json=body, headers=headers)
        assert {answer.status_code for answer in products} == {201}
        assert len({answer.json()["id"] for answer in products}) == 1
        path = f"{API}/products/{products[0].json()['id']}/submissions"
        made = _together(8, client, path, json={"name": "n", "type": "initial"}, headers=headers)
        assert {answer.status_code for answer in made} == {201}
        assert len({answer.json()["id"] for answer in made}) == 1


def test_of_many_initial_submissions_and_commits_at_once_one_is_taken(client: ApiClient) -> None:
    for _ in range(3):
        path = f"{API}/products/{client.create_product()['id']}/submissions"
        answers = _together(8, client, path, json={"name": "n", "type": "initial"})
        assert sorted(answer.status_code for answer in answers) == [201] + [422] * 7
        submission = next(answer.json() for answer in answers if answer.status_code == 201)
        assert client.upload(submission, b"no cabinet").status_code == 201
        commits = _together(8, client, f"{path}/{submission['id']}/commit")
        assert sorted(answer.status_code for answer in commits) == [202] + [422] * 7
        client.finished(submission)


def test_a_machine_is_offered_what_is_published(client: ApiClient, served: Served) -> None:
    own, hardware_id = int(served.made.credentials["accountId"]), "usb\\vid_1234&pid_5678"
    wanted, other = str(uuid.uuid4()), str(uuid.uuid4())
    with database_of(served) as database, database.writing() as connection:
        for_some = publish(connection, own, [hardware_id], chids=[wanted, other]).id
        for_others = publish(connection, own, [hardware_id], chids=[other]).id
        for_flights = publish(connection, own, [hardware_id], is_flight_sign=True).id
        waiting = publish(connection, own, [hardware_id], row_state="pendingAdd").id
    machine = MACHINE | {"chids": [wanted], "devices": [{"hardwareIds": [hardware_id]}]}
    (device,) = client.http.post(OFFERS, json=machine).json()["devices"]
    assert [each["labelId"] for each in device["offers"]] == [for_some]
    refused = {each["labelId"]: each["rule"] for each in device["refused"]}
    assert refused == {for_others: "chid", for_flights: "insider", waiting: "live"}
    stranger = new_client(served, ["Manager", "Report Reviewer"])
    (device,) = stranger.http.post(OFFERS, json=machine).json()["devices"]
    assert ([each["labelId"] for each in device["offers"]], device["refused"]) == ([for_some], [])


def test_hostile_text_is_no_accident(client: ApiClient) -> None:
    for escaped in (rb"\u0000", rb"a\u0000", rb"\ud800"):
        body = b'{"productName":"%s","testHarness":"HLK","requestedSignatures":["WINDOWS_7"]}' % escaped
        assert client.http.post(f"{API}/products", content=body).status_code == 400
    for headers in ({"MS-RequestId": "\xe4" * 300}, {"MS-RequestId": "x" * 300}, {"MS-CorrelationId": "' OR 1=1 --"}):
        answer = client.http.post(
            f"{API}/products",
            json={"productName": "n", "testHarness": "HLK", "requestedSignatures": ["WINDOWS_7"]},
            headers=[(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        )
        assert answer.status_code == 201, answer.text
    for path in ("1/submissions/9223372036854775807", "9223372036854775807", "0", "%00"):
        assert client.http.get(f"{API}/products/{path}").status_code == 404
    assert client.http.get("/dashboard/hardware/Driver/DownloadCertificationReport/9999999999/1/1").status_code == 404
