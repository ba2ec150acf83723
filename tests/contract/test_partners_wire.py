"""Sharing over HTTP, between three accounts: what the receiver gets and may do, and what a stranger sees (nothing)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from callers import database_of, new_client
from finished_submission import BUNDLE, INF, ROWS, RS5, Finished, finished_submission
from hwdash.clock import system_clock
from hwdash.domain.targets import DriverRow
from hwdash.pipeline.work import result_blob_key
from hwdash.storage.accounts import create_account
from hwdash.storage.blobs import BlobStore
from hwdash.storage.label_progress import AT_ONCE
from hwdash.storage.label_tables import label_hardware_ids, shipping_labels
from hwdash.storage.labels import insert_label
from hwdash.storage.shares import ensure_reader
from hwdash.storage.submissions import add_download
from hwdash.storage.tables import downloads, submission_steps
from service import API, ApiClient, Served, until

OTHER_INF = DriverRow(BUNDLE, "Other.inf", RS5, r"usb\vid_1af4&pid_0001")
DRIVER = (*ROWS, OTHER_INF)
ATTRIBUTES = {
    "selectedProductTypes": {},
    "deviceType": "internal",
    "isTestSign": False,
    "isFlightSign": False,
    "marketingNames": ["Widget"],
    "deviceMetadataIds": [],
    "additionalAttributes": {},
}


@dataclass
class Party:
    """An account with a client of it."""

    account_id: int
    client: ApiClient

    def get(self, path: str) -> Any:
        answer = self.client.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def products(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(f"{API}/products")["value"]
        return found

    def look_up(self, author: "Party", driver: Finished, spelling: str = "sourcepubliherid") -> httpx.Response:
        ids = f"sourceproductid/{driver.product_id}/sourcesubmissionid/{driver.id}"
        return self.client.http.get(f"{API}/products/relationships/{spelling}/{author.account_id}/{ids}")


def party(service: Served, name: str) -> Party:
    with database_of(service) as database, database.writing() as connection:
        account_id = create_account(connection, name, system_clock()).id
    roles = ["Manager", "Driver Submitter", "Shipping Label Owner"]
    return Party(account_id, new_client(service, roles, account_id=account_id))


@pytest.fixture
def author(service: Served) -> Party:
    return party(service, "Author")


@pytest.fixture
def receiver(service: Served) -> Party:
    return party(service, "Receiver")


@pytest.fixture
def stranger(service: Served) -> Party:
    return party(service, "Stranger")


@pytest.fixture
def driver(service: Served, author: Party) -> Finished:
    """A finished submission of the author's, with files."""
    blobs = BlobStore(service.made.data / "blobs")
    with database_of(service) as database, database.writing() as connection:
        made = finished_submission(connection, author.account_id, rows=DRIVER, attributes=ATTRIBUTES)
        for kind in ("signedPackage", "derivedPackage", "certificationReport", "driverMetadata"):
            key = result_blob_key(made.id, kind)
            blobs.put_file(key, [kind.encode()], name=kind, content_type="text/html")
            add_download(connection, made.id, kind, key, f"{kind}_{made.id}.x")
    return made


class Sharing:
    """A label of the author's that shares the driver with an account, run by the service."""

    def __init__(self, service: Served, driver: Finished, receiver: Party, rows: Sequence[DriverRow]) -> None:
        self.service, self.driver = service, driver
        with database_of(service) as database, database.writing() as connection:
            self.id = insert_label(
                connection,
                account_id=driver.account_id,
                product_id=driver.product_id,
                submission_id=driver.id,
                name="private name",
                destination="anotherPartner",
                specifications={"receiverPublisherId": str(receiver.account_id), "enforceChidTargeting": False},
                targeting={},
                justifications=[],
                receiver_id=receiver.account_id,
                hardware_ids=rows,
                chids=[],
                created_by="tests",
                now=system_clock(),
            ).id
            self.start(connection)
        self.finished(1)

    def start(self, connection: sa.Connection) -> None:
        """Leave it to the service's waker."""
        connection.execute(shipping_labels.update().where(shipping_labels.c.id == self.id).values(wake_at=AT_ONCE))

    def finished(self, run: int) -> None:
        table = shipping_labels.c

        def ended() -> bool:
            with database_of(self.service) as database, database.reading() as connection:
                row = connection.execute(sa.select(shipping_labels).where(table.id == self.id)).one()
            assert row.state != "failed", row.messages
            return bool(row.run == run and row.state == "completed")

        until(ended, "the label has not ended")

    def remove(self, rows: Sequence[DriverRow]) -> None:
        with database_of(self.service) as database, database.writing() as connection:
            for row in rows:
                connection.execute(
                    label_hardware_ids.update()
                    .where(
                        label_hardware_ids.c.label_id == self.id,
                        *(label_hardware_ids.c[name] == value for name, value in row._asdict().items()),
                    )
                    .values(state="pendingRemove")
                )
            run = connection.execute(
                shipping_labels.update()
                .where(shipping_labels.c.id == self.id)
                .values(run=shipping_labels.c.run + 1, current_step="preProcessShippingLabel", state="notStarted")
                .returning(shipping_labels.c.run)
            ).scalar_one()
            self.start(connection)
        self.finished(run)


