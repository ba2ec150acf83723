"""Shipping label (contract/api.md 3.7 to 3.12).

A label names up to tens of thousands of hardware ids. They are read into plain tuples, one pass, and what is wrong with
one is said by the rules of domain/label.py, beside everything else that is wrong with the label: a text that is missing
or is none reads as "".
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Annotated, Any, NamedTuple, TypeVar
from uuid import UUID

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from hwdash.vocabulary import LabelDestination, TargetingAction, operating_system, release
from hwdash.wire.base import FreeText, Link, WireDate, WireModel, shown
from hwdash.wire.submission import WorkflowStatus
from hwdash.wire.update import AnyObject

T = TypeVar("T")

MOST_TARGETS = 100_000
"""How many hardware ids, or CHIDs, one request may name."""
MOST_LISTED = 1000
"""How many audiences, accounts or OEMs a label may name."""


class TargetedHardwareId(NamedTuple):
    """One hardware id as a client gives it: the OS code in its canonical spelling where there is one, ``pnp_string`` in
    lower case. "" is what is missing, or no text.
    """

    bundle_id: str
    inf_id: str
    operating_system_code: str
    pnp_string: str
    action: str = ""

    def to_wire(self) -> dict[str, str]:
        """The entry as it goes over the wire."""
        return _entry(zip(_HARDWARE_ID, self, strict=True))


class TargetedChid(NamedTuple):
    """One CHID as a client gives it: in lower case without braces, when it is a GUID."""

    chid: str
    action: str = ""

    def to_wire(self) -> dict[str, str]:
        """The entry as it goes over the wire."""
        return _entry(zip(_CHID, self, strict=True))


_HARDWARE_ID = ("bundleId", "infId", "operatingSystemCode", "pnpString", "action")
_CHID = ("chid", "action")


def _entry(members: Iterator[tuple[str, str]]) -> dict[str, str]:
    return {name: value for name, value in members if value}


def guid(text: object) -> str:
    """A GUID in lower case without braces; a text that is none as it is, "" for what is no text."""
    if not isinstance(text, str):
        return ""
    stripped = text.strip()
    bare = stripped[1:-1] if stripped[:1] == "{" and stripped[-1:] == "}" else stripped
    try:
        return str(UUID(bare)) if len(bare) == 36 else stripped
    except ValueError:
        return stripped


_ACTIONS = {str(each): str(each) for each in TargetingAction}


def _action(value: object) -> str:
    if not isinstance(value, str):
        return ""
    return _ACTIONS.get(value.strip().casefold(), value.strip())


@lru_cache(1000)
def _os_code(text: str) -> str:
    known = operating_system(text.strip(), accept_new=True)
    return text.strip() if known is None else known.code


_usual = itemgetter(*_HARDWARE_ID[:4])


def _hardware_id(entry: Mapping[str, Any]) -> TargetedHardwareId:
    try:
        # As nearly all are: in the documented spelling.
        bundle, inf, code, pnp = _usual(entry)
        action = entry.get("action", "") if "action" in entry or len(entry) == 4 else _folded(entry, _CHID)[1]
    except KeyError:
        bundle, inf, code, pnp, action = _folded(entry, _HARDWARE_ID)
    return TargetedHardwareId(
        bundle.strip() if isinstance(bundle, str) else "",
        inf.strip() if isinstance(inf, str) else "",
        _os_code(code) if isinstance(code, str) else "",
        pnp.strip().lower() if isinstance(pnp, str) else "",
        _action(action) if action else "",
    )


def _folded(entry: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    """The entry's members of these names, whatever their case."""
    folded = {name.casefold(): value for name, value in entry.items()}
    return [folded.get(name.casefold()) for name in names]


def _chid(entry: Mapping[str, Any]) -> TargetedChid:
    chid, action = _folded(entry, _CHID)
    return TargetedChid(guid(chid), _action(action))


def _list_of(read: Callable[[Mapping[str, Any]], T], kind: type[T]) -> Callable[[object], tuple[T, ...]]:
    """Read a list of objects."""

    def one(value: object) -> T | None:
        if isinstance(value, dict):
            return read(value)
        return value if isinstance(value, kind) else None

    def validate(value: object) -> tuple[T, ...]:
        items = value if isinstance(value, list | tuple) else None
        if items is None:
            raise ValueError("must be a list of objects")
        if len(items) > MOST_TARGETS:
            raise ValueError(f"There are {len(items)} entries; {MOST_TARGETS} at most can be given at once.")
        found = []
        for place, each in enumerate(items):
            entry = one(each)
            if entry is None:
                raise ValueError(f"Item {place + 1} is no object.")
            found.append(entry)
        return tuple(found)

    return validate


