"""The examiner, on a real package: what it passes, and that it takes nobody's word for a step before."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from hwdash.drivers.authenticode import SPC_INDIRECT_DATA, content_digest, spc_pe_image_data
from hwdash.drivers.catalog import CATALOG_CONTENT_TYPE
from hwdash.pipeline.examination import ExaminationRequest, examiner_words
from hwdash.pipeline.examiner import Examiner
from hwdash.pipeline.work import Resources, Work
from hwdash.settings import Settings
from hwdash.signing.provenance import result_digest
from hwdash.signing.records import EXAMINED_STEPS, key_bytes, opened, unsealed
from hwdash.storage.blobs import BlobStore
from hwdash.storage.certificates import SigningCertificate
from service import X64, new_vendor, signed_cabinet

NOW = datetime.now(UTC)
KEY = ec.generate_private_key(ec.SECP256R1())
BLOB = "ab" * 16


@dataclass
class Bench:
    """An examiner, and a submission whose steps can be asked for."""

    data: Path
    work: Work

    @property
    def examiner(self) -> Examiner:
        return Examiner(examiner_words(Settings(data=self.data))[1], key_bytes(KEY))

    def ask(self, step: str, work: Work) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(
            self.examiner.answer(ExaminationRequest.of(work, step).model_dump_json().encode())
        )
        return answer

    def passed(self, step: str, work: Work) -> Work:
        """The work as it stands when the step has passed."""
        answer = self.ask(step, work)
        assert "result" in answer, answer
        results = work.results | {step: answer["result"]}
        return replace(work, results=results, examination=answer["examination"], fence=work.fence + 1)


def bench_in(data: Path) -> Bench:
    (data / "blobs").mkdir(parents=True, exist_ok=True)
    settings, store, vendor = Settings(data=data), BlobStore(data / "blobs"), new_vendor()
    package = signed_cabinet(data, vendor)
    uploaded = store.put_file(BLOB, package, name="Initial_7.cab")
    leaf = vendor.chain[0]
    registered = SigningCertificate(
        account_id=9,
        thumbprint=leaf.fingerprint(hashes.SHA256()).hex(),
        certificate=leaf.public_bytes(Encoding.DER),
        subject=leaf.subject.rfc4514_string(),
        kind="ev",
        not_after=leaf.not_valid_after_utc,
        added_at=NOW,
        is_proven=True,
    )
    resources = Resources(settings, store, None, clock=lambda: NOW)
    work = Work(
        resources=resources,
        object_id=7,
        product_id=8,
        account_id=9,
        account_name="Vendor",
        product_name="Product",
        submission_name="Submission",
        test_harness="attestation",
        kind="attestation",
        attributes={"requestedSignatures": [X64]},
        policy={},
        workspace=resources.workspaces / "7",
        package_name="Initial_7.cab",
        package_blob=BLOB,
        package_version=uploaded.version,
        certificates={registered.thumbprint: registered},
        results={},
        fence=1,
        now=NOW,
    )
    return Bench(data, work)


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bench]:
    """The submission before each step, each in a data folder of its own, and "" after all of them."""
    bench = bench_in(tmp_path_factory.mktemp("examiner") / "data")
    stages = {}
    for step in (*EXAMINED_STEPS, ""):
        data = tmp_path_factory.mktemp("stage") / "data"
        copytree(bench.data, data)
        resources = Resources(Settings(data=data), BlobStore(data / "blobs"), None, clock=lambda: NOW)
        stages[step] = Bench(
            data, replace(bench.work, resources=resources, workspace=resources.workspaces / bench.work.workspace.name)
        )
        if step:
            bench.work = bench.passed(step, bench.work)
    return stages


def test_what_has_passed_is_sealed_step_by_step(stages: dict[str, Bench]) -> None:
    work = stages[""].work
    passed = opened(work.examination, KEY.public_key())
    assert (passed.identity, passed.object_id, passed.product_id, passed.account_id) == ("attestation", 7, 8, 9)
    assert passed.steps == {step: result_digest(work.results[step]) for step in EXAMINED_STEPS}
    assert tuple(passed.steps) == EXAMINED_STEPS
    (driver,) = (file for file in work.results["preparation"]["bundles"][0]["files"] if file["layout"] is not None)
    (catalog,) = work.results["catalogCreation"]["catalogs"]
    content = (work.workspace / work.results["catalogCreation"]["folder"] / catalog["stored"]).read_bytes()
    assert passed.signable == {
        CATALOG_CONTENT_TYPE: [content_digest(content).hex()],
        SPC_INDIRECT_DATA: [content_digest(spc_pe_image_data(bytes.fromhex(driver["sha256"]))).hex()],
    }
    for step in EXAMINED_STEPS[1:]:
        assert unsealed(stages[step].work.examination).signable == {}


def test_a_repeated_step_comes_to_the_same(stages: dict[str, Bench]) -> None:
    bench = stages["scanning"]
    one, other = (bench.ask("scanning", bench.work) for _ in range(2))
    assert one["result"] == other["result"]


@pytest.mark.parametrize("step", EXAMINED_STEPS[1:])
def test_a_step_needs_the_seal_of_the_one_before(stages: dict[str, Bench], step: str) -> None:
    bench = stages[step]
    seal, _, text = bench.work.examination.partition(".")
    other = ec.generate_private_key(ec.SECP256R1())
    forged = unsealed(bench.work.examination).sealed(other)
    for examination in (
        "",
        forged,
        f"{seal}.{text.replace('attestation', 'whql')}",
        stages[EXAMINED_STEPS[1]].work.examination,
    ):
        if examination != bench.work.examination:
            answer = bench.ask(step, replace(bench.work, examination=examination))
            assert "examination.refused" in answer["refused"][0]


CHANGES: list[tuple[str, Callable[[Work], Work]]] = [
    ("object 7", lambda work: replace(work, object_id=77)),
    ("product 8", lambda work: replace(work, product_id=77)),
    ("account 9", lambda work: replace(work, account_id=77)),
    ("identity attestation", lambda work: replace(work, test_harness="hlk", kind="whql")),
    ("identity attestation", lambda work: replace(work, attributes={**work.attributes, "isTestSign": True})),
    ("result of scanning", lambda work: replace(work, results={**work.results, "scanning": {"engine": "mine"}})),
    ("result of preparation", lambda work: replace(work, results={**work.results, "preparation": {}})),
    (
        "result of scanning",
        lambda work: replace(work, results={k: v for k, v in work.results.items() if k != "scanning"}),
    ),
]


@pytest.mark.parametrize(("said", "change"), CHANGES)
def test_what_another_submission_or_another_result_has_is_no_pass(
    stages: dict[str, Bench], said: str, change: Callable[[Work], Work]
) -> None:
    bench = stages["validation"]
    answer = bench.ask("validation", change(bench.work))
    assert any(said in message for message in answer["refused"]), answer


@pytest.mark.parametrize(("step", "file"), [("scanning", ".sys"), ("scanning", ".inf"), ("validation", ".inf")])
def test_a_file_that_was_changed_between_two_steps_is_named(stages: dict[str, Bench], step: str, file: str) -> None:
    bench = stages[step]
    prepared = bench.work.results["preparation"]
    (changed,) = (each for each in prepared["bundles"][0]["files"] if each["path"].endswith(file))
    stored = bench.work.workspace / prepared["folder"] / changed["stored"]
    content = stored.read_bytes()
    try:
        for other in (content[:-1], content[:600] + bytes([content[600] ^ 1]) + content[601:]):
            stored.write_bytes(other)
            assert f"{changed['path']} is not the file that was unpacked" in bench.ask(step, bench.work)["refused"][0]
        stored.unlink()
        assert "result" not in bench.ask(step, bench.work)
    finally:
        stored.write_bytes(content)
    assert "result" in bench.ask(step, replace(bench.work, fence=bench.work.fence + 50))


def test_another_package_than_the_one_that_was_examined_is_not_unpacked(
    stages: dict[str, Bench], tmp_path: Path
) -> None:
    bench = stages["preparation"]
    other = bench.work.resources.blobs.put_file(BLOB, signed_cabinet(tmp_path, new_vendor()), name="Initial_7.cab")
    answer = bench.ask("preparation", replace(bench.work, package_version=other.version, fence=90))
    assert answer == {"refused": ["ERROR examination.changed: Initial_7.cab is not the file that was examined."]}


def test_a_stranger_s_certificate_passes_nothing(stages: dict[str, Bench]) -> None:
    bench = stages["packageInfoValidation"]
    refused = bench.ask("packageInfoValidation", replace(bench.work, certificates={}, fence=90))["refused"]
    assert any("package.signer-not-registered" in each for each in refused)


def test_what_is_no_request_is_answered_and_survived(stages: dict[str, Bench]) -> None:
    bench = stages["packageInfoValidation"]
    sound = json.loads(ExaminationRequest.of(bench.work, "preparation").model_dump_json())
    for line in (
        b"", b"{", b"null", b"[]", b"\xff", b"[" * 100_000,
        json.dumps(sound | {"folder": "../../keys"}).encode(),
        json.dumps(sound | {"folder": ""}).encode(),
        json.dumps(sound | {"settings": {}}).encode(),
        json.dumps({name: value for name, value in sound.items() if name != "now"}).encode(),
    ):  # fmt: skip
        assert "failed" in json.loads(bench.examiner.answer(line))
    answer = bench.ask("signing", bench.work)
    assert "is no step that is examined" in answer["refused"][0]
    gone = bench.ask("packageInfoValidation", replace(bench.work, package_blob="cd" * 16, fence=91))
    assert "package.missing" in gone["refused"][0]
