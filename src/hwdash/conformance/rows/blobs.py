"""Uploads and downloads by URL, as Azure's blob storage answers them (contract, section 5)."""

import base64
import hashlib
import re
from urllib.parse import quote, unquote, urlsplit

import httpx

from hwdash.conformance import expect
from hwdash.conformance.caller import object_of, shown
from hwdash.conformance.outcome import Mismatch, Source
from hwdash.conformance.row import Rows
from hwdash.conformance.stage import NO_PACKAGE, Stage, download

ROWS = Rows()


def _url(stage: Stage) -> str:
    """A fresh upload URL of the pending submission."""
    return download(object_of(stage.caller.send("GET", stage.pending_path)), "initialPackage")


def _filled(stage: Stage, content: bytes) -> str:
    """The same, after this was uploaded."""
    url = _url(stage)
    expect.status(stage.upload(url, content), 201)
    return url


def _refused(answer: httpx.Response, status: int, code: str | None = None) -> None:
    """Azure's XML, and the header that its libraries read first."""
    expect.status(answer, status)
    if answer.request.method != "HEAD" and not re.search(r"<Error>.*<Code>.+</Code>", answer.text, re.DOTALL):
        raise Mismatch(f"{shown(answer)}\nThe body should be Azure's XML: <Error><Code>...</Code>...")
    given = answer.headers.get("x-ms-error-code")
    expect.true(given == code if code else given, f"x-ms-error-code is {given}; it should be {code or 'there'}.")


@ROWS.row("blob-put", Source.DOCUMENTED)
def put(stage: Stage) -> None:
    """Put Blob with one header: 201, ETag, Last-Modified, the service's headers."""
    answer = stage.upload(_url(stage), b"one")
    expect.status(answer, 201)
    missing = [
        name for name in ("ETag", "Last-Modified", "x-ms-request-id", "x-ms-version") if name not in answer.headers
    ]
    expect.true(not missing, f"the answer lacks {', '.join(missing)}.")


@ROWS.row("observed-26-content-md5", Source.OURS)
def content_md5(stage: Stage) -> None:
    """Put Blob answers Content-MD5."""
    answer = stage.upload(_url(stage), b"digest")
    wanted = base64.b64encode(hashlib.md5(b"digest", usedforsecurity=False).digest()).decode()
    expect.equal(answer.headers.get("Content-MD5"), wanted, "Content-MD5")


@ROWS.row("observed-26-form-type", Source.FIELD)
def form_type(stage: Stage) -> None:
    """A raw PUT with a form's content type is taken."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    url = _url(stage)
    expect.status(stage.caller.blob("PUT", url, content=b"a=b", headers=headers | {"x-ms-blob-type": "BlockBlob"}), 201)
    expect.equal(stage.caller.blob("GET", url).content, b"a=b", "the blob")


@ROWS.row("blob-replace", Source.OURS)
def replace(stage: Stage) -> None:
    """A second upload before the commit replaces the first."""
    url = _filled(stage, b"first")
    expect.status(stage.upload(url, b"second"), 201)
    expect.equal(stage.caller.blob("GET", url).content, b"second", "the blob")


@ROWS.row("blob-block-list", Source.CLIENTS)
def block_list(stage: Stage) -> None:
    """Put Block and Put Block List: 201 each, the blocks in the list's order."""
    url = _url(stage)
    for answer in stage.upload_blocks(url, [b"first,", b"second,", b"third"]):
        expect.status(answer, 201)
    expect.equal(stage.caller.blob("GET", url).content, b"first,second,third", "the blob")


@ROWS.row("blob-blocks-commit-at-once", Source.CLIENTS)
def blocks_commit_at_once(stage: Stage) -> None:
    """Blocks change nothing until their list comes."""
    url = _filled(stage, b"whole")
    block = base64.b64encode(b"block-0000").decode().replace("=", "%3D")
    expect.status(stage.caller.blob("PUT", f"{url}&comp=block&blockid={block}", content=b"part"), 201)
    expect.equal(stage.caller.blob("GET", url).content, b"whole", "the blob")


@ROWS.row("blob-get-block-list", Source.CLIENTS)
def get_block_list(stage: Stage) -> None:
    """Get Block List: 200 and XML."""
    url = _url(stage)
    stage.upload_blocks(url, [b"a", b"b"])
    answer = stage.caller.blob("GET", f"{url}&comp=blocklist")
    expect.status(answer, 200)
    expect.true("<BlockList>" in answer.text, f"the body is {answer.text[:80]!r}.")


@ROWS.row("blob-if-none-match", Source.FIELD)
def if_none_match(stage: Stage) -> None:
    """If-None-Match: * refuses to replace a blob."""
    url = _filled(stage, b"kept")
    answer = stage.upload(url, b"other", **{"If-None-Match": "*"})
    expect.status(answer, 409, 412)
    _refused(answer, answer.status_code)
    expect.equal(stage.caller.blob("GET", url).content, b"kept", "the blob")


@ROWS.row("blob-head", Source.CLIENTS)
def head(stage: Stage) -> None:
    """HEAD: size, ETag, type and ranges."""
    answer = stage.caller.blob("HEAD", _filled(stage, b"0123456789"))
    expect.status(answer, 200)
    wanted = {"Content-Length": "10", "Accept-Ranges": "bytes", "x-ms-blob-type": "BlockBlob"}
    for name, value in wanted.items():
        expect.equal(answer.headers.get(name), value, name)
    expect.true(answer.headers.get("ETag"), "there is no ETag.")
    expect.true(answer.headers.get("Last-Modified"), "there is no Last-Modified.")


