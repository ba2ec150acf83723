"""No client is spoken to in an old version of TLS, with a weak cipher, or by a key that is kept."""

import socket
import ssl
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hwdash.clock import system_clock
from hwdash.server.tls import server_context
from hwdash.signing.authority import ensure_tls
from hwdash.signing.keys import KeyFolder
from service import Served

OLD = ("-ssl3", "-tls1", "-tls1_1")
# The service's own key is on P-256.
WEAK = (
    *("ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-CCM8", "ECDHE-RSA-AES128-SHA"),
    *("AES128-SHA", "AES256-GCM-SHA384", "DHE-RSA-AES256-GCM-SHA384", "NULL", "aNULL", "RC4", "3DES"),
)
MODERN = ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305")


@contextmanager
def spoken(service: Served, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    url = urlsplit(service.url)
    with (
        socket.create_connection((url.hostname or "", url.port or 443), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname=url.hostname) as connection,
    ):
        yield connection


def trusting(service: Served, ciphers: str = "ALL:@SECLEVEL=0") -> ssl.SSLContext:
    """A client that takes whatever there is."""
    context = ssl.create_default_context(cafile=service.made.credentials["caCertificate"])
    context.set_ciphers(ciphers)
    return context


def s_client(service: Served, *options: str) -> str:
    """What openssl says of a handshake."""
    address = urlsplit(service.url).netloc
    command = ["openssl", "s_client", "-connect", address, "-servername", "localhost", *options]
    done = subprocess.run(command, input="", capture_output=True, text=True, check=False, timeout=30)
    return done.stdout + done.stderr


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_an_old_version_is_refused(service: Served, version: ssl.TLSVersion) -> None:
    context = trusting(service)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = version, version
    with pytest.raises((ssl.SSLError, ConnectionError)), spoken(service, context):
        pass


@pytest.mark.parametrize("option", OLD)
def test_openssl_finds_no_old_version(service: Served, option: str) -> None:
    said = s_client(service, option, "-cipher", "ALL:@SECLEVEL=0")
    assert "Cipher is ECDHE" not in said
    assert "Cipher is TLS_" not in said
    assert "HTTP" not in said


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_version_of_today_is_spoken(service: Served, version: ssl.TLSVersion) -> None:
    context = trusting(service, "DEFAULT")
    context.minimum_version = context.maximum_version = version
    with spoken(service, context) as connection:
        assert connection.version() == version.name.replace("_", ".")
        assert connection.compression() is None


@pytest.mark.parametrize("cipher", WEAK)
def test_a_weak_cipher_is_refused(service: Served, cipher: str) -> None:
    said = s_client(service, "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0")
    assert "Cipher is (NONE)" in said or "no cipher match" in said or "no ciphers available" in said


@pytest.mark.parametrize("cipher", MODERN)
def test_a_modern_cipher_is_spoken(service: Served, cipher: str) -> None:
    assert f"Cipher is {cipher}" in s_client(service, "-tls1_2", "-cipher", cipher)


def test_a_client_cannot_make_it_shake_hands_again_and_nothing_is_compressed(
    tmp_path: Path,
) -> None:
    folder = KeyFolder.open(tmp_path / "keys", {})
    context = server_context(ensure_tls(folder, [], system_clock(), sandbox=True))
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    names = [each["name"] for each in context.get_ciphers()]
    assert names
    assert all(name.startswith(("ECDHE-", "TLS_")) for name in names)
    assert all("GCM" in name or "CHACHA20" in name for name in names)


def test_plain_http_is_not_answered_on_the_port_of_tls(service: Served) -> None:
    url = urlsplit(service.url)
    with socket.create_connection((url.hostname or "", url.port or 443), timeout=30) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200" not in plain.recv(4096)
