"""``hwdash label``: the shipping labels of a submission (contract/api.md 4.11 to 4.15)."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import click

from hwdash.cli.connection import profile_option
from hwdash.cli.label_options import (
    LABEL_ID,
    PRODUCT_ID,
    SUBMISSION_ID,
    Chosen,
    Limits,
    action_entries,
    chosen_options,
    limit_options,
    need_hardware_ids,
    poll_option,
    timeout_option,
)
from hwdash.cli.output import json_option, print_json, print_table, say
from hwdash.cli.remote import connected, print_object, show_label_steps
from hwdash.sdk.client import HardwareClient
from hwdash.sdk.errors import LabelFailed, NothingSelected
from hwdash.sdk.selection import HardwareId, hardware_ids
from hwdash.vocabulary import DistributionState, LabelDestination, TargetingAction

COLUMNS = ["id", "name", "destination", "currentStep", "state"]
MOST_SHOWN = 20
"""How many hardware ids a label is shown with, one a line; of more they are counted."""
_GONE = {each.casefold() for each in (DistributionState.NOT_SET, DistributionState.PENDING_REMOVE)}
_QUADRUPLE = ("bundleId", "infId", "operatingSystemCode", "pnpString")


@click.group()
def label() -> None:
    """The shipping labels of a submission."""


@label.command("list")
@PRODUCT_ID
@SUBMISSION_ID
@json_option
@profile_option
def list_labels(product_id: int, submission_id: int, as_json: bool, profile: str | None) -> None:
    """List the shipping labels of SUBMISSION_ID."""
    with connected(profile) as client:
        found = client.collection(f"products/{product_id}/submissions/{submission_id}/shippingLabels")
    if as_json:
        print_json(found)
    else:
        flat = [each | (each.get("workflowStatus") or {}) for each in found["value"]]
        print_table(COLUMNS, [{name: each.get(name) for name in COLUMNS} for each in flat])


@label.command()
@PRODUCT_ID
@SUBMISSION_ID
@LABEL_ID
@json_option
@profile_option
def show(product_id: int, submission_id: int, label_id: int, as_json: bool, profile: str | None) -> None:
    """Show LABEL_ID with its workflow and its targeting."""
    with connected(profile) as client:
        print_label(_document(client, product_id, submission_id, label_id), as_json=as_json)


@label.command()
@PRODUCT_ID
@SUBMISSION_ID
@click.option("--name", required=True, help="The label's name.")
@chosen_options
@limit_options
@click.option("--automatic", is_flag=True, help="Install on every machine that it fits.")
@click.option("--on-upgrade", is_flag=True, help="Install while Windows is upgraded.")
@click.option("--manual", is_flag=True, help="Neither: people look for it [unless one of both is given].")
@click.option("--go-live", metavar="DATE", help="Offer it from then on, such as 2027-01-31 [as soon as approved].")
@click.option(
    "--visible-to",
    "visible_to",
    type=click.IntRange(min=1),
    multiple=True,
    metavar="SELLER_ID",
    help="An account that may see driver and label; once for each.",
)
@click.option("--s-mode", is_flag=True, help="Offer it to Windows in S mode too.")
@click.option("--no-disclosure", is_flag=True, help="Keep it out of the public catalog.")
@click.option("--contact", metavar="EMAIL", help="For approval: whom to ask at Microsoft.")
@click.option("--validation", metavar="TEXT", help="For approval: how the driver was tested.")
@click.option("--oem", "oems", multiple=True, metavar="NAME", help="For approval: an affected OEM; once for each.")
@click.option("--justification", metavar="TEXT", help="For approval: why it is needed.")
@click.option("--reboot-required", is_flag=True, help="For approval: the machine restarts.")
@click.option("--co-engineered", is_flag=True, help="For approval: it was made together with Microsoft.")
@click.option("--unreleased-hardware", is_flag=True, help="For approval: the hardware is not on sale yet.")
@click.option("--ui-software", is_flag=True, help="For approval: it brings software with windows.")
@click.option("--wait", "waits", is_flag=True, help="Wait until it is published.")
@poll_option
@timeout_option
@json_option
@profile_option
def create(
    product_id: int,
    submission_id: int,
    name: str,
    chosen: Chosen,
    limits: Limits,
    waits: bool,
    poll: float,
    timeout: float | None,
    as_json: bool,
    profile: str | None,
    **publishing: Any,
) -> None:
    """Publish the driver of SUBMISSION_ID by a new shipping label.

    Options that choose hardware ids narrow each other: of all that the driver holds, those that fit every kind given.
    """
    need_hardware_ids(chosen)
    if publishing["manual"] and (publishing["automatic"] or publishing["on_upgrade"]):
        raise click.UsageError("--manual excludes --automatic and --on-upgrade.")
    with connected(profile) as client:
        entries = chosen.selection.choose(
            hardware_ids(client.driver_metadata(product_id, submission_id)), f"submission {submission_id}"
        )
        wanted = {
            "name": name,
            "destination": LabelDestination.WINDOWS_UPDATE,
            "publishingSpecifications": _publishing_specifications(publishing),
            "targeting": limits.targeting(client) | action_entries(entries, chosen.chids),
        }
        made = client.create_label(product_id, submission_id, wanted)
        say(f"label {made.id}: {len(entries)} hardware ids")
        end(client, product_id, submission_id, made.id, waits=waits, poll=poll, timeout=timeout, as_json=as_json)


@label.command()
@PRODUCT_ID
@SUBMISSION_ID
@LABEL_ID
@click.option("--add", "action", flag_value="add", help="Add what is chosen, out of the driver.")
@click.option(
    "--remove", "action", flag_value="remove", help="Remove what is chosen, out of the label; all expires it."
)
@chosen_options
@limit_options
@click.option("--any-audience", is_flag=True, help="No longer restrict it to audiences.")
@click.option("--any-release", is_flag=True, help="No longer restrict it to releases or builds.")
@click.option("--justification", metavar="TEXT", help="Why; a ceiling needs it.")
@click.option("--wait", "waits", is_flag=True, help="Wait until the change is published.")
@poll_option
@timeout_option
@json_option
@profile_option
def update(
    product_id: int,
    submission_id: int,
    label_id: int,
    action: str | None,
    chosen: Chosen,
    limits: Limits,
    any_audience: bool,
    any_release: bool,
    justification: str | None,
    waits: bool,
    poll: float,
    timeout: float | None,
    as_json: bool,
    profile: str | None,
) -> None:
    """Change what LABEL_ID targets. The audiences that are given replace all.

    --remove --all-hardware-ids expires the driver: it is offered to nobody any more.
    """
    _check_change(action, chosen, limits, any_audience=any_audience, any_release=any_release)
    with connected(profile) as client:
        targeting = limits.targeting(client)
        if any_audience:
            targeting["restrictedToAudiences"] = []
        if any_release:
            targeting |= {"inServicePublishInfo": None, "coEngDriverPublishInfo": None}
        if justification is not None:
            targeting["businessJustification"] = justification
        if action is not None:
            entries = _changing(client, product_id, submission_id, label_id, action, chosen)
            targeting |= action_entries(entries, chosen.chids, action)
            say(f"{action}: {len(entries)} hardware ids, {len(chosen.chids)} CHIDs")
        client.update_label(product_id, submission_id, label_id, targeting)
        end(client, product_id, submission_id, label_id, waits=waits, poll=poll, timeout=timeout, as_json=as_json)


@label.command()
@PRODUCT_ID
@SUBMISSION_ID
@LABEL_ID
@json_option
@profile_option
def cancel(product_id: int, submission_id: int, label_id: int, as_json: bool, profile: str | None) -> None:
    """Ask for the end of LABEL_ID, which waits for approval or rolls out.

    It ends later, as failed; at Microsoft it can take more than a day.
    """
    with connected(profile) as client:
        client.cancel_label(product_id, submission_id, label_id)
        say("cancellation requested")
        if as_json:
            print_json(_document(client, product_id, submission_id, label_id))


@label.command()
@PRODUCT_ID
@SUBMISSION_ID
@LABEL_ID
@click.option("--until-approval", is_flag=True, help="Wait only until it has come to microsoftApproval.")
@poll_option
@timeout_option
@json_option
@profile_option
def wait(
    product_id: int,
    submission_id: int,
    label_id: int,
    until_approval: bool,
    poll: float,
    timeout: float | None,
    as_json: bool,
    profile: str | None,
) -> None:
    """Wait until LABEL_ID is published or shared."""
    with connected(profile) as client:
        _wait(client, product_id, submission_id, label_id, until_approval, poll, timeout, as_json=as_json)
        if as_json:
            print_json(_document(client, product_id, submission_id, label_id))


def end(
    client: HardwareClient,
    product_id: int,
    submission_id: int,
    label_id: int,
    *,
    waits: bool,
    poll: float,
    timeout: float | None,
    as_json: bool,
) -> None:
    """End a command that started a label's workflow: wait for it where that is wanted, and show the label."""
    if waits:
        _wait(client, product_id, submission_id, label_id, False, poll, timeout, as_json=as_json)
    print_label(_document(client, product_id, submission_id, label_id), as_json=as_json)


