"""Timestamps from somebody else's authority (RFC 3161 over HTTP, its section 3.4)."""

import secrets
import time

import httpx

from hwdash.drivers.errors import DriversError
from hwdash.drivers.timestamp import read_response, read_timestamp, timestamp_request
from hwdash.signing.errors import TimestampUnavailable

MAX_ANSWER = 1 << 20
"""Bytes; a token with its certificates has some ten thousand."""


def request_timestamp(
    url: str, signature: bytes, *, algorithm: str = "sha256", timeout: float = 30.0, client: httpx.Client | None = None
) -> bytes:
    """A token over a signature value from the authority at ``url`` (http or https), checked before it is returned.

    Checked are the imprint, the nonce, the token's signature and the usages of its certificate; not who issued that
    (drivers/chain.py). ``algorithm`` is the imprint's, ``timeout`` in seconds for each wait and for the whole answer.
    Raises TimestampUnavailable.
    """
    if client is None:
        with httpx.Client() as own:
            return request_timestamp(url, signature, algorithm=algorithm, timeout=timeout, client=own)
    if not url.startswith(("http://", "https://")):
        raise TimestampUnavailable(f"{url!r} is no http or https URL of a timestamp authority")
    nonce = secrets.randbits(64)
    request = timestamp_request(signature, nonce=nonce, algorithm=algorithm)
    answer = _post(client, url, request, timeout)
    try:
        token = read_response(answer, source=url)
        found = read_timestamp(token, signature, source=url, strict=True)
    except DriversError as error:
        raise TimestampUnavailable(f"the answer of the timestamp authority is refused: {error}") from error
    if found.nonce != nonce:
        raise TimestampUnavailable(f"the answer of the timestamp authority {url} is to another request")
    return token


def _post(client: httpx.Client, url: str, request: bytes, timeout: float) -> bytes:
    headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
    try:
        with client.stream("POST", url, content=request, headers=headers, timeout=timeout) as response:
            if response.status_code != 200:
                raise TimestampUnavailable(f"the timestamp authority {url} answered {response.status_code}")
            answer, end = bytearray(), time.monotonic() + timeout
            for chunk in response.iter_bytes():
                answer += chunk
                if len(answer) > MAX_ANSWER:
                    raise TimestampUnavailable(f"the timestamp authority {url} answers more than {MAX_ANSWER} bytes")
                if time.monotonic() > end:
                    raise TimestampUnavailable(f"the timestamp authority {url} takes more than {timeout} s to answer")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise TimestampUnavailable(f"the timestamp authority {url} does not answer: {error}") from error
    return bytes(answer)