def _to_wire(entries: Sequence[Any]) -> list[dict[str, str]]:
    return [each.to_wire() for each in entries]


def _schema(names: Sequence[str]) -> WithJsonSchema:
    text = {"type": "string"}
    entry = {"type": "object", "properties": dict.fromkeys(names, text), "required": list(names[:-1])}
    return WithJsonSchema({"type": "array", "items": entry}, mode="validation")


HardwareIds = Annotated[
    tuple[TargetedHardwareId, ...],
    PlainValidator(_list_of(_hardware_id, TargetedHardwareId)),
    PlainSerializer(_to_wire),
    _schema(_HARDWARE_ID),
]
Chids = Annotated[
    tuple[TargetedChid, ...],
    PlainValidator(_list_of(_chid, TargetedChid)),
    PlainSerializer(_to_wire),
    _schema(_CHID),
]


def _some(value: object) -> object:
    """A list of what is not blank; one alone is a list of one."""
    items = value if isinstance(value, list | tuple) else [value]
    return [each for each in items if each is not None and not (isinstance(each, str) and not each.strip())]


def _none_for_blank(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


def _token(value: str | None) -> str | None:
    return None if value is None else release(value.strip()) or value.strip()


def _number(value: object) -> object:
    """A whole number, also one that was written as text."""
    text = value.strip() if isinstance(value, str) else ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else value


_Token = Annotated[FreeText | None, BeforeValidator(_none_for_blank), AfterValidator(_token)]
"""A release of contract/api.md 10.5 in its one spelling; one that is not known as it was given."""

_Build = Annotated[
    Annotated[int, Field(ge=0, lt=1 << 31)] | None, BeforeValidator(lambda value: _number(_none_for_blank(value)))
]

_Text = Annotated[FreeText | None, BeforeValidator(_none_for_blank)]


def _account(value: object) -> object:
    found = _number(value)
    is_number = isinstance(found, int) and not isinstance(found, bool)
    if not is_number:
        raise ValueError(f"`{shown(value)}` is no seller id")
    return found


Guids = Annotated[list[Annotated[str, BeforeValidator(guid)]], BeforeValidator(_some), Field(max_length=MOST_LISTED)]


class AdditionalInfoForMsApproval(WireModel):
    """What a label that is delivered automatically is judged by (contract/api.md 3.9)."""

    microsoft_contact: _Text = None
    validations_performed: _Text = None
    affected_oems: Annotated[list[FreeText], BeforeValidator(_some), Field(max_length=MOST_LISTED)] = []
    is_reboot_required: bool = False
    is_co_engineered: bool = False
    is_for_unreleased_hardware: bool = False
    has_ui_software: bool = False
    business_justification: _Text = None


class PublishingSpecifications(WireModel):
    """How Windows Update delivers a driver (contract/api.md 3.8)."""

    go_live_date: WireDate = None
    visible_to_accounts: Annotated[
        list[Annotated[int, BeforeValidator(_account), Field(ge=0, lt=1 << 63)]],
        BeforeValidator(_some),
        Field(max_length=MOST_LISTED),
    ] = []
    is_auto_install_during_os_upgrade: Annotated[bool, Field(alias="isAutoInstallDuringOSUpgrade")] = False
    is_auto_install_on_applicable_systems: bool = False
    manual_acquisition: bool | None = None
    is_disclosure_restricted: bool = False
    publish_to_windows_10s: Annotated[bool, Field(alias="publishToWindows10s")] = False
    additional_info_for_ms_approval: AdditionalInfoForMsApproval | None = None

    @property
    def is_automatic(self) -> bool:
        """Windows Update installs the driver without being asked."""
        return self.is_auto_install_during_os_upgrade or self.is_auto_install_on_applicable_systems


class RecipientSpecifications(WireModel):
    """With whom a label shares a driver (contract/api.md 3.10); the id is a text on output."""

    receiver_publisher_id: Annotated[
        FreeText | None,
        BeforeValidator(lambda value: str(value) if type(value) is int else _none_for_blank(value)),
        AfterValidator(lambda value: value and value.strip()),
    ] = None
    enforce_chid_targeting: bool = False

    @model_validator(mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        # Microsoft's table says that it is an array, its samples that it is an object.
        return value[0] if isinstance(value, list) and len(value) == 1 else value


class InServicePublishInfo(WireModel):
    """The releases of Windows from which on and up to which a driver is offered; None leaves that side open."""

    flooring: _Token = None
    ceiling: _Token = None


class CoEngDriverPublishInfo(WireModel):
    """The same by build numbers, which are inclusive, for co-engineering partners."""

    flooring_build_number: _Build = None
    ceiling_build_number: _Build = None


OLDER_NAMES = {
    "targetinginfo": "targeting",
    "audience": "restrictedToAudiences",
    "restrictedtoaudience": "restrictedToAudiences",
}
"""Names that properties had once, in folded case (contract/api.md section 11, 12 and 13)."""
_BLANKED = {"inservicepublishinfo", "coengdriverpublishinfo"}


class Targeting(WireModel):
    """Which machines a driver is for (contract/api.md 3.11). What a change leaves alone is not in
    ``model_fields_set``; the publish infos are there, empty, when null was given (section 11, 29).
    """

    hardware_ids: HardwareIds = ()
    chids: Chids = ()
    restricted_to_audiences: Guids = []
    in_service_publish_info: InServicePublishInfo = InServicePublishInfo()
    co_eng_driver_publish_info: CoEngDriverPublishInfo = CoEngDriverPublishInfo()
    business_justification: _Text = None

    @model_validator(mode="before")
    @classmethod
    def _older_names(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        read = {}
        for name, each in value.items():
            folded = name.casefold()
            read[OLDER_NAMES.get(folded, name)] = {} if each in (None, "") and folded in _BLANKED else each
        return read


class _WithTargeting(WireModel):
    @model_validator(mode="before")
    @classmethod
    def _older_wrapper(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {OLDER_NAMES.get(name.casefold(), name): each for name, each in value.items()}


def _destination(value: str | None) -> str | None:
    if value is None:
        return None
    spelt = {str(each).casefold(): str(each) for each in LabelDestination}
    return spelt.get(value.strip().casefold(), value)


class LabelCreate(_WithTargeting):
    """The body of ``POST shippingLabels``. What must be there is a rule of domain/label.py."""

    name: Annotated[Annotated[str, Field(max_length=1000)] | None, BeforeValidator(_none_for_blank)] = None
    destination: Annotated[FreeText | None, BeforeValidator(_none_for_blank), AfterValidator(_destination)] = None
    publishing_specifications: PublishingSpecifications | None = None
    recipient_specifications: RecipientSpecifications | None = None
    targeting: Targeting = Targeting()


class LabelCreateBody(AnyObject, documented_as=LabelCreate):
    """The body of ``POST shippingLabels``, read when the submission is known to be there."""


class LabelUpdate(_WithTargeting):
    """What a ``PATCH shippingLabels/{id}`` may change."""

    targeting: Targeting = Targeting()


class LabelUpdateBody(AnyObject, documented_as=LabelUpdate):
    """The body of ``PATCH shippingLabels/{id}``: the targeting that changes, and any other property as it is."""


class HardwareId(WireModel):
    """A targeted hardware id as the API returns it."""

    bundle_id: str
    inf_id: str
    operating_system_code: str
    pnp_string: str
    distribution_state: str


class Chid(WireModel):
    """A targeted CHID as the API returns it."""

    chid: str
    distribution_state: str


class ShownTargeting(WireModel):
    """targeting as the API returns it, when it is asked for."""

    hardware_ids: list[HardwareId] = []
    chids: list[Chid] = []
    restricted_to_audiences: list[str] = []
    in_service_publish_info: InServicePublishInfo | None = None
    co_eng_driver_publish_info: CoEngDriverPublishInfo | None = None


class ShippingLabel(WireModel):
    """A shipping label as the API returns it."""

    id: int
    product_id: int
    submission_id: int
    name: str
    destination: str
    publishing_specifications: PublishingSpecifications | None = None
    recipient_specifications: RecipientSpecifications | None = None
    targeting: ShownTargeting | None = None
    workflow_status: WorkflowStatus
    links: list[Link] = []
