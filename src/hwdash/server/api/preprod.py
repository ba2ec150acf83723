"""Preproduction signing: upload a package, see how far it is, download what was signed (contract/api.md 4.17-4.21)."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa

from hwdash.domain.access import no_ev_certificate
from hwdash.domain.audit import act
from hwdash.domain.errors import Code, DomainError, not_found
from hwdash.pipeline.preprod import PREPROD
from hwdash.server.api.pages import DEFAULT_PAGE, PageQuery
from hwdash.server.blob_wire import blob_problem, http_date
from hwdash.server.blobs import IDLE_SECONDS
from hwdash.server.errors import HttpProblem
from hwdash.server.page_tokens import Place
from hwdash.server.route import Caller, Exchange, FileAnswer, JsonAnswer
from hwdash.server.service import Service
from hwdash.storage.audit import append
from hwdash.storage.blobs import Blob, BlobError, BlobWriter
from hwdash.storage.certificates import has_valid_ev_certificate
from hwdash.storage.creates import CreateKey, find_created, remember_created
from hwdash.storage.preprod import begin_upload, drop_upload, end_upload, find_asset, find_package, list_assets
from hwdash.vocabulary import SigningStatus
from hwdash.wire.preprod import PreprodAsset, PreprodError, PreprodPackage

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ZIP = "application/zip"


async def upload_package(service: Service, caller: Caller, exchange: Exchange) -> JsonAnswer:
    """PUT preprod/packages: whatever the body is, of any or no content type, becomes the package.

    The same bytes again under the same MS-RequestId get the first package (docs/adr/0011).
    """
    length = _length(exchange)
    row = await service.database.write(_begin, service, caller)
    try:
        name = f"Preproduction_{row.id}.cab"
        blob = await service.uploads.write(
            partial(service.blobs.write_blob, row.package_blob, length=length, hashes=("sha256",)),
            _timely(exchange.body()),
            partial(_finish, name=name),
        )
        shown = await service.database.write(_show, service, caller, row.id, _create_key(exchange, blob), blob)
        if shown.id != row.id:
            await _forget(service, row)
    except BlobError as error:
        await _forget(service, row)
        raise blob_problem(error) from error
    except BaseException:
        await _forget(service, row)
        raise
    location = f"{service.api_url}/preprod/packages/{shown.id}"
    return JsonAnswer(_package(shown).to_wire(), {"Location": location, **_validators(shown)})


def get_package(
    connection: sa.Connection, service: Service, caller: Caller, package_id: int, page: PageQuery
) -> JsonAnswer:
    """GET preprod/packages/{package_id}: with the first of its assets."""
    row, url = _own_package(connection, caller, package_id), _assets_url(service, package_id)
    assets, last = _page_of_assets(connection, package_id, page, page.after(service, caller, url))
    token = page.token(service, caller, url, last) if last else None
    more = {"assets": assets, "assets_continuation_token": token}
    package = _package(row).model_copy(update=more)
    return JsonAnswer(package.to_wire(), _validators(row))


def list_of_assets(
    connection: sa.Connection, service: Service, caller: Caller, package_id: int, page: PageQuery
) -> JsonAnswer:
    """GET assets: a bare array (contract/observed.md 24); a Link header leads to the next page."""
    _own_package(connection, caller, package_id)
    url = _assets_url(service, package_id)
    assets, last = _page_of_assets(connection, package_id, page, page.after(service, caller, url))
    _, *following = page.links(service, caller, url, page.page_size or DEFAULT_PAGE, last)
    headers = {"Link": f'<{following[0].href}>; rel="next"'} if following else {}
    return JsonAnswer([each.to_wire() for each in assets], headers)


def get_asset(
    connection: sa.Connection, _service: Service, caller: Caller, package_id: int, asset_id: int
) -> dict[str, Any]:
    """GET assets/{asset_id}."""
    return _asset(_own_asset(connection, caller, package_id, asset_id)).to_wire()


def download_asset(
    connection: sa.Connection, _service: Service, caller: Caller, package_id: int, asset_id: int
) -> FileAnswer:
    """GET assets/{asset_id}/download: the bytes themselves."""
    row = _own_asset(connection, caller, package_id, asset_id)
    headers = {"Content-Disposition": f'attachment; filename="{row.name}"', "X-Content-Type-Options": "nosniff"}
    return FileAnswer(row.blob, _ZIP, headers)


def _begin(connection: sa.Connection, service: Service, caller: Caller) -> sa.Row[Any]:
    now = service.clock()
    if not has_valid_ev_certificate(connection, caller.account_id, now):
        raise no_ev_certificate()
    return begin_upload(connection, account_id=caller.account_id, created_by=caller.client_id, now=now)


def _finish(writer: BlobWriter, *, name: str) -> Blob:
    if writer.size == 0:
        raise DomainError(
            Code.INVALID_INPUT,
            "The body is empty. Send the bytes of a signed cabinet as the body of the request.",
            [("body", "The package is missing.")],
        )
    return writer.finish(name=name)


def _show(
    connection: sa.Connection, service: Service, caller: Caller, package_id: int, key: CreateKey, blob: Blob
) -> sa.Row[Any]:
    """End the upload and start its workflow; or find the package that this request made before."""
    made_before = find_created(connection, caller.client_id, key)
    if made_before is not None and (first := find_package(connection, caller.account_id, made_before)) is not None:
        return first
    now = service.clock()
    row = end_upload(connection, package_id, package_version=blob.version, first_step=PREPROD.steps[0], now=now)
    if row is None:
        raise HttpProblem(408, "The upload took more than a day and was given up. Send it again.")
    remember_created(connection, caller.client_id, key, package_id, now)
    service.workflows.enqueue(connection, PREPROD, package_id, "1")
    thing = ("preproduction package", package_id)
    told = {"requestId": key.request_id, "bodySha256": (blob.sha256 or b"").hex()}
    append(connection, act(caller.account_id, now, caller.actor, upload_package.__name__, thing, **told))
    return row


async def _forget(service: Service, row: sa.Row[Any]) -> None:
    """Leave nothing of an upload that came to nothing."""
    if await service.database.write(drop_upload, row.id):
        await service.uploads.thread(service.blobs.delete, row.package_blob)


async def _timely(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The body; 408 when the client falls silent in the middle of it."""
    while True:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                chunk = await anext(body)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise HttpProblem(408, f"Nothing came for {IDLE_SECONDS} seconds. Send the package again.") from None
        if chunk:
            yield chunk


