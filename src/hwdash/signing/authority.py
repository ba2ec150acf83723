"""The service's own certificate authority: what its signatures are made with and what its TLS stands on.

    hwdash Root CA, 20 years
      hwdash Issuing CA, 10 years, may not issue further CAs
        one certificate for each signing identity, 3 years
        hwdash timestamp authority, 3 years
        hwdash provenance, 3 years
    hwdash Preproduction Root CA, 20 years, may not issue further CAs
      hwdash preproduction signing, 3 years
    hwdash TLS CA, 10 years, held to the hosts it was made for
      hwdash server, 397 days

A sandbox has an authority of its own kind: the same tree, every name says SANDBOX, and all of it ends within 30 days.
The root's name is what tells the two kinds apart, and an authority never changes its kind.

The signing identities (contract/dashboard.md 72) have keys of their own, so that a policy can tell them apart:

    attestation  codeSigning, Windows Hardware Driver Verification, Windows Hardware Driver Attested Verification
    whql         codeSigning, Windows Hardware Driver Verification; it is the third EKU that tells "attested"
    test         codeSigning, Lifetime Signing: a policy that asks for hardware verification takes no test signature
                 for a released one, and a timestamp does not make it outlive its certificate
    flight       codeSigning, Preview Build Signing, Lifetime Signing: Windows' own EKU for preview builds
    preproduction
                 codeSigning, Lifetime Signing, and an issuer of its own (contract/api.md 11, item 54): only machines
                 that were given its root take these signatures, and they need trust no other of this service

The root of the preproduction identity signs its certificate itself: there is nothing else below it.

The keys of the two roots are not in the key folder but in a file of their own (signing/roots.py), or nowhere: a
sandbox ends before anything below its roots has to be made again. What they have signed is renewed with that file.

The timestamp authority (RFC 3161) has the usage timeStamping alone, marked critical; it signs no files. The provenance
key signs the statements beside signed packages (signing/provenance.py): it has a usage of our own alone, marked
critical, so that no machine takes its signature for one of code. It is always on P-256.

None of this is Microsoft's, and the names say so. Windows with Secure Boot does not load new kernel drivers for these
signatures unless the machine's own policy trusts this root.

In the key folder: ``root`` and ``preproduction-root`` (certificates alone), ``issuing``, one file an identity,
``timestamp`` and ``provenance``; in the TLS folder ``tls-ca`` and ``tls-server`` (signing/keys.py). Every time is
passed in, aware and in UTC.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from hwdash.signing.errors import KeysError
from hwdash.signing.issuance import (
    SANDBOX_WORD,
    ca_extensions,
    issued,
    leaf_extensions,
    own_name,
    self_signed,
)
from hwdash.signing.key_places import new_key
from hwdash.signing.keys import Credential, KeyFolder, PrivateKey, PublicKey

# The names of Windows' certutil for these OIDs; the first two also in facts/package-formats.md.
HARDWARE_DRIVER_VERIFICATION = ObjectIdentifier("1.3.6.1.4.1.311.10.3.5")
HARDWARE_DRIVER_ATTESTED_VERIFICATION = ObjectIdentifier("1.3.6.1.4.1.311.10.3.5.1")
LIFETIME_SIGNING = ObjectIdentifier("1.3.6.1.4.1.311.10.3.13")
PREVIEW_BUILD_SIGNING = ObjectIdentifier("1.3.6.1.4.1.311.10.3.27")

EXTENDED_KEY_USAGE: dict[str, tuple[ObjectIdentifier, ...]] = {
    "attestation": (
        ExtendedKeyUsageOID.CODE_SIGNING,
        HARDWARE_DRIVER_VERIFICATION,
        HARDWARE_DRIVER_ATTESTED_VERIFICATION,
    ),
    "whql": (ExtendedKeyUsageOID.CODE_SIGNING, HARDWARE_DRIVER_VERIFICATION),
    "test": (ExtendedKeyUsageOID.CODE_SIGNING, LIFETIME_SIGNING),
    "flight": (ExtendedKeyUsageOID.CODE_SIGNING, PREVIEW_BUILD_SIGNING, LIFETIME_SIGNING),
    "preproduction": (ExtendedKeyUsageOID.CODE_SIGNING, LIFETIME_SIGNING),
}
IDENTITIES = tuple(EXTENDED_KEY_USAGE)
PREPRODUCTION = "preproduction"
PREPRODUCTION_ROOT = "preproduction-root"
ROOTS = ("root", PREPRODUCTION_ROOT)
TIMESTAMP_AUTHORITY = "timestamp"
PROVENANCE = "provenance"
LEAVES = (*IDENTITIES, TIMESTAMP_AUTHORITY, PROVENANCE)

# A usage of our own, by UUID (ITU-T X.667).
PROVENANCE_STATEMENTS = ObjectIdentifier("2.25.220093024613538368718223338690109563765")

EV_CODE_SIGNING_POLICY = ObjectIdentifier("2.23.140.1.3")

# 128 bits of strength, which NIST SP 800-57 accepts beyond 2030: long enough for a root of 20 years.
RSA_BITS = 3072

# What a sandbox's signing certificates have: made at once, and enough for a month.
SANDBOX_RSA_BITS = 2048


@dataclass(frozen=True, slots=True)
class _Lives:
    """How long certificates last. One is replaced ``renewal`` before it ends."""

    root: timedelta
    ca: timedelta
    identity: timedelta
    tls_server: timedelta
    renewal: timedelta


_RELEASE = _Lives(
    root=timedelta(days=20 * 365),
    ca=timedelta(days=10 * 365),
    identity=timedelta(days=3 * 365),
    tls_server=timedelta(days=397),
    renewal=timedelta(days=30),
)
_MONTH = timedelta(days=30)
_SANDBOX = _Lives(root=_MONTH, ca=_MONTH, identity=_MONTH, tls_server=_MONTH, renewal=timedelta(days=1))
_HOST_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What a TLS server needs, and what its clients have to trust."""

    ca_certificate: Path
    certificate_and_key: Path  # PEM: the encrypted key, then the chain
    passphrase: str = field(repr=False)
    is_new_ca: bool  # clients that trusted an earlier CA must be given this one


