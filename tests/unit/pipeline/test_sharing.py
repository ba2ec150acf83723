"""What a label that shares gives its receiver, and what becomes of it (contract/dashboard.md 22, 135 to 137, 141)."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwdash.domain.ownership import IdKind
from hwdash.domain.targets import DriverRow
from hwdash.pipeline.ownership import ownership_findings
from hwdash.storage.accounts import set_policy
from hwdash.storage.database import Database
from hwdash.storage.driver_rows import all_rows
from hwdash.storage.label_tables import driver_infs, driver_rows, label_hardware_ids, label_readers, shipping_labels
from hwdash.storage.ownership import add_owned
from hwdash.storage.products import find_product
from hwdash.storage.shares import ensure_reader, find_copy, limit_to_the_shared, original_submission
from hwdash.storage.submissions import insert_submission, list_downloads
from hwdash.storage.tables import downloads, product_hardware_ids, products, submissions
from postgresql_cluster import cluster
from stored_labels import NOON, TRUSTED, X64, Inf, Stage

IDS = [rf"pci\ven_1234&dev_{number:04x}" for number in range(4)]
INFS = (Inf(IDS[:2]), Inf(IDS[2:], name="other.inf"))


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    database = Database(f"sqlite:///{tmp_path / 'hwdash.db'}")
    database.create()
    yield Stage(database, tmp_path)
    database.close()


class Share:
    """A label of the stage's account that shares a driver with another."""

    def __init__(self, stage: Stage, *, shared: Sequence[str] = tuple(IDS), enforce: bool = False) -> None:
        self.stage = stage
        self.source = stage.new_submission(INFS)
        self.receiver = stage.new_account("Receiver")
        with stage.database.writing() as connection:
            self.rows = {each.hardware_id: each for each in all_rows(connection, self.source)}
            for kind in ("derivedPackage", "certificationReport", "driverMetadata"):
                connection.execute(
                    downloads.insert().values(
                        submission_id=self.source, type=kind, blob=kind, name=f"{kind}_{self.source}.x"
                    )
                )
        self.label = stage.new_label(
            self.source,
            [self.rows[each]._asdict() for each in shared],
            destination="anotherPartner",
            specifications={"receiverPublisherId": str(self.receiver), "enforceChidTargeting": enforce},
        )
        stage.change(self.label, receiver_id=self.receiver)
        stage.run(self.label)

    def patch(self, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
        """What a PATCH does, and the run after it."""
        table = label_hardware_ids
        with self.stage.database.writing() as connection:
            run = connection.execute(
                sa.select(shipping_labels.c.run).where(shipping_labels.c.id == self.label)
            ).scalar_one()
            for state, ids in (("pendingRemove", remove), ("pendingAdd", add)):
                for each in ids:
                    changed = connection.execute(
                        table.update()
                        .where(table.c.label_id == self.label, table.c.hardware_id == each)
                        .values(state=state)
                    )
                    if changed.rowcount == 0:
                        connection.execute(
                            table.insert().values(
                                label_id=self.label, state=state, run=run + 1, **self.rows[each]._asdict()
                            )
                        )
        self.stage.restart(self.label)
        assert self.stage.run(self.label).state == "completed"

    def received(self) -> list[sa.Row[Any]]:
        """The receiver's submissions by this label, the oldest first."""
        with self.stage.database.reading() as connection:
            return list(
                connection.execute(
                    sa.select(submissions)
                    .where(submissions.c.source_label_id == self.label)
                    .order_by(submissions.c.is_deprecated.desc(), submissions.c.created_at, submissions.c.id)
                )
            )

    def current(self) -> sa.Row[Any]:
        (found,) = [each for each in self.received() if not each.is_deprecated]
        assert found.id == self.stage.label(self.label).received_submission_id
        return found

    def targets(self, submission_id: int) -> set[str]:
        with self.stage.database.reading() as connection:
            return {each.hardware_id for each in all_rows(connection, submission_id)}


def test_the_receiver_gets_a_product_and_a_submission_of_its_own(stage: Stage) -> None:
    stage.pass_time(days=1)
    share = Share(stage, shared=IDS[:3])
    assert (stage.label(share.label).current_step, stage.label(share.label).state) == ("finalizeSharing", "completed")
    assert stage.label(share.label).live_targeting is None
    made = share.current()
    with stage.database.reading() as connection:
        source = connection.execute(sa.select(submissions).where(submissions.c.id == share.source)).one()
        author = connection.execute(sa.select(products).where(products.c.id == source.product_id)).one()
        product = find_product(connection, share.receiver, made.product_id)
        assert product is not None
        files = {each.type: each for each in list_downloads(connection, made.id)}
        infs = set(
            connection.execute(sa.select(driver_infs.c.inf_id).where(driver_infs.c.submission_id == made.id)).scalars()
        )
        searched = connection.execute(
            sa.select(product_hardware_ids.c.hardware_id).where(product_hardware_ids.c.product_id == product.id)
        )
        assert set(searched.scalars()) == set(IDS[:3])
    assert {product.id, made.id}.isdisjoint({author.id, source.id})
    assert (product.origin_type, product.source_product_id, product.source_publisher_id) == (
        "publisher",
        author.id,
        stage.account_id,
    )
    assert product.shared_product_id == author.shared_product_id
    assert (product.name, product.attributes, product.test_harness, product.is_committed) == (
        author.name,
        author.attributes,
        author.test_harness,
        True,
    )
    assert (product.created_at, made.created_at, made.finished_at) == (stage.now, stage.now, stage.now)
    assert (made.account_id, made.type, made.state, made.source_submission_id, made.created_by) == (
        share.receiver,
        "initial",
        "completed",
        share.source,
        "",
    )
    assert made.package_blob != source.package_blob
    assert set(files) == {"signedPackage", "derivedPackage", "certificationReport"}
    assert files["derivedPackage"].blob == "derivedPackage"
    assert files["derivedPackage"].name == f"derivedPackage_{made.id}.x"
    assert share.targets(made.id) == set(IDS[:3])
    assert infs == {"widget.inf", "other.inf"}


@pytest.mark.parametrize("enforce", [False, True])
def test_the_copy_knows_whether_chids_are_asked_for(stage: Stage, enforce: bool) -> None:
    assert Share(stage, enforce=enforce).current().enforces_chids is enforce


def test_a_change_deprecates_what_was_received_and_gives_another(stage: Stage) -> None:
    share = Share(stage, shared=IDS[:2])
    first = share.current()
    share.patch(add=[IDS[2]], remove=[IDS[0]])
    old, new = share.received()
    assert (old.id, old.is_deprecated, new.is_deprecated) == (first.id, True, False)
    assert new.product_id != old.product_id
    assert f"use submission {new.id} of product {new.product_id}" in old.messages[0]
    assert share.targets(old.id) == set(IDS[:2])
    assert share.targets(new.id) == set(IDS[1:3])
    with stage.database.reading() as connection:
        shared = {
            connection.execute(sa.select(products.c.shared_product_id).where(products.c.id == each)).scalar_one()
            for each in (old.product_id, new.product_id)
        }
        assert len(shared) == 1
        assert [each.type for each in list_downloads(connection, old.id)] == [
            "certificationReport",
            "derivedPackage",
            "signedPackage",
        ]


def test_a_revoke_of_all_leaves_a_copy_without_rows(stage: Stage) -> None:
    share = Share(stage)
    share.patch(remove=IDS)
    assert share.targets(share.current().id) == set()
    assert len(share.received()) == 2
    share.patch(add=IDS[:1])
    assert share.targets(share.current().id) == {IDS[0]}
    assert len(share.received()) == 3


def test_a_run_that_changes_no_row_gives_nothing_new(stage: Stage) -> None:
    share = Share(stage)
    first = share.current()
    stage.restart(share.label)
    stage.run(share.label)
    assert [each.id for each in share.received()] == [first.id]


def test_updates_of_a_deprecated_copy_are_deprecated_with_it(stage: Stage) -> None:
    share = Share(stage)
    with stage.database.writing() as connection:
        update = insert_submission(
            connection,
            product_id=share.current().product_id,
            account_id=share.receiver,
            name="update",
            kind="derived",
            created_by="x",
            now=NOON,
        )
    share.patch(remove=IDS[:1])
    with stage.database.reading() as connection:
        row = connection.execute(sa.select(submissions).where(submissions.c.id == update.id)).one()
    assert (row.is_deprecated, row.messages) == (True, [])


def test_an_update_that_a_receiver_makes_targets_only_what_was_shared(stage: Stage) -> None:
    share = Share(stage, shared=IDS[:2], enforce=True)
    new = Inf([*IDS, r"pci\ven_9999"], name="new.inf", systems=(X64, "WINDOWS_v100_ARM64_RS5_FULL"))
    update = stage.new_submission((new,), account_id=share.receiver)
    with stage.database.writing() as connection:
        connection.execute(
            submissions.update()
            .where(submissions.c.id == update)
            .values(product_id=share.current().product_id, type="derived")
        )
        limit_to_the_shared(connection, update)
        limit_to_the_shared(connection, share.current().id)
        row = connection.execute(sa.select(submissions).where(submissions.c.id == update)).one()
        assert {(each.os_code, each.hardware_id) for each in all_rows(connection, update)} == {
            (X64, each) for each in IDS[:2]
        }
    assert row.enforces_chids is True
    assert share.targets(share.current().id) == set(IDS[:2])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shared=st.sets(st.sampled_from(IDS), min_size=1),
    changes=st.lists(st.sets(st.sampled_from(IDS)), max_size=5),
)
def test_the_newest_submission_targets_exactly_what_is_shared(
    stage: Stage, shared: set[str], changes: list[set[str]]
) -> None:
    """After any sequence of changes, each of which adds what was not shared and removes what was."""
    share = Share(stage, shared=sorted(shared))
    generations = 1
    for change in changes:
        share.patch(add=sorted(change - shared), remove=sorted(change & shared))
        shared = shared ^ change
        generations += bool(change)
        assert share.targets(share.current().id) == shared
        received = share.received()
        assert [each.is_deprecated for each in received] == [True] * (generations - 1) + [False]