def _length(exchange: Exchange) -> int | None:
    """The Content-Length, where there is one: a package that is too large is refused before it is sent."""
    text = exchange.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else None


def _create_key(exchange: Exchange, blob: Blob) -> CreateKey:
    content = f"PUT preprod/packages\n{(blob.sha256 or b'').hex()}"
    return CreateKey(exchange.request_id[:100], hashlib.sha256(content.encode()).hexdigest())


def _own_package(connection: sa.Connection, caller: Caller, package_id: int) -> sa.Row[Any]:
    row = find_package(connection, caller.account_id, package_id)
    if row is None:
        raise not_found("preproduction package", package_id)
    return row


def _own_asset(connection: sa.Connection, caller: Caller, package_id: int, asset_id: int) -> sa.Row[Any]:
    _own_package(connection, caller, package_id)
    row = find_asset(connection, package_id, asset_id)
    if row is None:
        raise not_found("asset", asset_id)
    return row


def _assets_url(service: Service, package_id: int) -> str:
    return f"{service.api_url}/preprod/packages/{package_id}/assets"


def _page_of_assets(
    connection: sa.Connection, package_id: int, page: PageQuery, after: Place | None
) -> tuple[list[PreprodAsset], Place | None]:
    """The assets, and where the page ends when it is not the last one."""
    size = page.page_size or DEFAULT_PAGE
    rows = list_assets(connection, package_id, limit=size + 1, after=after)
    shown = rows[:size]
    return [_asset(row) for row in shown], (shown[-1].created_at, shown[-1].id) if len(rows) > size else None


def _package(row: sa.Row[Any]) -> PreprodPackage:
    return PreprodPackage(
        id=str(row.id),
        etag=_etag(row),
        last_modified=row.modified_at,
        signing_status=row.signing_status,
        error=PreprodError(message=row.error) if row.signing_status == SigningStatus.FAILED else None,
    )


def _asset(row: sa.Row[Any]) -> PreprodAsset:
    return PreprodAsset(
        id=str(row.id),
        package_id=str(row.package_id),
        asset_type=row.type,
        created_date=row.created_at,
        content_hash=row.sha256,
    )


def _etag(row: sa.Row[Any]) -> str:
    """Status and time are all of a package that changes."""
    return f'"{(row.modified_at - _EPOCH) // timedelta(microseconds=1):x}-{row.signing_status}"'


def _validators(row: sa.Row[Any]) -> dict[str, str]:
    return {"ETag": _etag(row), "Last-Modified": http_date(row.modified_at)}
