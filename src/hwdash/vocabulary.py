"""The words of the field, in the one spelling that the wire uses.

Each enumeration compares without regard to case on the way in (``TestHarness("HLK") is TestHarness.HLK``) and has one
spelling on the way out. The tables of operating systems, families and product types stand as JSON in
``vocabulary_data`` beside this file and are read once, when this module is imported.
Source: dashboard/get-product-data.md, dashboard/get-shipping-labels.md and install/inf-manufacturer-section.md of
Microsoft's Windows driver documentation. Rows that are seen in practice but not listed there say ``documented=False``.
"""

import json
import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

Architecture = Literal["x86", "amd64", "arm64", "arm", "ia64"]
"""A processor architecture, in the spelling of INF decorations."""


class _Word(StrEnum):
    """A word with one spelling on output, found whatever the case on input."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        wanted = value.casefold()
        return next((word for word in cls if word.value.casefold() == wanted), None)


class SubmissionType(_Word):
    """What a submission carries: the product's first package, or a driver update of it."""

    INITIAL = "initial"
    DERIVED = "derived"


class CommitStatus(_Word):
    """How far the hand-over of an uploaded package is. ``commitComplete`` says nothing about signing."""

    PENDING = "commitPending"
    RECEIVED = "commitReceived"
    COMPLETE = "commitComplete"
    FAILED = "commitFailed"

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        # Names in the documentation until November 2020.
        older = {"commitstarted": "commitReceived", "commitcompleted": "commitComplete"}
        return super()._missing_(older.get(value.casefold(), value) if isinstance(value, str) else value)


class WorkflowState(_Word):
    """State of the current step, not of the whole workflow."""

    NOT_STARTED = "notStarted"
    STARTED = "started"
    FAILED = "failed"
    COMPLETED = "completed"


class SubmissionStep(_Word):
    """A step of a submission's workflow (``currentStep``), in the documented order."""

    PACKAGE_INFO_VALIDATION = "packageInfoValidation"
    PREPARATION = "preparation"
    SCANNING = "scanning"
    VALIDATION = "validation"
    CATALOG_CREATION = "catalogCreation"
    MANUAL_REVIEW = "manualReview"
    SIGNING = "signing"
    FINALIZE_INGESTION = "finalizeIngestion"


SUBMISSION_STEPS = tuple(SubmissionStep)
"""The steps of a submission in order. ``manualReview`` is passed over when nothing asks for a review."""


class LabelStep(_Word):
    """A step of a shipping label's workflow (``currentStep``)."""

    CREATED = "created"
    PRE_PROCESS_SHIPPING_LABEL = "preProcessShippingLabel"
    FINALIZE_PRE_PROCESSING = "finalizePreProcessing"
    PUBLISH_JOB_VALIDATION = "publishJobValidation"
    UPDATE_GENERATION = "updateGeneration"
    MICROSOFT_APPROVAL = "microsoftApproval"
    PUBLISHING = "publishing"
    FINALIZE_PUBLISHING = "finalizePublishing"
    PROCESS_SHARING = "processSharing"
    FINALIZE_SHARING = "finalizeSharing"


WINDOWS_UPDATE_STEPS = tuple(LabelStep)[:8]
"""The steps of a label that goes to Windows Update, in order."""

SHARING_STEPS = (*tuple(LabelStep)[:4], LabelStep.PROCESS_SHARING, LabelStep.FINALIZE_SHARING)
"""The steps of a label that shares a driver with another partner, in order."""


class LabelDestination(_Word):
    """Where a shipping label sends a driver."""

    WINDOWS_UPDATE = "windowsUpdate"
    ANOTHER_PARTNER = "anotherPartner"
    NOT_SET = "notSet"


class TargetingAction(_Word):
    """What a change of a label does with one hardware ID or CHID."""

    ADD = "add"
    REMOVE = "remove"


class DistributionState(_Word):
    """How far one targeted hardware ID is. CHIDs also know ``pendingRecovery`` and ``recovered``."""

    NOT_SET = "notSet"
    PENDING_ADD = "pendingAdd"
    ADDED = "added"
    PENDING_REMOVE = "pendingRemove"
    UNKNOWN = "Unknown"
    PENDING_RECOVERY = "pendingRecovery"
    RECOVERED = "recovered"


LIVE_STATES = (DistributionState.ADDED, DistributionState.PENDING_REMOVE)
"""States in which machines are offered a hardware ID, or a CHID counts: what is to be removed is live until it is."""


