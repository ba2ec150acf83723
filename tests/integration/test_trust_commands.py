"""``hwdash trust``: the kit is what it says, and a real signed package gets its verdict."""

import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest
from asn1crypto import core
from asn1crypto import x509 as independent
from lxml import etree

from authenticode_oracle import signatory
from hwdash.drivers.authenticode import sign_catalog
from pki import unsigned_catalog
from service import HWDASH, SAMPLE, ApiClient, Served, download_url, hwdash, signed_cabinet

POLICY = "{urn:schemas-microsoft-com:sipolicy}"


@pytest.fixture(scope="module")
def kit(service: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kit") / "new" / "kit"
    told = json.loads(
        hwdash("trust", "export", "--output", str(folder), "--json", environment=service.made.environment)
    )
    assert told["folder"] == str(folder)
    assert told["files"] == sorted(each.name for each in folder.iterdir())
    return folder


def test_each_publisher_verifies_under_its_root_and_under_no_other(kit: Path) -> None:
    """openssl is the judge, of the PEM files; the DER files are the same certificates."""
    publishers = sorted(kit.glob("publisher-*.pem"))
    assert len(publishers) == 5
    for publisher in publishers:
        own, other = ("root", "preproduction-root")
        if publisher.name == "publisher-preproduction.pem":
            own, other = other, own
        for root, is_good in ((own, True), (other, False)):
            command = ["openssl", "verify", "-purpose", "any", "-CAfile", str(kit / f"{root}.pem")]
            if root == "root":
                command += ["-untrusted", str(kit / "issuing.pem")]
            done = subprocess.run([*command, str(publisher)], capture_output=True, text=True, check=False)
            assert (done.returncode == 0) == is_good, (publisher.name, root, done.stderr)
        der = subprocess.run(
            ["openssl", "x509", "-in", str(publisher), "-outform", "DER"], capture_output=True, check=True
        )
        assert der.stdout == publisher.with_suffix(".cer").read_bytes()


def test_no_private_key_is_in_the_kit(kit: Path) -> None:
    assert [each.name for each in kit.iterdir() if b"PRIVATE" in each.read_bytes()] == []


@pytest.mark.parametrize(
    ("script", "publishers"),
    [
        ("install-trust.ps1", {"publisher-attestation.cer", "publisher-whql.cer"}),
        ("install-test-trust.ps1", {"publisher-test.cer", "publisher-flight.cer", "publisher-preproduction.cer"}),
    ],
)
def test_a_script_imports_the_files_by_their_digests_into_the_stores(
    kit: Path, script: str, publishers: set[str]
) -> None:
    rows = re.findall(r"@\{ File = '(.+?)'; Store = '(\w+)'; Sha256 = '([0-9A-F]{64})' \}", (kit / script).read_text())
    stores = {file: store for file, store, _ in rows}
    assert {file for file, store in stores.items() if store == "TrustedPublisher"} == publishers
    assert stores["root.cer"] == "Root"
    assert stores["issuing.cer"] == "CA"
    for file, _, digest in rows:
        assert hashlib.sha256((kit / file).read_bytes()).hexdigest().upper() == digest


def test_the_app_control_signer_names_the_issuing_ca_by_what_its_issuer_signed(kit: Path) -> None:
    """asn1crypto takes the certificate apart, and encodes the usage."""
    policy = etree.parse(kit / "app-control-signer.xml").getroot()
    certificate = independent.Certificate.load((kit / "issuing.cer").read_bytes())
    signed = hashlib.new(certificate.hash_algo, certificate["tbs_certificate"].dump()).hexdigest().upper()
    (root,) = policy.iter(f"{POLICY}CertRoot")
    assert dict(root.attrib) == {"Type": "TBS", "Value": signed}
    (usage,) = policy.iter(f"{POLICY}EKU")
    encoded = core.ObjectIdentifier("1.3.6.1.4.1.311.10.3.5").dump()
    assert bytes.fromhex(usage.get("Value", "")) == b"\x01" + encoded[1:]
    assert [each.get("SignerId") for each in policy.iter(f"{POLICY}AllowedSigner")] == ["ID_SIGNER_HWDASH"] * 2


def test_the_page_says_it_plainly(kit: Path) -> None:
    page = (kit / "index.html").read_text("utf-8")
    assert "never loads a kernel driver" in page
    for file in kit.glob("*.cer"):
        assert hashlib.sha256(file.read_bytes()).hexdigest() in page


def test_a_folder_with_something_in_it_is_left_alone(kit: Path, service: Served) -> None:
    before = {each.name: each.read_bytes() for each in kit.iterdir()}
    code, said = _refused("export", "--output", str(kit), service=service)
    assert code == 1
    assert "is there already: name a new folder, or an empty one." in said
    assert {each.name: each.read_bytes() for each in kit.iterdir()} == before
    assert [each.name for each in kit.parent.iterdir()] == [kit.name]


def _verdict(*arguments: str, service: Served) -> dict[str, object]:
    found: dict[str, object] = json.loads(
        hwdash("trust", "verdict", *arguments, "--json", environment=service.made.environment)
    )
    return found


def test_a_signed_package_gets_its_verdict(client: ApiClient, service: Served, tmp_path: Path) -> None:
    done = client.submit(signed_cabinet(tmp_path, service.made.vendor))
    package = tmp_path / "signed.zip"
    package.write_bytes(client.http.get(download_url(done, "signedPackage"), headers={"Authorization": ""}).content)
    found = _verdict(str(package), "--windows", "11", "--secure-boot", "on", service=service)
    assert (found["kind"], found["identities"]) == ("kernel-mode", ["attestation"])
    assert found["kernelFiles"] == ["hwdash_sample/hwdash_sample.sys"]
    verdicts = found["verdicts"]
    assert isinstance(verdicts, list)
    assert [each["verdict"] for each in verdicts] == ["never loads"] * 3 + ["loads on conditions"]
    table = hwdash("trust", "verdict", str(package), environment=service.made.environment)
    assert "signed by hwdash attestation signing" in table
    assert "Driver Signing Policy" in table


def test_a_package_without_kernel_code_is_judged_as_such(service: Served, tmp_path: Path) -> None:
    folder = tmp_path / "only_inf"
    folder.mkdir()
    (folder / "hwdash_sample.inf").write_bytes((SAMPLE / "hwdash_sample.inf").read_bytes())
    found = _verdict(str(folder), service=service)
    assert (found["kind"], found["kernelFiles"], found["signers"]) == ("user-mode", [], [])


def _refused(*arguments: str, service: Served) -> tuple[int, str]:
    done = subprocess.run(
        [*HWDASH, "trust", *arguments],
        env=service.made.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_what_somebody_else_signed_is_not_judged(service: Served, tmp_path: Path) -> None:
    who = signatory()
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "hwdash_sample.inf").write_bytes((SAMPLE / "hwdash_sample.inf").read_bytes())
    catalog = sign_catalog(unsigned_catalog(), who.sign, who.certificates, source="x.cat")
    (folder / "hwdash_sample.cat").write_bytes(catalog)
    code, said = _refused("verdict", str(folder), service=service)
    assert code == 2
    assert "theirs is signed by Leaf, not by a service of hwdash" in said


def test_no_package_is_told(service: Served, tmp_path: Path) -> None:
    file = tmp_path / "no.cab"
    file.write_bytes(b"nothing")
    code, said = _refused("verdict", str(file), service=service)
    assert code == 1
    assert "no.cab" in said
