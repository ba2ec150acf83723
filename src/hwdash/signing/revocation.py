"""Certificates of the issuing CA that are revoked, and the list of them (CRL, RFC 5280 section 5) that machines read.

Both are files of the key folder: ``revocations.json``, which is only added to, and ``issuing.crl``, the last list that
was signed. The list is signed in the signer's process, from that file and nothing else: a service that was taken over
cannot leave a certificate out of it. Its number counts up, and it lasts for a week, of which it is used for a day.
"""

import json
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from hwdash.signing.authority import (
    IDENTITIES,
    PREPRODUCTION,
    is_sandbox_authority,
    made_key,
    reissue,
)
from hwdash.signing.errors import KeysError
from hwdash.signing.keys import Credential, KeyFolder, write_atomically

REVOCATIONS_FILE = "revocations.json"
CRL_FILE = "issuing.crl"
CRL_LIFE = timedelta(days=7)
CRL_RENEWAL = timedelta(days=1)
_BACKDATING = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Revocation:
    """A revoked certificate: its serial number, whose it was, since when and why."""

    serial: int
    identity: str
    when: datetime
    why: str


def read_revocations(folder: Path) -> list[Revocation]:
    """What is revoked, oldest first. Raises KeysError when the file is damaged: then nothing may be signed."""
    file = folder / REVOCATIONS_FILE
    try:
        return [
            Revocation(int(each["serial"], 16), each["identity"], datetime.fromisoformat(each["when"]), each["why"])
            for each in json.loads(file.read_text("utf-8"))
        ]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise KeysError(f"{file} cannot be read ({error}): restore it, or revoked certificates are forgotten") from None


def revoke(keys: KeyFolder, certificate: x509.Certificate, why: str, now: datetime, *, crl_url: str = "") -> Revocation:
    """Revoke a certificate of a signing identity, for a compromised key, and give the identity a new key if it is the
    one in use.

    Safe to repeat; what a crash has left is finished. Raises KeysError, also for a certificate of another issuer.
    """
    with keys.locked():
        issuing = keys.certificates("issuing")[0]
        try:
            certificate.verify_directly_issued_by(issuing)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise KeysError(f"{certificate.subject.rfc4514_string()} is not of this service's issuing CA") from error
        known = read_revocations(keys.path)
        current = {name: keys.certificates(name)[0] for name in IDENTITIES if name != PREPRODUCTION}
        same = [name for name, each in current.items() if each.subject == certificate.subject]
        if not same:
            raise KeysError(f"{certificate.subject.rfc4514_string()} is the certificate of no signing identity")
        found = next((each for each in known if each.serial == certificate.serial_number), None)
        if found is None:
            found = Revocation(certificate.serial_number, same[0], now, why)
            # First this, then the new key: a crash between leaves a certificate that signs nothing any more.
            _write(keys.path, [*known, found])
        _replace_revoked(keys, now, crl_url)
    return found


def replace_revoked(keys: KeyFolder, now: datetime, *, crl_url: str = "") -> None:
    """Give each identity whose certificate is revoked a new key: what a crash has left undone. Raises KeysError."""
    if read_revocations(keys.path):
        with keys.locked():
            _replace_revoked(keys, now, crl_url)


def _replace_revoked(keys: KeyFolder, now: datetime, crl_url: str) -> None:
    revoked = {each.serial for each in read_revocations(keys.path)}
    sandbox = is_sandbox_authority(keys)
    for name in IDENTITIES:
        if keys.certificates(name)[0].serial_number in revoked:
            key = made_key(keys, name, sandbox=sandbox)
            keys.write(name, reissue(keys, name, key, now, sandbox=sandbox, crl_url=crl_url))


def _write(folder: Path, revocations: list[Revocation]) -> None:
    document: list[dict[str, Any]] = [
        {"serial": f"{each.serial:x}", "identity": each.identity, "when": each.when.isoformat(), "why": each.why}
        for each in revocations
    ]
    write_atomically(folder / REVOCATIONS_FILE, json.dumps(document, indent=2).encode(), mode=0o600)


class CrlSigner:
    """Signs the list of revoked certificates with the issuing CA's key. In the signer's process only.

    ``known`` is the state of the folder (``keys_state``) from before the keys in use were read.
    """

    def __init__(self, keys: KeyFolder, known: frozenset[tuple[str, int, int]]) -> None:
        self._issuing: Credential = keys.read("issuing")
        self._folder = keys.path
        self._known = known

    @property
    def is_outdated(self) -> bool:
        """Something was revoked or replaced since the keys were loaded: what is loaded may not sign any more."""
        return keys_state(self._folder) != self._known

    def crl(self, now: datetime) -> bytes:
        """The current list, DER: the last one, unless something was revoked since or it is a day old."""
        revocations = read_revocations(self._folder)
        last = self._last()
        if last is not None and self._is_current(last, revocations, now):
            return last.public_bytes(Encoding.DER)
        signed = self._signed(revocations, 1 if last is None else _number(last) + 1, now)
        write_atomically(self._folder / CRL_FILE, signed, mode=0o644)
        return signed

    def _last(self) -> x509.CertificateRevocationList | None:
        try:
            return x509.load_der_x509_crl((self._folder / CRL_FILE).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise KeysError(f"{self._folder / CRL_FILE} cannot be read ({error}): its number would be lost") from None

    def _is_current(self, crl: x509.CertificateRevocationList, revocations: list[Revocation], now: datetime) -> bool:
        return (
            crl.is_signature_valid(self._issuing.certificate.public_key())  # type: ignore[arg-type]
            and {each.serial_number for each in crl} == {each.serial for each in revocations}
            and crl.last_update_utc <= now < crl.last_update_utc + CRL_RENEWAL
        )

    def _signed(self, revocations: list[Revocation], number: int, now: datetime) -> bytes:
        above = self._issuing.certificate
        identifier = above.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(above.subject)
            .last_update(now - _BACKDATING)
            .next_update(now + CRL_LIFE)
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        )
        for each in revocations:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(each.serial)
                .revocation_date(each.when)
                .add_extension(x509.CRLReason(x509.ReasonFlags.key_compromise), critical=False)
                .build()
            )
        return builder.sign(self._issuing.key, hashes.SHA256()).public_bytes(Encoding.DER)


def keys_state(folder: Path) -> frozenset[tuple[str, int, int]]:
    """Changes with each revocation, and with each key or certificate that is replaced. Raises KeysError."""
    try:
        with os.scandir(folder) as entries:
            files = [each for each in entries if each.name == REVOCATIONS_FILE or each.name.endswith(".pem")]
        states = [(each.name, each.stat()) for each in files if not each.name.startswith(".")]
    except OSError as error:
        raise KeysError(f"the key folder {folder} cannot be read: {error.strerror}") from error
    return frozenset((name, state.st_mtime_ns, state.st_ino) for name, state in states)


def _number(crl: x509.CertificateRevocationList) -> int:
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
