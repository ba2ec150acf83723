"""The time to create and to change a shipping label with 10,000 hardware ids, to the time of inserting as many rows.

Run: ``.venv/bin/python bench/label.py``. On SQLite, and on a PostgreSQL cluster of this bench's own.

Ours is the whole service, as ``hwdash init`` makes it and ``hwdash serve --no-tls`` runs it: one POST whose body names
10,000 hardware ids of a submission that has 20,000, and one PATCH of a live label that removes 5,000 of them and adds
5,000 others. Both are read, checked against the driver metadata, stored in one transaction that also starts the label's
workflow, and answered. The label's workflow is let go as far as it gets between two measurements.

The peer does what cannot be left out: the database's own driver (sqlite3 or psycopg) inserts the same 10,000 rows by
``executemany`` into the same table of the same database, with its indexes and foreign key, and commits.

Five runs in turn, after one that does not count; the medians count. Memory is the greatest VmHWM (proc(5)) of the
serving process, and may not grow by more than a tenth from the first counted run to the last.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa

from api import API, Side, ours, postgresql, sqlite
from hwdash.clock import system_clock
from hwdash.domain.audience import TEST_REGISTRY_KEY
from hwdash.domain.targets import DriverRow
from hwdash.storage.database import Database
from hwdash.storage.driver_rows import write_driver_rows
from hwdash.storage.label_tables import label_hardware_ids, shipping_labels
from hwdash.storage.labels import insert_label
from hwdash.storage.tables import submissions
from report import Measure, median, peak_mb, print_report

RUNS = 5
HARDWARE_IDS = 10_000
# Three times as long as the insertion, at most.
GOAL = 1 / 3
GROWTH = 1.1
BUNDLE, INF, OS_CODE = "4f1c9d2e-8a53-4f0e-9c1b-6d2f1a7b3c58", "Bench.inf", "WINDOWS_v100_X64_GE_FULL"
# Of an attestation-signed driver.
AUDIENCES = [TEST_REGISTRY_KEY.id]
ROWS = [
    DriverRow(BUNDLE, INF, OS_CODE, rf"pci\ven_1af4&dev_{number:04x}&subsys_00011af4")
    for number in range(2 * HARDWARE_IDS)
]


class Bench:
    """The service, its database beside it, and a submission that has the rows."""

    def __init__(self, side: Side, database: Database, http: httpx.Client) -> None:
        self.side, self.database, self.http = side, database, http
        self.labels = f"{side.url}{API}/products/{side.product}/submissions/{side.submission}/shippingLabels"
        with database.writing() as connection:
            finished = {"commit_status": "commitComplete", "current_step": "finalizeIngestion", "state": "completed"}
            which = submissions.c.id == side.submission
            connection.execute(submissions.update().where(which).values(**finished))
            self.account_id = connection.execute(sa.select(submissions.c.account_id).where(which)).scalar_one()
            write_driver_rows(connection, side.submission, {"metadata": metadata()})

    def create(self) -> float:
        """Seconds of one POST."""
        body = {
            "name": "Bench",
            "destination": "windowsUpdate",
            "publishingSpecifications": {"manualAcquisition": True},
            "targeting": {"hardwareIds": entries(ROWS[:HARDWARE_IDS]), "restrictedToAudiences": AUDIENCES},
        }
        seconds, answer = self.timed("POST", self.labels, body)
        self.settle(f"{self.labels}/{answer.json()['id']}")
        return seconds

    def change(self) -> float:
        """Seconds of one PATCH of half of the rows, and of as many new ones."""
        url = f"{self.labels}/{self.stored_label(ROWS[:HARDWARE_IDS])}"
        half = HARDWARE_IDS // 2
        changed = entries(ROWS[:half], "remove") + entries(ROWS[HARDWARE_IDS : HARDWARE_IDS + half], "add")
        seconds, _ = self.timed("PATCH", url, {"targeting": {"hardwareIds": changed}})
        self.settle(url)
        return seconds

    def timed(self, method: str, url: str, body: dict[str, Any]) -> tuple[float, httpx.Response]:
        """Seconds and answer of one request, whose body is made before."""
        content = json.dumps(body).encode()
        begin = time.perf_counter()
        answer = self.http.request(method, url, content=content, headers={"Content-Type": "application/json"})
        seconds = time.perf_counter() - begin
        answer.raise_for_status()
        return seconds, answer

    def settle(self, url: str) -> None:
        """Wait until the label's workflow waits itself, or has ended."""
        for _ in range(600):
            status = self.http.get(url).raise_for_status().json()["workflowStatus"]
            if status["state"] in ("completed", "failed") or status["currentStep"] == "microsoftApproval":
                return
            time.sleep(0.05)
        raise RuntimeError(f"the label at {url} does not go on")

    def stored_label(self, rows: Sequence[DriverRow]) -> int:
        """A label that has ended well, with these rows live; its id."""
        with self.database.writing() as connection:
            label = insert_label(
                connection,
                account_id=self.account_id,
                product_id=self.side.product,
                submission_id=self.side.submission,
                name="Bench",
                destination="windowsUpdate",
                specifications={"manualAcquisition": True},
                targeting={"restrictedToAudiences": AUDIENCES},
                justifications=[],
                receiver_id=None,
                hardware_ids=rows,
                chids=[],
                created_by="bench",
                now=system_clock(),
            )
            ended = {"current_step": "finalizePublishing", "state": "completed"}
            connection.execute(shipping_labels.update().where(shipping_labels.c.id == label.id).values(**ended))
            ids = label_hardware_ids
            connection.execute(ids.update().where(ids.c.label_id == label.id).values(state="added"))
            return int(label.id)

    def insert(self) -> float:
        """Seconds in which the driver alone inserts the rows and commits."""
        label_id = self.stored_label([])
        names = [column.name for column in label_hardware_ids.c]
        mark = "?" if self.database.is_sqlite else "%s"
        statement = f"INSERT INTO label_hardware_ids ({', '.join(names)}) VALUES ({', '.join(mark for _ in names)})"
        values = [(label_id, *row, "pendingAdd", 1) for row in ROWS[:HARDWARE_IDS]]
        with self.database.engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            begin = time.perf_counter()
            if self.database.is_sqlite:
                driver.execute("BEGIN IMMEDIATE")
            driver.cursor().executemany(statement, values)
            driver.commit()
            return time.perf_counter() - begin


