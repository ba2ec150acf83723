"""Officers and policy in the key folder, and the words that officers sign."""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from hwdash.signing.errors import KeysError, OfficerRefused
from hwdash.signing.officers import (
    OFFICERS_FILE,
    POLICY_FILE,
    DualControl,
    Policy,
    new_officer_key,
    open_officer_key,
    read_public_key,
)
from officers import PASSPHRASE, Person, appointed

NOBODY = DualControl(Policy(), {})
ANN, BOB = Person("Ann", ["client-1"]), Person("Bob")
BOTH = appointed(NOBODY, ANN, BOB)
WORD = "application/vnd.hwdash.test+json"


def test_without_files_nobody_is_asked(tmp_path: Path) -> None:
    read = DualControl.read(tmp_path)
    assert read == NOBODY
    assert not read.policy.is_dual


def test_what_is_written_is_read_and_is_the_owners_only(tmp_path: Path) -> None:
    control = BOTH.with_policy(Policy(2, 2, 1, break_glass=False))
    control.write(tmp_path)
    assert DualControl.read(tmp_path) == control
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in (OFFICERS_FILE, POLICY_FILE)} == {0o600}


def test_both_survive_their_json() -> None:
    control = BOTH.with_policy(Policy(2, 2, 1, break_glass=False))
    assert DualControl.parse(json.loads(json.dumps(control.document())), "the signer") == control


def test_files_belong_to_whose_folder_it_is(tmp_path: Path) -> None:
    if os.geteuid() == 0:  # as an operator, for a signer under a user of its own
        os.chown(tmp_path, 12345, 12345)
    BOTH.write(tmp_path)
    assert {(tmp_path / name).stat().st_uid for name in (OFFICERS_FILE, POLICY_FILE)} == {tmp_path.stat().st_uid}


@pytest.mark.parametrize("file", [OFFICERS_FILE, POLICY_FILE])
@pytest.mark.parametrize("content", ["", "[]", "{", '{"officers": [{}], "release": -1}', '{"officers": 1, "more": 1}'])
def test_a_file_that_cannot_be_read_is_not_taken_for_none(tmp_path: Path, file: str, content: str) -> None:
    (tmp_path / file).write_text(content)
    with pytest.raises(KeysError, match="restore the file"):
        DualControl.read(tmp_path)


@pytest.mark.parametrize("member", ["release", "roleGrants", "certificates", "breakGlass"])
@pytest.mark.parametrize("value", [None, "1", 1.0, -1, 101])
def test_a_value_that_cannot_be_is_not_taken_for_the_default(tmp_path: Path, member: str, value: object) -> None:
    (tmp_path / POLICY_FILE).write_text(json.dumps({member: value}))
    with pytest.raises(KeysError, match="restore the file"):
        DualControl.read(tmp_path)


def test_a_word_is_opened_as_what_was_said(tmp_path: Path) -> None:
    BOTH.write(tmp_path)
    word = DualControl.read(tmp_path).open(BOTH.signed("Ann", ANN.key, WORD, {"a": "ü"}), WORD)
    assert (word.officer.name, word.said) == ("Ann", {"a": "ü", "officer": "Ann"})


def test_nobody_signs_as_another_officer_or_as_none() -> None:
    with pytest.raises(OfficerRefused, match="not the one of officer Bob"):
        BOTH.signed("Bob", ANN.key, WORD, {})
    with pytest.raises(OfficerRefused, match="there is no officer Eve; there are Ann, Bob"):
        BOTH.signed("Eve", ANN.key, WORD, {})


def test_a_word_counts_for_its_kind_only_and_while_its_officer_is_one() -> None:
    word = BOTH.signed("Ann", ANN.key, WORD, {})
    with pytest.raises(OfficerRefused, match="of the type"):
        BOTH.open(word, "application/vnd.hwdash.other+json")
    with pytest.raises(OfficerRefused, match="who was removed"):
        BOTH.without_officer("Ann").open(word, WORD)
    again = appointed(BOTH.without_officer("Ann"), Person("Ann"))
    with pytest.raises(OfficerRefused, match="who was removed"):
        again.open(word, WORD)


@pytest.mark.parametrize("damaged", ["", "{}", "[]", "[" * 5000, '{"signatures": []}', "null"])
def test_what_is_no_word_is_refused(damaged: str) -> None:
    with pytest.raises(OfficerRefused, match="not an officer's word"):
        BOTH.open(damaged, WORD)


def test_a_changed_word_is_refused() -> None:
    word = json.loads(BOTH.signed("Ann", ANN.key, WORD, {"a": 1}))
    other = json.loads(BOTH.signed("Ann", ANN.key, WORD, {"a": 2}))
    with pytest.raises(OfficerRefused, match="does not hold"):
        BOTH.open(json.dumps(word | {"payload": other["payload"]}), WORD)


def test_a_name_and_a_key_are_of_one_officer() -> None:
    with pytest.raises(OfficerRefused, match="already"):
        BOTH.with_officer(Person("Ann").officer)
    with pytest.raises(OfficerRefused, match="of another officer"):
        BOTH.with_officer(replace(ANN, name="Cy").officer)
    with pytest.raises(OfficerRefused, match="printable"):
        BOTH.with_officer(Person("a\nb").officer)


@pytest.mark.parametrize("policy", [Policy(release=3), replace(Policy(), release=3, certificates=2)])
def test_a_policy_that_nobody_could_meet_is_refused(policy: Policy) -> None:
    with pytest.raises(OfficerRefused, match="needs 3 officers"):
        BOTH.with_policy(policy)


@pytest.mark.parametrize("policy", [Policy(release=1), Policy(role_grants=2), Policy(certificates=2)])
def test_two_officers_stay_as_long_as_anything_needs_two_people(policy: Policy) -> None:
    control = BOTH.with_policy(policy)
    with pytest.raises(OfficerRefused, match="needs 2 officers"):
        control.without_officer("Ann")
    assert set(control.with_policy(Policy()).without_officer("Ann").officers) == {"Bob"}


def test_a_new_key_opens_with_its_passphrase_only(tmp_path: Path) -> None:
    private, public = new_officer_key(PASSPHRASE.encode())
    file = tmp_path / "ann.key"
    file.write_bytes(private)
    assert open_officer_key(file, PASSPHRASE.encode()).public_key() == read_public_key(public, "ann.key.pub")
    with pytest.raises(KeysError, match="does not open"):
        open_officer_key(file, b"another")
    with pytest.raises(KeysError, match="cannot be read"):
        open_officer_key(tmp_path / "none", b"x")


def test_keys_of_other_kinds_are_refused(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    file = tmp_path / "ec.key"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(KeysError):
        open_officer_key(file, b"x")
    with pytest.raises(KeysError, match="no public key of Ed25519"):
        read_public_key(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), "ec.pub")


def test_an_officer_is_known_by_when_they_were_added() -> None:
    assert BOTH.officers["Ann"].added_at == datetime(2026, 11, 1, tzinfo=UTC)
