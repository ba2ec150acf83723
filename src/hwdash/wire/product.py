"""Product (contract/api.md 3.1 and 3.2)."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from hwdash.vocabulary import (
    DeviceType,
    TestHarness,
    operating_system,
    os_family,
    product_type,
)
from hwdash.wire.additional_attributes import AdditionalAttributes
from hwdash.wire.base import FreeText, Link, WireDate, WireModel, one_of, shown
from hwdash.wire.update import AnyObject

MOST_FAMILIES = 100


def _accept_new(info: ValidationInfo) -> bool:
    """The service's setting of that name, when it reads a request."""
    return bool(getattr(info.context, "accept_new_os_codes", False))


def _os_code(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str) or (found := operating_system(value, accept_new=_accept_new(info))) is None:
        raise ValueError(f"The OS code `{shown(value)}` is invalid.")
    return found.code


OsCode = Annotated[str, BeforeValidator(_os_code)]


def _few_families(value: object) -> object:
    # Before any is read: of very many wrong ones there would be as many findings.
    if isinstance(value, dict) and len(value) > MOST_FAMILIES:
        raise ValueError(f"There are {len(value)} OS families; {MOST_FAMILIES} at most can be given.")
    return value


class ProductCreate(WireModel):
    """The body of ``POST products``."""

    product_name: Annotated[str, Field(min_length=1, max_length=1000)]
    test_harness: Annotated[TestHarness, BeforeValidator(one_of(TestHarness))]
    requested_signatures: Annotated[list[OsCode], Field(min_length=1, max_length=500)]
    selected_product_types: Annotated[dict[str, str], BeforeValidator(_few_families)] = {}
    device_type: Annotated[DeviceType, BeforeValidator(one_of(DeviceType))] = DeviceType.NOT_SET
    is_test_sign: bool = False
    is_flight_sign: bool = False
    announcement_date: WireDate = None
    marketing_names: Annotated[list[FreeText], Field(max_length=10_000)] = []
    device_metadata_ids: Annotated[list[UUID], Field(max_length=10_000)] = []
    device_metadata_category: FreeText | None = None
    firmware_version: FreeText | None = None
    additional_attributes: AdditionalAttributes = AdditionalAttributes()

    @field_validator("product_name")
    @classmethod
    def _not_blank(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("must not be blank")
        return value

    @field_validator("requested_signatures")
    @classmethod
    def _once_each(cls, value: list[str]) -> list[str]:
        return list(dict.fromkeys(value))

    @field_validator("selected_product_types")
    @classmethod
    def _known_types(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        canonical, unknown = {}, []
        for family, kind in value.items():
            known_family, known_kind = os_family(family, accept_new=_accept_new(info)), product_type(kind)
            if known_family is None:
                unknown.append(f"The OS family code `{shown(family)}` is invalid.")
            if known_kind is None:
                unknown.append(f"The product type `{shown(kind)}` is invalid.")
            if known_family and known_kind:
                canonical[known_family] = known_kind
        if unknown:
            raise ValueError(" ".join(unknown))
        return canonical

    @field_validator("is_flight_sign")
    @classmethod
    def _one_way_of_signing(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("is_test_sign"):
            raise ValueError("isTestSign and isFlightSign cannot both be true; choose one.")
        return value


class ProductUpdate(WireModel):
    """What a ``PATCH products/{id}`` may change; null is not given."""

    product_name: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    marketing_names: Annotated[list[FreeText], Field(max_length=10_000)] | None = None
    announcement_date: WireDate = None

    @field_validator("product_name")
    @classmethod
    def _not_blank(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError("must not be blank")
        return value


class ProductUpdateBody(AnyObject, documented_as=ProductUpdate):
    """The body of ``PATCH products/{id}``: what changes, and any other property as it is."""


class Product(WireModel):
    """A product as the API returns it."""

    id: int
    shared_product_id: int
    links: list[Link]
    product_name: str
    test_harness: str
    requested_signatures: list[str]
    selected_product_types: dict[str, str] = {}
    device_type: str = DeviceType.NOT_SET
    is_test_sign: bool = False
    is_flight_sign: bool = False
    announcement_date: WireDate = None
    marketing_names: list[str] = []
    device_metadata_ids: list[str] = []
    device_metadata_category: str | None = None
    firmware_version: str | None = None
    additional_attributes: dict[str, Any] = {}
    is_committed: bool = False
    is_extension_inf: bool = False
    is_retpoline_compiled: bool = False
    origin_type: str = "author"
    source_product_id: int = 0
    source_publisher_id: int = 0
    message: str = ""
    created_date_time: WireDate = None
    updated_date_time: WireDate = None
