"""validation: are the INFs right, does the package hold what they name, and are its extension ids the seller's?
Attestation needs no test results.

Nothing here may call a binary universal: that verdict needs the list of permitted APIs, which ships with Microsoft's
kit only (facts/inf/infverif_modes.yaml). The wire's isUniversal has no third value and stays false; the result and the
certification report say what is known (drivers/universal.py).
"""

from collections.abc import Sequence
from typing import Any

from hwdash.drivers.findings import Finding
from hwdash.pipeline.extension_ids import extension_id_findings
from hwdash.pipeline.work import Done, Work, refuse_errors


def run(work: Work) -> Done:
    """Result: {"isDeclarative", "isUniversal" ("no", "unknown" or "notApplicable"), "findings"}."""
    prepared = work.results["preparation"]
    checked = work.in_child(
        "inspection:check_infs", {"folder": str(work.workspace / prepared["folder"]), "bundles": prepared["bundles"]}
    )
    findings = [Finding.from_json(each) for each in checked["findings"]]
    findings += extension_id_findings(work.results, work.foreign_extension_ids)
    if checked["hasDevices"]:
        findings += signatures_not_served(prepared["metadata"], work.attributes["requestedSignatures"])
    refuse_errors(findings)
    return Done(
        {
            "isDeclarative": checked["isDeclarative"],
            "isUniversal": prepared["universal"]["verdict"],
            "findings": [each.to_json() for each in findings],
        },
        changes={"is_declarative_inf": checked["isDeclarative"]},
    )


def signatures_not_served(metadata: dict[str, Any], codes: Sequence[str]) -> list[Finding]:
    """The OS codes for which no INF has a device, by the package's driver metadata."""
    served = served_systems(metadata)
    return [
        Finding(
            rule="package.signature-not-served",
            level="warning" if served else "error",
            message=f"No INF of the package offers a device to {code}.",
            remedy="Add a [Manufacturer] decoration for its architecture and version, or request another signature.",
        )
        for code in codes
        if code not in served
    ]


def served_systems(metadata: dict[str, Any]) -> set[str]:
    """The OS codes for which some INF has a device, by the package's driver metadata."""
    return {
        code
        for bundle in metadata["BundleInfoMap"].values()
        for inf in bundle["InfInfoMap"].values()
        for code in inf["OSPnPInfoMap"]
    }
