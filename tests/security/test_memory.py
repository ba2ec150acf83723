"""Neither the service nor a process that parses a package for it has a signing key or its passphrase in its memory.

All writable memory of the service's process and of each process below it but the signer is read through /proc while
the service waits for a signature, while it works, and afterwards. It is searched for the primes and exponents of the
keys in either order of bytes, for the keys as text, and for the passphrases. That the search finds what is there is
shown by the key of access tokens, which the service does have.
"""

import base64
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import httpx
import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hwdash.signing.authority import LEAVES
from hwdash.signing.keys import SERVICE_SECRETS, KeyFolder, PrivateKey
from hwdash.signing.roots import read_roots
from service import Served, make_service, serve, signed_cabinet

PIECE = 16 << 20
LONGEST = 4096


def marks_of_key(key: PrivateKey) -> Iterator[bytes]:
    """What the key looks like in memory."""
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.private_numbers()
        values = [numbers.p, numbers.q, numbers.d]
    else:
        values = [key.private_numbers().private_value]
    for value in values:
        size = (value.bit_length() + 7) // 8
        for order in ("big", "little"):
            yield value.to_bytes(size, order)
    for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        # An RSA key begins with its modulus, which certificates have too, and ends with what is secret.
        lines = key.private_bytes(Encoding.PEM, form, NoEncryption()).splitlines()
        yield lines[len(lines) * 2 // 3 if isinstance(key, rsa.RSAPrivateKey) else 1]


def marks_of_text(text: str) -> Iterator[bytes]:
    raw = text.encode()
    yield from (raw, text.encode("utf-16-le"), base64.b64encode(raw), raw.hex().encode())


def memory_of(pid: int) -> Iterator[bytes]:
    """The writable memory of a process, in pieces. Raises OSError for one that is not to be read."""
    with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in maps:
            span, permissions, *_ = line.split()
            if not permissions.startswith("rw"):
                continue
            begin, end = (int(each, 16) for each in span.split("-"))
            for at in range(begin, end, PIECE):
                with suppress(OSError):  # a mapping that went away, or one of a device
                    memory.seek(at)
                    yield memory.read(min(PIECE + LONGEST, end - at))


def found_in_pieces(pieces: Iterable[bytes], marks: dict[str, list[bytes]]) -> set[str]:
    return {name for piece in pieces for name, forms in marks.items() if any(form in piece for form in forms)}


def found_in_memory(pid: int, marks: dict[str, list[bytes]]) -> set[str]:
    """Which of them stand in the writable memory of a process. Raises OSError for one that is not to be read."""
    return found_in_pieces(memory_of(pid), marks)


@dataclass
class Watched:
    """A running service, and all that must be in no memory but the signer's."""

    served: Served
    folder: Path
    hidden: dict[str, list[bytes]]
    token: dict[str, list[bytes]]

    @property
    def signer(self) -> psutil.Process:
        below = psutil.Process(self.served.process.pid).children(recursive=True)
        (found,) = [each for each in below if "hwdash.signing.process" in each.cmdline()]
        return found

    def others(self) -> list[int]:
        service, signer = psutil.Process(self.served.process.pid), self.signer.pid
        return [service.pid, *(each.pid for each in service.children(recursive=True) if each.pid != signer)]

    def found(self, pids: list[int]) -> dict[int, set[str]]:
        found = {}
        for pid in pids:
            with suppress(OSError):  # it has ended, or nobody may read it
                found[pid] = found_in_memory(pid, self.hidden)
        return found


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("memory")
    passphrase, file = "memory-" + secrets.token_urlsafe(24), folder / "passphrase"
    file.write_text(passphrase)
    made = make_service(folder, HWDASH_KEY_PASSPHRASE_FILE=str(file))
    keys = KeyFolder.open(made.data / "keys", made.environment)
    assert keys.passphrase == passphrase.encode()
    given = made.credentials
    roots = read_roots(Path(given["rootKey"]), given["rootPassphrase"])
    private = {name: keys.read(name).key for name in ("issuing", *LEAVES)}
    private |= {name: each.key for name, each in roots.items()}
    hidden = {name: list(marks_of_key(key)) for name, key in private.items()}
    hidden |= {"passphrase": list(marks_of_text(passphrase)), "root": list(marks_of_text(given["rootPassphrase"]))}
    own = KeyFolder.open(made.data / "secrets", made.environment, secret=SERVICE_SECRETS)
    with serve(made) as served:
        yield Watched(served, folder, hidden, {"token": list(marks_of_key(own.read("tokens").key))})


def test_the_search_finds_a_key_that_is_there_and_the_passphrase(watched: Watched) -> None:
    assert found_in_memory(watched.served.process.pid, watched.token) == {"token"}
    program = (
        "import sys; from cryptography.hazmat.primitives.serialization import load_pem_private_key as load\n"
        "key = load(sys.stdin.buffer.read(), None); print(key.key_size, flush=True); import signal; signal.pause()"
    )
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with subprocess.Popen(
        [sys.executable, "-c", program, "a-secret-argument"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdin.write(pem)
        holder.stdin.close()
        holder.stdout.readline()
        wanted = {
            "key": list(marks_of_key(key))[:6],
            "text": list(marks_of_text("a-secret-argument")),
            "no": [b"\xfe" * 64],
        }
        try:
            assert found_in_memory(holder.pid, wanted) == {"key", "text"}
        finally:
            holder.kill()


def test_no_key_and_no_passphrase_while_it_signs_and_afterwards(watched: Watched) -> None:
    client = watched.served.client()
    submission = client.create_submission(client.create_product()["id"])
    package = signed_cabinet(watched.folder, watched.served.made.vendor)
    assert client.upload(submission, package).status_code == 201
    signer = watched.signer
    assert client.commit(submission).status_code == 202
    os.kill(signer.pid, signal.SIGSTOP)
    try:
        # Whatever step it is at: it needs the signer next, and the list of revoked certificates asks it at once.
        with pytest.raises(httpx.ReadTimeout):
            client.http.get("/crl/issuing.crl", timeout=3)
        # Copied while it is stopped, and searched later: the service does not wait for its signer for long.
        copies: dict[int, list[bytes]] = {}
        for pid in watched.others():
            with suppress(OSError):  # it has ended, or nobody may read it
                copies[pid] = list(memory_of(pid))
    finally:
        os.kill(signer.pid, signal.SIGCONT)
    found = {pid: found_in_pieces(pieces, watched.hidden) for pid, pieces in copies.items()}
    assert found[watched.served.process.pid] == set()
    assert {pid: names for pid, names in found.items() if names} == {}
    assert client.finished(submission)["workflowStatus"]["state"] == "completed"
    assert watched.signer.pid == signer.pid  # what was stopped is what signed
    assert watched.found(watched.others())[watched.served.process.pid] == set()
    client.http.close()


def test_no_key_in_any_process_that_appears_while_packages_are_read(watched: Watched) -> None:
    found: dict[int, set[str]] = {}
    stop = Event()

    def watch() -> None:
        while not stop.is_set():
            with suppress(psutil.NoSuchProcess, ValueError):
                found.update({pid: names for pid, names in watched.found(watched.others()).items() if names})

    watcher = Thread(target=watch)
    watcher.start()
    try:
        client = watched.served.client()
        for _ in range(3):
            done = client.submit(signed_cabinet(watched.folder, watched.served.made.vendor))
            assert done["workflowStatus"]["state"] == "completed"
        client.http.close()
    finally:
        stop.set()
        watcher.join()
    assert found == {}


def test_the_signer_gives_its_memory_to_nobody(watched: Watched) -> None:
    """Not dumpable: the kernel gives its /proc entries to root, and its own user cannot read them."""
    assert Path(f"/proc/{watched.signer.pid}/mem").stat().st_uid == 0
    assert watched.signer.environ().keys() & {"HWDASH_KEY_PASSPHRASE"} == set()
