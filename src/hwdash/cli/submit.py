"""``hwdash submit``: product, submission, upload, commit, wait, download. Interrupted, it goes on where it was."""

import hashlib
import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from hwdash.cli.connection import Connection, load_connection, profile_option
from hwdash.cli.output import Exit, Refused, print_json, refuse, say
from hwdash.cli.remote import client_of, fetch_provenance, move, show_steps
from hwdash.sdk.client import HardwareClient
from hwdash.sdk.errors import ApiError, AuthenticationError, SdkError, SubmissionFailed, TransportError
from hwdash.wire.submission import Submission


@click.command()
@click.argument("package", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--name", required=True, help="The product's name; a repeated submit of the same package under it resumes."
)
@click.option(
    "--signature",
    "signatures",
    multiple=True,
    metavar="OSCODE",
    help="An OS code to sign for, such as WINDOWS_v100_X64_GE_FULL; give it once for each.",
)
@click.option(
    "--product",
    "product_id",
    type=click.IntRange(min=1),
    metavar="ID",
    help="Submit a driver update (a derived submission) of this product instead; --name is the submission's then.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to put the signed package [NAME beside PACKAGE].",
)
@click.option("--test-sign", is_flag=True, help="Ask for a test signature.")
@click.option("--flight-sign", is_flag=True, help="Ask for a flight signature.")
@click.option(
    "--poll",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0.1, 600),
    help="Seconds between looks at the workflow.",
)
@click.option("--timeout", type=click.FloatRange(1), help="Seconds to wait for the workflow [for ever].")
@click.option("--new", is_flag=True, help="Start afresh although this package was submitted under this name before.")
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object.")
@profile_option
def submit(
    package: Path,
    name: str,
    signatures: tuple[str, ...],
    product_id: int | None,
    output: Path | None,
    test_sign: bool,
    flight_sign: bool,
    poll: float,
    timeout: float | None,
    new: bool,
    as_json: bool,
    profile: str | None,
) -> None:
    """Submit PACKAGE (a signed cabinet, or a package of the HLK or HCK), wait until it is signed, and download the
    result.
    """
    _check_usage(product_id, signatures, test_sign=test_sign, flight_sign=flight_sign)
    wanted = {
        "productName": name,
        # An .hlkx file of any other product would be refused.
        "testHarness": {".hlkx": "HLK", ".hckx": "HCK"}.get(package.suffix.lower(), "Attestation"),
        "requestedSignatures": list(signatures),
        "isTestSign": test_sign,
        "isFlightSign": flight_sign,
    }
    connection = load_connection(profile)
    state = State.of(connection, package, wanted, product_id, new=new)
    target = (output or package.with_name(f"{package.stem}-signed.zip")).absolute()
    try:
        with client_of(connection) as client:
            submission = _run(
                client, state, package, wanted, "initial" if product_id is None else "derived", poll, timeout
            )
            target.parent.mkdir(parents=True, exist_ok=True)
            move(client, submission, "signedPackage", lambda url, show: client.download(url, target, show))
            provenance = fetch_provenance(client, submission.product_id, submission.id, target)
    except (SdkError, OSError) as error:
        if as_json:
            print_json(_document(state, *_outcome(error)))
        raise _refusal(error, target) from error
    status = submission.workflow_status
    say(f"signed: {target}")
    if provenance:
        say(f"provenance: {provenance}")
    if as_json:
        print_json(_document(state, "completed", status.messages if status else [], target, provenance))


def _check_usage(product_id: int | None, signatures: tuple[str, ...], *, test_sign: bool, flight_sign: bool) -> None:
    if product_id is None and not signatures:
        raise click.UsageError("Missing option '--signature'.")
    if product_id is not None and (signatures or test_sign or flight_sign):
        raise click.UsageError(
            "A driver update is signed as its product is: leave out --signature, --test-sign and --flight-sign."
        )


def _outcome(error: SdkError | OSError) -> tuple[str, list[str]]:
    """The state and the messages of a submit that did not end well."""
    match error:
        case SubmissionFailed():
            return "failed", error.messages
        case AuthenticationError():
            return "unauthorised", [str(error)]
        case TransportError():
            return "unreachable", [str(error)]
        case ApiError():
            return "refused", [error.message, *(f"{target}: {text}" for target, text in error.findings)]
    return "error", [str(error)]


