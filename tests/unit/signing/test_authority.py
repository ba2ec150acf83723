import http.server
import ssl
import subprocess
import threading
from datetime import datetime, timedelta
from itertools import combinations
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from hwdash.signing.authority import (
    IDENTITIES,
    PREPRODUCTION_ROOT,
    development_vendor_certificate,
    ensure_authority,
    ensure_tls,
    has_signing_keys,
)
from hwdash.signing.errors import KeysError
from hwdash.signing.keys import KeyFolder

CODE_SIGNING = "1.3.6.1.5.5.7.3.3"
WHQL = "1.3.6.1.4.1.311.10.3.5"
ATTESTED = "1.3.6.1.4.1.311.10.3.5.1"


def purposes(keys: KeyFolder, name: str) -> set[str]:
    extension = keys.certificates(name)[0].extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    return {each.dotted_string for each in extension.value}


RELEASE_IDENTITIES = tuple(name for name in IDENTITIES if name != "preproduction")
CAS = ("root", "issuing", PREPRODUCTION_ROOT)


@pytest.mark.parametrize("identity", RELEASE_IDENTITIES)
def test_openssl_verifies_every_identity_up_to_the_root(keys: KeyFolder, identity: str) -> None:
    command = ["openssl", "verify", "-x509_strict", "-purpose", "any", "-CAfile", keys.public_file("root")]
    command += ["-untrusted", keys.public_file("issuing"), keys.public_file(identity)]
    subprocess.run(command, check=True, capture_output=True)


def test_preproduction_has_an_issuer_of_its_own(keys: KeyFolder) -> None:
    """contract/api.md 11, item 54: separate issuers. Neither root vouches for what the other's identities sign."""
    leaf = keys.public_file("preproduction")
    command = ["openssl", "verify", "-x509_strict", "-purpose", "any", "-CAfile"]
    subprocess.run([*command, keys.public_file(PREPRODUCTION_ROOT), leaf], check=True, capture_output=True)
    for root, other in (("root", "preproduction"), (PREPRODUCTION_ROOT, "test")):
        intermediate = ["-untrusted", keys.public_file("issuing")]
        done = subprocess.run(
            [*command, keys.public_file(root), *intermediate, keys.public_file(other)], capture_output=True, check=False
        )
        assert done.returncode == 2
        assert b"unable to get" in done.stderr
    constraints = keys.certificates(PREPRODUCTION_ROOT)[0].extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)


def test_a_folder_of_an_older_version_gets_the_preproduction_issuer_alone(keys: KeyFolder, now: datetime) -> None:
    new = ("preproduction", PREPRODUCTION_ROOT)
    before = {path.name: path.read_bytes() for path in keys.path.iterdir() if path.stem not in new}
    for name in new:
        keys.file(name).unlink()
        keys.public_file(name).unlink()
    assert has_signing_keys(keys)
    ensure_authority(keys, now, key_size=2048)
    keys.certificates("preproduction")[0].verify_directly_issued_by(keys.certificates(PREPRODUCTION_ROOT)[0])
    assert {path.name: path.read_bytes() for path in keys.path.iterdir() if path.stem not in new} == before


def test_the_purposes_are_those_of_the_dashboard(keys: KeyFolder) -> None:
    """contract/dashboard.md 66: the presence of .5.1 tells an attested signature."""
    assert purposes(keys, "attestation") == {CODE_SIGNING, WHQL, ATTESTED}
    assert purposes(keys, "whql") == {CODE_SIGNING, WHQL}


def test_test_and_flight_signatures_cannot_pass_for_released_ones(keys: KeyFolder) -> None:
    for name in ("test", "flight", "preproduction"):
        assert CODE_SIGNING in purposes(keys, name)
        assert not purposes(keys, name) & {WHQL, ATTESTED}
    assert purposes(keys, "test") != purposes(keys, "flight")


def test_the_timestamp_authority_makes_timestamps_and_nothing_else(keys: KeyFolder) -> None:
    extension = keys.certificates("timestamp")[0].extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert [each.dotted_string for each in extension.value] == ["1.3.6.1.5.5.7.3.8"]
    assert extension.critical  # RFC 3161, 2.3
    assert "timestamp" not in IDENTITIES


