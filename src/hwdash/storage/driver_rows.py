"""What a submission's packages hold, as rows: which hardware ids its labels can target."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from hwdash.domain.targets import DriverRow
from hwdash.storage.label_tables import driver_infs, driver_rows
from hwdash.storage.tables import submission_steps

LONGEST_ID = driver_rows.c.hardware_id.type.length or 0  # type: ignore[attr-defined]  # it is a String
MOST_NAMED = 500


def write_driver_rows(connection: sa.Connection, submission_id: int, preparation: Mapping[str, Any]) -> None:
    """Store what the step preparation found: its result has the driver metadata (contract/api.md 3.13) and
    ``positions`` (drivers/inf/metadata.py), which older results lack.
    """
    infs: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    positions: Mapping[str, Any] = preparation.get("positions", {})
    for bundle_id, bundle in preparation["metadata"]["BundleInfoMap"].items():
        for inf_id, inf in bundle["InfInfoMap"].items():
            infs.append({"submission_id": submission_id, "bundle_id": bundle_id} | _inf(inf_id, inf))
            found = positions.get(bundle_id, {}).get(inf_id, {})
            rows += _rows(submission_id, bundle_id, inf_id, inf["OSPnPInfoMap"], found)
    if infs:
        connection.execute(driver_infs.insert(), infs)
    if rows:
        connection.execute(driver_rows.insert(), rows)


def has_driver_rows(connection: sa.Connection, submission_id: int) -> bool:
    """Is it known what the submission's packages hold?"""
    found = sa.select(sa.literal(1)).where(driver_infs.c.submission_id == submission_id).limit(1)
    return connection.execute(found).first() is not None


def write_missing_driver_rows(connection: sa.Connection, submission_id: int) -> bool:
    """Write the rows of a submission that was prepared before there were any; whether it has rows now."""
    if has_driver_rows(connection, submission_id):
        return True
    preparation = connection.execute(
        sa.select(submission_steps.c.result).where(
            submission_steps.c.submission_id == submission_id, submission_steps.c.step == "preparation"
        )
    ).scalar_one_or_none()
    if preparation is None:
        return False
    write_driver_rows(connection, submission_id, preparation)
    return has_driver_rows(connection, submission_id)


def inf_names(connection: sa.Connection, submission_id: int) -> dict[tuple[str, str], str]:
    """The INFs by bundle id and name in lower case, as the metadata spells them."""
    query = sa.select(driver_infs.c.bundle_id, driver_infs.c.inf_id).where(driver_infs.c.submission_id == submission_id)
    return {(row.bundle_id, row.inf_id.lower()): row.inf_id for row in connection.execute(query)}


def known_rows(connection: sa.Connection, submission_id: int, asked: Iterable[DriverRow]) -> set[DriverRow]:
    """Which of these rows the submission has."""
    groups: dict[tuple[str, str, str], list[DriverRow]] = {}
    for row in asked:
        groups.setdefault(row[:3], []).append(row)
    found: set[DriverRow] = set()
    for (bundle_id, inf_id, os_code), rows in groups.items():
        query = sa.select(driver_rows.c.hardware_id).where(
            driver_rows.c.submission_id == submission_id,
            driver_rows.c.bundle_id == bundle_id,
            driver_rows.c.inf_id == inf_id,
            driver_rows.c.os_code == os_code,
        )
        # To name very many costs more than to read all that there are.
        if len(rows) <= MOST_NAMED:
            query = query.where(driver_rows.c.hardware_id.in_([row.hardware_id for row in rows]))
        known = set(connection.execute(query).scalars().all())
        found.update(row for row in rows if row.hardware_id in known)
    return found


def all_rows(connection: sa.Connection, submission_id: int) -> Sequence[DriverRow]:
    """Every row of the submission."""
    columns = driver_rows.c.bundle_id, driver_rows.c.inf_id, driver_rows.c.os_code, driver_rows.c.hardware_id
    rows = connection.execute(sa.select(*columns).where(driver_rows.c.submission_id == submission_id))
    return [DriverRow(*row) for row in rows]


def _inf(inf_id: str, inf: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "inf_id": inf_id,
        "inf_class": inf["InfClass"][:200],
        "class_guid": inf["ClassGuid"].strip("{}").lower()[:40],
        "provider": inf["Provider"][:300],
        "driver_date": inf["DriverDate"][:10],
        "driver_version": inf["DriverVersion"][:40],
        "extension_id": inf["ExtensionId"],
    }


def _rows(
    submission_id: int, bundle_id: str, inf_id: str, systems: Mapping[str, Any], positions: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    for os_code, pnp_ids in systems.items():
        places = positions.get(os_code, {})
        for hardware_id, facts in pnp_ids.items():
            if len(hardware_id) <= LONGEST_ID:  # no device has a longer one
                yield {
                    "submission_id": submission_id,
                    "bundle_id": bundle_id,
                    "inf_id": inf_id,
                    "os_code": os_code,
                    "hardware_id": hardware_id.lower(),
                    "feature_score": None if facts["FeatureScore"] is None else int(facts["FeatureScore"], 16),
                    "position": places.get(hardware_id, 0),
                }
