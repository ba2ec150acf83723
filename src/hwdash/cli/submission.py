"""``hwdash submission``: the submissions of a product."""

from pathlib import Path
from typing import Any

import click
import httpx

from hwdash.cli.connection import profile_option
from hwdash.cli.output import json_option, print_json, print_table, progress_bar, refuse, say
from hwdash.cli.remote import connected, fetch_provenance, print_object, show_steps
from hwdash.sdk.client import HardwareClient
from hwdash.sdk.errors import SdkError, SubmissionFailed, TransportError
from hwdash.vocabulary import DownloadType

COLUMNS = ["id", "name", "type", "commitStatus", "currentStep", "state", "createdDateTime"]
DOWNLOADS = [str(each) for each in tuple(DownloadType)[:5]]


@click.group()
def submission() -> None:
    """The submissions of a product."""


PRODUCT_ID = click.argument("product_id", type=click.IntRange(min=1))
SUBMISSION_ID = click.argument("submission_id", type=click.IntRange(min=1))


@submission.command("list")
@PRODUCT_ID
@json_option
@profile_option
def list_submissions(product_id: int, as_json: bool, profile: str | None) -> None:
    """List the submissions of PRODUCT_ID, newest first."""
    with connected(profile) as client:
        found = client.collection(f"products/{product_id}/submissions")
    if as_json:
        print_json(found)
    else:
        flat = [each | (each.get("workflowStatus") or {}) for each in found["value"]]
        print_table(COLUMNS, [{name: each.get(name) for name in COLUMNS} for each in flat])


@submission.command()
@PRODUCT_ID
@SUBMISSION_ID
@json_option
@profile_option
def show(product_id: int, submission_id: int, as_json: bool, profile: str | None) -> None:
    """Show SUBMISSION_ID of PRODUCT_ID: workflow, downloads."""
    with connected(profile) as client:
        _show(client, product_id, submission_id, as_json)


@submission.command()
@PRODUCT_ID
@click.option("--name", required=True, help="The submission's name.")
@click.option(
    "--type",
    "kind",
    type=click.Choice(["initial", "derived"]),
    default="initial",
    show_default=True,
    help="derived is a driver update.",
)
@json_option
@profile_option
def create(product_id: int, name: str, kind: str, as_json: bool, profile: str | None) -> None:
    """Create a submission of PRODUCT_ID."""
    with connected(profile) as client:
        made = client.create_submission(product_id, name, kind)
        _show(client, product_id, made.id, as_json)


@submission.command("commit")
@PRODUCT_ID
@SUBMISSION_ID
@click.option(
    "--package",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Upload this package first.",
)
@json_option
@profile_option
def commit_submission(
    product_id: int, submission_id: int, package: Path | None, as_json: bool, profile: str | None
) -> None:
    """Hand the package of SUBMISSION_ID over, and start its workflow."""
    with connected(profile) as client:
        if package is not None:
            url = _url(client, product_id, submission_id, DownloadType.INITIAL_PACKAGE)
            with progress_bar("upload") as progress:
                client.upload(url, package, progress)
        try:
            client.commit(product_id, submission_id)
        except TransportError:
            # The answer is lost; the commit need not be.
            if client.get_submission(product_id, submission_id).commit_status.casefold() == "commitpending":
                raise
        say("committed")
        if as_json:
            print_json(client.document(_path(product_id, submission_id)))


@submission.command()
@PRODUCT_ID
@SUBMISSION_ID
@click.option("--name", required=True, help="Another name.")
@json_option
@profile_option
def update(product_id: int, submission_id: int, name: str, as_json: bool, profile: str | None) -> None:
    """Rename SUBMISSION_ID."""
    with connected(profile) as client:
        client.update_submission(product_id, submission_id, name)
        _show(client, product_id, submission_id, as_json)


@submission.command()
@PRODUCT_ID
@SUBMISSION_ID
@click.option(
    "--poll", default=5.0, show_default=True, type=click.FloatRange(0.1, 600), help="Seconds between two looks."
)
@click.option("--timeout", type=click.FloatRange(1), help="Seconds to wait [for ever].")
@json_option
@profile_option
def wait(
    product_id: int, submission_id: int, poll: float, timeout: float | None, as_json: bool, profile: str | None
) -> None:
    """Wait until the workflow of SUBMISSION_ID has ended."""
    with connected(profile) as client:
        try:
            client.wait(product_id, submission_id, poll_seconds=poll, timeout_seconds=timeout, progress=show_steps())
        except SubmissionFailed:
            if as_json:
                print_json(client.document(_path(product_id, submission_id)))
            raise
        if as_json:
            print_json(client.document(_path(product_id, submission_id)))


