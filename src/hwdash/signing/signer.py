"""What is signed, for what reason, and with which key.

A ``Signer`` gets the digest of the content and the record of the steps that allow its signature, never the content. It
refuses what the record does not allow, builds the signed attributes itself, and answers the same request with the same
bytes: RSA PKCS#1 v1.5 is deterministic, and ECDSA draws its nonce as RFC 6979 says. So a request may be repeated after
a crash.

With each signature comes a timestamp of our own authority over it (ADR 0014). Its time is the request's, not the
clock's, for the same reason. A preproduction signature has none: machines that take it know another root.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from hwdash.clock import Clock
from hwdash.drivers.authenticode import signed_attributes
from hwdash.drivers.timestamp import timestamp_info, timestamp_token, token_attributes
from hwdash.signing.authority import IDENTITIES, PREPRODUCTION, TIMESTAMP_AUTHORITY
from hwdash.signing.errors import SignerUnavailable, SigningRefused
from hwdash.signing.keys import Credential, KeyFolder, PrivateKey
from hwdash.signing.release import Release, ReleaseControl

SPC_INDIRECT_DATA = "1.3.6.1.4.1.311.2.1.4"  # the content of a signed PE file or cabinet
CERTIFICATE_TRUST_LIST = "1.3.6.1.4.1.311.10.1"  # the content of a catalog
CONTENT_TYPES = (SPC_INDIRECT_DATA, CERTIFICATE_TRUST_LIST)

REQUIRED_STEPS = ("packageInfoValidation", "preparation", "scanning", "validation", "catalogCreation", "manualReview")
PREPRODUCTION_STEPS = REQUIRED_STEPS[:-1]
"""A preproduction package has no review by a person: its signature is worth nothing outside of test machines."""

# A policy of our own by UUID (ITU-T X.667): the time is that of the service's record; see ADR 0014.
TIMESTAMP_POLICY = "2.25.43977335754199932897544398966426402977"

LOG_FILE = "signatures.log"

_MAX_PROGRAM_NAME = 256
_MAX_URL = 2048
# By so much the clock may have been set back since the request's time was taken.
_CLOCK_TOLERANCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class SigningRecord:
    """Why a signature may be made: what was submitted by whom, and the steps that have passed it."""

    submission_id: int  # or the id of a preproduction package, which has no product: then product_id is 0
    product_id: int
    account_id: int
    package_sha256: str  # lower-case hex
    finished_steps: Mapping[str, str]  # name of the step: SHA-256 of its stored result, lower-case hex
    submitters: tuple[str, ...] = ()  # client or user ids: who made and who committed it
    approvals: tuple[str, ...] = ()  # words of officers (release.py)

    def release(self, identity: str) -> Release:
        """What officers have to approve for a signature by ``identity``."""
        return Release(
            self.submission_id, self.product_id, self.account_id, self.package_sha256, identity, self.submitters
        )


@dataclass(frozen=True, slots=True)
class SigningRequest:
    """One signature asked for. ``identity`` is of authority.IDENTITIES, ``content_type`` of CONTENT_TYPES."""

    identity: str
    content_type: str
    content_digest: bytes  # SHA-256, 32 bytes
    program_name: str  # the vendor's company
    url: str  # more information; empty: none
    when: datetime  # aware; the time for the timestamp, the same when the request is repeated
    record: SigningRecord


@dataclass(frozen=True, slots=True)
class SignedAttributes:
    """What goes into a SignerInfo: attributes (DER of a SET OF), the signature over them, certificates, timestamp."""

    attributes: bytes
    signature: bytes
    chain: tuple[bytes, ...]  # DER, leaf first, no root
    timestamp: bytes  # an RFC 3161 token over the signature; empty: none


class Signer(Protocol):
    """What the pipeline needs: ``LocalSigner`` is it on key files, ``process.SignerProcess`` in front of one."""

    @property
    def root_certificate_pem(self) -> bytes:
        """The root that machines have to trust, PEM."""
        ...

    def chain(self, identity: str) -> tuple[bytes, ...]:
        """The certificates of an identity: DER, leaf first, no root. Raises SigningRefused for an unknown one."""
        ...

    def sign(self, request: SigningRequest) -> SignedAttributes:
        """Sign, or raise SigningRefused (for good) or SignerUnavailable (try again later)."""
        ...


def refusals(request: SigningRequest) -> list[str]:
    """Every reason why this request may not be signed; empty when it may."""
    record = request.record
    found = []
    if request.identity not in IDENTITIES:
        found.append(f"there is no signing identity {request.identity!r}; there are {', '.join(IDENTITIES)}")
    if request.content_type not in CONTENT_TYPES:
        found.append(f"content of type {request.content_type!r} is not signed here, only {', '.join(CONTENT_TYPES)}")
    if len(request.content_digest) != 32:
        found.append(f"the content digest has {len(request.content_digest)} bytes, a SHA-256 has 32")
    if not (0 < len(request.program_name) <= _MAX_PROGRAM_NAME and request.program_name.isprintable()):
        found.append(f"the program name must be 1 to {_MAX_PROGRAM_NAME} printable characters")
    if request.url and not (
        len(request.url) <= _MAX_URL
        and request.url.startswith(("https://", "http://"))
        and request.url.isascii()
        and request.url.isprintable()
    ):
        found.append(
            f"the URL must begin with https:// or http:// and have at most {_MAX_URL} printable ASCII characters"
        )
    if request.when.tzinfo is None:
        found.append("the request's time has no time zone")
    return [*found, *record_refusals(record, preproduction=request.identity == PREPRODUCTION)]


def record_refusals(record: SigningRecord, *, preproduction: bool = False) -> list[str]:
    """Every reason why this record allows no signature; empty when it does."""
    found = []
    for name in ("submission_id", "account_id") if preproduction else ("submission_id", "product_id", "account_id"):
        if getattr(record, name) <= 0:
            found.append(f"the record's {name} must be more than 0, not {getattr(record, name)}")
    if preproduction and record.product_id:
        found.append(f"the record is of product {record.product_id}; no product gets a preproduction signature")
    if not is_sha256(record.package_sha256):
        found.append("the record's package_sha256 is not 64 lower-case hex digits")
    found.extend(
        f"step {step} is not on record as finished"
        for step in (PREPRODUCTION_STEPS if preproduction else REQUIRED_STEPS)
        if step not in record.finished_steps
    )
    found.extend(
        f"the result digest of step {step} is not 64 lower-case hex digits"
        for step, digest in record.finished_steps.items()
        if not is_sha256(digest)
    )
    return found


class LocalSigner:
    """Signs with the keys of a folder, all loaded at once.

    Each signature appends a line of JSON to ``signatures.log`` in the folder before it is given away. A request
    repeated after a crash is logged again, with the same ``signatureSha256``. Raises KeysError when a key is not there.
    """

    def __init__(self, keys: KeyFolder, clock: Clock) -> None:
        self._credentials: dict[str, Credential] = {name: keys.read(name) for name in IDENTITIES}
        self._chains = {name: _der(credential) for name, credential in self._credentials.items()}
        self._authority = keys.read(TIMESTAMP_AUTHORITY)
        root = keys.certificates("root")[0]
        self._root_certificate_pem = root.public_bytes(Encoding.PEM)
        self.releases = ReleaseControl(keys.path, root.fingerprint(hashes.SHA256()).hex())
        self._clock = clock
        self._log = _open_log(keys.path / LOG_FILE)

    @property
    def root_certificate_pem(self) -> bytes:
        """The root that machines have to trust, PEM."""
        return self._root_certificate_pem

    def chain(self, identity: str) -> tuple[bytes, ...]:
        """The certificates of an identity: DER, leaf first, no root. Raises SigningRefused for an unknown one."""
        if identity not in self._chains:
            raise SigningRefused(f"there is no signing identity {identity!r}; there are {', '.join(IDENTITIES)}")
        return self._chains[identity]

    def sign(self, request: SigningRequest) -> SignedAttributes:
        """Sign. Raises SigningRefused; SignerUnavailable when a certificate has ended or the log is not writable, and
        KeysError when officers or policy cannot be read.
        """
        judged = self.releases.judge(request.record.release(request.identity), request.record.approvals)
        if reasons := [*refusals(request), *judged.refusals]:
            raise SigningRefused(*reasons)
        credential = self._credentials[request.identity]
        when = self.time_to_sign(request.when, request.identity, credential)
        attributes = signed_attributes(
            request.content_type, request.content_digest, program_name=request.program_name, url=request.url or None
        )
        signature = sign_bytes(credential.key, attributes)
        timestamp = b"" if request.identity == PREPRODUCTION else self.timestamp(signature, when)
        entry = {
            "identity": request.identity,
            "certificateSha256": credential.certificate.fingerprint(hashes.SHA256()).hex(),
            "signatureSha256": sha256(signature).hexdigest(),
            "timestampSha256": sha256(timestamp).hexdigest() if timestamp else None,
            **request_document(request),
            **({"breakGlass": judged.broke_glass} if judged.broke_glass else {}),
        }
        self.log(entry)
        return SignedAttributes(attributes, signature, self._chains[request.identity], timestamp)

    def time_to_sign(self, when: datetime, name: str, credential: Credential) -> datetime:
        """The time for the timestamp of a request of ``when``. Raises SignerUnavailable when it is not to be signed
        now: ``name`` names the credential.
        """
        now = self._clock()
        for what, each in ((name, credential), (TIMESTAMP_AUTHORITY, self._authority)):
            if now > each.certificate.not_valid_after_utc:
                raise SignerUnavailable(f"the {what} certificate has ended: restart the service, which renews it")
        if when > now + _CLOCK_TOLERANCE:
            raise SignerUnavailable(f"the request is of {when.isoformat()}, which is yet to come: set the clock")
        # A certificate may be younger than the request: one that was renewed meanwhile.
        return max(when, *(each.certificate.not_valid_before_utc for each in (credential, self._authority)))

    def log(self, entry: Mapping[str, object]) -> None:
        """Append a line to the log, with the time. Raises SignerUnavailable."""
        line = {"time": self._clock().isoformat(), **entry}
        try:
            os.write(self._log, json.dumps(line).encode() + b"\n")
        except OSError as error:
            raise SignerUnavailable(f"the log of signatures cannot be written: {error.strerror}") from error

    def timestamp(self, signature: bytes, when: datetime) -> bytes:
        """The token of this signature and this time: the same for the same, its serial number too."""
        chain = _der(self._authority)
        serial = int.from_bytes(sha256(chain[0] + when.isoformat().encode() + signature).digest()[:16], "big")
        info = timestamp_info(signature, policy=TIMESTAMP_POLICY, serial=serial, when=when)
        attributes = token_attributes(info, chain[0], when)
        return timestamp_token(
            info, certificates=chain, attributes=attributes, signature=sign_bytes(self._authority.key, attributes)
        )


def sign_bytes(key: PrivateKey, signed: bytes) -> bytes:
    """A signature by SHA-256 that is the same each time."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    return key.sign(signed, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


