"""Certificate revocation lists (RFC 5280, 5 and 6.3), given as bytes: nothing is fetched."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

from cryptography import x509

from hwdash.drivers.errors import ParseError
from hwdash.drivers.extensions import UNREADABLE, common_name, extension
from hwdash.drivers.findings import Finding

_PROCESSED: Final = (
    x509.AuthorityKeyIdentifier,
    x509.CRLNumber,
    x509.IssuingDistributionPoint,
    x509.DeltaCRLIndicator,
    x509.FreshestCRL,
)


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A CRL that reads well; whose it is, ``of`` tells."""

    crl: x509.CertificateRevocationList
    is_delta: bool
    scope: x509.IssuingDistributionPoint | None
    is_usable: bool
    """Without critical extensions that are not known, and not indirect."""

    @classmethod
    def read(cls, content: bytes, *, source: str) -> "RevocationList":
        """Read DER or PEM. ParseError when it is no CRL."""
        try:
            load = x509.load_pem_x509_crl if content.startswith(b"-----") else x509.load_der_x509_crl
            crl = load(content)
            listed = list(crl.extensions)
            _ = crl.issuer, crl.last_update_utc, crl.next_update_utc
        except UNREADABLE as error:
            raise ParseError(f"a CRL cannot be read ({error})", source=source, field="crls") from None
        scope = next((each.value for each in listed if isinstance(each.value, x509.IssuingDistributionPoint)), None)
        unknown = any(each.critical and not isinstance(each.value, _PROCESSED) for each in listed)
        delta = any(isinstance(each.value, x509.DeltaCRLIndicator) for each in listed)
        return cls(crl, delta, scope, not unknown and (scope is None or not scope.indirect_crl))

    def covers(self, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        """Whether it speaks of certificates such as this one, and this issuer signed it."""
        if not self.is_usable or self.crl.issuer != issuer.subject:
            return False
        if self.scope is not None:
            constraints = extension(certificate, x509.BasicConstraints)
            is_authority = constraints is not None and constraints.ca
            if (self.scope.only_contains_user_certs and is_authority) or self.scope.only_contains_attribute_certs:
                return False
            if self.scope.only_contains_ca_certs and not is_authority:
                return False
        usages = extension(issuer, x509.KeyUsage)
        if usages is not None and not usages.crl_sign:
            return False
        try:
            # Its digest must not be one that can be forged.
            digest = self.crl.signature_hash_algorithm
            key = issuer.public_key()
            strong = digest is not None and digest.name in ("sha1", "sha256", "sha384", "sha512")
            return strong and self.crl.is_signature_valid(key)  # type: ignore[arg-type]
        except UNREADABLE:
            return False

    def is_current(self, now: datetime) -> bool:
        """Whether it lists all that is revoked ``now``."""
        end = self.crl.next_update_utc
        complete = not self.is_delta and (self.scope is None or self.scope.only_some_reasons is None)
        return complete and self.crl.last_update_utc <= now and (end is None or now <= end)

    def revoked(self, certificate: x509.Certificate) -> tuple[datetime, str] | None:
        """Since when the certificate is revoked, and why; None when it is not listed.

        An invalidity date (RFC 5280, 5.3.2) is earlier than the revocation: from then on its signatures do not count.
        """
        number = certificate.serial_number
        if number >= 0:
            entry = self.crl.get_revoked_certificate_by_serial_number(number)
        else:
            # Not allowed, but there are such certificates; the library searches only for others.
            entry = next((each for each in self.crl if each.serial_number == number), None)
        if entry is None:
            return None
        since, reason = entry.revocation_date_utc, "unspecified"
        try:
            for each in entry.extensions:
                if isinstance(each.value, x509.InvalidityDate):
                    since = min(since, each.value.invalidity_date_utc)
                elif isinstance(each.value, x509.CRLReason):
                    reason = each.value.reason.value
        except UNREADABLE:
            reason = "unreadable"
        return since, reason


def revocation_findings(
    chain: Sequence[x509.Certificate], lists: Sequence[RevocationList], *, when: datetime, now: datetime, source: str
) -> Iterator[Finding]:
    """What CRLs say of a chain (the signer first) that signed at ``when``; nothing when there are no CRLs at all."""
    if not lists:
        return
    for certificate, issuer in pairwise(chain):
        name = common_name(certificate)
        try:
            own = [each for each in lists if each.covers(certificate, issuer)]
        except ParseError:
            own = []
        if revocations := [found for each in own if (found := each.revoked(certificate)) is not None]:
            since, reason = min(revocations)
            told = f"{name} was revoked on {since:%Y-%m-%d %H:%M:%S} UTC ({reason})"
            if since <= when:
                message, remedy = f"{told}, no later than it signed.", "Do not use what it signed."
                yield Finding("chain.revoked", "error", message, remedy, source)
            else:
                message = f"{told}, after it signed at {when:%Y-%m-%d %H:%M:%S}."
                yield Finding("chain.revoked-later", "warning", message, "Nothing need be done.", source)
        elif not own:
            message = f"No CRL given tells whether {name} was revoked."
            yield Finding("chain.no-crl", "warning", message, f"Give the CRL of {common_name(issuer)}.", source)
        elif not any(each.is_current(now) for each in own):
            message = f"The CRL of {common_name(issuer)} is not current, so that {name} may be revoked by now."
            yield Finding("chain.stale-crl", "error", message, "Give its latest CRL.", source)
