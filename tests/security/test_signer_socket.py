"""Only the user who is served reaches the signer, and the service speaks to no other user's.

``hwdash signer`` runs as its operator would run it, apart from the service: the passphrase of the keys is the signer's
alone. Who connects, and who listens, is claimed to be somebody else; the kernel tells otherwise.
"""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from hwdash.signing.errors import KeysError, SignerUnavailable
from hwdash.signing.process import SignerProcess
from hwdash.signing.signer_socket import MOST_PROCESSES
from service import HWDASH, Made, clean_environment, make_service, serve, signed_cabinet

ME, SOMEBODY = str(os.getuid()), str(os.getuid() + 1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A service whose keys are under a passphrase that stands outside of its folder."""
    folder = tmp_path_factory.mktemp("apart")
    (folder / "passphrase").write_text("of the signer alone")
    return make_service(folder, HWDASH_KEY_PASSPHRASE_FILE=str(folder / "passphrase"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s.sock"


@contextmanager
def listening(made: Made, path: Path, user: str = ME) -> Iterator[psutil.Process]:
    """The signer, and its log beside the socket."""
    command = [*HWDASH, "signer", "--socket", str(path), "--user", user]
    with (
        path.with_suffix(".log").open("a") as log,
        subprocess.Popen(command, env=made.environment, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == f"listening at {path}\n", path.with_suffix(".log").read_text()
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


def ended(processes: Sequence[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=20)[1]


def test_a_service_without_the_passphrase_signs_by_it(made: Made, path: Path, tmp_path: Path) -> None:
    bare = {name: value for name, value in made.environment.items() if "PASSPHRASE" not in name}
    apart = replace(made, environment=bare | {"HWDASH_SIGNER_SOCKET": str(path), "HWDASH_SIGNER_USER": ME})
    with listening(made, path) as signer, serve(apart) as served:
        below = psutil.Process(served.process.pid).children(recursive=True)
        assert not [each for each in below if "hwdash.signing.process" in each.cmdline()]
        client, (process,) = served.client(), signer.children()
        for _ in range(2):
            done = client.submit(signed_cabinet(tmp_path, made.vendor))
            assert done["workflowStatus"]["state"] == "completed", done
            if process.is_running():
                # What is killed is started again, by the same signer, when it is needed.
                process.kill()
                assert ended([process])
        client.http.close()


def test_another_user_gets_no_process_and_is_told_of(made: Made, path: Path) -> None:
    with listening(made, path, SOMEBODY) as signer:
        with pytest.raises(SignerUnavailable):
            SignerProcess.connect(path, ME)
        assert signer.children() == []
    assert f"user {ME} connected, who is not served here" in path.with_suffix(".log").read_text()


def test_nothing_is_sent_to_a_signer_of_another_user(path: Path) -> None:
    """A process that got hold of the path first is not taken for the signer."""
    with socket.socket(socket.AF_UNIX) as impostor:
        impostor.bind(str(path))
        impostor.listen()
        with pytest.raises(KeysError, match=f"is served by user {ME}, not by {SOMEBODY}"):
            SignerProcess.connect(path, SOMEBODY)
        connection, _ = impostor.accept()
        with connection:
            assert connection.recv(1) == b""


def test_what_it_started_ends_with_the_connection_and_with_the_signer(made: Made, path: Path) -> None:
    with listening(made, path) as signer:
        with SignerProcess.connect(path, ME):
            below = signer.children(recursive=True)
            assert below
        assert ended(below)
        remote = SignerProcess.connect(path, ME)
        below = signer.children(recursive=True)
        signer.send_signal(signal.SIGKILL)
        assert ended(below)
    with pytest.raises(SignerUnavailable):
        remote.crl()
    with listening(made, path):
        assert remote.crl()
        remote.close()


def test_nonsense_and_too_many_connections_do_not_stop_it(made: Made, path: Path) -> None:
    with listening(made, path) as signer:
        for sent in (b"", b"\n", b"x" * 5000):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(path))
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
                with suppress(ConnectionResetError):
                    assert connection.recv(100) == b""
        held = []
        for _ in range(MOST_PROCESSES + 1):
            connection, (ours, theirs) = socket.socket(socket.AF_UNIX), socket.socketpair()
            connection.connect(str(path))
            socket.send_fds(connection, [b"\n"], [theirs.fileno()])
            theirs.close()
            held += [connection, ours]
        with suppress(ConnectionResetError):
            assert held[-2].recv(1) == b""  # one too many
        assert len(signer.children()) == MOST_PROCESSES
        for each in held:
            each.close()
        assert ended(signer.children())
        with SignerProcess.connect(path, ME) as remote:
            assert remote.crl()


def test_a_path_that_is_taken_is_refused_and_one_of_a_dead_signer_is_not(made: Made, path: Path) -> None:
    command = [*HWDASH, "signer", "--socket", str(path), "--user"]

    def refused(user: str) -> str:
        done = subprocess.run([*command, user], env=made.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        return done.stderr

    with listening(made, path) as signer:
        assert "another signer listens" in refused(ME)
        signer.kill()
    assert path.exists()
    with listening(made, path), SignerProcess.connect(path, ME) as remote:
        assert remote.crl()
    path.unlink()
    path.write_text("mine")
    assert "is no socket" in refused(ME)
    assert path.read_text() == "mine"
    assert "there is no user" in refused("nobody-of-that-name")


def test_keys_that_do_not_open_are_told_to_the_service(made: Made, path: Path) -> None:
    wrong = replace(made, environment=clean_environment(HWDASH_DATA=str(made.data), HWDASH_KEY_PASSPHRASE="wrong"))
    with listening(wrong, path), pytest.raises(KeysError, match="does not open"):
        SignerProcess.connect(path, ME)
