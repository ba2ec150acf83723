"""Limits to signatures a day: what they are read from, and what counts."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from examined import examined
from hwdash.signing.authority import PREPRODUCTION
from hwdash.signing.errors import KeysError, LimitReached
from hwdash.signing.keys import KeyFolder
from hwdash.signing.limits import LIMITS_FILE, Limits
from hwdash.signing.signature_log import LOG_FILE, SignatureLog
from hwdash.signing.signer import SPC_INDIRECT_DATA, Content, LocalSigner, SigningRequest

Ask = Callable[..., SigningRequest]


@pytest.fixture
def ask(keys: KeyFolder, request_to_sign: SigningRequest) -> Ask:
    """A request for files of these numbers, by submission and account."""

    def made(*numbers: int, identity: str = "attestation", **record: Any) -> SigningRequest:
        contents = tuple(Content(SPC_INDIRECT_DATA, bytes([number]) * 32) for number in numbers)
        asked = replace(request_to_sign, identity=identity, contents=contents)
        return examined(keys, replace(asked, record=replace(asked.record, **record)))

    return made


def limit(keys: KeyFolder, **document: Any) -> None:
    (keys.path / LIMITS_FILE).write_text(json.dumps(document))


def test_without_the_file_there_is_no_limit(keys: KeyFolder) -> None:
    assert Limits.read(keys.path) == Limits({}, None)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("[]", "must be a JSON object"),
        ('{"accounts": 1}', "must be a JSON object"),
        ('{"account": -1}', "whole number"),
        ('{"account": 1.5}', "whole number"),
        ('{"account": true}', "whole number"),
        ('{"account": null}', "whole number"),
        ('{"identities": {"attestation": "many"}}', "whole number"),
        ('{"identities": {"root": 1}}', "identities must be"),
        ('{"identities": []}', "identities must be"),
    ],
)
def test_a_file_that_cannot_be_used_stops_the_signer(
    keys: KeyFolder, now: datetime, request_to_sign: SigningRequest, content: str, said: str
) -> None:
    (keys.path / LIMITS_FILE).write_text(content)
    with pytest.raises(KeysError, match=said):
        LocalSigner(keys, lambda: now).sign(request_to_sign)


def test_the_last_signature_of_the_day_says_when_the_next_one_is_possible(
    keys: KeyFolder, now: datetime, ask: Ask
) -> None:
    limit(keys, identities={"attestation": 3})
    signer = LocalSigner(keys, lambda: now)
    signer.sign(ask(1, 2))
    signer.sign(ask(3, submission_id=5))
    with pytest.raises(LimitReached) as caught:
        signer.sign(ask(4))
    tomorrow = (now + timedelta(days=1)).strftime("%Y-%m-%d 00:00 UTC")
    assert caught.value.reasons == (
        "3 attestation signatures may be made a day, 3 were made today, and this takes 1 more: "
        f"possible again from {tomorrow}",
    )
    signer.sign(ask(4, identity="whql"))
    LocalSigner(keys, lambda: now + timedelta(days=1)).sign(ask(4))


def test_an_account_is_counted_over_all_identities(keys: KeyFolder, now: datetime, ask: Ask) -> None:
    limit(keys, account=2)
    signer = LocalSigner(keys, lambda: now)
    signer.sign(ask(1))
    signer.sign(ask(2, identity="test"))
    with pytest.raises(LimitReached, match="2 signatures for account 12345678 may be made a day"):
        signer.sign(ask(3, identity="flight"))
    signer.sign(ask(3, account_id=7))


def test_a_repeated_request_counts_once_and_another_submission_again(keys: KeyFolder, now: datetime, ask: Ask) -> None:
    limit(keys, identities={"attestation": 2}, account=2)
    for _ in range(3):
        LocalSigner(keys, lambda: now).sign(ask(1))
    signer = LocalSigner(keys, lambda: now)
    signer.sign(ask(1, submission_id=5))
    with pytest.raises(LimitReached):
        signer.sign(ask(1, submission_id=6))
    signer.sign(ask(1))


def test_a_package_is_signed_whole_or_not_at_all(keys: KeyFolder, now: datetime, ask: Ask) -> None:
    limit(keys, identities={"attestation": 2})
    whole = ask(1, 2, 3)
    signer = LocalSigner(keys, lambda: now)
    with pytest.raises(LimitReached, match="takes 3 more"):
        signer.sign(replace(whole, contents=whole.contents[:1]))
    assert (keys.path / LOG_FILE).read_bytes() == b""


def test_zero_signs_nothing(keys: KeyFolder, now: datetime, ask: Ask) -> None:
    limit(keys, identities={PREPRODUCTION: 0, "attestation": 0})
    with pytest.raises(LimitReached, match="0 attestation signatures"):
        LocalSigner(keys, lambda: now).sign(ask(1))


def test_a_limit_holds_from_the_next_request_on(keys: KeyFolder, now: datetime, ask: Ask) -> None:
    signer = LocalSigner(keys, lambda: now)
    signer.sign(ask(1))
    limit(keys, account=1)
    with pytest.raises(LimitReached):
        signer.sign(ask(2))
    limit(keys, account=2)
    signer.sign(ask(2))


def test_today_is_found_at_the_end_of_a_log_of_years(keys: KeyFolder, now: datetime, ask: Ask) -> None:
    LocalSigner(keys, lambda: now).sign(ask(9))
    log, today = keys.path / LOG_FILE, now + timedelta(days=1)
    log.write_bytes(log.read_bytes() * 8_000)
    assert log.stat().st_size > 8 << 20
    signer = LocalSigner(keys, lambda: today)
    for number in range(6):
        signer.sign(ask(number, number + 1, submission_id=number + 1))
    with log.open("ab") as stream:
        stream.write(b'{"time": "20')  # as a crash leaves it
    signer.sign(ask(1))
    fresh = SignatureLog(keys.path, lambda: today)
    assert len(fresh.made_on(today)) == 13
    assert {each.submission_id for each in fresh.made_on(today)} == {*range(1, 7), ask(1).record.submission_id}
    assert len(fresh.made_on(now)) == 1
