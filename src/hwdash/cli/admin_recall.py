"""``hwdash admin recall``: take a released driver back."""

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa

from hwdash.cli.admin_decisions import decision, decision_told
from hwdash.cli.admin_options import BY, transaction
from hwdash.cli.output import json_option, print_json, print_table, refuse, say
from hwdash.cli.service_options import data_option, existing_service, told_plainly
from hwdash.pipeline.recall import DeniedName, NothingToRecall, Recalled, recall_driver, revoke_certificates
from hwdash.pipeline.recall_lists import hash_list_of, policy_of, recalled_drivers
from hwdash.server.keys import keys_folder
from hwdash.signing.keys import KeyFolder, write_atomically
from hwdash.storage.blobs import BlobStore
from hwdash.storage.database import Database
from hwdash.storage.recalls import all_recalls, files_of, find_recall

_NEW_FILE = click.Path(dir_okay=False, path_type=Path)


class _RecallGroup(click.Group):
    """``recall ID`` is short for ``recall submission ID``."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """A number stands for the submission."""
        return super().resolve_command(ctx, ["submission", *args] if args[0].isdecimal() else args)


@click.group(cls=_RecallGroup)
def recall() -> None:
    """Take released drivers back."""


def _denied_name(text: str) -> DeniedName:
    name, sign, version = text.partition("=")
    parts = version.split(".") if sign else ["65535"] * 4
    if (
        not name.strip()
        or not name.isprintable()
        or len(name) > 255
        or not set(name).isdisjoint('\\/:*?"<>|')
        or len(parts) != 4
        or not all(part.isascii() and part.isdigit() and int(part) < 1 << 16 for part in parts)
    ):
        raise click.BadParameter(
            f"{text!r} is no file name like widget.sys, nor one with a version like widget.sys=1.2.3.4",
            param_hint="--deny-name",
        )
    return DeniedName(name, ".".join(str(int(part)) for part in parts))


@recall.command("submission")
@click.argument("submission_id", type=int)
@click.option("--reason", required=True, help="Why; everybody who has the driver reads it.")
@click.option(
    "--deny-name",
    "deny_names",
    metavar="FILE[=VERSION]",
    multiple=True,
    help="A file that policies are to deny by its original name too, up to this version; repeat.",
)
@click.option(
    "--revoke-certificate",
    is_flag=True,
    help="Its key is compromised: revoke the certificate that signed it, and EVERY package signed with it from now on.",
)
@BY
@json_option
@data_option
def recall_submission(
    submission_id: int,
    reason: str,
    deny_names: tuple[str, ...],
    revoke_certificate: bool,
    by: str | None,
    as_json: bool,
    data: Path | None,
) -> None:
    """Take SUBMISSION_ID back: its labels end, and its signed package is no longer handed out."""
    settings = existing_service(data)
    names = [_denied_name(each) for each in deny_names]
    word = decision(by, reason)
    with decision_told(NothingToRecall), told_plainly(), closing(Database(settings.database)) as database:
        database.create()
        blobs = BlobStore(settings.data / "blobs")
        done = recall_driver(database, blobs, submission_id, word, names)
        serials: list[str] = []
        if revoke_certificate:
            keys = KeyFolder.open(keys_folder(settings.data))
            serials = revoke_certificates(database, blobs, keys, done, word, settings.crl_url)
    _tell(done, serials, as_json)


@recall.command("list")
@json_option
@data_option
def list_recalls(as_json: bool, data: Path | None) -> None:
    """List what was recalled, oldest first."""
    with transaction(data) as connection:
        found = [_document(each) for each in all_recalls(connection)]
    if as_json:
        print_json({"recalls": found})
    else:
        print_table(["submissionId", "account", "productName", "recalledAt", "recalledBy", "reason"], found)


@recall.command("show")
@click.argument("submission_id", type=int)
@json_option
@data_option
def show(submission_id: int, as_json: bool, data: Path | None) -> None:
    """Show the recall of SUBMISSION_ID: who, when and why, the labels that ended, and the digests of its files."""
    with transaction(data) as connection:
        row = find_recall(connection, submission_id)
        if row is None:
            refuse(f"Submission {submission_id} was not recalled. hwdash admin recall list shows what was.")
        shown = _document(row)
        files = [asdict(each) for each in files_of(connection, submission_id)]
    if as_json:
        print_json(shown | {"files": [{_CAMEL.get(name, name): text for name, text in each.items()} for each in files]})
        return
    for name, value in shown.items():
        click.echo(f"{name}: {value}")
    print_table(["path", "kind", "authenticode_sha256", "sha256"], files)


@recall.command("export")
@click.option(
    "--policy", metavar="FILE", type=_NEW_FILE, help="Write an App Control policy that denies what was recalled."
)
@click.option("--hashes", metavar="FILE", type=_NEW_FILE, help="Write the digests, as the public lists have them.")
@json_option
@data_option
def export(policy: Path | None, hashes: Path | None, as_json: bool, data: Path | None) -> None:
    """Write what was recalled for those who run machines."""
    if policy is None and hashes is None:
        raise click.UsageError("say what to write: --policy FILE, --hashes FILE, or both.")
    settings = existing_service(data)
    with transaction(data) as connection:
        recalled = recalled_drivers(connection)
    missing = [each.row.submission_id for each in recalled if each.row.problem or not each.row.is_measured]
    with told_plainly():
        if policy is not None:
            write_atomically(policy, policy_of(recalled, settings.public_url), mode=0o644)
        if hashes is not None:
            write_atomically(hashes, hash_list_of(recalled), mode=0o644)
    if missing:
        say(f"Not all digests are known of {', '.join(map(str, missing))}: recall again when the package can be read.")
    if as_json:
        print_json(
            {"recalls": len(recalled), "files": sum(len(each.files) for each in recalled), "incomplete": missing}
        )
    else:
        click.echo(f"{len(recalled)} recalls with {sum(len(each.files) for each in recalled)} files")


_CAMEL = {"authenticode_sha1": "authenticodeSha1", "authenticode_sha256": "authenticodeSha256"}


def _document(row: sa.Row[Any]) -> dict[str, Any]:
    return {
        "submissionId": row.submission_id,
        "productId": row.product_id,
        "accountId": row.account_id,
        "account": row.account_name,
        "productName": row.product_name,
        "name": row.name,
        "recalledAt": row.recalled_at.isoformat(),
        "recalledBy": row.recalled_by,
        "reason": row.reason,
        "labelIds": row.label_ids,
        "deniedNames": row.denied_names,
        "problem": row.problem,
    }


def _tell(done: Recalled, serials: list[str], as_json: bool) -> None:
    if done.problem:
        say(f"Not all digests are known: {done.problem}. Run the command again when that is mended.")
    if as_json:
        print_json(
            {
                "submissionId": done.submission_id,
                "already": not done.is_new,
                "labelIds": list(done.label_ids),
                "files": done.files,
                "problem": done.problem,
                "revokedCertificates": serials,
            }
        )
        return
    click.echo(f"submission {done.submission_id} is recalled{'' if done.is_new else ' already'}")
    click.echo(f"labels that ended: {', '.join(map(str, done.label_ids)) or 'none'}")
    click.echo(f"files whose digests are on the recall list: {done.files}")
    for each in serials:
        click.echo(f"revoked certificate: serial number {each}; a new key signs from now on")
