"""What a signature is worth: the law of the design, held over the whole table, and the page that repeats it."""

import runpy

import pytest

from hwdash.domain.trust import IN_SHORT, NOTES, RELEASES, Answer, Kind, SetUp, verdicts
from service import ROOT

STRICT = [each for each in RELEASES if each.is_strict]


def test_with_secure_boot_no_kernel_driver_loads_but_by_custom_kernel_signers() -> None:
    judged = list(verdicts(Kind.KERNEL, secure_boot=[True]))
    assert {each.windows.key for each in judged} == {each.key for each in RELEASES}
    others = [each for each in judged if each.set_up != SetUp.KERNEL_SIGNERS]
    assert {each.answer for each in others} == {Answer.NEVER}
    signers = {each.windows.key: each.answer for each in judged if each.set_up == SetUp.KERNEL_SIGNERS}
    assert {key for key, answer in signers.items() if answer == Answer.CONDITIONAL} == {each.key for each in STRICT}
    assert Answer.LOADS not in signers.values()


def test_without_secure_boot_a_kernel_driver_loads_in_test_signing_mode_alone() -> None:
    loads = {each.set_up for each in verdicts(Kind.KERNEL, secure_boot=[False]) if each.answer != Answer.NEVER}
    assert loads == {SetUp.TEST_SIGNING}


@pytest.mark.parametrize("kind", Kind)
def test_a_machine_as_it_comes_takes_nothing_of_ours(kind: Kind) -> None:
    as_it_comes = [each for each in verdicts(kind) if each.set_up == SetUp.AS_IT_COMES]
    assert len(as_it_comes) == 2 * len(RELEASES)
    assert {each.answer for each in as_it_comes} == {Answer.NEVER}


def test_user_mode_packages_load_where_the_root_is_whatever_secure_boot_says() -> None:
    judged = [each for each in verdicts(Kind.USER) if each.set_up == SetUp.ROOT]
    assert {each.secure_boot for each in judged} == {True, False}
    assert {each.answer for each in judged} == {Answer.LOADS}


@pytest.mark.parametrize("kind", Kind)
def test_every_claim_is_a_sentence_and_names_its_source(kind: Kind) -> None:
    claims = [(each.why, each.source) for each in verdicts(kind)] + list(NOTES)
    assert all(text.endswith(".") and source for text, source in claims)


def test_the_page_says_what_the_table_says() -> None:
    """Where this fails: ``.venv/bin/python scripts/signature_worth.py``."""
    script = runpy.run_path(str(ROOT / "scripts" / "signature_worth.py"))
    text = script["PAGE"].read_text("utf-8")
    assert script["written"](text) == text
    assert "never loads" in text
    assert "not Microsoft's" in IN_SHORT