def reader_of(stage: Stage, label_id: int, account_id: int) -> list[sa.Row[Any]]:
    with stage.database.writing() as connection:
        ensure_reader(
            connection,
            connection.execute(sa.select(shipping_labels).where(shipping_labels.c.id == label_id)).one(),
            account_id,
            stage.now,
        )
        return list(
            connection.execute(
                sa.select(submissions, products.c.origin_type)
                .join(products, products.c.id == submissions.c.product_id)
                .where(submissions.c.account_id == account_id)
            )
        )


def test_a_reader_gets_one_read_only_copy_with_all_rows(stage: Stage) -> None:
    source, reader = stage.new_submission(INFS), stage.new_account("Reader")
    first = stage.new_label(source, [])
    second = stage.new_label(source, [])
    (made,) = reader_of(stage, first, reader)
    assert made.origin_type == "readOnly"
    for label_id in (first, second):
        assert [each.id for each in reader_of(stage, label_id, reader)] == [made.id]
    with stage.database.reading() as connection:
        assert {each.hardware_id for each in all_rows(connection, made.id)} == set(IDS)
        may_read = connection.execute(sa.select(label_readers.c.label_id).where(label_readers.c.account_id == reader))
        assert set(may_read.scalars()) == {first, second}


def test_who_has_the_driver_anyway_needs_no_copy_to_read_a_label(stage: Stage) -> None:
    share = Share(stage)
    label = stage.new_label(share.source, [])
    assert [each.origin_type for each in reader_of(stage, label, share.receiver)] == ["publisher"]
    assert len(reader_of(stage, label, stage.account_id)) == 1
    theirs = stage.new_label(share.current().id, [])
    assert [each.id for each in reader_of(stage, theirs, stage.account_id)] == [share.source]
    with stage.database.reading() as connection:
        readers = set(connection.execute(sa.select(label_readers.c.label_id, label_readers.c.account_id)))
    assert readers == {(label, share.receiver), (theirs, stage.account_id)}