def test_a_folder_of_an_older_version_gets_the_timestamp_authority_alone(keys: KeyFolder, now: datetime) -> None:
    assert has_signing_keys(keys)
    before = {path.name: path.read_bytes() for path in keys.path.iterdir() if path.stem != "timestamp"}
    keys.file("timestamp").unlink()
    assert has_signing_keys(keys)
    ensure_authority(keys, now, key_size=2048)
    leaf, issuing = keys.certificates("timestamp")
    leaf.verify_directly_issued_by(issuing)
    assert {path.name: path.read_bytes() for path in keys.path.iterdir() if path.stem != "timestamp"} == before
    keys.file("whql").unlink()
    assert not has_signing_keys(keys)


def test_identities_share_no_key(keys: KeyFolder) -> None:
    found = [keys.certificates(name)[0].public_key() for name in (*IDENTITIES, *CAS, "timestamp")]
    assert all(one != other for one, other in combinations(found, 2))


def test_every_name_says_hwdash_and_not_microsoft(keys: KeyFolder) -> None:
    for name in (*IDENTITIES, *CAS, "timestamp"):
        subject = keys.certificates(name)[0].subject
        assert (
            subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "hwdash (self-hosted, not Microsoft)"
        )
        assert str(subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value).startswith("hwdash ")


def test_the_issuing_ca_may_issue_no_ca(keys: KeyFolder) -> None:
    constraints = keys.certificates("issuing")[0].extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert (constraints.value.ca, constraints.value.path_length) == (True, 0)


def test_lives_are_as_documented_and_nested(keys: KeyFolder, now: datetime) -> None:
    ends = [keys.certificates(name)[0].not_valid_after_utc for name in ("whql", "issuing", "root")]
    assert ends == [now + timedelta(days=365 * years) for years in (3, 10, 20)]
    assert keys.certificates("whql")[0].not_valid_before_utc < now


def test_repeating_changes_nothing(keys: KeyFolder, now: datetime) -> None:
    before = {path.name: path.read_bytes() for path in keys.path.iterdir()}
    ensure_authority(keys, now + timedelta(days=365), key_size=2048)
    assert {path.name: path.read_bytes() for path in keys.path.iterdir()} == before


def test_what_a_crash_left_out_is_made(keys: KeyFolder, now: datetime) -> None:
    """A first run killed half-way: root and issuing CA there, some identities not."""
    before = keys.certificates("whql")
    keys.file("test").unlink()
    keys.file("flight").unlink()
    ensure_authority(keys, now, key_size=2048)
    assert keys.certificates("whql") == before
    assert keys.certificates("flight")[1] == keys.certificates("issuing")[0]


def test_an_identity_is_renewed_under_the_same_root_before_it_ends(keys: KeyFolder, now: datetime) -> None:
    later = now + timedelta(days=3 * 365 - 29)
    root, old = keys.certificates("root"), keys.certificates("attestation")[0]
    ensure_authority(keys, later, key_size=2048)
    new = keys.certificates("attestation")[0]
    assert keys.certificates("root") == root
    assert new.not_valid_after_utc == later + timedelta(days=3 * 365)
    assert new.public_key() != old.public_key()


def test_the_issuing_ca_is_renewed_when_it_would_cut_an_identity_short(keys: KeyFolder, now: datetime) -> None:
    later = now + timedelta(days=9 * 365)
    ensure_authority(keys, later, key_size=2048)
    leaf, issuing = keys.certificates("whql")
    assert leaf.not_valid_after_utc == later + timedelta(days=3 * 365)
    assert issuing == keys.certificates("issuing")[0]
    leaf.verify_directly_issued_by(issuing)
    issuing.verify_directly_issued_by(keys.certificates("root")[0])


def test_an_ended_root_is_not_replaced_silently(keys: KeyFolder, now: datetime) -> None:
    with pytest.raises(KeysError, match="have it trusted on each machine"):
        ensure_authority(keys, now + timedelta(days=20 * 365))


@pytest.fixture
def tls_folder(tmp_path: Path) -> KeyFolder:
    return KeyFolder.open(tmp_path / "tls", {})


def test_a_tls_client_that_trusts_the_ca_connects_by_each_name(tls_folder: KeyFolder, now: datetime) -> None:
    files = ensure_tls(tls_folder, ["build-1.contoso.example"], now)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate_and_key, password=files.passphrase)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = ssl.create_default_context(cafile=files.ca_certificate)
        client.verify_flags |= ssl.VERIFY_X509_STRICT
        for host in ("localhost", "127.0.0.1"):
            url = f"https://{host}:{server.server_port}/"
            assert httpx.head(url, verify=client).status_code == 200
            subprocess.run(["curl", "-sSI", "--cacert", files.ca_certificate, url], check=True, capture_output=True)
        server.shutdown()


