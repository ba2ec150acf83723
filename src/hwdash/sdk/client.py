"""A client for the Hardware dashboard API: this service's or Microsoft's."""

import json
import ssl
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from hwdash.sdk import requests, transfer
from hwdash.sdk.auth import Credentials
from hwdash.sdk.errors import ApiError, LabelFailed, SdkError, SigningFailed, SubmissionFailed, TransportError
from hwdash.vocabulary import DownloadType, LabelDestination, LabelStep, SigningStatus
from hwdash.wire.audience import Audience
from hwdash.wire.label import ShippingLabel
from hwdash.wire.offers import Offers
from hwdash.wire.preprod import PreprodAsset, PreprodPackage
from hwdash.wire.product import Product
from hwdash.wire.submission import Submission

T = TypeVar("T")

TRIES = 6
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 60.0

_LABEL_ENDS = {(each.casefold(), "completed") for each in (LabelStep.FINALIZE_PUBLISHING, LabelStep.FINALIZE_SHARING)}
_FROM_APPROVAL = {
    each.casefold() for each in (LabelStep.MICROSOFT_APPROVAL, LabelStep.PUBLISHING, LabelStep.FINALIZE_PUBLISHING)
}


class HardwareClient:
    """Products, submissions, shipping labels and preproduction packages of one account.

    ``url`` is the service's origin, ``verify`` the path of a CA certificate or True for the system's. Methods raise the
    errors of hwdash.sdk.errors. What can be repeated without harm is repeated when the connection breaks or the service
    is busy. ``sleep`` and ``now`` (seconds) are what it waits by.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        *,
        verify: str | bool = True,
        timeout: float = 60.0,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sleep = sleep
        self._now = now
        self._url = url.rstrip("/")
        self._credentials = credentials
        self._http = httpx.Client(verify=trust(verify), timeout=timeout, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def create_product(self, product: dict[str, Any], *, request_id: str | None = None) -> Product:
        """Create a product. ``request_id`` (a GUID) makes a repetition return the first answer."""
        return self._send(requests.create_product(product), request_id)

    def get_product(self, product_id: int) -> Product:
        """One product."""
        return self._send(requests.get_product(product_id))

    def products(self) -> Iterator[Product]:
        """All products, page by page."""
        return self._all(requests.list_products)

    def update_product(self, product_id: int, changes: dict[str, Any]) -> None:
        """Change a product: ``productName``, ``marketingNames``, ``announcementDate``."""
        self._send(requests.update_product(product_id, changes))

    def create_submission(
        self, product_id: int, name: str, kind: str = "initial", *, request_id: str | None = None
    ) -> Submission:
        """Create a submission; its ``initialPackage`` download is where the package is uploaded."""
        return self._send(requests.create_submission(product_id, name, kind), request_id)

    def get_submission(self, product_id: int, submission_id: int) -> Submission:
        """One submission with its workflow status and downloads."""
        return self._send(requests.get_submission(product_id, submission_id))

    def submissions(self, product_id: int) -> Iterator[Submission]:
        """All submissions of a product."""
        return self._all(lambda page: requests.list_submissions(product_id, page))

    def update_submission(self, product_id: int, submission_id: int, name: str) -> None:
        """Rename a submission."""
        self._send(requests.update_submission(product_id, submission_id, name))

    def audiences(self) -> Iterator[Audience]:
        """The audiences that the account can use."""
        return self._all(requests.list_audiences)

    def offers(self, machine: dict[str, Any]) -> Offers:
        """What a machine is offered: docs/reference/offers.md. Microsoft's service knows no such call."""
        return self._send(requests.ask_offers(machine))

    def document(self, path: str) -> dict[str, Any]:
        """An object of the API as the service answers it, by its path below the base: ``products/123``."""
        return self._send(requests.document(path))

    def collection(self, path: str) -> dict[str, Any]:
        """A collection as the service answers it, all pages joined."""
        pages = [self.document(path)]
        while (following := requests.next_page(pages[-1])) is not None:
            pages.append(self.document(following))
        return requests.joined(pages)

    def commit(self, product_id: int, submission_id: int) -> None:
        """Hand the uploaded package over.

        A second commit is refused, so after an answer that says nothing (it was lost, or is a gateway's) the submission
        itself is asked whether it was taken.
        """
        call, pause, in_doubt = requests.commit(product_id, submission_id), FIRST_PAUSE_SECONDS, False
        for tries_left in reversed(range(TRIES)):
            try:
                self._send(call)
            except (TransportError, ApiError) as error:
                told = isinstance(error, ApiError) and error.status < 500
                if told and not in_doubt:
                    raise
                in_doubt = True
                if self.get_submission(product_id, submission_id).commit_status.casefold() != "commitpending":
                    return
                if not tries_left:
                    raise
                self._sleep(pause)
                pause *= 2
            else:
                return

    def upload(self, url: str, package: Path, progress: transfer.Progress = transfer.silent) -> None:
        """Upload a package to the URL of its ``initialPackage`` download."""
        transfer.upload(self._http, url, package, progress, self._sleep)

    def download(self, url: str, target: Path, progress: transfer.Progress = transfer.silent) -> None:
        """Download to a file, which appears only when it is complete."""
        transfer.download(self._http, url, target, progress, self._sleep)

    def download_provenance(self, product_id: int, submission_id: int, target: Path) -> bool:
        """Download the statement of provenance beside a signed package (docs/reference/provenance.md); False when there
        is none, as at Microsoft's service.
        """
        url = self._absolute(requests.provenance_path(product_id, submission_id))
        try:
            transfer.download(self._http, url, target, sleep=self._sleep, authorization=self._authorization)
        except ApiError as refusal:
            if refusal.status != 404:
                raise
            return False
        return True

    def wait(
        self,
        product_id: int,
        submission_id: int,
        *,
        poll_seconds: float = 5.0,
        timeout_seconds: float | None = None,
        progress: Callable[[Submission], None] = lambda submission: None,
    ) -> Submission:
        """Wait until the workflow has ended well. Raises SubmissionFailed when it failed, TransportError when time is
        up.
        """
        what = f"submission {submission_id} has not finished"
        for submission in self._looks(
            lambda: self.get_submission(product_id, submission_id), what, poll_seconds, timeout_seconds
        ):
            progress(submission)
            status = submission.workflow_status
            if status is not None and status.state == "failed":
                raise SubmissionFailed(status.current_step, status.messages)
            if submission.commit_status.casefold() == "commitfailed":
                raise SubmissionFailed(
                    "commit", status.messages if status else ["The service could not take the package over."]
                )
            if submission.download("signedPackage") is not None:
                return submission
        raise AssertionError("there is always one more look")

    def create_label(
        self, product_id: int, submission_id: int, label: Mapping[str, Any], *, request_id: str | None = None
    ) -> ShippingLabel:
        """Create a shipping label, as contract/api.md 3.7 has it; its workflow starts at once. ``request_id`` as in
        ``create_product``.
        """
        return self._send(requests.create_label(product_id, submission_id, label), request_id)

    def share(
        self,
        product_id: int,
        submission_id: int,
        receiver: int,
        *,
        name: str,
        enforce_chids: bool = False,
        targeting: Mapping[str, Any] | None = None,
        request_id: str | None = None,
    ) -> ShippingLabel:
        """Share a driver with the account ``receiver`` (a seller id). ``targeting`` says what of it, None all of it;
        ``enforce_chids`` makes the receiver name CHIDs in each label of its own.
        """
        label = {
            "name": name,
            "destination": LabelDestination.ANOTHER_PARTNER,
            "recipientSpecifications": {"receiverPublisherId": str(receiver), "enforceChidTargeting": enforce_chids},
            **({} if targeting is None else {"targeting": targeting}),
        }
        return self.create_label(product_id, submission_id, label, request_id=request_id)

    def get_label(
        self, product_id: int, submission_id: int, label_id: int, *, targeting: bool = False
    ) -> ShippingLabel:
        """One shipping label with its workflow status, and with its targeting when that is asked for."""
        return self._send(requests.get_label(product_id, submission_id, label_id, targeting=targeting))

    def labels(self, product_id: int, submission_id: int) -> Iterator[ShippingLabel]:
        """All shipping labels of a submission."""
        return self._all(lambda page: requests.list_labels(product_id, submission_id, page))

    def update_label(self, product_id: int, submission_id: int, label_id: int, targeting: Mapping[str, Any]) -> None:
        """Change the targeting of a shipping label; each hardware id and CHID says in ``action`` what becomes of it.
        The label runs once more.
        """
        self._send(requests.update_label(product_id, submission_id, label_id, targeting))

    def cancel_label(self, product_id: int, submission_id: int, label_id: int) -> None:
        """Ask for the end of a shipping label that waits for approval or rolls out. It ends later, as failed."""
        self._send(requests.cancel_label(product_id, submission_id, label_id))

    def wait_label(
        self,
        product_id: int,
        submission_id: int,
        label_id: int,
        *,
        until_approval: bool = False,
        poll_seconds: float = 5.0,
        timeout_seconds: float | None = None,
        progress: Callable[[ShippingLabel], None] = lambda label: None,
    ) -> ShippingLabel:
        """Wait until a shipping label is published or shared. Raises LabelFailed when it failed or was cancelled,
        TransportError when time is up. A step that is not known, or a number, is waited through.

        With ``until_approval`` it is enough that the label has come to microsoftApproval, as Microsoft's own client has
        it: the rest may take days.
        """
        what = f"label {label_id} has not ended"
        for label in self._looks(
            lambda: self.get_label(product_id, submission_id, label_id), what, poll_seconds, timeout_seconds
        ):
            progress(label)
            status = label.workflow_status
            step, state = status.current_step.casefold(), status.state.casefold()
            if state == "failed":
                raise LabelFailed(status.current_step, status.messages)
            if (step, state) in _LABEL_ENDS or (until_approval and step in _FROM_APPROVAL):
                return label
        raise AssertionError("there is always one more look")

    def create_publisher_metadata(self, product_id: int, submission_id: int) -> None:
        """Have the driver metadata of a received submission made; it is there later, as its ``driverMetadata``."""
        self._send(requests.create_publisher_metadata(product_id, submission_id))

    def look_up(self, seller_id: int, product_id: int, submission_id: int) -> Submission:
        """The submission of this account that ``submission_id`` of the account ``seller_id`` was shared as."""
        return self._send(requests.look_up(seller_id, product_id, submission_id))

    def driver_metadata(self, product_id: int, submission_id: int) -> dict[str, Any]:
        """The driver metadata of a submission (contract/api.md 3.13): what its labels can target. Raises SdkError when
        there is none yet.
        """
        submission = self.get_submission(product_id, submission_id)
        url = submission.download(DownloadType.DRIVER_METADATA)
        if url is None:
            raise SdkError(
                f"Submission {submission_id} has no driver metadata yet, and nothing can be targeted without. It comes "
                "when the submission has finished; for a received one it has to be asked for (createpublishermetadata)."
            )
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "metadata.json"
            self.download(url, file)
            try:
                metadata = json.loads(file.read_bytes())
            except ValueError as error:
                raise SdkError(f"the driver metadata of submission {submission_id} is not JSON: {error}") from error
        if not isinstance(metadata, dict):
            raise SdkError(f"the driver metadata of submission {submission_id} is not a JSON object")
        return metadata

    def upload_preprod(
        self, package: Path, progress: transfer.Progress = transfer.silent, *, request_id: str | None = None
    ) -> PreprodPackage:
        """Upload a package for preproduction signing, which starts at once. ``request_id`` as in ``create_product``."""
        return self._send(
            requests.upload_preprod(), request_id or str(uuid.uuid4()), lambda: transfer.pieces(package, progress),
            {"Content-Type": "application/octet-stream", "Content-Length": str(package.stat().st_size)},
        )  # fmt: skip

    def get_preprod(self, package_id: str) -> PreprodPackage:
        """A preproduction package with its signing status and assets."""
        return self._send(requests.get_preprod(package_id))

    def preprod_assets(self, package_id: str) -> list[PreprodAsset]:
        """The assets of a preproduction package."""
        return self._send(requests.list_preprod_assets(package_id))

    def wait_preprod(
        self, package_id: str, *, poll_seconds: float = 5.0, timeout_seconds: float | None = None,
        progress: Callable[[PreprodPackage], None] = lambda package: None,
    ) -> PreprodPackage:  # fmt: skip
        """Wait until the package is signed. Raises SigningFailed when it failed, TransportError when time is up."""
        what = f"package {package_id} is not signed"
        for package in self._looks(lambda: self.get_preprod(package_id), what, poll_seconds, timeout_seconds):
            progress(package)
            if package.signing_status == SigningStatus.FAILED:
                raise SigningFailed(package_id, package.error.message if package.error else "The service gave none.")
            if package.signing_status == SigningStatus.SUCCEEDED:
                return package
        raise AssertionError("there is always one more look")

    def download_preprod(
        self, package_id: str, asset: PreprodAsset, target: Path, progress: transfer.Progress = transfer.silent
    ) -> None:
        """Download an asset to a file, which appears only when it is complete and has the asset's hash."""
        url = self._absolute(requests.preprod_download_path(package_id, asset.id))
        transfer.download(
            self._http, url, target, progress, self._sleep, authorization=self._authorization, sha256=asset.content_hash
        )

    def _looks(
        self, look: Callable[[], T], otherwise: str, poll_seconds: float, timeout_seconds: float | None
    ) -> Iterator[T]:
        """Look again and again. Raises TransportError, with what is not ``otherwise``, when time is up."""
        until = None if timeout_seconds is None else self._now() + timeout_seconds
        while True:
            yield look()
            if until is not None and self._now() > until:
                raise TransportError(f"{otherwise} in {timeout_seconds:.0f} s; it goes on: wait again")
            self._sleep(poll_seconds)

    def _all(self, call: Callable[[str | None], requests.Call[tuple[list[T], str | None]]]) -> Iterator[T]:
        page: str | None = None
        while True:
            items, page = self._send(call(page))
            yield from items
            if page is None:
                return

    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._credentials.token(self._http)}"}

    def _send(
        self,
        call: requests.Call[T],
        request_id: str | None = None,
        content: Callable[[], Iterator[bytes]] | None = None,
        more_headers: Mapping[str, str] | None = None,
    ) -> T:
        headers = {
            **(more_headers or {}),
            "MS-RequestId": request_id or str(uuid.uuid4()),
            "MS-CorrelationId": str(uuid.uuid4()),
        }
        repeatable = call.repeatable or request_id is not None
        url = self._absolute(call.path)
        pause, refreshed = FIRST_PAUSE_SECONDS, False
        for tries_left in reversed(range(TRIES)):
            authorized = headers | self._authorization()
            try:
                answer = self._http.request(
                    call.method, url, json=call.body, content=content() if content else None, headers=authorized
                )
            except httpx.HTTPError as error:
                if not tries_left or not (repeatable or isinstance(error, httpx.ConnectError)):
                    raise TransportError(f"{call.method} {url}: {error or type(error).__name__}") from error
            else:
                if answer.status_code == 401 and not refreshed:
                    # It may have ended early: the service's keys were renewed, or its clock runs ahead of ours.
                    self._credentials.forget()
                    refreshed = True
                    continue
                if not (
                    answer.status_code in (429, 500, 502, 503, 504) and tries_left and _may_repeat(answer, repeatable)
                ):
                    return _read(call, answer)
                pause = max(pause, _retry_after(answer))
            self._sleep(min(pause, LONGEST_PAUSE_SECONDS))
            pause *= 2
        raise TransportError(f"{call.method} {url}: the service went on refusing")

    def _absolute(self, path: str) -> str:
        """The URL of a path, or of a link that the service gave: no other origin gets the token."""
        if path.startswith("/"):
            return self._url + path
        if _origin(path) != _origin(self._url):
            raise SdkError(f"the service's link leads to another origin, {path}; the token is not sent there")
        return path


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = httpx.URL(url)
    return parts.scheme, parts.host, parts.port


def trust(verify: str | bool) -> ssl.SSLContext | bool:
    """What a connection trusts: the CA certificates of a file, or the system's."""
    return ssl.create_default_context(cafile=verify) if isinstance(verify, str) else verify


def _may_repeat(answer: httpx.Response, repeatable: bool) -> bool:
    return repeatable or answer.status_code in (429, 503)


def _retry_after(answer: httpx.Response) -> float:
    try:
        return float(answer.headers.get("Retry-After", "0"))
    except ValueError:
        return 0.0


def _read(call: requests.Call[T], answer: httpx.Response) -> T:
    try:
        body = answer.json() if answer.content else None
    except ValueError:
        body = None
    requests.raise_for(answer.status_code, body, answer.headers)
    return call.read(body)
