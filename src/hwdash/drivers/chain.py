"""Who vouches for a signer: certificate chains to given roots, judged for one purpose at one time.

Sources: RFC 5280 (paths, CRLs); Microsoft's "Windows Authenticode Portable Executable Signature Format", "Extended Key
Usage" and "Time Stamp Processing with the Lifetime Signing Semantic"; RFC 3161 4.3 for timestamps. The verifier of
cryptography.x509 serves TLS: it asks for names, tells one reason, and knows neither CRLs nor a time that differs from
certificate to certificate, so the rules stand here. Signature mathematics is its own.

- The time is that of the timestamp where there is one that holds and whose own signer is trusted, unless the signer's
  certificate has the usage Lifetime Signing; else the time given.
- A chain's usages nest: each certificate that names any must name the one asked for. A signer without usages is
  accepted for code where the whole chain names none.
- A certificate that was revoked later than the time judged for was good then.
- Name constraints and policies are not processed: a certificate that has them as critical is refused.

Everything found is a ``Finding`` with a rule ``chain.*`` (docs/explanation/signing.md lists them). Nothing is fetched.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from hwdash.drivers.crl import RevocationList, revocation_findings
from hwdash.drivers.errors import ParseError
from hwdash.drivers.extensions import common_name, extended_key_usages, extension, extensions
from hwdash.drivers.findings import Finding, Level
from hwdash.drivers.signature import Signature
from hwdash.drivers.timestamp import TIME_STAMPING

CODE_SIGNING: Final = "1.3.6.1.5.5.7.3.3"
LIFETIME_SIGNING: Final = "1.3.6.1.4.1.311.10.3.13"
_ANY_USAGE: Final = "2.5.29.37.0"
_MAX_LENGTH: Final = 8
# What a hostile signature can make us do: so many signature checks, and so many whole chains judged.
_MAX_CHECKS: Final = 64
_MAX_CHAINS: Final = 16
_CLOCK_TOLERANCE: Final = timedelta(minutes=5)
_PROCESSED: Final = (
    x509.BasicConstraints,
    x509.KeyUsage,
    x509.ExtendedKeyUsage,
    x509.SubjectKeyIdentifier,
    x509.AuthorityKeyIdentifier,
    x509.SubjectAlternativeName,
    x509.IssuerAlternativeName,
    x509.CertificatePolicies,
    x509.CRLDistributionPoints,
    x509.AuthorityInformationAccess,
)


@dataclass(frozen=True, slots=True)
class Trust:
    """What was found out about a signer."""

    chain: tuple[x509.Certificate, ...]
    """The signer first; the root last, when one was reached, else as far as it leads."""
    when: datetime
    """The time that it was judged for."""
    findings: tuple[Finding, ...]
    timestamp: "Trust | None" = None
    """The same about the signer of the timestamp, where there is one."""

    @property
    def trusted(self) -> bool:
        """Whether no finding is an error."""
        return not any(each.level == "error" for each in self.findings)


def check_trust(
    signature: Signature,
    *,
    roots: Sequence[x509.Certificate],
    now: datetime,
    source: str,
    timestamp_roots: Sequence[x509.Certificate] | None = None,
    others: Sequence[x509.Certificate] = (),
    crls: Sequence[bytes] = (),
    allow_sha1: bool = False,
) -> Trust:
    """Judge the signer of a verified signature, at the time of its timestamp if that one is trusted, else ``now``.

    ``timestamp_roots`` are ``roots`` if not given. ``others`` are issuers beside those in the signature. ``crls`` (DER
    or PEM) are those to believe beside the ones sent along. ParseError when one of ``crls`` cannot be read.
    """
    lists = [RevocationList.read(each, source=source) for each in crls]
    for each in signature.crls:
        with suppress(ParseError):
            lists.append(RevocationList.read(each, source=source))
    when, findings, stamped = now, [], None
    at_hand = [*signature.certificates, *others]
    stamp = signature.timestamp
    if signature.timestamp_problem is not None:
        message = f"The timestamp does not count: {signature.timestamp_problem}."
        findings.append(_finding("timestamp", message, "Sign again, with a timestamp.", source, level="warning"))
    if stamp is not None:
        stamped = _check(
            stamp.signer,
            roots=roots if timestamp_roots is None else timestamp_roots,
            others=[*stamp.certificates, *at_hand],
            lists=lists,
            when=stamp.when,
            now=now,
            usage=TIME_STAMPING,
            source=f"{source} (timestamp)",
            allow_sha1=allow_sha1,
        )
        if LIFETIME_SIGNING in _usages(signature.signer):
            pass
        elif stamp.when > now + _CLOCK_TOLERANCE:
            message = f"The timestamp of {stamp.when:%Y-%m-%d %H:%M:%S} UTC is of the future and does not count."
            remedy = "Set the clock of this machine, or of the timestamp authority."
            findings.append(_finding("timestamp", message, remedy, source, level="warning"))
        elif not stamped.trusted:
            message = f"The timestamp of {common_name(stamp.signer)} is not trusted and does not count."
            remedy = "Give its root certificate, if you trust it."
            findings.append(_finding("timestamp", message, remedy, source, level="warning"))
        else:
            when = stamp.when
    trust = _check(
        signature.signer,
        roots=roots,
        others=at_hand,
        lists=lists,
        when=when,
        now=now,
        usage=CODE_SIGNING,
        source=source,
        allow_sha1=allow_sha1,
    )
    return replace(trust, findings=(*findings, *trust.findings), timestamp=stamped)


def check_chain(
    signer: x509.Certificate,
    *,
    roots: Sequence[x509.Certificate],
    when: datetime,
    source: str,
    now: datetime | None = None,
    usage: str = CODE_SIGNING,
    others: Sequence[x509.Certificate] = (),
    crls: Sequence[bytes] = (),
    allow_sha1: bool = False,
) -> Trust:
    """Judge a certificate at the time ``when``: does a chain lead from it to one of ``roots``, good for ``usage``?

    ``others`` are possible issuers in between, trusted no more than the signer. CRLs (DER or PEM) must be current
    ``now`` (``when`` if not given). ``allow_sha1`` makes SHA-1 in certificates a warning, for reports. Times carry a
    time zone. ParseError when a CRL cannot be read.
    """
    return _check(
        signer,
        roots=roots,
        others=others,
        lists=[RevocationList.read(each, source=source) for each in crls],
        when=when,
        now=when if now is None else now,
        usage=usage,
        source=source,
        allow_sha1=allow_sha1,
    )


def _check(
    signer: x509.Certificate,
    *,
    roots: Sequence[x509.Certificate],
    others: Sequence[x509.Certificate],
    lists: Sequence[RevocationList],
    when: datetime,
    now: datetime,
    usage: str,
    source: str,
    allow_sha1: bool,
) -> Trust:
    """The first chain without an error; else the one with the fewest, rather one that ends with a root."""
    best: tuple[tuple[bool, int], Trust] | None = None
    search = _Search(roots, others)
    for number, (chain, anchored) in enumerate(search.chains(signer)):
        if number == _MAX_CHAINS:
            break
        findings = [
            *([] if anchored else [_not_anchored(chain, source)]),
            *_judge(chain, when, usage, source, anchored=anchored, allow_sha1=allow_sha1),
            *revocation_findings(chain, lists, when=when, now=now, source=source),
        ]
        found = Trust(chain, when, tuple(findings))
        if found.trusted:
            return found
        badness = (not anchored, sum(each.level == "error" for each in findings))
        if best is None or badness < best[0]:
            best = (badness, found)
    return best[1] if best is not None else Trust((signer,), when, (_not_anchored((signer,), source),))


class _Search:
    """Looks for chains, depth first, with a bound on all the work it does."""

    def __init__(self, roots: Sequence[x509.Certificate], others: Sequence[x509.Certificate]) -> None:
        self._roots = {each.fingerprint(_THUMBPRINT) for each in roots}
        self._by_subject: dict[x509.Name, list[x509.Certificate]] = {}
        seen: set[bytes] = set()
        for each in (*roots, *others):
            thumbprint = each.fingerprint(_THUMBPRINT)
            if thumbprint not in seen:
                seen.add(thumbprint)
                self._by_subject.setdefault(each.subject, []).append(each)
        self._checks = _MAX_CHECKS

    def chains(self, signer: x509.Certificate) -> Iterator[tuple[tuple[x509.Certificate, ...], bool]]:
        """Chains from the signer on, and whether each one ends with a root; those that do not lead on come as well."""
        pending: list[tuple[x509.Certificate, ...]] = [(signer,)]
        while pending:
            chain = pending.pop()
            last = chain[-1]
            if last.fingerprint(_THUMBPRINT) in self._roots:
                yield chain, True
                continue
            issuers = [] if len(chain) == _MAX_LENGTH else list(self._issuers(last, chain))
            # The likeliest is to be taken next, so it goes last.
            pending.extend((*chain, issuer) for issuer in reversed(issuers))
            if not issuers:
                yield chain, False

    def _issuers(
        self, certificate: x509.Certificate, chain: tuple[x509.Certificate, ...]
    ) -> Iterator[x509.Certificate]:
        """Those that signed it, roots first, then those whose key the certificate names (RFC 5280, 4.2.1.1)."""
        wanted = _key_identifier(certificate)
        candidates = sorted(
            self._by_subject.get(certificate.issuer, ()),
            key=lambda each: (each.fingerprint(_THUMBPRINT) not in self._roots, _own_key_identifier(each) != wanted),
        )
        for each in candidates:
            if each in chain or not self._checks:
                continue
            self._checks -= 1
            if _is_issued_by(certificate, each):
                yield each


_THUMBPRINT: Final = hashes.SHA256()


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the names fit and the issuer's key signed the certificate; by SHA-1 too, which a finding tells."""
    try:
        if _signature_digest(certificate) != "sha1":
            certificate.verify_directly_issued_by(issuer)
            return True
        # verify_directly_issued_by does not read SHA-1.
        key, parameters = issuer.public_key(), certificate.signature_algorithm_parameters
        tbs = certificate.tbs_certificate_bytes
        if isinstance(key, rsa.RSAPublicKey) and isinstance(parameters, padding.PKCS1v15):
            key.verify(certificate.signature, tbs, parameters, hashes.SHA1())  # nosec B303 # noqa: S303 - what callers allowed
            return True
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        pass
    return False


