"""The forms of the API's JSON: exact names, exact casing, exact types (contract, section 3).

A kind is a function from a value to the complaints about it, each with its path. Members that are not named here may be
there: clients ignore them. A member that is named in another casing is a complaint, for clients read names exactly.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx

Complaints = list[str]
Kind = Callable[[object, str], Complaints]

_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?(Z|[+-]\d\d:\d\d)?\Z")


def _kind(name: str, holds: Callable[[Any], bool]) -> Kind:
    def check(value: object, path: str) -> Complaints:
        return [] if holds(value) else [f"{path} is {_short(value)}, not {name}"]

    return check


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."


def _is_date(value: object) -> bool:
    if not isinstance(value, str) or not _DATE.match(value):
        return False
    try:
        # Python reads six digits of a second, .NET writes seven.
        datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value))
    except ValueError:
        return False
    return not value.startswith("0001-")


def _is_guid(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return str(UUID(value)) == value.lower()
    except ValueError:
        return False


def is_absolute(value: object) -> bool:
    """Whether it is an absolute URL that any parser takes: a space in it stops Microsoft's own client."""
    if not isinstance(value, str) or re.search(r"\s", value):
        return False
    try:
        url = httpx.URL(value)
    except httpx.InvalidURL:
        return False
    return url.scheme in ("https", "http") and bool(url.host)


integer = _kind(
    "a whole number of 64 bits",
    lambda value: isinstance(value, int) and not isinstance(value, bool) and value < 1 << 63,
)
boolean = _kind("true or false", lambda value: isinstance(value, bool))
text = _kind("text", lambda value: isinstance(value, str))
date = _kind("an ISO 8601 date", _is_date)
guid = _kind("a GUID without braces", _is_guid)
url = _kind("an absolute URL", is_absolute)
camel_case = _kind(
    "a camelCase word", lambda value: isinstance(value, str) and bool(re.match(r"[a-z][A-Za-z]*\Z", value))
)


def one_of(*words: str) -> Kind:
    """One of these words, spelt so."""
    return _kind(f"one of {', '.join(words)}", lambda value: value in words)


def array(item: Kind) -> Kind:
    """A JSON array of one kind."""

    def check(value: object, path: str) -> Complaints:
        if not isinstance(value, list):
            return [f"{path} is {_short(value)}, not an array"]
        return [complaint for number, each in enumerate(value) for complaint in item(each, f"{path}[{number}]")]

    return check


def mapping(item: Kind) -> Kind:
    """A JSON object with any names and values of one kind."""

    def check(value: object, path: str) -> Complaints:
        if not isinstance(value, dict):
            return [f"{path} is {_short(value)}, not an object"]
        return [complaint for name, each in value.items() for complaint in item(each, f"{path}.{name}")]

    return check


def members(required: Mapping[str, Kind], optional: Mapping[str, Kind] | None = None, *, never: str = "") -> Kind:
    """A JSON object with these members. ``never`` names, with spaces between, those that must not be there."""
    known = {**required, **(optional or {})}
    forbidden = never.split()
    spelt = {name.casefold(): name for name in [*known, *forbidden]}

    def check(value: object, path: str) -> Complaints:
        if not isinstance(value, dict):
            return [f"{path or 'the body'} is {_short(value)}, not an object"]
        where = f"{path}." if path else ""
        complaints = [f"{where}{name} is missing" for name in required if name not in value]
        for name, each in value.items():
            wanted = spelt.get(name.casefold())
            if wanted is not None and wanted != name:
                complaints.append(f"{where}{wanted} is spelt {name}")
            elif name in forbidden:
                complaints.append(f"{where}{name} has no place here")
            elif name in known:
                complaints += known[name](each, f"{where}{name}")
        return complaints

    return check


LINK = members(
    {
        "href": url,
        "rel": one_of(
            "self", "next_link", "get_submissions", "commit_submission", "update_submission", "update_shippinglabel"
        ),
        "method": one_of("GET", "POST", "PATCH"),
    }
)
LINKS = array(LINK)

_TEXTS = array(text)
_PROPRIETARY = {
    "usedProprietary": boolean,
    "usedMicrosoft": boolean,
}
_NAMED = {"proprietaryName": text, "proprietaryVersion": text, "microsoftName": text, "microsoftVersion": text}