class TestHarness(_Word):
    """How a product was tested. Lower case on output, ``notset`` too."""

    __test__ = False  # not a test class, whatever pytest makes of its name

    HLK = "hlk"
    HCK = "hck"
    ATTESTATION = "attestation"
    NOT_SET = "notset"


class DeviceType(_Word):
    """Whether the device sits inside a machine or is attached to it."""

    INTERNAL = "internal"
    EXTERNAL = "external"
    INTERNAL_EXTERNAL = "internalExternal"
    NOT_SET = "notSet"


class DownloadType(_Word):
    """What a download of a submission is."""

    INITIAL_PACKAGE = "initialPackage"
    DERIVED_PACKAGE = "derivedPackage"
    SIGNED_PACKAGE = "signedPackage"
    CERTIFICATION_REPORT = "certificationReport"
    DRIVER_METADATA = "driverMetadata"
    EXTERNAL_NOTES = "ExternalNotes"
    UNKNOWN = "Unknown"


class SigningStatus(_Word):
    """State of a preproduction package. PascalCase, unlike every other state."""

    NOT_STARTED = "NotStarted"
    PROCESSING = "Processing"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class AssetType(_Word):
    """What can be downloaded of a preproduction package."""

    SIGNED_FILES_ZIP = "SignedFilesZip"


class GuestOs(_Word):
    """``svvp.guestOs``; the mixed naming is the service's own."""

    WINDOWS_SERVER_2008 = "Windows Server 2008"
    WINDOWS_SERVER_2008_R2 = "Windows Server 2008 Release 2"
    WINDOWS_SERVER_2012 = "Windows Server 2012"
    WINDOWS_SERVER_2012_R2 = "Windows Server 2012 R2"


class ProcessorArchitecture(_Word):
    """``svvp.processorArchitecture``."""

    XEON = "Xeon"
    OPTERON = "Opteron"
    ITANIUM_2 = "Itanium 2"


class Role(_Word):
    """What a user or an application may do in an account (dashboard/hardware-dashboard-users-manage.md)."""

    ADMINISTRATOR = "Administrator"
    UPGRADE_TEST_RESULTS_SUBMITTER = "Upgrade Test Results Submitter"
    LEGAL_AGREEMENT_SIGNER = "Legal Agreement Signer"
    REPORT_REVIEWER = "Report Reviewer"
    DRIVER_SUBMITTER = "Driver Submitter"
    SHIPPING_LABEL_OWNER = "Shipping Label Owner"
    SYSTEM_SUBMITTER = "System Submitter"
    WCOS_IMAGE_SIGNER = "WCOS Image Signer"
    WCOS_RETAIL_UNLOCK = "WCOS Retail Unlock"
    MANAGER = "Manager"
    SHIPPING_LABEL_PROMOTER = "Shipping Label Promoter"  # gone from the role table in 2019, still asked for elsewhere


FIRST_ROLES = (Role.MANAGER, Role.DRIVER_SUBMITTER, Role.SHIPPING_LABEL_OWNER)
"""What an application needs to submit and to publish (contract/api.md 8.2)."""


class OperatingSystem(NamedTuple):
    """One OS code: an operating system release on one architecture.

    ``major``, ``minor`` and ``build`` are what an INF's TargetOSVersion is compared with. ``build`` is None before
    Windows 10, where INF files cannot name it, and for a release whose build is not known.
    ``release`` is the token inside a Windows 10 code (``RS5``), ``floor`` the token of floors and ceilings (``TH`` for
    TH1 and TH2); both are None before Windows 10.
    """

    code: str
    label: str
    family: str
    architecture: Architecture
    server: bool
    release: str | None
    major: int
    minor: int
    build: int | None
    floor: str | None
    documented: bool

    @property
    def supports_chids(self) -> bool:
        """CHIDs may be targeted from Windows 10 on."""
        return self.major >= 10


class OsFamily(NamedTuple):
    """A key of ``selectedProductTypes``."""

    code: str
    label: str
    documented: bool


def _table(name: str) -> list[Any]:
    rows: list[Any] = json.loads((Path(__file__).parent / "vocabulary_data" / name).read_bytes())
    return rows


def _by_folded(words: Iterable[str]) -> dict[str, str]:
    return {word.casefold(): word for word in words}


OPERATING_SYSTEMS: tuple[OperatingSystem, ...] = tuple(
    OperatingSystem(**row) for row in _table("operating_systems.json")
)
"""Every OS code, older releases first; the ones outside the documentation at the end."""