@ROWS.row("blob-range", Source.FIELD)
def byte_range(stage: Stage) -> None:
    """Range and x-ms-range: 206 and Content-Range."""
    url = _filled(stage, b"0123456789")
    for header in ("Range", "x-ms-range"):
        answer = stage.caller.blob("GET", url, headers={header: "bytes=2-5"})
        expect.status(answer, 206)
        expect.equal(answer.content, b"2345", f"the bytes by {header}")
        expect.equal(answer.headers.get("Content-Range"), "bytes 2-5/10", "Content-Range")


@ROWS.row("blob-range-past-the-end", Source.CLIENTS)
def range_past_the_end(stage: Stage) -> None:
    """A range behind the end: 416 InvalidRange."""
    answer = stage.caller.blob("GET", _filled(stage, b"0123456789"), headers={"x-ms-range": "bytes=20-30"})
    _refused(answer, 416, "InvalidRange")


@ROWS.row("blob-no-token", Source.DOCUMENTED)
def no_token(stage: Stage) -> None:
    """An Authorization header is not needed, and the API's does not help."""
    url = _filled(stage, b"open")
    expect.status(stage.caller.blob("GET", url), 200)
    bare = url.partition("?")[0]
    answer = stage.caller.send("GET", bare)
    expect.true(answer.status_code in (401, 403, 404, 409), f"without its query the URL answers {answer.status_code}.")


@ROWS.row("blob-re-encoded-query", Source.FIELD)
def re_encoded_query(stage: Stage) -> None:
    """The query is verified over decoded values."""
    url = _filled(stage, b"same")
    base, _, query = url.partition("?")
    pairs = [part.partition("=")[::2] for part in query.split("&")]
    for safe in ("", ":/", ":/+"):
        again = "&".join(f"{name}={quote(unquote(value), safe=safe)}" for name, value in pairs)
        expect.status(stage.caller.blob("GET", f"{base}?{again}"), 200)


@ROWS.row("blob-extra-parameters", Source.CLIENTS)
def extra_parameters(stage: Stage) -> None:
    """Parameters that are not signed are ignored."""
    expect.status(stage.caller.blob("GET", f"{_filled(stage, b'x')}&timeout=30"), 200)


def _changed(url: str, name: str, value: str) -> str:
    changed, count = re.subn(rf"(?<=[?&]{name}=)[^&]*", value, url)
    expect.equal(count, 1, f"how often {name} is in the URL")
    return changed


@ROWS.row("blob-bad-signature", Source.DOCUMENTED)
def bad_signature(stage: Stage) -> None:
    """A changed signature: 403 AuthenticationFailed, for reading and writing."""
    url = _changed(_filled(stage, b"kept"), "sig", quote(base64.b64encode(bytes(32)).decode(), safe=""))
    _refused(stage.caller.blob("GET", url), 403, "AuthenticationFailed")
    _refused(stage.upload(url, b"other"), 403, "AuthenticationFailed")


@ROWS.row("blob-expired", Source.DOCUMENTED)
def expired(stage: Stage) -> None:
    """Another expiry than the signed one, past or later: 403."""
    url = _filled(stage, b"kept")
    for moment in ("2020-01-01T00%3A00%3A00Z", "2099-01-01T00%3A00%3A00Z"):
        _refused(stage.caller.blob("GET", _changed(url, "se", moment)), 403, "AuthenticationFailed")


@ROWS.row("blob-not-there", Source.CLIENTS)
def not_there(stage: Stage) -> None:
    """A blob that nobody uploaded: 404 BlobNotFound."""
    submission = stage.once("unfilled", lambda: stage.create_submission(stage.spare))
    url = download(submission.body, "initialPackage")
    _refused(stage.caller.blob("GET", url), 404, "BlobNotFound")
    expect.status(stage.caller.blob("HEAD", url), 404)


@ROWS.row("blob-fresh-url", Source.OURS)
def fresh_url(stage: Stage) -> None:
    """Each GET of a pending submission gives an upload URL of the same blob."""
    url = _filled(stage, b"by the second URL")
    first = download(stage.pending.body, "initialPackage")
    expect.equal(urlsplit(first).path, urlsplit(url).path, "the path")
    expect.equal(stage.caller.blob("GET", first).content, b"by the second URL", "the blob by the first URL")


@ROWS.row("blob-name", Source.FIELD)
def name(stage: Stage) -> None:
    """The upload URL ends with Initial_ID.cab."""
    path = urlsplit(download(stage.pending.body, "initialPackage")).path
    expect.true(path.endswith(f"/Initial_{stage.pending.id}.cab"), f"the path is {path}.")


@ROWS.row("blob-read-only-after-commit", Source.OURS, waits="failing")
def read_only_after_commit(stage: Stage) -> None:
    """After the commit no URL writes any more: 403."""
    workflow, submission = stage.finished("failing")
    for each in (workflow.submission.body, submission):
        url = download(each, "initialPackage")
        _refused(stage.upload(url, b"swapped"), 403)
        answers = stage.upload_blocks(url, [b"swap", b"ped"])
        expect.true(answers[-1].status_code == 403, f"{shown(answers[-1])}\nThe block list should be refused with 403.")
    expect.equal(stage.caller.blob("GET", download(submission, "initialPackage")).content, NO_PACKAGE, "the blob")
