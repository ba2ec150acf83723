"""The form of a bench's last line: scripts read it, and the docs quote nothing else."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

MIB = 1024 * 1024


@dataclass(frozen=True)
class Measure:
    """One comparison. ``ratio`` is ours to the peer, better when greater, None when the peer could not be had.

    ``ours`` and ``peer`` are medians in ``unit``; ``goal`` is the ratio to reach; ``peak_mb`` is the greatest memory of
    our processes (VmHWM, in 2**20 bytes) and ``peak_goal_mb`` what it must stay under.
    """

    name: str
    goal: float
    ours: float | None
    peer: float | None
    unit: str
    peak_mb: float | None = None
    peak_goal_mb: float | None = None
    smaller_is_better: bool = False

    @property
    def ratio(self) -> float | None:
        """Ours to the peer; for times and sizes the peer to ours."""
        if not self.ours or not self.peer:
            return None
        return self.peer / self.ours if self.smaller_is_better else self.ours / self.peer

    @property
    def met(self) -> bool:
        """Whether the goal is reached, memory included; never without a peer."""
        in_memory = self.peak_goal_mb is None or (self.peak_mb is not None and self.peak_mb < self.peak_goal_mb)
        return self.ratio is not None and self.ratio >= self.goal and in_memory

    def as_json(self) -> dict[str, object]:
        """The object of the last line."""
        fields = {name: value for name, value in asdict(self).items() if name != "smaller_is_better"}
        fields |= {"ratio": self.ratio, "met": self.met}
        return {name: round(value, 3) if isinstance(value, float) else value for name, value in fields.items()}


def print_report(measures: Sequence[Measure]) -> None:
    """Print a table for people and then the one line for scripts: an object, or a list of several."""
    for measure in measures:
        ours, peer = (f"{value:.1f}" if value is not None else "none" for value in (measure.ours, measure.peer))
        ratio = f"{measure.ratio:.2f}" if measure.ratio is not None else "no peer"
        verdict = "met" if measure.met else "NOT MET"
        peak = f", peak {measure.peak_mb:.0f} MB" if measure.peak_mb is not None else ""
        print(f"{measure.name}: {ours} to {peer} {measure.unit}, ratio {ratio}, goal {measure.goal}{peak}: {verdict}")
    objects = [measure.as_json() for measure in measures]
    print(json.dumps(objects[0] if len(objects) == 1 else objects))


def median(values: Sequence[float]) -> float | None:
    """The median; None of nothing."""
    return statistics.median(values) if values else None


def peak_mb(pid: int) -> float:
    """The greatest resident memory that a process has had, in 2**20 bytes (VmHWM, proc(5))."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/{pid}/status has no VmHWM")
