"""The options by which ``hwdash label`` and ``hwdash share`` say what a label targets, and what becomes of them."""

import functools
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from hwdash.cli.output import Exit, refuse
from hwdash.sdk.client import HardwareClient
from hwdash.sdk.errors import SdkError
from hwdash.sdk.selection import HardwareId, Selection
from hwdash.vocabulary import OPERATING_SYSTEMS, RELEASES

F = TypeVar("F", bound=Callable[..., Any])

PRODUCT_ID = click.argument("product_id", type=click.IntRange(min=1))
SUBMISSION_ID = click.argument("submission_id", type=click.IntRange(min=1))
LABEL_ID = click.argument("label_id", type=click.IntRange(min=1))

poll_option = click.option(
    "--poll", default=5.0, show_default=True, type=click.FloatRange(0.1, 600), help="Seconds between two looks."
)
timeout_option = click.option("--timeout", type=click.FloatRange(1), help="Seconds to wait [for ever].")


class _NamesOrFile(click.ParamType[list[str]]):
    """A name, or ``@FILE`` with a name a line; lines that are empty or begin with # are left out."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        if not value.startswith("@"):
            return [value]
        try:
            lines = Path(value[1:]).read_text("utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            self.fail(f"{value[1:]} cannot be read: {getattr(error, 'strerror', None) or error}", param, ctx)
        names = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
        if not names:
            self.fail(f"{value[1:]} names nothing.", param, ctx)
        return names


class _Guids(_NamesOrFile):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        return [self._guid(each, param, ctx) for each in super().convert(value, param, ctx)]

    def _guid(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return str(uuid.UUID(text.removeprefix("{").removesuffix("}")))
        except ValueError:
            self.fail(f"{text} is no GUID, such as 12345678-9abc-4def-8123-456789abcdef.", param, ctx)


def _flattened(_ctx: click.Context, _param: click.Parameter, value: Sequence[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for names in value for name in names))


Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _words(words: Sequence[str]) -> Complete:
    """Complete one of these words, in any case."""

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(word) for word in words if word.casefold().startswith(incomplete.casefold())]

    return complete


def _names(flag: str, name: str, metavar: str, text: str, words: Sequence[str] = ()) -> Callable[[F], F]:
    return click.option(
        flag,
        name,
        type=_Guids() if flag == "--chid" else _NamesOrFile(),
        multiple=True,
        callback=_flattened,
        metavar=metavar,
        shell_complete=_words(words),
        help=f"{text}; once for each, or @FILE with one a line.",
    )


@dataclass(frozen=True, slots=True)
class Chosen:
    """What was chosen of a driver: hardware ids by a selection, or all of them, and CHIDs."""

    is_all: bool
    selection: Selection
    chids: tuple[str, ...]

    @property
    def has_hardware_ids(self) -> bool:
        """Some hardware ids were asked for."""
        return self.is_all or not self.selection.is_all


def chosen_options(command: F) -> F:
    """The options that choose hardware ids and CHIDs, given to the command as ``chosen``."""

    @functools.wraps(command)
    def wrapped(
        *args: Any,
        all_hardware_ids: bool,
        bundles: tuple[str, ...],
        infs: tuple[str, ...],
        os_codes: tuple[str, ...],
        hardware_ids: tuple[str, ...],
        chids: tuple[str, ...],
        **others: Any,
    ) -> Any:
        selection = Selection(bundles, infs, os_codes, hardware_ids)
        if all_hardware_ids and not selection.is_all:
            raise click.UsageError("--all-hardware-ids leaves nothing for --bundle, --inf, --os and --hardware-id.")
        return command(*args, chosen=Chosen(all_hardware_ids, selection, chids), **others)

    for option in (
        _names("--chid", "chids", "GUID", "A CHID"),
        _names("--hardware-id", "hardware_ids", "ID", r"A hardware id, such as PCI\VEN_1AF4&DEV_1000"),
        _names("--os", "os_codes", "OSCODE", "An OS code", [each.code for each in OPERATING_SYSTEMS]),
        _names("--inf", "infs", "NAME", "The file name of an INF"),
        _names("--bundle", "bundles", "ID", "The id of a bundle, a driver folder of the package"),
        click.option("--all-hardware-ids", is_flag=True, help="Every hardware id, on every OS code."),
    ):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]  # click takes the options out again before the command is called


@dataclass(frozen=True, slots=True)
class Limits:
    """To which machines a label is limited besides."""

    audiences: tuple[str, ...]
    floor: str | None
    ceiling: str | None
    build_floor: int | None
    build_ceiling: int | None

    def targeting(self, client: HardwareClient) -> dict[str, Any]:
        """The members of ``targeting`` that were given. A name of an audience is looked up."""
        given: dict[str, Any] = {}
        if self.audiences:
            given["restrictedToAudiences"] = _audience_ids(client, self.audiences)
        releases = {"flooring": self.floor, "ceiling": self.ceiling}
        builds = {"flooringBuildNumber": self.build_floor, "ceilingBuildNumber": self.build_ceiling}
        for name, values in (("inServicePublishInfo", releases), ("coEngDriverPublishInfo", builds)):
            if found := {key: value for key, value in values.items() if value is not None}:
                given[name] = found
        return given


def limit_options(command: F) -> F:
    """The options that limit a label to audiences and releases, given to the command as ``limits``."""

    @functools.wraps(command)
    def wrapped(
        *args: Any,
        audiences: tuple[str, ...],
        floor: str | None,
        ceiling: str | None,
        build_floor: int | None,
        build_ceiling: int | None,
        **others: Any,
    ) -> Any:
        if (floor or ceiling) and (build_floor is not None or build_ceiling is not None):
            raise click.UsageError("Releases (--floor, --ceiling) and builds (--build-floor, --build-ceiling) exclude "
                                   "each other.")  # fmt: skip
        limits = Limits(audiences, floor, ceiling, build_floor, build_ceiling)
        return command(*args, limits=limits, **others)

    releases = _words(RELEASES)
    build = click.IntRange(min=1)
    for option in (
        click.option("--build-ceiling", type=build, metavar="BUILD", help="The last build, for co-engineering."),
        click.option("--build-floor", type=build, metavar="BUILD", help="The first build, for co-engineering."),
        click.option("--ceiling", metavar="RELEASE", shell_complete=releases, help="The last release of Windows."),
        click.option(
            "--floor", metavar="RELEASE", shell_complete=releases, help="The first release of Windows, such as RS5."
        ),
        _names("--audience", "audiences", "AUDIENCE", "An audience by id or name"),
    ):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]  # as above


def _audience_ids(client: HardwareClient, wanted: Sequence[str]) -> list[str]:
    """The ids of audiences that are named by id, name or audienceName, in any case."""
    there = list(client.audiences())
    found: list[str] = []
    complaints: list[str] = []
    for name in wanted:
        folded = name.removeprefix("{").removesuffix("}").casefold()
        fits = [
            each.id
            for each in there
            if folded in (text.casefold() for text in (each.id, each.name, each.audience_name))
        ]
        if len(fits) == 1:
            found += fits
        elif fits:
            complaints.append(f"Several audiences are called {name}: {', '.join(fits)}. Name one by its id.")
        else:
            named = ", ".join(each.name for each in there) or "none"
            complaints.append(f"There is no audience {name}; there are: {named}.")
    if complaints:
        raise SdkError("\n".join(complaints))
    return list(dict.fromkeys(found))


def action_entries(entries: Sequence[HardwareId], chids: Sequence[str], action: str | None = None) -> dict[str, Any]:
    """``targeting.hardwareIds`` and ``targeting.chids``, in a change with what becomes of each."""
    does = {} if action is None else {"action": action}
    given: dict[str, Any] = {}
    if entries:
        given["hardwareIds"] = [entry | does for entry in entries]
    if chids:
        given["chids"] = [{"chid": chid} | does for chid in chids]
    return given


def need_hardware_ids(chosen: Chosen) -> None:
    """End the command when it was not said which hardware ids are meant."""
    if not chosen.has_hardware_ids:
        refuse(
            "Say which hardware ids: --all-hardware-ids, or some of --bundle, --inf, --os and --hardware-id.",
            Exit.USAGE,
        )