def new_roots(now: datetime, *, key_size: int = RSA_BITS, sandbox: bool = False) -> dict[str, Credential]:
    """The two roots of a new authority, by name. They are in memory alone."""
    with ThreadPoolExecutor() as threads:
        made = threads.map(lambda name: _new_key(name, key_size, sandbox=sandbox), ROOTS)
        return {name: _root(name, key, now, sandbox=sandbox) for name, key in zip(ROOTS, made, strict=True)}


def ensure_authority(
    keys: KeyFolder,
    now: datetime,
    *,
    key_size: int = RSA_BITS,
    sandbox: bool = False,
    crl_url: str = "",
    roots: Mapping[str, Credential] | None = None,
) -> None:
    """Make what is missing of issuing CA, identities and timestamp authority; renew what ends within 30 days.

    Safe to repeat. ``roots`` are those whose keys are not in the folder: their certificates are stored in it. Without
    any, roots that are missing are made in the folder. A root is never replaced: machines trust it. Where the root's
    key is not there, what it has issued stays as it is, and certificates below end with it. ``sandbox`` makes the
    authority of a sandbox, whose CAs have keys on P-256 and whose identities have RSA keys of 2048 bits. ``crl_url`` is
    where the list of revoked certificates will be, for new certificates; empty: they do not say. Raises KeysError, also
    when a root has ended, and when the folder has an authority of the other kind.
    """
    lives, given = _SANDBOX if sandbox else _RELEASE, roots or {}
    with keys.locked():
        check_kind(keys, sandbox=sandbox)
        for name, credential in given.items():
            if not keys.has(name):
                keys.write_certificates(name, credential.chain)
            elif keys.certificates(name)[0] != credential.certificate:
                raise KeysError(f"{keys.file(name)} is of another root than the one that was given")
        for root in ROOTS:
            if keys.has(root) and not _lasts(keys, root, now, lives.renewal):
                raise KeysError(
                    f"the root certificate {keys.file(root)} ends within {lives.renewal.days} days: "
                    + (
                        "make a new sandbox"
                        if sandbox
                        else "move the key folder away, make a new authority and have it trusted on each machine"
                    )
                )
        due = _due(keys, now, lives, [name for name in ROOTS if name in given or keys.has_key(name)])
        with ThreadPoolExecutor() as threads:
            made = threads.map(lambda name: made_key(keys, name, key_size, sandbox=sandbox), due)
            new = dict(zip(due, made, strict=True))
        for name, key in new.items():
            keys.write(name, reissue(keys, name, key, now, sandbox=sandbox, crl_url=crl_url, roots=given))