@pytest.mark.parametrize(
    ("option", "name"),
    [("-verify_hostname", "build-1.contoso.example"), ("-verify_ip", "10.1.2.3"), ("-verify_ip", "::1")],
)
def test_openssl_accepts_hosts_and_addresses_under_the_name_constraints(
    tls_folder: KeyFolder, now: datetime, option: str, name: str
) -> None:
    files = ensure_tls(tls_folder, ["build-1.contoso.example", "10.1.2.3"], now)
    command = [
        "openssl",
        "verify",
        "-x509_strict",
        "-purpose",
        "sslserver",
        option,
        name,
        "-CAfile",
        files.ca_certificate,
    ]
    subprocess.run([*command, tls_folder.public_file("tls-server")], check=True, capture_output=True)


def test_the_tls_ca_cannot_vouch_for_another_host(tls_folder: KeyFolder, now: datetime, tmp_path: Path) -> None:
    """RFC 5280 4.2.1.10: a name outside the permitted subtrees is not acceptable, even if the CA signed it."""
    files = ensure_tls(tls_folder, ["build-1.contoso.example"], now)
    tls_folder.file("tls-ca").read_bytes()
    key = tmp_path / "bank.key"
    request = tmp_path / "bank.csr"
    extensions = tmp_path / "bank.ext"
    extensions.write_text("subjectAltName=DNS:bank.example\n")
    new = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/O=x"]
    subprocess.run([*new, "-keyout", key, "-out", request], check=True, capture_output=True)
    sign = ["openssl", "x509", "-req", "-in", request, "-CA", files.ca_certificate, "-CAkey", tls_folder.file("tls-ca")]
    sign += ["-passin", f"pass:{files.passphrase}", "-days", "1", "-extfile", extensions, "-out", tmp_path / "bank.crt"]
    subprocess.run(sign, check=True, capture_output=True)
    verify = ["openssl", "verify", "-CAfile", files.ca_certificate, tmp_path / "bank.crt"]
    found = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert "permitted subtree violation" in found.stderr


def test_the_server_certificate_is_renewed_and_the_ca_kept(tls_folder: KeyFolder, now: datetime) -> None:
    first = ensure_tls(tls_folder, ["build.example"], now)
    ca, server = tls_folder.certificates("tls-ca"), tls_folder.certificates("tls-server")
    again = ensure_tls(tls_folder, ["build.example"], now + timedelta(days=300))
    assert tls_folder.certificates("tls-server") == server
    ensure_tls(tls_folder, ["build.example"], now + timedelta(days=380))
    assert tls_folder.certificates("tls-server") != server
    assert tls_folder.certificates("tls-ca") == ca
    assert (first.is_new_ca, again.is_new_ca) == (True, False)


def test_a_host_outside_the_constraints_needs_a_new_ca_and_says_so(tls_folder: KeyFolder, now: datetime) -> None:
    ensure_tls(tls_folder, ["build.example"], now)
    assert ensure_tls(tls_folder, ["other.example"], now).is_new_ca
    names = tls_folder.certificates("tls-server")[0].extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.DNSName) == ["other.example", "localhost"]


def test_a_fewer_hosts_need_nothing_new(tls_folder: KeyFolder, now: datetime) -> None:
    ensure_tls(tls_folder, ["build.example", "BÜRO.example", "[fe80::1]"], now)
    before = tls_folder.certificates("tls-server")
    assert not ensure_tls(tls_folder, ["build.example."], now).is_new_ca
    assert tls_folder.certificates("tls-server") == before


@pytest.mark.parametrize(
    "host", ["", "a b", "-x.example", "x" * 64 + ".example", "https://x.example", "x..y", "ü" * 70]
)
def test_a_host_that_is_none_is_refused(tls_folder: KeyFolder, now: datetime, host: str) -> None:
    with pytest.raises(KeysError, match="neither a host name nor an IP address"):
        ensure_tls(tls_folder, [host], now)


def test_the_vendor_certificate_looks_like_an_ev_one(now: datetime, tmp_path: Path) -> None:
    key, (leaf, root) = development_vendor_certificate("Contoso Ltd", now, key_size=2048)
    leaf.verify_directly_issued_by(root)
    assert leaf.public_key() == key.public_key()
    policies = leaf.extensions.get_extension_for_class(x509.CertificatePolicies).value
    assert [each.policy_identifier.dotted_string for each in policies] == ["2.23.140.1.3"]
    assert leaf.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "Contoso Ltd"
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
