"""Timestamps: ours against openssl and asn1crypto, openssl's against us, and every way in which one does not count."""

import hashlib
import io
import secrets
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import core, tsp

from authenticode_oracle import NOW, compiled_driver, osslsigncode
from hwdash.drivers.asn1 import der
from hwdash.drivers.asn1.algorithms import SHA1, SHA256, algorithm_identifier
from hwdash.drivers.asn1.signed_data import parse_signed_data, signed_data_of, with_unsigned_value
from hwdash.drivers.authenticode import (
    SPC_INDIRECT_DATA,
    attribute,
    content_digest,
    signed_attributes,
    signed_data,
    spc_pe_image_data,
)
from hwdash.drivers.errors import ParseError, VerificationError
from hwdash.drivers.pe import PeImage, authenticode_digests, measure, signed_image_chunks
from hwdash.drivers.timestamp import (
    COUNTERSIGNATURE,
    read_response,
    read_timestamp,
    timestamp_info,
    timestamp_of,
    timestamp_request,
    timestamp_token,
    token_attributes,
)
from pki import (
    CODE,
    TIME,
    Holder,
    authority,
    issue,
    reports,
    signed_image,
    signer,
    timestamper,
    token,
)

OVER = b"the value of a signature"
WHEN = datetime(2026, 11, 23, 14, 15, 16, tzinfo=UTC)
TST_INFO = "1.2.840.113549.1.9.16.1.4"
TSA_CONFIG = """
[tsa]
default_tsa = t
[t]
serial = {folder}/serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha1, sha256, sha384, sha512
accuracy = secs:1, millisecs:500, microsecs:100
ess_cert_id_alg = {ess}
tsa_name = yes
"""


def foreign_token(
    folder: Path, request: bytes, who: Holder | None = None, *, ess: str = "sha256", response: bool = False
) -> bytes:
    """What ``openssl ts -reply`` answers: the token, or the whole response."""
    _, chain, key = (who or timestamper()).files(folder)
    (folder / "tsa.cnf").write_text(TSA_CONFIG.format(folder=folder, ess=ess))
    (folder / "serial").write_text("1000\n")
    (folder / "request.tsq").write_bytes(request)
    command = ["openssl", "ts", "-reply", "-config", folder / "tsa.cnf", "-section", "t", "-signer", chain]
    command += ["-inkey", key, "-chain", chain, "-queryfile", folder / "request.tsq", "-out", folder / "answer"]
    command += [] if response else ["-token_out"]
    subprocess.run(command, check=True, capture_output=True)
    return (folder / "answer").read_bytes()


def openssl_verifies(folder: Path, made: bytes, over: bytes = OVER) -> bool:
    root, _, _ = timestamper().files(folder)
    (folder / "token").write_bytes(made)
    (folder / "data").write_bytes(over)
    command = ["openssl", "ts", "-verify", "-data", folder / "data", "-in", folder / "token", "-token_in"]
    done = subprocess.run([*command, "-CAfile", root], capture_output=True, text=True, check=False)
    return done.returncode == 0 and "Verification: OK" in done.stdout


class TestTokensWeMake:
    def test_openssl_verifies_them_over_what_they_are_for_alone(self, tmp_path: Path) -> None:
        made = token(OVER)
        assert openssl_verifies(tmp_path, made)
        assert not openssl_verifies(tmp_path, made, OVER + b".")

    def test_asn1crypto_reads_what_we_put_in(self) -> None:
        info = tsp.TSTInfo.load(timestamp_info(OVER, policy="2.25.99", serial=1 << 100, when=WHEN))
        assert info.native["gen_time"] == WHEN
        assert info.native["serial_number"] == 1 << 100
        assert info["policy"].dotted == "2.25.99"
        assert info.native["message_imprint"]["hashed_message"] == hashlib.sha256(OVER).digest()

    def test_we_read_what_we_put_in(self) -> None:
        found = read_timestamp(token(OVER, WHEN, serial=99), OVER, source="t", strict=True)
        assert (found.when, found.serial, found.policy, found.form) == (WHEN, 99, "1.2.3.4", "rfc3161")
        assert (found.accuracy, found.nonce, found.digest_algorithm) == (None, None, "sha256")
        assert found.signer == timestamper().certificate
        assert found.certificates[-1] in (timestamper().certificate, authority().certificate)

    def test_the_same_of_everything_gives_the_same_bytes(self) -> None:
        assert token(OVER, WHEN) == token(OVER, WHEN) != token(OVER, WHEN + timedelta(seconds=1))

    def test_osslsigncode_tells_their_time(self, tmp_path: Path) -> None:
        root, _, _ = signer().files(tmp_path)
        when = NOW.replace(microsecond=0) - timedelta(days=3)
        image = signed_image(timestamp=lambda value: token(value, when))
        (tmp_path / "x.sys").write_bytes(image)
        good, output = osslsigncode("verify", "-CAfile", root, "-TSA-CAfile", root, tmp_path / "x.sys")
        assert good, output
        assert f"Timestamp time: {when:%b %e %H:%M:%S %Y} GMT" in output
        assert "Timestamp Server Signature verification: ok" in output


