import json
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from asn1crypto import cms, core
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding

from examined import examined
from hwdash.drivers.chain import check_chain
from hwdash.drivers.timestamp import TIME_STAMPING, read_timestamp
from hwdash.signing.authority import IDENTITIES, PREPRODUCTION, PREPRODUCTION_ROOT, TIMESTAMP_AUTHORITY
from hwdash.signing.errors import SignerUnavailable, SigningRefused
from hwdash.signing.keys import Credential, KeyFolder
from hwdash.signing.records import EXAMINED_STEPS
from hwdash.signing.signer import (
    CERTIFICATE_TRUST_LIST,
    PREPRODUCTION_STEPS,
    REQUIRED_STEPS,
    SPC_INDIRECT_DATA,
    TIMESTAMP_POLICY,
    Content,
    LocalSigner,
    SigningRequest,
    parse_request,
    request_document,
)


@pytest.fixture
def signer(keys: KeyFolder, now: datetime) -> LocalSigner:
    return LocalSigner(keys, lambda: now)


def log_lines(keys: KeyFolder) -> list[dict[str, object]]:
    return [json.loads(line) for line in (keys.path / "signatures.log").read_text().splitlines()]


@pytest.mark.parametrize("identity", [name for name in IDENTITIES if name != PREPRODUCTION])
def test_the_signature_is_by_the_identitys_own_key_over_the_attributes(
    signer: LocalSigner, keys: KeyFolder, request_to_sign: SigningRequest, identity: str
) -> None:
    (signed,) = signer.sign(examined(keys, replace(request_to_sign, identity=identity)))
    leaf, issuing = map(x509.load_der_x509_certificate, signed.chain)
    assert leaf == keys.certificates(identity)[0]
    leaf.public_key().verify(signed.signature, signed.attributes, padding.PKCS1v15(), hashes.SHA256())
    leaf.verify_directly_issued_by(issuing)
    issuing.verify_directly_issued_by(x509.load_pem_x509_certificate(signer.root_certificate_pem))


def of_a_preproduction_package(request: SigningRequest, steps: Sequence[str] = PREPRODUCTION_STEPS) -> SigningRequest:
    record = replace(request.record, product_id=0, finished_steps=dict.fromkeys(steps, "cd" * 32))
    return replace(request, identity=PREPRODUCTION, record=record)


def test_a_preproduction_signature_leads_to_its_own_root_and_has_no_timestamp(
    signer: LocalSigner, keys: KeyFolder, request_to_sign: SigningRequest
) -> None:
    (signed,) = signer.sign(examined(keys, of_a_preproduction_package(request_to_sign)))
    (leaf,) = map(x509.load_der_x509_certificate, signed.chain)
    leaf.public_key().verify(signed.signature, signed.attributes, padding.PKCS1v15(), hashes.SHA256())
    leaf.verify_directly_issued_by(keys.certificates(PREPRODUCTION_ROOT)[0])
    assert signed.timestamp == b""
    (logged,) = log_lines(keys)
    assert (logged["identity"], logged["productId"], logged["timestampSha256"]) == (PREPRODUCTION, 0, None)


def test_no_product_gets_a_preproduction_signature(signer: LocalSigner, request_to_sign: SigningRequest) -> None:
    with pytest.raises(SigningRefused, match="no product gets a preproduction signature"):
        signer.sign(replace(request_to_sign, identity=PREPRODUCTION))


@pytest.mark.parametrize("identity", [name for name in IDENTITIES if name != PREPRODUCTION])
def test_a_preproduction_package_gets_no_other_signature(
    signer: LocalSigner, request_to_sign: SigningRequest, identity: str
) -> None:
    asked = replace(of_a_preproduction_package(request_to_sign, REQUIRED_STEPS), identity=identity)
    with pytest.raises(SigningRefused, match="product_id must be more than 0"):
        signer.sign(asked)


@pytest.mark.parametrize("step", PREPRODUCTION_STEPS)
def test_a_preproduction_record_without_a_step_is_refused(
    signer: LocalSigner, request_to_sign: SigningRequest, step: str
) -> None:
    steps = [name for name in PREPRODUCTION_STEPS if name != step]
    with pytest.raises(SigningRefused, match=f"step {step} is not on record"):
        signer.sign(of_a_preproduction_package(request_to_sign, steps))


