"""``hwdash cat`` on catalogs that this project signs, with openssl and osslsigncode as witnesses."""

import json
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from authenticode_oracle import NOW, Signatory, osslsigncode, signatory
from hwdash.drivers.authenticode import content_digest, signed_attributes, signed_data
from hwdash.drivers.catalog import CATALOG_CONTENT_TYPE, CatalogMember, certificate_trust_list
from hwdash.drivers.catalog_files import CatalogFile
from service import HWDASH, SAMPLE, clean_environment

ENVIRONMENT = clean_environment()
HEADER = [("OS", "_v100_X64"), ("HWID1", "root\\hwdash_sample")]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*HWDASH, "cat", *map(str, arguments)]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)


def document(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout.splitlines()[-1])


def catalog_of(files: list[Path], *, version: int = 2, who: Signatory | None = None) -> bytes:
    measured = map(CatalogFile.measure, files)
    members = [CatalogMember(each.path.name, each.is_pe, each.sha1, each.sha256, "2:10.0") for each in measured]
    content = certificate_trust_list(members, list_id=bytes(range(16)), when=NOW, attributes=HEADER, version=version)
    attributes = signed_attributes(CATALOG_CONTENT_TYPE, content_digest(content), program_name="V", url=None)
    who = who or signatory()
    return signed_data(
        CATALOG_CONTENT_TYPE,
        content,
        certificates=who.certificates,
        attributes=attributes,
        signature=who.sign(attributes),
    )


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The sample driver with a catalog of ours, d.cat, beside its files."""
    folder = tmp_path / "driver"
    shutil.copytree(SAMPLE, folder)
    files = [path for path in sorted(folder.iterdir()) if path.suffix != ".cat"]
    (folder / "d.cat").write_bytes(catalog_of(files))
    return folder


def root_of(folder: Path) -> Path:
    return signatory().files(folder)[0]


def crl(folder: Path, *, revoked: x509.Certificate) -> Path:
    """A revocation list of another authority than the root: it must not be believed, nor be in the way."""
    key = rsa.generate_private_key(65537, 2048)
    entry = x509.RevokedCertificateBuilder().serial_number(revoked.serial_number).revocation_date(NOW).build()
    made = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Other")]))
        .last_update(NOW - timedelta(hours=1))
        .next_update(NOW + timedelta(days=1))
        .add_revoked_certificate(entry)
        .sign(key, hashes.SHA256())
    )
    (file := folder / "other.crl").write_bytes(made.public_bytes(serialization.Encoding.DER))
    return file


# show


def test_show_tells_what_stands_in_the_catalog(package: Path) -> None:
    done = run("show", package / "d.cat", "--json")
    assert done.returncode == 0, done.stderr
    told = document(done)
    assert (told["version"], told["attributes"]) == (2, [list(pair) for pair in HEADER])
    assert (told["signer"], told["timestamp"], told["problem"]) == ("CN=Leaf", None, None)
    inf = CatalogFile.measure(package / "hwdash_sample.inf")
    assert {
        "file": "hwdash_sample.inf",
        "sha1": inf.sha1.hex(),
        "sha256": inf.sha256.hex(),
        "kind": "flat",
        "osAttr": "2:10.0",
    } in told["members"]
    assert {each["file"]: each["kind"] for each in told["members"]}["hwdash_sample.sys"] == "pe"
    printed = run("show", package / "d.cat").stdout
    assert "signer: CN=Leaf\n" in printed
    assert f"SHA-256: {inf.sha256.hex()}" in printed
    assert "HWID1: root\\hwdash_sample" in printed


def test_show_shows_a_changed_catalog_and_says_so(package: Path) -> None:
    catalog = package / "d.cat"
    digest = CatalogFile.measure(package / "hwdash_sample.inf").sha256
    catalog.write_bytes(catalog.read_bytes().replace(digest, bytes(32)))
    done = run("show", catalog, "--json")
    assert done.returncode == 0
    assert "changed" in document(done)["problem"]
    assert "signature: " in run("show", catalog).stdout


def test_show_shows_version_1_with_absent_digests_as_null(package: Path) -> None:
    (package / "d.cat").write_bytes(catalog_of([package / "hwdash_sample.inf"], version=1))
    told = document(run("show", package / "d.cat", "--json"))
    assert told["version"] == 1
    (member,) = told["members"]
    assert member["sha1"]
    assert member["sha256"] is None


def test_show_refuses_what_is_no_catalog(package: Path) -> None:
    done = run("show", package / "hwdash_sample.inf")
    assert done.returncode == 1
    assert "hwdash_sample.inf" in done.stderr
    assert "Traceback" not in done.stderr


# verify


def test_verify_accepts_what_osslsigncode_accepts(package: Path, tmp_path: Path) -> None:
    root = root_of(tmp_path)
    good, output = osslsigncode("verify", "-CAfile", root, "-catalog", package / "d.cat", package / "hwdash_sample.sys")
    assert good, output
    done = run("verify", package / "d.cat", package, "--ca", root, "--json")
    assert done.returncode == 0, done.stderr
    results = {Path(each["file"]).name: each["result"] for each in document(done)["files"]}
    assert results == {path.name: "ok" for path in package.iterdir() if path.suffix != ".cat"}


def test_verify_says_that_trust_was_not_checked(package: Path) -> None:
    done = run("verify", package / "d.cat", package / "hwdash_sample.inf")
    assert (done.returncode, done.stdout) == (0, f"{package / 'hwdash_sample.inf'}: ok\n")
    assert "--ca" in done.stderr


def test_verify_names_the_changed_and_the_unlisted_file(package: Path) -> None:
    (package / "hwdash_sample.inf").write_bytes(b"other")
    (package / "new.txt").write_bytes(b"new")
    done = run("verify", package / "d.cat", package, "--json")
    assert done.returncode == 1
    results = {Path(each["file"]).name: each["result"] for each in document(done)["files"]}
    assert results["hwdash_sample.sys"] == "ok"
    assert "changed" in results["hwdash_sample.inf"]
    assert "not listed" in results["new.txt"]


def test_verify_refuses_every_file_of_a_catalog_whose_signature_does_not_hold(package: Path) -> None:
    raw = bytearray((package / "d.cat").read_bytes())
    raw[-1] ^= 1
    (package / "d.cat").write_bytes(raw)
    done = run("verify", package / "d.cat", package / "hwdash_sample.inf")
    assert done.returncode == 1
    assert "does not verify" in done.stdout


def test_verify_asks_who_signed_and_when(package: Path, tmp_path: Path) -> None:
    root = root_of(tmp_path)
    another = tmp_path / "another.pem"
    another.write_bytes(signatory("ec").root.public_bytes(serialization.Encoding.PEM))
    file = package / "hwdash_sample.inf"
    verify = ["verify", package / "d.cat", file]
    refused = run(*verify, "--ca", another)
    assert refused.returncode == 1
    assert "the signer is not trusted" in refused.stdout
    later = (NOW + timedelta(days=3650)).isoformat()
    expired = run(*verify, "--ca", root, "--at", later)
    assert expired.returncode == 1
    assert "ended on" in expired.stdout
    assert run(*verify, "--ca", root, "--crl", crl(tmp_path, revoked=signatory().leaf)).returncode == 0


def test_verify_takes_sha1_only_when_told_to(package: Path) -> None:
    file = package / "hwdash_sample.inf"
    (package / "d.cat").write_bytes(catalog_of([file], version=1))
    refused = run("verify", package / "d.cat", file)
    assert refused.returncode == 1
    assert "SHA-1" in refused.stdout
    assert run("verify", package / "d.cat", file, "--allow-sha1").returncode == 0


@pytest.mark.parametrize(
    "options",
    [["--at", "2026-01-01"], ["--crl", "d.cat"], ["--ca", "hwdash_sample.inf"], ["--at", "soon", "--ca", "d.cat"]],
)
def test_wrong_usage_is_told(package: Path, options: list[str]) -> None:
    given = [package / each if (package / each).exists() else each for each in options]
    done = run("verify", package / "d.cat", package, *given)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_without_files_is_told(package: Path, tmp_path: Path) -> None:
    (empty := tmp_path / "empty").mkdir()
    assert run("verify", package / "d.cat", empty).returncode == 2


# rebuild


def test_rebuild_proves_that_a_package_holds_what_was_catalogued(package: Path, tmp_path: Path) -> None:
    """The list is one that openssl verifies as signed."""
    done = run("rebuild", package / "d.cat", package)
    assert (done.returncode, done.stdout) == (0, "identical\n")
    assert document(run("rebuild", package / "d.cat", package, "--json")) == {"identical": True, "differences": []}
    command: list[object] = ["openssl", "smime", "-verify", "-inform", "DER", "-purpose", "any"]
    command += ["-CAfile", root_of(tmp_path), "-in", package / "d.cat", "-out", tmp_path / "out"]
    (tmp_path / "body").write_bytes(list_octets((package / "d.cat").read_bytes()))
    command += ["-content", tmp_path / "body"]
    witness = subprocess.run([str(each) for each in command], capture_output=True, text=True, check=False)
    assert witness.returncode == 0, witness.stderr


def list_octets(catalog: bytes) -> bytes:
    """The list's content, found without our reader: from behind the content type to the certificates."""
    dumped = subprocess.run(
        ["openssl", "asn1parse", "-inform", "DER"], input=catalog, capture_output=True, check=True
    ).stdout.decode()
    lines = dumped.splitlines()
    at = next(number for number, line in enumerate(lines) if "1.3.6.1.4.1.311.10.1" in line or ":msCTLSign" in line)
    offset, _, rest = lines[at + 2].strip().partition(":")
    header, length = (int(part.split("=")[1]) for part in rest.replace("l= ", "l=").split() if part[:2] in ("hl", "l="))
    return catalog[int(offset) + header : int(offset) + header + length]


def test_rebuild_says_where_it_first_differs(package: Path) -> None:
    (package / "hwdash_sample.inf").write_bytes(b"other")
    done = run("rebuild", package / "d.cat", package, "--json")
    assert done.returncode == 1
    told = document(done)
    assert told["identical"] is False
    assert told["differences"][0]["where"] == "member hwdash_sample.inf"
    assert 0 < told["differences"][0]["offset"] < (package / "d.cat").stat().st_size
    printed = run("rebuild", package / "d.cat", package)
    assert printed.stdout.startswith("member hwdash_sample.inf, offset 0x")


def test_rebuild_names_a_missing_file_and_one_too_many(package: Path) -> None:
    (package / "new.txt").write_bytes(b"new")
    (package / "hwdash_sample.inf").unlink()
    done = run("rebuild", package / "d.cat", package)
    assert done.returncode == 1
    assert "member hwdash_sample.inf" in done.stdout.splitlines()[0]
    assert f"file {package / 'new.txt'}" in done.stdout.splitlines()[-1]
