"""packageInfoValidation: is this a package, whose is it, and is it laid out as asked?

Opens the cabinet, checks its signature against the account's registered certificates and the layout rules. All findings
at once.
"""

from hwdash.drivers.findings import Finding
from hwdash.pipeline.work import Done, StepFailed, Work, refuse_errors
from hwdash.vocabulary import operating_system


def run(work: Work) -> Done:
    """Result: {"signer", "signerSubject", "packageDigest" (hex SHA-256), "files", "bytes", "findings"}."""
    if work.test_harness != "attestation" and not work.attributes.get("isTestSign"):
        raise StepFailed(
            [
                f"ERROR package.kind in {work.package_name}: packages of the {work.test_harness.upper()} (.hlkx, .hckx)"
                " cannot be read by this release. Create the product with testHarness Attestation and upload a signed "
                "cabinet."
            ]
        )
    try:
        inspected = work.in_child("inspection:inspect_package", {})
    except StepFailed as unreadable:
        known_without_it = [*_certificate_findings(work, None), *_signature_findings(work)]
        raise StepFailed([*unreadable.messages, *map(str, known_without_it)]) from unreadable
    findings = [Finding.from_json(each) for each in inspected["findings"]]
    findings += _certificate_findings(work, inspected.get("signer"))
    findings += _signature_findings(work)
    refuse_errors(findings)
    return Done(
        {
            "signer": inspected["signer"]["thumbprint"],
            "signerSubject": inspected["signer"]["subject"],
            "packageDigest": inspected["digest"],
            "files": inspected["files"],
            "bytes": inspected["bytes"],
            "findings": [each.to_json() for each in findings],
        }
    )


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


def _signature_findings(work: Work) -> list[Finding]:
    """dashboard.md 50: attestation is for Windows 10 and later clients."""
    refused = []
    for code in work.attributes["requestedSignatures"]:
        known = operating_system(code)
        if known is not None and (known.major < 10 or known.server):
            refused.append(code)
    return [
        Finding(
            rule="package.signature-not-attested",
            level="error",
            message=f"{code} cannot be had by attestation: it signs for Windows 10 and later clients only.",
            remedy="Create a product that requests client signatures of Windows 10 or later.",
        )
        for code in refused
    ]
