"""What a statement of provenance says, held against the signed package and against what was submitted.

Its members: docs/reference/provenance.md.
"""

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from hwdash.cli.verification import Check, Examined, content_digest, examine_package, sha256_of, spooled
from hwdash.drivers.cab import CabinetLimits
from hwdash.drivers.dsse import Envelope, Verified, verify_envelope
from hwdash.drivers.errors import DriversError
from hwdash.drivers.extensions import common_name
from hwdash.pipeline.package_source import opened
from hwdash.signing.authority import PROVENANCE_STATEMENTS
from hwdash.signing.provenance import BUILD_TYPE, PAYLOAD_TYPE, PREDICATE_TYPE, SERVICE, STATEMENT_TYPE

MAX_ENVELOPE = 64 << 20


@dataclass(frozen=True, slots=True)
class Statement:
    """What a trusted statement says. Digests are SHA-256 in hex."""

    document: dict[str, Any]
    package_sha256: str
    files: dict[str, str]
    submitted_sha256: str
    signing_certificate_sha256: str
    submission: str
    """Ids of account, product and submission."""
    service: str

    @classmethod
    def read(cls, payload: bytes) -> "Statement":
        """ValueError for a payload of another kind; it is signed, so it is another program's, or of another version."""
        try:
            document = json.loads(payload)
            kinds = (document["_type"], document["predicateType"])
            built, run = document["predicate"]["buildDefinition"], document["predicate"]["runDetails"]
            if (*kinds, built["buildType"]) != (STATEMENT_TYPE, PREDICATE_TYPE, BUILD_TYPE):
                raise ValueError("it is of another kind")
            package, *files = document["subject"]
            (submitted,) = built["resolvedDependencies"]
            read = cls(
                document=document,
                package_sha256=package["digest"]["sha256"],
                files={each["name"]: each["digest"]["sha256"] for each in files},
                submitted_sha256=submitted["digest"]["sha256"],
                signing_certificate_sha256=built["internalParameters"]["signing"]["certificateSha256"],
                submission=run["metadata"]["invocationId"],
                service=run["builder"]["id"],
            )
            told = [*read.files, *read.files.values(), read.package_sha256, read.submitted_sha256, read.submission]
            if not all(isinstance(each, str) for each in told):
                raise ValueError("a name or a digest is no text")
        except (LookupError, TypeError, RecursionError) as error:
            raise ValueError(f"it has another form ({error})") from None
        return read


def check_evidence(
    package: Path, statement_file: Path, submitted: Path | None, roots: Sequence[x509.Certificate], now: datetime
) -> tuple[list[Check], Statement | None]:
    """Everything that ``hwdash verify`` checks. The statement is None when it is not to be believed.

    OSError when a file cannot be read; a statement that is not there is a check that failed.
    """
    examined = examine_package(package, roots, now)
    checks, statement = list(examined.checks), None
    if statement_file.is_file():
        found, statement = _check_provenance(statement_file, package.name, examined, roots, now)
        checks += found
    else:
        says = "is not there: nothing shows how the package was made. Download it, or give --provenance"
        checks.append(Check(statement_file.name, says, holds=False))
    if submitted is not None:
        checks += _check_submitted(submitted, statement, examined)
    return checks, statement


def _check_provenance(
    file: Path, package: str, examined: Examined, roots: Sequence[x509.Certificate], now: datetime
) -> tuple[list[Check], Statement | None]:
    """Check the envelope in ``file``, and that it is about this package."""
    with file.open("rb") as stream:
        content = stream.read(MAX_ENVELOPE + 1)
    try:
        if len(content) > MAX_ENVELOPE:
            raise ValueError(f"more than {MAX_ENVELOPE >> 20} MB are no statement")  # noqa: TRY301
        verified = verify_envelope(
            Envelope.parse(content, source=file.name),
            payload_type=PAYLOAD_TYPE,
            usage=PROVENANCE_STATEMENTS.dotted_string,
            roots=roots,
            now=now,
            source=file.name,
        )
        statement = Statement.read(verified.payload)
    except (DriversError, ValueError) as problem:
        return [Check(file.name, str(problem).removeprefix(f"{file.name}: "), holds=False)], None
    return [_signed(file.name, verified), *_about(statement, verified, file.name, package, examined)], statement


