"""The life of a submission (contract/api.md 4.6, 4.9 and 6).

- A product has one initial submission for ever, even when it failed.
- A derived submission needs a finished initial one, and a product that was tested with the HLK or HCK, neither
  test-signed nor an extension INF. Several may be open at once.
- Of a product received by sharing only updates can be made, of an initial submission; of a read-only one nothing.
- Only the name of a submission can be changed: not that of one received by sharing, nor once it has failed.
- Only a pending submission can be committed, and only with a package uploaded.
- The steps follow one another in the order of SUBMISSION_STEPS; ``failed`` is final.
"""

from collections.abc import Sequence

from hwdash.domain.errors import Code, DomainError
from hwdash.vocabulary import SUBMISSION_STEPS, CommitStatus, SubmissionType, WorkflowState

FIRST_STEP = SUBMISSION_STEPS[0]
LAST_STEP = SUBMISSION_STEPS[-1]

# Clients compare these two texts byte for byte (contract/api.md 7.2).
ONLY_PENDING = "Only pending submissions can be committed."
INITIAL_EXISTS = "Initial submission already exists"
# contract/observed.md 9: the one refusal of input that was seen with 400.
NO_DERIVED = "Cannot create derived submission for Attestation, TestSigned and ExtensionInf type of products."

NOTHING_GIVEN = "At least one property is required for update."
CANNOT_CHANGE = "This property cannot be changed; leave it out, or repeat its value."


def next_step(step: str) -> str | None:
    """The step after ``step``, None after the last one."""
    place = SUBMISSION_STEPS.index(step) + 1
    return SUBMISSION_STEPS[place] if place < len(SUBMISSION_STEPS) else None


def allows_derived(test_harness: str, *, is_test_sign: bool, is_extension: bool) -> bool:
    """Whether a product of this kind can have derived submissions, once its initial one has finished."""
    return test_harness in ("hlk", "hck") and not is_test_sign and not is_extension


def check_create(
    kind: SubmissionType,
    *,
    test_harness: str,
    is_test_sign: bool,
    is_extension: bool,
    initial: tuple[str | None, str | None] | None,
    is_received: bool = False,
    is_read_only: bool = False,
    is_deprecated: bool = False,
) -> None:
    """May this product get such a submission? ``initial`` is (currentStep, state) of its initial submission, if it has
    one; ``is_extension`` whether that holds an extension INF. ``is_received``: the product was received by sharing,
    ``is_deprecated``: and something else is shared by now; ``is_read_only``: it was received to be read only.
    """
    if is_read_only:
        raise DomainError(
            Code.READ_ONLY_PRODUCT, "Not allowed to create submissions on a read only product: it is its author's."
        )
    if kind is SubmissionType.INITIAL:
        if initial is not None:
            raise DomainError(Code.REQUEST_INVALID_FOR_CURRENT_STATE, INITIAL_EXISTS)
        if is_received:
            raise _only_updates_of_an_initial()
        return
    if is_received and initial is None:
        raise _only_updates_of_an_initial()
    if is_deprecated:
        raise DomainError(
            Code.REQUEST_INVALID_FOR_CURRENT_STATE,
            "The author changed what is shared: this product is deprecated, and the message of its submission names "
            "the one that replaces it.",
        )
    if not allows_derived(test_harness, is_test_sign=is_test_sign, is_extension=is_extension):
        reason = "A derived submission needs a product tested with the HLK or HCK, not test-signed, no extension INF."
        raise DomainError(Code.INVALID_INPUT, NO_DERIVED, [("type", reason)])
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


def _only_updates_of_an_initial() -> DomainError:
    return DomainError(
        Code.UPDATE_UNAUTHORIZED,
        "The product was received by sharing, and what was shared is a driver update, of which there are none. Ask its "
        "author to share the initial submission.",
    )


def check_commit(commit_status: str) -> None:
    """May a submission in this state be committed?"""
    if commit_status != CommitStatus.PENDING:
        raise DomainError(Code.REQUEST_INVALID_FOR_CURRENT_STATE, ONLY_PENDING)


def check_update(
    *,
    is_received: bool,
    has_failed: bool,
    name: str | None,
    others: Sequence[str],
    findings: Sequence[tuple[str, str]] = (),
) -> None:
    """May the submission be changed? ``others`` are the properties that the request would change besides its name,
    ``findings`` what else is wrong with it: all are told at once.
    """
    if is_received:
        raise DomainError(
            Code.UPDATE_UNAUTHORIZED,
            "The submission was received by sharing: only the account that shared it can change it.",
        )
    if has_failed:
        raise DomainError(
            Code.UPDATE_UNAUTHORIZED, "The workflow of the submission has failed: it cannot be changed any more."
        )
    found = [*findings, *((each, CANNOT_CHANGE) for each in others)]
    if name is None and not found:
        found = [("name", NOTHING_GIVEN)]
    if found:
        raise DomainError(Code.INVALID_INPUT, "The submission cannot be changed so; validationErrors lists why.", found)