def test_the_attributes_hold_the_digest_and_the_content_type(
    signer: LocalSigner, keys: KeyFolder, request_to_sign: SigningRequest
) -> None:
    content = Content(CERTIFICATE_TRUST_LIST, bytes(range(32)))
    (signed,) = signer.sign(examined(keys, replace(request_to_sign, contents=(content,))))
    attributes = {each["type"].dotted: each["values"] for each in cms.CMSAttributes.load(signed.attributes)}
    assert attributes["1.2.840.113549.1.9.4"][0].native == content.digest
    assert core.ObjectIdentifier.load(attributes["1.2.840.113549.1.9.3"][0].dump()).dotted == CERTIFICATE_TRUST_LIST
    assert "Contoso Ltd".encode("utf-16-be") in signed.attributes
    assert b"https://contoso.example" in signed.attributes


@pytest.mark.parametrize("curve", [None, ec.SECP256R1(), ec.SECP384R1()], ids=["rsa", "p256", "p384"])
def test_the_same_request_gives_the_same_bytes(
    keys: KeyFolder, request_to_sign: SigningRequest, now: datetime, curve
) -> None:
    if curve is not None:
        key = ec.generate_private_key(curve)
        name = x509.Name([])
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
            .sign(key, hashes.SHA256())
        )  # fmt: skip
        keys.write("attestation", Credential(key, (certificate,)))
    (one,), (other,) = (LocalSigner(keys, lambda: now).sign(request_to_sign) for _ in range(2))
    assert one == other
    if curve is not None:
        certificate.public_key().verify(one.signature, one.attributes, ec.ECDSA(hashes.SHA256()))
    another = examined(keys, replace(request_to_sign, contents=(Content(SPC_INDIRECT_DATA, bytes(32)),)))
    assert LocalSigner(keys, lambda: now).sign(another) != [one]


def test_the_timestamp_is_over_the_signature_at_the_requests_time_by_the_timestamp_authority(
    signer: LocalSigner, keys: KeyFolder, request_to_sign: SigningRequest, now: datetime, tmp_path: Path
) -> None:
    asked = examined(keys, replace(request_to_sign, when=now - timedelta(minutes=10)))
    (signed,) = signer.sign(asked)
    found = read_timestamp(signed.timestamp, signed.signature, source="t", strict=True)
    assert (found.when, found.policy) == (asked.when, TIMESTAMP_POLICY)
    assert found.signer == keys.certificates(TIMESTAMP_AUTHORITY)[0]
    (tmp_path / "token").write_bytes(signed.timestamp)
    (tmp_path / "signature").write_bytes(signed.signature)
    (tmp_path / "root.pem").write_bytes(signer.root_certificate_pem)
    command = ["openssl", "ts", "-verify", "-data", tmp_path / "signature", "-in", tmp_path / "token", "-token_in"]
    done = subprocess.run([*command, "-CAfile", tmp_path / "root.pem"], capture_output=True, text=True, check=False)
    assert "Verification: OK" in done.stdout, done.stderr
    assert log_lines(keys)[0]["timestampSha256"] == sha256(signed.timestamp).hexdigest()


def test_another_time_gives_another_timestamp_over_the_same_signature(
    keys: KeyFolder, request_to_sign: SigningRequest, now: datetime
) -> None:
    later = replace(request_to_sign, when=now + timedelta(seconds=9))
    (one,), (same,), (other,) = (
        LocalSigner(keys, lambda at=at: at).sign(request)
        for at, request in ((now, request_to_sign), (now + timedelta(days=1), request_to_sign), (now, later))
    )
    assert one == same
    assert one.signature == other.signature
    first, second = (read_timestamp(each.timestamp, each.signature, source="t") for each in (one, other))
    assert first.serial != second.serial


def test_a_request_older_than_the_certificates_is_stamped_with_their_beginning(
    signer: LocalSigner, keys: KeyFolder, request_to_sign: SigningRequest, now: datetime
) -> None:
    """A certificate renewed while the package waited for a person: a time before its life would make it worthless."""
    (signed,) = signer.sign(examined(keys, replace(request_to_sign, when=now - timedelta(days=40))))
    found = read_timestamp(signed.timestamp, signed.signature, source="t")
    assert found.when == keys.certificates("attestation")[0].not_valid_before_utc
    root = x509.load_pem_x509_certificate(signer.root_certificate_pem)
    leaf, *above = map(x509.load_der_x509_certificate, signed.chain)
    assert check_chain(leaf, roots=[root], others=above, when=found.when, source="t").trusted
    stamped = check_chain(
        found.signer, roots=[root], others=found.certificates, when=found.when, usage=TIME_STAMPING, source="t"
    )
    assert stamped.trusted


def test_a_request_of_the_future_waits(signer: LocalSigner, request_to_sign: SigningRequest, now: datetime) -> None:
    signer.sign(replace(request_to_sign, when=now + timedelta(minutes=4)))
    with pytest.raises(SignerUnavailable, match="yet to come"):
        signer.sign(replace(request_to_sign, when=now + timedelta(minutes=6)))