class TestTokensOfOthers:
    @pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
    @pytest.mark.parametrize("ess", ["sha1", "sha256", "sha512"])
    def test_we_read_what_openssl_makes(self, tmp_path: Path, algorithm: str, ess: str) -> None:
        nonce = secrets.randbits(64)
        made = foreign_token(tmp_path, timestamp_request(OVER, nonce=nonce, algorithm=algorithm), ess=ess)
        found = read_timestamp(made, OVER, source="t", strict=True)
        assert abs(found.when - datetime.now(UTC)) < timedelta(minutes=5)
        assert (found.nonce, found.serial, found.policy) == (nonce, 0x1001, "1.2.3.4.1")
        assert found.accuracy == timedelta(seconds=1, milliseconds=500, microseconds=100)
        assert (found.digest_algorithm, found.signer) == (algorithm, timestamper().certificate)

    def test_an_imprint_by_sha1_counts_only_when_asked_for(self, tmp_path: Path) -> None:
        request = tsp.TimeStampReq(
            {
                "version": "v1",
                "message_imprint": {
                    "hash_algorithm": {"algorithm": "sha1"},
                    "hashed_message": hashlib.sha1(OVER).digest(),
                },
                "cert_req": True,
            }
        ).dump()
        made = foreign_token(tmp_path, request)
        with pytest.raises(VerificationError, match="SHA-1"):
            read_timestamp(made, OVER, source="t")
        assert read_timestamp(made, OVER, source="t", allow_sha1=True).digest_algorithm == "sha1"

    def test_the_timestamp_that_osslsigncode_puts_into_an_image_is_told(self, tmp_path: Path) -> None:
        _, chain, key = signer().files(tmp_path / "signer")
        _, tsa_chain, tsa_key = timestamper().files(tmp_path / "tsa")
        (tmp_path / "x.sys").write_bytes(compiled_driver())
        when = NOW.replace(microsecond=0) - timedelta(days=2)
        files = ["-in", tmp_path / "x.sys", "-out", tmp_path / "y.sys"]
        tsa = ["-TSA-certs", tsa_chain, "-TSA-key", tsa_key, "-TSA-time", int(when.timestamp())]
        good, output = osslsigncode("sign", "-certs", chain, "-key", key, *tsa, *files)
        assert good, output
        (report,) = reports((tmp_path / "y.sys").read_bytes())
        assert report.signature is not None
        assert report.signature.timestamp_problem is None
        assert report.signature.timestamp is not None
        assert report.signature.timestamp.when == when


def forged(
    *,
    who: Holder | None = None,
    info: bytes | None = None,
    attributes: bytes | None = None,
    content_type: str = TST_INFO,
    certificates: list[bytes] | None = None,
) -> bytes:
    """A token with parts replaced; its signature holds."""
    holder = who or timestamper()
    info = info if info is not None else timestamp_info(OVER, policy="1.2.3", serial=1, when=WHEN)
    if attributes is None:
        attributes = token_attributes(info, holder.sent[0], WHEN).replace(der.oid(TST_INFO), der.oid(content_type))
    return signed_data_of(
        content_type,
        der.octet_string(info),
        certificates=certificates or holder.sent,
        attributes=attributes,
        signature=holder.sign(attributes),
        version=3,
    )


