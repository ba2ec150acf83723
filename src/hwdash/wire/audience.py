"""Audience (contract/api.md 3.14)."""

from hwdash.wire.base import Link, WireModel


class Audience(WireModel):
    """A named set of machines, to which a shipping label can be restricted. ``id`` is a GUID."""

    id: str
    name: str
    description: str = ""
    audience_name: str = ""
    links: list[Link] = []
