"""Continuation tokens: what is made is read, and nothing else."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwdash.domain.errors import DomainError
from hwdash.server.page_tokens import PageTokens

TOKENS = PageTokens(b"k" * 32)
PLACE = (datetime(2026, 11, 23, 12, 30, 0, 123456, tzinfo=UTC), 1152921504606971000)


@given(
    since=st.timedeltas(timedelta(0), timedelta(days=365 * 8000)),
    last=st.integers(0, (1 << 63) - 1),
    scope=st.text(),
)
def test_a_place_comes_back(since: timedelta, last: int, scope: str) -> None:
    when = datetime(1970, 1, 1, tzinfo=UTC) + since
    token = TOKENS.token((when, last), scope)
    assert TOKENS.place(token, scope) == (when, last)
    assert token.replace("-", "").replace("_", "").isalnum(), "it needs no escape in a URL"


def test_a_token_is_good_in_its_scope_and_service_only() -> None:
    token = TOKENS.token(PLACE, "12345678\nproducts\n")
    for tokens, scope in (
        (TOKENS, "87654321\nproducts\n"),
        (TOKENS, ""),
        (PageTokens(b"l" * 32), "12345678\nproducts\n"),
    ):
        with pytest.raises(DomainError) as refused:
            tokens.place(token, scope)
        assert refused.value.targets[0] == ("continuationToken", "Follow next_link as it was given.")


def test_no_bit_can_be_turned() -> None:
    raw = base64.urlsafe_b64decode(TOKENS.token(PLACE, "s") + "==")
    for bit in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DomainError):
            TOKENS.place(base64.urlsafe_b64encode(changed).decode().rstrip("="), "s")


@given(st.text())
def test_anything_else_is_refused(token: str) -> None:
    with pytest.raises(DomainError):
        TOKENS.place(token, "s")
