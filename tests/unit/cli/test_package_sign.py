"""``hwdash package sign`` on cabinets, images and catalogs, as a user calls it."""

import io
import subprocess
from pathlib import Path

import pytest
from click import ClickException
from click.testing import CliRunner

from authenticode_oracle import compiled_driver, osslsigncode
from hwdash.cli.output import Exit
from hwdash.cli.package import package
from hwdash.drivers.authenticode import catalog_signatures, verify_cabinet, verify_catalog
from hwdash.drivers.cab import Cabinet
from hwdash.drivers.cab_writer import write_cabinet
from hwdash.signing.keys import encrypted_pkcs8
from pki import Holder, issue, reports, signed_image, signer, unsigned_catalog


def called(*command: object) -> tuple[int, str]:
    """The exit code, and what was printed."""
    done = CliRunner().invoke(package, [str(each) for each in command], standalone_mode=False)
    if done.exception is None:
        return 0, done.output
    assert isinstance(done.exception, ClickException), done.exception
    return getattr(done.exception, "code", done.exception.exit_code), done.exception.format_message()


def sign(file: Path, who: Holder, *options: object) -> tuple[int, str]:
    _, chain, key = who.files(file.parent)
    return called("sign", file, "--certificate", chain, "--key", key, *options)


@pytest.fixture
def driver(tmp_path: Path) -> Path:
    file = tmp_path / "driver.sys"
    file.write_bytes(compiled_driver())
    return file


@pytest.fixture
def cabinet(tmp_path: Path) -> Path:
    with (tmp_path / "package.cab").open("w+b") as stream:
        write_cabinet(stream, [("a\\x.inf", b"[Version]")])
    return tmp_path / "package.cab"


def test_an_image_is_signed_with_everything_that_can_be_asked_for(driver: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "signed.sys"
    options = ("--program-name", "Contoso", "--url", "https://contoso.example", "--page-hashes", "--digest", "sha384")
    assert sign(driver, signer("p384"), "--output", output, *options) == (
        0,
        f"{output}: signed by CN=Test Signer p384\n",
    )
    assert driver.read_bytes() == compiled_driver()
    (report,) = reports(output.read_bytes())
    assert report.signature is not None
    assert report.signature.page_hashes is not None
    said = report.signature
    assert (said.program_name, said.url, said.digest_algorithm) == ("Contoso", "https://contoso.example", "sha384")
    root, _, _ = signer("p384").files(tmp_path)
    good, told = osslsigncode("verify", "-CAfile", root, output)
    assert good, told


def test_without_output_the_file_itself_is_signed_and_append_keeps_what_it_has(driver: Path) -> None:
    for who, count in ((signer("rsa2048"), 1), (signer("p256"), 2), (signer("p384"), 3)):
        assert sign(driver, who, "--append")[0] == 0
        assert len(reports(driver.read_bytes())) == count
    assert sign(driver, signer("p256"))[0] == 0
    assert len(reports(driver.read_bytes())) == 1


def test_a_cabinet_and_a_catalog_are_known_by_their_content(cabinet: Path, tmp_path: Path) -> None:
    odd = cabinet.rename(tmp_path / "package.bin")
    assert sign(odd, signer())[0] == 0
    stream = io.BytesIO(odd.read_bytes())
    assert verify_cabinet(stream, Cabinet.open(stream, source="x"), source="x").signer == signer().certificate
    catalog = tmp_path / "catalog.bin"
    catalog.write_bytes(unsigned_catalog())
    assert sign(catalog, signer())[0] == 0
    assert verify_catalog(catalog.read_bytes(), source="x")[0].signer == signer().certificate
    assert sign(catalog, signer("p384"), "--append")[0] == 0
    assert len(catalog_signatures(catalog.read_bytes(), source="x")) == 2


def test_an_encrypted_key_is_opened_with_its_passphrase(driver: Path, tmp_path: Path) -> None:
    _, chain, key = signer().files(tmp_path)
    key.write_bytes(encrypted_pkcs8(signer().key, b"secret"))
    command = ["sign", str(driver), "--certificate", str(chain), "--key", str(key)]
    assert called(*command)[0] == Exit.USAGE
    assert driver.read_bytes() == compiled_driver()
    assert called(*command, "--passphrase", "secret")[0] == 0
    assert reports(driver.read_bytes())[0].holds


@pytest.mark.parametrize(
    ("content", "options", "words", "code"),
    [
        (b"hello", (), "neither a cabinet nor a PE image nor a catalog", Exit.REFUSED),
        (b"", (), "neither a cabinet", Exit.REFUSED),
        (b"MZ", (), "truncated", Exit.REFUSED),
        (b"MSCF", (), "CFHEADER", Exit.REFUSED),
        (b"\x30\x00", (), "contentType", Exit.REFUSED),
        (b"\x30" + bytes(17 << 20), (), "16 MiB", Exit.REFUSED),
        (unsigned_catalog(), ("--page-hashes",), "no PE image", Exit.USAGE),
        (unsigned_catalog(), ("--append",), "not signed", Exit.REFUSED),
        (unsigned_catalog(), ("--url", "https://grüße"), "ASCII", Exit.USAGE),
        (unsigned_catalog(), ("--timestamp-url", "ftp://x"), "URL of a timestamp authority", Exit.UNREACHABLE),
        (unsigned_catalog(), ("--digest", "sha1"), "sha1", Exit.USAGE),
    ],
    ids=range(11),
)
def test_what_cannot_be_signed_is_told_and_left_alone(
    content: bytes, options: tuple[str, ...], words: str, code: int, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    found, said = sign(file, signer(), *options)
    assert words in said
    assert found == code
    assert file.read_bytes() == content
    assert not list(tmp_path.glob("*.part"))


def test_a_changed_file_is_not_appended_to(driver: Path) -> None:
    raw = bytearray(signed_image())
    raw[0x600] ^= 1
    driver.write_bytes(raw)
    code, said = sign(driver, signer(), "--append")
    assert (code, driver.read_bytes()) == (Exit.REFUSED, bytes(raw))
    assert "was changed after it was signed" in said


@pytest.mark.parametrize(("kind", "words"), [("rsa1024", "1024 bits"), ("k256", "P-256 and P-384")])
def test_weak_keys_do_not_sign(driver: Path, kind: str, words: str) -> None:
    code, said = sign(driver, issue("Weak", kind=kind))
    assert code == Exit.USAGE
    assert words in said


def test_a_key_of_another_certificate_or_none_is_told(driver: Path, tmp_path: Path) -> None:
    _, chain, _ = signer().files(tmp_path)
    other = signer("p384").files(tmp_path / "other")[2]
    words = {other: "does not belong", driver: "cannot be read"}
    ed25519 = tmp_path / "ed25519.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", ed25519], check=True)
    words[ed25519] = "neither an RSA nor an ECDSA key"
    for file, text in words.items():
        code, said = called("sign", driver, "--certificate", chain, "--key", file)
        assert code == Exit.USAGE
        assert text in said
