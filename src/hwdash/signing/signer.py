"""What is signed, for what reason, and with which key.

A ``Signer`` gets digests of contents and the record of the steps that allow their signatures, never the content. The
record needs no trust: with it comes the examination that the examiner sealed (records.py), and what that does not list
is refused, whoever asks. The signer builds the signed attributes itself, and answers the same request with the same
bytes: RSA PKCS#1 v1.5 is deterministic, and ECDSA draws its nonce as RFC 6979 says. So a request may be repeated after
a crash.

With each signature comes a timestamp of our own authority over it (ADR 0014). Its time is the request's, not the
clock's, for the same reason. A preproduction signature has none: machines that take it know another root.
"""

import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple, Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from hwdash.clock import Clock
from hwdash.drivers.authenticode import signed_attributes
from hwdash.drivers.timestamp import timestamp_info, timestamp_token, token_attributes
from hwdash.signing.authority import IDENTITIES, PREPRODUCTION, TIMESTAMP_AUTHORITY
from hwdash.signing.errors import LimitReached, SignerUnavailable, SigningRefused
from hwdash.signing.keys import Credential, KeyFolder, PrivateKey
from hwdash.signing.limits import Limits
from hwdash.signing.records import EXAMINED_STEPS, Examination, opened, records_key
from hwdash.signing.release import Release, ReleaseControl
from hwdash.signing.signature_log import Counted, SignatureLog

SPC_INDIRECT_DATA = "1.3.6.1.4.1.311.2.1.4"  # the content of a signed PE file or cabinet
CERTIFICATE_TRUST_LIST = "1.3.6.1.4.1.311.10.1"  # the content of a catalog
CONTENT_TYPES = (SPC_INDIRECT_DATA, CERTIFICATE_TRUST_LIST)

REQUIRED_STEPS = (*EXAMINED_STEPS, "manualReview")
PREPRODUCTION_STEPS = EXAMINED_STEPS
"""A preproduction package has no review by a person: its signature is worth nothing outside of test machines."""

# A policy of our own by UUID (ITU-T X.667): the time is that of the service's record; see ADR 0014.
TIMESTAMP_POLICY = "2.25.43977335754199932897544398966426402977"

MAX_CONTENTS = 200
"""How many signatures one request may ask for: some seconds of work."""

_MAX_PROGRAM_NAME = 256
_MAX_URL = 2048
_NAMED_OF_REFUSED = ("identity", "submissionId", "productId", "accountId")
_LONGEST_LOGGED = 200
_REASONS_LOGGED = 20
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
    examination: str  # what the examiner sealed (records.py)
    submitters: tuple[str, ...] = ()  # client or user ids: who made and who committed it
    approvals: tuple[str, ...] = ()  # words of officers (release.py)

    def release(self, identity: str) -> Release:
        """What officers have to approve for a signature by ``identity``."""
        return Release(
            self.submission_id, self.product_id, self.account_id, self.package_sha256, identity, self.submitters
        )


class Content(NamedTuple):
    """What is to be signed: its type, of CONTENT_TYPES, and its SHA-256, 32 bytes."""

    type: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class SigningRequest:
    """Signatures asked for, all for one submission. ``identity`` is of authority.IDENTITIES."""

    identity: str
    contents: tuple[Content, ...]  # 1 to MAX_CONTENTS
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

    def sign(self, request: SigningRequest) -> list[SignedAttributes]:
        """A signature for each content, or SigningRefused (for good) or SignerUnavailable (try again later)."""
        ...


def refusals(request: SigningRequest, examined: Examination) -> list[str]:
    """Every reason why this request may not be signed; empty when it may. ``examined`` is the request's examination,
    its seal verified.
    """
    record = request.record
    found = []
    if request.identity not in IDENTITIES:
        found.append(f"there is no signing identity {request.identity!r}; there are {', '.join(IDENTITIES)}")
    found.extend(_content_refusals(request.contents, examined))
    if not (0 < len(request.program_name) <= _MAX_PROGRAM_NAME and request.program_name.isprintable()):
        found.append(f"the program name must be 1 to {_MAX_PROGRAM_NAME} printable characters")
    if request.program_name != examined.program_name:
        found.append(f"the package was examined for {examined.program_name!r}, not for {request.program_name!r}")
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
    elif request.when < examined.when - _CLOCK_TOLERANCE:
        found.append("the request's time is before the examination's")
    return [*found, *record_refusals(record, examined, request.identity)]


def _content_refusals(contents: Sequence[Content], examined: Examination) -> Iterator[str]:
    if not 0 < len(contents) <= MAX_CONTENTS:
        yield f"one request is for 1 to {MAX_CONTENTS} signatures, not for {len(contents)}"
    passed = {kind: frozenset(digests) for kind, digests in examined.signable.items()}
    for kind, digest in contents[:MAX_CONTENTS]:
        if kind not in CONTENT_TYPES:
            yield f"content of type {kind!r} is not signed here, only {', '.join(CONTENT_TYPES)}"
        elif len(digest) != 32:
            yield f"the content digest has {len(digest)} bytes, a SHA-256 has 32"
        elif digest.hex() not in passed.get(kind, ()):
            yield f"no content of type {kind} with the digest {digest.hex()} is of the package that passed"