def info_of(*parts: bytes, imprint: bytes | None = None) -> bytes:
    """A TSTInfo by hand: version, policy, imprint, and what is given."""
    hashed = der.sequence(algorithm_identifier(SHA256), der.octet_string(hashlib.sha256(OVER).digest()))
    return der.sequence(der.integer(1), der.oid("1.2.3"), imprint or hashed, *parts)


def without_ess() -> bytes:
    info = timestamp_info(OVER, policy="1.2.3", serial=1, when=WHEN)
    listed = der.Reader(token_attributes(info, b"", WHEN), source="t").read(der.SET, "it").open().all_tags("it")
    return der.set_of(*(each.encoded for each in listed if der.oid("1.2.840.113549.1.9.16.2.47") not in each.encoded))


TIME_OK = der.generalized_time(WHEN)
SERIAL = der.integer(5)


class TestTokensThatDoNotCount:
    def test_a_token_over_something_else(self) -> None:
        with pytest.raises(VerificationError, match="over another signature"):
            read_timestamp(token(b"else"), OVER, source="t")

    @pytest.mark.parametrize(
        ("who", "words"),
        [
            (signer("rsa2048"), "that alone"),
            (issue("No usage", authority(), ca=False), "that alone"),
            (issue("Both", authority(), usages=[TIME, CODE], critical=True), "that alone"),
        ],
    )
    def test_a_signer_that_is_no_timestamp_authority(self, who: Holder, words: str) -> None:
        with pytest.raises(VerificationError, match=words):
            read_timestamp(token(OVER, who=who), OVER, source="t")

    def test_a_usage_that_is_not_critical_is_refused_where_we_choose_the_authority(self) -> None:
        """Microsoft's own authority has it so; RFC 3161 2.3 does not allow it."""
        who = issue("Like Microsoft's", authority(), usages=[TIME])
        assert read_timestamp(token(OVER, who=who), OVER, source="t").signer == who.certificate
        with pytest.raises(VerificationError, match="critical"):
            read_timestamp(token(OVER, who=who), OVER, source="t", strict=True)

    def test_a_token_that_names_another_certificate_or_none(self) -> None:
        with pytest.raises(VerificationError, match="does not name"):
            read_timestamp(forged(attributes=without_ess()), OVER, source="t")
        info = timestamp_info(OVER, policy="1.2.3", serial=1, when=WHEN)
        other = token_attributes(info, signer().sent[0], WHEN)
        with pytest.raises(VerificationError, match="names another certificate"):
            read_timestamp(forged(attributes=other), OVER, source="t")

    @pytest.mark.parametrize(
        ("info", "words"),
        [
            (der.sequence(der.integer(2)), "is not 1"),
            (info_of(der.integer(1), der.utc_time(WHEN)), "genTime"),
            (info_of(SERIAL, der.tlv(der.GENERALIZED_TIME, b"20261123141516")), "GeneralizedTime"),
            (info_of(SERIAL, der.tlv(der.GENERALIZED_TIME, b"20261323141516Z")), "GeneralizedTime"),
            (info_of(SERIAL, TIME_OK, der.sequence(der.integer(-1))), "accuracy"),
            (info_of(SERIAL, TIME_OK, der.sequence(der.implicit(0, b"\x07\xd0"))), "accuracy"),
            (info_of(SERIAL, TIME_OK, der.null()), "after its last element"),
            (info_of(), "truncated|expected"),
            (b"", "expected"),
        ],
    )
    def test_a_malformed_token(self, info: bytes, words: str) -> None:
        with pytest.raises(ParseError, match=words):
            read_timestamp(forged(info=info), OVER, source="t")

    def test_a_critical_extension_that_nobody_knows(self) -> None:
        def extended(*, critical: bool) -> bytes:
            extension = der.sequence(der.oid("1.2.3.4"), der.boolean(critical), der.octet_string(b"x"))
            return forged(info=info_of(SERIAL, TIME_OK, der.explicit(1, extension)))

        assert read_timestamp(extended(critical=False), OVER, source="t").when == WHEN
        with pytest.raises(VerificationError, match="critical extension"):
            read_timestamp(extended(critical=True), OVER, source="t")

    def test_a_weak_or_unknown_imprint(self) -> None:
        for algorithm, words in ((SHA1, "SHA-1"), ("1.2.840.113549.2.5", "MD5"), ("1.2.3", "1.2.3")):
            imprint = der.sequence(algorithm_identifier(algorithm), der.octet_string(bytes(20)))
            with pytest.raises(VerificationError, match=words):
                read_timestamp(forged(info=info_of(SERIAL, TIME_OK, imprint=imprint)), OVER, source="t")

    def test_signed_data_of_another_kind_is_no_timestamp(self) -> None:
        with pytest.raises(ParseError, match="not a timestamp"):
            read_timestamp(forged(content_type="1.2.840.113549.1.9.16.1.9"), OVER, source="t")

    def test_fractions_of_seconds_are_read(self) -> None:
        info = info_of(SERIAL, der.tlv(der.GENERALIZED_TIME, b"20261123141516.123456789Z"))
        assert read_timestamp(forged(info=info), OVER, source="t").when == WHEN.replace(microsecond=123456)


