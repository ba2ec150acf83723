"""How far a gradual rollout is (contract/dashboard.md 128 to 130)."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any


def percent_at(rollout: Mapping[str, Any], now: datetime) -> float:
    """The percentage of machines that a rollout reaches at a time; 0 while it is paused."""
    if rollout.get("isFinalized"):
        return 100
    if rollout.get("pausedAt"):
        return 0
    passed = now - datetime.fromisoformat(rollout["startedAt"]) - timedelta(seconds=rollout.get("pausedSeconds") or 0)
    day = passed // timedelta(days=1) + 1
    return max((percent for percent, first in rollout["phases"] if first <= day), default=0)
