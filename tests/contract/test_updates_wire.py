"""Updates of products and submissions on the wire (contract: sections 4.4, 4.8 and 7.2), and audiences (4.16)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from hwdash.storage.database import Database
from hwdash.storage.tables import products, submissions
from service import API, X64, ApiClient, Served, hwdash, signed_cabinet

NOTHING_GIVEN = "At least one property is required for update."


@pytest.fixture(scope="module")
def finished(service: Served, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A submission that has been signed."""
    package = signed_cabinet(tmp_path_factory.mktemp("package"), service.made.vendor)
    return service.client().submit(package, announcementDate="2099-01-01T00:00:00Z", marketingNames=["One"])


@pytest.fixture
def database(service: Served) -> Database:
    return Database(f"sqlite:///{service.made.data / 'hwdash.db'}")


@pytest.fixture
def pending(client: ApiClient) -> dict[str, Any]:
    return client.create_submission(client.create_product()["id"])


def product_url(submission: Mapping[str, Any]) -> str:
    return f"{API}/products/{submission['productId']}"


def submission_url(submission: Mapping[str, Any]) -> str:
    return f"{product_url(submission)}/submissions/{submission['id']}"


def refused(answer: httpx.Response) -> tuple[int, str, list[str]]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], [each["target"] for each in error.get("validationErrors", [])]


def test_a_product_is_changed_and_answered_with_nothing(client: ApiClient, pending: dict[str, Any]) -> None:
    url = product_url(pending)
    before = client.http.get(url).json()
    change = {"ProductName": "Renamed", "marketingNames": ["A", "B"], "announcementDate": "2030-01-02T03:04:05"}
    answer = client.http.patch(url, json=change)
    assert (answer.status_code, answer.content) == (204, b"")
    after = client.http.get(url).json()
    assert after.pop("updatedDateTime") > before.pop("updatedDateTime")
    changed = {"productName": "Renamed", "marketingNames": ["A", "B"], "announcementDate": "2030-01-02T03:04:05Z"}
    assert after == before | changed


def test_a_whole_product_can_be_sent_back(client: ApiClient, pending: dict[str, Any]) -> None:
    url = product_url(pending)
    product = client.http.get(url).json()
    assert client.http.patch(url + "/", json=product | {"productName": "Again"}).status_code == 204
    assert client.http.get(url).json()["productName"] == "Again"


@pytest.mark.parametrize(
    ("body", "targets"),
    [
        ({}, ["productName", "marketingNames", "announcementDate"]),
        ({"productName": None, "id": None}, ["productName", "marketingNames", "announcementDate"]),
        ({"announcementDate": "0001-01-01T00:00:00"}, ["productName", "marketingNames", "announcementDate"]),
        ({"productName": "  "}, ["productName"]),
        ({"isTestSign": True, "productName": "n", "markettingNames": []}, ["isTestSign", "markettingNames"]),
        (
            {"productName": 5, "announcementDate": "soon", "marketingNames": [1], "testHarness": "HLK", "id": 1},
            ["productName", "marketingNames", "announcementDate", "testHarness", "id"],
        ),
    ],
)
def test_every_finding_of_a_product_update_is_told(
    client: ApiClient, pending: dict[str, Any], body: dict[str, Any], targets: list[str]
) -> None:
    before = client.http.get(product_url(pending)).json()
    assert refused(client.http.patch(product_url(pending), json=body)) == (422, "invalidInput", targets)
    assert client.http.get(product_url(pending)).json() == before


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"[]", {"Content-Type": "application/json"}, 400),
        (b"{", {"Content-Type": "application/json"}, 400),
        (b"{}", {"Content-Type": "text/plain"}, 415),
    ],
)
def test_what_is_no_update_is_refused_before_it_is_looked_at(
    client: ApiClient, pending: dict[str, Any], content: bytes, headers: dict[str, str], status: int
) -> None:
    for url in (product_url(pending), submission_url(pending)):
        assert client.http.patch(url, content=content, headers=headers).status_code == status


def test_a_product_without_an_initial_submission_cannot_be_changed(client: ApiClient) -> None:
    product = client.create_product()
    answer = client.http.patch(f"{API}/products/{product['id']}", json={"productName": "n"})
    assert refused(answer) == (403, "updateUnauthorized", [])
    assert "no initial submission" in answer.json()["error"]["message"]


def test_what_has_failed_cannot_be_changed(client: ApiClient, pending: dict[str, Any]) -> None:
    client.upload(pending, b"no cabinet")
    client.commit(pending)
    client.finished(pending)
    answer = client.http.patch(product_url(pending), json={"productName": "n"})
    assert refused(answer) == (403, "updateUnauthorized", [])
    answer = client.http.patch(submission_url(pending), json={"name": "n"})
    assert refused(answer) == (403, "updateUnauthorized", [])


