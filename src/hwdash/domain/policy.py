"""What an account may do and how its labels are let go, as its operator set it (``hwdash admin account policy``)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

APPROVALS = ("required", "automatic")
CHID_RULES = ("required", "forbidden")


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy of an account; the defaults hold where the operator said nothing."""

    manual_review: bool = False
    """A person reviews each package before it is signed."""
    approval: str = "required"
    """"required": a person approves labels that need it; "automatic": nobody is asked."""
    approver_is_not_submitter: bool = True
    """Whoever made a label or its submission does not approve it."""
    rollout: tuple[tuple[int, int], ...] = ((1, 1), (10, 8), (100, 14))
    """(percent of the machines, day from which on), in order."""
    watch_days: int = 30
    """How long a rollout is watched, from its first day on."""
    ceilings: bool = False
    """Labels may name the last release that a driver is offered to."""
    co_engineering: bool = False
    """Labels may name build numbers that are not released yet."""
    automatic_delivery: bool = True
    """Labels may have Windows Update install a driver without being asked (contract/dashboard.md 115)."""
    promoter_role: bool = False
    """Such labels need the role Shipping Label Promoter too (contract/api.md 8.3)."""
    release_calendar: bool = False
    """Labels go live on days that the release calendar leaves free (domain/calendar.py)."""
    pause_on_failure: bool = False
    """A measure that fails pauses the rollout (domain/measures.py)."""
    class_chids: tuple[tuple[str, str], ...] = (("firmware", "required"), ("display", "forbidden"))
    """Classes, in lower case, whose labels must have CHIDs or must not (contract/dashboard.md 101)."""

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "Policy":
        """The policy as ``accounts.policy`` has it, in camelCase; names that are not known are left alone."""
        default = cls()
        return cls(
            manual_review=bool(stored.get("manualReview", default.manual_review)),
            approval=str(stored.get("approval", default.approval)),
            approver_is_not_submitter=bool(stored.get("approverIsNotSubmitter", default.approver_is_not_submitter)),
            rollout=tuple((int(percent), int(day)) for percent, day in stored.get("rollout", default.rollout)),
            watch_days=int(stored.get("watchDays", default.watch_days)),
            ceilings=bool(stored.get("ceilings", default.ceilings)),
            co_engineering=bool(stored.get("coEngineering", default.co_engineering)),
            automatic_delivery=bool(stored.get("automaticDelivery", default.automatic_delivery)),
            promoter_role=bool(stored.get("promoterRole", default.promoter_role)),
            release_calendar=bool(stored.get("releaseCalendar", default.release_calendar)),
            pause_on_failure=bool(stored.get("pauseOnFailure", default.pause_on_failure)),
            class_chids=tuple(stored.get("classChids", dict(default.class_chids)).items()),
        )

    def to_json(self) -> dict[str, Any]:
        """All of it, as ``accounts.policy`` has it."""
        return {
            "manualReview": self.manual_review,
            "approval": self.approval,
            "approverIsNotSubmitter": self.approver_is_not_submitter,
            "rollout": [list(each) for each in self.rollout],
            "watchDays": self.watch_days,
            "ceilings": self.ceilings,
            "coEngineering": self.co_engineering,
            "automaticDelivery": self.automatic_delivery,
            "promoterRole": self.promoter_role,
            "releaseCalendar": self.release_calendar,
            "pauseOnFailure": self.pause_on_failure,
            "classChids": dict(self.class_chids),
        }
