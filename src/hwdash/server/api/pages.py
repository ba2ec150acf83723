"""Pages of collections (contract/api.md section 9)."""

from typing import Annotated
from urllib.parse import urlencode

from pydantic import BeforeValidator, Field

from hwdash.server.page_tokens import Place
from hwdash.server.route import Caller
from hwdash.server.service import Service
from hwdash.wire.base import Link, WireModel, link

# Microsoft's own client never follows next_link.
DEFAULT_PAGE = 1000
LARGEST_PAGE = 1000


def _page_size(value: object) -> int:
    text = str(value)[:6]
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= LARGEST_PAGE):
        raise ValueError(f"Must be a whole number from 1 to {LARGEST_PAGE}.")
    return int(text)


class PageQuery(WireModel):
    """Which part of a collection: at most ``pageSize`` objects, behind the place that ``continuationToken`` names."""

    page_size: Annotated[Annotated[int, Field(ge=1, le=LARGEST_PAGE)] | None, BeforeValidator(_page_size)] = None
    continuation_token: str | None = None

    def after(self, service: Service, caller: Caller, url: str) -> Place | None:
        """Behind which place of the collection at ``url`` the page begins. Raises DomainError."""
        token = self.continuation_token
        return service.pages.place(token, self._scope(caller, url)) if token else None

    def links(self, service: Service, caller: Caller, url: str, size: int | None, last: Place | None) -> list[Link]:
        """The links of the page; ``last`` is where it ended, None when nothing follows."""
        filters = urlencode(self._filters())
        links = [link(f"{url}?{filters}" if filters else url, "self")]
        if last is not None:
            more = urlencode({"pageSize": size, "continuationToken": self.token(service, caller, url, last)})
            links.append(link(f"{url}?{filters}&{more}" if filters else f"{url}?{more}", "next_link"))
        return links

    def token(self, service: Service, caller: Caller, url: str, last: Place) -> str:
        """The token of the page that follows."""
        return service.pages.token(last, self._scope(caller, url))

    def _filters(self) -> dict[str, str]:
        values = self.to_wire()
        return {name: values[name] for name in sorted(values) if name not in ("pageSize", "continuationToken")}

    def _scope(self, caller: Caller, url: str) -> str:
        return f"{caller.account_id}\n{url}\n{urlencode(self._filters())}"
