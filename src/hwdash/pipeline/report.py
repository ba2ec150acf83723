"""The certification report of a finished submission and the error report of a failed one."""

import html
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hwdash.domain.submission import allows_derived
from hwdash.drivers.hlkx_shell import UNPROVEN_SHELL
from hwdash.drivers.package import listing
from hwdash.pipeline.work import Work, package_name, result_blob_key
from hwdash.storage.blobs import BlobStore
from hwdash.vocabulary import operating_system

WORTH = (
    "This package is signed by the certificate authority of this hwdash service, not by Microsoft. It loads on "
    "machines in test-signing mode or where an organisation's own policy trusts this authority; Windows with Secure "
    "Boot loads new kernel drivers only with Microsoft's signature."
)

STYLE = (
    "body{font:1rem/1.5 system-ui;margin:2rem auto;max-width:60rem;padding:0 1rem}"
    "th{text-align:left;vertical-align:top;padding-right:2rem;white-space:nowrap}td{overflow-wrap:anywhere}"
)


def certification_report(work: Work) -> str:
    """What was checked, by what, and what the signature is worth: one HTML page without scripts or outside parts."""
    results = work.results
    rows: list[tuple[str, Any]] = [
        ("Product", work.product_name),
        ("Marketing names", ", ".join(work.attributes.get("marketingNames", [])) or "none"),
        ("Company", f"{work.account_name} (seller {work.account_id})"),
        ("Product id", work.product_id),
        *([("Shared product id", work.shared_product_id)] if work.shared_product_id else []),
        ("Submission id", work.object_id),
        ("Submission", work.submission_name),
        *_derived(work),
        ("Certification type", _certification_type(work)),
        ("Product types", _product_types(work.attributes.get("selectedProductTypes", {}))),
        ("Requested signatures", _signatures(work.attributes["requestedSignatures"])),
        ("Device type", work.attributes.get("deviceType", "notSet")),
        ("Firmware version", work.attributes.get("firmwareVersion") or "not given"),
        ("Announcement date", work.attributes.get("announcementDate") or "not given"),
        *_test_results(work),
        ("Drivers", _drivers(results["preparation"]["metadata"])),
        ("Package signed by", results["packageInfoValidation"]["signerSubject"]),
        ("Package digest (SHA-256)", results["packageInfoValidation"]["packageDigest"]),
        ("Scanned by", _scan_line(results["scanning"])),
        ("Extension INF", "yes" if results["preparation"].get("isExtension") else "no"),
        ("Declarative INF", "yes" if results["validation"]["isDeclarative"] else "no"),
        ("Universal", _universal_line(results["preparation"]["universal"])),
        ("Manual review", _review_line(results["manualReview"])),
        ("Signature", SIGNATURES[results["signing"]["identity"]]),
        ("Signed as", f"{results['signing']['identity']}, certificate SHA-256 {results['signing']['certificate']}"),
        ("Catalogs", ", ".join(each["path"] for each in results["catalogCreation"]["catalogs"])),
        ("Signed files", ", ".join(each["path"] for each in results["signing"]["files"]) or "none"),
        ("Date", results["catalogCreation"]["when"]),
    ]
    findings = [
        finding["message"]
        for step in ("packageInfoValidation", "preparation", "validation")
        for finding in results[step]["findings"]
    ]
    body = "".join(f"<tr><th scope=row>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in rows)
    if has_shell(work):
        findings.append(UNPROVEN_SHELL)
    warnings = "".join(f"<li>{_text(each)}</li>" for each in findings) or "<li>none</li>"
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Certification report {work.object_id}</title>"
        f"<style>{STYLE}</style>"
        f"<h1>Certification report</h1><p><strong>{_text(WORTH)}</strong></p><table>{body}</table>"
        f"<h2>Warnings</h2><ul>{warnings}</ul>"
        f"<h2>What the binaries import</h2>{_imports(results['preparation']['universal'])}</html>\n"
    )


ERROR_REPORT = "errorReport"


def publish_error_report(
    blobs: BlobStore, submission_id: int, test_harness: str, step: str, messages: list[str], when: datetime
) -> tuple[str, str, str]:
    """Why a submission failed, as text, one finding a line. Returns the download: (type, blob key, file name)."""
    key, name = result_blob_key(submission_id, ERROR_REPORT), f"ErrorReport_{submission_id}.txt"
    head = f"Submission {submission_id}, {package_name(submission_id, test_harness)}: {step} failed at {when:%FT%TZ}."
    _publish(blobs, key, name, head, messages)
    return ERROR_REPORT, key, name


def publish_label_error_report(blobs: BlobStore, label: sa.Row[Any], messages: list[str], when: datetime) -> str:
    """Why a run of a shipping label failed, in the same form. Returns the blob key."""
    key, name = result_blob_key(label.id, f"{ERROR_REPORT}-{label.run}"), f"ErrorReport_{label.id}.txt"
    head = (
        f"Shipping label {label.id} of submission {label.submission_id}, run {label.run}: {label.current_step} failed "
        f"at {when:%FT%TZ}."
    )
    _publish(blobs, key, name, head, messages)
    return key


