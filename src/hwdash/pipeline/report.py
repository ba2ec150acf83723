"""The certification report of a finished submission and the error report of a failed one."""

import html
from datetime import datetime
from typing import Any

from hwdash.pipeline.package_info_validation import package_kind
from hwdash.pipeline.work import Work, package_name, result_blob_key
from hwdash.storage.blobs import BlobStore

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
        ("Company", f"{work.account_name} (seller {work.account_id})"),
        ("Product id", work.product_id),
        ("Submission id", work.submission_id),
        ("Program", work.test_harness),
        ("Requested signatures", ", ".join(work.attributes["requestedSignatures"])),
        *_test_results(work),
        ("Package signed by", results["packageInfoValidation"]["signerSubject"]),
        ("Package digest (SHA-256)", results["packageInfoValidation"]["packageDigest"]),
        ("Scanned by", _scan_line(results["scanning"])),
        ("Declarative INF", "yes" if results["validation"]["isDeclarative"] else "no"),
        ("Universal", _universal_line(results["preparation"]["universal"])),
        ("Manual review", results["manualReview"]["decision"]),
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
    warnings = "".join(f"<li>{_text(each)}</li>" for each in findings) or "<li>none</li>"
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Certification report {work.submission_id}</title>"
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
    text = "\n".join([head, "", *messages, ""])
    blobs.put_file(key, [text.encode()], name=name, content_type="text/plain; charset=utf-8")
    return ERROR_REPORT, key, name


def _test_results(work: Work) -> list[tuple[str, str]]:
    if package_kind(work) != "whql":
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
