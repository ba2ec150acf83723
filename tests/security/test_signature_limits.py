"""No more is signed in a day than the signer's limits allow, however many ask at once and whatever is killed.

Four workers, each with a signer of its own over one key folder, ask for more than may be signed, while signers are
killed and started again.
"""

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier

import pytest

from examined import examined
from hwdash.signing.authority import ensure_authority
from hwdash.signing.errors import LimitReached, SignerUnavailable
from hwdash.signing.keys import KeyFolder
from hwdash.signing.limits import LIMITS_FILE
from hwdash.signing.process import SignerProcess
from hwdash.signing.signature_log import LOG_FILE
from hwdash.signing.signer import REQUIRED_STEPS, SPC_INDIRECT_DATA, Content, SigningRecord, SigningRequest
from service import Served, hwdash, make_service, serve, signed_cabinet

WORKERS, ALLOWED, ASKED, ROUNDS = 4, 25, 80, 60


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    folder = KeyFolder.open(tmp_path / "keys", {})
    ensure_authority(folder, datetime.now(UTC), key_size=2048)
    return folder


def request(keys: KeyFolder, number: int, *, account: int = 3) -> SigningRequest:
    record = SigningRecord(number // 2 + 1, 2, account, "ab" * 32, dict.fromkeys(REQUIRED_STEPS, "cd" * 32), "")
    content = Content(SPC_INDIRECT_DATA, bytes([number]) * 32)
    return examined(keys, SigningRequest("attestation", (content,), "Contoso", "", datetime.now(UTC), record))


@pytest.mark.parametrize("limits", [{"identities": {"attestation": ALLOWED}}, {"account": ALLOWED}])
def test_exactly_as_many_are_signed_as_may_be(keys: KeyFolder, limits: dict[str, object]) -> None:
    (keys.path / LIMITS_FILE).write_text(json.dumps(limits))
    asked = [request(keys, number) for number in range(ASKED)]
    with ExitStack() as stack:
        signers = [stack.enter_context(SignerProcess.start(keys.path, environment={})) for _ in range(WORKERS)]

        def signed(number: int) -> bool:
            """Whether the request was signed. Now and then the signer is killed before it, and while it works."""
            signer = signers[number % WORKERS]
            if number % 7 == 0 and signer.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(signer.pid, signal.SIGKILL)
            while True:
                with suppress(SignerUnavailable):
                    try:
                        return len(signer.sign(asked[number])) == 1
                    except LimitReached:
                        return False

        with ThreadPoolExecutor(2 * WORKERS) as threads:
            outcomes = list(threads.map(signed, range(ASKED)))
        assert outcomes.count(True) == ALLOWED
        # What was signed is given again, by every signer, and takes nothing; the rest stays refused.
        for number in range(ASKED):
            assert signed(number) == outcomes[number]
    entries = [json.loads(line) for line in (keys.path / LOG_FILE).read_bytes().splitlines()]
    made = {(each["submissionId"], each["contentDigest"]) for each in entries if "signatureSha256" in each}
    assert len(made) == ALLOWED


def test_of_four_that_ask_for_the_last_one_at_once_one_gets_it(keys: KeyFolder) -> None:
    (keys.path / LIMITS_FILE).write_text('{"account": 1}')
    at_once = Barrier(WORKERS)
    with ExitStack() as stack:
        signers = [stack.enter_context(SignerProcess.start(keys.path, environment={})) for _ in range(WORKERS)]

        def outcomes(worker: int) -> list[bool]:
            asked = [request(keys, worker, account=account) for account in range(1, ROUNDS + 1)]
            made = []
            for each in asked:
                at_once.wait()
                try:
                    made.append(len(signers[worker].sign(each)) == 1)
                except LimitReached:
                    made.append(False)
            return made

        with ThreadPoolExecutor(WORKERS) as threads:
            by_worker = list(threads.map(outcomes, range(WORKERS)))
    assert [sum(round_) for round_ in zip(*by_worker, strict=True)] == [1] * ROUNDS


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Served]:
    made = make_service(tmp_path)
    (made.data / "keys" / LIMITS_FILE).write_text('{"identities": {"attestation": 3}}')
    with serve(made) as served:
        yield served


def test_a_submission_over_the_limit_fails_and_says_when_it_would_not(limited: Served, tmp_path: Path) -> None:
    """The sample driver takes two signatures, of its catalog and of its driver."""
    client = limited.client()
    package = signed_cabinet(tmp_path, limited.made.vendor)
    assert client.submit(package)["workflowStatus"]["state"] == "completed"
    status = client.submit(package)["workflowStatus"]
    assert (status["state"], status["currentStep"]) == ("failed", "signing")
    (message,) = status["messages"]
    assert "signing.limit: 3 attestation signatures may be made a day, 2 were made today" in message
    assert "possible again from" in message
    assert client.submit(package, isTestSign=True)["workflowStatus"]["state"] == "completed"
    told = hwdash("admin", "audit", "list", "--json", environment=limited.made.environment)
    assert "fail_step" in told