def record_refusals(record: SigningRecord, examined: Examination, identity: str) -> list[str]:
    """Every reason why this record and this examination allow ``identity`` no signature; empty when they do."""
    preproduction = identity == PREPRODUCTION
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
    return [*found, *_examination_refusals(record, examined, identity)]


def _examination_refusals(record: SigningRecord, examined: Examination, identity: str) -> Iterator[str]:
    if examined.identity != identity:
        yield f"the package was examined for {examined.identity}, not for {identity}"
    for what, told, passed in (
        ("submission", record.submission_id, examined.object_id),
        ("product", record.product_id, examined.product_id),
        ("account", record.account_id, examined.account_id),
    ):
        if told != passed:
            yield f"the examination is of {what} {passed}, the record of {what} {told}"
    if not _is_same(record.package_sha256, examined.package_sha256):
        yield "the examination is of another package"
    for step in EXAMINED_STEPS:
        if step not in examined.steps:
            yield f"the examiner has not passed step {step}"
        elif step in record.finished_steps and not _is_same(record.finished_steps[step], examined.steps[step]):
            yield f"the result of step {step} is not the one that the examiner passed"


def _is_same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


class LocalSigner:
    """Signs with the keys of a folder, all loaded at once.

    Each signature appends a line to the log of the folder (signature_log.py) before it is given away. A request
    repeated after a crash is logged again, with the same ``signatureSha256``. Raises KeysError when a key is not there.
    """

    def __init__(self, keys: KeyFolder, clock: Clock) -> None:
        self._credentials: dict[str, Credential] = {name: keys.read(name) for name in IDENTITIES}
        self._chains = {name: _der(credential) for name, credential in self._credentials.items()}
        self._authority = keys.read(TIMESTAMP_AUTHORITY)
        root = keys.certificates("root")[0]
        self._root_certificate_pem = root.public_bytes(Encoding.PEM)
        self.releases = ReleaseControl(keys.path, root.fingerprint(hashes.SHA256()).hex())
        self.records_key = records_key(keys)
        """For the examiner."""
        self._clock = clock
        self._folder = keys.path
        self._log = SignatureLog(keys.path, clock)

    @property
    def root_certificate_pem(self) -> bytes:
        """The root that machines have to trust, PEM."""
        return self._root_certificate_pem

    def chain(self, identity: str) -> tuple[bytes, ...]:
        """The certificates of an identity: DER, leaf first, no root. Raises SigningRefused for an unknown one."""
        if identity not in self._chains:
            raise SigningRefused(f"there is no signing identity {identity!r}; there are {', '.join(IDENTITIES)}")
        return self._chains[identity]

    def sign(self, request: SigningRequest) -> list[SignedAttributes]:
        """Sign all or nothing. Raises SigningRefused, LimitReached among it; SignerUnavailable when a certificate has
        ended or the log is not writable, and KeysError when officers, policy or limits cannot be read.
        """
        examined = self.examined(request.record)
        judged = self.releases.judge(request.record.release(request.identity), request.record.approvals)
        if reasons := [*refusals(request, examined), *judged.refusals]:
            raise SigningRefused(*reasons)
        credential = self._credentials[request.identity]
        when = self.time_to_sign(request.when, request.identity, credential)
        with self._log.locked():
            self._check_limits(examined)
            signed = [self._signed(request, content, credential, when) for content in request.contents]
            told = {"breakGlass": judged.broke_glass} if judged.broke_glass else {}
            pairs = zip(request.contents, signed, strict=True)
            self._log.append(*(self._entry(request, content, each) | told for content, each in pairs))
        return signed

    def _check_limits(self, examined: Examination) -> None:
        """Raises LimitReached when the whole package is more than may be signed today: half of one helps nobody."""
        now, limits = self._clock(), Limits.read(self._folder)
        asked = {
            Counted(examined.identity, examined.account_id, examined.object_id, digest)
            for digests in examined.signable.values()
            for digest in digests
        }
        if reasons := list(limits.refusals(self._log.made_on(now), asked, now)):
            raise LimitReached(*reasons)

    def _signed(
        self, request: SigningRequest, content: Content, credential: Credential, when: datetime
    ) -> SignedAttributes:
        attributes = signed_attributes(
            content.type, content.digest, program_name=request.program_name, url=request.url or None
        )
        signature = sign_bytes(credential.key, attributes)
        timestamp = b"" if request.identity == PREPRODUCTION else self.timestamp(signature, when)
        return SignedAttributes(attributes, signature, self._chains[request.identity], timestamp)

    def _entry(self, request: SigningRequest, content: Content, signed: SignedAttributes) -> dict[str, object]:
        """What the log says of a signature."""
        return {
            "identity": request.identity,
            "certificateSha256": sha256(signed.chain[0]).hexdigest(),
            "signatureSha256": sha256(signed.signature).hexdigest(),
            "timestampSha256": sha256(signed.timestamp).hexdigest() if signed.timestamp else None,
            "contentType": content.type,
            "contentDigest": content.digest.hex(),
            "programName": request.program_name,
            "url": request.url,
            "when": request.when.isoformat(),
            **logged_record(request.record),
        }

    def examined(self, record: SigningRecord) -> Examination:
        """The examination that a record brings. Raises SigningRefused when the examiner did not seal it."""
        return opened(record.examination, self.records_key.public_key())

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

    def log(self, *entries: Mapping[str, object]) -> None:
        """Append lines to the log, with the time, and have them on the disk. Raises SignerUnavailable."""
        with self._log.locked():
            self._log.append(*entries)

    def refusals(self, after: int) -> tuple[list[dict[str, Any]], int]:
        """As SignatureLog.refusals."""
        return self._log.refusals(after)

    def log_refusal(self, refusal: SigningRefused, document: object) -> None:
        """Append what was asked for, a request or a statement's, and why it was refused, both cut short.

        Raises SignerUnavailable.
        """
        named: dict[str, Any] = {}
        for inner in (document, _member(document, "statement"), _member(_member(document, "statement"), "record")):
            named |= inner if isinstance(inner, dict) else {}
        asked = {name: named[name] for name in _NAMED_OF_REFUSED if type(named.get(name)) in (int, str)}
        asked = {name: value if isinstance(value, int) else value[:_LONGEST_LOGGED] for name, value in asked.items()}
        reasons = [reason[:_LONGEST_LOGGED] for reason in refusal.reasons[:_REASONS_LOGGED]]
        self.log({"refused": reasons, **asked, "requestSha256": _digest(document)})

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
        "contents": [[kind, digest.hex()] for kind, digest in request.contents],
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
        "examination": record.examination,
    }


