"""PostgreSQL is restarted, or cuts connections, under a running service: nothing is lost, doubled or told wrongly.

Requests do not ask a connection whether it still stands before they use it (docs/adr/0017).
"""

import asyncio
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, OperationalError

from hwdash.storage.accounts import account, create_account
from hwdash.storage.creates import CreateKey, find_created, remember_created
from hwdash.storage.database import Database
from hwdash.storage.tables import accounts
from postgresql_cluster import Cluster, cluster
from service import API, X64, ApiClient, Served, make_service, serve, signed_cabinet

NOW = datetime(2026, 11, 23, tzinfo=UTC)
CLIENTS, CREATES, TRIES, CUTS = 4, 25, 400, 300


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


@pytest.fixture
def database(postgresql: Cluster) -> Iterator[Database]:
    """A database of the service's tables; the accounts in it are the tests'."""
    with closing(Database(postgresql.url)) as made:
        made.create()
        yield made


def backend(connection: sa.Connection) -> int:
    return int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())


def named(connection: sa.Connection, name: str) -> int:
    counted = sa.select(sa.func.count()).select_from(accounts).where(accounts.c.name == name)
    return int(connection.execute(counted).scalar_one())


async def of_all_threads(database: Database) -> set[int]:
    """The backends of reads and writes that are under way at once, one in each thread."""
    points, writes = threading.Barrier(2), threading.Barrier(4)

    def at_once(connection: sa.Connection, others: threading.Barrier) -> int:
        others.wait(20)
        return backend(connection)

    reads = [database.read_point(at_once, points) for _ in range(points.parties)]
    return set(await asyncio.gather(*reads, *(database.write(at_once, writes) for _ in range(writes.parties))))


def test_a_write_whose_connection_is_lost_half_way_is_done_once(database: Database, postgresql: Cluster) -> None:
    backends: list[int] = []

    def write(connection: sa.Connection, name: str) -> int:
        made = create_account(connection, name, NOW).id
        backends.append(backend(connection))
        if len(backends) == 1:
            postgresql.end_connection(backends[0])
        # The first run comes no further than here.
        assert account(connection, made) is not None
        return made

    made = asyncio.run(database.write(write, "half-way"))
    assert len(set(backends)) == 2
    assert asyncio.run(database.read(named, "half-way")) == 1
    assert asyncio.run(database.read_point(account, made)) is not None


def test_a_write_whose_commit_does_not_arrive_is_told_as_failed_and_not_done_again(
    database: Database, postgresql: Cluster
) -> None:
    runs: list[int] = []

    def write(connection: sa.Connection, name: str) -> None:
        runs.append(create_account(connection, name, NOW).id)
        postgresql.end_connection(backend(connection))

    with pytest.raises(OperationalError):
        asyncio.run(database.write(write, "uncommitted"))
    assert len(runs) == 1
    assert asyncio.run(database.read(named, "uncommitted")) == 0
    assert asyncio.run(database.write(create_account, "after it", NOW)).name == "after it"
    assert asyncio.run(database.read(named, "after it")) == 1


def test_a_write_that_loses_every_connection_is_given_up(database: Database, postgresql: Cluster) -> None:
    runs: list[int] = []

    def write(connection: sa.Connection) -> None:
        runs.append(backend(connection))
        postgresql.end_connection(runs[-1])
        connection.exec_driver_sql("SELECT 1")

    with pytest.raises(OperationalError):
        asyncio.run(database.write(write))
    assert len(runs) == 2


def test_every_kept_connection_is_replaced_after_a_restart(database: Database, postgresql: Cluster) -> None:
    async def before_and_after() -> tuple[set[int], set[int], set[int]]:
        first, second = await of_all_threads(database), await of_all_threads(database)
        await asyncio.to_thread(postgresql.restart)
        return first, second, await of_all_threads(database)

    first, second, third = asyncio.run(before_and_after())
    assert len(first) == len(third) == 6
    assert first == second
    assert not first & third