def entries(rows: Sequence[DriverRow], action: str | None = None) -> list[dict[str, str]]:
    """``targeting.hardwareIds``."""
    names = ("bundleId", "infId", "operatingSystemCode", "pnpString")
    said = {"action": action} if action else {}
    return [dict(zip(names, row, strict=True), **said) for row in rows]


def metadata() -> dict[str, Any]:
    """The driver metadata (contract/api.md 3.13) that lists the rows."""
    facts = {"Manufacturer": "Bench", "DeviceDescription": "Device", "FeatureScore": None}
    inf = {
        "InfClass": "System",
        "DriverVersion": "1.2.3.4",
        "DriverDate": "2026-01-02T00:00:00",
        "ExtensionId": None,
        "Provider": "Bench",
        "ClassGuid": "{4d36e97d-e325-11ce-bfc1-08002be10318}",
        "OSPnPInfoMap": {OS_CODE: {row.hardware_id: facts for row in ROWS}},
    }
    return {"BundleInfoMap": {BUNDLE: {"Locales": ["English"], "InfInfoMap": {INF: inf}}}}


@contextmanager
def bench(folder: Path, url: str) -> Iterator[Bench]:
    """A service with its submission, until the block ends."""
    with ours(folder, url) as side:
        headers = {"Authorization": f"Bearer {side.token}"}
        with (
            closing(Database(url or f"sqlite:///{folder / 'ours' / 'hwdash.db'}")) as database,
            httpx.Client(trust_env=False, timeout=120, headers=headers) as http,
        ):
            yield Bench(side, database, http)


def compare(name: str, database: Callable[[Path], AbstractContextManager[tuple[str, str]]]) -> list[Measure]:
    """The two requests and the insertion on one database, in turn."""
    seconds: dict[str, list[float]] = {"create": [], "patch": [], "insert": []}
    peaks = []
    with (
        tempfile.TemporaryDirectory(prefix="hwdash-bench-") as root,
        database(Path(root)) as (url, _),
        bench(Path(root), url) as stage,
    ):
        for number in range(RUNS + 1):
            found = {"insert": stage.insert(), "create": stage.create(), "patch": stage.change()}
            if number == 0:
                continue
            for what, each in found.items():
                seconds[what].append(each)
            peaks.append(peak_mb(stage.side.pid))
    inserted = milliseconds(seconds["insert"])
    print(f"{name}: memory {peaks[0]:.0f} MB after the first run, {peaks[-1]:.0f} MB after the last", flush=True)
    return [
        Measure(
            f"{what} a label with {HARDWARE_IDS} hardware ids on {name}",
            GOAL,
            milliseconds(seconds[what]),
            inserted,
            "ms",
            peaks[-1],
            peaks[0] * GROWTH,
            smaller_is_better=True,
        )
        for what in ("create", "patch")
    ]


def milliseconds(seconds: Sequence[float]) -> float:
    """The median."""
    return (median(seconds) or 0) * 1000


if __name__ == "__main__":
    print_report([*compare("SQLite", sqlite), *compare("PostgreSQL", postgresql)])
