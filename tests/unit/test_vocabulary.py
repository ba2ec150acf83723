"""The vocabulary: one spelling out, any case in."""

import json
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from hwdash import vocabulary
from hwdash.vocabulary import (
    OPERATING_SYSTEMS,
    OS_FAMILIES,
    PRODUCT_TYPES,
    RELEASES,
    SHARING_STEPS,
    SUBMISSION_STEPS,
    SYSTEM_PRODUCT_TYPES,
    WINDOWS_UPDATE_STEPS,
    CommitStatus,
    DownloadType,
    Role,
    TestHarness,
    WorkflowState,
    operating_system,
    os_family,
    product_type,
)

SHARED = Path(__file__).parents[2] / ".." / "shared"


def test_the_steps_of_a_submission_stand_in_the_documented_order() -> None:
    assert SUBMISSION_STEPS == (
        "packageInfoValidation",
        "preparation",
        "scanning",
        "validation",
        "catalogCreation",
        "manualReview",
        "signing",
        "finalizeIngestion",
    )


def test_the_two_kinds_of_labels_part_after_publish_job_validation() -> None:
    assert WINDOWS_UPDATE_STEPS[:4] == SHARING_STEPS[:4]
    assert SHARING_STEPS[4:] == ("processSharing", "finalizeSharing")
    assert WINDOWS_UPDATE_STEPS[4:] == ("updateGeneration", "microsoftApproval", "publishing", "finalizePublishing")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("HLK", TestHarness.HLK),
        ("attestation", TestHarness.ATTESTATION),
        ("NotSet", TestHarness.NOT_SET),
        ("CommitPending", CommitStatus.PENDING),
        ("commitStarted", CommitStatus.RECEIVED),
        ("CommitCompleted", CommitStatus.COMPLETE),
        ("COMPLETED", WorkflowState.COMPLETED),
        ("externalnotes", DownloadType.EXTERNAL_NOTES),
        ("driver submitter", Role.DRIVER_SUBMITTER),
    ],
)
def test_words_are_found_in_any_case_and_under_older_names(text: str, word: str) -> None:
    assert type(word)(text) is word


@pytest.mark.parametrize("value", ["HLKX", "", None, 1])
def test_other_values_are_not_words(value: object) -> None:
    with pytest.raises(ValueError, match="is not a valid"):
        TestHarness(value)


@pytest.mark.parametrize("spelled", [str.upper, str.lower, str])
@pytest.mark.parametrize("system", OPERATING_SYSTEMS, ids=lambda system: system.code)
def test_os_codes_are_found_in_any_case(system: vocabulary.OperatingSystem, spelled: type[str]) -> None:
    assert operating_system(spelled(system.code)) is system


def test_an_os_code_carries_what_inf_decorations_are_compared_with() -> None:
    found = operating_system("windows_V100_server_x64_rs5_full")
    assert found is not None
    assert found.code == "WINDOWS_v100_SERVER_X64_RS5_FULL"
    assert (found.architecture, found.server) == ("amd64", True)
    assert (found.major, found.minor, found.build) == (10, 0, 17763)
    assert (found.release, found.floor, found.family) == ("RS5", "RS5", "Windows_v100Server_RS5")
    assert found.documented


@pytest.mark.parametrize(
    "code", ["WINDOWS_v100_ARM64_RS5_FULL", "WINDOWS_v100_X64_25H2_FULL", "WINDOWS_v100_SERVER_ARM64_RS4_FULL"]
)
def test_codes_seen_in_practice_are_known_but_not_documented(code: str) -> None:
    found = operating_system(code)
    assert found is not None
    assert not found.documented


@pytest.mark.parametrize("code", ["WINDOWS_v100_X86_TH2_FULL", "", "WINDOWS_v100_X64_GE_FULL "])
def test_invented_codes_are_unknown(code: str) -> None:
    assert operating_system(code) is None


def test_a_windows_10_code_spells_out_its_own_row() -> None:
    for system in OPERATING_SYSTEMS:
        match = re.fullmatch(r"WINDOWS_v100_(SERVER_)?(?:(X64|ARM64)_)?(\w+)_FULL", system.code)
        if match is None:
            assert system.major < 10
            continue
        server, architecture, release = match.groups()
        family = f"Windows_v100{'Server' if server else ''}" + ("" if release in ("TH1", "TH2") else f"_{release}")
        expected = ({"X64": "amd64", "ARM64": "arm64", None: "x86"}[architecture], bool(server), release, family)
        assert (system.architecture, system.server, system.release, system.family) == expected
        assert system.floor == ("TH" if release in ("TH1", "TH2") else release)
        assert system.floor in RELEASES


