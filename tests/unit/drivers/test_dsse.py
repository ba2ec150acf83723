"""DSSE envelopes: the encoding of the protocol's own example, what is written is what is read, and nothing else is."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from hwdash.drivers.dsse import Envelope, Verified, key_id, pae, verify_envelope
from hwdash.drivers.errors import ParseError, VerificationError
from hwdash.signing.authority import PROVENANCE, PROVENANCE_STATEMENTS, ensure_authority
from hwdash.signing.keys import KeyFolder
from hwdash.signing.signer import LocalSigner, sign_bytes

NOW = datetime.now(UTC).replace(microsecond=0)
HELLO = "http://example.com/HelloWorld"
KIND = "application/vnd.example+json"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyFolder:
    folder = KeyFolder.open(tmp_path_factory.mktemp("dsse") / "keys", {})
    ensure_authority(folder, NOW - timedelta(days=1), sandbox=True)
    return folder


@pytest.fixture(scope="module")
def envelope(keys: KeyFolder) -> Envelope:
    credential = keys.read(PROVENANCE)
    signature = sign_bytes(credential.key, pae(KIND, b'{"a": 1}'))
    timestamp = LocalSigner(keys, lambda: NOW).timestamp(signature, NOW)
    return Envelope(KIND, b'{"a": 1}', signature, credential.chain, timestamp)


def check(envelope: Envelope, keys: KeyFolder, now: datetime = NOW, root: str = "root") -> Verified:
    usage = PROVENANCE_STATEMENTS.dotted_string
    roots = keys.certificates(root)
    return verify_envelope(envelope, payload_type=KIND, usage=usage, roots=roots, now=now, source="it")


def test_the_encoding_is_that_of_the_protocols_example() -> None:
    """protocol.md: PAE("http://example.com/HelloWorld", "hello world")."""
    assert pae(HELLO, b"hello world") == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_the_length_is_that_of_the_bytes() -> None:
    assert pae("é", "ü".encode()) == "DSSEv1 2 é 2 ü".encode()


def test_the_signature_of_the_protocols_example_verifies() -> None:
    """protocol.md: the key by its numbers, the signature as r and s."""
    x = 46950820868899156662930047687818585632848591499744589407958293238635476079160
    y = 5640078356564379163099075877009565129882514886557779369047442380624545832820
    raw = base64.b64decode("A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA==")
    signature = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    key.verify(signature, pae(HELLO, b"hello world"), ec.ECDSA(hashes.SHA256()))


def test_what_is_written_is_read_again(envelope: Envelope) -> None:
    assert Envelope.parse(envelope.encode(), source="it") == envelope


def test_it_is_what_other_readers_expect(envelope: Envelope) -> None:
    document = json.loads(envelope.encode())
    (signature,) = document["signatures"]
    assert (document["payloadType"], base64.b64decode(document["payload"])) == (KIND, envelope.payload)
    assert signature["keyid"] == key_id(envelope.certificates[0])
    assert b"BEGIN CERTIFICATE" in base64.b64decode(signature["certificate"])


def test_a_good_one_is_trusted_through_the_issuing_ca(envelope: Envelope, keys: KeyFolder) -> None:
    found = check(envelope, keys)
    assert found.trust.chain == (*envelope.certificates, keys.certificates("root")[0])
    assert found.timestamp is not None
    assert found.timestamp.when == NOW


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"payload": b"{}"}, "the signature does not hold"),
        ({"payload_type": "application/other"}, "of the type 'application/other'"),
        ({"signature": b"0"}, "the signature does not hold"),
    ],
)
def test_what_was_changed_is_refused(envelope: Envelope, keys: KeyFolder, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(VerificationError, match=why):
        check(replace(envelope, **changes), keys)


def test_another_root_and_another_use_are_refused(envelope: Envelope, keys: KeyFolder) -> None:
    with pytest.raises(VerificationError, match="is not trusted: No certificate at hand issued"):
        check(envelope, keys, root="preproduction-root")
    signer = keys.read("attestation")
    signature = sign_bytes(signer.key, pae(KIND, b"x"))
    by_code_signer = Envelope(KIND, b"x", signature, signer.chain, b"")
    with pytest.raises(VerificationError, match="leave out"):
        check(by_code_signer, keys)


def test_a_timestamp_lets_it_outlive_its_certificates_and_without_one_it_ends_with_them(
    envelope: Envelope, keys: KeyFolder
) -> None:
    later = NOW + timedelta(days=400)
    assert check(envelope, keys, later).trust.trusted
    with pytest.raises(VerificationError, match="ended on"):
        check(replace(envelope, timestamp=b""), keys, later)
    with pytest.raises(VerificationError, match="of the future"):
        check(envelope, keys, NOW - timedelta(hours=1))


def test_a_timestamp_of_another_signature_is_refused(envelope: Envelope, keys: KeyFolder) -> None:
    other = LocalSigner(keys, lambda: NOW).timestamp(b"another", NOW)
    with pytest.raises(VerificationError, match="over another signature"):
        check(replace(envelope, timestamp=other), keys)


def test_certificates_that_prove_nothing_are_refused(envelope: Envelope, keys: KeyFolder) -> None:
    more = (*envelope.certificates, keys.certificates("test")[0])
    with pytest.raises(VerificationError, match="not part of its chain"):
        check(replace(envelope, certificates=more), keys)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"signatures": []}',
        b'{"signatures": [1]}',
        b'{"signatures": [{}]}',
        b"\xff",
        b"[" * 10**5,
    ],
)
def test_what_is_no_envelope_is_refused(content: bytes) -> None:
    with pytest.raises(ParseError, match="is not a DSSE envelope with one signature"):
        Envelope.parse(content, source="it")


def test_no_byte_can_be_changed_without_being_noticed(envelope: Envelope, keys: KeyFolder) -> None:
    """The members that DSSE leaves unsigned, the timestamp, and every brace too. One bit of each byte."""
    content = envelope.encode()
    unnoticed = []
    for at in range(len(content)):
        changed = bytearray(content)
        changed[at] ^= 1 << at % 7
        try:
            check(Envelope.parse(bytes(changed), source="it"), keys)
        except (ParseError, VerificationError):
            continue
        unnoticed.append(at)
    assert unnoticed == []