def print_label(document: dict[str, Any], *, as_json: bool) -> None:
    """Print a label; for people, many hardware ids or CHIDs as their number."""
    if as_json:
        print_json(document)
        return
    targeting = dict(document.get("targeting") or {})
    for name in ("hardwareIds", "chids"):
        entries = targeting.get(name) or []
        if len(entries) > MOST_SHOWN:
            states = Counter(each.get("distributionState") for each in entries)
            targeting[name] = ", ".join(f"{count} {state}" for state, count in states.items())
    print_object(document | ({"targeting": targeting} if targeting else {}))


def _document(client: HardwareClient, product_id: int, submission_id: int, label_id: int) -> dict[str, Any]:
    path = f"products/{product_id}/submissions/{submission_id}/shippingLabels/{label_id}"
    return client.document(f"{path}?includeTargetingInfo=true")


def _wait(
    client: HardwareClient,
    product_id: int,
    submission_id: int,
    label_id: int,
    until_approval: bool,
    poll: float,
    timeout: float | None,
    *,
    as_json: bool,
) -> None:
    try:
        client.wait_label(
            product_id,
            submission_id,
            label_id,
            until_approval=until_approval,
            poll_seconds=poll,
            timeout_seconds=timeout,
            progress=show_label_steps(),
        )
    except LabelFailed:
        if as_json:
            print_json(_document(client, product_id, submission_id, label_id))
        raise