STORAGE_CONTROLLER = members(
    _PROPRIETARY
    | dict.fromkeys(
        ["usedBootSupport", "usedBetterBoot", "supportsSector4K512E", "supportsSector4K4K", "supportsDifferential"],
        boolean,
    ),
    _NAMED
    | dict.fromkeys(
        [
            *("biosVersion", "firmwareVersion", "driverVersion", "driverName", "deviceVersion", "chipsetName"),
            *("uefiVersion", "acpiVersion"),
        ],
        text,
    ),
)
RAID_CONTROLLER = members(
    _PROPRIETARY | dict.fromkeys(["isThirdPartyNeeded", "isSES", "isSAFTE"], boolean),
    _NAMED | dict.fromkeys(["firmwareVersion", "filterVersion", "driverVersion", "additionalInfo"], text),
)
SVVP = members(
    {},
    {
        "productVersion": text,
        "supportLink": text,
        "guestOs": one_of(
            "Windows Server 2008", "Windows Server 2008 Release 2", "Windows Server 2012", "Windows Server 2012 R2"
        ),
        "processorArchitecture": one_of("Xeon", "Opteron", "Itanium 2"),
        "maxProcessors": integer,
        "maxMemory": integer,
    },
)
ADDITIONAL_ATTRIBUTES = members(
    {}, {"storageController": STORAGE_CONTROLLER, "raidController": RAID_CONTROLLER, "svvp": SVVP}
)

PRODUCT = members(
    {
        "id": integer,
        "sharedProductId": integer,
        "links": LINKS,
        "productName": text,
        "testHarness": one_of("hlk", "hck", "attestation", "notset"),
        "requestedSignatures": _TEXTS,
        "selectedProductTypes": mapping(text),
        "deviceType": one_of("internal", "external", "internalExternal", "notSet"),
        "isTestSign": boolean,
        "isFlightSign": boolean,
        "marketingNames": _TEXTS,
        "deviceMetadataIds": array(guid),
        "additionalAttributes": ADDITIONAL_ATTRIBUTES,
        "isCommitted": boolean,
        "isExtensionInf": boolean,
        "isRetpolineCompiled": boolean,
        "originType": text,
        "sourceProductId": integer,
        "sourcePublisherId": integer,
        "message": text,
    },
    {
        "announcementDate": date,
        "deviceMetadataCategory": text,
        "firmwareVersion": text,
        "productType": text,
        "createdBy": text,
        "updatedBy": text,
        "createdDateTime": date,
        "updatedDateTime": date,
        "driverType": text,
        "packageType": text,
    },
)

SUBMISSION_STEPS = (
    *("packageInfoValidation", "preparation", "scanning", "validation", "catalogCreation", "manualReview", "signing"),
    "finalizeIngestion",
)
WORKFLOW_STATUS = members(
    {
        "currentStep": one_of(*SUBMISSION_STEPS),
        "state": one_of("notStarted", "started", "failed", "completed"),
        "messages": _TEXTS,
    },
    {"errorReport": url},
)
DOWNLOADS = members(
    {
        "items": array(
            members(
                {
                    "type": one_of(
                        "initialPackage",
                        "derivedPackage",
                        "signedPackage",
                        "certificationReport",
                        "driverMetadata",
                        "ExternalNotes",
                        "Unknown",
                    ),
                    "url": url,
                }
            )
        ),
        "messages": _TEXTS,
    }
)
_SUBMISSION: dict[str, Kind] = {
    "id": integer,
    "productId": integer,
    "name": text,
    "type": one_of("initial", "derived"),
    "links": LINKS,
    "commitStatus": one_of("commitPending", "commitReceived", "commitComplete", "commitFailed"),
    "isExtensionInf": boolean,
    "isUniversal": boolean,
    "isDeclarativeInf": boolean,
}
_MADE: dict[str, Kind] = {"createdBy": text, "createdDateTime": date}
PENDING_SUBMISSION = members(_SUBMISSION | {"downloads": DOWNLOADS}, _MADE, never="workflowStatus")
COMMITTED_SUBMISSION = members(_SUBMISSION | {"downloads": DOWNLOADS, "workflowStatus": WORKFLOW_STATUS}, _MADE)
LISTED_SUBMISSION = members(_SUBMISSION, _MADE | {"workflowStatus": WORKFLOW_STATUS}, never="downloads")