def test_the_timestamp_authority_signs_no_files(signer: LocalSigner, request_to_sign: SigningRequest) -> None:
    with pytest.raises(SigningRefused, match="no signing identity 'timestamp'"):
        signer.sign(replace(request_to_sign, identity=TIMESTAMP_AUTHORITY))
    with pytest.raises(SigningRefused, match="no signing identity 'timestamp'"):
        signer.chain(TIMESTAMP_AUTHORITY)


@pytest.mark.parametrize("step", REQUIRED_STEPS)
def test_a_record_without_a_step_is_refused_and_not_logged(
    signer: LocalSigner, keys: KeyFolder, request_to_sign: SigningRequest, step: str
) -> None:
    steps = {name: digest for name, digest in request_to_sign.record.finished_steps.items() if name != step}
    lacking = replace(request_to_sign, record=replace(request_to_sign.record, finished_steps=steps))
    with pytest.raises(SigningRefused, match=f"step {step} is not on record"):
        signer.sign(lacking)
    assert log_lines(keys) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"identity": "production"}, "no signing identity 'production'"),
        ({"contents": (Content("1.2.840.113549.1.7.1", bytes(32)),)}, "content of type"),
        ({"contents": (Content(SPC_INDIRECT_DATA, b""),)}, "0 bytes"),
        ({"contents": (Content(SPC_INDIRECT_DATA, bytes(20)),)}, "20 bytes"),
        ({"contents": (Content(SPC_INDIRECT_DATA, bytes(33)),)}, "33 bytes"),
        ({"contents": ()}, "1 to 200 signatures, not for 0"),
        ({"contents": (Content(SPC_INDIRECT_DATA, bytes(32)),) * 201}, "1 to 200 signatures, not for 201"),
        ({"program_name": ""}, "program name"),
        ({"program_name": "a\0b"}, "program name"),
        ({"program_name": "\ud800"}, "program name"),
        ({"program_name": "x" * 257}, "program name"),
        ({"url": "ftp://x"}, "URL"),
        ({"url": "https://ü"}, "URL"),
        ({"when": datetime(2026, 1, 1)}, "no time zone"),  # noqa: DTZ001
    ],
)
def test_what_may_not_be_signed_is_refused(
    signer: LocalSigner, request_to_sign: SigningRequest, change, reason
) -> None:
    with pytest.raises(SigningRefused, match=reason):
        signer.sign(replace(request_to_sign, **change))


@pytest.mark.parametrize(
    "change",
    [
        {"submission_id": 0},
        {"product_id": -1},
        {"account_id": 0},
        {"package_sha256": "AB" * 32},
        {"package_sha256": "ab" * 31},
        {"finished_steps": dict.fromkeys(REQUIRED_STEPS, "")},
    ],
)
def test_a_record_that_names_nothing_is_refused(signer: LocalSigner, request_to_sign: SigningRequest, change) -> None:
    with pytest.raises(SigningRefused):
        signer.sign(replace(request_to_sign, record=replace(request_to_sign.record, **change)))


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"identity": "whql"}, "was examined for whql, not for attestation"),
        ({"object_id": 7}, "the examination is of submission 7"),
        ({"product_id": 7}, "the examination is of product 7"),
        ({"account_id": 7}, "the examination is of account 7"),
        ({"package_sha256": "ee" * 32}, "the examination is of another package"),
        ({"program_name": "Fabrikam"}, "was examined for 'Fabrikam', not for 'Contoso Ltd'"),
        ({"steps": {"packageInfoValidation": "cd" * 32}}, "the examiner has not passed step scanning"),
        ({"steps": dict.fromkeys(EXAMINED_STEPS, "ee" * 32)}, "the result of step scanning is not the one"),
        ({"signable": {}}, "no content of type .* is of the package that passed"),
        ({"signable": {CERTIFICATE_TRUST_LIST: [bytes(range(32)).hex()]}}, "no content of type .* is of the package"),
    ],
)
def test_what_the_examiner_has_not_passed_is_refused(
    signer: LocalSigner, keys: KeyFolder, request_to_sign: SigningRequest, members, reason
) -> None:
    with pytest.raises(SigningRefused, match=reason):
        signer.sign(examined(keys, request_to_sign, **members))


