"""A client for the Hardware dashboard API: this service's or Microsoft's."""

import ssl
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from hwdash.sdk import requests, transfer
from hwdash.sdk.auth import Credentials
from hwdash.sdk.errors import ApiError, SdkError, SigningFailed, SubmissionFailed, TransportError
from hwdash.vocabulary import SigningStatus
from hwdash.wire.audience import Audience
from hwdash.wire.preprod import PreprodAsset, PreprodPackage
from hwdash.wire.product import Product
from hwdash.wire.submission import Submission

T = TypeVar("T")

TRIES = 6
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 60.0


class HardwareClient:
    """Products, submissions and preproduction packages of one account.

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
        until = None if timeout_seconds is None else self._now() + timeout_seconds
        while True:
            submission = self.get_submission(product_id, submission_id)
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
            if until is not None and self._now() > until:
                raise TransportError(
                    f"submission {submission_id} has not finished in {timeout_seconds:.0f} s; it goes on: wait again"
                )
            self._sleep(poll_seconds)

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
        until = None if timeout_seconds is None else self._now() + timeout_seconds
        while True:
            package = self.get_preprod(package_id)
            progress(package)
            if package.signing_status == SigningStatus.FAILED:
                raise SigningFailed(package_id, package.error.message if package.error else "The service gave none.")
            if package.signing_status == SigningStatus.SUCCEEDED:
                return package
            if until is not None and self._now() > until:
                raise TransportError(f"package {package_id} is not signed after {timeout_seconds:.0f} s; it goes on")
            self._sleep(poll_seconds)

    def download_preprod(
        self, package_id: str, asset: PreprodAsset, target: Path, progress: transfer.Progress = transfer.silent
    ) -> None:
        """Download an asset to a file, which appears only when it is complete and has the asset's hash."""
        url = self._absolute(requests.preprod_download_path(package_id, asset.id))
        transfer.download(
            self._http, url, target, progress, self._sleep, authorization=self._authorization, sha256=asset.content_hash
        )

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
