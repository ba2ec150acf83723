"""``hwdash admin account``."""

from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa

from hwdash.cli.admin_options import ACCOUNT, account_named, transaction
from hwdash.cli.output import Exit, json_option, print_json, print_table, refuse
from hwdash.cli.service_options import data_option
from hwdash.cli.two_people import Rule, two_people
from hwdash.clock import system_clock
from hwdash.domain.access import AccountStatus
from hwdash.domain.policy import APPROVALS, CHID_RULES, Policy
from hwdash.domain.rollout import check_phases
from hwdash.storage import accounts
from hwdash.storage.accounts import Account
from hwdash.storage.agreements import signed_by_account
from hwdash.storage.label_progress import wake_held_labels
from hwdash.storage.principals import unsigned_agreements


@click.group()
def account() -> None:
    """Accounts: make, enrol, suspend, policy."""


@account.command("list")
@json_option
@data_option
def list_accounts(as_json: bool, data: Path | None) -> None:
    """List the accounts."""
    with transaction(data) as connection:
        known = accounts.all_accounts(connection)
    if as_json:
        print_json({"accounts": [_to_json(each) for each in known]})
        return
    print_table(("id", "status", "tenantId", "name"), [_to_json(each) for each in known])


@account.command("show")
@ACCOUNT
@json_option
@data_option
def show_account(account: int | None, as_json: bool, data: Path | None) -> None:
    """Show an account: its status, its policy, what it has signed and what it has not."""
    with transaction(data) as connection:
        shown = _shown(connection, account_named(connection, account))
    if as_json:
        print_json(shown)
        return
    for name in ("id", "name", "tenantId", "status"):
        click.echo(f"{name}: {shown[name]}")
    for name, value in shown["policy"].items():
        click.echo(f"{name}: {_as_option(value)}")
    for each in shown["agreements"]:
        click.echo(f"signed {each['name']} {each['version']}: {each['signedBy']}, {each['signedAt']}")
    for name in shown["unsigned"]:
        click.echo(f"not signed: {name}")


@account.command("create")
@click.argument("name")
@click.option("--tenant-id", metavar="GUID", help="The directory's id, such as that of an Entra tenant [a new one].")
@click.option("--pending", is_flag=True, help="Not enrolled yet: nothing of it may use the API.")
@data_option
def new_account(name: str, tenant_id: str | None, pending: bool, data: Path | None) -> None:
    """Make an account with the publisher NAME; prints one JSON object."""
    with transaction(data) as connection:
        made = accounts.create_account(
            connection,
            name,
            system_clock(),
            tenant_id=tenant_id,
            policy={"manualReview": False},
            status=AccountStatus.PENDING if pending else AccountStatus.ENROLLED,
        )
    print_json(_to_json(made))


@account.command("enroll")
@ACCOUNT
@two_people(Rule.ROLE_GRANTS)
@data_option
def enroll(account: int | None, data: Path | None) -> None:
    """Enrol an account in the programme, or end its suspension."""
    _set_status(account, data, AccountStatus.ENROLLED)


@account.command("suspend")
@ACCOUNT
@data_option
def suspend(account: int | None, data: Path | None) -> None:
    """Bar everything of an account from the API, from the next request on."""
    _set_status(account, data, AccountStatus.SUSPENDED)


SWITCH = click.Choice(["on", "off"])


def _read_phases(_context: click.Context, _option: click.Parameter, text: str | None) -> list[list[int]] | None:
    if text is None:
        return None
    try:
        return [[int(percent), int(day)] for percent, day in (each.split(":") for each in text.split(","))]
    except ValueError:
        raise click.BadParameter(f"{text!r} is not of the form PERCENT:DAY,... such as 1:1,10:8,100:14") from None


def _read_class_chids(_context: click.Context, _option: click.Parameter, text: str | None) -> dict[str, str] | None:
    if text is None:
        return None
    found = dict(each.strip().lower().rpartition("=")[::2] for each in text.split(",") if each.strip())
    if "" in found or not set(found.values()) <= set(CHID_RULES):
        raise click.BadParameter(
            f"{text!r} is not of the form CLASS=RULE,... such as firmware=required,display=forbidden; or empty for none"
        )
    return found


