"""Commands of ``hwdash admin`` that take a second person, where the policy of officers asks for one.

Such a command is run to its end, so that all is refused at once that would be, and then its transaction is undone: what
stays is the change as the first officer signed it. When another officer confirms it, the same command runs with the
same parameters, and the same transaction ends the waiting.
"""

import base64
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click
import sqlalchemy as sa

from hwdash.cli.officer_options import (
    ActingOfficer,
    acting_officer,
    appointed,
    break_glass_option,
    breaks_glass,
    officer_options,
    tell_of_broken_glass,
)
from hwdash.cli.output import Exit, refuse
from hwdash.clock import system_clock
from hwdash.domain.audit import BREAK_GLASS, SERVICE, act
from hwdash.domain.reason import ReasonRefused, check_reason
from hwdash.settings import Settings
from hwdash.signing.broken_glass import take_alone
from hwdash.signing.officers import Policy
from hwdash.signing.pending import LIFE, ask
from hwdash.storage.audit import append, operator
from hwdash.storage.officers import end_change, keep_broken_glass, keep_change

F = TypeVar("F", bound=Callable[..., Any])

_RULE, _CONFIRMATION, _REASON = (f"hwdash.two_people.{each}" for each in ("rule", "confirmation", "reason"))
_UNTOLD = ("data",)


class Rule(StrEnum):
    """Of the policy's, which one a command is under."""

    ROLE_GRANTS = "roleGrants"
    CERTIFICATES = "certificates"
    OFFICERS = "officers"

    def needs_two(self, policy: Policy) -> bool:
        """Whether the policy asks for a second person."""
        if self is Rule.ROLE_GRANTS:
            return policy.role_grants > 1
        return policy.certificates > 1 if self is Rule.CERTIFICATES else policy.is_dual


class Undone(Exception):
    """Undoes the transaction of a command that waits for a second person."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The word of a second officer, under which a command runs."""

    id: str
    asked_by: str
    confirmed_by: str
    decision: str = field(repr=False)


def two_people(rule: Rule) -> Callable[[F], F]:
    """Declares that a command is under a rule of the policy, and gives it the options of officers."""
    reason = click.option(
        "--reason", default="", expose_value=False, help="Why; for the second person, or of what you do alone.",
        callback=lambda context, _, value: context.meta.__setitem__(_REASON, value.strip()),
    )  # fmt: skip

    def decorate(command: F) -> F:
        @wraps(command)
        def under_rule(*arguments: Any, **parameters: Any) -> Any:
            click.get_current_context().meta[_RULE] = rule
            return command(*arguments, **parameters)

        under_rule.rule = rule  # type: ignore[attr-defined]
        return officer_options(reason(break_glass_option(under_rule)))  # type: ignore[return-value]

    return decorate


def rule_of(command: click.Command) -> Rule | None:
    """The rule that a command is under."""
    return getattr(command.callback, "rule", None)


def confirmation() -> Confirmation | None:
    """The word of a second officer, when this command runs by one."""
    found = click.get_current_context().meta.get(_CONFIRMATION)
    return found if isinstance(found, Confirmation) else None


def waits_for_another(settings: Settings) -> bool:
    """Whether this command has to wait for a second person."""
    return _needs_two(settings) and not breaks_glass()


def _needs_two(settings: Settings) -> bool:
    rule = click.get_current_context().meta.get(_RULE)
    return isinstance(rule, Rule) and confirmation() is None and rule.needs_two(appointed(settings).control.policy)


@contextmanager
def by_two(settings: Settings, writing: Callable[[], Any]) -> Iterator[Callable[[sa.Connection], None]]:
    """Around a transaction of a command. Yields what is called at its end, before it commits.

    ``writing`` opens another transaction. A command that waits for a second person ends here, undone and kept.
    """
    if not _needs_two(settings):
        yield _end_waiting
        return
    officer = acting_officer()
    if officer is None:
        refuse(
            "This takes two people: say who you are with --officer and --key. "
            "Another officer confirms it then with hwdash admin pending confirm."
        )
    with _alone(settings, officer) if breaks_glass() else _undone(settings, officer, writing) as ended:
        yield ended


@contextmanager
def _alone(settings: Settings, officer: ActingOfficer) -> Iterator[Callable[[sa.Connection], None]]:
    """The command runs by one officer, and leaves that for everybody to see."""
    meta, now, command = click.get_current_context().meta, system_clock(), _path()
    reason = checked_reason(meta[_REASON])
    word = take_alone(
        appointed(settings).control,
        officer.name,
        officer.key,
        service=appointed(settings).service,
        command=command,
        parameters=_packed(click.get_current_context().params),
        reason=reason,
        now=now,
    )

    def keep(connection: sa.Connection) -> None:
        given = {"act": command, "broken_by": officer.name, "reason": reason}
        identifier = keep_broken_glass(connection, word=word, now=now, **given)
        details = {"command": command, "officer": officer.name, "reason": reason}
        append(connection, act(SERVICE, now, operator(), BREAK_GLASS, ("broken glass", identifier), **details))

    yield keep
    tell_of_broken_glass()


