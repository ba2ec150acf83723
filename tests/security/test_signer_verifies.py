"""Whoever took the service over has nothing signed that the examiner did not pass for that very submission.

The attacker has what the worker has: the database with every result and every examination, the workspaces, and the
channels to the signer and to the examiner. It asks in more than a hundred ways.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

from callers import database_of
from hwdash.pipeline.examination import examiner_words
from hwdash.settings import Settings
from hwdash.signing.authority import IDENTITIES, PREPRODUCTION
from hwdash.signing.errors import SigningRefused
from hwdash.signing.process import SignerProcess
from hwdash.signing.provenance import result_digest
from hwdash.signing.records import EXAMINED_STEPS, unsealed
from hwdash.signing.signer import (
    CERTIFICATE_TRUST_LIST,
    SPC_INDIRECT_DATA,
    Content,
    SigningRecord,
    SigningRequest,
    request_document,
)
from hwdash.storage.audit import find_entries
from hwdash.storage.database import Database
from hwdash.storage.tables import submission_steps, submissions
from service import Served, sample_entries, signed_cabinet, until

EVIL = bytes(range(200, 232))
"""The digest of what the attacker wants signed."""
EVIL_HEX = EVIL.hex()


@dataclass(frozen=True)
class Known:
    """What the database says of a submission."""

    request: SigningRequest
    """As the worker made it."""
    examinations: dict[str, str]
    results: dict[str, Any]
    package: tuple[str, str]
    """Blob and version."""

    @property
    def document(self) -> dict[str, Any]:
        return request_document(self.request)

    @property
    def examination(self) -> str:
        return self.request.record.examination


def known(service: Served, submission: dict[str, Any], identity: str) -> Known:
    database = Database(f"sqlite:///{service.made.data / 'hwdash.db'}")
    with database.reading() as connection:
        row = connection.execute(sa.select(submissions).where(submissions.c.id == submission["id"])).one()
        steps = connection.execute(
            sa.select(submission_steps).where(submission_steps.c.submission_id == submission["id"])
        ).all()
    database.close()
    results = {each.step: each.result for each in steps}
    examinations = {each.step: each.examination for each in steps if each.examination}
    passed = unsealed(examinations["catalogCreation"])
    record = SigningRecord(
        submission_id=row.id,
        product_id=row.product_id,
        account_id=row.account_id,
        package_sha256=results["packageInfoValidation"]["packageDigest"],
        finished_steps={step: result_digest(results[step]) for step in (*EXAMINED_STEPS, "manualReview")},
        examination=examinations["catalogCreation"],
    )
    contents = tuple(
        Content(kind, bytes.fromhex(each)) for kind, digests in passed.signable.items() for each in digests
    )
    when = datetime.fromisoformat(results["signing"]["when"])
    request = SigningRequest(identity, contents, passed.program_name, "", when, record)
    return Known(request, examinations, results, (row.package_blob, row.package_version))


@pytest.fixture(scope="module")
def one(service: Served, tmp_path_factory: pytest.TempPathFactory) -> Known:
    package = signed_cabinet(tmp_path_factory.mktemp("one"), service.made.vendor)
    return known(service, service.client().submit(package), "attestation")


@pytest.fixture(scope="module")
def other(service: Served, tmp_path_factory: pytest.TempPathFactory) -> Known:
    """Another package, for a test signature."""
    entries = [*sample_entries(), ("hwdash_sample\\more.bin", b"more")]
    package = signed_cabinet(tmp_path_factory.mktemp("other"), service.made.vendor, entries)
    return known(service, service.client().submit(package, isTestSign=True), "test")


@pytest.fixture(scope="module")
def signer(service: Served) -> Iterator[SignerProcess]:
    settings = Settings(data=service.made.data)
    with SignerProcess.start(service.made.data / "keys", environment={}, examiner=examiner_words(settings)) as process:
        yield process


def resealed(known_one: Known, **members: Any) -> Iterator[str]:
    """An examination of the attacker's wish, with every seal that it can make."""
    made = replace(unsealed(known_one.examination), **members)
    yield made.sealed(ec.generate_private_key(ec.SECP256R1()))
    yield made.sealed(ec.generate_private_key(ec.SECP384R1()))
    genuine, _, _ = known_one.examination.partition(".")
    text = made.sealed(ec.generate_private_key(ec.SECP256R1())).partition(".")[2]
    yield f"{genuine}.{text}"
    yield f".{text}"
    for signature in (
        rsa.generate_private_key(65537, 2048).sign(text.encode(), PKCS1v15(), hashes.SHA256()),
        ed25519.Ed25519PrivateKey.generate().sign(text.encode()),
        b"",
        bytes(64),
    ):
        yield f"{base64.b64encode(signature).decode()}.{text}"


