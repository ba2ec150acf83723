"""Sharing over HTTP, between three accounts: what the receiver gets and may do, and what a stranger sees (nothing)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from callers import database_of, new_client
from finished_submission import BUNDLE, INF, ROWS, RS5, Finished, finished_submission, on_the_wire
from hwdash.clock import system_clock
from hwdash.domain.ownership import IdKind
from hwdash.domain.targets import DriverRow
from hwdash.pipeline.work import result_blob_key
from hwdash.storage.accounts import create_account
from hwdash.storage.blobs import BlobStore
from hwdash.storage.label_tables import label_hardware_ids, shipping_labels
from hwdash.storage.ownership import add_owned
from hwdash.storage.submissions import add_download
from hwdash.storage.tables import downloads, submission_steps
from service import API, ApiClient, Served, until

OTHER_INF = DriverRow(BUNDLE, "Other.inf", RS5, r"usb\vid_1af4&pid_0001")
DRIVER = (*ROWS, OTHER_INF)


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
        made = finished_submission(connection, author.account_id, rows=DRIVER)
        for kind in ("signedPackage", "derivedPackage", "certificationReport", "driverMetadata"):
            key = result_blob_key(made.id, kind)
            blobs.put_file(key, [kind.encode()], name=kind, content_type="text/html")
            add_download(connection, made.id, kind, key, f"{kind}_{made.id}.x")
    return made


class Sharing:
    """A label of the author's that shares the driver with an account, run by the service."""

    def __init__(
        self,
        author: Party,
        driver: Finished,
        receiver: Party,
        rows: Sequence[DriverRow] | None,
        *,
        enforce_chids: bool = False,
    ) -> None:
        self.http, self.driver = author.client.http, driver
        specifications = {"receiverPublisherId": str(receiver.account_id), "enforceChidTargeting": enforce_chids}
        body = {"name": "private name", "destination": "anotherPartner", "recipientSpecifications": specifications}
        if rows is not None:
            body["targeting"] = {"hardwareIds": driver.targets(rows=rows)}
        made = self.http.post(driver.labels, json=body)
        assert made.status_code == 201, made.text
        self.path = f"{driver.labels}/{made.json()['id']}"
        self._finish()

    def change(self, action: str, rows: Sequence[DriverRow]) -> None:
        targets = self.driver.targets(rows=rows, action=action)
        answer = self.http.patch(self.path, json={"targeting": {"hardwareIds": targets}})
        assert answer.status_code == 204, answer.text
        self._finish()

    def _finish(self) -> None:
        def ended() -> bool:
            status = self.http.get(self.path).json()["workflowStatus"]
            assert status["state"] != "failed", status
            return bool(status["currentStep"] == "finalizeSharing" and status["state"] == "completed")

        until(ended, "the label has not ended")


def to_windows_update(
    rows: Sequence[DriverRow], *, visible_to: Sequence[Party] = (), chids: Sequence[str] = ()
) -> dict[str, Any]:
    """The body of a label to Windows Update."""
    specifications = {"manualAcquisition": True, "visibleToAccounts": [each.account_id for each in visible_to]}
    return {
        "name": "seen",
        "destination": "windowsUpdate",
        "publishingSpecifications": specifications,
        "targeting": {"hardwareIds": list(map(on_the_wire, rows)), "chids": [{"chid": each} for each in chids]},
    }


def published(author: Party, driver: Finished, *, visible_to: Party) -> int:
    """A label of the author's to Windows Update that an account may see."""
    made = author.client.http.post(driver.labels, json=to_windows_update(ROWS, visible_to=[visible_to]))
    assert made.status_code == 201, made.text
    return int(made.json()["id"])


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
    Sharing(author, driver, receiver, ROWS[:2])
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
    Sharing(author, driver, receiver, ROWS)
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
    label = Sharing(author, driver, receiver, ROWS)
    first = receiver.look_up(author, driver, spelling).json()
    label.change("remove", ROWS)
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
    label = Sharing(author, driver, receiver, ROWS[:2])
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

    label.change("remove", ROWS[:1])
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
        system = finished_submission(connection, author.account_id, attributes=types)
    answer = author.client.http.post(f"{system.path}/createpublishermetadata")
    assert refused(answer) == (422, "requestInvalidForCurrentState")
    assert "whole system" in answer.json()["error"]["message"]