def kinds(submission: dict[str, Any]) -> list[str]:
    return [each["type"] for each in submission["downloads"]["items"]]


def url(submission: dict[str, Any], kind: str) -> str:
    (found,) = [each["url"] for each in submission["downloads"]["items"] if each["type"] == kind]
    return str(found)


def path(submission: dict[str, Any]) -> str:
    return f"{API}/products/{submission['productId']}/submissions/{submission['id']}"


def refused(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def plain(client: ApiClient, address: str) -> bytes:
    """What is behind an address for whoever has it."""
    answer = client.http.get(address, headers={"Authorization": ""})
    assert answer.status_code == 200, answer.text
    return answer.content


def test_a_receiver_finds_the_driver_under_ids_of_its_own(
    service: Served, author: Party, receiver: Party, stranger: Party, driver: Finished, no_accident: None
) -> None:
    Sharing(service, driver, receiver, ROWS[:2])
    (product,) = receiver.products()
    own = author.get(f"{API}/products/{driver.product_id}")
    assert (product["originType"], product["sourceProductId"], product["sourcePublisherId"]) == (
        "publisher",
        driver.product_id,
        author.account_id,
    )
    assert product["sharedProductId"] == own["sharedProductId"]
    assert product["id"] != own["id"]
    assert (product["productName"], product["requestedSignatures"]) == (own["productName"], own["requestedSignatures"])
    assert (own["originType"], own["sourceProductId"], own["sourcePublisherId"]) == ("author", 0, 0)
    (listed,) = receiver.get(f"{API}/products/{product['id']}/submissions")["value"]
    made = receiver.get(path(listed))
    assert made["id"] != driver.id
    assert made["workflowStatus"] == {"currentStep": "finalizeIngestion", "state": "completed", "messages": []}
    assert "createdBy" not in made
    assert stranger.products() == []
    for other in (stranger, author):
        for address in (path(made), f"{API}/products/{product['id']}", f"{path(made)}/shippingLabels"):
            assert refused(other.client.http.get(address)) == (404, "entityNotFound")
    assert refused(receiver.client.http.get(driver.path)) == (404, "entityNotFound")


def test_a_receiver_downloads_all_but_the_authors_upload(
    service: Served, author: Party, receiver: Party, driver: Finished, no_accident: None
) -> None:
    Sharing(service, driver, receiver, ROWS)
    made = receiver.look_up(author, driver).json()
    assert sorted(kinds(made)) == ["certificationReport", "derivedPackage", "signedPackage"]
    for kind in kinds(made):
        assert plain(receiver.client, url(made, kind)) == kind.encode()
    assert f"/{receiver.account_id}/{made['productId']}/{made['id']}" in url(made, "certificationReport")
    assert kinds(author.get(driver.path))[0] == "initialPackage"


@pytest.mark.parametrize("spelling", ["sourcepubliherid", "sourcepublisherid"])
def test_the_look_up_follows_what_is_shared(
    service: Served, author: Party, receiver: Party, stranger: Party, driver: Finished, spelling: str
) -> None:
    assert refused(receiver.look_up(author, driver, spelling)) == (404, "entityNotFound")
    label = Sharing(service, driver, receiver, ROWS)
    first = receiver.look_up(author, driver, spelling).json()
    label.remove(ROWS)
    second = receiver.look_up(author, driver, spelling).json()
    assert first["id"] != second["id"]
    assert {each["id"] for each in receiver.products()} == {first["productId"], second["productId"]}
    assert author.look_up(author, driver, spelling).json()["id"] == driver.id
    assert refused(stranger.look_up(author, driver, spelling)) == (404, "entityNotFound")
    assert refused(receiver.look_up(stranger, driver, spelling)) == (404, "entityNotFound")
    deprecated = receiver.get(path(first))
    assert f"use submission {second['id']}" in deprecated["workflowStatus"]["messages"][0]
    assert plain(receiver.client, url(deprecated, "signedPackage")) == b"signedPackage"


def rows_of(metadata: dict[str, Any]) -> set[tuple[str, ...]]:
    return {
        (bundle_id, inf_id, os_code, pnp_id)
        for bundle_id, bundle in metadata["BundleInfoMap"].items()
        for inf_id, inf in bundle["InfInfoMap"].items()
        for os_code, pnp_ids in inf["OSPnPInfoMap"].items()
        for pnp_id in pnp_ids
    }


def test_publisher_metadata_has_the_shared_rows_and_every_inf(
    service: Served, author: Party, receiver: Party, stranger: Party, driver: Finished, no_accident: None
) -> None:
    label = Sharing(service, driver, receiver, ROWS[:2])
    made = receiver.look_up(author, driver).json()
    for body in (b"", b"{}"):
        done = receiver.client.http.post(f"{path(made)}/createpublishermetadata", content=body)
        assert (done.status_code, done.content) == (202, b"")
    asked = receiver.get(path(made))
    metadata = json.loads(plain(receiver.client, url(asked, "driverMetadata")))
    assert rows_of(metadata) == set(map(tuple, ROWS[:2]))
    (bundle,) = metadata["BundleInfoMap"].values()
    assert set(bundle["InfInfoMap"]) == {INF, "Other.inf"}
    assert bundle["Locales"] == ["English"]
    assert bundle["InfInfoMap"][INF]["DriverVersion"] == "1.2.3.4"
    foreign = stranger.client.http.post(f"{path(made)}/createpublishermetadata")
    assert refused(foreign) == (404, "entityNotFound")

    label.remove(ROWS[:1])
    newer = receiver.look_up(author, driver).json()
    assert "driverMetadata" not in kinds(newer)
    receiver.client.http.post(f"{path(newer)}/createPublisherMetadata")
    newest = json.loads(plain(receiver.client, url(receiver.get(path(newer)), "driverMetadata")))
    assert rows_of(newest) == {tuple(ROWS[1])}


def test_for_the_author_publisher_metadata_is_there_or_is_made(
    service: Served, author: Party, driver: Finished
) -> None:
    asked = f"{driver.path}/createpublishermetadata"
    assert author.client.http.post(asked).status_code == 202
    assert plain(author.client, url(author.get(driver.path), "driverMetadata")) == b"driverMetadata"
    with database_of(service) as database, database.writing() as connection:
        connection.execute(
            downloads.delete().where(downloads.c.submission_id == driver.id, downloads.c.type == "driverMetadata")
        )
    assert author.client.http.post(asked).status_code == 202
    made = json.loads(plain(author.client, url(author.get(driver.path), "driverMetadata")))
    assert rows_of(made) == set(map(tuple, DRIVER))
    with database_of(service) as database, database.writing() as connection:
        for table in (downloads, submission_steps):
            connection.execute(table.delete().where(table.c.submission_id == driver.id))
    assert refused(author.client.http.post(asked)) == (422, "requestInvalidForCurrentState")


def test_a_whole_system_has_no_publisher_metadata(service: Served, author: Party) -> None:
    with database_of(service) as database, database.writing() as connection:
        types = {"selectedProductTypes": {"Windows_v100_RS5": "Laptop"}}
        system = finished_submission(connection, author.account_id, attributes=ATTRIBUTES | types)
    answer = author.client.http.post(f"{system.path}/createpublishermetadata")
    assert refused(answer) == (422, "requestInvalidForCurrentState")
    assert "whole system" in answer.json()["error"]["message"]


@pytest.fixture
def received(service: Served, author: Party, receiver: Party, driver: Finished) -> dict[str, Any]:
    Sharing(service, driver, receiver, ROWS)
    found: dict[str, Any] = receiver.look_up(author, driver).json()
    return found


def test_a_receiver_changes_nothing_of_it(receiver: Party, received: dict[str, Any], no_accident: None) -> None:
    http = receiver.client.http
    product = f"{API}/products/{received['productId']}"
    assert refused(http.patch(product, json={"productName": "mine"})) == (403, "updateUnauthorized")
    assert refused(http.patch(path(received), json={"name": "mine"})) == (403, "updateUnauthorized")
    assert refused(http.post(f"{path(received)}/commit")) == (422, "requestInvalidForCurrentState")
    again = http.post(f"{product}/submissions", json={"name": "x", "type": "initial"})
    assert refused(again) == (422, "requestInvalidForCurrentState")
    assert again.json()["error"]["message"] == "Initial submission already exists"
    assert receiver.get(path(received))["name"] == received["name"]


def test_a_receiver_derives_an_update_until_the_share_is_changed(
    service: Served, author: Party, receiver: Party, driver: Finished, no_accident: None
) -> None:
    label = Sharing(service, driver, receiver, ROWS)
    made = receiver.look_up(author, driver).json()
    derive = {"name": "update", "type": "derived"}
    product = f"{API}/products/{made['productId']}/submissions"
    update = receiver.client.http.post(product, json=derive)
    assert update.status_code == 201, update.text
    assert kinds(update.json()) == ["initialPackage"]
    label.remove(ROWS[:1])
    late = receiver.client.http.post(product, json=derive)
    assert refused(late) == (422, "requestInvalidForCurrentState")
    assert "deprecated" in late.json()["error"]["message"]


def test_of_a_shared_update_no_other_is_derived(
    service: Served, author: Party, receiver: Party, no_accident: None
) -> None:
    with database_of(service) as database, database.writing() as connection:
        update = finished_submission(connection, author.account_id, attributes=ATTRIBUTES, type="derived")
    Sharing(service, update, receiver, ROWS)
    made = receiver.look_up(author, update).json()
    assert made["type"] == "derived"
    for kind in ("initial", "derived"):
        answer = receiver.client.http.post(
            f"{API}/products/{made['productId']}/submissions", json={"name": "x", "type": kind}
        )
        assert refused(answer) == (403, "updateUnauthorized")


def test_a_reader_reads_and_does_nothing_else(
    service: Served, author: Party, receiver: Party, stranger: Party, driver: Finished, no_accident: None
) -> None:
    with database_of(service) as database, database.writing() as connection:
        label = insert_label(
            connection,
            account_id=author.account_id,
            product_id=driver.product_id,
            submission_id=driver.id,
            name="seen",
            destination="windowsUpdate",
            specifications={},
            targeting={},
            justifications=[],
            receiver_id=None,
            hardware_ids=ROWS,
            chids=[],
            created_by="tests",
            now=system_clock(),
        )
        ensure_reader(connection, label, receiver.account_id, system_clock())
    (product,) = receiver.products()
    assert product["originType"] == "readOnly"
    made = receiver.look_up(author, driver).json()
    assert sorted(kinds(made)) == ["certificationReport", "driverMetadata", "signedPackage"]
    assert plain(receiver.client, url(made, "signedPackage")) == b"signedPackage"
    http, base = receiver.client.http, f"{API}/products/{product['id']}"
    assert refused(http.patch(base, json={"productName": "mine"})) == (403, "updateUnauthorized")
    assert refused(http.patch(path(made), json={"name": "mine"})) == (403, "updateUnauthorized")
    for kind in ("initial", "derived"):
        answer = http.post(f"{base}/submissions", json={"name": "x", "type": kind})
        assert refused(answer) == (403, "readOnlyProduct")
    assert refused(http.post(f"{path(made)}/createpublishermetadata")) == (403, "readOnlyProduct")
    assert refused(http.post(f"{path(made)}/commit")) == (422, "requestInvalidForCurrentState")
    assert stranger.products() == []
