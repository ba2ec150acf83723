import json
import os
import resource
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from examined import examined
from hwdash.drivers.timestamp import read_timestamp
from hwdash.signing.authority import IDENTITIES
from hwdash.signing.errors import KeysError, SignerUnavailable, SigningRefused
from hwdash.signing.keys import KeyFolder
from hwdash.signing.process import MAX_LINE, SignerProcess
from hwdash.signing.signer import SPC_INDIRECT_DATA, Content, LocalSigner, SigningRequest


@pytest.fixture
def signer(keys: KeyFolder) -> Iterator[SignerProcess]:
    with SignerProcess.start(keys.path, environment={}) as running:
        yield running


def test_it_signs_as_the_local_signer_does(
    signer: SignerProcess, keys: KeyFolder, request_to_sign: SigningRequest, now: datetime
) -> None:
    local = LocalSigner(keys, lambda: now)
    assert signer.sign(request_to_sign) == local.sign(request_to_sign)
    assert signer.root_certificate_pem == local.root_certificate_pem
    assert all(signer.chain(name) == local.chain(name) for name in IDENTITIES)


def test_a_refusal_crosses_the_process_and_leaves_it_running(
    signer: SignerProcess, request_to_sign: SigningRequest
) -> None:
    pid = signer.pid
    with pytest.raises(SigningRefused) as caught:
        signer.sign(replace(request_to_sign, identity="production", contents=()))
    assert len(caught.value.reasons) == 3
    with pytest.raises(SigningRefused):
        signer.chain("production")
    signer.sign(request_to_sign)
    assert signer.pid == pid


def test_a_killed_process_is_replaced_and_the_answer_is_the_same(
    signer: SignerProcess, request_to_sign: SigningRequest
) -> None:
    before, pid = signer.sign(request_to_sign), signer.pid
    os.kill(pid, signal.SIGKILL)
    assert signer.sign(request_to_sign) == before
    assert signer.pid != pid


def test_a_process_that_hangs_is_replaced(signer: SignerProcess, request_to_sign: SigningRequest) -> None:
    pid = signer.pid
    signer._child._socket.settimeout(0.5)  # of this child only; the next one has time to start
    os.kill(pid, signal.SIGSTOP)
    signer.sign(request_to_sign)
    assert signer.pid != pid
    assert not psutil.pid_exists(pid)


def test_a_process_that_cannot_come_back_is_unavailable_until_it_can(
    signer: SignerProcess, keys: KeyFolder, request_to_sign: SigningRequest
) -> None:
    hidden = keys.file("whql").rename(keys.path / "hidden")
    os.kill(signer.pid, signal.SIGKILL)
    with pytest.raises(SignerUnavailable, match=r"whql\.pem cannot be read"):
        signer.sign(request_to_sign)
    hidden.rename(keys.file("whql"))
    assert signer.sign(request_to_sign)[0].chain == signer.chain("attestation")


def test_a_folder_of_an_older_version_gets_its_timestamp_authority_at_the_start(
    keys: KeyFolder, request_to_sign: SigningRequest
) -> None:
    keys.file("timestamp").unlink()
    keys.public_file("timestamp").unlink()
    others = {name: keys.file(name).read_bytes() for name in ("root", "issuing", *IDENTITIES)}
    with SignerProcess.start(keys.path, environment={}) as signer:
        (signed,) = signer.sign(request_to_sign)
    found = read_timestamp(signed.timestamp, signed.signature, source="t", strict=True)
    assert found.signer == keys.certificates("timestamp")[0]
    assert {name: keys.file(name).read_bytes() for name in others} == others


def test_many_threads_may_sign_at_once(signer: SignerProcess, keys: KeyFolder, request_to_sign: SigningRequest) -> None:
    contents = [[Content(SPC_INDIRECT_DATA, bytes([n, m]) * 16) for m in range(3)] for n in range(20)]
    requests = [examined(keys, replace(request_to_sign, contents=tuple(each))) for each in contents]
    with ThreadPoolExecutor(8) as threads:
        signed = list(threads.map(signer.sign, requests))
    for asked, made in zip(contents, signed, strict=True):
        assert all(content.digest in each.attributes for content, each in zip(asked, made, strict=True))


def test_wrong_keys_stop_the_start_with_their_reason(keys: KeyFolder) -> None:
    with pytest.raises(KeysError, match=r"attestation\.pem does not open"):
        SignerProcess.start(keys.path, environment={"HWDASH_KEY_PASSPHRASE": "wrong"})
    with pytest.raises(KeysError, match="cannot be read"):
        SignerProcess.start(keys.path.parent / "empty", environment={})