def _due(keys: KeyFolder, now: datetime, lives: _Lives, at_hand: Sequence[str]) -> list[str]:
    """What is to be made, issuers first. ``at_hand`` are the roots that can sign."""
    due = [name for name in LEAVES if not _lasts(keys, name, now, lives.renewal)]
    below_issuing = set(due) - {PREPRODUCTION}
    roots = [root for root, needed in (("root", below_issuing), (PREPRODUCTION_ROOT, PREPRODUCTION in due)) if needed]
    missing = [root for root in roots if not keys.has(root)]
    if below_issuing and not _lasts(keys, "issuing", now, lives.identity):
        if not keys.has("issuing") or "root" in (*at_hand, *missing):
            return [*missing, "issuing", *due]
        # What would end no later than it does now is left alone.
        end = keys.certificates("issuing")[0].not_valid_after_utc
        due = [name for name in due if name == PREPRODUCTION or not _lasts(keys, name, end, timedelta())]
        if end < now + lives.renewal and set(due) - {PREPRODUCTION}:
            raise KeysError(
                f"the certificate {keys.file('issuing')} ends on {end:%Y-%m-%d}: renew it with hwdash admin key issue"
            )
    if PREPRODUCTION in due and keys.has(PREPRODUCTION) and PREPRODUCTION_ROOT not in (*at_hand, *missing):
        due.remove(PREPRODUCTION)
    return [*missing, *due]


def rotate(
    keys: KeyFolder,
    name: str,
    now: datetime,
    *,
    crl_url: str = "",
    key_size: int = RSA_BITS,
    roots: Mapping[str, Credential] | None = None,
) -> None:
    """Give the issuing CA or a leaf a new key and certificate; with the issuing CA everything below it, too.

    What the old certificates have signed stays valid: they are not revoked. Raises KeysError.
    """
    with keys.locked():
        sandbox = is_sandbox_authority(keys)
        if name == "issuing" and roots is None:
            keys.read("root")  # before anything is made
        for each in (name, *(LEAVES if name == "issuing" else ())):
            if each == PREPRODUCTION != name:
                continue
            key = made_key(keys, each, key_size, sandbox=sandbox)
            keys.write(each, reissue(keys, each, key, now, sandbox=sandbox, crl_url=crl_url, roots=roots))


def made_key(keys: KeyFolder, name: str, key_size: int = RSA_BITS, *, sandbox: bool) -> PrivateKey:
    """A new key for a name, where the folder has new ones made.

    That of statements is on P-256, whose signatures differ each time at such a place: it stays in the folder.
    """
    if keys.token and name not in (*ROOTS, PROVENANCE):
        return new_key(keys.token, keys.pin, name, SANDBOX_RSA_BITS if sandbox else key_size)
    return _new_key(name, key_size, sandbox=sandbox)


def _new_key(name: str, key_size: int, *, sandbox: bool) -> PrivateKey:
    if name == PROVENANCE or (sandbox and name not in IDENTITIES):
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65537, SANDBOX_RSA_BITS if sandbox else key_size)


def reissue(
    keys: KeyFolder,
    name: str,
    key: PrivateKey,
    now: datetime,
    *,
    sandbox: bool,
    crl_url: str = "",
    roots: Mapping[str, Credential] | None = None,
) -> Credential:
    """The new certificate of a root, the issuing CA or a leaf; what it is issued by is there, or in ``roots``."""
    if name in ROOTS:
        return _root(name, key, now, sandbox=sandbox)
    return Credential(key, issue(keys, name, key.public_key(), now, sandbox=sandbox, crl_url=crl_url, roots=roots))