class TestTimestampsInSignatures:
    def found(self, stamp: bytes, image: bytes | None = None):
        (report,) = reports(signed_image(image, timestamp=lambda _value: stamp))
        assert report.holds
        return report.signature

    def test_one_that_does_not_hold_counts_like_none_and_is_told(self) -> None:
        signature = self.found(token(b"another signature"))
        assert signature.timestamp is None
        assert "over another signature" in signature.timestamp_problem

    def test_one_that_cannot_be_read_counts_like_none_and_is_told(self) -> None:
        signature = self.found(der.sequence(der.integer(1)))
        assert signature.timestamp is None
        assert "x.sys (signature) (timestamp)" in signature.timestamp_problem

    def test_a_signature_without_one_has_none(self) -> None:
        (report,) = reports(signed_image())
        assert (report.signature.timestamp, report.signature.timestamp_problem) == (None, None)

    def test_the_authoritys_certificate_may_stand_in_the_signature_itself(self) -> None:
        """As with certReq false: the token has no certificates, the signature around it has them."""
        content = spc_pe_image_data(bytes(32))
        attributes = signed_attributes(SPC_INDIRECT_DATA, content_digest(content), program_name=None, url=None)
        value = signer().sign(attributes)
        info = timestamp_info(value, policy="1.2.3", serial=1, when=WHEN)
        stamped = token_attributes(info, timestamper().sent[0], WHEN)
        bare = timestamp_token(
            info, certificates=timestamper().sent, attributes=stamped, signature=timestamper().sign(stamped)
        )
        for certificate in timestamper().sent:
            assert certificate in bare
        lacking = without_certificates(bare)
        signature = signed_data(
            SPC_INDIRECT_DATA,
            content,
            certificates=[*signer().sent, *timestamper().sent],
            attributes=attributes,
            signature=value,
            timestamp=lacking,
        )
        with pytest.raises(VerificationError, match="certificate is not in the signature"):
            read_timestamp(lacking, value, source="t")
        found, problem = timestamp_of(parse_signed_data(signature, source="t"), source="t")
        assert problem is None
        assert found is not None
        assert (found.when, found.signer) == (WHEN, timestamper().certificate)


def without_certificates(made: bytes) -> bytes:
    body = der.Reader(made, source="t").read(der.SEQUENCE, "it").open()
    kind = body.read(der.OBJECT_IDENTIFIER, "it").encoded
    parts = body.read(0xA0, "it").only(der.SEQUENCE, "it").open().all_tags("it")
    return der.sequence(kind, der.explicit(0, der.sequence(*(each.encoded for each in parts if each.tag != 0xA0))))


# RFC 2985 5.3.6: a SignerInfo over the value of the signature that it countersigns.


