"""validation: are the INFs right, and does the package hold what they name? Attestation needs no test results.

Nothing here may call a binary universal: that verdict needs the list of permitted APIs, which ships with Microsoft's
kit only (facts/inf/infverif_modes.yaml), so isUniversal stays false.
"""

from hwdash.drivers.findings import Finding
from hwdash.pipeline.work import Done, Work, refuse_errors


def run(work: Work) -> Done:
    """Result: {"isDeclarative", "findings"}."""
    prepared = work.results["preparation"]
    checked = work.in_child(
        "inspection:check_infs", {"folder": str(work.workspace / prepared["folder"]), "bundles": prepared["bundles"]}
    )
    findings = [Finding.from_json(each) for each in checked["findings"]]
    served = {
        code
        for bundle in prepared["metadata"]["BundleInfoMap"].values()
        for inf in bundle["InfInfoMap"].values()
        for code in inf["OSPnPInfoMap"]
    }
    has_devices = checked["hasDevices"]
    if has_devices:
        for code in work.attributes["requestedSignatures"]:
            if code not in served:
                findings.append(
                    Finding(
                        rule="package.signature-not-served",
                        level="warning" if served else "error",
                        message=f"No INF of the package offers a device to {code}.",
                        remedy="Add a [Manufacturer] decoration for its architecture and version, or request another "
                        "signature.",
                    )
                )
    refuse_errors(findings)
    return Done(
        {"isDeclarative": checked["isDeclarative"], "findings": [each.to_json() for each in findings]},
        changes={"is_declarative_inf": checked["isDeclarative"]},
    )
