"""When a product may get a submission, and when it may be changed and committed (contract/api.md 4.6, 4.8 and 4.9)."""

import pytest

from hwdash.domain.errors import Code, DomainError
from hwdash.domain.submission import (
    FIRST_STEP,
    LAST_STEP,
    allows_derived,
    check_commit,
    check_create,
    check_update,
    next_step,
)
from hwdash.vocabulary import SUBMISSION_STEPS, SubmissionType

FINISHED = (LAST_STEP, "completed")


def create(kind: SubmissionType, harness: str = "hlk", initial: tuple[str | None, str | None] | None = None) -> None:
    check_create(kind, test_harness=harness, is_test_sign=False, is_extension=False, initial=initial)


def test_the_steps_follow_one_another_to_the_last() -> None:
    walked = [FIRST_STEP]
    while (step := next_step(walked[-1])) is not None:
        walked.append(step)
    assert walked == list(SUBMISSION_STEPS)


def test_the_first_submission_is_initial_and_a_derived_one_follows_a_finished_one() -> None:
    create(SubmissionType.INITIAL)
    create(SubmissionType.DERIVED, initial=FINISHED)


@pytest.mark.parametrize("initial", [(None, None), (FIRST_STEP, "failed"), FINISHED])
def test_a_second_initial_submission_is_refused_whatever_became_of_the_first(
    initial: tuple[str | None, str | None],
) -> None:
    with pytest.raises(DomainError, match="Initial submission already exists") as refusal:
        create(SubmissionType.INITIAL, initial=initial)
    assert refusal.value.code is Code.REQUEST_INVALID_FOR_CURRENT_STATE


@pytest.mark.parametrize("initial", [None, (None, None), (LAST_STEP, "started"), (FIRST_STEP, "failed")])
def test_a_derived_submission_needs_a_finished_initial_one(initial: tuple[str | None, str | None] | None) -> None:
    with pytest.raises(DomainError) as refusal:
        create(SubmissionType.DERIVED, initial=initial)
    assert refusal.value.code is Code.REQUEST_INVALID_FOR_CURRENT_STATE


def test_attestation_has_no_derived_submissions() -> None:
    with pytest.raises(DomainError, match="Cannot create derived submission for Attestation"):
        create(SubmissionType.DERIVED, harness="attestation", initial=FINISHED)


def test_only_a_pending_submission_can_be_committed() -> None:
    check_commit("commitPending")
    for status in ("commitReceived", "commitComplete", "commitFailed"):
        with pytest.raises(DomainError, match=r"^Only pending submissions can be committed\.$"):
            check_commit(status)


@pytest.mark.parametrize("harness", ["attestation", "hlk", "hck"])
@pytest.mark.parametrize(("test_sign", "extension"), [(True, False), (False, True), (True, True)])
def test_test_signed_products_and_extensions_have_no_derived_submissions(
    harness: str, test_sign: bool, extension: bool
) -> None:
    assert not allows_derived(harness, is_test_sign=test_sign, is_extension=extension)
    with pytest.raises(
        DomainError, match="Cannot create derived submission for Attestation, TestSigned and ExtensionInf"
    ):
        check_create(
            SubmissionType.DERIVED,
            test_harness=harness,
            is_test_sign=test_sign,
            is_extension=extension,
            initial=FINISHED,
        )


def update(**changes: object) -> None:
    given: dict[str, object] = {"is_received": False, "has_failed": False, "name": "n", "others": []}
    check_update(**(given | changes))  # type: ignore[arg-type]  # parametrised below


def test_a_submission_is_renamed_unless_it_was_received_or_has_failed() -> None:
    update()
    for state in ("is_received", "has_failed"):
        with pytest.raises(DomainError) as refused:
            update(**{state: True})
        assert refused.value.code is Code.UPDATE_UNAUTHORIZED


def test_an_update_of_a_submission_needs_a_name_and_changes_nothing_else() -> None:
    with pytest.raises(DomainError) as nothing:
        update(name=None)
    assert [target for target, _ in nothing.value.targets] == ["name"]
    with pytest.raises(DomainError) as others:
        update(name=None, others=["type", "id"], findings=[("name", "Must not be blank.")])
    assert [target for target, _ in others.value.targets] == ["name", "type", "id"]
