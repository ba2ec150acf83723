"""The service runs, signs and renews without a root's key, and holds nothing that opens one.

A service is made as its operator makes it. What an attacker finds who owns all of its data folder is gathered: each
encrypted key, and each text that could be a passphrase; and each is tried on each.
"""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from hwdash.signing.roots import ROOT_FILE, read_roots
from service import Served, download_url, make_service, serve, signed_cabinet

KEY = re.compile(rb"-----BEGIN (?:ENCRYPTED )?PRIVATE KEY-----.+?-----END (?:ENCRYPTED )?PRIVATE KEY-----", re.DOTALL)
ROOTS = ("root", "preproduction-root")


def spki(key: Any) -> bytes:
    return bytes(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def opened(folder: Path) -> set[bytes]:
    """The public keys of all private keys that open with what stands in the folder."""
    files = [each.read_bytes() for each in folder.rglob("*") if each.is_file() and each.stat().st_size < 1 << 20]
    words = {line.strip() for content in files for line in content.splitlines() if 3 < len(line) < 100}
    short = {line for content in files if len(content) < 200 for line in [content.strip()] if line}
    found = set()
    for content in files:
        for block in KEY.findall(content):
            # A key of many rounds takes long to try: of all lines only those that nothing else explains.
            for word in short | {each for each in words if each.count(b"-") > 5 and b"-----" not in each}:
                try:
                    found.add(spki(load_pem_private_key(block, word).public_key()))
                except (ValueError, TypeError):
                    continue
    return found


@dataclass
class Carried:
    """A service whose root keys were carried away."""

    served: Served
    root_file: Path
    passphrase: str

    @property
    def data(self) -> Path:
        return self.served.made.data

    def public(self, name: str) -> bytes:
        return spki(x509.load_pem_x509_certificate((self.data / "keys" / f"{name}.crt").read_bytes()).public_key())


@pytest.fixture(scope="module")
def carried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Carried]:
    folder = tmp_path_factory.mktemp("offline")
    made = make_service(folder / "service", "--root-key", str(folder / "stick.pem"))
    with serve(made) as served:
        yield Carried(served, folder / "stick.pem", made.credentials["rootPassphrase"])


def test_nothing_in_the_data_folder_opens_a_root(carried: Carried) -> None:
    found = opened(carried.data)
    assert carried.public("issuing") in found  # the search finds what there is
    assert not found & {carried.public(name) for name in ROOTS}


def test_nor_does_it_while_the_file_still_lies_there(carried: Carried, tmp_path: Path) -> None:
    copy = shutil.copytree(carried.data, tmp_path / "copy")
    shutil.copy(carried.root_file, copy / ROOT_FILE)
    assert not opened(copy) & {carried.public(name) for name in ROOTS}
    (copy / "note").write_text(carried.passphrase)
    assert opened(copy) >= {carried.public(name) for name in ROOTS}


def test_the_file_that_was_carried_away_is_that_of_these_roots(carried: Carried) -> None:
    roots = read_roots(carried.root_file, carried.passphrase)
    assert {name: spki(each.key.public_key()) for name, each in roots.items()} == {
        name: carried.public(name) for name in ROOTS
    }


def test_it_signs_and_publishes_its_list_of_revoked_certificates(carried: Carried, tmp_path: Path) -> None:
    client = carried.served.client()
    submission = client.submit(signed_cabinet(tmp_path, carried.served.made.vendor))
    assert submission["workflowStatus"]["state"] == "completed"
    package = client.http.get(download_url(submission, "signedPackage"), headers={"Authorization": ""})
    assert package.status_code == 200
    crl = x509.load_der_x509_crl(client.http.get("/crl/issuing.crl").raise_for_status().content)
    issuing = x509.load_pem_x509_certificate((carried.data / "keys" / "issuing.crt").read_bytes())
    assert crl.is_signature_valid(issuing.public_key())  # type: ignore[arg-type]  # it is RSA
    client.http.close()


def test_the_passphrase_stands_in_no_file_and_not_in_the_log(carried: Carried) -> None:
    files = [*carried.data.rglob("*"), carried.served.log]
    secret = carried.passphrase.encode()
    assert [each for each in files if each.is_file() and secret in each.read_bytes()] == []


def test_a_root_file_that_was_left_in_the_data_folder_is_told_of(tmp_path: Path) -> None:
    made = make_service(tmp_path)
    assert Path(made.credentials["rootKey"]) == made.data / ROOT_FILE
    with serve(made) as served:
        pass
    assert "carry that file away" in served.log.read_text()