WINDOWS_UPDATE_STEPS = (
    *("created", "preProcessShippingLabel", "finalizePreProcessing", "publishJobValidation", "updateGeneration"),
    *("microsoftApproval", "publishing", "finalizePublishing"),
)
SHARING_STEPS = (*WINDOWS_UPDATE_STEPS[:4], "processSharing", "finalizeSharing")
LABEL_STATUS = members(
    {
        "currentStep": one_of(*WINDOWS_UPDATE_STEPS, *SHARING_STEPS[4:]),
        "state": one_of("notStarted", "started", "failed", "completed"),
        "messages": _TEXTS,
    },
    {"errorReport": url},
)
PUBLISHING_SPECIFICATIONS = members(
    {"visibleToAccounts": array(integer)}
    | dict.fromkeys(
        [
            *("isAutoInstallDuringOSUpgrade", "isAutoInstallOnApplicableSystems", "manualAcquisition"),
            *("isDisclosureRestricted", "publishToWindows10s"),
        ],
        boolean,
    ),
    {
        "goLiveDate": date,
        "additionalInfoForMsApproval": members(
            {"affectedOems": _TEXTS}
            | dict.fromkeys(
                ["isRebootRequired", "isCoEngineered", "isForUnreleasedHardware", "hasUiSoftware"], boolean
            ),
            dict.fromkeys(["microsoftContact", "validationsPerformed", "businessJustification"], text),
        ),
    },
)
RECIPIENT_SPECIFICATIONS = members({"receiverPublisherId": text, "enforceChidTargeting": boolean})
TARGETING = members(
    {
        "hardwareIds": array(
            members(
                dict.fromkeys(["bundleId", "infId", "operatingSystemCode", "pnpString"], text)
                | {"distributionState": one_of("notSet", "pendingAdd", "added", "pendingRemove")}
            )
        ),
        "chids": array(members({"chid": guid, "distributionState": text})),
        "restrictedToAudiences": array(guid),
    },
    {
        "inServicePublishInfo": members({}, {"flooring": text, "ceiling": text}),
        "coEngDriverPublishInfo": members({}, {"flooringBuildNumber": integer, "ceilingBuildNumber": integer}),
    },
)
_LABEL: dict[str, Kind] = {
    "id": integer,
    "productId": integer,
    "submissionId": integer,
    "name": text,
    "destination": one_of("windowsUpdate", "anotherPartner"),
    "workflowStatus": LABEL_STATUS,
    "links": LINKS,
}
_SPECIFIED = {
    "publishingSpecifications": PUBLISHING_SPECIFICATIONS,
    "recipientSpecifications": RECIPIENT_SPECIFICATIONS,
}
LABEL = members(_LABEL, _SPECIFIED, never="targeting targetingInfo")
LABEL_WITH_TARGETING = members(_LABEL | {"targeting": TARGETING}, _SPECIFIED, never="targetingInfo")

AUDIENCE = members({"id": guid, "name": text, "description": text, "audienceName": text}, {"links": LINKS})

PREPROD_ASSET = members(
    {"id": text, "packageId": text, "assetType": one_of("SignedFilesZip"), "createdDate": date, "contentHash": text}
)
PREPROD_PACKAGE = members(
    {
        "id": text,
        "etag": text,
        "lastModified": date,
        "signingStatus": one_of("NotStarted", "Processing", "Succeeded", "Failed"),
    },
    {"error": members({"message": text}), "assets": array(PREPROD_ASSET), "assetsContinuationToken": text},
)

ERROR = members(
    {
        "error": members(
            {"code": camel_case, "message": text},
            {"validationErrors": array(members({"target": text, "message": text}))},
        )
    },
    never="httpErrorCode",
)
FLAT_ERROR = members({"statusCode": text, "message": text}, never="httpErrorCode")

METADATA = members(
    {
        "BundleInfoMap": mapping(
            members(
                {
                    "Locales": _TEXTS,
                    "InfInfoMap": mapping(
                        members(
                            {
                                "DriverPackageFamilyId": text,
                                "InfClass": text,
                                "DriverVersion": text,
                                "DriverDate": date,
                                "Provider": text,
                                "ClassGuid": text,
                                "InstallationComputerHardwareIds": _TEXTS,
                                "OSPnPInfoMap": mapping(
                                    mapping(members({"Manufacturer": text, "DeviceDescription": text}))
                                ),
                            }
                        )
                    ),
                }
            )
        )
    }
)


def collection(item: Kind) -> Kind:
    """The envelope of lists."""
    return members({"value": array(item), "links": LINKS})
