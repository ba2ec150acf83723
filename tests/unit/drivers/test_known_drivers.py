"""Lists of known bad drivers: what is read, what is looked over, and that whatever is wrong is told with its place."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwdash.drivers.errors import ParseError
from hwdash.drivers.known_drivers import KnownDrivers

SHA256, SHA1, MD5 = "5a" * 32, "1c" * 20, "d3" * 16


def listed(*samples: object, **entry: object) -> bytes:
    driver = {"Id": "e32b", "Tags": ["Widget.sys", "Gadget.sys"], "KnownVulnerableSamples": list(samples)}
    return json.dumps([driver | entry]).encode()


def parse(content: bytes) -> KnownDrivers:
    return KnownDrivers.parse(content, source="list.json")


@pytest.mark.parametrize(
    ("sample", "files", "images", "told"),
    [
        ({"SHA256": SHA256}, [SHA256], [], f"SHA256 {SHA256}"),
        ({"SHA1": SHA1.upper()}, [SHA1], [], f"SHA1 {SHA1}"),
        ({"MD5": f" {MD5} "}, [MD5], [], f"MD5 {MD5}"),
        ({"Authentihash": {"SHA256": SHA256}}, [], [SHA256], f"Authenticode SHA256 {SHA256}"),
        ({"Authentihash": {"SHA1": SHA1}}, [], [SHA1], f"Authenticode SHA1 {SHA1}"),
    ],
)
def test_a_file_is_found_by_each_of_its_digests(
    sample: dict[str, object], files: list[str], images: list[str], told: str
) -> None:
    found = parse(listed(sample)).find(files, images)
    assert found is not None
    assert (found[0].entry, found[0].names, found[1]) == ("e32b", "Widget.sys, Gadget.sys", told)


def test_a_digest_of_one_kind_is_not_taken_for_the_other() -> None:
    known = parse(listed({"SHA256": SHA256}, {"Authentihash": {"SHA1": SHA1}}))
    assert known.find([SHA1], [SHA256]) is None


@pytest.mark.parametrize("unknown", ["", "-", "N/A", None])
def test_what_is_not_known_of_a_sample_is_looked_over(unknown: str | None) -> None:
    known = parse(listed({"Filename": "a.sys", "SHA256": unknown, "SHA1": SHA1, "Authentihash": None}))
    assert known.find([SHA1], []) is not None
    assert "" not in known.files


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is not JSON"),
        (b"\xff\xfe\x00", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"{}", "it is not an array of drivers"),
        (b"[7]", r"\[0\] is not an object"),
        (b'[{"Id": "x"}]', r"\[0\]\.KnownVulnerableSamples is not an array"),
        (listed("x"), r"\[0\]\.KnownVulnerableSamples\[0\] is not an object"),
        (listed({"SHA256": 7}), r"\[0\]\.KnownVulnerableSamples\[0\]\.SHA256 is not text"),
        (listed({"SHA256": SHA1}), r"SHA256 is not 64 hex digits"),
        (listed({"Authentihash": {"SHA1": "g" * 40}}), r"Authentihash\.SHA1 is not 40 hex digits: 'gggg"),
        (listed({"Authentihash": "x"}), r"Authentihash is not an object"),
    ],
)
def test_what_is_no_list_is_refused_with_its_place(content: bytes, said: str) -> None:
    with pytest.raises(ParseError, match=said) as refusal:
        parse(content)
    assert str(refusal.value).startswith("list.json: ")


def test_names_are_one_line_for_messages() -> None:
    known = parse(listed({"SHA1": SHA1}, Id="a\nb\ud800", Tags="x" * 1000))
    driver = known.files[SHA1]
    assert (driver.entry, driver.names) == ("a?b?", "x" * 200)


def test_everything_that_is_wrong_is_told_at_once_up_to_a_limit() -> None:
    with pytest.raises(ParseError) as refusal:
        parse(listed(*({"MD5": "x"} for _ in range(30))))
    assert refusal.value.message.count("is not 32 hex digits") == 20
    assert refusal.value.message.endswith("; and 10 more")


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.just(SHA1),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["Id", "Tags", "KnownVulnerableSamples", "SHA1", "Authentihash"]), inner),
    max_leaves=20,
).map(lambda document: json.dumps([document]).encode()))  # fmt: skip
def test_any_content_is_read_or_refused(content: bytes) -> None:
    with suppress(ParseError):
        known = parse(content)
        assert all(len(each) in (32, 40, 64) for each in {*known.files, *known.images})