def _publish(blobs: BlobStore, key: str, name: str, head: str, messages: list[str]) -> None:
    text = "\n".join([head, "", *messages, ""])
    blobs.put_file(key, [text.encode()], name=name, content_type="text/plain; charset=utf-8")


SIGNATURES = {
    "whql": "Production signature of a tested driver: Windows Hardware Driver Verification.",
    "attestation": "Production signature by attestation, untested: Windows Hardware Driver Verification and Attested "
    "Verification.",
    "test": "Test signature: for test machines in test-signing mode, with Secure Boot off. It carries no hardware "
    "verification, and is not distributed through Windows Update.",
    "flight": "Flight signature: for machines enrolled in preview builds. It carries Preview Build Signing and no "
    "hardware verification.",
}
"""What each issuing identity's signature is for (contract/api.md 6.6, contract/dashboard.md 66 and 69 to 72)."""


def has_shell(work: Work) -> bool:
    """Whether there is a shell for driver updates: updates are derived from initial submissions only, not from other
    updates (contract/dashboard.md 61).
    """
    return work.derives_from is None and allows_derived(
        work.test_harness,
        is_test_sign=bool(work.attributes.get("isTestSign")),
        is_extension=work.results["preparation"].get("isExtension", False),
    )


def _derived(work: Work) -> list[tuple[str, Any]]:
    """Of an update: what it updates, and which hardware IDs it adds to what was tested."""
    initial = work.derives_from
    if initial is None:
        return []
    known = {each.lower() for each in initial.hardware_ids}
    own = [each.lower() for bundle in work.results["preparation"]["bundles"] for each in bundle["hardwareIds"]]
    added = list(dict.fromkeys(each for each in own if each not in known))
    return [
        ("Driver update of", f"submission {initial.submission_id}"),
        ("Hardware IDs that the update adds", listing(added) if added else "none"),
    ]


def _certification_type(work: Work) -> str:
    harness = {"hlk": "HLK", "hck": "HCK", "attestation": "Attestation"}.get(work.test_harness, work.test_harness)
    if work.attributes.get("isTestSign"):
        return f"{harness}, test-signed"
    return f"{harness}, flight-signed" if work.attributes.get("isFlightSign") else harness


def _product_types(selected: dict[str, str]) -> str:
    return ", ".join(f"{kind} ({family})" for family, kind in sorted(selected.items())) or "not given"


def _signatures(codes: Sequence[str]) -> str:
    return ", ".join(f"{code} ({system.label})" if (system := operating_system(code)) else code for code in codes)


def _drivers(metadata: dict[str, Any]) -> str:
    infs = [(name, inf) for bundle in metadata["BundleInfoMap"].values() for name, inf in bundle["InfInfoMap"].items()]
    lines = [
        f"{name}: {inf['Provider']}, class {inf['InfClass']}, {inf['DriverDate'][:10]} {inf['DriverVersion']}"
        for name, inf in infs[:BINARIES_SHOWN]
    ]
    return "; ".join(lines) + (f"; and {len(infs) - BINARIES_SHOWN} more" if len(infs) > BINARIES_SHOWN else "")


def _review_line(review: dict[str, Any]) -> str:
    line = str(review["decision"])
    if "by" in review:
        line += f" by {review['by']} at {review['when']}"
    if review.get("breakGlass"):
        line += ", alone, in an emergency"
    return f"{line}: {review['reason']}" if review.get("reason") else line


def _test_results(work: Work) -> list[tuple[str, str]]:
    if work.kind != "whql":
        return []
    return [("Test results", "not judged: the form in which the HLK stores them is not documented")]


BINARIES_SHOWN = 200


def _universal_line(universal: dict[str, Any]) -> str:
    verdict = {"notApplicable": "not applicable"}.get(universal["verdict"], universal["verdict"])
    return f"{verdict}. {universal['reason']}"


def _imports(universal: dict[str, Any]) -> str:
    """The imports of each binary, which a person can hold against Microsoft's list."""
    binaries = universal["binaries"]
    rows = [
        f"<tr><th scope=row>{_text(each['path'])} ({_text(each['machine'])})</th><td>"
        + (", ".join(_text(module_line(module)) for module in each["modules"]) or "nothing")
        + "</td></tr>"
        for each in binaries[:BINARIES_SHOWN]
    ]
    more = len(binaries) - BINARIES_SHOWN
    return f"<table>{''.join(rows)}</table>" + (f"<p>and {more} more binaries</p>" if more > 0 else "")


def module_line(module: dict[str, Any]) -> str:
    """A module of drivers/universal.py's report, for people: ``ntoskrnl.exe (kernel): 20``."""
    what = {"apiSet": " (API set)", "kernel": " (kernel)", "dll": ""}[module["kind"]]
    return f"{module['name']}{what}: {module['functions']}{' delayed' if module['delayed'] else ''}"


def _scan_line(scan: dict[str, Any]) -> str:
    signatures = scan.get("signatures")
    known = f"{signatures} signatures" if signatures is not None else "number of signatures not reported"
    return f"{scan['engine']} {scan['version']}, {known}, {scan['scannedFiles']} files: nothing found"


def _text(value: object) -> str:
    return html.escape(str(value))