def test_ids_are_translated_to_the_copy_that_counts_today(stage: Stage) -> None:
    share = Share(stage)

    with stage.database.reading() as connection:
        source = connection.execute(
            sa.select(submissions.c.product_id).where(submissions.c.id == share.source)
        ).scalar_one()

    def found(account_id: int, **other: int) -> tuple[int, int] | None:
        ids = {"seller_id": stage.account_id, "product_id": source, "submission_id": share.source} | other
        with stage.database.reading() as connection:
            row = find_copy(connection, account_id, **ids)
        return None if row is None else (row.product_id, row.id)

    first = share.current()
    assert found(share.receiver) == (first.product_id, first.id)
    share.patch(remove=IDS[:1])
    second = share.current()
    assert found(share.receiver) == (second.product_id, second.id)
    assert found(stage.new_account("Stranger")) is None
    for wrong in ("seller_id", "product_id", "submission_id"):
        assert found(share.receiver, **{wrong: first.id}) is None


def test_behind_a_copy_of_a_copy_stands_the_authors(stage: Stage) -> None:
    share = Share(stage)
    label = stage.new_label(share.current().id, [])
    (copy,) = reader_of(stage, label, stage.new_account("Reader"))
    with stage.database.reading() as connection:
        assert original_submission(connection, copy.id) == share.source
        assert original_submission(connection, share.source) == share.source
        product = connection.execute(sa.select(products).where(products.c.id == copy.product_id)).one()
    assert (product.source_publisher_id, product.source_product_id) == (share.receiver, share.current().product_id)