def _key_identifier(certificate: x509.Certificate) -> bytes | None:
    with suppress(ParseError):
        found = extension(certificate, x509.AuthorityKeyIdentifier)
        return found.key_identifier if found is not None else None
    return None


def _own_key_identifier(certificate: x509.Certificate) -> bytes | None:
    with suppress(ParseError):
        found = extension(certificate, x509.SubjectKeyIdentifier)
        return found.digest if found is not None else None
    return None


def _usages(certificate: x509.Certificate) -> frozenset[str]:
    with suppress(ParseError):
        return extended_key_usages(certificate)[0]
    return frozenset()


# --- Judged


def _judge(
    chain: tuple[x509.Certificate, ...],
    when: datetime,
    usage: str,
    source: str,
    *,
    anchored: bool,
    allow_sha1: bool,
) -> Iterator[Finding]:
    readable = True
    for number, each in enumerate(chain):
        is_root = anchored and number == len(chain) - 1
        yield from _validity(each, when, source)
        yield from _strength(each, source, is_root=is_root, allow_sha1=allow_sha1)
        try:
            yield from _extension_findings(each, source)
            if number == 0 and not is_root:
                yield from _signer_findings(each, usage, source)
            elif number:
                yield from _issuer_findings(chain, number, source, is_root=is_root)
        except ParseError as error:
            readable = False
            message = f"{common_name(each)}: {error.message}."
            yield _finding("unreadable", message, "Have the certificate issued anew.", source)
    if readable:
        yield from _usage_findings(chain, usage, source)


