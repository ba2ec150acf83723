"""A compromised key signs nothing more, is on the published list at once, and cannot be left out of it.

openssl is the judge of lists and chains.
"""

import json
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from service import HWDASH, ApiClient, Served, download_url, hwdash, make_service, serve, signed_cabinet, until


@dataclass
class Compromised:
    """A service with a finished submission, whose certificate was revoked while it ran."""

    served: Served
    client: ApiClient
    folder: Path
    package: bytes
    first_list: bytes
    told: dict[str, Any]

    @property
    def keys(self) -> Path:
        return self.served.made.data / "keys"

    def crl(self) -> bytes:
        return _crl(self.client)


def _crl(client: ApiClient) -> bytes:
    answer = client.http.get("/crl/issuing.crl", headers={"Authorization": ""})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/pkix-crl"
    return answer.content


def _openssl(*words: object, stdin: bytes = b"") -> tuple[int, str]:
    done = subprocess.run(["openssl", *map(str, words)], input=stdin, capture_output=True, check=False)
    return done.returncode, (done.stdout + done.stderr).decode()


def _number(crl: bytes) -> int:
    _, said = _openssl("crl", "-inform", "DER", "-noout", "-crlnumber", stdin=crl)
    return int(said.strip().removeprefix("crlNumber=").removeprefix("0x"), 16)


def _serials(crl: bytes) -> list[str]:
    _, said = _openssl("crl", "-inform", "DER", "-noout", "-text", stdin=crl)
    return [line.split(":")[1].strip().lower().lstrip("0") for line in said.splitlines() if "Serial Number" in line]


def _signed(client: ApiClient, served: Served, folder: Path) -> tuple[dict[str, Any], bytes]:
    done = client.submit(signed_cabinet(folder, served.made.vendor))
    assert done["workflowStatus"]["state"] == "completed", done
    return done, client.http.get(download_url(done, "signedPackage"), headers={"Authorization": ""}).content


def _publisher(package: bytes) -> bytes:
    """PEM of what signed the catalog; openssl takes the signature apart."""
    with zipfile.ZipFile(BytesIO(package)) as archive:
        catalog = next(archive.read(name) for name in archive.namelist() if name.endswith(".cat"))
    _, said = _openssl("pkcs7", "-inform", "DER", "-print_certs", stdin=catalog)
    (block,) = (each for each in said.split("subject=")[1:] if "attestation signing" in each.splitlines()[0])
    return block[block.index("-----BEGIN") :].encode()


@pytest.fixture(scope="module")
def compromised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compromised]:
    folder = tmp_path_factory.mktemp("revoked")
    with serve(make_service(folder)) as served:
        client = served.client()
        submission, package = _signed(client, served, folder)
        first = _crl(client)
        words = ("admin", "recall", str(submission["id"]), "--reason", "the key was copied", "--revoke-certificate")
        told = json.loads(hwdash(*words, "--json", environment=served.made.environment))
        yield Compromised(served, client, folder, package, first, told)


def test_the_list_holds_the_serial_number_at_once_and_its_number_has_risen(compromised: Compromised) -> None:
    (serial,) = compromised.told["revokedCertificates"]
    assert _serials(compromised.first_list) == []
    until(lambda: _serials(compromised.crl()) == [serial], "the revoked certificate is not on the list", seconds=60)
    assert _number(compromised.crl()) > _number(compromised.first_list)


def test_openssl_verifies_the_list_and_that_it_will_be_renewed(compromised: Compromised) -> None:
    issuing = compromised.keys / "issuing.crt"
    code, said = _openssl("crl", "-inform", "DER", "-noout", "-CAfile", issuing, "-nextupdate", stdin=compromised.crl())
    assert (code, "verify OK" in said, "nextUpdate=" in said) == (0, True, True), said


def test_openssl_refuses_the_old_certificate_and_takes_the_new_one(compromised: Compromised) -> None:
    until(lambda: _serials(compromised.crl()) != [], "nothing is revoked", seconds=60)
    _, new = _signed(compromised.client, compromised.served, compromised.folder)
    crl = compromised.folder / "issuing.crl.pem"
    _openssl("crl", "-inform", "DER", "-out", crl, stdin=compromised.crl())
    results = []
    for package in (compromised.package, new):
        publisher = compromised.folder / "publisher.pem"
        publisher.write_bytes(_publisher(package))
        # Not -crl_check_all: the root keeps no list of its CAs.
        results.append(
            _openssl(
                "verify", "-purpose", "any", "-crl_check", "-CRLfile", crl,
                "-CAfile", compromised.keys / "root.crt", "-untrusted", compromised.keys / "issuing.crt", publisher,
            )
        )  # fmt: skip
    (old_code, old_said), (new_code, new_said) = results
    assert old_code != 0
    assert "certificate revoked" in old_said
    assert new_code == 0, new_said


def test_hwdash_tells_it_of_the_old_catalog(compromised: Compromised) -> None:
    until(lambda: _serials(compromised.crl()) != [], "nothing is revoked", seconds=60)
    folder = compromised.folder / "unpacked"
    with zipfile.ZipFile(BytesIO(compromised.package)) as archive:
        archive.extractall(folder)
    (catalog,) = folder.rglob("*.cat")
    crl = compromised.folder / "now.crl"
    crl.write_bytes(compromised.crl())
    command = ["cat", "verify", str(catalog), str(catalog.parent), "--ca", compromised.served.made.root_certificate]
    done = subprocess.run(
        [*HWDASH, *map(str, command), "--crl", str(crl)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "hwdash attestation signing was revoked on" in done.stderr
    assert "key_compromise" in done.stderr or "keyCompromise" in done.stderr


def test_revoking_again_revokes_no_new_certificate(compromised: Compromised) -> None:
    words = ("admin", "recall", str(compromised.told["submissionId"]), "--reason", "again", "--revoke-certificate")
    again = json.loads(hwdash(*words, "--json", environment=compromised.served.made.environment))
    assert again["revokedCertificates"] == compromised.told["revokedCertificates"]
    assert len(json.loads((compromised.keys / "revocations.json").read_text())) == 1
