"""``hwdash preprod``: packages signed for test machines (contract/api.md 4.17 to 4.21)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from hwdash.cli.connection import load_connection, profile_option
from hwdash.cli.output import Exit, Refused, print_json, progress_bar, say
from hwdash.cli.remote import client_of, connected
from hwdash.sdk.client import HardwareClient
from hwdash.sdk.errors import ApiError, AuthenticationError, SdkError, SigningFailed, TransportError
from hwdash.vocabulary import AssetType
from hwdash.wire.preprod import PreprodAsset, PreprodPackage

_poll = click.option(
    "--poll",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0.1, 600),
    help="Seconds between looks at the signing status.",
)
_timeout = click.option("--timeout", type=click.FloatRange(1), help="Seconds to wait for the signature [for ever].")
_json = click.option("--json", "as_json", is_flag=True, help="End with one JSON document.")


@click.group()
def preprod() -> None:
    """Preproduction signing: signatures that test machines take and no others."""


@preprod.command()
@click.argument("package", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to put the signed files [PACKAGE-preproduction.zip beside PACKAGE].",
)
@_poll
@_timeout
@_json
@profile_option
def sign(
    package: Path, output: Path | None, poll: float, timeout: float | None, as_json: bool, profile: str | None
) -> None:
    """Have PACKAGE (a signed cabinet) signed for preproduction, and download the signed files.

    Interrupted after the upload, hwdash preprod download goes on with the ID that was printed.
    """
    target = (output or package.with_name(f"{package.stem}-preproduction.zip")).absolute()
    with _connected(profile, target, as_json=as_json) as (client, document):
        with progress_bar("upload") as show:
            uploaded = client.upload_preprod(package, show)
        say(f"package {uploaded.id}")
        document["packageId"] = uploaded.id
        _fetch(client, uploaded.id, target, poll, timeout, document)


@preprod.command()
@click.argument("package_id", metavar="ID")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to put the signed files [Preproduction_ID.zip here].",
)
@_poll
@_timeout
@_json
@profile_option
def download(
    package_id: str, output: Path | None, poll: float, timeout: float | None, as_json: bool, profile: str | None
) -> None:
    """Wait until the package ID is signed, and download the signed files."""
    target = (output or Path(f"Preproduction_{Path(package_id).name}.zip")).absolute()
    with _connected(profile, target, as_json=as_json) as (client, document):
        document["packageId"] = package_id
        _fetch(client, package_id, target, poll, timeout, document)


@preprod.command()
@click.argument("package_id", metavar="ID")
@_json
@profile_option
def show(package_id: str, as_json: bool, profile: str | None) -> None:
    """Show how far the package ID is, and why it failed."""
    with connected(profile) as client:
        package = client.get_preprod(package_id)
    if as_json:
        print_json(package.to_wire())
        return
    click.echo(f"package {package.id}: {package.signing_status}")
    if package.last_modified:
        click.echo(f"since {package.last_modified:%Y-%m-%d %H:%M:%S} UTC")
    for asset in package.assets or []:
        click.echo(_line(asset))
    if package.error:
        click.echo(package.error.message)


@preprod.command()
@click.argument("package_id", metavar="ID")
@_json
@profile_option
def assets(package_id: str, as_json: bool, profile: str | None) -> None:
    """List what can be downloaded of the package ID."""
    with connected(profile) as client:
        found = client.preprod_assets(package_id)
    if as_json:
        print_json([each.to_wire() for each in found])
        return
    for asset in found:
        click.echo(_line(asset))


def _line(asset: PreprodAsset) -> str:
    return f"asset {asset.id}: {asset.asset_type}, SHA-256 {asset.content_hash or 'not told'}"


def _fetch(
    client: HardwareClient,
    package_id: str,
    target: Path,
    poll: float,
    timeout: float | None,
    document: dict[str, Any],
) -> None:
    package = client.wait_preprod(package_id, poll_seconds=poll, timeout_seconds=timeout, progress=_show_status())
    asset = next((each for each in package.assets or [] if each.asset_type == AssetType.SIGNED_FILES_ZIP), None)
    if asset is None:
        raise SdkError(f"the service signed package {package_id}, and lists no {AssetType.SIGNED_FILES_ZIP}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with progress_bar("download") as show_bytes:
        client.download_preprod(package_id, asset, target, show_bytes)
    document |= {"signingStatus": package.signing_status, "signedPackage": str(target)}
    say(f"signed: {target}")


def _show_status() -> Callable[[PreprodPackage], None]:
    last = ""

    def show_status(package: PreprodPackage) -> None:
        nonlocal last
        if package.signing_status != last:
            last = package.signing_status
            say(last)

    return show_status


@contextmanager
def _connected(profile: str | None, target: Path, *, as_json: bool) -> Iterator[tuple[HardwareClient, dict[str, Any]]]:
    """A client, and the JSON document that the command ends with, however it ends."""
    connection = load_connection(profile)
    document: dict[str, Any] = {"packageId": None, "signingStatus": None, "signedPackage": None, "error": None}
    try:
        with client_of(connection) as client:
            yield client, document
    except (SdkError, OSError) as error:
        refusal = _refusal(error, document["packageId"], target)
        document |= {"signingStatus": _status(error), "error": getattr(error, "reason", refusal.message)}
        raise refusal from error
    finally:
        if as_json:
            print_json(document)


def _status(error: SdkError | OSError) -> str:
    match error:
        case SigningFailed():
            return "Failed"
        case AuthenticationError():
            return "unauthorised"
        case TransportError():
            return "unreachable"
        case ApiError():
            return "refused"
    return "error"


def _refusal(error: SdkError | OSError, package_id: str | None, target: Path) -> Refused:
    match error:
        case SigningFailed():
            return Refused(f"{error}\nMend the package and have it signed again.")
        case AuthenticationError():
            return Refused(str(error), Exit.UNAUTHORISED)
        case TransportError():
            go_on = f"hwdash preprod download {package_id} goes on." if package_id else "Run the same command again."
            return Refused(f"{error}\n{go_on}", Exit.UNREACHABLE)
        case OSError():
            return Refused(f"{error.filename or target}: {error.strerror or error}")
    return Refused(str(error))