def _validity(certificate: x509.Certificate, when: datetime, source: str) -> Iterator[Finding]:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if when < begin:
        message = (
            f"{common_name(certificate)} is valid from {begin:%Y-%m-%d %H:%M:%S} UTC, after {when:%Y-%m-%d %H:%M:%S}."
        )
        yield _finding("not-yet-valid", message, "Check the clock, or sign with a certificate that is valid.", source)
    if when > end:
        message = f"{common_name(certificate)} ended on {end:%Y-%m-%d %H:%M:%S} UTC, before {when:%Y-%m-%d %H:%M:%S}."
        remedy = "Sign with a certificate that is valid; a timestamp lets a signature outlive it."
        yield _finding("expired", message, remedy, source)


def _strength(certificate: x509.Certificate, source: str, *, is_root: bool, allow_sha1: bool) -> Iterator[Finding]:
    name = common_name(certificate)
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        key = None
    remedy = (
        "Have the certificate issued anew, with a key that is RSA of 2048 bits or more, or ECDSA on P-256 or P-384."
    )
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < 2048:
            yield _finding(
                "weak-key", f"{name} has an RSA key of {key.key_size} bits; 2048 are the least.", remedy, source
            )
    elif not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(
        key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1
    ):
        yield _finding("weak-key", f"{name} has a key of a kind that is not used to sign code.", remedy, source)
    if is_root:
        return  # A root is trusted by itself, not for its signature.
    digest = _signature_digest(certificate)
    if digest not in ("sha256", "sha384", "sha512"):
        level: Level = "warning" if digest == "sha1" and allow_sha1 else "error"
        message = f"The certificate {name} is signed with {(digest or 'an unknown digest').upper()}, which is too weak."
        yield _finding("weak-digest", message, "Have it issued anew, with SHA-256.", source, level=level)