@pytest.fixture
def received(service: Served, author: Party, receiver: Party, driver: Finished) -> dict[str, Any]:
    Sharing(author, driver, receiver, ROWS)
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
    label = Sharing(author, driver, receiver, ROWS)
    made = receiver.look_up(author, driver).json()
    derive = {"name": "update", "type": "derived"}
    product = f"{API}/products/{made['productId']}/submissions"
    update = receiver.client.http.post(product, json=derive)
    assert update.status_code == 201, update.text
    assert kinds(update.json()) == ["initialPackage"]
    label.change("remove", ROWS[:1])
    late = receiver.client.http.post(product, json=derive)
    assert refused(late) == (422, "requestInvalidForCurrentState")
    assert "deprecated" in late.json()["error"]["message"]


def test_of_a_shared_update_no_other_is_derived(
    service: Served, author: Party, receiver: Party, no_accident: None
) -> None:
    with database_of(service) as database, database.writing() as connection:
        update = finished_submission(connection, author.account_id, type="derived")
    Sharing(author, update, receiver, ROWS)
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
    published(author, driver, visible_to=receiver)
    until(lambda: bool(receiver.products()), "there is no copy")
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


def labels_of(party: Party, address: str) -> dict[int, dict[str, Any]]:
    """What the account sees below a submission, by the labels' ids."""
    return {each["id"]: each for each in party.get(f"{address}/shippingLabels?includeTargetingInfo=true")["value"]}


def test_a_receiver_labels_within_the_rows_that_are_shared_and_shares_nothing_on(
    author: Party, receiver: Party, stranger: Party, driver: Finished, no_accident: None
) -> None:
    Sharing(author, driver, receiver, ROWS[:2])
    labels = f"{path(receiver.look_up(author, driver).json())}/shippingLabels"
    http = receiver.client.http
    beyond = http.post(labels, json=to_windows_update(ROWS[1:3]))
    assert refused(beyond) == (422, "invalidInput")
    (finding,) = beyond.json()["error"]["validationErrors"]
    assert finding["target"].startswith("targeting.hardwareIds[1]")
    recipient = {"receiverPublisherId": str(stranger.account_id)}
    onward = http.post(
        labels, json={"name": "x", "destination": "anotherPartner", "recipientSpecifications": recipient}
    )
    assert refused(onward) == (422, "requestInvalidForCurrentState")
    assert http.post(labels, json=to_windows_update(ROWS[:2])).status_code == 201


def test_a_share_that_names_no_rows_shares_them_all(author: Party, receiver: Party, driver: Finished) -> None:
    Sharing(author, driver, receiver, None)
    labels = f"{path(receiver.look_up(author, driver).json())}/shippingLabels"
    assert receiver.client.http.post(labels, json=to_windows_update(DRIVER)).status_code == 201


def test_a_receiver_names_chids_where_the_share_enforces_them(
    author: Party, receiver: Party, driver: Finished, no_accident: None
) -> None:
    Sharing(author, driver, receiver, ROWS, enforce_chids=True)
    labels = f"{path(receiver.look_up(author, driver).json())}/shippingLabels"
    without = receiver.client.http.post(labels, json=to_windows_update(ROWS))
    assert refused(without) == (422, "invalidInput")
    assert [each["target"] for each in without.json()["error"]["validationErrors"]] == ["targeting.chids"]
    chid = "3e7d7a3c-6a7e-5d0c-9f1c-0d5f6a1b2c3d"
    assert receiver.client.http.post(labels, json=to_windows_update(ROWS, chids=[chid])).status_code == 201


