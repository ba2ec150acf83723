"""The statement beside a signed package: what was submitted, checked, reviewed and signed, by which key.

An in-toto Statement (v1) with SLSA provenance (v1) as its predicate, to be carried in a DSSE envelope
(drivers/dsse.py). Members and their meaning: docs/reference/provenance.md. Sources: the attestation framework of
in-toto (statement, resource descriptor), SLSA's "Build: Provenance".

The statement is built here, in the signer's process, never by who asks for it: a request holds facts, each of one form,
and the sentence that is signed is always the same. What the signer can check of the facts it checks:

- the record and its sealed examination allow a signature at all, as for every other one (signer.py);
- what was submitted is the file that was examined;
- the results of the steps in ``SHOWN_STEPS`` are those whose digests stand in the record, and so in the log of the
  signatures that were made by it: what a scanner or a reviewer said cannot be told differently here;
- the certificate is one that this authority issued for the signing identity that is named.

What the signer cannot see, for it never gets a package, are the digests of the files of the signed package; ``hwdash
verify`` holds them against it (docs/adr says what a worker in the wrong hands could have signed).
"""

import base64
import hashlib
import hmac
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from hwdash import __version__
from hwdash.drivers.dsse import Envelope, key_id, pae
from hwdash.drivers.errors import ParseError
from hwdash.drivers.extensions import UNREADABLE, extended_key_usages, read_certificate
from hwdash.signing.authority import EXTENDED_KEY_USAGE, IDENTITIES, PREPRODUCTION, PROVENANCE
from hwdash.signing.errors import SigningRefused
from hwdash.signing.keys import KeyFolder
from hwdash.signing.records import Examination
from hwdash.signing.release import Judgement
from hwdash.signing.signer import (
    REQUIRED_STEPS,
    LocalSigner,
    SigningRecord,
    is_sha256,
    logged_record,
    parse_record,
    record_document,
    record_refusals,
    sign_bytes,
)

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://slsa.dev/provenance/v1"
BUILD_TYPE: Final = "tag:hwdash,2026:signed-driver-package/v1"
SERVICE: Final = "tag:hwdash,2026:service/"
"""Before the SHA-256 of the root certificate: a service is known by what machines trust."""

SHOWN_STEPS: Final = ("packageInfoValidation", "scanning", "validation", "manualReview")
"""The steps whose whole results the signer is given. They are short; preparation's holds every hardware ID."""

_SAID: Final[Mapping[str, tuple[str, ...]]] = {
    "packageInfoValidation": ("signer", "signerSubject"),
    "scanning": ("engine", "version", "signatures", "scannedFiles", "scannedBytes"),
    "manualReview": ("decision", "policy", "by", "reason", "when"),
}
"""The members of results that the statement repeats."""

MAX_FILES: Final = 70_000
_MAX_TEXT: Final = 1024
_SIGNED_BY_SERVICE: Final = tuple(name for name in IDENTITIES if name != PREPRODUCTION)
_RULE: Final = re.compile(r"[a-z]+\.[A-Za-z0-9.-]{1,60}")


@dataclass(frozen=True, slots=True)
class Parameters:
    """What the submitter asked for, by the names of the statement."""

    productName: str
    submissionName: str
    testHarness: str
    requestedSignatures: tuple[str, ...]
    isTestSign: bool
    isFlightSign: bool


@dataclass(frozen=True, slots=True)
class StatementRequest:
    """One statement asked for. Digests are SHA-256 in lower-case hex; times are aware."""

    record: SigningRecord
    parameters: Parameters
    submitted_name: str
    submitted_sha256: str
    """Of the whole uploaded file; the record's ``package_sha256`` is what its signature covers."""
    results: Mapping[str, Any]
    """Of ``SHOWN_STEPS``, whole."""
    preparation_findings: Sequence[tuple[str, str]]
    """Rule and level."""
    identity: str
    certificate: bytes
    """DER: by which the files were signed."""
    begun: datetime
    signed: datetime
    package_sha256: str
    """Of the signed package, the zip."""
    files: Sequence[tuple[str, str]]
    """Path and digest of each file in it."""