def test_every_family_of_a_code_is_a_family() -> None:
    assert {system.family for system in OPERATING_SYSTEMS} <= {family.code for family in OS_FAMILIES}
    assert os_family("windows_v100_rs5") == "Windows_v100_RS5"
    assert os_family("Windows_v101") is None


def test_later_releases_have_higher_builds() -> None:
    builds = {system.floor: system.build for system in OPERATING_SYSTEMS if system.floor and system.build}
    ordered = [builds[token] for token in RELEASES if token in builds]
    assert ordered == sorted(ordered)


def test_product_types_keep_their_irregular_spelling() -> None:
    assert len(PRODUCT_TYPES) == len(set(PRODUCT_TYPES)) == 148
    assert product_type("graphics adapter wddm1.2 displayonly") == "Graphics Adapter WDDM1.2 DisplayOnly"
    assert product_type("Graphics Adapter WDDM2.0 display only") == "Graphics Adapter WDDM2.0 Display Only"
    assert product_type("UNCLASSIFIED") == "Unclassified"
    assert product_type("Toaster") is None
    assert set(PRODUCT_TYPES) >= SYSTEM_PRODUCT_TYPES


def test_floors_are_found_in_any_case() -> None:
    assert vocabulary.release("19h1") == "19H1"
    assert vocabulary.release("RS9") is None
    assert set(vocabulary.DOCUMENTED_FLOORS) < set(RELEASES)


def test_the_module_imports_nothing_heavy() -> None:
    program = (
        "import sys; import hwdash.vocabulary; print(*(m for m in ('pydantic', 'dataclasses') if m in sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""


def _documented_rows(section: str) -> list[str]:
    """Codes of a table of the contract, where that lies beside the repository; else none, with a warning."""
    contract = SHARED / "contract" / "api.md"
    if not contract.exists():
        warnings.warn("the contract is not beside the repository: its tables are not compared", stacklevel=2)
        return []
    body = contract.read_text(encoding="utf-8").split(f"### {section} ")[1].split("\n### ")[0]
    return re.findall(r"^\| `([^`]+)` \|", body, re.MULTILINE)


@pytest.mark.parametrize("code", ["WINDOWS_v63_X64", *_documented_rows("10.3")])
def test_the_contract_lists_the_os_code(code: str) -> None:
    found = operating_system(code)
    assert found is not None
    assert found.code == code
    assert found.documented


@pytest.mark.parametrize("code", ["Windows_v100Server_FE", *_documented_rows("10.2")])
def test_the_contract_lists_the_family(code: str) -> None:
    assert os_family(code.upper()) == code


def test_packaged_tables_are_ascii_json() -> None:
    for table in (Path(vocabulary.__file__).parent / "vocabulary_data").iterdir():
        assert table.read_bytes().isascii()
        assert json.loads(table.read_bytes())


NEW = "WINDOWS_v100_SERVER_ARM64_27H2_FULL"


def test_a_code_of_a_release_to_come_is_taken_apart_when_such_are_accepted() -> None:
    found = operating_system(NEW.lower(), accept_new=True)
    assert found is not None
    assert (found.code, found.family) == (NEW, "Windows_v100Server_27H2")
    assert (found.architecture, found.server, found.release) == ("arm64", True, "27H2")
    assert (found.major, found.minor, found.build, found.documented) == (10, 0, None, False)
    assert operating_system(NEW) is None
    assert os_family("windows_v100server_27h2", accept_new=True) == "Windows_v100Server_27H2"
    assert os_family("Windows_v100Server_27H2") is None


@pytest.mark.parametrize(
    "code",
    ["WINDOWS_v100_X86_TH2_FULL", "WINDOWS_v110_X64_GE_FULL", "WINDOWS_v100_X64_GE", "WINDOWS_v100__FULL", NEW + " "],
)
def test_other_forms_are_not_taken_for_new_codes(code: str) -> None:
    assert operating_system(code, accept_new=True) is None


def test_known_codes_are_the_same_whether_new_ones_are_accepted_or_not() -> None:
    for system in OPERATING_SYSTEMS:
        assert operating_system(system.code, accept_new=True) is system