def test_after_ingestion_the_announcement_date_stands(client: ApiClient, finished: dict[str, Any]) -> None:
    url = product_url(finished)
    answer = client.http.patch(url, json={"announcementDate": "2098-01-01", "marketingNames": ["One", "Two"]})
    assert refused(answer) == (403, "updateUnauthorized", ["announcementDate"])
    assert client.http.get(url).json()["marketingNames"] == ["One"]
    kept = {"announcementDate": "2099-01-01T00:00:00Z", "marketingNames": ["One", "Two"]}
    assert client.http.patch(url, json=kept).status_code == 204
    assert client.http.get(url).json()["marketingNames"] == ["One", "Two"]


def test_no_marketing_name_is_added_after_the_announcement(client: ApiClient) -> None:
    product = client.create_product(announcementDate="2020-01-01", marketingNames=["Old", "Older"])
    client.create_submission(product["id"])
    url = f"{API}/products/{product['id']}"
    answer = client.http.patch(url, json={"marketingNames": ["Old", "New"]})
    assert refused(answer) == (422, "invalidInput", ["marketingNames"])
    assert client.http.patch(url, json={"marketingNames": ["Old"]}).status_code == 204


def test_the_name_stands_still_while_the_workflow_runs(
    client: ApiClient, pending: dict[str, Any], database: Database
) -> None:
    with database.writing() as connection:
        running = {"commit_status": "commitComplete", "current_step": "manualReview", "state": "started"}
        connection.execute(sa.update(submissions).where(submissions.c.id == pending["id"]).values(running))
    answer = client.http.patch(product_url(pending), json={"productName": "n"})
    assert refused(answer) == (403, "updateUnauthorized", ["productName"])
    assert "Try again later" in answer.json()["error"]["message"]
    assert client.http.patch(product_url(pending), json={"marketingNames": ["m"]}).status_code == 204
    with database.writing() as connection:
        connection.execute(sa.update(submissions).where(submissions.c.id == pending["id"]).values(state="failed"))


def test_what_was_received_by_sharing_cannot_be_changed(
    client: ApiClient, pending: dict[str, Any], database: Database
) -> None:
    with database.writing() as connection:
        received = {"origin_type": "publisher", "source_product_id": 12345678901234560, "source_publisher_id": 87654321}
        connection.execute(sa.update(products).where(products.c.id == pending["productId"]).values(received))
    product = client.http.get(product_url(pending)).json()
    assert (product["originType"], product["sourceProductId"], product["sourcePublisherId"]) == (
        "publisher",
        12345678901234560,
        87654321,
    )
    for url, body in ((product_url(pending), {"productName": "n"}), (submission_url(pending), {"name": "n"})):
        assert refused(client.http.patch(url, json=body)) == (403, "updateUnauthorized", [])


def test_a_submission_is_renamed(client: ApiClient, pending: dict[str, Any]) -> None:
    whole = client.get_submission(pending)
    answer = client.http.patch(submission_url(pending), json=whole | {"name": "Renamed"})
    assert (answer.status_code, answer.content) == (204, b"")
    assert client.get_submission(pending)["name"] == "Renamed"


@pytest.mark.parametrize(
    ("body", "targets"),
    [
        ({}, ["name"]),
        ({"name": None}, ["name"]),
        (
            {"name": "", "type": "derived", "commitStatus": "commitFailed", "made": 1},
            ["name", "type", "commitStatus", "made"],
        ),
        ({"name": "n", "productId": 5}, ["productId"]),
    ],
)
def test_every_finding_of_a_submission_update_is_told(
    client: ApiClient, pending: dict[str, Any], body: dict[str, Any], targets: list[str]
) -> None:
    assert refused(client.http.patch(submission_url(pending), json=body)) == (422, "invalidInput", targets)
    assert client.get_submission(pending)["name"] == "Test submission"


def test_another_accounts_objects_do_not_exist(client: ApiClient, pending: dict[str, Any]) -> None:
    other = client.create_product()["id"]
    for url, body in (
        (f"{API}/products/10000000000000010", {"productName": "n"}),
        (f"{API}/products/{other}/submissions/{pending['id']}", {"name": "n"}),
    ):
        assert refused(client.http.patch(url, json=body)) == (404, "entityNotFound", [])


def test_updates_need_the_submitters_role(service: Served, pending: dict[str, Any]) -> None:
    environment, given = service.made.environment, service.made.credentials
    account = ["--account", str(given["accountId"])]
    roles = ["--role", "Manager", "--role", "Report Reviewer"]
    made = hwdash("admin", "app", "create", "reader", *roles, *account, environment=environment)
    app = json.loads(made)
    reader = ApiClient(service.url, given["caCertificate"], app["tenantId"], app["clientId"], app["clientSecret"])
    for url, body in ((product_url(pending), {"productName": "n"}), (submission_url(pending), {"name": "n"})):
        assert refused(reader.http.patch(url, json=body)) == (403, "forbidden", [])
    assert reader.http.get(f"{API}/audiences").status_code == 200


@pytest.mark.parametrize(
    ("product", "said"),
    [
        ({"requestedSignatures": [X64, "WINDOWS_7_X64"]}, "WINDOWS_7_X64 cannot be had by attestation"),
        ({"requestedSignatures": ["WINDOWS_v100_SERVER_X64_GE_FULL"]}, "cannot be had by attestation"),
        ({"selectedProductTypes": {"Windows7": "Keyboard"}}, "selectedProductTypes names Windows7"),
        ({"selectedProductTypes": {"Windows_v100_GE": "Keyboard"}}, None),
        ({}, None),
    ],
)
def test_a_product_says_what_will_become_of_it(client: ApiClient, product: dict[str, Any], said: str | None) -> None:
    """contract/observed.md 13: accepted, as on the wire; a good service says so at create time."""
    message = client.create_product(**product)["message"]
    assert said in message if said else message == ""


