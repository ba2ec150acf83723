"""Signed checkpoints: C2SP's signed note and tlog-checkpoint."""

import base64
import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hwdash.domain.merkle import Tree, leaf_hash
from hwdash.signing.checkpoint import Checkpoint, CheckpointError, CheckpointKey, VerifierKey, keep, verifier_file
from hwdash.signing.errors import KeysError
from hwdash.signing.keys import KeyFolder

# The example of golang.org/x/mod/sumdb/note, whose format C2SP wrote down.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETERS_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()


def tree_of(size: int) -> Tree:
    tree = Tree()
    for number in range(size):
        tree.append(leaf_hash(bytes([number])))
    return tree


@pytest.fixture
def folder(tmp_path: Path) -> KeyFolder:
    return KeyFolder.open(tmp_path / "secrets", {})


@pytest.fixture
def key(folder: KeyFolder) -> CheckpointKey:
    return CheckpointKey.ensure(folder, "log.example/hwdash/audit")


def test_a_note_that_another_implementation_signed_is_taken() -> None:
    """The signature is good; it is no checkpoint, and only that is said of it."""
    with pytest.raises(CheckpointError, match="is signed, and no checkpoint"):
        VerifierKey.parse(PETER).open(PETERS_NOTE, "note")
    with pytest.raises(CheckpointError, match="the signature is not good"):
        VerifierKey.parse(PETER).open(PETERS_NOTE.replace(b"answer", b"anwser"), "note")
    assert str(VerifierKey.parse(PETER)) == PETER


def test_a_checkpoint_is_as_c2sp_has_it(key: CheckpointKey, folder: KeyFolder) -> None:
    """Read by a few lines of its own, from the text of the specifications."""
    note = key.sign(tree_of(5)).decode()
    text, signature = note.split("\n\n")
    assert text.split("\n") == ["log.example/hwdash/audit", "5", base64.b64encode(tree_of(5).root).decode()]
    dash, name, encoded = signature.removesuffix("\n").split(" ")
    vkey_name, identifier, public = verifier_file(folder).read_text().strip().split("+", 2)
    raw, algorithm_and_key = base64.b64decode(encoded), base64.b64decode(public)
    assert (dash, name, vkey_name) == ("\u2014", "log.example/hwdash/audit", "log.example/hwdash/audit")
    assert hashlib.sha256(name.encode() + b"\n" + algorithm_and_key).digest()[:4].hex() == identifier
    assert raw[:4].hex() == identifier
    assert algorithm_and_key[0] == 1
    Ed25519PublicKey.from_public_bytes(algorithm_and_key[1:]).verify(raw[4:], f"{text}\n".encode())


def test_what_is_signed_is_what_is_read(key: CheckpointKey) -> None:
    found = key.verifier.open(key.sign(tree_of(200)), "c")
    assert found == Checkpoint("log.example/hwdash/audit", 200, tree_of(200).root)
    assert key.sign(tree_of(200)) == key.sign(tree_of(200))


def test_the_key_is_made_once_and_encrypted(folder: KeyFolder, key: CheckpointKey) -> None:
    again = CheckpointKey.ensure(folder, "another.example/hwdash/audit")
    assert (again.verifier.name, again.key.private_bytes_raw()) == (key.verifier.name, key.key.private_bytes_raw())
    file = folder.path / "audit-checkpoints.pem"
    assert file.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert file.stat().st_mode & 0o077 == 0
    with pytest.raises(KeysError, match="does not open"):
        CheckpointKey.ensure(KeyFolder(folder.path, b"another"), "x")


def test_a_verifier_key_of_another_key_is_told(folder: KeyFolder, key: CheckpointKey) -> None:
    verifier_file(folder).write_text(f"{PETER}\n")
    with pytest.raises(KeysError, match="do not belong together"):
        CheckpointKey.ensure(folder, "x")


@pytest.mark.parametrize("text", ["", "a+b", "a b+c74f20a3+AAAA", PETER.replace("c7", "c8"), PETER[:-4], f"{PETER}!"])
def test_what_is_no_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(CheckpointError, match="is not a verifier key"):
        VerifierKey.parse(text)


@pytest.mark.parametrize(
    "change",
    [
        lambda note: note.replace(b"\n5\n", b"\n6\n"),
        lambda note: note[:-10] + b"AAAAAAAAA\n",
        lambda note: note.replace(b"log.example", b"fog.example"),
        lambda note: note.replace("— ".encode(), b"- "),
        lambda note: note + b"x",
        lambda note: note.rstrip(b"\n"),
        lambda note: note.replace(b"\n\n", b"\n"),
        lambda note: note.replace(b"5", b"\xff"),
        lambda note: note.replace(b"5", b"\x00"),
        lambda note: b"",
        lambda note: b"\n" * 70_000,
    ],
)
def test_a_changed_checkpoint_is_refused(key: CheckpointKey, change) -> None:
    with pytest.raises(CheckpointError, match=r"^c"):
        key.verifier.open(change(key.sign(tree_of(5))), "c")


@pytest.mark.parametrize(
    "text", ["log\n05\n{}\n", "log\n-1\n{}\n", "log\nx\n{}\n", "log\n5\nAAAA\n", "log\n5\n", "\n5\n{}\n"]
)
def test_a_signed_text_that_is_no_checkpoint_is_refused(folder: KeyFolder, text: str) -> None:
    key = CheckpointKey.ensure(folder, "log")
    body = text.format(base64.b64encode(bytes(32)).decode())
    raw = key.verifier.id + key.key.sign(body.encode())
    with pytest.raises(CheckpointError, match="is signed, and no checkpoint"):
        key.verifier.open(f"{body}\n— log {base64.b64encode(raw).decode()}\n".encode(), "c")


def test_a_checkpoint_of_another_log_is_refused(folder: KeyFolder) -> None:
    key = CheckpointKey.ensure(folder, "log")
    body = Checkpoint("fog", 1, bytes(32)).text()
    raw = key.verifier.id + key.key.sign(body.encode())
    with pytest.raises(CheckpointError, match="is of the log fog"):
        key.verifier.open(f"{body}\n— log {base64.b64encode(raw).decode()}\n".encode(), "c")


def test_signatures_of_others_beside_ours_do_no_harm(key: CheckpointKey) -> None:
    """Witnesses add theirs to a note."""
    note = key.sign(tree_of(5)) + PETERS_NOTE.partition(b"\n\n")[2]
    assert key.verifier.open(note, "c").size == 5


def test_each_checkpoint_is_a_file_that_is_never_written_again(key: CheckpointKey, tmp_path: Path) -> None:
    kept = tmp_path / "kept" / "here"
    first, second = (keep(kept, key.sign(tree_of(size)), size) for size in (3, 12))
    assert keep(kept, key.sign(tree_of(12)), 12) == second
    assert sorted(kept.iterdir()) == [first, second]
    other = tree_of(11)
    other.append(leaf_hash(b"another"))
    with pytest.raises(CheckpointError, match="is another checkpoint of as many entries"):
        keep(kept, key.sign(other), 12)
    with pytest.raises(CheckpointError, match="the log has 5 entries now: it was cut off or exchanged"):
        keep(kept, key.sign(tree_of(5)), 5)
    assert second.read_bytes() == key.sign(tree_of(12))
    assert len(list(kept.iterdir())) == 2
