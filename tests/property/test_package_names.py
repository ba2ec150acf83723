"""Names in a package: what may become a path, and what can stand side by side."""

from hypothesis import given
from hypothesis import strategies as st

from hwdash.drivers.package import clashing_names, unsafe_path_reason


@given(st.text(st.sampled_from("aA.\\/ :C\0é?"), max_size=12))
def test_a_safe_name_stays_below_its_folder(name: str) -> None:
    if unsafe_path_reason(name) is None:
        parts = name.replace("/", "\\").split("\\")
        assert all(part.strip(". ") and ":" not in part and part == part.rstrip(". ") for part in parts)


@given(st.lists(st.text(st.sampled_from("aAb\\/"), min_size=1, max_size=5), max_size=8))
def test_names_clash_exactly_when_windows_cannot_hold_both(listed: list[str]) -> None:
    keys = [name.replace("/", "\\").casefold() for name in listed]
    clash = any(
        one == other or other.startswith(one + "\\")
        for i, one in enumerate(keys)
        for j, other in enumerate(keys)
        if i != j
    )
    assert bool(clashing_names(listed)) == clash
