"""The life of a submission (contract/api.md 4.6, 4.9 and 6).

- A product has one initial submission for ever, even when it failed.
- A derived submission needs a finished initial one, and a product that was tested with the HLK or HCK.
- Only a pending submission can be committed, and only with a package uploaded.
- The steps follow one another in the order of SUBMISSION_STEPS; ``failed`` is final.
"""

from hwdash.domain.errors import Code, DomainError
from hwdash.vocabulary import SUBMISSION_STEPS, CommitStatus, SubmissionType, WorkflowState

FIRST_STEP = SUBMISSION_STEPS[0]
LAST_STEP = SUBMISSION_STEPS[-1]

# Clients compare these two texts byte for byte (contract/api.md 7.2).
ONLY_PENDING = "Only pending submissions can be committed."
INITIAL_EXISTS = "Initial submission already exists"


def next_step(step: str) -> str | None:
    """The step after ``step``, None after the last one."""
    place = SUBMISSION_STEPS.index(step) + 1
    return SUBMISSION_STEPS[place] if place < len(SUBMISSION_STEPS) else None


def check_create(
    kind: SubmissionType, *, test_harness: str, is_test_sign: bool, initial: tuple[str | None, str | None] | None
) -> None:
    """May this product get such a submission? ``initial`` is (currentStep, state) of its initial submission, if it has
    one.
    """
    if kind is SubmissionType.INITIAL:
        if initial is not None:
            raise DomainError(Code.REQUEST_INVALID_FOR_CURRENT_STATE, INITIAL_EXISTS)
        return
    if test_harness == "attestation" or is_test_sign:
        raise DomainError(
            Code.INVALID_INPUT,
            "Cannot create derived submission for Attestation, TestSigned and ExtensionInf type of products.",
            [("type", "A derived submission needs a product tested with the HLK or HCK.")],
        )
    if initial is None:
        raise DomainError(
            Code.REQUEST_INVALID_FOR_CURRENT_STATE, "A derived submission needs an initial one; create that first."
        )
    if initial != (LAST_STEP, WorkflowState.COMPLETED):
        raise DomainError(
            Code.REQUEST_INVALID_FOR_CURRENT_STATE,
            "A derived submission needs an initial one that has finished successfully; wait for it, or use another "
            "product.",
        )


def check_commit(commit_status: str) -> None:
    """May a submission in this state be committed?"""
    if commit_status != CommitStatus.PENDING:
        raise DomainError(Code.REQUEST_INVALID_FOR_CURRENT_STATE, ONLY_PENDING)
