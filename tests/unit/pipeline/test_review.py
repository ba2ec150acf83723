"""What a person's word needs before anything is looked up."""

from datetime import UTC, datetime
from typing import cast

import pytest
import sqlalchemy as sa

from hwdash.domain.reason import LONGEST_REASON, ReasonRefused
from hwdash.pipeline.engine import WorkflowQueue
from hwdash.pipeline.review import Decision, approve, reject
from hwdash.signing.officers import DualControl, Policy
from hwdash.storage.blobs import BlobStore

NOBODY = cast("sa.Connection", None)


def word(reason: str) -> Decision:
    return Decision(by="Ann", reason=reason, when=datetime(2026, 11, 23, tzinfo=UTC))


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("", "a rejection needs a reason"),
        (" ", "a rejection needs a reason"),
        ("one\ntwo", "one line"),
        ("x" * (LONGEST_REASON + 1), "at most"),
    ],
)
def test_a_rejection_needs_a_reason_of_one_line(reason: str, said: str) -> None:
    with pytest.raises(ReasonRefused, match=said):
        reject(NOBODY, cast("BlobStore", None), 5, word(reason))


def test_an_approval_takes_a_reason_of_one_line_only() -> None:
    with pytest.raises(ReasonRefused, match="one line"):
        approve(NOBODY, cast("WorkflowQueue", None), 5, word("\x1b[31mred"), DualControl(Policy(), {}))
