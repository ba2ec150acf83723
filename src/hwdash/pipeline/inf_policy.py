"""What the service makes of InfVerif's judgement on an INF: all of the policy, as docs/reference/inf-rules.md tells it.

Every INF is judged in declarative mode, the /k that is behind isDeclarativeInf (dashboard/get-product-data.md).
Which errors cost a package its signature is not documented for attestation (facts/inf/infverif_modes.yaml). Here:

- an error fails the submission;
- except for the codes of ``COSTS_THE_VERDICT_ONLY``: they become warnings, and the package is not declarative;
- except for inferred findings: the criterion is ours and may be wrong, and a false alarm is worse than a miss, so they
  become warnings and cost nothing.
"""

from dataclasses import replace
from typing import Final

from hwdash.drivers.findings import Finding
from hwdash.drivers.inf.verify import Mode

SERVICE_MODE: Final[Mode] = "declarative"

COSTS_THE_VERDICT_ONLY: Final = frozenset(range(1300, 1310))
"""Legacy ways to install that still install (facts/inf/infverif_codes.json)."""


def is_declarative(judged: list[Finding]) -> bool:
    """Whether findings of declarative mode leave an INF that verdict."""
    return not any(finding.level == "error" and not finding.inferred for finding in judged)


def as_the_service_judges(finding: Finding) -> Finding:
    """A finding of declarative mode, with the level that it has for a submission."""
    if finding.level != "error":
        return finding
    if finding.inferred:
        return replace(finding, level="warning")
    if finding.code not in COSTS_THE_VERDICT_ONLY:
        return finding
    return replace(finding, level="warning", message=f"{finding.message} (The package is not declarative.)")