@submission.command()
@PRODUCT_ID
@SUBMISSION_ID
@click.option(
    "--type",
    "kind",
    type=click.Choice(DOWNLOADS),
    default=str(DownloadType.SIGNED_PACKAGE),
    show_default=True,
    help="What to download.",
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Where to put it [its own name, here].")
@json_option
@profile_option
def download(
    product_id: int, submission_id: int, kind: str, output: Path | None, as_json: bool, profile: str | None
) -> None:
    """Download a file of SUBMISSION_ID; a signed package with its statement of provenance beside it."""
    with connected(profile) as client:
        url = _url(client, product_id, submission_id, kind)
        target = (output or Path(_file_name(url, kind, submission_id))).absolute()
        target.parent.mkdir(parents=True, exist_ok=True)
        with progress_bar("download") as progress:
            client.download(url, target, progress)
        provenance = None
        if kind == DownloadType.SIGNED_PACKAGE:
            provenance = fetch_provenance(client, product_id, submission_id, target)
    if as_json:
        print_json({"type": kind, "file": str(target), "provenance": str(provenance) if provenance else None})
    else:
        click.echo(target)
        if provenance:
            say(f"provenance: {provenance}")


@submission.command()
@PRODUCT_ID
@SUBMISSION_ID
@json_option
@profile_option
def metadata(product_id: int, submission_id: int, as_json: bool, profile: str | None) -> None:
    """Have the driver metadata of SUBMISSION_ID made, which another account shared.

    It is there later, at Microsoft after hours, as the download driverMetadata; labels need it.
    """
    with connected(profile) as client:
        client.create_publisher_metadata(product_id, submission_id)
        say("driver metadata requested")
        if as_json:
            print_json(client.document(_path(product_id, submission_id)))


@submission.command()
@click.argument("seller_id", type=click.IntRange(min=1))
@PRODUCT_ID
@SUBMISSION_ID
@json_option
@profile_option
def received(seller_id: int, product_id: int, submission_id: int, as_json: bool, profile: str | None) -> None:
    """Show what the account SELLER_ID shared, by its own PRODUCT_ID and SUBMISSION_ID.

    The ids that are shown are those of this account.
    """
    with connected(profile) as client:
        found = client.look_up(seller_id, product_id, submission_id)
        _show(client, found.product_id, found.id, as_json)


def _path(product_id: int, submission_id: int) -> str:
    return f"products/{product_id}/submissions/{submission_id}"


def _show(client: HardwareClient, product_id: int, submission_id: int, as_json: bool) -> None:
    document = client.document(_path(product_id, submission_id))
    if as_json:
        print_json(document)
    else:
        print_object(document | ({"downloads": _named(document)} if "downloads" in document else {}))


def _named(document: dict[str, Any]) -> dict[str, Any]:
    """The downloads without their URLs, which hold a signature and fill a terminal."""
    downloads = document["downloads"] or {}
    found = {"types": [each.get("type") for each in downloads.get("items") or []]}
    return found | ({"messages": downloads["messages"]} if downloads.get("messages") else {})


def _url(client: HardwareClient, product_id: int, submission_id: int, kind: str) -> str:
    found = client.get_submission(product_id, submission_id)
    url = found.download(kind)
    if url is None:
        there = ", ".join(each.type for each in found.downloads.items) if found.downloads else ""
        status = found.workflow_status
        where = f"{status.current_step} {status.state}" if status else "not committed"
        refuse(f"There is no {kind} ({where}); there are: {there or 'none'}.")
    return url


def _file_name(url: str, kind: str, submission_id: int) -> str:
    """The last segment of the URL's path, when it is a plain file name."""
    try:
        name = httpx.URL(url).path.rpartition("/")[2]
    except httpx.InvalidURL as error:
        raise SdkError(f"the service's URL of the {kind} is none: {error}") from error
    if kind == DownloadType.CERTIFICATION_REPORT:
        return f"CertificationReport_{submission_id}.html"
    return name if name.isprintable() and not name.startswith(".") and "\\" not in name and name else kind