def _signature_digest(certificate: x509.Certificate) -> str | None:
    try:
        digest = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None
    return digest.name if digest is not None else None


def _extension_findings(certificate: x509.Certificate, source: str) -> Iterator[Finding]:
    for each in extensions(certificate):
        if each.critical and not isinstance(each.value, _PROCESSED):
            message = f"{common_name(certificate)} has the critical extension {each.oid.dotted_string}, not known here."
            yield _finding("critical-extension", message, "Use a certificate without it.", source)


def _signer_findings(certificate: x509.Certificate, usage: str, source: str) -> Iterator[Finding]:
    usages = extension(certificate, x509.KeyUsage)
    if usages is not None and not (usages.digital_signature or (usage == TIME_STAMPING and usages.content_commitment)):
        message = f"The key usage of {common_name(certificate)} leaves out digital signatures."
        yield _finding("key-usage", message, "Sign with a certificate that is made for signing.", source)


def _issuer_findings(
    chain: tuple[x509.Certificate, ...], number: int, source: str, *, is_root: bool
) -> Iterator[Finding]:
    issuer = chain[number]
    name, remedy = common_name(issuer), "Have the certificate issued by a proper authority."
    constraints = extension(issuer, x509.BasicConstraints)
    # A version 1 root has no extensions: it is an authority because it is trusted as one.
    if constraints is None and not (is_root and issuer.version is x509.Version.v1):
        yield _finding("no-authority", f"{name} has no basic constraints, so it may not issue.", remedy, source)
    elif constraints is not None and not constraints.ca:
        yield _finding("no-authority", f"{name} is no certificate authority, so it may not issue.", remedy, source)
    elif constraints is not None and constraints.path_length is not None:
        below = sum(each.subject != each.issuer for each in chain[1:number])
        if below > constraints.path_length:
            message = f"{name} allows {constraints.path_length} authorities below it; there are {below}."
            yield _finding("path-length", message, remedy, source)
    usages = extension(issuer, x509.KeyUsage)
    if usages is not None and not usages.key_cert_sign:
        yield _finding("key-usage", f"The key usage of {name} leaves out signing certificates.", remedy, source)


def _usage_findings(chain: tuple[x509.Certificate, ...], usage: str, source: str) -> Iterator[Finding]:
    named = [extended_key_usages(each)[0] for each in chain]
    purpose = {CODE_SIGNING: "code signing", TIME_STAMPING: "timestamps"}.get(usage, usage)
    remedy = f"Use a certificate that is issued for {purpose}."
    if not named[0] and (any(named) or usage != CODE_SIGNING):
        message = f"{common_name(chain[0])} names no usage, so it is not for {purpose}."
        yield _finding("extended-key-usage", message, remedy, source)
    for each, usages in zip(chain, named, strict=True):
        if usages and usage not in usages and (each is chain[0] or _ANY_USAGE not in usages):
            message = f"The extended key usages of {common_name(each)} leave out {purpose}."
            yield _finding("extended-key-usage", message, remedy, source)


def _not_anchored(chain: tuple[x509.Certificate, ...], source: str) -> Finding:
    last = chain[-1]
    if last.subject == last.issuer:
        message = f"The chain ends with {common_name(last)}, which is not among the roots given."
    elif len(chain) == _MAX_LENGTH:
        message = f"After {_MAX_LENGTH} certificates the chain has reached none of the roots given."
    else:
        message = f"No certificate at hand issued {common_name(last)}: {last.issuer.rfc4514_string()} did."
    return _finding("untrusted", message, "Give the root if you trust it, and the certificates in between.", source)


def _finding(rule: str, message: str, remedy: str, source: str, *, level: Level = "error") -> Finding:
    return Finding(f"chain.{rule}", level, message, remedy, source)
