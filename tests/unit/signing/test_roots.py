from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from hwdash.signing.authority import IDENTITIES, LEAVES, PREPRODUCTION, ROOTS, ensure_authority, new_roots, rotate
from hwdash.signing.errors import KeysError
from hwdash.signing.keys import KeyFolder
from hwdash.signing.process import SignerProcess
from hwdash.signing.roots import (
    ceremonies_due,
    new_passphrase,
    read_roots,
    renew,
    roots_in,
    roots_of,
    take_roots_away,
    write_roots,
)
from hwdash.signing.signer import LocalSigner, SigningRequest

PASSPHRASE = new_passphrase()
YEAR = timedelta(days=365)


@pytest.fixture
def root_file(keys: KeyFolder, tmp_path: Path) -> Path:
    """The folder's own roots, moved out of it."""
    file = tmp_path / "elsewhere.pem"
    write_roots(file, roots_in(keys), PASSPHRASE, is_random=True)
    take_roots_away(keys)
    return file


def chains(keys: KeyFolder, now: datetime) -> tuple[dict[str, tuple[bytes, ...]], bytes]:
    signer = LocalSigner(keys, lambda: now)
    return {name: signer.chain(name) for name in IDENTITIES}, signer.root_certificate_pem


def test_a_new_authority_leaves_no_root_key_in_the_folder(tmp_path: Path, now: datetime) -> None:
    keys = KeyFolder.open(tmp_path / "keys", {})
    roots = new_roots(now, key_size=2048)
    ensure_authority(keys, now, key_size=2048, roots=roots)
    assert not any(keys.has_key(name) for name in ROOTS)
    assert {name: keys.certificates(name)[0] for name in ROOTS} == {
        name: each.certificate for name, each in roots.items()
    }
    assert all(keys.has_key(name) for name in ("issuing", *LEAVES))
    keys.certificates("issuing")[0].verify_directly_issued_by(roots["root"].certificate)
    with pytest.raises(KeysError, match="--root-key"):
        keys.read("root")


def test_the_roots_of_another_service_are_refused(keys: KeyFolder, now: datetime) -> None:
    with pytest.raises(KeysError, match="another root"):
        ensure_authority(keys, now, roots=new_roots(now, key_size=2048))


def test_what_is_moved_out_comes_back_with_its_passphrase_only(keys: KeyFolder, tmp_path: Path) -> None:
    before, file = {name: keys.read(name).certificate for name in ROOTS}, tmp_path / "f.pem"
    write_roots(file, roots_in(keys), PASSPHRASE, is_random=True)
    take_roots_away(keys)
    assert roots_in(keys) == {}
    assert {name: each.certificate for name, each in read_roots(file, PASSPHRASE).items()} == before
    for wrong in (keys.passphrase.decode(), "", PASSPHRASE.lower()):
        with pytest.raises(KeysError, match="do not open"):
            read_roots(file, wrong)


def test_a_file_that_is_there_is_not_overwritten(keys: KeyFolder, tmp_path: Path) -> None:
    file = tmp_path / "f.pem"
    file.write_text("mine")
    with pytest.raises(KeysError, match="not overwritten"):
        write_roots(file, roots_in(keys), PASSPHRASE, is_random=True)
    assert file.read_text() == "mine"


@pytest.mark.parametrize("content", [b"", b"Name: root\n", b"\xff" * 5000])
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "f.pem"
    file.write_bytes(content)
    with pytest.raises(KeysError, match="no file of root keys"):
        read_roots(file, PASSPHRASE)
    with pytest.raises(KeysError, match="cannot be read"):
        read_roots(tmp_path / "absent", PASSPHRASE)


def test_one_root_of_two_is_no_file_of_them(root_file: Path) -> None:
    root_file.write_bytes(root_file.read_bytes().partition(b"\nName: preproduction-root")[0])
    with pytest.raises(KeysError, match="no file of root keys"):
        read_roots(root_file, PASSPHRASE)


def test_leaves_are_renewed_without_the_root(keys: KeyFolder, root_file: Path, now: datetime) -> None:
    later = now + 3 * YEAR - timedelta(days=29)
    before = {name: keys.certificates(name)[0] for name in LEAVES}
    ensure_authority(keys, later, key_size=2048)
    renewed = {name for name in LEAVES if keys.certificates(name)[0] != before[name]}
    assert renewed == set(LEAVES) - {PREPRODUCTION}
    assert all(keys.certificates(name)[0].not_valid_after_utc == later + 3 * YEAR for name in renewed)


def test_without_the_root_leaves_end_with_the_issuing_ca_and_are_not_made_anew_in_vain(
    keys: KeyFolder, root_file: Path, now: datetime
) -> None:
    end = keys.certificates("issuing")[0].not_valid_after_utc
    late = now + 9 * YEAR
    ensure_authority(keys, late, key_size=2048)
    assert keys.certificates("attestation")[0].not_valid_after_utc == end
    last = {path.name: path.read_bytes() for path in keys.path.glob("*.pem")}
    ensure_authority(keys, end - timedelta(days=20), key_size=2048)
    assert {path.name: path.read_bytes() for path in keys.path.glob("*.pem")} == last


