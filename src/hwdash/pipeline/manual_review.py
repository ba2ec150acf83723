"""manualReview: passes by policy, unless the account's policy or the signer's asks for people's words."""

from hwdash.pipeline.signing import identity_of
from hwdash.pipeline.work import Done, Waiting, Work
from hwdash.signing.release import approvals_needed


def run(work: Work) -> Done | Waiting:
    """Result: {"decision": "not required", "policy": ...}. Raises SignerUnavailable."""
    identity = identity_of(work.kind, work.test_harness, work.attributes)
    needed = approvals_needed(work.resources.signer.dual_control(), identity)
    if needed:
        return Waiting(f"The package waits for the approval of {needed} officers, which the signer's policy asks for.")
    if work.policy.get("manualReview"):
        return Waiting("The package waits for a person's review, which the policy of this account asks for.")
    return Done({"decision": "not required", "policy": "manual review is switched off for this account"})