def test_what_is_revoked_before_it_went_live_does_not_and_what_is_live_stays(stage: Stage) -> None:
    share = Share(stage)
    submission = share.current().id
    row = [share.rows[IDS[0]]._asdict()]
    with stage.database.writing() as connection:
        set_policy(connection, share.receiver, TRUSTED)
    live, waiting = stage.new_label(submission, row), stage.new_label(submission, row)
    stage.run(live)
    stage.pass_time(seconds=15)
    assert stage.wake(live).state == "completed"
    assert stage.run(waiting).current_step == "microsoftApproval"
    share.patch(remove=IDS)
    stage.pass_time(seconds=15)
    failed = stage.wake(waiting)
    assert (failed.current_step, failed.state, failed.live_targeting) == ("microsoftApproval", "failed", None)
    assert failed.messages[0].startswith("ERROR label.deprecated: ")
    assert stage.states(waiting) == {IDS[0]: "notSet"}
    assert stage.states(live) == {IDS[0]: "added"}
    with stage.database.writing() as connection:
        ids = label_hardware_ids
        connection.execute(ids.update().where(ids.c.label_id == live).values(state="pendingRemove"))
    stage.restart(live)
    stage.run(live)
    stage.pass_time(seconds=15)
    assert stage.wake(live).state == "completed"
    assert stage.states(live) == {IDS[0]: "notSet"}


