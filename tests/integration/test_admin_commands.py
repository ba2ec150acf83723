"""``hwdash admin`` beside a running service: what it changes counts at once."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.serialization import Encoding

from hwdash.cli.main import cli
from hwdash.clock import system_clock
from hwdash.signing.authority import development_vendor_certificate
from service import API, ApiClient, Served, new_vendor


def run(service: Served, *arguments: str) -> Result:
    """The command in this process, beside the service in its own."""
    return CliRunner().invoke(cli, ["admin", *arguments], env=service.made.environment)


def admin(service: Served, *arguments: str) -> str:
    done = run(service, *arguments)
    assert done.exit_code == 0, done.stderr
    return done.stdout


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
    known = admin_json(service, "account", "list", "--json")["accounts"]
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
    valid = {"productName": "x", "testHarness": "HLK", "requestedSignatures": ["WINDOWS_v100_X64_GE_FULL"]}
    refused = theirs.http.post(f"{API}/products", json=valid)
    assert refused.status_code == 403
    assert "Driver Submitter" in refused.json()["error"]["message"]


def test_a_certificate_is_listed_until_it_is_removed(service: Served, other_account: int, tmp_path: Path) -> None:
    account = ("--account", str(other_account))
    file = new_vendor("Another Vendor").write_certificate(tmp_path)
    assert "registered ev certificate" in admin(service, "certificate", "add", str(file), *account)
    (listed,) = admin_json(service, "certificate", "list", "--json", *account)["certificates"]
    assert "Another Vendor" in listed["subject"]
    admin(service, "certificate", "remove", listed["thumbprint"], *account)
    assert admin_json(service, "certificate", "list", "--json", *account)["certificates"] == []
    with pytest.raises(AssertionError, match="has no certificate"):
        admin(service, "certificate", "remove", listed["thumbprint"], *account)


def test_a_file_that_is_no_certificate_is_named(service: Served, other_account: int, tmp_path: Path) -> None:
    file = tmp_path / "not-a-certificate.pem"
    file.write_text("hello")
    with pytest.raises(AssertionError, match=r"not-a-certificate\.pem is not a certificate"):
        admin(service, "certificate", "add", str(file), "--account", str(other_account))


def test_an_account_is_enrolled_suspended_and_shown(service: Served) -> None:
    made = admin_json(service, "account", "create", "Later", "--pending")
    account = ("--account", str(made["id"]))
    assert made["status"] == "pending"
    theirs = as_application(service, admin_json(service, "app", "create", "CI", *account))
    assert "not enrolled" in theirs.http.get(f"{API}/products").json()["error"]["message"]
    admin(service, "account", "enroll", *account)
    assert theirs.http.get(f"{API}/products").status_code == 200
    admin(service, "account", "suspend", *account)
    assert "suspended" in theirs.http.get(f"{API}/products").json()["error"]["message"]
    assert "status: suspended" in admin(service, "account", "show", *account).splitlines()
    assert f"{made['id']}\tsuspended\t{made['tenantId']}\tLater" in admin(service, "account", "list")


def test_an_application_is_shown_disabled_and_removed(service: Served, other_account: int, tmp_path: Path) -> None:
    made = admin_json(service, "app", "create", "Short-lived", "--account", str(other_account))
    client_id = made["clientId"]
    theirs = as_application(service, made)
    certificate = new_vendor().write_certificate(tmp_path)
    thumbprint = admin(service, "app", "certificate", client_id, str(certificate)).split()[-1]
    second = admin_json(service, "app", "rotate-secret", client_id, "--grace", "1", "--days", "30")
    shown = admin_json(service, "app", "show", client_id, "--json")
    assert [each["daysLeft"] for each in shown["secrets"]] == [0, 29]
    assert [each["thumbprint"] for each in shown["certificates"]] == [thumbprint]
    assert made["clientSecret"] not in json.dumps(shown)
    as_application(service, made | {"clientSecret": second["clientSecret"]})
    admin(service, "app", "remove-secret", client_id, shown["secrets"][0]["id"])
    admin(service, "app", "remove-certificate", client_id, thumbprint)
    shown = admin_json(service, "app", "show", client_id, "--json")
    assert [each["id"] for each in shown["secrets"]] == [second["id"]]
    assert shown["certificates"] == []
    admin(service, "app", "disable", client_id)
    assert theirs.http.get(f"{API}/products").status_code == 403
    assert f"{client_id}\tdisabled" in admin(service, "app", "list", "--account", str(other_account))
    admin(service, "app", "enable", client_id)
    assert theirs.http.get(f"{API}/products").status_code == 200
    admin(service, "app", "remove", client_id)
    assert "not associated" in theirs.http.get(f"{API}/products").json()["error"]["message"]
    with pytest.raises(AssertionError, match="There is no application"):
        admin(service, "app", "show", client_id)


def test_a_person_is_made_listed_changed_and_removed(service: Served, other_account: int) -> None:
    account = ("--account", str(other_account))
    made = admin_json(service, "user", "create", "Ada@x.example", "--role", "report reviewer", *account)
    assert made["roles"] == ["Report Reviewer"]
    listed = admin(service, "user", "list", "--json", *account)
    assert made["oneTimePassword"] not in listed
    (found,) = json.loads(listed)["users"]
    assert (found["login"], found["state"]) == ("ada@x.example", "has a one-time password")
    admin(service, "user", "roles", "ada@x.example", "Driver Submitter", *account)
    admin(service, "user", "disable", "ada@x.example", *account)
    assert "ada@x.example\tdisabled\tAda@x.example\tDriver Submitter" in admin(service, "user", "list", *account)
    admin(service, "user", "enable", "ada@x.example", *account)
    again = admin_json(service, "user", "reset-password", "ada@x.example", *account)
    assert again["oneTimePassword"] != made["oneTimePassword"]
    admin(service, "user", "remove", "ada@x.example", *account)
    with pytest.raises(AssertionError, match="has no user ada@x"):
        admin(service, "user", "disable", "ada@x.example", *account)


def test_an_agreement_is_published_signed_and_withdrawn(service: Served, other_account: int) -> None:
    account = ("--account", str(other_account))
    admin(service, "agreement", "publish", "Code Signing", "1.0")
    try:
        assert [each["name"] for each in admin_json(service, "agreement", "list", "--json")["agreements"]] == [
            "Code Signing"
        ]
        admin(service, "user", "create", "legal", "--role", "Legal Agreement Signer", *account)
        admin(service, "agreement", "sign", "Code Signing", "--by", "LEGAL", *account)
        shown = admin_json(service, "account", "show", "--json", *account)
        assert [(each["version"], each["signedBy"]) for each in shown["agreements"]] == [("1.0", "legal")]
        assert shown["unsigned"] == []
    finally:
        admin(service, "agreement", "withdraw", "Code Signing")


def test_a_certificate_registers_itself_by_signing_a_challenge(
    service: Served, other_account: int, tmp_path: Path
) -> None:
    account = ("--account", str(other_account))
    vendor = new_vendor("Holder Ltd")
    challenge, signed = tmp_path / "challenge.cab", tmp_path / "signed.cab"
    admin(service, "certificate", "challenge", "--output", str(challenge), *account)
    with pytest.raises(AssertionError, match="is no signed challenge"):
        admin(service, "certificate", "add", "--signed", str(challenge), *account)
    vendor.sign(challenge, signed)
    mine = str(service.made.credentials["accountId"])
    with pytest.raises(AssertionError, match="no open challenge of account"):
        admin(service, "certificate", "add", "--signed", str(signed), "--account", mine)
    admin(service, "certificate", "add", "--signed", str(signed), *account)
    found = [
        each
        for each in admin_json(service, "certificate", "list", "--json", *account)["certificates"]
        if "Holder Ltd" in each["subject"]
    ]
    assert [(each["proven"], each["kind"]) for each in found] == [(True, "ev")]
    with pytest.raises(AssertionError, match="it was used before"):
        admin(service, "certificate", "add", "--signed", str(signed), *account)
    admin(service, "certificate", "remove", found[0]["thumbprint"], *account)


def test_a_certificate_that_ends_soon_is_warned_of(service: Served, other_account: int, tmp_path: Path) -> None:
    account = ("--account", str(other_account))
    now = system_clock()
    _, (leaf, *_) = development_vendor_certificate("Soon Ltd", now - timedelta(days=340), key_size=2048)
    file = tmp_path / "soon.pem"
    file.write_bytes(leaf.public_bytes(Encoding.PEM))
    admin(service, "certificate", "add", str(file), *account)
    done = run(service, "certificate", "list", *account)
    assert "Soon Ltd" in done.stdout
    assert "warning: the ev certificate" in done.stderr
    assert "register the next one" in done.stderr
