"""manualReview: passes by policy, unless the account's policy or the signer's asks for people's words."""

from hwdash.pipeline.signing import identity_of
from hwdash.pipeline.work import Done, Waiting, Work


def run(work: Work) -> Done | Waiting:
    """Result: {"decision": "not required", "policy": ...}. Raises SignerUnavailable."""
    needed = work.resources.signer.approvals_needed(identity_of(work.kind, work.test_harness, work.attributes))
    if needed:
        return Waiting(f"The package waits for the approval of {needed} officers, which the signer's policy asks for.")
    if work.policy.get("manualReview"):
        return Waiting("The package waits for a person's review, which the policy of this account asks for.")
    return Done({"decision": "not required", "policy": "manual review is switched off for this account"})