def attacks(one: Known, other: Known) -> Iterator[dict[str, Any]]:
    """Requests, as JSON."""
    sound, theirs = one.document, other.document
    evil_contents = [[SPC_INDIRECT_DATA, EVIL_HEX]]
    wished = {SPC_INDIRECT_DATA: [EVIL_HEX], CERTIFICATE_TRUST_LIST: [EVIL_HEX]}
    # Made-up and forged.
    for examination in ("", "x", "{}", ".{}", *resealed(one, signable=wished), *resealed(other, signable=wished)):
        yield sound | {"contents": evil_contents, "examination": examination}
    for identity in IDENTITIES:
        for examination in list(resealed(one, identity=identity, signable=wished))[:3]:
            yield sound | {"identity": identity, "contents": evil_contents, "examination": examination}
    # Genuine, changed in one byte, cut short, or lengthened.
    text = one.examination
    for at in range(0, len(text), len(text) // 30):
        yield sound | {"examination": text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :]}
        yield sound | {"examination": text[:at]}
    yield sound | {"examination": text + " "}
    yield sound | {"examination": text + text}
    digests = json.dumps(next(iter(unsealed(text).signable.values())))
    yield sound | {"contents": evil_contents, "examination": text.replace(digests[1:-1], f'"{EVIL_HEX}"')}
    # Genuine, for other contents than were passed: alone, beside genuine ones, as another type, as a list cut short.
    yield sound | {"contents": evil_contents}
    yield sound | {"contents": [[CERTIFICATE_TRUST_LIST, EVIL_HEX]]}
    yield sound | {"contents": [*sound["contents"], *evil_contents]}
    yield sound | {"contents": [*evil_contents, *sound["contents"]]}
    yield sound | {"contents": sound["contents"] * 99 + evil_contents}
    swapped = {SPC_INDIRECT_DATA: CERTIFICATE_TRUST_LIST, CERTIFICATE_TRUST_LIST: SPC_INDIRECT_DATA}
    for kind, digest in sound["contents"]:
        yield sound | {"contents": [[swapped[kind], digest]]}
        yield sound | {"contents": [[kind, digest[:-2]]]}
        yield sound | {"contents": [[kind, digest[:-2] + "00"]]}
        yield sound | {"contents": [[kind, ""]]}
    yield sound | {"contents": []}
    # A step before the last: it lists nothing.
    for step in EXAMINED_STEPS[:-1]:
        yield sound | {"examination": one.examinations[step]}
    # Of another submission, with this one's words and the other way round.
    for name in ("contents", "examination", "packageSha256", "submissionId", "productId", "finishedSteps", "identity"):
        yield sound | {name: theirs[name]}
        yield theirs | {name: sound[name]}
    # As somebody else.
    for identity in (*IDENTITIES, "provenance", "timestamp", "root", "records", "", "ATTESTATION"):
        if identity != "attestation":
            yield sound | {"identity": identity}
    yield sound | {"identity": PREPRODUCTION, "productId": 0}
    for name in ("submissionId", "productId", "accountId"):
        for value in (0, -1, sound[name] + 1, True, str(sound[name]), None):
            yield sound | {name: value}
    yield sound | {"programName": "Microsoft Windows"}
    yield sound | {"programName": ""}
    # Results that nobody came to, and steps that were left out.
    for step in (*EXAMINED_STEPS, "manualReview"):
        left = {name: digest for name, digest in sound["finishedSteps"].items() if name != step}
        yield sound | {"finishedSteps": left}
    for step in EXAMINED_STEPS:
        yield sound | {"finishedSteps": sound["finishedSteps"] | {step: EVIL_HEX}}
    # Times.
    for ago in (timedelta(minutes=30), timedelta(days=365)):
        yield sound | {"when": (one.request.when - ago).isoformat()}
    yield sound | {"when": one.request.when.replace(tzinfo=None).isoformat()}
    # What is no request.
    yield from ({}, {"sign": sound}, {"contents": evil_contents}, {"statement": sound}, {"statement": None})
    yield sound | {"approved": True}
    yield {name: value for name, value in sound.items() if name != "examination"}


def test_a_hundred_ways_to_ask_for_more_than_was_passed(
    service: Served, signer: SignerProcess, one: Known, other: Known
) -> None:
    log = service.made.data / "keys" / "signatures.log"
    signed_before = {line for line in log.read_bytes().splitlines() if b"signatureSha256" in line}
    begun = log.stat().st_size
    tried = list(attacks(one, other))
    assert [document for document in tried if not is_refused(signer, document)] == []
    assert len(tried) >= 100
    lines = log.read_bytes()[begun:].splitlines()
    assert [line for line in lines if b"signatureSha256" in line and line not in signed_before] == []
    assert len([line for line in lines if b'"refused"' in line]) == len(tried)
    assert EVIL_HEX.encode() not in b"".join(signed_before)
    refused = [json.loads(line)["requestSha256"] for line in lines if b'"refused"' in line]
    until(lambda: set(refused) <= audited(service), "not every refusal is in the audit log")
    # The channel is sound: what was passed is signed on it, again and with the same bytes.
    for each in (one, other):
        again = signer.sign(each.request)
        assert again == signer.sign(each.request)
        for made, content in zip(again, each.request.contents, strict=True):
            assert content.digest in made.attributes