OS_FAMILIES: tuple[OsFamily, ...] = tuple(OsFamily(**row) for row in _table("os_families.json"))
"""Every OS family code."""

UNCLASSIFIED = "Unclassified"
"""The product type that the documentation's samples use without listing it."""

PRODUCT_TYPES: tuple[str, ...] = (*_table("product_types.json"), UNCLASSIFIED)
"""Every product type; spacing and punctuation are as irregular as on the wire."""

SYSTEM_PRODUCT_TYPES = frozenset(
    {
        "All In One",
        "All In One with Touch",
        "Cluster",
        "Convertible Tablet",
        "Desktop",
        "Laptop",
        "Laptop with Touch",
        "Motherboard",
        "Server",
        "Tablet",
        "Ultra-Mobile PC",
        "Ultra-Mobile PC with Touch",
    }
)
"""Product types of whole machines: they make a system submission, which is shared but never sent to Windows Update."""

RELEASES = ("TH", "RS1", "RS2", "RS3", "RS4", "RS5", "19H1", "VB", "MN", "FE", "CO", "NI", "GE", "25H2", "26H1")
"""Release tokens of floors and ceilings that are accepted, low to high. ``MN`` is known from the official client only;
``GE`` and later follow from the statement that the list grows with each release."""

DOCUMENTED_FLOORS = ("TH", "RS1", "RS2", "RS3", "RS4", "RS5", "19H1", "VB", "FE", "CO", "NI")
"""Values that the documentation lists for ``flooring``; for ``ceiling`` it leaves out the last."""

# contract/api.md 4.2, row 4: the live service runs ahead of its documentation.
_NEW_SYSTEM = re.compile(r"WINDOWS_V100_(SERVER_)?(X64_|ARM64_)?([A-Z0-9]{1,20})_FULL", re.ASCII)
_NEW_FAMILY = re.compile(r"WINDOWS_V100(SERVER)?_([A-Z0-9]{1,20})", re.ASCII)
_NEW_ARCHITECTURES: dict[str, Architecture] = {"": "x86", "X64_": "amd64", "ARM64_": "arm64"}

_SYSTEMS = {system.code.casefold(): system for system in OPERATING_SYSTEMS}
_FAMILIES = _by_folded(family.code for family in OS_FAMILIES)
_PRODUCT_TYPES = _by_folded(PRODUCT_TYPES)
_RELEASES = _by_folded(RELEASES)


def operating_system(code: str, *, accept_new: bool = False) -> OperatingSystem | None:
    """The operating system of an OS code in any case (its ``code`` has the canonical one), or None.

    ``accept_new`` takes codes that no table has for releases to come, when they have the form of Windows 10's.
    """
    found = _SYSTEMS.get(code.casefold())
    return _new_system(code) if found is None and accept_new else found


def _new_system(code: str) -> OperatingSystem | None:
    spelt = _NEW_SYSTEM.fullmatch(code.upper())
    if spelt is None:
        return None
    server, architecture, token = spelt[1] or "", spelt[2] or "", spelt[3]
    canonical = f"WINDOWS_v100_{server}{architecture}{token}_FULL"
    return OperatingSystem(
        code=canonical,
        label=canonical,
        family=f"Windows_v100{'Server' if server else ''}_{token}",
        architecture=_NEW_ARCHITECTURES[architecture],
        server=bool(server),
        release=token,
        major=10,
        minor=0,
        build=None,
        floor=None,
        documented=False,
    )


def os_family(code: str, *, accept_new: bool = False) -> str | None:
    """The canonical spelling of an OS family code given in any case, or None. ``accept_new`` as above."""
    found = _FAMILIES.get(code.casefold())
    if found is None and accept_new and (spelt := _NEW_FAMILY.fullmatch(code.upper())) is not None:
        return f"Windows_v100{'Server' if spelt[1] else ''}_{spelt[2]}"
    return found


def product_type(text: str) -> str | None:
    """The canonical spelling of a product type given in any case, or None."""
    return _PRODUCT_TYPES.get(text.casefold())


def release(token: str) -> str | None:
    """The canonical spelling of a floor or ceiling given in any case, or None. Order: its index in ``RELEASES``."""
    return _RELEASES.get(token.casefold())


COMMAND_LINE_CLIENT_ID = "5d1d41c5-2b9e-4f3a-8f0a-3c2b7f6a9e10"
"""The client to which people sign in: public, known in every tenant, as Azure's command line is to Entra."""
