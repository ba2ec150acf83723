"""The service is killed twice in each of the eight steps, and still finishes the submission, once."""

import io
import sys
import zipfile
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from cryptography import x509

from hwdash.cli.evidence import check_evidence
from hwdash.cli.verification import verify_signed_package
from hwdash.clock import system_clock
from hwdash.storage.database import Database
from hwdash.storage.tables import downloads, submission_steps, submissions
from hwdash.vocabulary import SUBMISSION_STEPS
from service import ApiClient, Made, download_url, make_service, serve, signed_cabinet, until

KILLED_SERVICE = (sys.executable, str(Path(__file__).with_name("killed_service.py")))
KILLS = {f"{step}-{place}" for step in SUBMISSION_STEPS for place in ("before", "after")}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_service(tmp_path_factory.mktemp("killed"))


@pytest.mark.timeout(280)
def test_a_submission_survives_sixteen_kills(made: Made, tmp_path: Path) -> None:
    marks = tmp_path / "killed"
    marks.mkdir()
    package = signed_cabinet(tmp_path, made.vendor)
    with serve(made) as served:
        client = served.client()
        submission = client.create_submission(client.create_product()["id"])
        assert client.upload(submission, package).status_code == 201

    committed = False
    for _ in range(len(KILLS)):
        with serve(made, command=KILLED_SERVICE, extra={"KILLED": str(marks)}) as served:
            if not committed:
                # The kill may come before the answer: the row tells whether the commit was taken.
                committed = _commit(served.client(), submission)
            until(lambda: served.process.poll() is not None, "the service was not killed")
            assert served.process.returncode == -9
    assert {mark.name for mark in marks.iterdir()} == KILLS

    with serve(made) as served:
        client = served.client()
        finished = client.finished(submission)
        assert finished["workflowStatus"] == {
            "currentStep": "finalizeIngestion",
            "state": "completed",
            "messages": [],
        }
        signed = client.http.get(download_url(finished, "signedPackage")).raise_for_status()
        submissions_url = f"/v2.0/my/hardware/products/{submission['productId']}/submissions"
        listed = client.http.get(submissions_url).json()
        statement = client.http.get(f"{submissions_url}/{submission['id']}/provenance").raise_for_status()
    assert [each["id"] for each in listed["value"]] == [submission["id"]]
    names = zipfile.ZipFile(io.BytesIO(signed.content)).namelist()
    assert sorted(names) == [f"hwdash_sample/hwdash_sample.{kind}" for kind in ("cat", "inf", "sys")]
    _one_of_everything(made, submission["id"])
    package_file = tmp_path / "signed.zip"
    package_file.write_bytes(signed.content)
    assert len(list(verify_signed_package(package_file, made.root_certificate))) == 3
    statement_file = tmp_path / "signed.zip.intoto.json"
    statement_file.write_bytes(statement.content)
    roots = x509.load_pem_x509_certificates(made.root_certificate.read_bytes())
    checks, _ = check_evidence(package_file, statement_file, None, roots, system_clock())
    assert [each for each in checks if not each.holds] == []


def _commit(client: ApiClient, submission: dict[str, object]) -> bool:
    try:
        answer = client.commit(submission)
    except httpx.HTTPError:
        return True
    assert answer.status_code == 202
    return True


def _one_of_everything(made: Made, submission_id: int) -> None:
    """One submission, one result a step, one download a kind, nothing left in the workspace."""
    database = Database(f"sqlite:///{made.data / 'hwdash.db'}")
    try:
        with database.reading() as connection:
            count = sa.func.count()
            assert connection.execute(sa.select(count).select_from(submissions)).scalar_one() == 1
            steps = connection.execute(sa.select(submission_steps.c.step)).scalars().all()
            kinds = connection.execute(
                sa.select(downloads.c.type).where(downloads.c.submission_id == submission_id)
            ).scalars()
            assert sorted(steps) == sorted(SUBMISSION_STEPS)
            assert sorted(kinds) == ["certificationReport", "driverMetadata", "provenance", "signedPackage"]
    finally:
        database.close()
    assert list((made.data / "work").iterdir()) == []
