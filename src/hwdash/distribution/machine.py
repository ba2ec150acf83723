"""A machine as Windows Update sees it, read from the machine document (wire/offers.py)."""

import hashlib
import json
from dataclasses import dataclass

from hwdash.distribution.ranking import DriverVer, identifier_score, parse_version, rank
from hwdash.drivers.chid import Computer, chids
from hwdash.wire.offers import Edition, InstalledDriver, MachineDevice, MachineDocument, Scan


@dataclass(frozen=True, slots=True)
class Installed:
    """The driver that a device has. ``rank`` is None where nobody said it."""

    ver: DriverVer
    rank: int | None = None
    is_generic: bool = False


@dataclass(frozen=True, slots=True)
class Device:
    """A device; its ids in lower case, most specific first."""

    hardware_ids: tuple[str, ...]
    compatible_ids: tuple[str, ...] = ()
    installed: Installed | None = None
    extensions: tuple[tuple[str, DriverVer], ...] = ()

    @property
    def needs_driver(self) -> bool:
        """It has none, or none but a generic one."""
        return self.installed is None or self.installed.is_generic


@dataclass(frozen=True, slots=True)
class Machine:
    """``build`` is the one that targeting is held against: that of the Windows to come, in an upgrade.

    ``chids`` are in lower case, most specific first. ``audiences`` are ids and names in folded case. ``bucket``: the
    percentage of all machines that a gradual rollout reaches before this one.
    """

    build: int
    architecture: str
    devices: tuple[Device, ...]
    revision: int | None = None
    is_server: bool = False
    is_s_mode: bool = False
    is_upgrade: bool = False
    chids: tuple[str, ...] = ()
    audiences: frozenset[str] = frozenset()
    is_insider: bool = False
    bucket: float = 0.0

    @property
    def ids(self) -> list[str]:
        """The ids of all devices, each once."""
        return list(
            dict.fromkeys(each for device in self.devices for each in (*device.hardware_ids, *device.compatible_ids))
        )


def machine_of(document: MachineDocument) -> Machine:
    """The machine of a sound document."""
    is_upgrade = document.scan == Scan.OS_UPGRADE
    if document.smbios is not None:
        computed = chids(Computer(**document.smbios.model_dump()))
        found = tuple(str(each.value) for each in computed)
    else:
        found = tuple(dict.fromkeys(str(each) for each in document.chids or ()))
    devices = tuple(map(_device, document.devices))
    bucket = document.rollout_bucket
    return Machine(
        build=document.target_build or document.os.build,
        revision=None if is_upgrade else document.os.revision,
        architecture=str(document.os.architecture),
        is_server=document.os.edition == Edition.SERVER,
        is_s_mode=document.os.is_s_mode,
        is_upgrade=is_upgrade,
        chids=found,
        audiences=frozenset(each.casefold().strip("{}") for each in document.audiences),
        is_insider=document.is_insider,
        bucket=bucket_of(document.id or _made_up_id(found, devices)) if bucket is None else bucket,
        devices=devices,
    )


def bucket_of(machine_id: str) -> float:
    """The same bucket for the same id, evenly spread over all ids: 0 to 99.99."""
    return int.from_bytes(hashlib.sha256(machine_id.encode()).digest()[:8]) % 10_000 / 100


def _made_up_id(chids: tuple[str, ...], devices: tuple[Device, ...]) -> str:
    """What tells a machine without an id from others, whatever the order of its devices."""
    return json.dumps([sorted(chids), sorted(device.hardware_ids for device in devices)])


def _device(document: MachineDevice) -> Device:
    hardware_ids = tuple(dict.fromkeys(document.hardware_ids))
    compatible_ids = tuple(dict.fromkeys(document.compatible_ids))
    installed = document.installed
    return Device(
        hardware_ids=hardware_ids,
        compatible_ids=compatible_ids,
        installed=_installed(installed, hardware_ids, compatible_ids) if installed else None,
        extensions=tuple(
            (str(each.extension_id), DriverVer(each.driver_date, parse_version(each.driver_version)))
            for each in document.installed_extensions
        ),
    )


def _installed(document: InstalledDriver, hardware_ids: tuple[str, ...], compatible_ids: tuple[str, ...]) -> Installed:
    known = document.rank
    if document.matching_id is not None:
        # Which of the INF's ids it met is not known: as a rule its hardware id.
        identifier = identifier_score(document.matching_id, 0, hardware_ids, compatible_ids)
        known = None if identifier is None else rank(identifier)
    ver = DriverVer(document.driver_date, parse_version(document.driver_version))
    return Installed(ver, known, document.is_generic)