def test_a_refusal_by_the_database_undoes_the_write_and_leaves_the_connection(database: Database) -> None:
    key = CreateKey("request", "fingerprint")

    def twice(connection: sa.Connection) -> None:
        create_account(connection, "refused", NOW)
        for made in (1, 2):
            remember_created(connection, "caller", key, made, NOW)

    async def run() -> None:
        backends = await of_all_threads(database)
        with pytest.raises(IntegrityError):
            await database.write(twice)
        assert await database.read(named, "refused") == 0
        assert await database.read_point(find_created, "caller", key) is None
        assert await of_all_threads(database) == backends

    asyncio.run(run())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Cluster]]:
    with cluster() as postgresql:
        made = make_service(tmp_path_factory.mktemp("postgresql"), HWDASH_DATABASE_URL=postgresql.url)
        with serve(made) as running:
            yield running, postgresql


def ids_by_name(client: ApiClient, prefix: str) -> dict[str, list[int]]:
    """The ids of all products under each name."""
    answer = client.http.get(f"{API}/products", params={"productName": prefix, "pageSize": 1000})
    assert answer.status_code == 200, answer.text
    found: dict[str, list[int]] = {}
    for each in answer.json()["value"]:
        found.setdefault(each["productName"], []).append(each["id"])
    return found


def test_the_requests_after_a_restart_are_answered_as_if_nothing_had_been(
    served: tuple[Served, Cluster], tmp_path: Path
) -> None:
    running, postgresql = served
    client = running.client()

    def create_and_get(name: str) -> None:
        product = client.create_product(productName=name)
        assert client.http.get(f"{API}/products/{product['id']}").json()["id"] == product["id"]

    with closing(client.http), ThreadPoolExecutor(8) as threads:
        list(threads.map(create_and_get, [f"restart {each}" for each in range(16)]))
        postgresql.restart()
        list(threads.map(create_and_get, [f"restart {each}" for each in range(16, 32)]))
        found = ids_by_name(client, "restart")
        assert sorted(found) == sorted(f"restart {each}" for each in range(32))
        assert {len(ids) for ids in found.values()} == {1}
        finished = client.submit(signed_cabinet(tmp_path, running.made.vendor))
        assert finished["workflowStatus"]["state"] == "completed"


def test_of_creates_under_cut_connections_none_is_lost_doubled_or_told_wrongly(
    served: tuple[Served, Cluster],
) -> None:
    """A client repeats, under the same request id, what got 500: as Microsoft's own does."""
    running, postgresql = served
    statuses: Counter[int] = Counter()

    def create(client: ApiClient, name: str) -> int:
        body = {"productName": name, "testHarness": "Attestation", "requestedSignatures": [X64]}
        headers = {"MS-RequestId": str(uuid.uuid4())}
        for _ in range(TRIES):
            answer = client.http.post(f"{API}/products", json=body, headers=headers)
            statuses[answer.status_code] += 1
            if answer.status_code == 201:
                return int(answer.json()["id"])
            assert answer.status_code == 500, answer.text
        raise AssertionError(f"{name} was refused {TRIES} times")

    def many(client: ApiClient, number: int) -> dict[str, int]:
        return {name: create(client, name) for name in (f"cut {number}-{each}" for each in range(CREATES))}

    with ExitStack() as closed_at_the_end:
        clients = [running.client() for _ in range(CLIENTS)]
        for each in clients:
            closed_at_the_end.enter_context(closing(each.http))
        cut = 0
        with ThreadPoolExecutor(CLIENTS) as threads:
            creating = [threads.submit(many, client, number) for number, client in enumerate(clients)]
            while cut < CUTS and not all(each.done() for each in creating):
                cut += postgresql.end_connections()
        made = {name: made for each in creating for name, made in each.result().items()}
        assert cut > CREATES
        assert statuses[201] == len(made) == CLIENTS * CREATES
        assert ids_by_name(clients[0], "cut") == {name: [made] for name, made in made.items()}
