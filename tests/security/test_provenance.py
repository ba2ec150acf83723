"""The evidence of a signed package cannot be forged, moved to another package, or changed in one byte unnoticed.

The packages are signed by a running service. The first test reads their evidence with a verifier of its own, of which
nothing is hwdash's; the others attack what ``hwdash verify`` checks, and the signer that makes the statements.
"""

import base64
import hashlib
import json
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms, tsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from examined import examined, examined_statement
from hwdash.cli.evidence import check_evidence
from hwdash.cli.verification import Check
from hwdash.drivers.dsse import Envelope, pae
from hwdash.drivers.zip_package import ZipPackage
from hwdash.signing.authority import PROVENANCE, ensure_authority
from hwdash.signing.errors import SigningRefused
from hwdash.signing.keys import KeyFolder
from hwdash.signing.process import SignerProcess
from hwdash.signing.provenance import Parameters, StatementRequest, result_digest, statement_document
from hwdash.signing.signer import (
    CONTENT_TYPES,
    REQUIRED_STEPS,
    Content,
    LocalSigner,
    SigningRecord,
    SigningRequest,
    sign_bytes,
)
from service import (
    API,
    HWDASH,
    ApiClient,
    Served,
    clean_environment,
    download_url,
    sample_entries,
    signed_cabinet,
    until,
)

DOCUMENTED = {"initialPackage", "derivedPackage", "signedPackage", "certificationReport", "driverMetadata"}
RESULTS: dict[str, Any] = {
    "packageInfoValidation": {"signer": "ee" * 32, "signerSubject": "CN=Contoso", "findings": []},
    "scanning": {"engine": "yara-x", "version": "1", "scannedFiles": 1},
    "validation": {"findings": []},
    "manualReview": {"decision": "approved", "by": "ann@contoso.example"},
}
RECORD = SigningRecord(
    1,
    2,
    3,
    "ab" * 32,
    dict.fromkeys(REQUIRED_STEPS, "cd" * 32) | {step: result_digest(said) for step, said in RESULTS.items()},
    "",
)
LATER = timedelta(days=4 * 365)
"""When every certificate below the CAs has ended."""


@dataclass(frozen=True)
class Evidence:
    """What a recipient has, and where the service has it."""

    package: Path
    statement: Path
    submitted: Path
    root: Path
    path: str

    def check(self, now: datetime | None = None, **changes: Path) -> list[Check]:
        given = replace(self, **changes)
        roots = x509.load_pem_x509_certificates(given.root.read_bytes())
        when = now or datetime.now(UTC)
        return check_evidence(given.package, given.statement, given.submitted, roots, when)[0]


def failed(checks: list[Check]) -> dict[str, str]:
    return {each.what: each.says for each in checks if not each.holds}


def told(evidence: Evidence, name: str, **changes: Path) -> str:
    """All that does not hold of one file."""
    return " ".join(each.says for each in evidence.check(**changes) if each.what == name and not each.holds)


def evidence_of(service: Served, folder: Path, name: str) -> Evidence:
    client = service.client()
    submitted = signed_cabinet(
        folder, service.made.vendor, [*sample_entries(), ("hwdash_sample\\more.bin", name.encode())]
    )
    submission = client.create_submission(client.create_product()["id"])
    assert client.upload(submission, submitted).status_code == 201
    assert client.commit(submission).status_code == 202
    until(
        lambda: client.get_submission(submission).get("workflowStatus", {}).get("state") == "completed",
        "it is not signed",
    )
    done = client.get_submission(submission)
    path = f"{API}/products/{done['productId']}/submissions/{done['id']}/provenance"
    package, statement = folder / f"{name}.zip", folder / f"{name}.zip.intoto.json"
    package.write_bytes(client.http.get(download_url(done, "signedPackage"), headers={"Authorization": ""}).content)
    statement.write_bytes(client.http.get(path).raise_for_status().content)
    return Evidence(package, statement, submitted, service.made.root_certificate, path)