def issue(
    keys: KeyFolder,
    name: str,
    key: PublicKey,
    now: datetime,
    *,
    sandbox: bool,
    crl_url: str = "",
    roots: Mapping[str, Credential] | None = None,
) -> tuple[x509.Certificate, ...]:
    """A certificate of the issuing CA or of a leaf for this key, and the chain above it without the root."""
    lives, given = _SANDBOX if sandbox else _RELEASE, roots or {}
    if name == "issuing":
        subject, extensions = own_name("Issuing CA", sandbox=sandbox), ca_extensions(path_length=0)
        root = given.get("root") or keys.read("root")
        return (issued(root, subject, key, now, lives.ca, extensions=extensions),)
    if name == TIMESTAMP_AUTHORITY:
        extensions = leaf_extensions([ExtendedKeyUsageOID.TIME_STAMPING], critical=True)
        subject = own_name("timestamp authority", sandbox=sandbox)
    elif name == PROVENANCE:
        extensions = leaf_extensions([PROVENANCE_STATEMENTS], critical=True)
        subject = own_name("provenance", sandbox=sandbox)
    else:
        extensions = leaf_extensions(EXTENDED_KEY_USAGE[name])
        subject = own_name(f"{name} signing", sandbox=sandbox)
    if name == PREPRODUCTION:
        root = given.get(PREPRODUCTION_ROOT) or keys.read(PREPRODUCTION_ROOT)
        return (issued(root, subject, key, now, lives.identity, extensions=extensions),)
    issuing = keys.read("issuing")
    if crl_url:
        point = x509.DistributionPoint([x509.UniformResourceIdentifier(crl_url)], None, None, None)
        extensions = [*extensions, (x509.CRLDistributionPoints([point]), False)]
    return (issued(issuing, subject, key, now, lives.identity, extensions=extensions), *issuing.chain)


def _root(name: str, key: PrivateKey, now: datetime, *, sandbox: bool) -> Credential:
    life = (_SANDBOX if sandbox else _RELEASE).root
    if name == PREPRODUCTION_ROOT:
        subject = own_name("Preproduction Root CA", sandbox=sandbox)
        return self_signed(subject, key, now, life, ca_extensions(path_length=0))
    return self_signed(own_name("Root CA", sandbox=sandbox), key, now, life, ca_extensions(path_length=None))


def is_sandbox_authority(keys: KeyFolder, name: str = "root") -> bool:
    """Whether the certificate of ``name`` (the root, or ``tls-ca``) is a sandbox's. Raises KeysError without one."""
    return is_sandbox_certificate(keys.certificates(name)[0])