@account.command()
@click.option("--manual-review", type=SWITCH, help="Ask for a person's word before signing.")
@click.option(
    "--approval", type=click.Choice(APPROVALS), help="Have labels that need a person's word wait for it, or ask nobody."
)
@click.option("--approver-is-not-submitter", type=SWITCH, help="Who made a label or its submission does not decide.")
@click.option("--rollout", callback=_read_phases, metavar="PERCENT:DAY,...", help="The phases of gradual rollouts.")
@click.option("--watch-days", type=int, help="How many days a gradual rollout is watched.")
@click.option("--ceilings", type=SWITCH, help="Let labels name the last release that is offered the driver.")
@click.option("--co-engineering", type=SWITCH, help="Let labels name builds that are not released yet.")
@click.option("--automatic-delivery", type=SWITCH, help="Let labels install a driver without asking.")
@click.option("--promoter-role", type=SWITCH, help="Such labels need the role Shipping Label Promoter, too.")
@click.option(
    "--release-calendar", type=SWITCH, help="Have labels go live on days that the release calendar leaves free."
)
@click.option("--pause-on-failure", type=SWITCH, help="Pause the rollout of a label when a measure of it fails.")
@click.option(
    "--class-chids",
    callback=_read_class_chids,
    metavar="CLASS=RULE,...",
    help="Classes whose labels must have CHIDs (required) or must not (forbidden).",
)
@ACCOUNT
@data_option
def policy(account: int | None, data: Path | None, **wanted: Any) -> None:
    """Change an account's policy; it counts for steps that begin from now on."""
    changes = {
        _camel(name): value == "on" if isinstance(value, str) and value in {"on", "off"} else value
        for name, value in wanted.items()
        if value is not None
    }
    if not changes:
        refuse("Say what of the policy is to change: hwdash admin account policy --help lists it.", Exit.USAGE)
    with transaction(data) as connection:
        account_id = account_named(connection, account)
        known = next(each.policy for each in accounts.all_accounts(connection) if each.id == account_id)
        changed = Policy.of(known | changes)
        if found := check_phases(changed.rollout, changed.watch_days):
            refuse(f"The rollout is not valid: {'; '.join(found)}.", Exit.USAGE)
        accounts.set_policy(connection, account_id, known | changes)
        if "releaseCalendar" in changes:
            wake_held_labels(connection, account_id)
    for name, value in wanted.items():
        if value is not None:
            click.echo(f"account {account_id}: {name.replace('_', ' ')} is {_as_option(value)}")


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _as_option(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(f"{percent}:{day}" for percent, day in value)
    if isinstance(value, dict):
        return ",".join(f"{name}={rule}" for name, rule in value.items()) or "none"
    return str(value)


def _set_status(account: int | None, data: Path | None, status: AccountStatus) -> None:
    with transaction(data) as connection:
        account_id = account_named(connection, account)
        accounts.set_status(connection, account_id, status)
    click.echo(f"account {account_id} is {status}")


def _to_json(shown: Account) -> dict[str, Any]:
    return {"id": shown.id, "tenantId": shown.tenant_id, "name": shown.name, "status": shown.status}


def _shown(connection: sa.Connection, account_id: int) -> dict[str, Any]:
    found = next(each for each in accounts.all_accounts(connection) if each.id == account_id)
    return _to_json(found) | {
        "manualReview": bool(found.policy.get("manualReview")),
        "policy": Policy.of(found.policy).to_json(),
        "agreements": [
            {
                "name": each.name,
                "version": each.version,
                "signedBy": each.signed_by_name,
                "signedAt": each.signed_at.isoformat(),
            }
            for each in signed_by_account(connection, account_id)
        ],
        "unsigned": unsigned_agreements(connection, account_id),
    }
