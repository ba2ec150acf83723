"""Answers in other shapes: what the real service was seen to leave out, and to write otherwise."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hwdash.sandbox.scenario import Effect, Hide, NumericStep, Urls
from hwdash.sandbox.urls import restyled
from hwdash.server.sas import SasSigner
from hwdash.vocabulary import SUBMISSION_STEPS


@dataclass(frozen=True, slots=True)
class Shaping:
    """A JSON answer that can be changed, and what its shapes depend on."""

    document: dict[str, Any]
    sas: SasSigner
    now: datetime
    finished_at: datetime | None
    """When the submission's workflow ended."""

    @property
    def items(self) -> list[dict[str, Any]]:
        """The downloads."""
        found = (self.document.get("downloads") or {}).get("items")
        return found if isinstance(found, list) else []


def shapes(effect: Effect, shaping: Shaping) -> bool:
    """Whether the effect changes anything in this answer."""
    match effect:
        case Hide(download, span):
            if span is not None and (shaping.finished_at is None or shaping.now >= shaping.finished_at + span):
                return False
            return any(download in ("*", item["type"]) for item in shaping.items)
        case NumericStep():
            return isinstance(shaping.document.get("workflowStatus"), dict)
        case Urls():
            return bool(shaping.items)
    return False


def shape(effect: Effect, shaping: Shaping) -> None:
    """Change the answer as the effect says."""
    match effect:
        case Hide("*", _):
            shaping.document.pop("downloads", None)
        case Hide(download, _):
            shaping.items[:] = [item for item in shaping.items if item["type"] != download]
        case NumericStep():
            status = shaping.document["workflowStatus"]
            if (step := status["currentStep"]) in SUBMISSION_STEPS:
                status["currentStep"] = SUBMISSION_STEPS.index(step) + 1
        case Urls(style, expired):
            for item in shaping.items:
                item["url"] = restyled(item["url"], shaping.sas, shaping.now, style=style, expired=expired)
