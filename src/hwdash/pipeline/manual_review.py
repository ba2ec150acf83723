"""manualReview: passes by policy, unless the account's policy asks for a person's word."""

from hwdash.pipeline.work import Done, Waiting, Work


def run(work: Work) -> Done | Waiting:
    """Result: {"decision": "not required", "policy": ...}."""
    if work.policy.get("manualReview"):
        return Waiting("The package waits for a person's review, which the policy of this account asks for.")
    return Done({"decision": "not required", "policy": "manual review is switched off for this account"})
