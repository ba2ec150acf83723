"""packageInfoValidation: is this a package, whose is it, and is it laid out as asked?

Opens the cabinet or HLK package, checks its signature against the account's registered certificates, and the layout
rules. Of a derived submission also, whether it is an update of the initial one. All findings at once.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict

from hwdash.drivers.findings import Finding
from hwdash.drivers.hlkx_shell import check_derived
from hwdash.drivers.package_contents import check_signatures
from hwdash.pipeline.work import Done, StepFailed, Work, refuse_errors


class _PackageInfo(BaseModel):
    """What the child says of an HLK package: it has read a stranger's bytes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    project: str | None
    formatVersion: str | None
    operatingSystems: list[str]
    driverIds: list[str]
    replacedDriverIds: list[str]
    tests: list[int] | None


def run(work: Work) -> Done:
    """Result: {"signer", "signerSubject", "packageDigest" (hex SHA-256), "files", "bytes", "packageInfo" (of an HLK
    package, else null), "findings"}.
    """
    folder = work.fresh_folder("opened")
    try:
        inspected = work.in_child(
            "inspection:inspect_package", {"kind": work.kind, "folder": str(folder)}, writable=[folder]
        )
    except StepFailed as unreadable:
        known_without_it = [
            *_certificate_findings(work, None),
            *check_signatures(work.attributes["requestedSignatures"], work.kind),
        ]
        raise StepFailed([*unreadable.messages, *map(str, known_without_it)]) from unreadable
    findings = [Finding.from_json(each) for each in inspected["findings"]]
    findings += _certificate_findings(work, inspected.get("signer"))
    findings += check_signatures(work.attributes["requestedSignatures"], work.kind)
    info = _package_info(inspected)
    if work.derives_from is not None and info is not None:
        findings += check_derived(info, work.derives_from.package_info, work.package_name)
    refuse_errors(findings)
    return Done(
        {
            "signer": inspected["signer"]["thumbprint"],
            "signerSubject": inspected["signer"]["subject"],
            "packageDigest": inspected["digest"],
            "files": inspected["files"],
            "bytes": inspected["bytes"],
            "packageInfo": info,
            "findings": [each.to_json() for each in findings],
        }
    )


def _package_info(inspected: dict[str, Any]) -> dict[str, Any] | None:
    said = inspected.get("packageInfo")
    return None if said is None else _PackageInfo.model_validate(said).model_dump()


def _certificate_findings(work: Work, signer: dict[str, str] | None) -> list[Finding]:
    """dashboard.md 10, 11 and 43: any registered certificate may sign; an EV one must be registered and valid."""
    findings = []
    if signer is not None:
        registered = work.certificates.get(signer["thumbprint"])
        if registered is None:
            findings.append(
                Finding(
                    rule="package.signer-not-registered",
                    level="error",
                    message=f"SignatureValidationFailed: the package is signed by {signer['subject']} "
                    f"(SHA-256 {signer['thumbprint']}), which is not registered with this account.",
                    remedy="Sign the package with a registered certificate, or have this one registered: "
                    "hwdash admin certificate add FILE.",
                    file=work.package_name,
                )
            )
        elif registered.not_after <= work.now:
            findings.append(
                Finding(
                    rule="package.signer-expired",
                    level="error",
                    message=f"SignatureValidationFailed: the certificate of {registered.subject} expired on "
                    f"{registered.not_after:%Y-%m-%d}.",
                    remedy="Register a valid certificate and sign the package with it.",
                    file=work.package_name,
                )
            )
    if not any(each.kind == "ev" and each.not_after > work.now for each in work.certificates.values()):
        findings.append(
            Finding(
                rule="account.no-ev-certificate",
                level="error",
                message="The account has no registered EV certificate that is valid today.",
                remedy="Have one registered: hwdash admin certificate add FILE.",
            )
        )
    return findings
