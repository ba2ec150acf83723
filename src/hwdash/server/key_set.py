"""A set of public keys from somebody else's address."""

import time

import httpx

FETCH_SECONDS = 5.0


def fetch(url: str, max_bytes: int) -> bytes:
    """The content at ``url``, redirects not followed, in twice FETCH_SECONDS at most. Raises OSError and ValueError."""
    until = time.monotonic() + 2 * FETCH_SECONDS
    content = bytearray()
    try:
        with httpx.stream("GET", url, timeout=FETCH_SECONDS, follow_redirects=False) as answer:
            if answer.status_code != 200:
                raise ValueError(f"it answered {answer.status_code}")
            for piece in answer.iter_bytes():
                content += piece
                if len(content) > max_bytes or time.monotonic() > until:
                    raise ValueError("the answer is too large or too slow")
    except httpx.HTTPError as error:
        raise OSError(str(error)) from error
    return bytes(content)