def _signed(name: str, verified: Verified) -> Check:
    chain = ", issued by ".join(map(common_name, verified.trust.chain))
    at = f", timestamp {verified.timestamp.when:%Y-%m-%d %H:%M:%S} UTC" if verified.timestamp else ", without timestamp"
    return Check(name, f"statement signed by {chain}{at}")


def _about(statement: Statement, verified: Verified, name: str, package: str, examined: Examined) -> Iterator[Check]:
    root = verified.trust.chain[-1].fingerprint(SHA256()).hex()
    if statement.service != SERVICE + root:
        yield Check(
            name, f"the statement names another service than the one that signed it: {statement.service}", False
        )
    if statement.package_sha256 == examined.sha256:
        yield Check(package, "is the package of the statement")
    else:
        says = f"is not the package of the statement: its SHA-256 is {examined.sha256}, not {statement.package_sha256}"
        yield Check(package, says, holds=False)
    if not examined.is_readable:
        return
    differing = list(_differing(statement.files, examined.files))
    yield from differing
    if not differing:
        yield Check(name, f"the digests of all {len(statement.files)} files are those of the statement")
    if examined.signers and examined.signers != {statement.signing_certificate_sha256}:
        says = f"was not signed by the certificate in the statement, {statement.signing_certificate_sha256}"
        yield Check(package, says, holds=False)
    if examined.submissions and examined.submissions != {statement.submission}:
        told = ", ".join(sorted(examined.submissions))
        yield Check(
            package, f"its catalogs are of submission {told}, the statement of {statement.submission}", holds=False
        )


def _differing(stated: dict[str, str], found: dict[str, str]) -> Iterator[Check]:
    for path in sorted(stated.keys() | found.keys()):
        if path not in found:
            yield Check(path, "is named in the statement and not in the package", holds=False)
        elif path not in stated:
            yield Check(path, "is in the package and not named in the statement", holds=False)
        elif found[path] != stated[path]:
            says = f"is not the file of the statement: its SHA-256 is {found[path]}, not {stated[path]}"
            yield Check(path, says, holds=False)


def _check_submitted(submitted: Path, statement: Statement | None, examined: Examined) -> list[Check]:
    """Check that ``submitted`` is what the statement says was uploaded, and that the signed package holds its files.

    The files are the same to the last byte, PE images but for their signature (with the CheckSum and the directory
    entry that go with it). Catalogs are the service's own.
    """
    checks = []
    with submitted.open("rb") as stream:
        digest = sha256_of(iter(lambda: stream.read(1 << 20), b""))
    if statement is not None and digest == statement.submitted_sha256:
        checks.append(Check(submitted.name, "is what was submitted, to the last byte"))
    elif statement is not None:
        says = f"is not what was submitted: its SHA-256 is {digest}, not {statement.submitted_sha256}"
        checks.append(Check(submitted.name, says, holds=False))
    if not examined.is_readable:
        return checks
    try:
        contents = _contents(submitted)
    except DriversError as problem:
        says = f"cannot be unpacked: {str(problem).removeprefix(f'{submitted.name}: ')}"
        return [*checks, Check(submitted.name, says, holds=False)]
    differing = []
    for path in sorted(contents.keys() | examined.contents.keys()):
        if path not in examined.contents:
            differing.append(Check(path, "was submitted and is not in the signed package", holds=False))
        elif path not in contents:
            differing.append(Check(path, "is in the signed package and was not submitted", holds=False))
        elif contents[path] != examined.contents[path]:
            differing.append(Check(path, "is not what was submitted", holds=False))
    if not differing:
        says = f"all {len(contents)} files in the signed package are as submitted, but for signatures"
        checks.append(Check(submitted.name, says))
    return [*checks, *differing]


def _contents(submitted: Path) -> dict[str, str]:
    """The digests of the submitted files, as ``Examined.contents`` has them."""
    contents = {}
    with tempfile.TemporaryDirectory() as folder, opened([submitted], submitted.name, Path(folder)) as source:
        source.container.check_limits(CabinetLimits())
        for file, pieces in source.container.extract():
            name = file.name.replace("\\", "/")
            with spooled(pieces) as content:
                if not name.lower().endswith(".cat"):
                    contents[name] = content_digest(content, name)[0]
    return contents
