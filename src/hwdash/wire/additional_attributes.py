"""additionalAttributes of a product (contract/api.md 3.2): for storage controllers, RAID controllers and the Server
Virtualization Validation Program.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator
from pydantic.alias_generators import to_camel

from hwdash.vocabulary import GuestOs, ProcessorArchitecture
from hwdash.wire.base import FreeText, WireModel, one_of

_NEEDED_WITH = {
    "usedProprietary": ("proprietaryName", "proprietaryVersion"),
    "usedMicrosoft": ("microsoftName", "microsoftVersion"),
    "usedBetterBoot": ("uefiVersion", "acpiVersion"),
}


def _needed_with(flag: str) -> AfterValidator:
    """The property must say something when ``flag``, a property that stands before it, is true."""

    def check(value: str | None, info: ValidationInfo) -> str | None:
        if info.data.get(flag) and not (value and value.strip()):
            raise ValueError(f"This property is required when {to_camel(flag)} is true.")
        return value

    return AfterValidator(check)


_WithProprietary = Annotated[FreeText | None, _needed_with("used_proprietary")]
_WithMicrosoft = Annotated[FreeText | None, _needed_with("used_microsoft")]
_WithBetterBoot = Annotated[FreeText | None, _needed_with("used_better_boot")]


class _Controller(WireModel):
    """What both kinds of controller have, and what a flag makes necessary."""

    firmware_version: FreeText | None = None
    driver_version: FreeText | None = None
    used_proprietary: bool = False
    proprietary_name: _WithProprietary = None
    proprietary_version: _WithProprietary = None
    used_microsoft: bool = False
    microsoft_name: _WithMicrosoft = None
    microsoft_version: _WithMicrosoft = None

    @model_validator(mode="before")
    @classmethod
    def _empty_for_absent(cls, value: Any) -> Any:
        """What a flag needs and is absent is taken for empty, so that the finding gets the property's own place."""
        if not isinstance(value, dict):
            return value
        given = {name.casefold(): each for name, each in value.items() if isinstance(name, str)}
        absent = {
            name: ""
            for flag, names in _NEEDED_WITH.items()
            if given.get(flag.casefold())
            for name in names
            if given.get(name.casefold()) is None
        }
        return {name: each for name, each in value.items() if each is not None} | absent


_Count = Annotated[int | None, Field(ge=0, lt=1 << 31)]


class StorageController(_Controller):
    """A storage controller."""

    bios_version: FreeText | None = None
    driver_name: FreeText | None = None
    device_version: FreeText | None = None
    chipset_name: FreeText | None = None
    used_boot_support: bool = False
    used_better_boot: bool = False
    uefi_version: _WithBetterBoot = None
    acpi_version: _WithBetterBoot = None
    supports_sector_4k_512e: Annotated[bool, Field(alias="supportsSector4K512E")] = False
    supports_sector_4k_4k: Annotated[bool, Field(alias="supportsSector4K4K")] = False
    supports_differential: bool = False


class RaidController(_Controller):
    """A RAID controller."""

    filter_version: FreeText | None = None
    is_third_party_needed: bool = False
    is_ses: Annotated[bool, Field(alias="isSES")] = False
    is_safte: Annotated[bool, Field(alias="isSAFTE")] = False
    additional_info: FreeText | None = None


class Svvp(WireModel):
    """A product of the Server Virtualization Validation Program. ``max_memory`` is in GB."""

    product_version: FreeText | None = None
    support_link: FreeText | None = None
    guest_os: Annotated[GuestOs | None, BeforeValidator(one_of(GuestOs))] = None
    processor_architecture: Annotated[ProcessorArchitecture | None, BeforeValidator(one_of(ProcessorArchitecture))] = (
        None
    )
    max_processors: _Count = None
    max_memory: _Count = None


class AdditionalAttributes(WireModel):
    """At most one of the three."""

    storage_controller: StorageController | None = None
    raid_controller: RaidController | None = None
    svvp: Svvp | None = None

    @model_validator(mode="after")
    def _at_most_one(self) -> "AdditionalAttributes":
        if len(self.model_fields_set) > 1:
            raise ValueError("only one of storageController, raidController and svvp can be given")
        return self