def test_a_leaf_that_is_lost_is_not_made_below_an_issuing_ca_that_ends(
    keys: KeyFolder, root_file: Path, now: datetime
) -> None:
    keys.file("test").unlink()
    with pytest.raises(KeysError, match="hwdash admin key issue"):
        ensure_authority(keys, now + 10 * YEAR - timedelta(days=20), key_size=2048)


def test_a_ceremony_renews_the_issuing_ca_with_its_key_and_every_chain(
    keys: KeyFolder, root_file: Path, now: datetime
) -> None:
    later = now + 9 * YEAR
    old, leaf = keys.certificates("issuing")[0], keys.read("attestation")
    new = renew(keys, "issuing", read_roots(root_file, PASSPHRASE), later)
    assert new.public_key() == old.public_key() == keys.read("issuing").key.public_key()
    assert new.not_valid_after_utc == later + 10 * YEAR
    assert keys.read("attestation").chain == (leaf.certificate, new)
    leaf.certificate.verify_directly_issued_by(new)
    assert keys.certificates(PREPRODUCTION)[1:] == ()
    ensure_authority(keys, later, key_size=2048)
    assert keys.certificates("attestation")[0].not_valid_after_utc == later + 3 * YEAR


def test_a_ceremony_needs_neither_passphrase_nor_key_of_the_folder(
    keys: KeyFolder, root_file: Path, now: datetime
) -> None:
    renew(KeyFolder(keys.path, b"unknown"), "issuing", read_roots(root_file, PASSPHRASE), now)
    assert keys.read("issuing").certificate.not_valid_after_utc == now + 10 * YEAR


def test_the_file_of_another_service_is_refused(keys: KeyFolder, now: datetime, tmp_path: Path) -> None:
    write_roots(tmp_path / "other.pem", new_roots(now, key_size=2048), PASSPHRASE, is_random=True)
    with pytest.raises(KeysError, match="of another service"):
        roots_of(keys, tmp_path / "other.pem", PASSPHRASE)


def test_rotation_gives_a_leaf_a_new_key_and_leaves_the_others(keys: KeyFolder, now: datetime) -> None:
    before = {name: keys.certificates(name)[0] for name in ("issuing", *LEAVES)}
    rotate(keys, "whql", now, key_size=2048, crl_url="https://hwdash.example/crl/issuing.crl")
    after = {name: keys.certificates(name)[0] for name in before}
    assert {name for name in before if before[name] != after[name]} == {"whql"}
    assert after["whql"].public_key() == keys.read("whql").key.public_key() != before["whql"].public_key()
    after["whql"].verify_directly_issued_by(before["issuing"])
    assert after["whql"].extensions.get_extension_for_class(x509.CRLDistributionPoints)


def test_rotation_of_the_issuing_ca_takes_everything_below_along(
    keys: KeyFolder, root_file: Path, now: datetime
) -> None:
    before = {name: keys.certificates(name)[0].public_key() for name in ("issuing", *LEAVES)}
    with pytest.raises(KeysError, match="--root-key"):
        rotate(keys, "issuing", now, key_size=2048)
    assert {name: keys.certificates(name)[0].public_key() for name in before} == before
    rotate(keys, "issuing", now, key_size=2048, roots=roots_of(keys, root_file, PASSPHRASE))
    after = {name: keys.certificates(name)[0].public_key() for name in before}
    assert {name for name in before if before[name] == after[name]} == {PREPRODUCTION}
    for name in set(LEAVES) - {PREPRODUCTION}:
        keys.certificates(name)[0].verify_directly_issued_by(keys.certificates("issuing")[0])
    rotate(keys, PREPRODUCTION, now, key_size=2048, roots=read_roots(root_file, PASSPHRASE))
    assert keys.certificates(PREPRODUCTION)[0].public_key() != before[PREPRODUCTION]


def test_a_running_signer_takes_a_new_certificate_up(
    keys: KeyFolder, root_file: Path, now: datetime, request_to_sign: SigningRequest
) -> None:
    with SignerProcess.start(keys.path, environment={}) as signer:
        before = signer.sign(request_to_sign)[0].chain
        new = renew(keys, "issuing", read_roots(root_file, PASSPHRASE), now)
        after = signer.sign(request_to_sign)[0].chain
    assert before[0] == after[0]
    assert x509.load_der_x509_certificate(after[1]) == new


@pytest.mark.parametrize(
    ("years", "named"),
    [
        (0, []),
        (2.6, ["preproduction"]),
        (9.1, ["issuing", "preproduction"]),
        (18.1, ["root", "issuing", "preproduction"]),
    ],
)
def test_warnings_come_long_before_the_end(keys: KeyFolder, now: datetime, years: float, named: list[str]) -> None:
    made, root = chains(keys, now)
    told = ceremonies_due(made, root, now + years * YEAR)
    assert [each.split()[1] for each in told] == named
    assert all("hwdash admin key issue" in each for each in told if " root " not in each)
