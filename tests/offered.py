"""Machines and published drivers for tests of what is offered: all is as it should be but for what a test says."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hwdash.distribution.applicability import Candidate, TargetedId
from hwdash.distribution.machine import Device, Installed, Machine
from hwdash.distribution.offers import Found, offers
from hwdash.distribution.ranking import DriverVer, parse_version

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
HARDWARE_ID, LESS_SPECIFIC, CLASS = "usb\\vid_1234&pid_5678&rev_01", "usb\\vid_1234&pid_5678", "usb\\class_ff"
X64_RS3, X64_CO, X64_NI, X64_GE = (f"WINDOWS_v100_X64_{each}_FULL" for each in ("RS3", "CO", "NI", "GE"))
AUTOMATIC = {"isAutoInstallDuringOSUpgrade": True, "isAutoInstallOnApplicableSystems": True}
PUSHED_ONLY = AUTOMATIC | {"isAutoInstallDuringOSUpgrade": False}
UPGRADES_ONLY = AUTOMATIC | {"isAutoInstallOnApplicableSystems": False}
MANUAL: dict[str, Any] = {"manualAcquisition": True}
DEVICE = Device((HARDWARE_ID, LESS_SPECIFIC), (CLASS,))
CHIDS = tuple(f"00000000-0000-5000-8000-{number:012}" for number in range(15))


def ver(text: str, day: str = "2026-01-31") -> DriverVer:
    return DriverVer(date.fromisoformat(day), parse_version(text))


def installed(text: str = "1.0.0.0", day: str = "2025-01-31", **more: Any) -> Installed:
    return Installed(ver(text, day), **more)


def machine(*devices: Device, **changes: Any) -> Machine:
    """An amd64 client of Windows 11 23H2."""
    return replace(Machine(22631, "amd64", devices or (DEVICE,), chids=CHIDS), **changes)


def candidate(label_id: int = 1, *ids: TargetedId, os_code: str = X64_NI, **changes: Any) -> Candidate:
    """An automatic label that was published, for the device's first hardware id."""
    made = Candidate(
        label_id=label_id,
        label_name=f"Label {label_id}",
        product_id=10,
        submission_id=100,
        bundle_id="bundle",
        inf_id="driver.inf",
        ver=ver("2.0.0.0"),
        ids=ids or (TargetedId(HARDWARE_ID, os_code),),
        specifications=AUTOMATIC,
    )
    return replace(made, **changes)


def rollout(day: int = 1, *, paused: bool = False, is_finalized: bool = False) -> dict[str, Any]:
    """A rollout of 1, 10 and 100 % from the days 1, 8 and 14 on, that is at this day: as a label's row has it."""
    return {
        "phases": [[1, 1], [10, 8], [100, 14]],
        "watchDays": 30,
        "startedAt": (NOW - timedelta(days=day - 1, hours=1)).isoformat(),
        "pausedAt": NOW.isoformat() if paused else None,
        "pausedSeconds": 0.0,
        "pauseReason": "",
        "isFinalized": is_finalized,
    }


def told(which: Machine, *published: Candidate, now: datetime = NOW) -> list[Found]:
    return offers(which, published, now)


def outcome(which: Machine, *published: Candidate) -> dict[int, str]:
    """What becomes of each label for the machine's only device: the kind of its offer, or the rule that refused it."""
    (found,) = told(which, *published)
    return {each.candidate.label_id: str(each.kind) for each in found.offers} | {
        each.candidate.label_id: each.rule.name for each in found.refused
    }