def is_sandbox_certificate(certificate: x509.Certificate) -> bool:
    """Whether a certificate of ours is a sandbox's."""
    (common_name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return SANDBOX_WORD in str(common_name.value)


def check_kind(keys: KeyFolder, name: str = "root", *, sandbox: bool) -> None:
    """Refuse keys of the other kind: what a sandbox signs must never verify under a root that machines trust.

    Raises KeysError.
    """
    if keys.has(name):
        check_kind_of(keys.certificates(name)[0], str(keys.path), sandbox=sandbox)


def check_kind_of(root: x509.Certificate, holder: str, *, sandbox: bool) -> None:
    """Refuse a root of the other kind; ``holder`` is whoever holds its keys. Raises KeysError."""
    if is_sandbox_certificate(root) != sandbox:
        mine, other = ("a sandbox", "a release service") if sandbox else ("a release service", "a sandbox")
        raise KeysError(
            f"{holder} holds the keys of {other}, and this is {mine}: one never becomes the other, "
            "and their folders cannot be mixed. Restore the folder that belongs here, or make a new service"
        )


def has_signing_keys(keys: KeyFolder) -> bool:
    """Whether the folder holds the keys that every version of hwdash makes: ``ensure_authority`` adds what is newer."""
    return all(keys.has(name) for name in ("root", "issuing", "attestation", "whql", "test", "flight"))


def ensure_tls(folder: KeyFolder, hosts: Sequence[str], now: datetime, *, sandbox: bool = False) -> TlsFiles:
    """A TLS CA and a server certificate for these host names and addresses, made or renewed as needed. Safe to repeat.

    ``localhost``, ``127.0.0.1`` and ``::1`` are always added. Name constraints (RFC 5280 4.2.1.10) hold the CA to the
    hosts it was made for, so that who trusts it for this service trusts it for nothing else; a host outside them needs
    a new CA (``is_new_ca``). ``sandbox`` makes that of a sandbox. Raises KeysError for a host that is neither a DNS
    name nor an address, and for a CA of the other kind.
    """
    lives = _SANDBOX if sandbox else _RELEASE
    names = list(dict.fromkeys(_general_name(each) for each in (*hosts, "localhost", "127.0.0.1", "::1")))
    with folder.locked():
        check_kind(folder, "tls-ca", sandbox=sandbox)
        # A release CA must outlive the next server certificate; a sandbox's ends with its own.
        needed = lives.renewal if sandbox else lives.tls_server
        is_new_ca = not _lasts(folder, "tls-ca", now, needed) or not _permits(folder, names)
        if is_new_ca:
            permitted = x509.NameConstraints([_subtree(each) for each in names], None)
            extensions = [*ca_extensions(path_length=0), (permitted, True)]
            key = ec.generate_private_key(ec.SECP256R1())
            folder.write("tls-ca", self_signed(own_name("TLS CA", sandbox=sandbox), key, now, lives.ca, extensions))
        if is_new_ca or not _lasts(folder, "tls-server", now, lives.renewal) or not _covers(folder, names):
            extensions = [
                *leaf_extensions([ExtendedKeyUsageOID.SERVER_AUTH]),
                (x509.SubjectAlternativeName(names), False),
            ]
            key = ec.generate_private_key(ec.SECP256R1())
            ca = folder.read("tls-ca")
            subject = own_name("server", sandbox=sandbox)
            certificate = issued(ca, subject, key.public_key(), now, lives.tls_server, extensions=extensions)
            folder.write("tls-server", Credential(key, (certificate,)))
    passphrase = folder.passphrase.decode()
    return TlsFiles(folder.public_file("tls-ca"), folder.file("tls-server"), passphrase, is_new_ca)


def development_vendor_certificate(
    company: str, now: datetime, *, key_size: int = RSA_BITS
) -> tuple[rsa.RSAPrivateKey, list[x509.Certificate]]:
    """A code-signing certificate with the EV policy, such as a vendor has, for demonstrations: (key, [leaf, root]).

    The root is thrown away at once: nobody trusts it. The service itself never calls this.
    """
    root_key, key = (rsa.generate_private_key(65537, key_size) for _ in range(2))
    root = self_signed(
        own_name("throw-away vendor CA"), root_key, now, timedelta(days=366), ca_extensions(path_length=0)
    )
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.BUSINESS_CATEGORY, "Private Organization"),
            x509.NameAttribute(NameOID.JURISDICTION_COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, "development"),
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.LOCALITY_NAME, "Nowhere"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, company),
            x509.NameAttribute(NameOID.COMMON_NAME, company),
        ]
    )
    policy = x509.CertificatePolicies([x509.PolicyInformation(EV_CODE_SIGNING_POLICY, None)])
    extensions = [*leaf_extensions([ExtendedKeyUsageOID.CODE_SIGNING]), (policy, False)]
    leaf = issued(root, subject, key.public_key(), now, timedelta(days=365), extensions=extensions)
    return key, [leaf, root.certificate]


def _lasts(keys: KeyFolder, name: str, now: datetime, needed: timedelta) -> bool:
    """Whether there is such a certificate and it lasts that long."""
    return keys.has(name) and keys.certificates(name)[0].not_valid_after_utc >= now + needed


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        pass
    try:
        name = host.rstrip(".").encode("idna").decode() if not host.isascii() else host.rstrip(".")
    except UnicodeError:
        name = ""
    if not name or len(name) > 253 or not all(_HOST_LABEL.fullmatch(label) for label in name.split(".")):
        raise KeysError(f"{host!r} is neither a host name nor an IP address")
    return x509.DNSName(name.lower())


def _subtree(name: x509.GeneralName) -> x509.GeneralName:
    """The name as a permitted subtree: an address becomes a network of one."""
    if isinstance(name, x509.IPAddress):
        return x509.IPAddress(ipaddress.ip_network(name.value))
    return name


def _permits(folder: KeyFolder, names: Sequence[x509.GeneralName]) -> bool:
    extensions = folder.certificates("tls-ca")[0].extensions
    permitted = extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees or []
    return all(_subtree(each) in permitted for each in names)


def _covers(folder: KeyFolder, names: Sequence[x509.GeneralName]) -> bool:
    extensions = folder.certificates("tls-server")[0].extensions
    covered = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return all(each in covered for each in names)
