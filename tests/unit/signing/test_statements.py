"""Statements of provenance: what is in one, what is refused, and that it cannot be made to say anything else."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from examined import examined_statement
from hwdash import __version__
from hwdash.drivers.dsse import Envelope, key_id, verify_envelope
from hwdash.signing.authority import PROVENANCE, PROVENANCE_STATEMENTS, ensure_authority
from hwdash.signing.errors import SignerUnavailable, SigningRefused
from hwdash.signing.keys import KeyFolder
from hwdash.signing.process import SignerProcess
from hwdash.signing.provenance import (
    PAYLOAD_TYPE,
    Parameters,
    StatementRequest,
    StatementSigner,
    parse_statement_request,
    result_digest,
    statement_document,
)
from hwdash.signing.signer import REQUIRED_STEPS, LocalSigner, SigningRecord

RESULTS: dict[str, Any] = {
    "packageInfoValidation": {
        "signer": "ee" * 32,
        "signerSubject": "CN=Contoso",
        "packageDigest": "ab" * 32,
        "findings": [{"rule": "package.old-date", "level": "warning", "message": "m", "remedy": "r"}] * 2,
    },
    "scanning": {"engine": "yara-x", "version": "1.0, rules 00ff", "signatures": 4, "scannedFiles": 2, "notes": ["n"]},
    "validation": {"findings": [], "isDeclarative": True},
    "manualReview": {"decision": "approved", "by": "ann@contoso.example", "reason": "fine", "when": "2026-11-23"},
}
FILES = [("contoso/contoso.sys", "11" * 32), ("contoso/contoso.cat", "22" * 32)]

Make = Callable[..., StatementRequest]


@pytest.fixture
def signer(keys: KeyFolder, now: datetime) -> StatementSigner:
    return StatementSigner(keys, LocalSigner(keys, lambda: now))


@pytest.fixture
def request_to_state(keys: KeyFolder, now: datetime) -> StatementRequest:
    steps = dict.fromkeys(REQUIRED_STEPS, "cd" * 32) | {step: result_digest(each) for step, each in RESULTS.items()}
    request = StatementRequest(
        record=SigningRecord(1_152_921_504_621_441_000, 13_635_057_453_741_330, 12_345_678, "ab" * 32, steps, ""),
        parameters=Parameters("Product", "Submission", "attestation", ("WINDOWS_v100_X64_GE_FULL",), False, False),
        submitted_name="Initial_1152921504621441000.cab",
        submitted_sha256="33" * 32,
        results=RESULTS,
        preparation_findings=[("package.pe-tables", "warning")],
        identity="attestation",
        certificate=keys.certificates("attestation")[0].public_bytes(Encoding.DER),
        begun=now - timedelta(seconds=5),
        signed=now,
        package_sha256="44" * 32,
        files=FILES,
    )
    return examined_statement(keys, request)


def test_the_statement_says_what_was_submitted_checked_reviewed_and_signed(
    signer: StatementSigner, keys: KeyFolder, request_to_state: StatementRequest, now: datetime
) -> None:
    statement = json.loads(signer.sign(request_to_state).payload)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert [(each["name"], each["digest"]) for each in statement["subject"]] == [
        ("Signed_1152921504621441000.zip", {"sha256": "44" * 32}),
        *((path, {"sha256": digest}) for path, digest in FILES),
    ]
    built, run = statement["predicate"]["buildDefinition"], statement["predicate"]["runDetails"]
    assert built["externalParameters"] == {
        "accountId": 12_345_678,
        "productId": 13_635_057_453_741_330,
        "submissionId": 1_152_921_504_621_441_000,
        "productName": "Product",
        "submissionName": "Submission",
        "testHarness": "attestation",
        "requestedSignatures": ["WINDOWS_v100_X64_GE_FULL"],
        "isTestSign": False,
        "isFlightSign": False,
    }
    leaf = keys.certificates("attestation")[0]
    assert built["internalParameters"]["signing"] == {
        "identity": "attestation",
        "keyId": key_id(leaf),
        "certificateSha256": leaf.fingerprint(hashes.SHA256()).hex(),
        "certificate": base64.b64encode(leaf.public_bytes(Encoding.DER)).decode(),
    }
    (submitted,) = built["resolvedDependencies"]
    assert submitted["digest"] == {"sha256": "33" * 32}
    assert submitted["annotations"]["signerSubject"] == "CN=Contoso"
    root = keys.certificates("root")[0].fingerprint(hashes.SHA256()).hex()
    assert run["builder"] == {"id": f"tag:hwdash,2026:service/{root}", "version": {"hwdash": __version__}}
    assert run["metadata"]["finishedOn"] == now.strftime("%Y-%m-%dT%H:%M:%SZ")
    steps = {each["name"]: each for each in run["byproducts"]}
    assert {step: each["digest"]["sha256"] for step, each in steps.items()} == request_to_state.record.finished_steps
    found = [{"rule": "package.old-date", "level": "warning", "count": 2}]
    assert steps["packageInfoValidation"]["annotations"]["findings"] == found
    assert steps["preparation"]["annotations"]["findings"][0]["rule"] == "package.pe-tables"
    assert steps["scanning"]["annotations"]["version"] == "1.0, rules 00ff"
    assert steps["manualReview"]["annotations"] == RESULTS["manualReview"]


def test_it_is_signed_by_a_key_of_its_own_under_the_root(
    signer: StatementSigner, keys: KeyFolder, request_to_state: StatementRequest, now: datetime
) -> None:
    found = verify_envelope(
        Envelope.parse(signer.sign(request_to_state).envelope(), source="it"),
        payload_type=PAYLOAD_TYPE,
        usage=PROVENANCE_STATEMENTS.dotted_string,
        roots=keys.certificates("root"),
        now=now,
        source="it",
    )
    assert found.trust.chain[0] == keys.certificates(PROVENANCE)[0]
    assert found.timestamp is not None
    assert found.timestamp.when == now


def test_the_same_request_gives_the_same_bytes_through_the_process_too(
    keys: KeyFolder, request_to_state: StatementRequest, now: datetime
) -> None:
    one, other = (StatementSigner(keys, LocalSigner(keys, lambda: now)).sign(request_to_state) for _ in range(2))
    assert one == other
    with SignerProcess.start(keys.path, environment={}) as process:
        assert process.state(request_to_state) == one
        with pytest.raises(SigningRefused, match="not 64 lower-case hex digits"):
            process.state(replace(request_to_state, package_sha256="00"))


def test_a_package_of_very_many_files_goes_through_the_process(
    keys: KeyFolder, request_to_state: StatementRequest
) -> None:
    files = [(f"contoso/{number:0200}", f"{number:064x}") for number in range(20_000)]
    with SignerProcess.start(keys.path, environment={}) as process:
        statement = json.loads(process.state(replace(request_to_state, files=files)).payload)
    assert len(statement["subject"]) == 20_001


def test_each_statement_is_logged_with_its_record(
    signer: StatementSigner, keys: KeyFolder, request_to_state: StatementRequest
) -> None:
    signer.sign(request_to_state)
    (entry,) = (json.loads(line) for line in (keys.path / "signatures.log").read_text().splitlines())
    assert entry["identity"] == "provenance"
    assert entry["signedPackageSha256"] == "44" * 32
    assert entry["finishedSteps"] == request_to_state.record.finished_steps


def test_a_request_survives_its_way_as_json(request_to_state: StatementRequest) -> None:
    document = json.loads(json.dumps(statement_document(request_to_state)))
    assert parse_statement_request(document) == request_to_state


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"identity": "preproduction"}, "no statement is made for packages signed as 'preproduction'"),
        ({"identity": "provenance"}, "no statement is made"),
        ({"identity": "whql"}, "the certificate is not one for whql"),
        ({"certificate": b"0"}, "the certificate is not one that this service's issuing CA signed"),
        ({"submitted_sha256": "AB" * 32}, "the digest of the submitted package"),
        ({"submitted_sha256": "ab" * 32}, "what was submitted is not the file that was examined"),
        ({"package_sha256": ""}, "the digest of the signed package"),
        ({"submitted_name": ""}, "names have 1 to 1024 characters"),
        ({"files": []}, "a package has 1 to 70000 files"),
        ({"files": [*FILES, FILES[0]]}, "a file is named twice"),
        ({"files": [("x", "no digest")]}, "a file has a path and a SHA-256"),
        ({"preparation_findings": [("not a rule", "error")]}, "a finding has a rule and a level"),
        ({"preparation_findings": [("package.x", "praise")]}, "a finding has a rule and a level"),
        ({"signed": datetime(2026, 1, 1)}, "the time signed has no time zone"),  # noqa: DTZ001
        ({"results": {}}, "the result of step manualReview is missing"),
    ],
)
def test_facts_of_another_form_are_refused(
    signer: StatementSigner, request_to_state: StatementRequest, changes: dict[str, Any], why: str
) -> None:
    with pytest.raises(SigningRefused, match=why):
        signer.sign(replace(request_to_state, **changes))


@pytest.mark.parametrize("step", REQUIRED_STEPS)
def test_a_record_that_allows_no_signature_allows_no_statement(
    signer: StatementSigner, request_to_state: StatementRequest, step: str
) -> None:
    steps = {name: digest for name, digest in request_to_state.record.finished_steps.items() if name != step}
    with pytest.raises(SigningRefused, match=f"step {step} is not on record as finished"):
        signer.sign(replace(request_to_state, record=replace(request_to_state.record, finished_steps=steps)))


def test_a_statement_of_the_future_waits(signer: StatementSigner, request_to_state: StatementRequest) -> None:
    with pytest.raises(SignerUnavailable, match="yet to come"):
        signer.sign(replace(request_to_state, signed=request_to_state.signed + timedelta(hours=1)))


def test_the_certificate_may_have_been_renewed_since(
    keys: KeyFolder, request_to_state: StatementRequest, now: datetime
) -> None:
    keys.file("attestation").unlink()
    keys.public_file("attestation").unlink()
    ensure_authority(keys, now, key_size=2048)
    renewed = StatementSigner(keys, LocalSigner(keys, lambda: now)).sign(request_to_state)
    signing = json.loads(renewed.payload)["predicate"]["buildDefinition"]["internalParameters"]["signing"]
    assert base64.b64decode(signing["certificate"]) == request_to_state.certificate
