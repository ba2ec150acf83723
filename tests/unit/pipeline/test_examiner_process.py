"""The examiner's process: who starts it, what it holds, and that it ends with who started it."""

import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from hwdash.pipeline.examination import examiner_words
from hwdash.settings import Settings
from hwdash.signing.authority import ensure_authority
from hwdash.signing.keys import KeyFolder
from hwdash.signing.process import SignerProcess
from service import until


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    (tmp_path / "data").mkdir()
    folder = KeyFolder.open(tmp_path / "keys", {})
    ensure_authority(folder, datetime.now(UTC), sandbox=True)
    return folder


@pytest.fixture
def signer(keys: KeyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SignerProcess]:
    monkeypatch.setenv("HWDASH_KEY_PASSPHRASE_OF_A_TEST", "of the service")
    words = examiner_words(Settings(data=tmp_path / "data"))
    with SignerProcess.start(keys.path, environment={}, examiner=words) as process:
        yield process


def examiner_of(signer: SignerProcess) -> psutil.Process:
    (examiner,) = psutil.Process(signer.pid).children()
    return examiner


def is_answered(signer: SignerProcess) -> bool:
    with signer.examiner() as connection, connection.makefile("rwb") as stream:
        stream.write(b"{}\n")
        stream.flush()
        line = stream.readline()
        return bool(line) and "failed" in json.loads(line)


def test_the_signer_starts_it_and_it_answers(signer: SignerProcess, keys: KeyFolder) -> None:
    assert is_answered(signer)
    examiner = examiner_of(signer)
    assert "hwdash.pipeline.examiner_main" in examiner.cmdline()
    assert keys.passphrase.decode() not in " ".join(examiner.cmdline())
    assert set(examiner.environ()) <= {"LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "LC_CTYPE"}
    assert examiner.rlimit(resource.RLIMIT_CORE) == (0, 0)
    assert examiner.rlimit(resource.RLIMIT_NPROC) != (0, 0)
    assert "NoNewPrivs:\t1" in Path(f"/proc/{examiner.pid}/status").read_text()
    # The kernel gives the /proc entries of a process that is not dumpable to root, whoever runs it.
    assert Path(f"/proc/{examiner.pid}/mem").stat().st_uid == 0


def test_it_has_no_file_of_the_key_folder_open(signer: SignerProcess, keys: KeyFolder) -> None:
    assert is_answered(signer)
    descriptors = Path(f"/proc/{examiner_of(signer).pid}/fd")
    assert not any(str(keys.path) in os.readlink(each) for each in descriptors.iterdir())


def test_one_that_was_killed_is_started_again_with_its_signer(signer: SignerProcess) -> None:
    assert is_answered(signer)
    before, pid = examiner_of(signer), signer.pid
    before.kill()
    until(lambda: not before.is_running() or before.status() == psutil.STATUS_ZOMBIE, "it was not killed")
    assert is_answered(signer)
    assert signer.pid != pid


def test_it_ends_with_its_signer_and_another_one_comes(signer: SignerProcess) -> None:
    assert is_answered(signer)
    before = examiner_of(signer)
    assert signer.pid is not None
    os.kill(signer.pid, signal.SIGKILL)
    until(lambda: not before.is_running(), "it outlives its signer")
    assert is_answered(signer)


def test_it_ends_when_the_service_closes_the_signer(signer: SignerProcess) -> None:
    assert is_answered(signer)
    before = examiner_of(signer)
    signer.close()
    until(lambda: not before.is_running(), "it outlives the service")


def test_a_signal_to_the_group_does_not_end_it(signer: SignerProcess) -> None:
    assert is_answered(signer)
    examiner = examiner_of(signer)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        examiner.send_signal(number)
    assert is_answered(signer)
    assert examiner_of(signer) == examiner


def test_it_dies_with_a_service_that_was_killed(keys: KeyFolder, tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from hwdash.pipeline.examination import examiner_words
        from hwdash.settings import Settings
        from hwdash.signing.process import SignerProcess
        words = examiner_words(Settings(data=Path(sys.argv[2])))
        signer = SignerProcess.start(Path(sys.argv[1]), environment={}, examiner=words)
        print(signer.pid, flush=True)
        sys.stdin.read()
        """
    )
    command = [sys.executable, "-c", program, str(keys.path), str(tmp_path / "data")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        signer = psutil.Process(int(parent.stdout.readline()))
        below = [signer, *signer.children()]
        assert len(below) == 2
        parent.kill()
        parent.wait()
        assert psutil.wait_procs(below, timeout=10)[1] == []