def _der(credential: Credential) -> tuple[bytes, ...]:
    return tuple(each.public_bytes(Encoding.DER) for each in credential.chain)


def request_document(request: SigningRequest) -> dict[str, object]:
    """A request as JSON."""
    return {
        "identity": request.identity,
        "contentType": request.content_type,
        "contentDigest": request.content_digest.hex(),
        "programName": request.program_name,
        "url": request.url,
        "when": request.when.isoformat(),
        **record_document(request.record),
    }


def record_document(record: SigningRecord) -> dict[str, object]:
    """A record as JSON."""
    return {
        "submissionId": record.submission_id,
        "productId": record.product_id,
        "accountId": record.account_id,
        "packageSha256": record.package_sha256,
        "finishedSteps": dict(record.finished_steps),
        "submitters": list(record.submitters),
        "approvals": list(record.approvals),
    }


def parse_request(document: object) -> SigningRequest:
    """The request in a JSON document of request_document. Raises SigningRefused when it is none."""
    texts = ("identity", "contentType", "contentDigest", "programName", "url", "when", "packageSha256")
    numbers = ("submissionId", "productId", "accountId")
    lists = ("submitters", "approvals")
    if (
        not isinstance(document, dict)
        or set(document) != {*texts, *numbers, *lists, "finishedSteps"}
        or not all(isinstance(document[name], str) for name in texts)
        or not all(type(document[name]) is int for name in numbers)
        or not all(isinstance(document[name], list) for name in lists)
        or not all(isinstance(each, str) for name in lists for each in document[name])
        or not isinstance(document["finishedSteps"], dict)
        or not all(isinstance(digest, str) for digest in document["finishedSteps"].values())
    ):
        raise SigningRefused("the request has not the form of a signing request")
    try:
        digest = bytes.fromhex(document["contentDigest"])
    except ValueError:
        raise SigningRefused("the content digest is not hex") from None
    try:
        when = datetime.fromisoformat(document["when"])
    except ValueError:
        raise SigningRefused("the request's time is none") from None
    return SigningRequest(
        identity=document["identity"],
        content_type=document["contentType"],
        content_digest=digest,
        program_name=document["programName"],
        url=document["url"],
        when=when,
        record=SigningRecord(
            submission_id=document["submissionId"],
            product_id=document["productId"],
            account_id=document["accountId"],
            package_sha256=document["packageSha256"],
            finished_steps=document["finishedSteps"],
            submitters=tuple(document["submitters"]),
            approvals=tuple(document["approvals"]),
        ),
    )


def is_sha256(text: str) -> bool:
    """64 lower-case hex digits?"""
    return len(text) == 64 and not set(text) - set("0123456789abcdef")


def _open_log(path: Path) -> int:
    """Open for appending only, and end a line that a crash has cut, so that the next one stands alone."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            os.write(descriptor, b"\n")
    except OSError as error:
        raise SignerUnavailable(f"the log of signatures {path} cannot be opened: {error.strerror}") from error
    return descriptor