def test_each_sees_its_own_labels_and_the_author_those_of_its_receivers(
    service: Served, author: Party, receiver: Party, stranger: Party, driver: Finished, no_accident: None
) -> None:
    """The stranger is another receiver here; the reader may read one label."""
    reader = party(service, "Reader")
    for each in (receiver, stranger):
        Sharing(author, driver, each, ROWS)
    own = path(receiver.look_up(author, driver).json())
    made = receiver.client.http.post(f"{own}/shippingLabels", json=to_windows_update(ROWS[:1])).json()["id"]
    seen = published(author, driver, visible_to=reader)
    until(lambda: bool(reader.products()), "there is no copy")
    copy = path(reader.look_up(author, driver).json())

    assert set(labels_of(receiver, own)) == {made}
    assert labels_of(stranger, path(stranger.look_up(author, driver).json())) == {}
    assert set(labels_of(reader, copy)) == {seen}
    at_the_author = labels_of(author, driver.path)
    assert {made, seen} <= set(at_the_author)
    assert len(at_the_author) == 4
    assert (at_the_author[made]["productId"], at_the_author[made]["submissionId"]) == (driver.product_id, driver.id)
    assert len(at_the_author[made]["targeting"]["hardwareIds"]) == 1

    change = {"targeting": {"hardwareIds": driver.targets(rows=ROWS[:1], action="remove")}}
    for party_, address in ((author, f"{driver.labels}/{made}"), (reader, f"{copy}/shippingLabels/{seen}")):
        answer = party_.client.http.patch(address, json=change)
        assert refused(answer)[0] == 403, answer.text
    other = path(stranger.look_up(author, driver).json())
    for party_, address in ((stranger, other), (reader, copy)):
        assert refused(party_.client.http.get(f"{address}/shippingLabels/{made}")) == (404, "entityNotFound")
    new = reader.client.http.post(f"{copy}/shippingLabels", json=to_windows_update(ROWS))
    assert refused(new) == (403, "readOnlyProduct")
    assert new.json()["error"]["message"] == "Not allowed to create the shipping labels on a read only product."


def test_of_what_is_no_longer_shared_labels_only_expire(
    service: Served, author: Party, receiver: Party, driver: Finished, no_accident: None
) -> None:
    label = Sharing(author, driver, receiver, ROWS)
    first = path(receiver.look_up(author, driver).json())
    http = receiver.client.http
    made = http.post(f"{first}/shippingLabels", json=to_windows_update(ROWS[:2])).json()["id"]
    address = f"{first}/shippingLabels/{made}"

    # As its workflow leaves it, which has its own tests.
    with database_of(service) as database, database.writing() as connection:
        published = {"current_step": "finalizePublishing", "state": "completed", "wake_at": None}
        connection.execute(shipping_labels.update().where(shipping_labels.c.id == made).values(**published))
        connection.execute(
            label_hardware_ids.update().where(label_hardware_ids.c.label_id == made).values(state="added")
        )
    label.change("remove", ROWS)
    targets = labels_of(receiver, first)[made]["targeting"]["hardwareIds"]
    assert {each["distributionState"] for each in targets} == {"added"}
    new = http.post(f"{first}/shippingLabels", json=to_windows_update(ROWS[:1]))
    assert refused(new) == (422, "requestInvalidForCurrentState")
    more = {"targeting": {"hardwareIds": driver.targets(rows=ROWS[2:3], action="add")}}
    assert refused(http.patch(address, json=more))[0] == 422
    less = {"targeting": {"hardwareIds": driver.targets(rows=ROWS[:1], action="remove")}}
    answer = http.patch(address, json=less)
    assert answer.status_code == 204, answer.text
    states = [each["distributionState"] for each in labels_of(receiver, first)[made]["targeting"]["hardwareIds"]]
    assert set(states) != {"added"}

    empty = path(receiver.look_up(author, driver).json())
    nothing = http.post(f"{empty}/shippingLabels", json=to_windows_update(ROWS[:1]))
    assert refused(nothing) == (422, "invalidInput")
    label.change("add", ROWS[:1])
    again = path(receiver.look_up(author, driver).json())
    assert http.post(f"{again}/shippingLabels", json=to_windows_update(ROWS[:1])).status_code == 201
    assert len(receiver.products()) == 3


def test_a_label_that_targets_anothers_ids_fails_and_names_the_owner(
    service: Served, author: Party, stranger: Party, no_accident: None
) -> None:
    row = DriverRow(BUNDLE, INF, RS5, rf"pci\ven_1af4&dev_{author.account_id}")
    with database_of(service) as database, database.writing() as connection:
        driver = finished_submission(connection, author.account_id, rows=[row])
        add_owned(connection, stranger.account_id, [(IdKind.HARDWARE_ID, row.hardware_id)], system_clock())
    made = author.client.http.post(driver.labels, json=to_windows_update([row]))
    assert made.status_code == 201, made.text
    address = f"{driver.labels}/{made.json()['id']}"
    until(lambda: author.get(address)["workflowStatus"]["state"] == "failed", "nobody minded")
    status = author.get(address)["workflowStatus"]
    assert status["currentStep"] == "preProcessShippingLabel"
    assert f"Stranger (seller {stranger.account_id}) owns {row.hardware_id}" in status["messages"][0]
