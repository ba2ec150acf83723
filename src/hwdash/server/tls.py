"""TLS as the service speaks it: 1.2 and 1.3, with ephemeral keys and authenticated ciphers only.

Every client from Windows 10, OpenSSL 1.0.2, Java 8 or .NET 4.6 on has them. Source: RFC 9325.
"""

import ssl

from hwdash.signing.authority import TlsFiles

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2, by OpenSSL's names; those of TLS 1.3 are all of this kind."""


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """The context of a server with this certificate and key."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    # One handshake a connection: no client makes the service do another (CVE-2011-1473), no compression (CRIME).
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.load_cert_chain(files.certificate_and_key, password=files.passphrase)
    return context
