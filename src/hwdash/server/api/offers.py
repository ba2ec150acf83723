"""What a machine is offered: hwdash's own, no part of Microsoft's API."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa

from hwdash.distribution.applicability import Candidate, Match, TargetedId
from hwdash.distribution.machine import Machine, machine_of
from hwdash.distribution.offers import Found, offers
from hwdash.distribution.ranking import DriverVer, as_hex, parse_version
from hwdash.server.route import Caller
from hwdash.server.service import Service
from hwdash.storage.offers import find_candidates, names_of_audiences
from hwdash.wire import offers as wire


def get_offers(connection: sa.Connection, service: Service, caller: Caller, query: wire.OffersQuery) -> dict[str, Any]:
    """GET offers: the machine document in the query."""
    return ask_offers(connection, service, caller, query.machine)


def ask_offers(
    connection: sa.Connection, service: Service, caller: Caller, document: wire.MachineDocument
) -> dict[str, Any]:
    """POST offers: the machine document as the body."""
    machine = machine_of(document)
    rows = find_candidates(connection, caller.account_id, machine.ids, machine.chids)
    found = offers(machine, _candidates(rows, _audiences(connection, machine, rows)), service.clock())
    return wire.Offers(
        build=machine.build, rollout_bucket=machine.bucket, devices=[_device(each) for each in found]
    ).to_wire()


def _audiences(
    connection: sa.Connection, machine: Machine, rows: Sequence[sa.Row[Any]]
) -> Mapping[str, frozenset[str]]:
    """The names of the audiences that the labels are restricted to; to be asked only of a machine that is in any."""
    if not machine.audiences:
        return {}
    named = {each for row in rows for each in (row.live_targeting or {}).get("restrictedToAudiences") or ()}
    return names_of_audiences(connection, named)


def _candidates(rows: Sequence[sa.Row[Any]], audiences: Mapping[str, frozenset[str]]) -> list[Candidate]:
    drivers: dict[tuple[int, str, str], list[sa.Row[Any]]] = {}
    for row in rows:
        drivers.setdefault((row.id, row.bundle_id, row.inf_id), []).append(row)
    return [_candidate(targets, audiences) for targets in drivers.values()]


def _candidate(rows: Sequence[sa.Row[Any]], audiences: Mapping[str, frozenset[str]]) -> Candidate:
    row = rows[0]
    return Candidate(
        label_id=row.id,
        label_name=row.name if row.is_own else None,
        product_id=row.product_id,
        submission_id=row.submission_id,
        bundle_id=row.bundle_id,
        inf_id=row.inf_id,
        ver=DriverVer(date.fromisoformat(row.driver_date), parse_version(row.driver_version)),
        ids=tuple(
            TargetedId(each.hardware_id, each.os_code, each.state, each.added_by_run, each.feature_score, each.position)
            for each in rows
        ),
        specifications=row.specifications,
        live_targeting=row.live_targeting,
        chids=frozenset((row.own_chids or "").split()) if row.has_chids else None,
        audiences=audiences,
        extension_id=row.extension_id,
        is_flight_signed=bool(row.is_flight_signed),
        run=row.run,
        rollout=row.rollout,
        step=row.current_step,
        state=row.workflow_state,
        may_be_told=row.may_be_told,
    )


def _device(found: Found) -> wire.DeviceOffers:
    return wire.DeviceOffers(
        hardware_id=found.device.hardware_ids[0],
        offers=[wire.Offer(**_shown(each.candidate, each.match), kind=each.kind) for each in found.offers],
        refused=[
            wire.Refusal(
                **_shown(each.candidate, each.match), rule=each.rule.name, source=each.rule.source, reason=each.reason
            )
            for each in found.refused
            if each.candidate.may_be_told
        ],
    )


def _shown(candidate: Candidate, match: Match) -> dict[str, Any]:
    return {
        "label_id": candidate.label_id,
        "label_name": candidate.label_name,
        "product_id": candidate.product_id,
        "submission_id": candidate.submission_id,
        "bundle_id": candidate.bundle_id,
        "inf_id": candidate.inf_id,
        "extension_id": candidate.extension_id,
        "driver_date": candidate.ver.date.isoformat(),
        "driver_version": ".".join(map(str, candidate.ver.version)),
        "hardware_id": match.target.hardware_id,
        "operating_system_code": match.target.os_code,
        "rank": as_hex(match.rank),
    }
