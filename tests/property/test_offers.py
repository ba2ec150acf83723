"""Properties of offers over generated labels and machines."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from hwdash.distribution.applicability import Candidate, TargetedId
from hwdash.distribution.machine import Device, Machine
from hwdash.distribution.offers import Found
from hwdash.vocabulary import OPERATING_SYSTEMS, RELEASES
from offered import AUTOMATIC, CHIDS, MANUAL, PUSHED_ONLY, UPGRADES_ONLY, installed, rollout, told, ver

IDS = [f"usb\\vid_{number}" for number in range(5)]
EXTENSIONS = [f"0f3d9a6e-1111-4222-8333-{number:012}" for number in range(2)]
CODES = [each.code for each in OPERATING_SYSTEMS]
DAYS = st.sampled_from(["2020-01-01", "2025-06-01", "2026-01-31"])
VERSIONS = st.builds(ver, st.sampled_from(["1.0.0.0", "1.0.0.1", "2.0.0.0"]), DAYS)
SOME_CHIDS = st.frozensets(st.sampled_from(CHIDS), min_size=1, max_size=3)
TARGETS = st.builds(
    TargetedId,
    st.sampled_from(IDS),
    st.sampled_from(CODES),
    state=st.sampled_from(["added", "added", "pendingRemove", "pendingAdd", "notSet"]),
    run=st.integers(1, 2),
    feature_score=st.none() | st.integers(0, 255),
    position=st.integers(0, 3),
)
FLOORS = st.sampled_from(["", *RELEASES])


def _label(floor: str, ceiling: str, **values: object) -> Candidate:
    published = {"inServicePublishInfo": {"flooring": floor, "ceiling": ceiling}}
    made = Candidate(0, "L", 10, 100, "bundle", "driver.inf", ver("1.0.0.0"), (), live_targeting=published)
    return replace(made, **values)  # type: ignore[arg-type]  # of any field


LABELS = st.builds(
    _label,
    FLOORS,
    FLOORS,
    ver=VERSIONS,
    ids=st.lists(TARGETS, min_size=1, max_size=4).map(tuple),
    specifications=st.sampled_from([AUTOMATIC, PUSHED_ONLY, UPGRADES_ONLY, MANUAL]),
    chids=st.none() | SOME_CHIDS,
    extension_id=st.none() | st.sampled_from(EXTENSIONS),
    is_flight_signed=st.booleans(),
    run=st.just(2),
    rollout=st.none() | st.builds(rollout, st.integers(1, 31), paused=st.booleans(), is_finalized=st.booleans()),
)
DEVICES = st.builds(
    Device,
    st.lists(st.sampled_from(IDS), min_size=1, max_size=3, unique=True).map(tuple),
    st.lists(st.sampled_from(IDS), max_size=2, unique=True).map(tuple),
    st.none()
    | st.builds(
        installed,
        st.sampled_from(["1.0.0.0", "2.0.0.0"]),
        DAYS,
        rank=st.none() | st.integers(0, 0xFFFFFFFF),
        is_generic=st.booleans(),
    ),
)
MACHINES = st.builds(
    Machine,
    st.sampled_from([7601, 9600, 10240, 14393, 15063, 16299, 18363, 19045, 22631, 26100, 26200, 28000]),
    st.sampled_from(["amd64", "amd64", "x86", "arm64"]),
    st.lists(DEVICES, min_size=1, max_size=3).map(tuple),
    is_server=st.booleans(),
    is_upgrade=st.booleans(),
    chids=st.lists(st.sampled_from(CHIDS), max_size=5, unique=True).map(tuple),
    is_insider=st.booleans(),
    bucket=st.floats(0, 99.99),
)
PUBLISHED = st.lists(LABELS, min_size=1, max_size=5).map(
    lambda labels: [replace(each, label_id=number) for number, each in enumerate(labels)]
)


def offered_for(found: list[Found], label_id: int) -> set[int]:
    """The devices, by their places, for which a label is offered."""
    return {place for place, each in enumerate(found) if any(o.candidate.label_id == label_id for o in each.offers)}


def with_first(published: list[Candidate], **changes: object) -> list[Candidate]:
    return [replace(published[0], **changes), *published[1:]]  # type: ignore[arg-type]  # of any field


@given(MACHINES, PUBLISHED)
def test_every_driver_that_matches_is_offered_or_refused_once(machine: Machine, published: list[Candidate]) -> None:
    for device, found in zip(machine.devices, told(machine, *published), strict=True):
        ids = {*device.hardware_ids, *device.compatible_ids}
        matching = [each.label_id for each in published if ids & {row.hardware_id for row in each.ids}]
        spoken_of = [each.candidate.label_id for each in (*found.offers, *found.refused)]
        assert sorted(spoken_of) == matching


@given(MACHINES, PUBLISHED)
def test_a_device_gets_one_automatic_driver_one_optional_one_and_one_of_each_extension(
    machine: Machine, published: list[Candidate]
) -> None:
    for found in told(machine, *published):
        kinds = [(each.candidate.extension_id, str(each.kind)) for each in found.offers]
        assert len(set(kinds)) == len(kinds)
        assert all(kind == "automatic" for extension, kind in kinds if extension)


@given(MACHINES, PUBLISHED, st.integers(0, len(RELEASES)))
def test_raising_a_labels_floor_never_adds_an_offer_of_it(
    machine: Machine, published: list[Candidate], higher: int
) -> None:
    info = (published[0].live_targeting or {})["inServicePublishInfo"]
    floors = ["", *RELEASES]
    floor = floors[max(higher, floors.index(info["flooring"]))]
    raised = with_first(published, live_targeting={"inServicePublishInfo": info | {"flooring": floor}})
    assert offered_for(told(machine, *raised), 0) <= offered_for(told(machine, *published), 0)


@given(MACHINES, PUBLISHED, SOME_CHIDS)
def test_the_first_chid_of_a_label_never_adds_a_machine(
    machine: Machine, published: list[Candidate], chids: frozenset[str]
) -> None:
    """And taking the last one away never removes one. From 1709 on, where a CHID is nothing but a restriction."""
    machine = replace(machine, build=max(machine.build, 16299))
    free, bound = with_first(published, chids=None), with_first(published, chids=chids)
    assert offered_for(told(machine, *bound), 0) <= offered_for(told(machine, *free), 0)


@given(MACHINES, PUBLISHED, SOME_CHIDS, SOME_CHIDS)
def test_a_further_chid_of_a_label_never_removes_a_machine(
    machine: Machine, published: list[Candidate], chids: frozenset[str], more: frozenset[str]
) -> None:
    fewer, all_of_them = with_first(published, chids=chids), with_first(published, chids=chids | more)
    assert offered_for(told(machine, *fewer), 0) <= offered_for(told(machine, *all_of_them), 0)


@given(MACHINES, PUBLISHED, st.integers(1, 31), st.integers(0, 31))
def test_a_rollout_that_goes_on_never_removes_a_machine(
    machine: Machine, published: list[Candidate], day: int, later: int
) -> None:
    """100 % has everyone of 10 %."""
    before, after = (with_first(published, rollout=rollout(each)) for each in (day, day + later))
    assert offered_for(told(machine, *before), 0) <= offered_for(told(machine, *after), 0)
    finished = with_first(published, rollout=rollout(day, is_finalized=True))
    assert offered_for(told(machine, *after), 0) <= offered_for(told(machine, *finished), 0)


@given(MACHINES, PUBLISHED, st.randoms(use_true_random=False))
def test_neither_the_order_of_devices_nor_that_of_labels_matters(
    machine: Machine, published: list[Candidate], random: object
) -> None:
    devices, labels = list(machine.devices), list(published)
    for each in (devices, labels):
        random.shuffle(each)  # type: ignore[attr-defined]  # a Random
    shuffled = told(replace(machine, devices=tuple(devices)), *labels)
    plain = told(machine, *published)
    assert sorted(map(repr, shuffled)) == sorted(map(repr, plain))


@given(MACHINES, PUBLISHED)
def test_nothing_is_offered_that_is_not_better_than_what_the_device_has(
    machine: Machine, published: list[Candidate]
) -> None:
    for device, found in zip(machine.devices, told(machine, *published), strict=True):
        has = device.installed
        for offer in found.offers:
            if has is not None and offer.candidate.extension_id is None:
                known = offer.match.rank if has.rank is None else has.rank
                assert (offer.match.rank, has.ver.key) <= (known, offer.candidate.ver.key)
                assert (offer.match.rank, offer.candidate.ver) != (known, has.ver)
