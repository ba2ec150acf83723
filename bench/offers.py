"""What a machine is offered, among 100,000 published hardware ids: it has to cost little more than a read by key.

Run: ``.venv/bin/python bench/offers.py``. The peer is the service itself: GET of one product, by its primary key.
Against it stands GET of the offers for one device of three ids, each published by another one of 100 labels of 1000
hardware ids; on SQLite, and on a PostgreSQL cluster of this bench's own. The service is as ``hwdash init`` makes it and
``hwdash serve --no-tls`` runs it; the labels are put into its database as their workflow would have left them.

The load is that of bench/api.py: wrk with one thread and 32 connections on this machine. Three runs in turn, each first
once; each call is loaded for one second untimed and for four timed; the medians count, in requests a second. The goal
is a ratio of at least 1/5. The bench also prints the ratio among the 3000 ids of three labels, which has no goal: what
is published beside what is asked for must not count. Memory is the greatest VmHWM (proc(5)) of the serving process.
"""

import json
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from api import Side, answer, load, ours, postgresql, sqlite
from hwdash.domain.identifiers import new_blob_key, new_long_id
from hwdash.storage.database import Database
from hwdash.storage.label_tables import driver_infs, driver_rows, label_hardware_ids, shipping_labels
from hwdash.storage.products import insert_product
from hwdash.storage.tables import accounts, submissions
from report import Measure, median, peak_mb, print_report

FEW_LABELS, LABELS, IDS_OF_ONE = 3, 100, 1000
RUNS = 3
GOAL = 1 / 5
PEAK_GOAL_MB = 250
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
X64 = "WINDOWS_v100_X64_NI_FULL"
OFFERS, PRODUCT = "GET offers", "GET a product"


def hardware_id(number: int) -> str:
    """One of the published ids."""
    return f"pci\\ven_1234&dev_{number:06}"


# Of different labels, be there 3 or 100.
IDS = [hardware_id(number) for number in (345, 568, 791)]
MACHINE = {
    "os": {"build": 22631, "architecture": "amd64"},
    "rolloutBucket": 50,
    "devices": [{"hardwareIds": IDS[:2], "compatibleIds": IDS[2:]}],
}


class Asked(Side):
    """The service, asked for offers too."""

    def path(self, call: str) -> str:
        """The URL of a call."""
        if call == OFFERS:
            return f"{self.url}/distribution/v1/offers?machine={quote(json.dumps(MACHINE))}"
        return super().path(call)


def publish(connection: sa.Connection, account_id: int, hardware_ids: list[str]) -> None:
    """A label that is live for these ids, of a product and a submission of its own."""
    attributes = {"requestedSignatures": [X64], "isFlightSign": False}
    product = insert_product(
        connection, account_id=account_id, name="Bench", test_harness="hlk", attributes=attributes, now=NOON
    )
    submission, label = new_long_id(), new_long_id()
    common = {"account_id": account_id, "product_id": product.id, "name": "Bench", "messages": [], "state": "completed",
              "created_by": "bench", "created_at": NOON}  # fmt: skip
    connection.execute(
        submissions.insert(),
        common
        | {"id": submission, "type": "initial", "commit_status": "commitComplete", "current_step": "finalizeIngestion",
           "package_blob": new_blob_key()},
    )  # fmt: skip
    inf = {"bundle_id": "bundle", "inf_id": "driver.inf"}
    connection.execute(
        driver_infs.insert(),
        inf
        | {"submission_id": submission, "inf_class": "Net", "class_guid": "", "provider": "Contoso",
           "driver_date": "2026-01-01", "driver_version": "1.0.0.0"},
    )  # fmt: skip
    rows = [{**inf, "os_code": X64, "hardware_id": each} for each in hardware_ids]
    connection.execute(driver_rows.insert(), [{"submission_id": submission, "position": 0, **each} for each in rows])
    connection.execute(
        shipping_labels.insert(),
        common
        | {"id": label, "submission_id": submission, "destination": "windowsUpdate", "targeting": {},
           "specifications": {"isAutoInstallOnApplicableSystems": True}, "live_targeting": {}, "justifications": [],
           "current_step": "finalizePublishing", "run": 1, "step_since": NOON, "updated_at": NOON},
    )  # fmt: skip
    connection.execute(
        label_hardware_ids.insert(), [{"label_id": label, "state": "added", "run": 1, **each} for each in rows]
    )


def fill(database: Database, labels: int) -> None:
    """So many labels, each with every ``labels``-th id."""
    with database.writing() as connection:
        account_id = connection.execute(sa.select(accounts.c.id)).scalars().first()
        assert account_id is not None
        for label in range(labels):
            publish(connection, account_id, [hardware_id(each * labels + label) for each in range(IDS_OF_ONE)])
        if not database.is_sqlite:
            connection.exec_driver_sql("ANALYZE")


def measured(labels: int, folder: Path, url: str, *, offers_first: bool) -> tuple[dict[str, float], float]:
    """Requests a second by call, and the peak, of a new service with so many labels."""
    with ours(folder, url) as side:
        asked = Asked(**vars(side))
        with closing(Database(url or f"sqlite:///{next((folder / 'ours').glob('*.db'))}")) as database:
            fill(database, labels)
        (device,) = json.loads(answer(asked, OFFERS))["devices"]
        found = len(device["offers"]), len(device["refused"])
        if found != (1, len(IDS) - 1):
            raise RuntimeError(f"{found} offers and refusals")
        calls = [OFFERS, PRODUCT] if offers_first else [PRODUCT, OFFERS]
        return {call: load(asked, call) for call in calls}, peak_mb(side.pid)


def compare(name: str, database: Callable[[Path], AbstractContextManager[tuple[str, str]]]) -> Measure:
    """Offers and a product on one database, in turn."""
    speeds: dict[int, dict[str, list[float]]] = {}
    peak = 0.0
    for labels in (FEW_LABELS, LABELS):
        for number in range(RUNS if labels == LABELS else 1):
            with tempfile.TemporaryDirectory(prefix="hwdash-bench-") as root, database(Path(root)) as (url, _):
                speed, used = measured(labels, Path(root), url, offers_first=number % 2 == 0)
            for call, each in speed.items():
                speeds.setdefault(labels, {}).setdefault(call, []).append(each)
            peak = max(peak, used)
    few, many = ({call: median(each) or 0 for call, each in speeds[labels].items()} for labels in (FEW_LABELS, LABELS))
    print(
        f"offers on {name}: {few[OFFERS]:.0f}/s among {FEW_LABELS * IDS_OF_ONE} published ids (ratio "
        f"{few[OFFERS] / few[PRODUCT]:.2f}), {many[OFFERS]:.0f}/s among {LABELS * IDS_OF_ONE}",
        flush=True,
    )
    title = f"offers for a device among {LABELS * IDS_OF_ONE} published ids on {name}, against GET of a product"
    return Measure(title, GOAL, many[OFFERS], many[PRODUCT], "requests/s", peak, PEAK_GOAL_MB)


def main() -> None:
    """Both databases."""
    databases: list[tuple[str, Any]] = [("SQLite", sqlite), ("PostgreSQL", postgresql)]
    print_report([compare(name, database) for name, database in databases])


if __name__ == "__main__":
    main()
