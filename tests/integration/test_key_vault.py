"""Signing keys in a key vault: made there, signed by there. The vault is the stand-in of key_vault_stand_in.py."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hwdash.signing.authority import IDENTITIES
from hwdash.signing.errors import KeysError
from hwdash.signing.key_elsewhere import KeyElsewhere
from hwdash.signing.key_vault import VaultUri, new_key, open_key
from hwdash.signing.keys import KeyFolder
from hwdash.signing.process import SignerProcess
from key_vault_stand_in import CLIENT, TENANT, KeyVault, running_vault
from service import HWDASH, Made, clean_environment, hwdash, initialised, serve, signed_cabinet

IN_VAULT = ("issuing", "timestamp", *IDENTITIES)
PKCS1 = padding.PKCS1v15()


@dataclass
class InVault:
    made: Made
    keys: KeyFolder
    vault: KeyVault


@pytest.fixture(scope="module")
def in_vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InVault]:
    folder = tmp_path_factory.mktemp("vault")
    with running_vault() as vault:
        (folder / "secret").write_text(vault.secret)
        made = initialised(folder, "--token", vault.uri, HWDASH_KEY_PIN_FILE=str(folder / "secret"))
        yield InVault(made, KeyFolder.open(made.data / "keys", made.environment), vault)


@pytest.fixture
def vault() -> Iterator[KeyVault]:
    with running_vault() as running:
        yield running


def test_the_keys_are_in_the_vault_and_in_no_file(in_vault: InVault) -> None:
    for name in IN_VAULT:
        text = in_vault.keys.file(name).read_text()
        assert "PRIVATE KEY" not in text
        assert in_vault.vault.secret not in text
        made = in_vault.vault.keys[VaultUri.parse(in_vault.keys.token_key(name)).key]
        assert in_vault.keys.certificates(name)[0].public_key() == made.public_key()
        assert made.key_size == 3072
    assert in_vault.vault.scopes == {"https://vault.azure.net/.default"}


def test_a_service_signs_a_package_by_it_and_rotates_in_it(in_vault: InVault, tmp_path: Path) -> None:
    made, before = in_vault.made, in_vault.keys.token_key("attestation")
    with serve(made) as served:
        client = served.client()
        for _ in range(2):
            signed = in_vault.vault.count("/sign")
            done = client.submit(signed_cabinet(tmp_path, made.vendor))
            assert done["workflowStatus"]["state"] == "completed", done
            # Of a catalog and a PE file, each with its timestamp.
            assert in_vault.vault.count("/sign") >= signed + 4
            hwdash("admin", "key", "rotate", "attestation", environment=made.environment)
        assert client.http.get("/crl/issuing.crl").status_code == 200
        client.http.close()
    assert in_vault.keys.token_key("attestation") != before
    assert in_vault.vault.secret not in served.log.read_text()


def test_submissions_wait_while_the_vault_does_not_sign(in_vault: InVault, tmp_path: Path) -> None:
    busy = 429, {"error": {"code": "Throttled", "message": "Request was not processed because too many were received."}}
    with serve(in_vault.made) as served:
        client = served.client()
        in_vault.vault.answers[:] = [busy, busy]
        done = client.submit(signed_cabinet(tmp_path, in_vault.made.vendor))
        assert done["workflowStatus"]["state"] == "completed", done
        client.http.close()
    assert "answered 429 Request was not processed" in served.log.read_text()


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [({"HWDASH_KEY_PIN": "wrong"}, "answered 401 invalid_client"), ({}, "needs the client's secret")],
    ids=["a wrong secret", "no secret"],
)
def test_without_the_right_secret_there_is_no_signer(
    in_vault: InVault, environment: dict[str, str], complaint: str
) -> None:
    with pytest.raises(KeysError, match=complaint):
        SignerProcess.start(in_vault.made.data / "keys", environment=environment)


def test_a_key_signs_the_same_each_time_and_never_comes_out(vault: KeyVault) -> None:
    key = new_key(vault.uri, vault.secret, "attestation", 2048)
    again = open_key(str(key.uri), vault.secret)
    signatures = {each.sign(b"content", PKCS1, hashes.SHA256()) for each in (key, again, again)}
    assert len(signatures) == 1
    key.public_key().verify(signatures.pop(), b"content", PKCS1, hashes.SHA256())
    for read_out in (key.private_numbers, lambda: key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())):
        with pytest.raises(KeysError, match="stays where it is"):
            read_out()
    assert isinstance(key, KeyElsewhere)
    assert len(vault.tokens) == 1


def test_a_token_that_was_withdrawn_is_asked_for_anew(vault: KeyVault) -> None:
    key = new_key(vault.uri, vault.secret, "attestation", 2048)
    vault.tokens.clear()
    key.public_key().verify(key.sign(b"content", PKCS1, hashes.SHA256()), b"content", PKCS1, hashes.SHA256())
    assert len(vault.tokens) == 1


def test_a_key_that_could_be_read_out_is_not_used(vault: KeyVault) -> None:
    vault.is_exportable = True
    with pytest.raises(KeysError, match="could be read out"):
        new_key(vault.uri, vault.secret, "attestation", 2048)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ((403, {"error": {"code": "Forbidden", "message": "Caller is not authorized."}}), "403 Caller is not"),
        ((503, {}), "answered 503 Service Unavailable"),
        ((200, {"value": "AAAA"}), "no signature by the key"),
        ((200, {"kid": "x"}), "has not the documented form"),
        ((200, {"value": 7}), "has not the documented form"),
    ],
    ids=["forbidden", "unavailable", "no signature", "no value", "a number"],
)
def test_what_is_no_signature_never_becomes_one(
    vault: KeyVault, answer: tuple[int, dict[str, object]], complaint: str
) -> None:
    key = new_key(vault.uri, vault.secret, "attestation", 2048)
    vault.answers.append(answer)
    with pytest.raises(KeysError, match=complaint) as refused:
        key.sign(b"content", PKCS1, hashes.SHA256())
    assert vault.secret not in str(refused.value)


@pytest.mark.parametrize("document", [{}, {"key": {}}, {"key": {"kty": "EC"}}, {"key": {"kty": "RSA", "n": 1, "e": 2}}])
def test_a_key_of_another_form_is_refused(vault: KeyVault, document: dict[str, object]) -> None:
    uri = str(new_key(vault.uri, vault.secret, "attestation", 2048).uri)
    vault.answers.append((200, document))
    with pytest.raises(KeysError):
        open_key(uri, vault.secret)


def test_a_vault_that_is_gone_is_told(vault: KeyVault) -> None:
    nobody = f"azure-key-vault:http://localhost:1?tenant={TENANT}&client={CLIENT}&authority=http://localhost:1"
    with pytest.raises(KeysError, match="localhost:1 does not answer"):
        new_key(nobody, vault.secret, "attestation", 2048)


@pytest.mark.parametrize(
    "uri",
    [
        "azure-key-vault:https://x.vault.azure.net",
        "azure-key-vault:https://x.vault.azure.net?tenant=t",
        "azure-key-vault:http://x.vault.azure.net?tenant=t&client=c",
        "azure-key-vault:https://x.vault.azure.net?tenant=t&client=c&authority=http://login.example.com",
        "azure-key-vault:https://u:p@x.vault.azure.net?tenant=t&client=c",
        "azure-key-vault:https://x.vault.azure.net?tenant=t&client=c&secret=s",
        "azure-key-vault:https://x.vault.azure.net/secrets/a/b?tenant=t&client=c",
        "azure-key-vault:https://[x?tenant=t&client=c",
        "azure-key-vault:",
    ],
)
def test_a_uri_that_will_not_do_is_refused_before_anything_is_sent(tmp_path: Path, uri: str) -> None:
    command = [*HWDASH, "init", "--data", str(tmp_path / "s"), "--token", uri]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "is no URI like azure-key-vault:https://NAME.vault.azure.net" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_token_is_asked_for_the_vaults_of_the_same_cloud() -> None:
    china = VaultUri.parse(
        "azure-key-vault:https://x.vault.azure.cn?tenant=t&client=c&authority=https://login.chinacloudapi.cn/"
    )
    assert china.scope == "https://vault.azure.cn/.default"
    assert VaultUri.parse(str(china)) == china
