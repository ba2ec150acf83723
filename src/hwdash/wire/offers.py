"""The machine document, and what a machine is offered: an addition of hwdash's, not part of Microsoft's API.

The document is read strictly: a property that is misspelt would silently change what is found out.
"""

import re
from contextlib import suppress
from datetime import date
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import BeforeValidator, ConfigDict, Field, Json, ValidationInfo, field_validator, model_validator

from hwdash.wire.base import WireModel, one_of, shown

MOST_DEVICES = 200
MOST_MEMBERS = 50
MOST_IDS = 100
MOST_IDS_OF_ALL = 5000
LONGEST_ID = 400

OLDEST_BUILD, NEWEST_BUILD = 2600, 99_999


class MachineArchitecture(StrEnum):
    """The processor architecture of a machine."""

    X86 = "x86"
    AMD64 = "amd64"
    ARM64 = "arm64"
    ARM = "arm"


class Edition(StrEnum):
    """Whether Windows is a client or a server."""

    CLIENT = "client"
    SERVER = "server"


class Scan(StrEnum):
    """Why the machine asks Windows Update: its daily scan, or an upgrade of its Windows."""

    NORMAL = "normal"
    OS_UPGRADE = "osUpgrade"


def _date(value: object) -> object:
    if isinstance(value, date):
        return value
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
        with suppress(ValueError):
            return date.fromisoformat(value)
    raise ValueError(f"`{shown(value)}` is not a date such as 2026-11-23")


def _version(value: object) -> object:
    numbers = value.split(".") if isinstance(value, str) else []
    if not 1 <= len(numbers) <= 4 or not all(re.fullmatch(r"\d{1,5}", each, re.ASCII) for each in numbers):
        raise ValueError(f"`{shown(value)}` is not a version such as 10.0.1.7")
    if max(map(int, numbers)) > 0xFFFF:
        raise ValueError(f"`{shown(value)}` has a number above 65535")
    return value


def _rank(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"0x[0-9a-f]{1,8}", value, re.IGNORECASE | re.ASCII):
        return int(value, 16)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 32:
        return value
    raise ValueError(f"`{shown(value)}` is not a rank such as 0x00FF0001")


def _pnp_id(value: object) -> object:
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_ID or not value.isprintable():
        raise ValueError(f"`{shown(value)}` is not an id of 1 to {LONGEST_ID} printable characters")
    return value.strip().lower()


DriverDate = Annotated[date, BeforeValidator(_date), Field(json_schema_extra={"format": "date"})]
DriverVersion = Annotated[
    str, BeforeValidator(_version), Field(json_schema_extra={"pattern": r"^[0-9]{1,5}(\.[0-9]{1,5}){0,3}$"})
]
Rank = Annotated[
    int,
    BeforeValidator(_rank, json_schema_input_type=Annotated[str, Field(pattern="^0x[0-9A-Fa-f]{1,8}$")] | int),
]
PnpId = Annotated[str, BeforeValidator(_pnp_id), Field(json_schema_extra={"minLength": 1, "maxLength": LONGEST_ID})]
PnpIds = Annotated[list[PnpId], Field(max_length=MOST_IDS)]
Text = Annotated[str, Field(max_length=300)]
Byte = Annotated[int, Field(ge=0, le=255)]


