"""The service can be stopped at any time: at once, and without losing what was under way."""

import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from service import HWDASH, make_service, serve, signed_cabinet, until


@pytest.fixture
def silent_scanner(tmp_path: Path) -> Iterator[tuple[str, threading.Event]]:
    """Somebody who takes the connection of a scan and never says a word. Yields the address and "was asked"."""
    asked = threading.Event()
    taken: list[socket.socket] = []
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "clamd"))
    listening.listen()

    def take() -> None:
        with suppress(OSError):
            while True:
                taken.append(listening.accept()[0])
                asked.set()

    threading.Thread(target=take, daemon=True).start()
    yield f"unix:{tmp_path / 'clamd'}", asked
    for each in (listening, *taken):
        each.close()


def test_stops_at_once_in_the_middle_of_a_step_and_goes_on_at_the_next_start(
    silent_scanner: tuple[str, threading.Event], tmp_path: Path
) -> None:
    address, asked = silent_scanner
    made = make_service(tmp_path)
    with serve(made, extra={"HWDASH_CLAMD": address}) as served:
        client = served.client()
        submission = client.create_submission(client.create_product()["id"])
        client.upload(submission, signed_cabinet(tmp_path, made.vendor))
        assert client.commit(submission).status_code == 202
        assert asked.wait(60)
        served.process.send_signal(signal.SIGINT)
        until(lambda: served.process.poll() is not None, "the service does not stop", 30)
        assert served.process.returncode == 0
    with serve(made) as served:
        status = served.client().finished(submission)["workflowStatus"]
    assert (status["currentStep"], status["state"]) == ("finalizeIngestion", "completed")


def test_a_second_service_over_the_same_data_is_refused(tmp_path: Path) -> None:
    made = make_service(tmp_path)
    with serve(made) as served:
        second = subprocess.run(
            [*HWDASH, "serve", "--port", "0"], env=made.environment, capture_output=True, text=True, check=False
        )
        assert second.returncode == 1
        assert f"another hwdash serve runs over {made.data}" in second.stderr
        served.client()
