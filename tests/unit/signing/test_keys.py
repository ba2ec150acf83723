import os
import re
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from hwdash.signing.errors import KeysError
from hwdash.signing.keys import SERVICE_SECRETS, Credential, KeyFolder, encrypted_pkcs8, write_atomically


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_key_and_its_certificates_come_back(keys: KeyFolder) -> None:
    original = keys.read("attestation")
    keys.write("copy", original)
    assert keys.read("copy").chain == original.chain
    assert keys.read("copy").key.private_numbers() == original.key.private_numbers()
    assert len(original.chain) == 2


@pytest.mark.parametrize(
    "key", [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())], ids=["rsa", "ecdsa"]
)
def test_openssl_opens_the_encrypted_key_and_finds_scrypt(key, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(encrypted_pkcs8(key, b"correct horse"))
    assert scrypt_cost(file) == ["4000", "08", "05"]
    structure = subprocess.run(["openssl", "asn1parse", "-in", file], capture_output=True, text=True, check=True).stdout
    assert "scrypt" in structure
    assert "aes-256-cbc" in structure
    for passphrase, expected in (("correct horse", 0), ("wrong", 1)):
        command = ["openssl", "pkey", "-in", file, "-passin", f"pass:{passphrase}", "-pubout"]
        found = subprocess.run(command, capture_output=True, check=False)
        assert found.returncode == expected


def test_the_folder_its_keys_and_the_passphrase_are_for_their_owner_only(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        folder = KeyFolder.open(tmp_path / "a" / "keys", {})
        folder.write("one", Credential(ec.generate_private_key(ec.SECP256R1()), ()))
    finally:
        os.umask(previous)
    assert mode(folder.path) == 0o700
    assert mode(folder.file("one")) == 0o600
    assert mode(folder.path / "passphrase") == 0o600


def scrypt_cost(file: Path) -> list[str]:
    """N, r and p in hex, as openssl reads them."""
    lines = subprocess.run(["openssl", "asn1parse", "-in", file], capture_output=True, text=True, check=True).stdout
    return re.findall(r"INTEGER\s+:([0-9A-F]+)", lines)


def test_only_a_passphrase_that_was_made_at_random_goes_without_slow_guesses(tmp_path: Path) -> None:
    key = Credential(ec.generate_private_key(ec.SECP256R1()), ())
    made = KeyFolder.open(tmp_path / "made", {})
    made.write("one", key)
    assert scrypt_cost(made.file("one")) == ["0400", "08", "01"]
    (tmp_path / "chosen").mkdir(mode=0o700)
    (tmp_path / "chosen" / "passphrase").write_bytes(b"correct horse battery staple\n")
    for chosen in (
        KeyFolder.open(tmp_path / "chosen", {}),
        KeyFolder.open(made.path, {"HWDASH_KEY_PASSPHRASE": "x" * 50}),
    ):
        chosen.write("two", key)
        assert scrypt_cost(chosen.file("two")) == ["4000", "08", "05"]


def test_a_passphrase_is_made_once_and_found_again(tmp_path: Path) -> None:
    first = KeyFolder.open(tmp_path / "keys", {})
    assert len(first.passphrase) >= 32
    assert KeyFolder.open(tmp_path / "keys", {}).passphrase == first.passphrase


def test_the_environment_gives_the_passphrase_and_no_file_is_written(tmp_path: Path) -> None:
    folder = KeyFolder.open(tmp_path / "keys", {"HWDASH_KEY_PASSPHRASE": "from a vault"})
    assert folder.passphrase == b"from a vault"
    assert not (tmp_path / "keys" / "passphrase").exists()


def test_the_folder_of_secrets_has_a_passphrase_of_its_own(tmp_path: Path) -> None:
    given = {"HWDASH_KEY_PASSPHRASE": "of the signer", "HWDASH_SECRETS_PASSPHRASE": "of the service"}
    assert KeyFolder.open(tmp_path, given, secret=SERVICE_SECRETS).passphrase == b"of the service"
    assert KeyFolder.open(tmp_path, given).passphrase == b"of the signer"
    (tmp_path / "k.pem").touch()
    with pytest.raises(KeysError, match=r"set HWDASH_SECRETS_PASSPHRASE .*earlier versions"):
        KeyFolder.open(tmp_path, {"HWDASH_KEY_PASSPHRASE": "of the signer"}, secret=SERVICE_SECRETS)


def test_keys_without_their_passphrase_are_not_given_a_new_one(keys: KeyFolder) -> None:
    (keys.path / "passphrase").unlink()
    with pytest.raises(KeysError, match="set HWDASH_KEY_PASSPHRASE"):
        KeyFolder.open(keys.path, {})


def test_a_wrong_passphrase_is_named_with_the_file(keys: KeyFolder) -> None:
    with pytest.raises(KeysError, match=r"whql\.pem does not open: the passphrase"):
        KeyFolder(keys.path, b"wrong").read("whql")


def test_a_folder_or_key_open_to_others_is_refused(keys: KeyFolder) -> None:
    keys.file("test").chmod(0o640)
    with pytest.raises(KeysError, match="chmod 600"):
        keys.read("test")
    keys.path.chmod(0o750)
    with pytest.raises(KeysError, match="chmod 700"):
        KeyFolder.open(keys.path, {})


def test_an_absent_key_and_an_unusable_folder_are_errors_of_ours(keys: KeyFolder, tmp_path: Path) -> None:
    with pytest.raises(KeysError, match="cannot be read"):
        keys.read("nothing")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(KeysError, match="cannot be used"):
        KeyFolder.open(tmp_path / "file", {})


def test_a_certificate_of_another_key_is_noticed(keys: KeyFolder) -> None:
    stranger = Credential(rsa.generate_private_key(65537, 2048), keys.read("whql").chain)
    keys.write("mixed", stranger)
    with pytest.raises(KeysError, match="belongs to another key"):
        keys.read("mixed")


@pytest.mark.parametrize("damage", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_damaged_file_is_an_error_of_ours(keys: KeyFolder, damage: bytes) -> None:
    write_atomically(keys.file("whql"), damage, mode=0o600)
    with pytest.raises(KeysError, match="restore the file"):
        keys.read("whql")
    with pytest.raises(KeysError, match="restore the file"):
        keys.certificates("whql")


def test_a_key_of_another_kind_is_refused(keys: KeyFolder) -> None:
    encryption = BestAvailableEncryption(keys.passphrase)
    text = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    write_atomically(keys.file("odd"), text, mode=0o600)
    with pytest.raises(KeysError, match="neither RSA nor ECDSA"):
        keys.read("odd")


def test_a_failed_write_leaves_the_old_content_and_nothing_beside_it(tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "key.pem"
    write_atomically(file, b"old", mode=0o600)

    def disk_full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(KeysError, match="No space left"):
        write_atomically(file, b"new", mode=0o600)
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_secrets_do_not_show_in_reprs(keys: KeyFolder) -> None:
    assert keys.passphrase.decode() not in repr(keys)
    assert "RSAPrivateKey" not in repr(keys.read("whql"))