class StrictModel(WireModel):
    """An object of the machine document: there are no other properties than these."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _of_a_known_size(cls, value: Any) -> Any:
        # Of very many that do not exist there would be as many findings.
        if isinstance(value, dict) and len(value) > MOST_MEMBERS:
            raise ValueError(f"The object has {len(value)} properties; there are not that many.")
        return value


class WindowsOfMachine(StrictModel):
    """``build`` as in 22631, ``revision`` as in 10.0.22631.4602, where it is known."""

    build: Annotated[int, Field(ge=OLDEST_BUILD, le=NEWEST_BUILD)]
    revision: Annotated[int, Field(ge=0, le=0xFFFF)] | None = None
    architecture: Annotated[MachineArchitecture, BeforeValidator(one_of(MachineArchitecture))]
    edition: Annotated[Edition, BeforeValidator(one_of(Edition))] = Edition.CLIENT
    is_s_mode: bool = False


class Smbios(StrictModel):
    """What the firmware says: the values that CHIDs are made of, as ``hwdash chid --json`` prints them."""

    manufacturer: Text | None = None
    family: Text | None = None
    product: Text | None = None
    sku: Text | None = None
    baseboard_manufacturer: Text | None = None
    baseboard_product: Text | None = None
    bios_vendor: Text | None = None
    bios_version: Text | None = None
    bios_major: Byte | None = None
    bios_minor: Byte | None = None
    enclosure_type: Byte | None = None


class InstalledDriver(StrictModel):
    """The driver that a device has. Its rank, or the id of the device that it was chosen by, where they are known."""

    driver_date: DriverDate
    driver_version: DriverVersion
    rank: Rank | None = None
    matching_id: PnpId | None = None
    is_generic: bool = False

    @field_validator("matching_id")
    @classmethod
    def _one_of_the_two(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("rank") is not None:
            raise ValueError("rank says it already; give one of the two")
        return value


class InstalledExtension(StrictModel):
    """An extension INF that a device has."""

    extension_id: UUID
    driver_date: DriverDate
    driver_version: DriverVersion


class MachineDevice(StrictModel):
    """A device with its ids, most specific first, and what it has: without ``installed`` it has no driver."""

    hardware_ids: Annotated[PnpIds, Field(min_length=1)]
    compatible_ids: PnpIds = []
    installed: InstalledDriver | None = None
    installed_extensions: Annotated[list[InstalledExtension], Field(max_length=MOST_IDS)] = []

    @field_validator("installed")
    @classmethod
    def _matches(cls, value: InstalledDriver | None, info: ValidationInfo) -> InstalledDriver | None:
        known = {"hardware_ids", "compatible_ids"} <= info.data.keys()
        if value is not None and value.matching_id is not None and known:
            ids = [*info.data["hardware_ids"], *info.data["compatible_ids"]]
            if value.matching_id not in ids:
                raise ValueError(f"matchingId `{shown(value.matching_id)}` is none of the device's ids")
        return value


class MachineDocument(StrictModel):
    """A machine as Windows Update sees it."""

    os: WindowsOfMachine
    target_build: Annotated[int, Field(ge=OLDEST_BUILD, le=NEWEST_BUILD)] | None = None
    scan: Annotated[Scan, BeforeValidator(one_of(Scan))] = Field(Scan.NORMAL, validate_default=True)
    smbios: Smbios | None = None
    chids: Annotated[list[UUID], Field(max_length=MOST_IDS)] | None = None
    audiences: Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=MOST_IDS)] = []
    is_insider: bool = False
    id: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    rollout_bucket: Annotated[float, Field(ge=0, lt=100, allow_inf_nan=False)] | None = None
    devices: Annotated[list[MachineDevice], Field(min_length=1, max_length=MOST_DEVICES)]

    @field_validator("scan")
    @classmethod
    def _leads_somewhere(cls, value: Scan, info: ValidationInfo) -> Scan:
        if "target_build" in info.data and (info.data["target_build"] is not None) != (value == Scan.OS_UPGRADE):
            raise ValueError("osUpgrade and targetBuild, the build that the upgrade leads to, go together")
        return value

    @field_validator("chids")
    @classmethod
    def _given_or_computed(cls, value: list[UUID] | None, info: ValidationInfo) -> list[UUID] | None:
        if value is not None and info.data.get("smbios") is not None:
            raise ValueError("they are computed from smbios, which is given too; give one of the two")
        return value

    @field_validator("devices")
    @classmethod
    def _not_too_many_ids(cls, value: list[MachineDevice]) -> list[MachineDevice]:
        ids = {each for device in value for each in (*device.hardware_ids, *device.compatible_ids)}
        if len(ids) > MOST_IDS_OF_ALL:
            raise ValueError(f"there are {len(ids)} ids; {MOST_IDS_OF_ALL} at most can be looked up at once")
        return value


class OffersQuery(WireModel):
    """The machine document as JSON text."""

    machine: Json[MachineDocument]


class OfferKind(StrEnum):
    """``automatic``: the scan installs it. ``optional``: it is listed under the optional updates, for a person to
    choose.
    """

    AUTOMATIC = "automatic"
    OPTIONAL = "optional"


class Candidate(WireModel):
    """A published driver whose ids match a device. ``label_name`` is told to the label's own account only."""

    label_id: int
    label_name: str | None = None
    product_id: int
    submission_id: int
    bundle_id: str
    inf_id: str
    extension_id: str | None = None
    driver_date: str
    driver_version: str
    hardware_id: str
    operating_system_code: str
    rank: Annotated[str, Field(pattern="^0x[0-9A-F]{8}$")]


class Offer(Candidate):
    """A driver that the machine is offered for the device."""

    kind: OfferKind


class Refusal(Candidate):
    """A driver that it is not offered: the first rule that refused it, where that is documented, and why here."""

    rule: str
    source: str
    reason: str


class DeviceOffers(WireModel):
    """What there is for one device, named by its first hardware id; best first."""

    hardware_id: str
    offers: list[Offer]
    refused: list[Refusal]


class Offers(WireModel):
    """What a machine is offered, device by device in the order of the document.

    ``build`` is the one that counted, ``rollout_bucket`` the share of machines that are reached before this one.
    """

    build: int
    rollout_bucket: float
    devices: list[DeviceOffers]


def example_machine() -> dict[str, Any]:
    """A machine document to start from."""
    return {
        "os": {"build": 22631, "revision": 4602, "architecture": "amd64", "edition": "client", "isSMode": False},
        "scan": "normal",
        "smbios": {"manufacturer": "Contoso", "family": "Tablets", "product": "Tablet 9", "sku": "T9-16"},
        "audiences": ["Test_Registry_Key"],
        "isInsider": False,
        "rolloutBucket": 42,
        "devices": [
            {
                "hardwareIds": ["ROOT\\HWDASH_SAMPLE"],
                "compatibleIds": [],
                "installed": {
                    "driverDate": "2024-05-17",
                    "driverVersion": "1.0.0.0",
                    "matchingId": "ROOT\\HWDASH_SAMPLE",
                    "isGeneric": False,
                },
                "installedExtensions": [],
            }
        ],
    }