@contextmanager
def _undone(
    settings: Settings, officer: ActingOfficer, writing: Callable[[], Any]
) -> Iterator[Callable[[sa.Connection], None]]:
    """The command is undone, and waits for another officer."""
    identifier, now, command = secrets.token_hex(4), system_clock(), _path()
    word = ask(
        appointed(settings).control,
        officer.name,
        officer.key,
        identifier=identifier,
        service=appointed(settings).service,
        command=command,
        parameters=_packed(click.get_current_context().params),
        reason=click.get_current_context().meta[_REASON],
        now=now,
    )

    def undo(_: sa.Connection) -> None:
        raise Undone

    try:
        yield undo
    except Undone:
        with writing() as connection:
            keep_change(
                connection,
                identifier,
                command=command,
                word=word,
                asked_by=officer.name,
                now=now,
                expires_at=now + LIFE,
            )
            details = {"officer": officer.name, "command": command}
            thing = ("pending change", identifier)
            append(connection, act(SERVICE, now, operator(), "ask_for_change", thing, **details))
        click.echo(
            f"pending change {identifier}, until {now + LIFE:%Y-%m-%d}: "
            f"another officer confirms it with hwdash admin pending confirm {identifier}"
        )
        click.get_current_context().exit()


def checked_reason(reason: str) -> str:
    """The reason of who does something alone; none, and one that cannot be kept, end the command."""
    if not reason:
        refuse("To break the glass give a --reason: everybody reads it.", Exit.USAGE)
    try:
        check_reason(reason)
    except ReasonRefused as error:
        refuse(f"{error}.", Exit.USAGE)
    return reason


def run_confirmed(group: click.Group, command: str, parameters: Mapping[str, Any], data: Path | None) -> None:
    """Run a command of ``hwdash admin`` as it was asked for. What is no such command ends this one."""
    words = command.split()[1:]
    context = click.get_current_context()
    # As it stands in the audit log: below ``hwdash admin``, not below the command that confirms.
    while context.parent is not None and context.command is not group:
        context = context.parent
    found: click.Command = group
    for word in words:
        inner = found.get_command(context, word) if isinstance(found, click.Group) else None
        if inner is None:
            refuse(f"There is no command {command} in this version of hwdash: ask for the change again.")
        found = inner
        context = click.Context(found, info_name=word, parent=context)
    if rule_of(found) is None or found.callback is None:
        refuse(f"{command} is no command that waits for a second person.")
    with ExitStack() as stack:
        stack.enter_context(context.scope())
        given = _unpacked(parameters, stack)
        for each in found.params:
            if each.name in given:
                context.params[each.name] = each.process_value(context, given.pop(each.name))
        if given:
            refuse(f"{command} takes no {', '.join(given)} in this version of hwdash: ask for the change again.")
        context.invoke(found.callback, **context.params, data=data)


def confirm_here(given: Confirmation) -> None:
    """From here on this command runs under the word of a second officer."""
    click.get_current_context().meta[_CONFIRMATION] = given


def _end_waiting(connection: sa.Connection) -> None:
    given = confirmation()
    if given is not None and not end_change(
        connection, given.id, "confirmed", decided_by=given.confirmed_by, decision=given.decision, now=system_clock()
    ):
        refuse(f"pending change {given.id} does not wait any more: somebody decided about it meanwhile.")


def _path() -> str:
    words = click.get_current_context().command_path.split()
    return " ".join(words[words.index("admin") :])


def _packed(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as JSON, files with their content."""
    return {name: _packed_value(value) for name, value in parameters.items() if name not in _UNTOLD}


def _packed_value(value: Any) -> Any:
    if isinstance(value, Path):
        return {"file": value.name, "content": base64.b64encode(value.read_bytes()).decode()}
    return list(value) if isinstance(value, tuple) else value


def _unpacked(parameters: Mapping[str, Any], stack: ExitStack) -> dict[str, Any]:
    """The parameters as they are typed; files are written into a folder that goes with ``stack``."""
    unpacked: dict[str, Any] = {}
    for name, value in parameters.items():
        if isinstance(value, dict):
            file = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hwdash-"))) / Path(value["file"]).name
            file.write_bytes(base64.b64decode(value["content"]))
            unpacked[name] = str(file)
        else:
            unpacked[name] = value
    return unpacked