def logged_record(record: SigningRecord) -> dict[str, object]:
    """A record as the log has it: of the examination, which lists every file, the digest."""
    document = record_document(record)
    del document["examination"]
    return {**document, "examinationSha256": sha256(record.examination.encode("utf-8", "replace")).hexdigest()}


def parse_record(document: Mapping[str, Any]) -> SigningRecord:
    """The record in the members of record_document. Raises SigningRefused when they are none."""
    texts, numbers = ("packageSha256", "examination"), ("submissionId", "productId", "accountId")
    steps, lists = document.get("finishedSteps"), ("submitters", "approvals")
    if (
        set(document) != {*texts, *numbers, *lists, "finishedSteps"}
        or not all(isinstance(document[name], str) for name in texts)
        or not all(type(document[name]) is int for name in numbers)
        or not all(isinstance(document[name], list) for name in lists)
        or not all(isinstance(each, str) for name in lists for each in document[name])
        or not isinstance(steps, dict)
        or not all(isinstance(digest, str) for digest in steps.values())
    ):
        raise SigningRefused("the record has not the form of a signing record")
    return SigningRecord(
        submission_id=document["submissionId"],
        product_id=document["productId"],
        account_id=document["accountId"],
        package_sha256=document["packageSha256"],
        finished_steps=steps,
        examination=document["examination"],
        submitters=tuple(document["submitters"]),
        approvals=tuple(document["approvals"]),
    )


def parse_request(document: object) -> SigningRequest:
    """The request in a JSON document of request_document. Raises SigningRefused when it is none."""
    texts = ("identity", "programName", "url", "when")
    if not isinstance(document, dict) or not all(isinstance(document.get(name), str) for name in texts):
        raise SigningRefused("the request has not the form of a signing request")
    try:
        contents = tuple(Content(_text(kind), bytes.fromhex(digest)) for kind, digest in document["contents"])
    except (LookupError, TypeError, ValueError):
        raise SigningRefused("the contents are no list of types and digests in hex") from None
    try:
        when = datetime.fromisoformat(document["when"])
    except ValueError:
        raise SigningRefused("the request's time is none") from None
    return SigningRequest(
        identity=document["identity"],
        contents=contents,
        program_name=document["programName"],
        url=document["url"],
        when=when,
        record=parse_record({name: document[name] for name in document if name not in {*texts, "contents"}}),
    )


def _member(document: object, name: str) -> object:
    return document.get(name) if isinstance(document, dict) else None


def _digest(document: object) -> str:
    return sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is none")
    return value


def is_sha256(text: str) -> bool:
    """64 lower-case hex digits?"""
    return len(text) == 64 and not set(text) - set("0123456789abcdef")