def countersigned(*attributes: bytes, who: Holder | None = None, over: bytes | None = None) -> bytes:
    """An image with a countersignature; ``attributes`` beside contentType and messageDigest."""
    holder = who or timestamper()
    content = spc_pe_image_data(authenticode_digests(*opened(compiled_driver()))["sha256"])
    signed = signed_attributes(SPC_INDIRECT_DATA, content_digest(content), program_name=None, url=None)
    value = signer().sign(signed)
    whole = der.set_of(
        attribute("1.2.840.113549.1.9.3", der.oid("1.2.840.113549.1.7.1")),
        attribute("1.2.840.113549.1.9.4", der.octet_string(hashlib.sha256(over or value).digest())),
        *attributes,
    )
    around = signed_data(
        SPC_INDIRECT_DATA, content, certificates=holder.sent, attributes=whole, signature=holder.sign(whole)
    )
    info = der.Reader(around, source="t").read(der.SEQUENCE, "it").open()
    info.any("it")
    *_, signers = info.any("it").only(der.SEQUENCE, "it").open().all_tags("it")
    first = signed_data(
        SPC_INDIRECT_DATA,
        content,
        certificates=[*signer().sent, *holder.sent],
        attributes=signed,
        signature=value,
    )
    both = with_unsigned_value(first, COUNTERSIGNATURE, signers.content, source="t")
    stream, image = opened(compiled_driver())
    return b"".join(signed_image_chunks(stream, measure(stream, image).layout, both))


def opened(image: bytes) -> tuple[io.BytesIO, PeImage]:
    stream = io.BytesIO(image)
    return stream, PeImage.open(stream, source="x")


SIGNING_TIME = attribute("1.2.840.113549.1.9.5", der.utc_time(WHEN))


class TestCountersignatures:
    def test_the_time_of_an_old_countersignature_is_told(self, tmp_path: Path) -> None:
        raw = countersigned(SIGNING_TIME)
        (report,) = reports(raw)
        stamp = report.signature.timestamp
        assert (report.problem, stamp.form, stamp.when) == (None, "pkcs9", WHEN)
        assert (stamp.signer, stamp.accuracy, stamp.serial) == (timestamper().certificate, None, None)
        root, _, _ = signer().files(tmp_path)
        (tmp_path / "x.sys").write_bytes(raw)
        good, output = osslsigncode("verify", "-CAfile", root, "-TSA-CAfile", root, tmp_path / "x.sys")
        assert good, output
        assert f"Timestamp time: {WHEN:%b %e %H:%M:%S %Y} GMT" in output

    @pytest.mark.parametrize(
        ("raw", "words"),
        [
            (countersigned(), "does not say when"),
            (countersigned(SIGNING_TIME, over=b"else"), "was changed"),
            (countersigned(SIGNING_TIME, who=signer("rsa2048")), "that alone"),
        ],
    )
    def test_one_that_does_not_hold_counts_like_none(self, raw: bytes, words: str) -> None:
        (report,) = reports(raw)
        assert report.holds
        assert report.signature.timestamp is None
        assert words in report.signature.timestamp_problem


class TestRequestsAndResponses:
    @pytest.mark.parametrize("nonce", [0, 1, 255, (1 << 64) - 1])
    def test_asn1crypto_reads_our_request(self, nonce: int) -> None:
        request = tsp.TimeStampReq.load(timestamp_request(OVER, nonce=nonce, algorithm="sha384"))
        assert request.native["nonce"] == nonce
        assert request.native["cert_req"] is True
        assert request.native["message_imprint"]["hashed_message"] == hashlib.sha384(OVER).digest()
        assert core.Sequence.load(request.dump()).dump() == timestamp_request(OVER, nonce=nonce, algorithm="sha384")

    def test_the_token_is_taken_out_of_openssls_response(self, tmp_path: Path) -> None:
        answer = foreign_token(tmp_path, timestamp_request(OVER, nonce=5), response=True)
        assert read_timestamp(read_response(answer, source="t"), OVER, source="t").nonce == 5

    def test_a_refusal_is_told_in_the_authoritys_own_words(self, tmp_path: Path) -> None:
        request = timestamp_request(OVER, nonce=5).replace(der.oid(SHA256), der.oid("2.16.840.1.101.3.4.2.9"))
        answer = foreign_token(tmp_path, request, response=True)
        with pytest.raises(VerificationError, match=r"no timestamp was given \(rejected\): Message digest"):
            read_response(answer, source="t")

    @pytest.mark.parametrize("answer", [b"", b"<html>", der.sequence(), der.sequence(der.sequence(der.integer(0)))])
    def test_an_answer_that_is_none_is_refused(self, answer: bytes) -> None:
        with pytest.raises(ParseError):
            read_response(answer, source="t")

    def test_an_unknown_status_is_told(self) -> None:
        with pytest.raises(VerificationError, match="status 77"):
            read_response(der.sequence(der.sequence(der.integer(77))), source="t")
