"""One row of the table of routes (server/api/routes.py), and what passes between a route's function and the frame.

The frame (server/frame.py) authenticates, reads parameters and body, opens the transaction, checks the role, and writes
the answer or the refusal. A route's function does the rest:

    def get_product(connection, service, caller, product_id) -> document
    def create_product(connection, service, caller, wanted: ProductCreate) -> document

The arguments after ``caller`` come in this order: the ids of the path, the query model, the body model; those that the
route does not have are left out. A function of a public route (``roles`` None) gets no caller. The result is the JSON
document (in a JsonAnswer where it has headers), None for an answer without a body, or a FileAnswer. A refusal is a
DomainError.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from hwdash.domain.access import SUBMITTERS
from hwdash.domain.audit import APPLICATION, PERSON
from hwdash.vocabulary import Role
from hwdash.wire.base import WireModel

HARDWARE_ROLES = frozenset(Role) - {Role.MANAGER}
# A System Submitter may work on whole systems only, which check_submits sees to.
PRODUCT_SUBMITTERS = SUBMITTERS | {Role.SYSTEM_SUBMITTER}
LABEL_OWNERS = frozenset({Role.SHIPPING_LABEL_OWNER, Role.ADMINISTRATOR})

# The ids of paths that are numbers, and what they are ids of; every other parameter of a path is text.
NUMBERS = {
    "product_id": "product",
    "submission_id": "submission",
    "label_id": "shipping label",
    "seller_id": "account",
    "package_id": "preproduction package",
    "asset_id": "asset",
}
# What is made in a collection, by the last segment of its path.
_MADE_IN = {"products": "product", "submissions": "submission", "shippingLabels": "shipping label"}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and for which account. ``client_id`` is an application's, or the id of a person."""

    client_id: str
    account_id: int
    roles: Collection[str]
    is_person: bool = False

    @property
    def actor(self) -> tuple[str, str]:
        """The caller as the audit log names them."""
        return PERSON if self.is_person else APPLICATION, self.client_id


@dataclass(frozen=True, slots=True)
class JsonAnswer:
    """A document with headers of its own. One with an ETag is not sent to who has it already."""

    document: Any
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FileAnswer:
    """A stored file as the body of an answer; whole or the one range of it that was asked for."""

    blob: str
    media_type: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Exchange:
    """The request itself, for the few routes that stream their body: names of ``headers`` are lower case."""

    path: str
    request_id: str
    headers: Mapping[str, str]
    body: Callable[[], AsyncIterator[bytes]]
    address: str = ""
    """The client's on the network, or the proxy's."""


@dataclass(frozen=True, slots=True)
class Route:
    """One method on one path.

    ``roles``: any one of them, beside Manager, may call; None: no token is asked for.
    ``again``: makes this route one that is done once. A repeat of it (docs/adr/0011) is answered by this function,
    called with the ids of the path and the id that the first one's answer had (the last id of the path where the answer
    has no body).
    ``stream`` replaces ``call`` where a body is too large for memory: ``await stream(service, caller, exchange,
    ids...)``, after token and role are checked; it opens its transactions itself, and writes what it does to the audit
    log. For a ``call`` the frame does.
    ``largest_body``: in bytes, of a body that ``body`` describes.
    ``is_point``: it reads a few rows by their keys (Database.read_point).
    ``only_reads``: it is no GET for the length of what it asks, and changes nothing.
    ``answer``: the answer for the documentation: the model of its JSON, list[M] for a collection, tuple[M, ...] for a
    bare array, a media type for a file, None for an answer without a body.
    """

    method: str
    path: str
    summary: str
    roles: frozenset[Role] | None
    call: Callable[..., Any] | None = None
    query: type[WireModel] | None = None
    body: type[WireModel] | None = None
    answer: Any = None
    status: int = 200
    again: Callable[..., Any] | None = None
    stream: Callable[..., Awaitable[Any]] | None = None
    aliases: tuple[str, ...] = ()
    is_point: bool = False
    largest_body: int = 1 << 20
    only_reads: bool = False

    @property
    def writes(self) -> bool:
        """Whether it needs a writing transaction."""
        return self.method != "GET" and not self.only_reads

    @property
    def action(self) -> str:
        """What it does, as the audit log names it: create_product, commit_submission ..."""
        return (self.call or self.stream).__name__  # type: ignore[union-attr]  # one of the two is there

    @property
    def made(self) -> str | None:
        """The kind of object that it makes; None when it works on the one of its path."""
        return _MADE_IN[self.path.rpartition("/")[2]] if self.status == 201 else None