@dataclass(frozen=True, slots=True)
class SignedStatement:
    """The statement, and what its envelope holds beside."""

    payload: bytes
    signature: bytes
    chain: tuple[bytes, ...]  # DER, leaf first, no root
    timestamp: bytes

    def envelope(self) -> bytes:
        """The DSSE envelope as a file."""
        certificates = tuple(x509.load_der_x509_certificate(each) for each in self.chain)
        return Envelope(PAYLOAD_TYPE, self.payload, self.signature, certificates, self.timestamp).encode()


class StatementSigner:
    """Makes statements with the provenance key of a folder. Lives in the signer's process.

    Each one is logged beside the signatures before it is given away. The same request gives the same bytes, as long as
    key and version of hwdash are the same. Raises KeysError when a key is not there.
    """

    def __init__(self, keys: KeyFolder, signer: LocalSigner) -> None:
        self._credential = keys.read(PROVENANCE)
        self._issuing = keys.certificates("issuing")[0]
        self._service = SERVICE + keys.certificates("root")[0].fingerprint(hashes.SHA256()).hex()
        self._signer = signer

    def sign(self, request: StatementRequest) -> SignedStatement:
        """Build and sign. Raises SigningRefused; SignerUnavailable as LocalSigner.sign does."""
        examined = self._signer.examined(request.record)
        judged = self._signer.releases.judge(request.record.release(request.identity), request.record.approvals)
        if reasons := [*_refusals(request, examined), *judged.refusals, *self._certificate_refusals(request)]:
            raise SigningRefused(*reasons)
        when = self._signer.time_to_sign(request.signed, PROVENANCE, self._credential)
        payload = _statement(request, self._service, judged)
        signature = sign_bytes(self._credential.key, pae(PAYLOAD_TYPE, payload))
        timestamp = self._signer.timestamp(signature, when)
        self._signer.log(
            {
                "identity": PROVENANCE,
                "certificateSha256": self._credential.certificate.fingerprint(hashes.SHA256()).hex(),
                "signatureSha256": hashlib.sha256(signature).hexdigest(),
                "timestampSha256": hashlib.sha256(timestamp).hexdigest(),
                "statementSha256": hashlib.sha256(payload).hexdigest(),
                "signedPackageSha256": request.package_sha256,
                "submittedSha256": request.submitted_sha256,
                "when": request.signed.isoformat(),
                **logged_record(request.record),
            }
        )
        chain = tuple(each.public_bytes(Encoding.DER) for each in self._credential.chain)
        return SignedStatement(payload, signature, chain, timestamp)

    def _certificate_refusals(self, request: StatementRequest) -> Iterable[str]:
        """The certificate in a statement is one of ours, for that identity; it may be one that was renewed since."""
        wanted = {each.dotted_string for each in EXTENDED_KEY_USAGE.get(request.identity, ())}
        try:
            certificate = read_certificate(request.certificate, source="the signing certificate")
            certificate.verify_directly_issued_by(self._issuing)
            if extended_key_usages(certificate)[0] != wanted:
                yield f"the certificate is not one for {request.identity}"
        except (InvalidSignature, ParseError, *UNREADABLE):
            yield "the certificate is not one that this service's issuing CA signed"


def _refusals(request: StatementRequest, examined: Examination) -> Iterable[str]:
    record = request.record
    yield from record_refusals(record, examined, request.identity)
    if not hmac.compare_digest(request.submitted_sha256.encode(), examined.upload_sha256.encode()):
        yield "what was submitted is not the file that was examined"
    if request.identity not in _SIGNED_BY_SERVICE:
        yield f"no statement is made for packages signed as {request.identity!r}"
    for name, digest in (("submitted", request.submitted_sha256), ("signed", request.package_sha256)):
        if not is_sha256(digest):
            yield f"the digest of the {name} package is not 64 lower-case hex digits"
    for name in ("begun", "signed"):
        if getattr(request, name).tzinfo is None:
            yield f"the time {name} has no time zone"
    for step in SHOWN_STEPS:
        if step not in request.results:
            yield f"the result of step {step} is missing"
        elif not hmac.compare_digest(record.finished_steps.get(step, ""), result_digest(request.results[step])):
            yield f"the result of step {step} is not the one on record"
    if set(request.results) - set(SHOWN_STEPS):
        yield f"no other results are taken than those of {', '.join(SHOWN_STEPS)}"
    yield from _result_refusals(request.results)
    yield from _content_refusals(request)


