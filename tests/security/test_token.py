"""A signing key that was made on a PKCS#11 token cannot be read out of it, and the service signs by it.

The token is a real one of SoftHSM's, and the service one that ``hwdash init --token`` made.
"""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pkcs11
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hwdash.signing.authority import IDENTITIES, ROOTS
from hwdash.signing.errors import KeysError
from hwdash.signing.keys import KeyFolder
from hwdash.signing.pkcs11 import TokenKey, TokenUri
from hwdash.signing.process import SignerProcess
from service import HWDASH, Made, clean_environment, hwdash, initialised, serve, signed_cabinet

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "1" + str(int.from_bytes(os.urandom(4), "big"))
URI = f"pkcs11:token=hwdash%20test?module-path={MODULE}"
ON_TOKEN = ("issuing", "timestamp", *IDENTITIES)


@dataclass
class OnToken:
    made: Made
    keys: KeyFolder


@pytest.fixture(scope="module")
def on_token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnToken]:
    folder = tmp_path_factory.mktemp("token")
    (folder / "tokens").mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(configuration))
        slot = ["softhsm2-util", "--init-token", "--free", "--label", "hwdash test", "--so-pin", PIN, "--pin", PIN]
        subprocess.run(slot, check=True, capture_output=True)
        (folder / "pin").write_text(PIN)
        made = initialised(folder, "--token", URI, HWDASH_KEY_PIN_FILE=str(folder / "pin"))
        yield OnToken(made, KeyFolder.open(made.data / "keys", made.environment))


def test_the_keys_are_on_the_token_and_in_no_file(on_token: OnToken) -> None:
    for name in ON_TOKEN:
        text = on_token.keys.file(name).read_text()
        assert "PRIVATE KEY" not in text
        assert TokenUri.parse(on_token.keys.token_key(name)).token == "hwdash test"
        assert PIN not in text
    assert not any(on_token.keys.has_key(name) for name in ROOTS)


@pytest.mark.parametrize("name", ON_TOKEN)
def test_no_part_of_a_private_key_can_be_read_out(on_token: OnToken, name: str) -> None:
    key = on_token.keys.read(name).key
    assert isinstance(key, TokenKey)
    private = key._private
    assert private[pkcs11.Attribute.NEVER_EXTRACTABLE]
    assert private[pkcs11.Attribute.ALWAYS_SENSITIVE]
    for attribute in ("PRIVATE_EXPONENT", "PRIME_1", "PRIME_2", "EXPONENT_1", "EXPONENT_2", "COEFFICIENT"):
        with pytest.raises(pkcs11.AttributeSensitive):
            private[pkcs11.Attribute[attribute]]
    for read_out in (key.private_numbers, lambda: key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())):
        with pytest.raises(KeysError, match="stays where it is"):
            read_out()


def test_it_signs_as_its_certificate_says_and_the_same_each_time(on_token: OnToken) -> None:
    credential = on_token.keys.read("attestation")
    signature = credential.key.sign(b"content", padding.PKCS1v15(), hashes.SHA256())
    credential.certificate.public_key().verify(signature, b"content", padding.PKCS1v15(), hashes.SHA256())
    assert credential.key.sign(b"content", padding.PKCS1v15(), hashes.SHA256()) == signature


def test_a_service_signs_a_package_by_it_and_rotates_on_it(on_token: OnToken, tmp_path: Path) -> None:
    made, before = on_token.made, on_token.keys.token_key("attestation")
    with serve(made) as served:
        client = served.client()
        for _ in range(2):
            done = client.submit(signed_cabinet(tmp_path, made.vendor))
            assert done["workflowStatus"]["state"] == "completed", done
            hwdash("admin", "key", "rotate", "attestation", environment=made.environment)
        assert client.http.get("/crl/issuing.crl").status_code == 200
        client.http.close()
    assert on_token.keys.token_key("attestation") != before
    assert PIN not in served.log.read_text()


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [({"HWDASH_KEY_PIN": "wrong pin"}, "the PIN is wrong"), ({}, "needs a PIN: set HWDASH_KEY_PIN")],
)
def test_without_the_right_pin_there_is_no_signer(
    on_token: OnToken, environment: dict[str, str], complaint: str
) -> None:
    with pytest.raises(KeysError, match=complaint):
        SignerProcess.start(on_token.made.data / "keys", environment=environment)


def test_a_key_that_could_be_read_out_is_not_used(on_token: OnToken) -> None:
    issuing = on_token.keys.read("issuing").key
    assert isinstance(issuing, TokenKey)
    _, loose = issuing._private.session.generate_keypair(
        pkcs11.KeyType.RSA,
        2048,
        label="loose",
        store=True,
        private_template={pkcs11.Attribute.SENSITIVE: False, pkcs11.Attribute.EXTRACTABLE: True},
    )
    with pytest.raises(KeysError, match="could be read out"):
        TokenKey(replace(issuing.uri, key="loose"), loose)


@pytest.mark.parametrize(
    "uri", ["pkcs11:token=x", "pkcs11:?module-path=x", "x", f"pkcs11:token=x?module-path={MODULE}&pin-value=1"]
)
def test_a_uri_that_will_not_do_is_refused_before_anything_is_made(tmp_path: Path, uri: str) -> None:
    command = [*HWDASH, "init", "--data", str(tmp_path / "s"), "--token", uri]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pkcs11:" in done.stderr
    assert "Traceback" not in done.stderr
