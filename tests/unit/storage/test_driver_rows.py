"""What a submission's packages hold, as rows."""

from pathlib import Path

import sqlalchemy as sa

from finished_submission import BUNDLE, INF, ROWS, RS3, finished_submission, metadata_of, stage_of_labels
from hwdash.domain.targets import DriverRow
from hwdash.storage.driver_rows import (
    all_rows,
    has_driver_rows,
    inf_names,
    known_rows,
    write_driver_rows,
    write_missing_driver_rows,
)
from hwdash.storage.label_tables import driver_infs, driver_rows


def test_the_metadata_becomes_rows(tmp_path: Path) -> None:
    with stage_of_labels(tmp_path) as (database, finished), database.writing() as connection:
        extension = {"ExtensionId": "cf51c86e-1f54-4f5c-9e2d-0b1c7e1b6e51"}
        made = finished_submission(connection, finished.account_id, inf=extension, positions={ROWS[1]: 3})
        assert sorted(all_rows(connection, made.id)) == sorted(ROWS)
        inf = connection.execute(sa.select(driver_infs).where(driver_infs.c.submission_id == made.id)).one()
        assert (inf.bundle_id, inf.inf_id, inf.inf_class, inf.provider) == (BUNDLE, INF, "System", "Contoso")
        assert inf.class_guid == "4d36e97d-e325-11ce-bfc1-08002be10318"
        assert (inf.driver_date, inf.driver_version) == ("2026-01-02", "1.2.3.4")
        assert inf.extension_id == "cf51c86e-1f54-4f5c-9e2d-0b1c7e1b6e51"
        query = sa.select(driver_rows.c.hardware_id, driver_rows.c.position)
        found = connection.execute(
            query.where(driver_rows.c.submission_id == made.id, driver_rows.c.os_code == RS3)
        ).all()
        assert dict(map(tuple, found)) == {ROWS[0].hardware_id: 0, ROWS[1].hardware_id: 3, ROWS[2].hardware_id: 0}


def test_a_feature_score_is_hexadecimal_and_may_be_absent(tmp_path: Path) -> None:
    metadata = metadata_of(ROWS[:2], {})
    pnp_ids = metadata["BundleInfoMap"][BUNDLE]["InfInfoMap"][INF]["OSPnPInfoMap"][RS3]
    pnp_ids[ROWS[0].hardware_id]["FeatureScore"] = "7F"
    pnp_ids["usb\\" + "x" * 500] = pnp_ids[ROWS[1].hardware_id]
    with stage_of_labels(tmp_path) as (database, finished), database.writing() as connection:
        made = finished_submission(connection, finished.account_id, rows=())
        assert not has_driver_rows(connection, made.id)
        write_driver_rows(connection, made.id, {"metadata": metadata})
        query = sa.select(driver_rows.c.hardware_id, driver_rows.c.feature_score)
        found = connection.execute(query.where(driver_rows.c.submission_id == made.id)).all()
        # No device has an ID that long.
        assert dict(map(tuple, found)) == {ROWS[0].hardware_id: 0x7F, ROWS[1].hardware_id: None}


def test_rows_that_are_missing_are_made_of_the_steps_result(tmp_path: Path) -> None:
    with stage_of_labels(tmp_path) as (database, finished), database.writing() as connection:
        for table in (driver_rows, driver_infs):
            connection.execute(table.delete().where(table.c.submission_id == finished.id))
        assert not has_driver_rows(connection, finished.id)
        for _ in range(2):
            assert write_missing_driver_rows(connection, finished.id)
            assert sorted(all_rows(connection, finished.id)) == sorted(ROWS)
        assert not write_missing_driver_rows(connection, finished.id + 1)


def test_rows_are_looked_up_in_any_number(tmp_path: Path) -> None:
    rows = [DriverRow(BUNDLE, INF, RS3, f"usb\\{number}") for number in range(1201)]
    with stage_of_labels(tmp_path) as (database, finished), database.writing() as connection:
        made = finished_submission(connection, finished.account_id, rows=rows)
        assert inf_names(connection, made.id) == {(BUNDLE, INF.lower()): INF}
        strangers = [rows[0]._replace(inf_id="other.inf"), rows[0]._replace(hardware_id="usb\\none")]
        assert known_rows(connection, made.id, [*rows, *strangers]) == set(rows)
        assert known_rows(connection, finished.id, rows) == set()
