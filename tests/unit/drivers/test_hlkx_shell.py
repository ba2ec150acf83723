"""The shell of an HLK package, and whether another package was made from it. Inferred: see docs/explanation/hlkx.md."""

import io
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authenticode_oracle import signatory
from hlkx_writer import CORE, PACKAGE_INFO, ROOT, hlkx_parts, packed, relationships, sign
from hwdash.drivers.cab import CabinetLimits
from hwdash.drivers.hlkx import Hlkx
from hwdash.drivers.hlkx_shell import check_derived, package_facts, write_shell

WHEN = datetime(2026, 11, 23, 14, 15, 16, tzinfo=UTC)
INFO = "hck/data/PackageInfo.xml"
DRIVER = {"drivers/widget/widget.inf": b"[Version]\n", "drivers/widget/widget.sys": b"MZ"}


def opened(raw: bytes) -> Hlkx:
    package = Hlkx.open(io.BytesIO(raw), source="p.hlkx")
    package.check_limits(CabinetLimits())
    return package


def shell_of(raw: bytes, when: datetime = WHEN) -> bytes:
    out = io.BytesIO()
    package = opened(raw)
    try:
        write_shell(package, out, when)
    finally:
        package.close()
    return out.getvalue()


def names(shell: bytes) -> set[str]:
    return set(zipfile.ZipFile(io.BytesIO(shell)).namelist())


def test_a_signed_package_loses_drivers_results_and_signature() -> None:
    shell = shell_of(packed(sign(hlkx_parts(more=DRIVER | {"hck/data/log.txt": b"x"}), signatory())))
    assert names(shell) == {"[Content_Types].xml", "_rels/.rels", CORE, INFO}
    package = opened(shell)
    assert package.signature is None
    assert package.files == ()
    # The kit's second relationship to PackageInfo.xml, misspelt as it is, stays too.
    assert [link.id for link in package.package.relationships()] == ["R1", "R3", "R0"]
    assert {part.content_type for part in package.package.parts if part.name.startswith("/hck")} == {
        "application/octet"
    }


def test_the_same_package_and_time_give_the_same_bytes() -> None:
    raw = packed(hlkx_parts(more=DRIVER))
    assert shell_of(raw) == shell_of(raw)
    assert shell_of(raw) != shell_of(raw, WHEN.replace(year=2027))


def test_the_shell_of_a_shell_is_the_shell() -> None:
    shell = shell_of(packed(hlkx_parts(more=DRIVER)))
    assert shell_of(shell) == shell


def test_a_core_part_with_a_driver_in_it_is_left_out() -> None:
    with_driver = io.BytesIO()
    with zipfile.ZipFile(with_driver, "w") as archive:
        archive.writestr("widget/widget.inf", "[Version]\n")
    parts = hlkx_parts(more={CORE: with_driver.getvalue()})
    assert names(shell_of(packed(parts))) == {"[Content_Types].xml", "_rels/.rels", INFO}


def test_relationships_to_the_outside_are_left_out() -> None:
    kinds = [kind for _, kind, _ in ROOT]
    linked = relationships([("A", kinds[0], f"/{INFO}"), ("B", kinds[2], f"/{CORE}")])
    linked = linked.replace(
        b"</Relationships>",
        b'<Relationship Type="http://x/coredata" Target="https://example.org/a" TargetMode="External" Id="C"/>'
        b"</Relationships>",
    )
    shell = shell_of(packed(hlkx_parts() | {"_rels/.rels": linked}))
    assert b"example.org" not in zipfile.ZipFile(io.BytesIO(shell)).read("_rels/.rels")


def facts(info: bytes = PACKAGE_INFO) -> dict[str, Any]:
    return package_facts(opened(packed(hlkx_parts(more={INFO: info}))).package_info)


def rules(own: Mapping[str, Any], initial: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    found = check_derived(own, initial, "Initial_7.hlkx")
    assert all(each.inferred and each.file == "Initial_7.hlkx" for each in found)
    return [(each.rule.removeprefix("package.derived-"), each.level) for each in found]


def test_an_update_made_from_the_shell_is_none_the_worse() -> None:
    assert rules(facts(), facts()) == []
    assert rules(facts(PACKAGE_INFO.replace(b'ReplacesId=""', b'ReplacesId="d-1"')), facts()) == []


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        (b"Contoso widget", b"Other", ("project", "error")),
        (b"_X64_22H2_FULL", b"_ARM64_22H2_FULL", ("systems", "error")),
        (b"2.0.0.0", b"3.0.0.0", ("format", "warning")),
        (b'Passed="5"', b'Passed="6"', ("results", "warning")),
        (b'ReplacesId=""', b'ReplacesId="d-9"', ("replaces", "warning")),
        (b'Project Name="Contoso widget"', b"Project", ("unknown", "warning")),
    ],
)
def test_what_does_not_fit_the_initial_package_is_found(old: bytes, new: bytes, rule: tuple[str, str]) -> None:
    assert rules(facts(PACKAGE_INFO.replace(old, new)), facts()) == [rule]


def test_without_the_initial_package_nothing_can_be_told() -> None:
    assert rules(facts(), None) == [("unknown", "warning")]


def test_fewer_operating_systems_are_no_fault() -> None:
    initial = facts() | {"operatingSystems": [*facts()["operatingSystems"], "WINDOWS_v100_X64_GE_FULL"]}
    assert rules(facts(), initial) == []


TEXT = st.none() | st.text(max_size=5)
FACTS = st.fixed_dictionaries(
    {
        "project": TEXT,
        "formatVersion": TEXT,
        "operatingSystems": st.lists(st.text(max_size=3), max_size=4),
        "driverIds": st.lists(st.text(max_size=3), max_size=4),
        "replacedDriverIds": st.just([]),
        "tests": st.none() | st.lists(st.integers(), min_size=3, max_size=3),
    }
)


@given(FACTS, FACTS)
def test_a_package_is_always_an_update_of_itself_and_errors_are_of_project_or_systems(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert not [rule for rule, level in rules(one, one) if level == "error"]
    assert {rule for rule, level in rules(one, other) if level == "error"} <= {"project", "systems"}