def _content_refusals(request: StatementRequest) -> Iterable[str]:
    texts = (request.submitted_name, request.parameters.productName, request.parameters.submissionName)
    if not all(0 < len(each) <= _MAX_TEXT for each in texts):
        yield f"names have 1 to {_MAX_TEXT} characters"
    if not all(_is_finding(rule, level) for rule, level in request.preparation_findings):
        yield "a finding has a rule and a level"
    if not 0 < len(request.files) <= MAX_FILES:
        yield f"a package has 1 to {MAX_FILES} files, not {len(request.files)}"
    if len({path for path, _ in request.files}) != len(request.files):
        yield "a file is named twice"
    if not all(0 < len(path) <= _MAX_TEXT and is_sha256(digest) for path, digest in request.files):
        yield "a file has a path and a SHA-256"


def _result_refusals(results: Mapping[str, Any]) -> Iterable[str]:
    """What goes from a result into the statement is of a known form, and nothing else goes there."""
    for step, names in _SAID.items():
        if not all(_is_plain(results.get(step, {}).get(name)) for name in names):
            yield f"the result of step {step} is of another form"
    for step in ("packageInfoValidation", "validation"):
        findings = results.get(step, {}).get("findings", [])
        if not isinstance(findings, list) or not all(
            isinstance(each, dict) and _is_finding(each.get("rule"), each.get("level")) for each in findings
        ):
            yield f"the findings of step {step} are of another form"


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, int) or (isinstance(value, str) and len(value) <= 2 * _MAX_TEXT)


def _is_finding(rule: object, level: object) -> bool:
    return isinstance(rule, str) and _RULE.fullmatch(rule) is not None and level in ("error", "warning")


def result_digest(result: object) -> str:
    """SHA-256 of a step's stored result, lower-case hex: what a record holds of it."""
    return hashlib.sha256(json.dumps(result, sort_keys=True).encode()).hexdigest()


# --- The statement


def _statement(request: StatementRequest, service: str, judged: Judgement) -> bytes:
    record, results = request.record, request.results
    package = {
        "name": f"Signed_{record.submission_id}.zip",
        "digest": {"sha256": request.package_sha256},
        "mediaType": "application/zip",
    }
    checked = results["packageInfoValidation"]
    submitted = {
        "name": request.submitted_name,
        "digest": {"sha256": request.submitted_sha256},
        "annotations": {
            "signedContentSha256": record.package_sha256,
            **_repeated("packageInfoValidation", results),
        },
    }
    said = {
        "packageInfoValidation": {"findings": _counted_results(checked)},
        "preparation": {"findings": _counted(request.preparation_findings)},
        "scanning": _repeated("scanning", results),
        "validation": {"findings": _counted_results(results["validation"])},
        "manualReview": _repeated("manualReview", results) | _approved(judged),
    }
    steps = [
        {"name": step, "digest": {"sha256": digest}, **({"annotations": said[step]} if step in said else {})}
        for step, digest in sorted(record.finished_steps.items(), key=lambda item: (_place(item[0]), item[0]))
    ]
    document = {
        "_type": STATEMENT_TYPE,
        "subject": [package, *({"name": path, "digest": {"sha256": digest}} for path, digest in request.files)],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "accountId": record.account_id,
                    "productId": record.product_id,
                    "submissionId": record.submission_id,
                    **asdict(request.parameters),
                },
                "internalParameters": {"signing": _signing(request)},
                "resolvedDependencies": [submitted],
            },
            "runDetails": {
                "builder": {"id": service, "version": {"hwdash": __version__}},
                "metadata": {
                    "invocationId": f"{record.account_id}_{record.product_id}_{record.submission_id}",
                    "startedOn": _time(request.begun),
                    "finishedOn": _time(request.signed),
                },
                "byproducts": steps,
            },
        },
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _place(step: str) -> int:
    return REQUIRED_STEPS.index(step) if step in REQUIRED_STEPS else len(REQUIRED_STEPS)


