"""The suite: every row, in order, each with its own end."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import httpx

from hwdash.conformance.labels import APART, TOGETHER, labels_of
from hwdash.conformance.labels import prepare as prepare_labels
from hwdash.conformance.outcome import Mismatch, NotApplicable, Result
from hwdash.conformance.row import Row
from hwdash.conformance.stage import Stage
from hwdash.conformance.target import Target
from hwdash.sdk.errors import SdkError

LABELS = "labels"
"""What rows wait for that look at labels."""

STANDING = ("sample", "bare", "spare", "replayed", "nulls", "pascal", "minimal")
"""The products that rows share, besides the six of the enumerations."""


@dataclass(frozen=True, slots=True)
class Finding:
    """How a row ended, and why when it did not pass."""

    row: Row
    result: Result
    why: str = ""


@dataclass(frozen=True, slots=True)
class Creations:
    """How much all rows together create, at most."""

    products: int
    submissions: int
    preproduction_packages: int
    labels: int


def creations(target: Target) -> Creations:
    """What a run against this target creates: the stage's products, those of the enumerations, and the workflows."""
    labels = len(TOGETHER) + 1 if target.package else 0
    labels += bool(target.package and target.foreign_chid) + bool(target.package and target.extension)
    begun = 1 + (5 if target.package else 0) + (1 if target.extension else 0) + (1 if target.stranger else 0)
    return Creations(products=len(STANDING) + 6 + begun, submissions=3 + begun, preproduction_packages=1, labels=labels)


def run(stage: Stage, rows: Collection[Row], told: Callable[[Finding], None] = lambda finding: None) -> list[Finding]:
    """Run the rows, those that wait for a workflow last, all workflows begun before; ``told`` hears of each as it ends.

    The findings come in the order of ``rows``.
    """
    for name in _workflows(rows):
        _attempt(lambda name=name: prepare(stage, name))  # type: ignore[misc]
    found: dict[str, Finding] = {}
    # Labels take longest, and wait for a workflow themselves.
    for row in sorted(rows, key=lambda row: (row.waits is not None, row.waits in {LABELS, *APART})):
        finding = Finding(row, *_attempt(lambda row=row: row.check(stage)))  # type: ignore[misc]
        found[row.id] = finding
        told(finding)
    return [found[row.id] for row in rows]


def prepare(stage: Stage, name: str) -> None:
    """Begin what rows wait for."""
    if name == LABELS:
        prepare_labels(stage)
    elif name in APART:
        labels_of(stage).begin(name)
    else:
        stage.prepare(name)


def adopt(stage: Stage, name: str, other: Stage) -> None:
    """Take over what another stage has brought to its end, and look at it anew."""
    if name == LABELS:
        stage.adopt("signed", other)
        labels_of(stage).adopt(labels_of(other), TOGETHER)
    elif name in APART:
        stage.adopt("signed", other)
        labels_of(stage).adopt(labels_of(other), (name,))
    else:
        stage.adopt(name, other)


def _workflows(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(row.waits for row in rows if row.waits is not None))


def _attempt(check: Callable[[], object]) -> tuple[Result, str]:
    try:
        check()
    except NotApplicable as reason:
        return Result.NOT_APPLICABLE, str(reason)
    except Mismatch as mismatch:
        return Result.FAIL, str(mismatch)
    except (SdkError, httpx.HTTPError) as error:
        return Result.FAIL, f"no answer: {error or type(error).__name__}"
    except Exception as error:  # noqa: BLE001 - whatever a service answers, the other rows run
        return Result.FAIL, f"the answer has a form that the row did not expect: {type(error).__name__}: {error}"
    return Result.PASS, ""