def test_an_old_code_on_an_attestation_product_fails_in_the_workflow(
    client: ApiClient, service: Served, tmp_path: Path
) -> None:
    package = signed_cabinet(tmp_path, service.made.vendor)
    status = client.submit(package, requestedSignatures=[X64, "WINDOWS_v100_SERVER_X64_GE_FULL"])["workflowStatus"]
    assert (status["currentStep"], status["state"]) == ("packageInfoValidation", "failed")
    assert any("package.signature-not-attested" in message for message in status["messages"])


@pytest.mark.parametrize("path", ["audiences", "audience", "Audiences/", "audience/"])
def test_every_account_has_the_test_audience(client: ApiClient, service: Served, path: str) -> None:
    answer = client.http.get(f"{API}/{path}")
    assert answer.status_code == 200
    body = answer.json()
    url = f"{service.url}{API}/audiences"
    assert body["links"] == [{"href": url, "rel": "self", "method": "GET"}]
    first = body["value"][0]
    assert first["name"] == "Test_Registry_Key"
    assert r"HKLM\Software\Microsoft\DriverFlighting\Partner" in first["description"]
    assert first["links"][0]["rel"] == "self"


def test_an_operator_makes_audiences_of_one_account(client: ApiClient, service: Served) -> None:
    environment = service.made.environment
    account = ["--account", str(service.made.credentials["accountId"])]
    create = ["admin", "audience", "create", "Lab", "--description", "Machines of the lab", "--key", "Lab_Key"]
    made = json.loads(hwdash(*create, *account, "--json", environment=environment))
    listed = client.http.get(f"{API}/audiences").json()["value"]
    (found,) = [each for each in listed if each["id"] == made["id"]]
    assert (found["name"], found["description"], found["audienceName"]) == ("Lab", "Machines of the lab", "Lab_Key")
    with pytest.raises(AssertionError, match="There is an audience lab already"):
        hwdash("admin", "audience", "create", "lab", "--description", "d", *account, environment=environment)
    page = client.http.get(f"{API}/audiences?pageSize=1").json()
    assert [each["name"] for each in page["value"]] == ["Test_Registry_Key"]
    shown = []
    while following := [each["href"] for each in page["links"] if each["rel"] == "next_link"]:
        page = client.http.get(following[0]).json()
        shown += [each["id"] for each in page["value"]]
    assert made["id"] in shown

    hwdash("admin", "audience", "remove", made["id"], *account, environment=environment)
    assert made["id"] not in [each["id"] for each in client.http.get(f"{API}/audiences").json()["value"]]
    with pytest.raises(AssertionError, match="every account has it"):
        hwdash("admin", "audience", "remove", listed[0]["id"], *account, environment=environment)


def test_an_extension_has_no_derived_submissions(client: ApiClient, database: Database) -> None:
    product = client.create_product(testHarness="HLK")
    initial = client.create_submission(product["id"])
    with database.writing() as connection:
        ended = {"commit_status": "commitComplete", "current_step": "finalizeIngestion", "state": "completed"}
        extension = ended | {"is_extension_inf": True}
        connection.execute(sa.update(submissions).where(submissions.c.id == initial["id"]).values(extension))
    answer = client.http.post(f"{product_url(initial)}/submissions", json={"name": "n", "type": "derived"})
    assert refused(answer) == (400, "invalidInput", ["type"])
    assert answer.json()["error"]["message"] == (
        "Cannot create derived submission for Attestation, TestSigned and ExtensionInf type of products."
    )
    listed = client.http.get(f"{API}/products?pageSize=1").json()["value"][0]
    assert (listed["id"], listed["isExtensionInf"]) == (product["id"], True)


def test_submissions_come_in_pages_when_asked_for(client: ApiClient, database: Database) -> None:
    product = client.create_product(testHarness="HLK")
    initial = client.create_submission(product["id"])
    with database.writing() as connection:
        ended = {"commit_status": "commitComplete", "current_step": "finalizeIngestion", "state": "completed"}
        connection.execute(sa.update(submissions).where(submissions.c.id == initial["id"]).values(ended))
    made = [initial["id"]] + [
        client.create_submission(product["id"], name=f"Update {n}", type="derived")["id"] for n in range(4)
    ]
    url: str | None = f"{API}/products/{product['id']}/submissions"
    assert [each["id"] for each in client.http.get(str(url)).json()["value"]] == made[::-1]
    url, seen = f"{url}?pageSize=2", []
    while url is not None:
        page = client.http.get(url).json()
        seen.append([each["id"] for each in page["value"]])
        url = next((each["href"] for each in page["links"] if each["rel"] == "next_link"), None)
    assert seen == [made[:2:-1], made[2:0:-1], made[:1]]