@pytest.fixture(scope="module")
def evidence(service: Served, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return evidence_of(service, tmp_path_factory.mktemp("evidence"), "one")


@pytest.fixture(scope="module")
def other(service: Served, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return evidence_of(service, tmp_path_factory.mktemp("other"), "other")


# --- What it is, by a verifier of its own


def test_a_verifier_that_is_not_ours_finds_the_same(evidence: Evidence) -> None:
    envelope = json.loads(evidence.statement.read_bytes())
    kind, payload = envelope["payloadType"], base64.b64decode(envelope["payload"])
    (signature,) = envelope["signatures"]
    value = base64.b64decode(signature["sig"])
    leaf = x509.load_pem_x509_certificate(base64.b64decode(signature["certificate"]))
    (issuing,) = (x509.load_pem_x509_certificate(base64.b64decode(each)) for each in signature["intermediates"])
    root = x509.load_pem_x509_certificate(evidence.root.read_bytes())
    key = leaf.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    signed = " ".join(["DSSEv1", str(len(kind)), kind, str(len(payload)), ""]).encode() + payload
    key.verify(value, signed, ec.ECDSA(hashes.SHA256()))
    leaf.verify_directly_issued_by(issuing)
    issuing.verify_directly_issued_by(root)

    (stamp,) = signature["timestamps"]
    token = cms.ContentInfo.load(base64.b64decode(stamp["data"]))["content"]
    info = tsp.TSTInfo.load(token["encap_content_info"]["content"].parsed.dump())
    assert info["message_imprint"]["hashed_message"].native == hashlib.sha256(value).digest()

    statement = json.loads(payload)
    named = {each["name"]: each["digest"]["sha256"] for each in statement["subject"]}
    with zipfile.ZipFile(evidence.package) as archive:
        inside = {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}
    (package,) = named.keys() - inside.keys()
    assert named == inside | {package: hashlib.sha256(evidence.package.read_bytes()).hexdigest()}
    (input_,) = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert input_["digest"]["sha256"] == hashlib.sha256(evidence.submitted.read_bytes()).hexdigest()


def test_openssl_takes_the_timestamp(evidence: Evidence, tmp_path: Path) -> None:
    (signature,) = json.loads(evidence.statement.read_bytes())["signatures"]
    token, over, issuing = tmp_path / "token", tmp_path / "over", tmp_path / "issuing.pem"
    token.write_bytes(base64.b64decode(signature["timestamps"][0]["data"]))
    over.write_bytes(base64.b64decode(signature["sig"]))
    issuing.write_bytes(base64.b64decode(signature["intermediates"][0]))
    words = ["openssl", "ts", "-verify", "-token_in", "-in", token, "-data", over, "-CAfile", evidence.root]
    done = subprocess.run([*words, "-untrusted", issuing], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def verify(*words: object, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    given = environment or clean_environment()
    command = [*HWDASH, "verify", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=given)


def test_the_command_tells_the_whole_chain_of_evidence(evidence: Evidence, service: Served) -> None:
    done = verify(evidence.package, "--root", evidence.root, "--submitted", evidence.submitted)
    assert done.returncode == 0, done.stdout
    for part in ("hwdash Root CA", "Initial_", "CN=Test Hardware Vendor", "yara-x", "manual review is switched off"):
        assert part in done.stdout
    done = verify(evidence.package, "--json", environment=service.made.environment)
    document = json.loads(done.stdout)
    assert (done.returncode, document["holds"]) == (0, True)
    assert document["statement"]["predicateType"] == "https://slsa.dev/provenance/v1"


def test_the_command_ends_with_1_for_what_does_not_hold_and_with_2_for_wrong_usage(
    evidence: Evidence, tmp_path: Path
) -> None:
    alone = tmp_path / "alone.zip"
    alone.write_bytes(evidence.package.read_bytes())
    done = verify(alone, "--root", evidence.root, "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["holds"], document["statement"]) == (1, False, None)
    assert "alone.zip.intoto.json" in {each["what"] for each in document["checks"] if not each["holds"]}
    no_service = clean_environment(HWDASH_DATA=str(tmp_path))
    for words in ((evidence.package,), (evidence.package, "--root", evidence.package), (tmp_path / "none",)):
        done = verify(*words, environment=no_service)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr


# --- Changed


def test_one_changed_byte_of_the_package_is_named_with_its_file(evidence: Evidence, tmp_path: Path) -> None:
    content = evidence.package.read_bytes()
    with evidence.package.open("rb") as stream:
        regions = [
            (each.start, each.start + each.packed_size, each.name) for each in ZipPackage.open(stream, source="").files
        ]
    changed_package = tmp_path / evidence.package.name
    flips = [*range(0, len(content), 61), *(at for start, end, _ in regions for at in (start, end - 1))]
    for number, at in enumerate(flips):
        changed_package.write_bytes(flipped(content, at, number % 8))
        found = failed(evidence.check(package=changed_package))
        assert evidence.package.name in found, at
        inside = [name for start, end, name in regions if start <= at < end]
        assert set(inside) <= found.keys(), (at, found)
    assert len(flips) > 200


def test_one_changed_byte_of_a_file_is_named_in_a_zip_made_anew(evidence: Evidence, tmp_path: Path) -> None:
    """Who changes a file mends the checksum of the zip."""
    contents = files_of(evidence.package)
    changed_package = tmp_path / "again.zip"
    for name, content in contents.items():
        for number, at in enumerate(range(0, len(content), max(1, len(content) // 60))):
            write_zip(changed_package, contents | {name: flipped(content, at, number % 8)})
            assert "is not the file of the statement" in told(evidence, name, package=changed_package), at


def test_one_changed_byte_of_the_statement_is_named(evidence: Evidence, tmp_path: Path) -> None:
    content = evidence.statement.read_bytes()
    changed = tmp_path / "changed.json"
    for number, at in enumerate(range(0, len(content), 43)):
        changed.write_bytes(flipped(content, at, number % 7))
        assert failed(evidence.check(statement=changed)).keys() == {"changed.json"}, at


def test_one_changed_byte_of_what_was_submitted_is_named(evidence: Evidence, tmp_path: Path) -> None:
    content = evidence.submitted.read_bytes()
    changed = tmp_path / "changed.cab"
    for number, at in enumerate(range(0, len(content), 67)):
        changed.write_bytes(flipped(content, at, number % 8))
        assert "is not what was submitted" in told(evidence, "changed.cab", submitted=changed), at


@pytest.mark.parametrize("part", ["package", "statement", "submitted"])
def test_what_is_cut_short_is_named(evidence: Evidence, tmp_path: Path, part: str) -> None:
    whole = getattr(evidence, part)
    content, cut = whole.read_bytes(), tmp_path / whole.name
    for length in (0, 1, 2, 30, *range(100, len(content), len(content) // 20), len(content) - 1):
        cut.write_bytes(content[:length])
        assert whole.name in failed(evidence.check(**{part: cut})), length
    cut.write_bytes(content + b"\0")
    assert whole.name in failed(evidence.check(**{part: cut}))


# --- Moved and forged


def test_files_that_changed_places_are_named(evidence: Evidence, tmp_path: Path) -> None:
    contents = files_of(evidence.package)
    inf, more = "hwdash_sample/hwdash_sample.inf", "hwdash_sample/more.bin"
    swapped = tmp_path / "swapped.zip"
    write_zip(swapped, contents | {inf: contents[more], more: contents[inf]})
    # The catalog lists both digests: only the statement knows whose they are.
    found = failed(evidence.check(package=swapped))
    assert {"swapped.zip", inf, more} == found.keys()


def test_a_file_that_was_left_out_or_put_in_is_named(evidence: Evidence, tmp_path: Path) -> None:
    contents = files_of(evidence.package)
    less, more = tmp_path / "less.zip", tmp_path / "more.zip"
    write_zip(less, {name: each for name, each in contents.items() if not name.endswith("more.bin")})
    write_zip(more, contents | {"hwdash_sample/evil.bin": b"evil"})
    found = failed(evidence.check(package=less))
    assert found["hwdash_sample/more.bin"] == "was submitted and is not in the signed package"
    assert failed(evidence.check(package=more)).keys() == {"more.zip", "hwdash_sample/evil.bin"}


def test_a_statement_of_another_package_is_refused(evidence: Evidence, other: Evidence) -> None:
    assert failed(other.check()) == {}
    found = failed(evidence.check(statement=other.statement))
    assert "is of submission" in found[evidence.package.name] or "are of submission" in found[evidence.package.name]
    assert "hwdash_sample/more.bin" in found
    assert evidence.submitted.name in found


def test_another_cabinet_is_not_what_was_submitted(evidence: Evidence, other: Evidence) -> None:
    found = failed(evidence.check(submitted=other.submitted))
    assert found.keys() == {other.submitted.name, "hwdash_sample/more.bin"}


def test_nothing_holds_under_another_root(evidence: Evidence, tmp_path: Path) -> None:
    rogue = authority_in(tmp_path / "rogue")
    found = failed(evidence.check(root=rogue.public_file("root")))
    for name in (
        evidence.statement.name,
        *(name for name in files_of(evidence.package) if name.endswith((".cat", ".sys"))),
    ):
        assert "is not trusted" in found[name]


def resigned(evidence: Evidence, keys: KeyFolder, name: str, payload: bytes | None = None) -> bytes:
    """The statement, or another one, signed by another key."""
    old, credential = Envelope.parse(evidence.statement.read_bytes(), source=""), keys.read(name)
    said = old.payload if payload is None else payload
    signature = sign_bytes(credential.key, pae(old.payload_type, said))
    now = datetime.now(UTC).replace(microsecond=0)
    stamp = LocalSigner(keys, lambda: now).timestamp(signature, now)
    return Envelope(old.payload_type, said, signature, credential.chain, stamp).encode()


def test_a_statement_by_a_rogue_authority_of_the_same_names_is_refused(evidence: Evidence, tmp_path: Path) -> None:
    forged = tmp_path / "forged.json"
    forged.write_bytes(resigned(evidence, authority_in(tmp_path / "rogue"), PROVENANCE))
    assert failed(evidence.check(statement=forged)).keys() == {"forged.json"}


@pytest.fixture
def own_keys(service: Served, tmp_path: Path) -> KeyFolder:
    """The service's own keys, as one who stole one of them would have it; the log goes elsewhere."""
    stolen = tmp_path / "stolen"
    subprocess.run(["cp", "-r", service.made.data / "keys", stolen], check=True)
    return KeyFolder.open(stolen, {})


@pytest.mark.parametrize("name", ["attestation", "whql", "test", "timestamp"])
def test_a_statement_by_a_key_that_signs_something_else_is_refused(
    evidence: Evidence, own_keys: KeyFolder, tmp_path: Path, name: str
) -> None:
    forged = tmp_path / "forged.json"
    forged.write_bytes(resigned(evidence, own_keys, name))
    assert "leave out" in failed(evidence.check(statement=forged))["forged.json"]


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said["predicate"]["runDetails"]["builder"].update(id="tag:hwdash,2026:service/" + "00" * 32),
        lambda said: said["predicate"]["runDetails"]["metadata"].update(invocationId="1_2_3"),
        lambda said: said["predicate"]["buildDefinition"]["internalParameters"]["signing"].update(
            certificateSha256="00" * 32
        ),
        lambda said: said.update(predicateType="https://slsa.dev/provenance/v0.2"),
        lambda said: said["predicate"].pop("runDetails"),
        lambda said: said["subject"].clear(),
        lambda said: said.update(subject=7),
        lambda said: said["subject"][1].update(name=7),
        lambda said: said["subject"][1].update(digest={"sha256": ["00"]}),
    ],
)
def test_even_the_right_key_is_not_believed_against_the_package(
    evidence: Evidence, own_keys: KeyFolder, tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    said = json.loads(Envelope.parse(evidence.statement.read_bytes(), source="").payload)
    change(said)
    forged = tmp_path / "forged.json"
    forged.write_bytes(resigned(evidence, own_keys, PROVENANCE, json.dumps(said).encode()))
    assert failed(evidence.check(statement=forged))


def test_evidence_outlives_its_certificates_by_its_timestamps_and_only_by_them(
    evidence: Evidence, tmp_path: Path
) -> None:
    later = datetime.now(UTC) + LATER
    assert failed(evidence.check(later)) == {}
    bare = tmp_path / "bare.json"
    bare.write_bytes(replace(Envelope.parse(evidence.statement.read_bytes(), source=""), timestamp=b"").encode())
    assert failed(evidence.check(statement=bare)) == {}
    assert "hwdash provenance ended on" in failed(evidence.check(later, statement=bare))["bare.json"]


# --- The service and its signer


def test_clients_of_the_api_see_no_type_that_is_not_documented(evidence: Evidence, client: ApiClient) -> None:
    found = client.http.get(evidence.path.removesuffix("/provenance")).json()
    assert {each["type"] for each in found["downloads"]["items"]} <= DOCUMENTED


def test_the_statement_is_for_the_account_and_for_nobody_without_a_token(evidence: Evidence, client: ApiClient) -> None:
    assert client.http.get(evidence.path).headers["Content-Type"] == "application/vnd.dsse.envelope.v1+json"
    assert client.http.get(evidence.path, headers={"Authorization": ""}).status_code == 401


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyFolder:
    return authority_in(tmp_path_factory.mktemp("signer") / "keys")


@pytest.fixture(scope="module")
def signer(keys: KeyFolder) -> Iterator[SignerProcess]:
    with SignerProcess.start(keys.path, environment={}) as process:
        yield process


def test_the_signer_gives_the_provenance_key_to_no_other_request(signer: SignerProcess, keys: KeyFolder) -> None:
    """A worker in the wrong hands asks for a signature over bytes of its choice."""
    for content_type in (*CONTENT_TYPES, "application/vnd.in-toto+json"):
        asked = SigningRequest(
            identity=PROVENANCE,
            contents=(Content(content_type, hashlib.sha256(b"a statement of the worker's own").digest()),),
            program_name="x",
            url="",
            when=datetime.now(UTC),
            record=RECORD,
        )
        with pytest.raises(SigningRefused, match="there is no signing identity 'provenance'"):
            signer.sign(examined(keys, asked))


@pytest.fixture(scope="module")
def facts(signer: SignerProcess, keys: KeyFolder) -> StatementRequest:
    now = datetime.now(UTC)
    asked = StatementRequest(
        record=RECORD,
        parameters=Parameters("Product", "Submission", "attestation", (), False, False),
        submitted_name="Initial_1.cab",
        submitted_sha256="33" * 32,
        results=RESULTS,
        preparation_findings=[],
        identity="attestation",
        certificate=signer.chain("attestation")[0],
        begun=now,
        signed=now,
        package_sha256="44" * 32,
        files=[("a/a.cat", "55" * 32)],
    )
    return examined_statement(keys, asked)


def test_the_signer_states_nothing_that_is_not_on_the_record_of_the_signatures(
    signer: SignerProcess, facts: StatementRequest
) -> None:
    """The worker says that another scanner looked, that somebody else approved, or that nobody had to."""
    assert json.loads(signer.state(facts).payload)["subject"][1]["name"] == "a/a.cat"
    for step, said in (
        ("scanning", {"engine": "a better one", "version": "9", "scannedFiles": 1}),
        ("manualReview", {"decision": "approved", "by": "the chief of security"}),
        ("validation", {"findings": [], "isDeclarative": True}),
    ):
        with pytest.raises(SigningRefused, match=f"the result of step {step} is not the one on record"):
            signer.state(replace(facts, results=RESULTS | {step: said}))
    unreviewed = {step: digest for step, digest in RECORD.finished_steps.items() if step != "manualReview"}
    with pytest.raises(SigningRefused, match="step manualReview is not on record as finished"):
        signer.state(replace(facts, record=replace(facts.record, finished_steps=unreviewed)))


def test_the_signer_names_no_certificate_that_is_not_its_own_for_that_use(
    signer: SignerProcess, facts: StatementRequest, tmp_path: Path
) -> None:
    rogue = authority_in(tmp_path / "rogue").certificates("attestation")[0].public_bytes(Encoding.DER)
    for certificate in (rogue, signer.chain("test")[0], signer.chain("preproduction")[0], b""):
        with pytest.raises(SigningRefused, match="the certificate is not one"):
            signer.state(replace(facts, certificate=certificate))


@pytest.mark.parametrize(
    "change",
    [
        {"payload": "e30="},
        {"payload_type": "text/plain"},
        {"predicateType": "https://example.com/anything"},
        {"files": [["a", "55" * 32, {"annotations": "more"}]]},
        {"files": {"a": "55" * 32}},
        {"files": [["a", {"sha256": "55" * 32}]]},
        {"results": []},
        {"results": {**RESULTS, "scanning": ["a list"]}},
        {"results": {**RESULTS, "signing": {"x": "y"}}},
        {"parameters": {"productName": "P", "more": "anything"}},
        {"parameters": None},
        {"record": {"submissionId": "1"}},
        {"record": None},
        {"certificate": "not base64"},
        {"begun": "yesterday"},
        {"preparation_findings": [["package.x", "warning", "more"]]},
        {"preparation_findings": 7},
    ],
)
def test_the_signer_takes_facts_only_and_survives_what_is_none(
    signer: SignerProcess, facts: StatementRequest, change: dict[str, Any]
) -> None:
    """Raw requests, as a worker in the wrong hands can send them."""
    pid = signer.pid
    document = statement_document(facts) | change
    with pytest.raises(SigningRefused):
        signer._asked({"statement": document})
    assert signer.pid == pid


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("packageInfoValidation", {"signer": {}}),
        ("packageInfoValidation", {"findings": 3}),
        ("scanning", {"engine": {"x": 1}}),
        ("scanning", {"version": "9" * 3000}),
        ("manualReview", {"by": []}),
        ("validation", {"findings": [{"rule": 1}]}),
        ("validation", {"findings": [{"rule": "anything at all", "level": "warning"}]}),
    ],
)
def test_results_of_another_form_do_not_get_into_a_statement(
    signer: SignerProcess, keys: KeyFolder, facts: StatementRequest, step: str, said: dict[str, Any]
) -> None:
    """Not even with an examination of them."""
    with pytest.raises(SigningRefused, match=f"step {step} (is|are) of another form"):
        signer.state(with_result(keys, facts, step, said))


def test_of_a_result_nothing_is_repeated_but_what_a_statement_has(
    signer: SignerProcess, keys: KeyFolder, facts: StatementRequest
) -> None:
    said = RESULTS["scanning"] | {"anything": "else", "notes": ["and more"]}
    payload = signer.state(with_result(keys, facts, "scanning", said)).payload
    assert b"anything" not in payload
    assert b"and more" not in payload


def with_result(keys: KeyFolder, facts: StatementRequest, step: str, said: dict[str, Any]) -> StatementRequest:
    record = replace(RECORD, finished_steps={**RECORD.finished_steps, step: result_digest(said)})
    return examined_statement(keys, replace(facts, record=record, results=RESULTS | {step: said}))


def authority_in(folder: Path) -> KeyFolder:
    keys = KeyFolder.open(folder, {})
    ensure_authority(keys, datetime.now(UTC), key_size=2048)
    return keys


def flipped(content: bytes, at: int, bit: int) -> bytes:
    changed = bytearray(content)
    changed[at] ^= 1 << bit
    return bytes(changed)


def files_of(package: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(package) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_zip(target: Path, contents: dict[str, bytes]) -> None:
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