def is_refused(signer: SignerProcess, document: dict[str, Any]) -> bool:
    try:
        signer._asked(document)
    except SigningRefused:
        return True
    return False


def audited(service: Served) -> set[str]:
    """The requests whose refusals are in the audit log, sealed."""
    with database_of(service) as database, database.reading() as connection:
        found = find_entries(connection, action="sign_refused", limit=10_000)
    details = [json.loads(each.act.details) for each in found]
    assert all(each["reasons"] for each in details)
    assert len({each["logEnd"] for each in details}) == len(details)
    return {each["requestSha256"] for each in details}


def asked_of_the_examiner(signer: SignerProcess, line: bytes) -> dict[str, Any]:
    with signer.examiner() as connection, connection.makefile("rwb") as stream:
        stream.write(line + b"\n")
        stream.flush()
        answer: dict[str, Any] = json.loads(stream.readline())
        return answer


def examination_request(known_one: Known, step: str, **changes: Any) -> bytes:
    record = known_one.request.record
    results = {name: known_one.results[name] for name in EXAMINED_STEPS[: EXAMINED_STEPS.index(step)]}
    request: dict[str, Any] = {
        "step": step,
        "folder": "stolen",
        "object_id": record.submission_id,
        "product_id": record.product_id,
        "account_id": record.account_id,
        "account_name": known_one.request.program_name,
        "product_name": "x",
        "submission_name": "x",
        "test_harness": "attestation",
        "kind": "attestation",
        "attributes": {"requestedSignatures": ["WINDOWS_v100_X64_GE_FULL"]},
        "policy": {},
        "package_name": "x.cab",
        "package_blob": known_one.package[0],
        "package_version": known_one.package[1],
        "certificates": {},
        "results": results,
        "fence": 1,
        "now": datetime.now(UTC).isoformat(),
        "shared_product_id": 0,
        "derives_from": None,
        "submitters": [],
        "foreign_extension_ids": {},
        "examination": known_one.examinations[EXAMINED_STEPS[EXAMINED_STEPS.index(step) - 1]],
    }
    return json.dumps(request | changes).encode()


def test_the_examiner_seals_no_catalog_of_files_that_it_did_not_measure(
    signer: SignerProcess, one: Known, other: Known
) -> None:
    """The worker skips steps, and hands in results and files of its own."""
    step = "catalogCreation"
    prepared = json.loads(json.dumps(one.results["preparation"]))
    prepared["bundles"][0]["files"][0]["sha256"] = EVIL_HEX
    swapped = {"results": {name: other.results[name] for name in EXAMINED_STEPS[:-1]}}
    for changes in (
        {"results": {name: one.results[name] for name in EXAMINED_STEPS[:-1]} | {"preparation": prepared}},
        {"results": {}},
        {"results": {"preparation": one.results["preparation"]}},
        {"examination": ""},
        {"examination": other.examinations["validation"]},
        {"examination": one.examinations["packageInfoValidation"]},
        {"examination": one.examinations["catalogCreation"]},
        *({"examination": each} for each in resealed(one, steps={})),
        swapped,
        swapped | {"examination": other.examinations["validation"]},
        {"test_harness": "hlk", "kind": "whql"},
        {"attributes": {"requestedSignatures": [], "isTestSign": True}},
        {"kind": "preproduction"},
        {"object_id": 1},
        {"product_id": 1},
        {"account_id": 1},
    ):
        assert "refused" in asked_of_the_examiner(signer, examination_request(one, step, **changes)), changes
    assert "examination" in asked_of_the_examiner(signer, examination_request(one, step))


def test_the_examiner_does_not_scan_another_file_in_the_place_of_the_one_that_it_unpacked(
    signer: SignerProcess, service: Served, one: Known
) -> None:
    """The worker puts harmless files where the examiner left those of the package."""
    prepared = one.results["preparation"]
    folder = service.made.data / "work" / "swapped" / prepared["folder"]
    folder.mkdir(parents=True)
    for file in prepared["bundles"][0]["files"]:
        Path(folder / file["stored"]).write_bytes(b"MZ harmless")
    for step in ("scanning", "validation"):
        answer = asked_of_the_examiner(signer, examination_request(one, step, folder="swapped"))
        assert "is not the file that was unpacked" in answer["refused"][0], answer