def _publishing_specifications(given: Mapping[str, Any]) -> dict[str, Any]:
    is_automatic = given["automatic"] or given["on_upgrade"]
    found: dict[str, Any] = {
        "isAutoInstallDuringOSUpgrade": given["on_upgrade"],
        "isAutoInstallOnApplicableSystems": given["automatic"],
        "manualAcquisition": not is_automatic,
        "isDisclosureRestricted": given["no_disclosure"],
        "publishToWindows10s": given["s_mode"],
    }
    if given["go_live"] is not None:
        found["goLiveDate"] = given["go_live"]
    if given["visible_to"]:
        found["visibleToAccounts"] = list(given["visible_to"])
    texts = {
        "microsoftContact": given["contact"],
        "validationsPerformed": given["validation"],
        "affectedOems": list(given["oems"]) or None,
        "businessJustification": given["justification"],
    }
    flags = {
        "isRebootRequired": given["reboot_required"],
        "isCoEngineered": given["co_engineered"],
        "isForUnreleasedHardware": given["unreleased_hardware"],
        "hasUiSoftware": given["ui_software"],
    }
    told = {name: value for name, value in texts.items() if value is not None}
    if is_automatic or told or any(flags.values()):
        found["additionalInfoForMsApproval"] = told | flags
    return found


def _check_change(action: str | None, chosen: Chosen, limits: Limits, *, any_audience: bool, any_release: bool) -> None:
    names_some = chosen.has_hardware_ids or bool(chosen.chids)
    if names_some and action is None:
        raise click.UsageError("Say what becomes of what you chose: --add or --remove.")
    if action is not None and not names_some:
        raise click.UsageError(f"--{action} what? Choose hardware ids (--all-hardware-ids, --inf ...) or --chid.")
    if any_audience and limits.audiences:
        raise click.UsageError("--any-audience excludes --audience.")
    limited = (limits.floor, limits.ceiling, limits.build_floor, limits.build_ceiling)
    if any_release and any(each is not None for each in limited):
        raise click.UsageError("--any-release excludes floors and ceilings.")


def _changing(
    client: HardwareClient, product_id: int, submission_id: int, label_id: int, action: str, chosen: Chosen
) -> list[HardwareId]:
    """The hardware ids that are added or removed: of the driver those that the label has not yet, or of the label."""
    if not chosen.has_hardware_ids:
        return []
    targeting = _document(client, product_id, submission_id, label_id).get("targeting") or {}
    targeted = [
        {name: str(each[name]) for name in _QUADRUPLE}
        for each in targeting.get("hardwareIds") or []
        if str(each.get("distributionState", "")).casefold() not in _GONE
    ]
    if action == TargetingAction.REMOVE:
        return chosen.selection.choose(targeted, f"label {label_id}")
    held = hardware_ids(client.driver_metadata(product_id, submission_id))
    wanted = chosen.selection.choose(held, f"submission {submission_id}")
    there = {_folded(entry) for entry in targeted}
    entries = [entry for entry in wanted if _folded(entry) not in there]
    if not entries:
        raise NothingSelected(f"Label {label_id} has all {len(wanted)} of these hardware ids already.")
    return entries


def _folded(entry: HardwareId) -> tuple[str, ...]:
    return tuple(entry[name].casefold() for name in _QUADRUPLE)