def _signing(request: StatementRequest) -> dict[str, str]:
    certificate = x509.load_der_x509_certificate(request.certificate)
    return {
        "identity": request.identity,
        "keyId": key_id(certificate),
        "certificateSha256": certificate.fingerprint(hashes.SHA256()).hex(),
        "certificate": base64.b64encode(request.certificate).decode(),
    }


def _approved(judged: Judgement) -> dict[str, object]:
    """The officers whose approvals held here, and who of them took it upon themselves alone."""
    if not judged.officers:
        return {}
    told: dict[str, object] = {"officers": list(judged.officers), "officersNeeded": judged.needed}
    return told | ({"breakGlass": judged.broke_glass} if judged.broke_glass else {})


def _repeated(step: str, results: Mapping[str, Any]) -> dict[str, object]:
    return {name: results[step][name] for name in _SAID[step] if results[step].get(name) is not None}


def _counted_results(result: Mapping[str, Any]) -> list[dict[str, object]]:
    return _counted((each["rule"], each["level"]) for each in result.get("findings", ()))


def _counted(findings: Iterable[tuple[str, str]]) -> list[dict[str, object]]:
    """Each rule once, with how often it was found."""
    return [
        {"rule": rule, "level": level, "count": count} for (rule, level), count in sorted(Counter(findings).items())
    ]


def _time(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- The request on its way to the signer


def statement_document(request: StatementRequest) -> dict[str, object]:
    """A request as JSON."""
    rest = {each.name: getattr(request, each.name) for each in fields(request) if each.name != "record"}
    return {
        **rest,
        "record": record_document(request.record),
        "parameters": asdict(request.parameters),
        "certificate": base64.b64encode(request.certificate).decode(),
        "begun": request.begun.isoformat(),
        "signed": request.signed.isoformat(),
    }


def parse_statement_request(document: object) -> StatementRequest:
    """The request in a JSON document of ``statement_document``. Raises SigningRefused when it is none."""
    try:
        given = _members(document, StatementRequest)
        return StatementRequest(
            record=parse_record(_object(given["record"])),
            parameters=_parameters(given["parameters"]),
            submitted_name=_text(given["submitted_name"]),
            submitted_sha256=_text(given["submitted_sha256"]),
            results={_text(step): _object(result) for step, result in _object(given["results"]).items()},
            preparation_findings=[(_text(rule), _text(level)) for rule, level in given["preparation_findings"]],
            identity=_text(given["identity"]),
            certificate=base64.b64decode(_text(given["certificate"]), validate=True),
            begun=datetime.fromisoformat(_text(given["begun"])),
            signed=datetime.fromisoformat(_text(given["signed"])),
            package_sha256=_text(given["package_sha256"]),
            files=[(_text(path), _text(digest)) for path, digest in given["files"]],
        )
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise SigningRefused(f"the request has not the form of a request for a statement: {error}") from None


def _members(document: object, kind: type[StatementRequest | Parameters]) -> dict[str, Any]:
    given = _object(document)
    if set(given) != {each.name for each in fields(kind)}:
        raise ValueError("it has other members")
    return given


def _parameters(document: object) -> Parameters:
    given = _members(document, Parameters)
    return Parameters(
        productName=_text(given["productName"]),
        submissionName=_text(given["submissionName"]),
        testHarness=_text(given["testHarness"]),
        requestedSignatures=tuple(map(_text, given["requestedSignatures"])),
        isTestSign=given["isTestSign"] is True,
        isFlightSign=given["isFlightSign"] is True,
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is none")
    return value


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("an object is none")
    return value
