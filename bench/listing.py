"""A page of 50 products in a small account and in a large one: it has to cost the same.

Run: ``.venv/bin/python bench/listing.py``. The peer is the service itself: the first page in an account of 100
products. Against it stand the first page, and the page behind 99,900 products, in an account of 100,000; on SQLite and
on a PostgreSQL cluster of this bench's own, in one database, as ``hwdash init`` makes it and ``hwdash serve --no-tls``
runs it. The products are put into the database by the functions that the API uses, 1000 a transaction; each tenth has a
hardware id.

Three runs in turn, each first once; in each, a page is asked for 100 times on one connection, after ten times untimed;
the medians of the medians count, in milliseconds. The goal is a ratio of at least 1/1.5. The table also shows what each
filter costs on a first page of the large account, where few products match and where all do; these have no goal. Memory
is the greatest VmHWM (proc(5)) of the serving process.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa

from api import API, RESOURCE, postgresql, running, sqlite
from hwdash.storage.accounts import add_secret, create_account, create_application
from hwdash.storage.database import Database
from hwdash.storage.products import insert_product
from hwdash.storage.tables import accounts, product_hardware_ids
from report import Measure, median, peak_mb, print_report

SMALL, LARGE = 100, 100_000
PAGE = 50
RUNS, WARM_UP, TIMES = 3, 10, 100
GOAL = 1 / 1.5
PEAK_GOAL_MB = 250
ROLES = ["Manager", "Driver Submitter"]
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
COMMON, RARE = "WINDOWS_v100_X64_GE_FULL", "WINDOWS_v100_ARM64_GE_FULL"
FILTERS = {
    "name, rare": "productName=number 77777",
    "name, common": "productName=NUMBER",
    "name, none": "productName=absent",
    "signature, rare": f"requestedSignature={RARE}",
    "signature, common": f"requestedSignature={COMMON}",
    "hardware id": "hardwareId=PCI\\VEN_1234%26DEV_77770",
    "state, all": "state=notStarted",
    "state, none": "state=failed",
    "created in a range": "createdFrom=2026-01-01T13:00:00Z&createdTo=2026-01-01T14:00:00Z",
    "updated, none": "updatedFrom=2099-01-01",
}


def fill(database: Database, name: str, count: int) -> dict[str, str]:
    """An account with so many products, a second apart; the credentials of its application."""
    with database.writing() as connection:
        account = create_account(connection, name, NOON)
        application = create_application(connection, account.id, name, ROLES, NOON)
        secret = add_secret(connection, application.client_id, datetime.now(UTC)).secret
    for begin in range(0, count, 1000):
        with database.writing() as connection:
            for number in range(begin, min(begin + 1000, count)):
                codes = [COMMON, *([RARE] if number % 10_000 == 7 else [])]
                row = insert_product(
                    connection,
                    account_id=account.id,
                    name=f"Product number {number}",
                    test_harness="attestation",
                    attributes={"requestedSignatures": codes, "marketingNames": [], "additionalAttributes": {}},
                    now=NOON + timedelta(seconds=number),
                )
                if number % 10 == 0:
                    hardware_id = f"pci\\ven_1234&dev_{number}"
                    connection.execute(product_hardware_ids.insert().values(hardware_id=hardware_id, product_id=row.id))
    return {"tenant": application.tenant_id, "client_id": application.client_id, "client_secret": secret}


def enrolled(database: Database) -> None:
    """Let the new accounts use the API."""
    if "status" in accounts.c:
        with database.writing() as connection:
            connection.execute(accounts.update().values(status="enrolled"))


def signed_in(url: str, credentials: dict[str, str]) -> httpx.Client:
    """A client with one connection."""
    http = httpx.Client(trust_env=False, timeout=60)
    form = {name: credentials[name] for name in ("client_id", "client_secret")}
    form |= {"grant_type": "client_credentials", "resource": RESOURCE}
    answer = http.post(f"{url}/{credentials['tenant']}/oauth2/token", data=form).raise_for_status().json()
    http.headers["Authorization"] = f"Bearer {answer['access_token']}"
    return http


def page_ms(http: httpx.Client, url: str, times: int = TIMES) -> float:
    """The median time of a page."""
    taken = []
    for number in range(WARM_UP + times):
        start = time.perf_counter()
        http.get(url).raise_for_status()
        if number >= WARM_UP:
            taken.append(1000 * (time.perf_counter() - start))
    return statistics.median(taken)


def late_page(http: httpx.Client, url: str) -> str:
    """The address of the page behind all products but the last hundred, found by following next_link."""
    page: dict[str, Any] = http.get(f"{url}?pageSize=900").raise_for_status().json()
    for _ in range(LARGE // 900 - 1):
        page = http.get(next_link(page)).raise_for_status().json()
    return next_link(page).replace("pageSize=900", f"pageSize={PAGE}")


def next_link(page: dict[str, Any]) -> str:
    """The address of the page that follows."""
    return next(str(link["href"]) for link in page["links"] if link["rel"] == "next_link")


def compare(name: str, database: Callable[[Path], AbstractContextManager[tuple[str, str]]]) -> list[Measure]:
    """The pages on one database."""
    with tempfile.TemporaryDirectory(prefix="hwdash-bench-") as folder, database(Path(folder)) as (url, _):
        unlimited = {"HWDASH_REQUESTS_PER_MINUTE": "1000000000", "HWDASH_REQUEST_BURST": "1000000000"}
        environment = os.environ | unlimited | {"HWDASH_DATA": f"{folder}/ours"}
        if url:
            environment["HWDASH_DATABASE_URL"] = url
        hwdash = [sys.executable, "-m", "hwdash.cli.main"]
        subprocess.run([*hwdash, "init", "--json"], env=environment, check=True, capture_output=True)
        storage = Database(url or f"sqlite:///{folder}/ours/hwdash.db")
        small, large = fill(storage, "Small", SMALL), fill(storage, "Large", LARGE)
        enrolled(storage)
        if url:
            with storage.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(sa.text("ANALYZE"))  # as the server's own autovacuum does in a minute
        storage.close()
        command = [*hwdash, "serve", "--no-tls", "--port", "0", "--log-level", "warning"]
        with running(command, environment) as (line, pid):
            address = line.removeprefix("listening on ")
            products = f"{address}{API}/products"
            first = f"{products}?pageSize={PAGE}"
            with closing(signed_in(address, small)) as few, closing(signed_in(address, large)) as many:
                late = late_page(many, products)
                if len(many.get(late).raise_for_status().json()["value"]) != PAGE:
                    raise RuntimeError("the late page is not whole")
                sides = [("small", few, first), ("first", many, first), ("late", many, late)]
                times: dict[str, list[float]] = {side: [] for side, _, _ in sides}
                for number in range(RUNS):
                    for side, http, page in sides[number:] + sides[:number]:
                        times[side].append(page_ms(http, page))
                for title, query in FILTERS.items():
                    print(f"{name}, {title}: {page_ms(many, f'{first}&{query}', 5):.1f} ms", flush=True)
            peak = peak_mb(pid)
    base = median(times["small"])
    return [
        Measure(
            f"{which} page of {PAGE} in {LARGE} products on {name}",
            GOAL,
            median(times[which]),
            base,
            "ms",
            peak,
            PEAK_GOAL_MB,
            smaller_is_better=True,
        )
        for which in ("first", "late")
    ]


if __name__ == "__main__":
    print(json.dumps({"products": LARGE, "page": PAGE}), flush=True)
    print_report([*compare("SQLite", sqlite), *compare("PostgreSQL", postgresql)])
