"""What makes a client that knows nothing of hwdash take a sandbox for Microsoft's service: names and trust.

In a namespace of its own (namespace.py) the hosts file and the system's trust bundles are covered by copies that know
the sandbox. Clients that bring their own trust along are told by the variables that they read.
"""

import secrets
from collections.abc import Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption
from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12Certificate, serialize_java_truststore

from hwdash.sandbox.namespace import bind_over
from hwdash.sandbox.separation import IMPERSONATED

HOSTS = Path("/etc/hosts")
# Where distributions keep the bundle of CAs that programs trust.
BUNDLES = (
    Path("/etc/ssl/certs/ca-certificates.crt"),  # Debian, Ubuntu, Arch, Gentoo
    Path("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),  # Fedora, RHEL
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/etc/ssl/ca-bundle.pem"),  # SUSE
    Path("/var/lib/ca-certificates/ca-bundle.pem"),
    Path("/etc/ssl/cert.pem"),  # Alpine
    Path("/etc/pki/tls/cert.pem"),
    Path("/usr/lib/ssl/cert.pem"),
)
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_OWN = "HWDASH_"


def cover_the_machine(ca_certificate: Path, folder: Path) -> None:
    """Cover hosts file and trust bundles, for this namespace. The copies are made in ``folder``. Raises OSError."""
    hosts = folder / "hosts"
    hosts.write_text(hosts_file(_text(HOSTS)))
    bind_over(hosts, HOSTS)
    ca = ca_certificate.read_text("ascii")
    for number, bundle in enumerate(_installed_bundles()):
        copy = folder / f"bundle-{number}.pem"
        copy.write_text(f"{_text(bundle)}\n{ca}")
        copy.chmod(0o644)
        bind_over(copy, bundle)


def hosts_file(before: str) -> str:
    """A hosts file with both names at the loopback address, ahead of what it said before."""
    return f"127.0.0.1 localhost {' '.join(IMPERSONATED)}\n{before}"


def client_environment(environment: Mapping[str, str], ca_certificate: Path, folder: Path) -> dict[str, str]:
    """The environment of a client: its own, with trust in the sandbox and without proxies and settings of hwdash.

    Writes a bundle of the system's CAs and the sandbox's, and a trust store for Java, into ``folder``.
    """
    kept = {
        name: value
        for name, value in environment.items()
        if name.lower() not in _PROXIES and not name.startswith(_OWN) and name not in {"SSL_CERT_DIR"}
    }
    system = next((_text(each) for each in _installed_bundles()), "")
    bundle = folder / "trusted.pem"
    bundle.write_text(f"{system}\n{ca_certificate.read_text('ascii')}")
    store, password = folder / "trusted.p12", secrets.token_hex(16)
    store.write_bytes(java_trust_store(ca_certificate.read_bytes(), password))
    java = f"-Djavax.net.ssl.trustStore={store} -Djavax.net.ssl.trustStoreType=PKCS12"
    java = f"{kept.get('JAVA_TOOL_OPTIONS', '')} {java} -Djavax.net.ssl.trustStorePassword={password}".strip()
    return kept | {
        "SSL_CERT_FILE": str(bundle),  # OpenSSL: Python, .NET, Ruby; Go
        "REQUESTS_CA_BUNDLE": str(bundle),  # Python's requests, and the azure libraries on it
        "CURL_CA_BUNDLE": str(bundle),
        "NODE_EXTRA_CA_CERTS": str(ca_certificate),
        "JAVA_TOOL_OPTIONS": java,
    }


def java_trust_store(ca: bytes, password: str) -> bytes:
    """A PKCS#12 file in which Java finds the CA (PEM) as a trusted certificate."""
    certificate = PKCS12Certificate(x509.load_pem_x509_certificate(ca), b"hwdash sandbox")
    return serialize_java_truststore([certificate], BestAvailableEncryption(password.encode()))


def _installed_bundles() -> list[Path]:
    """The bundles that are there, each once: distributions link them to each other."""
    return list(dict.fromkeys(each.resolve() for each in BUNDLES if each.is_file()))


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace")
    except FileNotFoundError:
        return ""