def test_an_interpreter_that_does_not_run_is_reported(keys: KeyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SignerUnavailable, match="does not start"):
        SignerProcess.start(keys.path, environment={})
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    with pytest.raises(SignerUnavailable, match="does not start"):
        SignerProcess.start(keys.path, environment={})


def test_a_closed_signer_has_no_process_and_signs_nothing(keys: KeyFolder, request_to_sign: SigningRequest) -> None:
    signer = SignerProcess.start(keys.path, environment={})
    pid = signer.pid
    signer.close()
    assert not psutil.pid_exists(pid)
    with pytest.raises(SignerUnavailable, match="closed"):
        signer.sign(request_to_sign)


def test_the_passphrase_is_in_no_argument_and_no_environment(keys: KeyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWDASH_KEY_PASSPHRASE", keys.passphrase.decode())
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "of the service")
    with SignerProcess.start(keys.path) as signer:
        child = psutil.Process(signer.pid)
        assert keys.passphrase.decode() not in " ".join(child.cmdline())
        assert not {"HWDASH_KEY_PASSPHRASE", "AZURE_CLIENT_SECRET"} & set(child.environ())


def test_the_passphrase_is_read_from_its_file_by_the_process_itself(
    keys: KeyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request_to_sign: SigningRequest
) -> None:
    (keys.path / "passphrase").rename(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(KeyFolder, "open", None)  # in this process nobody opens it
    with SignerProcess.start(keys.path, environment={"HWDASH_KEY_PASSPHRASE_FILE": "elsewhere"}) as signer:
        assert signer.sign(request_to_sign)[0].signature
        assert keys.passphrase not in repr(vars(signer)).encode()


def test_the_process_leaves_no_core_and_gets_no_descriptor_of_ours(signer: SignerProcess, keys: KeyFolder) -> None:
    child = psutil.Process(signer.pid)
    assert child.rlimit(resource.RLIMIT_CORE) == (0, 0)
    assert child.rlimit(resource.RLIMIT_NPROC) == (0, 0)
    opened = {os.readlink(f"/proc/{signer.pid}/fd/{number}") for number in (0, 1, 3)}
    assert keys.path.joinpath("signatures.log").as_posix() in opened
    assert "/dev/null" in opened
    status = Path(f"/proc/{signer.pid}/status").read_text()
    assert "NoNewPrivs:\t1" in status
    # The kernel gives the /proc entries of a process that is not dumpable to root, whoever runs it.
    assert Path(f"/proc/{signer.pid}/mem").stat().st_uid == 0


def test_a_signal_to_the_group_does_not_end_it(signer: SignerProcess, request_to_sign: SigningRequest) -> None:
    """Ctrl-C reaches parent and child alike, and the parent still signs what it has begun."""
    pid = signer.pid
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(pid, number)
    signer.sign(request_to_sign)
    assert signer.pid == pid


def test_it_dies_with_a_parent_that_was_killed(keys: KeyFolder) -> None:
    program = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from hwdash.signing.process import SignerProcess
        signer = SignerProcess.start(Path(sys.argv[1]), environment={})
        print(signer.pid, flush=True)
        sys.stdin.read()
        """
    )
    command = [sys.executable, "-c", program, str(keys.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        parent.wait()
        assert psutil.wait_procs([child], timeout=10)[0] == [child]


@pytest.fixture
def raw(keys: KeyFolder) -> Iterator[socket.socket]:
    """The child's end of the conversation without our side of it."""
    ours, theirs = socket.socketpair()
    reading, writing = os.pipe()
    os.write(writing, b'{"environment": {}, "crlUrl": ""}')
    os.close(writing)
    command = [sys.executable, "-I", "-m", "hwdash.signing.process", str(keys.path), str(reading)]
    with theirs, subprocess.Popen(command, stdin=theirs.fileno(), pass_fds=[reading]) as child, ours:
        os.close(reading)
        theirs.close()
        ours.settimeout(30)
        stream = ours.makefile("rb")
        assert b"chains" in stream.readline()
        yield ours
        ours.shutdown(socket.SHUT_RDWR)
        stream.close()
        ours.close()
        child.wait(10)


def test_nonsense_is_answered_and_survived(raw: socket.socket) -> None:
    with raw.makefile("rb") as stream:
        for line in (b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"identity": "whql"}'):
            raw.sendall(line + b"\n")
            assert "refused" in json.loads(stream.readline())


def test_an_endless_line_ends_the_process(raw: socket.socket) -> None:
    with raw.makefile("rb") as stream:
        raw.sendall(b"x" * MAX_LINE)
        assert stream.readline() == b""
