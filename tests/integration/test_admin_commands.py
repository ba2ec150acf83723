"""``hwdash admin`` beside a running service: what it changes counts at once."""

import json
from pathlib import Path
from typing import Any

import pytest

from service import API, ApiClient, Served, hwdash, new_vendor


def admin(service: Served, *arguments: str) -> str:
    return hwdash("admin", *arguments, environment=service.made.environment)


def admin_json(service: Served, *arguments: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(admin(service, *arguments).splitlines()[-1])
    return answer


def as_application(service: Served, made: dict[str, Any]) -> ApiClient:
    ca = service.made.credentials["caCertificate"]
    return ApiClient(service.url, ca, made["tenantId"], made["clientId"], made["clientSecret"])


@pytest.fixture(scope="module")
def other_account(service: Served) -> int:
    return int(admin_json(service, "account", "create", "Another Vendor")["id"])


def test_a_new_account_and_application_see_their_own_products_only(service: Served, other_account: int) -> None:
    known = admin_json(service, "account", "list")["accounts"]
    assert other_account in {each["id"] for each in known}
    theirs = as_application(service, admin_json(service, "app", "create", "CI", "--account", str(other_account)))
    product = theirs.create_product(productName="theirs")
    assert [each["id"] for each in theirs.http.get(f"{API}/products").json()["value"]] == [product["id"]]
    assert service.client().http.get(f"{API}/products/{product['id']}").status_code == 404


def test_with_two_accounts_the_one_meant_must_be_named(service: Served, other_account: int) -> None:
    with pytest.raises(AssertionError, match="--account"):
        admin(service, "certificate", "list")


def test_a_second_secret_works_beside_the_first(service: Served, other_account: int) -> None:
    made = admin_json(service, "app", "create", "Rotating", "--account", str(other_account))
    second = admin_json(service, "app", "secret", made["clientId"])
    for secret in (made["clientSecret"], second["clientSecret"]):
        as_application(service, made | {"clientSecret": secret})


def test_roles_count_from_the_next_request_on(service: Served, other_account: int) -> None:
    made = admin_json(service, "app", "create", "Reader", "--account", str(other_account))
    theirs = as_application(service, made)
    admin(service, "app", "roles", made["clientId"], "Manager", "Report Reviewer")
    assert theirs.http.get(f"{API}/products").status_code == 200
    refused = theirs.http.post(f"{API}/products", json={})
    assert refused.status_code == 422
    valid = {"productName": "x", "testHarness": "HLK", "requestedSignatures": ["WINDOWS_v100_X64_GE_FULL"]}
    refused = theirs.http.post(f"{API}/products", json=valid)
    assert refused.status_code == 403
    assert "Driver Submitter" in refused.json()["error"]["message"]


def test_a_certificate_is_listed_until_it_is_removed(service: Served, other_account: int, tmp_path: Path) -> None:
    account = ("--account", str(other_account))
    file = new_vendor("Another Vendor").write_certificate(tmp_path)
    assert "registered ev certificate" in admin(service, "certificate", "add", str(file), *account)
    (listed,) = admin_json(service, "certificate", "list", *account)["certificates"]
    assert "Another Vendor" in listed["subject"]
    admin(service, "certificate", "remove", listed["thumbprint"], *account)
    assert admin_json(service, "certificate", "list", *account)["certificates"] == []
    with pytest.raises(AssertionError, match="has no certificate"):
        admin(service, "certificate", "remove", listed["thumbprint"], *account)


def test_a_file_that_is_no_certificate_is_named(service: Served, other_account: int, tmp_path: Path) -> None:
    file = tmp_path / "not-a-certificate.pem"
    file.write_text("hello")
    with pytest.raises(AssertionError, match=r"not-a-certificate\.pem is not a certificate"):
        admin(service, "certificate", "add", str(file), "--account", str(other_account))
