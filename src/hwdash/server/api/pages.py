"""Pages of collections (contract/api.md section 9)."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import BeforeValidator

from hwdash.domain.errors import Code, DomainError
from hwdash.wire.base import Link, WireModel, link

# Microsoft's own client never follows next_link.
DEFAULT_PAGE = 1000
LARGEST_PAGE = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Place = tuple[datetime, int]
"""Where a page ended: the time and the id of its last object."""


def _page_size(value: object) -> int:
    text = str(value)[:6]
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= LARGEST_PAGE):
        raise ValueError(f"Must be a whole number from 1 to {LARGEST_PAGE}.")
    return int(text)


class PageQuery(WireModel):
    """Which part of a collection: at most ``pageSize`` objects, behind the place that ``continuationToken`` names."""

    page_size: Annotated[int | None, BeforeValidator(_page_size)] = None
    continuation_token: str | None = None

    @property
    def after(self) -> Place | None:
        """Behind which place the page begins. Raises DomainError."""
        return _place(self.continuation_token) if self.continuation_token else None


def links_of_page(url: str, size: int | None, last: Place | None) -> list[Link]:
    """The links of a collection; ``last`` is where its page ended, None when nothing follows."""
    links = [link(url, "self")]
    if last is not None:
        links.append(link(f"{url}?pageSize={size}&continuationToken={_token(last)}", "next_link"))
    return links


def _place(token: str) -> Place:
    try:
        when, _, last = base64.urlsafe_b64decode(token.encode()).decode().partition("|")
        return _EPOCH + timedelta(microseconds=int(when[:20])), int(last[:19])
    except (ValueError, OverflowError) as error:
        raise DomainError(
            Code.INVALID_INPUT,
            "The continuation token is not one of this service.",
            [("continuationToken", "Follow next_link as it was given.")],
        ) from error


def _token(place: Place) -> str:
    microseconds = (place[0] - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(f"{microseconds}|{place[1]}".encode()).decode().replace("=", "%3D")
