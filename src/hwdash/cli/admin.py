"""``hwdash admin``: the service's side, beside a running service. One file a group."""

import click

from hwdash.cli.lazy import LazyGroup

GROUPS = {
    "account": ("hwdash.cli.admin_account", "account", "Accounts: make, enrol, suspend, policy."),
    "agreement": ("hwdash.cli.admin_agreement", "agreement", "The agreements that accounts have to sign."),
    "certificate": ("hwdash.cli.admin_certificate", "certificate", "The certificates that packages are signed with."),
    "app": ("hwdash.cli.admin_app", "app", "Applications: the programs that may call the API."),
    "user": ("hwdash.cli.admin_user", "user", "People: who may sign in, and with which roles."),
    "audience": ("hwdash.cli.admin_audience", "audience", "The audiences of an account."),
    "ownership": ("hwdash.cli.admin_ownership", "ownership", "Whose hardware ids, CHIDs and extension ids are."),
    "relationship": ("hwdash.cli.admin_relationship", "relationship", "Who may target an owner's ids."),
    "approval": ("hwdash.cli.admin_approval", "approval", "The shipping labels that wait for a person's approval."),
    "rollout": ("hwdash.cli.admin_rollout", "rollout", "The gradual rollouts of shipping labels."),
    "calendar": ("hwdash.cli.admin_calendar", "calendar", "The release calendar: days on which no driver goes live."),
    "measure": ("hwdash.cli.admin_measure", "measure", "What machines with a published driver report."),
    "key": ("hwdash.cli.admin_key", "key", "The signing keys: list, rotate, ceremonies with the root keys."),
    "recall": ("hwdash.cli.admin_recall", "recall", "Take released drivers back."),
    "audit": ("hwdash.cli.admin_audit", "audit", "The audit log: list, checkpoint, verify."),
    "officer": ("hwdash.cli.admin_officer", "officer", "Officers: whose word it takes, and how many."),
    "pending": ("hwdash.cli.admin_pending", "pending", "The changes that wait for a second person."),
    "break-glass": ("hwdash.cli.admin_break_glass", "break_glass", "What an officer did alone that needs more."),
    "review": ("hwdash.cli.review", "review", "The submissions that wait for a person's review."),
}


@click.group(cls=LazyGroup, commands_in=GROUPS)
def admin() -> None:
    """Administer the service: accounts, applications, people, certificates. Works while the service runs."""