def _refusal(error: SdkError | OSError, target: Path) -> Refused:
    match error:
        case SubmissionFailed():
            return Refused(f"{error}\nMend the package and submit it again; this very package goes again with --new.")
        case AuthenticationError():
            return Refused(str(error), Exit.UNAUTHORISED)
        case TransportError():
            return Refused(f"{error}\nRun the same command again to go on.", Exit.UNREACHABLE)
        case OSError():
            return Refused(f"{error.filename or target}: {error.strerror or error}")
    return Refused(str(error))


def _run(
    client: HardwareClient,
    state: "State",
    package: Path,
    wanted: dict[str, Any],
    kind: str,
    poll: float,
    timeout: float | None,
) -> Submission:
    name = str(wanted["productName"])
    if state.product_id is None:
        product = client.create_product(wanted, request_id=state.request_id("product"))
        state.keep(productId=product.id)
        if product.message:
            say(f"warning: {product.message}")
        say(f"product {product.id}: {name}")
    product_id = state.product_id
    assert product_id is not None  # noqa: S101 - just stored
    if state.submission_id is None:
        submission = client.create_submission(product_id, name, kind, request_id=state.request_id("submission"))
        state.keep(submissionId=submission.id)
        say(f"submission {submission.id}")
    submission_id = state.submission_id
    assert submission_id is not None  # noqa: S101 - just stored
    submission = client.get_submission(product_id, submission_id)
    if submission.commit_status.casefold() == "commitpending":
        move(client, submission, "initialPackage", lambda url, show: client.upload(url, package, show))
        client.commit(product_id, submission_id)
        say("committed")
    return client.wait(product_id, submission_id, poll_seconds=poll, timeout_seconds=timeout, progress=show_steps())


def _document(
    state: "State", outcome: str, messages: list[str], signed: Path | None = None, provenance: Path | None = None
) -> dict[str, Any]:
    return {
        "productId": state.product_id,
        "submissionId": state.submission_id,
        "state": outcome,
        "signedPackage": str(signed) if signed else None,
        "provenance": str(provenance) if provenance else None,
        "messages": messages,
    }


class State:
    """What was begun, in a file: the ids and the request ids of one package under one name at one service.

    A request id is written before its request is sent, so that a create whose answer was lost can be repeated without a
    second product.
    """

    def __init__(self, file: Path, values: dict[str, Any]) -> None:
        self._file = file
        self._values = values

    @classmethod
    def of(
        cls,
        connection: Connection,
        package: Path,
        product: Mapping[str, Any],
        product_id: int | None,
        *,
        new: bool,
        environment: Mapping[str, str] = os.environ,
    ) -> "State":
        """The state of this submit; empty for a new one."""
        with package.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        name, signatures = product["productName"], sorted(product["requestedSignatures"])
        told = [connection.url, connection.tenant_id, name, signatures, product["isTestSign"], digest]
        if product_id is not None or product["isFlightSign"]:
            told += [product_id, product["isFlightSign"]]
        wanted = json.dumps(told)
        base = environment.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
        file = Path(base) / "hwdash" / "submit" / f"{hashlib.sha256(wanted.encode()).hexdigest()}.json"
        values: dict[str, Any] = {} if product_id is None else {"productId": product_id}
        if not new:
            try:
                values |= json.loads(file.read_text("utf-8"))
            except FileNotFoundError:
                pass
            except (OSError, ValueError) as error:
                refuse(f"{file}: {error}\nRemove it, or start afresh with --new.")
        return cls(file, values)

    @property
    def product_id(self) -> int | None:
        """The product, once it is known."""
        return self._values.get("productId")

    @property
    def submission_id(self) -> int | None:
        """The submission, once it is known."""
        return self._values.get("submissionId")

    def request_id(self, what: str) -> str:
        """The request id of the create of ``what``: drawn and stored once."""
        key = f"{what}RequestId"
        if key not in self._values:
            self.keep(**{key: str(uuid.uuid4())})
        return str(self._values[key])

    def keep(self, **values: object) -> None:
        """Store values: all or nothing."""
        self._values |= values
        self._file.parent.mkdir(parents=True, exist_ok=True)
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps(self._values), "utf-8")
        part.replace(self._file)
