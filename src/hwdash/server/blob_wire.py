"""The wire of Azure's blob operations, without I/O: headers, ranges, conditions, block lists and errors.

Sources: Microsoft Learn, "Operations on block blobs", "Specifying conditional headers for Blob service operations",
"Specifying the range header for Blob service operations", "Status and error codes".
"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from xml.parsers import expat
from xml.sax.saxutils import escape

from hwdash.server.errors import HttpProblem
from hwdash.server.sas import Grant, SasError
from hwdash.storage.blobs import DEFAULT_CONTENT_TYPE, MAX_BLOCKS, Blob, BlobError, BlockKind, Conditions

_STATUS = {
    "AuthenticationFailed": 403,
    "AuthorizationFailure": 403,
    "AuthorizationPermissionMismatch": 403,
    "BlobAlreadyExists": 409,
    "BlobNotFound": 404,
    "BlockCountExceedsLimit": 409,
    "BlockListTooLong": 400,
    "ConditionNotMet": 412,
    "InsufficientStorage": 507,
    "InternalError": 500,
    "InvalidBlobOrBlock": 400,
    "InvalidBlockId": 400,
    "InvalidBlockList": 400,
    "InvalidHeaderValue": 400,
    "InvalidMd5": 400,
    "InvalidQueryParameterValue": 400,
    "InvalidRange": 416,
    "InvalidUri": 400,
    "InvalidXmlDocument": 400,
    "Md5Mismatch": 400,
    "MissingContentLengthHeader": 411,
    "OperationTimedOut": 408,
    "OutOfRangeInput": 400,
    "RequestBodyTooLarge": 413,
    "UnsatisfiableCondition": 400,
    "UnsupportedHeader": 400,
    "UnsupportedHttpVerb": 405,
}
_HEADER_TEXT = re.compile(r"[\x20-\x7e]{1,1024}\Z")
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})\Z")
_LIST_KINDS: dict[str, BlockKind] = {"Committed": "Committed", "Uncommitted": "Uncommitted", "Latest": "Latest"}


class InvalidRangeError(BlobError):
    """A range starts past the end of a blob of ``size`` bytes: the answer tells the size."""

    def __init__(self, size: int) -> None:
        super().__init__("InvalidRange", f"The range starts past the end of the blob, which has {size} bytes.")
        self.size = size


@dataclass(frozen=True, slots=True)
class BlobRequest:
    """A request whose signature holds: header names in lower case, the query decoded."""

    method: str
    headers: dict[str, str]
    query: dict[str, str]
    grant: Grant

    def md5(self, header: str) -> bytes | None:
        """An MD5 from a header. BlobError: InvalidMd5."""
        text = self.headers.get(header)
        if text is None:
            return None
        try:
            digest = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            digest = b""
        if len(digest) != 16:
            raise BlobError("InvalidMd5", f"The header {header} is not the base64 of a 16-byte MD5.")
        return digest

    def length(self) -> int | None:
        """The Content-Length; None for a chunked body. BlobError: MissingContentLengthHeader, InvalidHeaderValue."""
        if "transfer-encoding" in self.headers:
            return None
        text = self.headers.get("content-length")
        if text is None:
            raise BlobError("MissingContentLengthHeader", "Send Content-Length, or a chunked body.")
        if not (text.isascii() and text.isdigit()) or len(text) > 18:
            raise BlobError("InvalidHeaderValue", "Content-Length is not a number of bytes.")
        return int(text)

    def content_type(self, fallback: str = "") -> str:
        """The type to keep for the blob: its own header, or the header named ``fallback``."""
        value = self.headers.get("x-ms-blob-content-type") or self.headers.get(fallback, "")
        if value and not _HEADER_TEXT.match(value):
            raise BlobError("InvalidHeaderValue", "The content type has characters that a header cannot carry.")
        return value or DEFAULT_CONTENT_TYPE

    def conditions(self) -> Conditions:
        """The conditional headers. BlobError: InvalidHeaderValue."""
        return conditions(self.headers)

    def byte_range(self, blob: Blob) -> tuple[int, int] | None:
        """What ``byte_range`` reads. BlobError: InvalidRange, InvalidHeaderValue."""
        return byte_range(self.headers, blob)


def conditions(headers: Mapping[str, str]) -> Conditions:
    """The conditional headers, names in lower case. BlobError: InvalidHeaderValue."""
    return Conditions(
        etags(headers, "if-match"),
        etags(headers, "if-none-match"),
        _time(headers, "if-modified-since"),
        _time(headers, "if-unmodified-since"),
    )


def byte_range(headers: Mapping[str, str], blob: Blob) -> tuple[int, int] | None:
    """First byte and end asked for; None for the whole blob, as for a Range that is not understood (RFC 9110).

    BlobError: InvalidRange, InvalidHeaderValue.
    """
    text = headers.get("x-ms-range") or headers.get("range", "")
    if headers.get("if-range", blob.etag) != blob.etag:
        return None
    match = _RANGE.match(text.strip())
    if match is None or not any(match.groups()):
        if "x-ms-range" in headers:
            raise BlobError("InvalidHeaderValue", "x-ms-range is bytes=FIRST-LAST or bytes=FIRST-.")
        return None
    first, last = match.groups()
    start = int(first) if first else max(0, blob.size - int(last))
    end = min(int(last) + 1, blob.size) if first and last else blob.size
    if start >= blob.size:
        raise InvalidRangeError(blob.size)
    if end <= start:
        raise BlobError("InvalidHeaderValue", "The range ends before it starts.")
    return start, end


def etags(headers: Mapping[str, str], header: str) -> tuple[str, ...]:
    """The entity tags of a header, each in quotes, or ``*``."""
    tags = [tag.strip().removeprefix("W/") for tag in headers.get(header, "").split(",")]
    return tuple(tag if tag == "*" or tag.startswith('"') else f'"{tag}"' for tag in tags if tag)


def _time(headers: Mapping[str, str], header: str) -> datetime | None:
    text = headers.get(header)
    if text is None:
        return None
    try:
        time = parsedate_to_datetime(text)
    except ValueError:
        message = f"{header} is not a date such as Mon, 23 Nov 2026 14:11:00 GMT."
        raise BlobError("InvalidHeaderValue", message) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


@dataclass(slots=True)
class Answer:
    """A response: its own headers, without those that every response has."""

    status: int
    headers: dict[str, str]
    body: bytes = b""


def is_unmodified(conditions: Conditions, blob: Blob | None) -> bool:
    """Whether a read answers 304. BlobError: ConditionNotMet, UnsatisfiableCondition.

    A read happens when If-Match && If-Unmodified-Since && (If-None-Match || If-Modified-Since).
    """
    if "*" in conditions.if_none_match:
        raise BlobError("UnsatisfiableCondition", "If-None-Match: * makes no sense for a read.")
    if blob is None:
        return False
    if (conditions.if_match and not {"*", blob.etag} & set(conditions.if_match)) or (
        conditions.if_unmodified_since is not None and blob.last_modified > conditions.if_unmodified_since
    ):
        raise BlobError("ConditionNotMet", f"The blob is now {blob.etag}, which the condition sent does not allow.")
    other = bool(conditions.if_none_match) and blob.etag not in conditions.if_none_match
    newer = conditions.if_modified_since is not None and blob.last_modified > conditions.if_modified_since
    return bool(conditions.if_none_match or conditions.if_modified_since) and not (other or newer)


def parse_block_list(body: bytes) -> list[tuple[BlockKind, str]]:
    """Read the XML of Put Block List. BlobError: InvalidXmlDocument, BlockListTooLong."""
    blocks: list[tuple[BlockKind, str]] = []
    path: list[str] = []
    text: list[str] = []

    def refuse_doctype(*_: object) -> None:
        raise BlobError("InvalidXmlDocument", "A block list has no DOCTYPE.")

    def start(name: str, _: dict[str, str]) -> None:
        path.append(name)
        text.clear()
        if path[0] != "BlockList" or len(path) > 2 or (len(path) == 2 and name not in _LIST_KINDS):
            message = f"<{name[:40]}> has no place here: a <BlockList> holds <Latest>, <Committed>, <Uncommitted>."
            raise BlobError("InvalidXmlDocument", message)

    def end(name: str) -> None:
        path.pop()
        if path:
            blocks.append((_LIST_KINDS[name], "".join(text).strip()))
            if len(blocks) > MAX_BLOCKS:
                raise BlobError("BlockListTooLong", f"A block list has at most {MAX_BLOCKS} blocks.")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse_doctype
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text.append
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise BlobError("InvalidXmlDocument", f"The block list is not well-formed XML: {error}.") from error
    except (LookupError, ValueError) as error:  # expat asks Python for the encodings that it does not have itself
        raise BlobError("InvalidXmlDocument", "The block list is not in UTF-8.") from error
    return blocks


def block_list_xml(committed: Iterable[tuple[str, int]] | None, uncommitted: Iterable[tuple[str, int]] | None) -> bytes:
    """The XML of Get Block List: the lists that were asked for, of block ids (base64) and sizes in bytes."""
    parts = ['<?xml version="1.0" encoding="utf-8"?><BlockList>']
    for name, blocks in (("CommittedBlocks", committed), ("UncommittedBlocks", uncommitted)):
        if blocks is not None:
            parts.append(f"<{name}>")
            parts.extend(f"<Block><Name>{block_id}</Name><Size>{size}</Size></Block>" for block_id, size in blocks)
            parts.append(f"</{name}>")
    parts.append("</BlockList>")
    return "".join(parts).encode()


def blob_problem(error: BlobError) -> HttpProblem:
    """The same refusal on a route of the API, in the flat envelope."""
    headers = {"Content-Range": f"bytes */{error.size}"} if isinstance(error, InvalidRangeError) else None
    return HttpProblem(_STATUS[error.code], error.message, headers)


def error_answer(error: BlobError | SasError) -> Answer:
    """Azure's XML for an error, and the header that SDKs read first."""
    headers = {"x-ms-error-code": error.code, "Content-Type": "application/xml"}
    if isinstance(error, InvalidRangeError):
        headers["Content-Range"] = f"bytes */{error.size}"
    if error.code == "UnsupportedHttpVerb":
        headers["Allow"] = "GET, HEAD, PUT"
    xml = f"<Error><Code>{error.code}</Code><Message>{escape(error.message)}</Message></Error>"
    # A file name in the URL may have characters that XML has not.
    body = f'<?xml version="1.0" encoding="utf-8"?>{_NOT_XML.sub("?", xml)}'
    return Answer(_STATUS[error.code], headers, body.encode())


_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def common_headers(headers: dict[str, str], version: str, request_id: str) -> dict[str, str]:
    """What every response has: the ids of the service and of the client, and the version that the client speaks."""
    common = {
        "x-ms-request-id": request_id,
        "x-ms-version": headers.get("x-ms-version", version),
        "x-ms-client-request-id": headers.get("x-ms-client-request-id", ""),
    }
    return {name: value for name, value in common.items() if _HEADER_TEXT.match(value)}


def to_base64(digest: bytes) -> str:
    """As the MD5 headers have it."""
    return base64.b64encode(digest).decode()


def http_date(time: datetime) -> str:
    """As RFC 9110 has it."""
    return format_datetime(time.astimezone(UTC), usegmt=True)