def test_a_timestamp_is_not_older_than_the_examination(
    signer: LocalSigner, keys: KeyFolder, request_to_sign: SigningRequest, now: datetime
) -> None:
    signer.sign(examined(keys, request_to_sign, when=now + timedelta(minutes=4)))
    with pytest.raises(SigningRefused, match="before the examination's"):
        signer.sign(examined(keys, request_to_sign, when=now + timedelta(minutes=6)))


@pytest.mark.parametrize("sealed", ["", "e30=.{}", "no base64.{}", ".", "\ud800.{}", "AAAA"])
def test_an_examination_without_the_seal_is_none(signer: LocalSigner, request_to_sign: SigningRequest, sealed) -> None:
    with pytest.raises(SigningRefused, match="there is no examination with the seal"):
        signer.sign(replace(request_to_sign, record=replace(request_to_sign.record, examination=sealed)))


def test_every_reason_is_given_at_once(signer: LocalSigner, request_to_sign: SigningRequest) -> None:
    record = replace(request_to_sign.record, finished_steps={}, package_sha256="")
    with pytest.raises(SigningRefused) as caught:
        signer.sign(replace(request_to_sign, identity="", contents=(), record=record))
    assert len(caught.value.reasons) == 5 + len(REQUIRED_STEPS)


def test_a_url_is_optional(signer: LocalSigner, request_to_sign: SigningRequest) -> None:
    assert b"https://" not in signer.sign(replace(request_to_sign, url=""))[0].attributes


def test_each_signature_is_logged_with_its_reason(
    signer: LocalSigner, keys: KeyFolder, request_to_sign: SigningRequest, now: datetime
) -> None:
    (signed,) = signer.sign(request_to_sign)
    signer.sign(examined(keys, replace(request_to_sign, identity="whql")))
    first, second = log_lines(keys)
    assert first["time"] == now.isoformat()
    assert first["signatureSha256"] == sha256(signed.signature).hexdigest()
    assert first["contentDigest"] == request_to_sign.contents[0].digest.hex()
    assert first["submissionId"] == request_to_sign.record.submission_id
    assert first["examinationSha256"] == sha256(request_to_sign.record.examination.encode()).hexdigest()
    assert first["finishedSteps"] == request_to_sign.record.finished_steps
    assert (first["identity"], second["identity"]) == ("attestation", "whql")
    assert (keys.path / "signatures.log").stat().st_mode & 0o777 == 0o600


def test_a_line_that_a_crash_has_cut_does_not_swallow_the_next(
    signer: LocalSigner, keys: KeyFolder, request_to_sign: SigningRequest, now: datetime
) -> None:
    signer.sign(request_to_sign)
    log = keys.path / "signatures.log"
    log.write_bytes(log.read_bytes() + b'{"time": "20')
    LocalSigner(keys, lambda: now).sign(request_to_sign)
    lines = log.read_bytes().splitlines()
    assert json.loads(lines[0])["signatureSha256"] == json.loads(lines[2])["signatureSha256"]


def test_without_a_log_nothing_is_signed(
    signer: LocalSigner, request_to_sign: SigningRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_full(_descriptor: int, _line: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.write", disk_full)
    with pytest.raises(SignerUnavailable, match="No space left"):
        signer.sign(request_to_sign)


def test_an_ended_certificate_signs_nothing(keys: KeyFolder, request_to_sign: SigningRequest) -> None:
    with pytest.raises(SignerUnavailable, match="restart the service"):
        LocalSigner(keys, lambda: datetime(2099, 1, 1, tzinfo=UTC)).sign(request_to_sign)


def test_a_request_survives_its_json(request_to_sign: SigningRequest) -> None:
    assert parse_request(json.loads(json.dumps(request_document(request_to_sign)))) == request_to_sign


@pytest.mark.parametrize(
    "damage",
    [
        lambda document: None,
        lambda document: [],
        lambda document: document | {"extra": 1},
        lambda document: document | {"identity": 1},
        lambda document: document | {"submissionId": True},
        lambda document: document | {"submissionId": "1"},
        lambda document: document | {"finishedSteps": []},
        lambda document: document | {"finishedSteps": {"scanning": None}},
        lambda document: document | {"examination": None},
        lambda document: document | {"contents": "all"},
        lambda document: document | {"contents": [["x", "zz"]]},
        lambda document: document | {"contents": [["x"]]},
        lambda document: document | {"contents": [[1, "00"]]},
        lambda document: document | {"contents": [{"type": "x", "digest": "00"}]},
        lambda document: document | {"when": "yesterday"},
        lambda document: {},
    ],
)
def test_a_document_that_is_no_request_is_refused(request_to_sign: SigningRequest, damage) -> None:
    with pytest.raises(SigningRefused):
        parse_request(damage(request_document(request_to_sign)))
