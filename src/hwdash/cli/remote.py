"""What the client commands share: the connection, errors as exit codes, the steps of a workflow as they pass."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from hwdash.cli.connection import Connection, load_connection
from hwdash.cli.output import Exit, Refused, progress_bar, say
from hwdash.sdk.client import HardwareClient
from hwdash.sdk.errors import ApiError, AuthenticationError, SdkError, TransportError
from hwdash.sdk.transfer import Progress
from hwdash.vocabulary import (
    SHARING_STEPS,
    SUBMISSION_STEPS,
    WINDOWS_UPDATE_STEPS,
    LabelDestination,
    WorkflowState,
)
from hwdash.wire.label import ShippingLabel
from hwdash.wire.submission import Submission, WorkflowStatus

PROVENANCE_SUFFIX = ".intoto.json"


def client_of(connection: Connection) -> HardwareClient:
    """A client of the service that a connection names."""
    return HardwareClient(connection.url, connection.credentials, verify=connection.ca or True)


@contextmanager
def connected(profile: str | None) -> Iterator[HardwareClient]:
    """A client for the profile; what the service refuses ends the command with its exit code."""
    try:
        with client_of(load_connection(profile)) as client:
            yield client
    except AuthenticationError as error:
        raise Refused(str(error), Exit.UNAUTHORISED) from error
    except TransportError as error:
        raise Refused(str(error), Exit.UNREACHABLE) from error
    except SdkError as error:
        raise Refused(str(error)) from error
    except OSError as error:
        raise Refused(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from error


def move(client: HardwareClient, submission: Submission, kind: str, transfer: Callable[[str, Progress], None]) -> None:
    """Upload or download by a URL of the submission; one that is not good any more is asked for anew, once."""
    for tries_left in (1, 0):
        url = submission.download(kind)
        if url is None:
            raise SdkError(f"the service names no address of the {kind}")
        try:
            with progress_bar("upload" if kind == "initialPackage" else "download") as show:
                transfer(url, show)
        except ApiError as refusal:
            if refusal.status != 403 or not tries_left:
                raise
            submission = client.get_submission(submission.product_id, submission.id)
        else:
            return


def fetch_provenance(client: HardwareClient, product_id: int, submission_id: int, package: Path) -> Path | None:
    """Put the statement of provenance beside a signed package that was downloaded; None when the service has none."""
    target = package.with_name(f"{package.name}{PROVENANCE_SUFFIX}")
    return target if client.download_provenance(product_id, submission_id, target) else None


class _Steps:
    """A line for each step: as it was seen, or "passed" when it began and ended between two looks; and what the service
    says of it while it goes on.
    """

    def __init__(self) -> None:
        self._shown = 0
        self._last: tuple[str, list[str]] = ("", [])

    def show(self, steps: Sequence[str], status: WorkflowStatus | None) -> None:
        if status is None or self._last == (now := (f"{status.current_step} {status.state}", status.messages)):
            return
        number = steps.index(status.current_step) + 1 if status.current_step in steps else self._shown
        for between in range(self._shown + 1, number):
            say(f"[{between}/{len(steps)}] {steps[between - 1]} passed")
        if self._last[0] != now[0]:
            say(f"[{number}/{len(steps)}] {now[0]}")
        if status.state != WorkflowState.FAILED:
            # Of a failure the command's end tells why.
            for message in status.messages:
                say(f"  {message}")
        self._shown, self._last = max(self._shown, number), now


def show_steps() -> Callable[[Submission], None]:
    """Show the steps of a submission as they pass."""
    steps = _Steps()
    return lambda submission: steps.show(SUBMISSION_STEPS, submission.workflow_status)


def show_label_steps() -> Callable[[ShippingLabel], None]:
    """Show the steps of a shipping label as they pass."""
    steps = _Steps()

    def show(label: ShippingLabel) -> None:
        is_share = label.destination.casefold() == LabelDestination.ANOTHER_PARTNER.casefold()
        steps.show(SHARING_STEPS if is_share else WINDOWS_UPDATE_STEPS, label.workflow_status)

    return show


def print_object(document: Mapping[str, Any]) -> None:
    """An object of the API for people, a property a line; links are left out."""
    rows = dict(_lines("", {name: value for name, value in document.items() if name != "links"}))
    width = max(map(len, rows), default=0)
    for name, value in rows.items():
        click.echo(f"{name:<{width}}  {value}")


def _lines(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _lines(f"{path}.{name}" if path else name, each)
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        for number, each in enumerate(value):
            yield from _lines(f"{path}[{number}]", each)
    else:
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        yield path, "".join(each if each.isprintable() else " " for each in text)