def test_a_share_is_its_authors_word_that_its_hardware_ids_may_be_targeted(stage: Stage) -> None:
    """And nobody else's word, nor about CHIDs."""
    share = Share(stage, shared=IDS[:2])
    other, chid = stage.new_account("Other"), "3e7d7a3c-6a7e-5d0c-9f1c-0d5f6a1b2c3d"
    with stage.database.writing() as connection:
        add_owned(connection, stage.account_id, [(IdKind.HARDWARE_ID, IDS[0]), (IdKind.CHID, chid)], NOON)
        add_owned(connection, other, [(IdKind.HARDWARE_ID, IDS[1])], NOON)
    label = stage.new_label(share.current().id, chids=[chid])
    author, another = sorted(stage.run(label).messages)[:2][::-1]
    assert f"Vendor (seller {stage.account_id}) owns {chid}, and" in author
    assert f"Other (seller {other}) owns {IDS[1]}, and" in another


def test_rows_are_told_apart_by_all_four_parts(stage: Stage) -> None:
    """The same hardware id in two INFs: one of them is shared."""
    source = stage.new_submission((Inf(IDS[:1]), Inf(IDS[:1], name="other.inf")))
    receiver = stage.new_account("Receiver")
    with stage.database.reading() as connection:
        (wanted,) = [each for each in all_rows(connection, source) if each.inf_id == "other.inf"]
    label = stage.new_label(
        source,
        [wanted._asdict()],
        destination="anotherPartner",
        specifications={"receiverPublisherId": str(receiver), "enforceChidTargeting": False},
    )
    stage.change(label, receiver_id=receiver)
    made = stage.run(label).received_submission_id
    with stage.database.reading() as connection:
        assert all_rows(connection, made) == [DriverRow(*wanted)]


def test_postgresql_shares_likewise(tmp_path: Path) -> None:
    with cluster() as running, closing(Database(running.url)) as database:
        database.create()
        stage = Stage(database, tmp_path)
        share = Share(stage, shared=IDS[:3])
        assert share.targets(share.current().id) == set(IDS[:3])
        for add, remove, shared in (
            ([IDS[3]], IDS[:1], IDS[1:]),
            ([], IDS[1:], []),
            ([IDS[0]], [], IDS[:1]),
            ([], [], IDS[:1]),
        ):
            share.patch(add=add, remove=remove)
            assert share.targets(share.current().id) == set(shared)
        assert [each.is_deprecated for each in share.received()] == [True, True, True, False]
        label, reader = stage.new_label(share.source, None, chids=[]), stage.new_account("Reader")
        (copy,) = reader_of(stage, label, reader)
        assert share.targets(copy.id) == set(IDS)
        with database.writing() as connection:
            add_owned(connection, reader, [(IdKind.HARDWARE_ID, r"PCI\VEN_1234")], NOON)
            row = connection.execute(sa.select(shipping_labels).where(shipping_labels.c.id == label)).one()
            (found,) = ownership_findings(connection, row)
        assert found.message.startswith(f"ERROR label.ownership: Reader (seller {reader}) owns {IDS[0]}, ")


def test_fifty_thousand_rows_are_shared_in_moments(stage: Stage) -> None:
    many = [rf"pci\ven_1234&dev_{number:04x}" for number in range(50_000)]
    source = stage.new_submission(())
    receiver = stage.new_account("Receiver")
    place = {"bundle_id": "b", "inf_id": "a.inf", "os_code": X64}
    with stage.database.writing() as connection:
        connection.execute(
            driver_rows.insert(),
            [{"submission_id": source, "hardware_id": each, "position": 0, **place} for each in many],
        )
    label = stage.new_label(source, [], destination="anotherPartner")
    stage.change(label, receiver_id=receiver)
    with stage.database.writing() as connection:
        connection.execute(
            label_hardware_ids.insert(),
            [{"label_id": label, "hardware_id": each, "state": "pendingAdd", "run": 1, **place} for each in many],
        )
    began = time.perf_counter()
    made = stage.run(label).received_submission_id
    assert time.perf_counter() - began < 20
    with stage.database.reading() as connection:
        assert len(all_rows(connection, made)) == len(many)
