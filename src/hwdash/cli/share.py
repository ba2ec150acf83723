"""``hwdash share``: give a driver on to another account."""

import click

from hwdash.cli.connection import profile_option
from hwdash.cli.label import end
from hwdash.cli.label_options import (
    PRODUCT_ID,
    SUBMISSION_ID,
    Chosen,
    action_entries,
    chosen_options,
    poll_option,
    timeout_option,
)
from hwdash.cli.output import json_option, say
from hwdash.cli.remote import connected
from hwdash.sdk.selection import hardware_ids


@click.command()
@PRODUCT_ID
@SUBMISSION_ID
@click.argument("seller_id", type=click.IntRange(min=1))
@click.option("--name", help="The label's name, which the other account does not see [Shared with SELLER_ID].")
@chosen_options
@click.option("--enforce-chids", is_flag=True, help="Each label that the other account makes of it must name CHIDs.")
@click.option("--wait", "waits", is_flag=True, help="Wait until it is shared.")
@poll_option
@timeout_option
@json_option
@profile_option
def share(
    product_id: int,
    submission_id: int,
    seller_id: int,
    name: str | None,
    chosen: Chosen,
    enforce_chids: bool,
    waits: bool,
    poll: float,
    timeout: float | None,
    as_json: bool,
    profile: str | None,
) -> None:
    """Share the driver of SUBMISSION_ID with the account SELLER_ID: all its hardware ids, or those chosen."""
    with connected(profile) as client:
        entries = chosen.selection.choose(
            hardware_ids(client.driver_metadata(product_id, submission_id)), f"submission {submission_id}"
        )
        made = client.share(
            product_id,
            submission_id,
            seller_id,
            name=name or f"Shared with {seller_id}",
            enforce_chids=enforce_chids,
            targeting=action_entries(entries, chosen.chids),
        )
        say(f"label {made.id}: {len(entries)} hardware ids")
        end(client, product_id, submission_id, made.id, waits=waits, poll=poll, timeout=timeout, as_json=as_json)
