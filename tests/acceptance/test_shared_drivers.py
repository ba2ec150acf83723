"""A driver from its author's package to the update that a partner makes of it, through the whole service."""

import json
from typing import Any

import pytest

from callers import database_of, new_client
from hlk_packages import derived, fetched, hlk_package, update_package
from hlkx_writer import PACKAGE_INFO
from hwdash.clock import system_clock
from hwdash.storage.accounts import create_account
from hwdash.storage.certificates import add_signing_certificate
from service import API, X64, ApiClient, Served, Vendor, download_url, new_vendor, until

MORE_INF = r"""
[Version]
Signature   = "$WINDOWS NT$"
Class       = System
ClassGuid   = {4d36e97d-e325-11ce-bfc1-08002be10318}
Provider    = %Provider%
CatalogFile = more.cat
DriverVer   = 06/02/2025,1.0.0.0
PnpLockdown = 1

[Manufacturer]
%Provider% = Models, NTamd64.10.0...16299

[Models.NTamd64.10.0...16299]
%Device% = Install, ROOT\NOT_SHARED

[Install.NT]

[Install.NT.Services]
AddService = , 2

[Strings]
Provider = "hwdash"
Device   = "Another device"
"""


@pytest.fixture(scope="module")
def initial(service: Served) -> dict[str, Any]:
    """The author's submission."""
    finished = service.client().submit(hlk_package(service.made.vendor), testHarness="HLK", requestedSignatures=[X64])
    assert finished["workflowStatus"]["state"] == "completed", finished["workflowStatus"]
    return finished


@pytest.fixture
def partner(service: Served) -> tuple[int, ApiClient, Vendor]:
    """Another account with a certificate of its own."""
    now, vendor = system_clock(), new_vendor("Partner")
    with database_of(service) as database, database.writing() as connection:
        account_id = create_account(connection, "Partner", now).id
        add_signing_certificate(connection, account_id, vendor.chain[0], now)
    roles = ["Manager", "Driver Submitter", "Shipping Label Owner"]
    return account_id, new_client(service, roles, account_id=account_id), vendor


def path_of(submission: dict[str, Any]) -> str:
    return f"{API}/products/{submission['productId']}/submissions/{submission['id']}"


def shared(service: Served, author: ApiClient, initial: dict[str, Any], seller_id: int, client: ApiClient) -> Any:
    """The partner's submission of what the author shares."""
    body = {
        "name": "For the partner",
        "destination": "anotherPartner",
        "recipientSpecifications": {"receiverPublisherId": str(seller_id)},
    }
    label = author.http.post(f"{path_of(initial)}/shippingLabels", json=body)
    assert label.status_code == 201, label.text
    ids = f"sourceproductid/{initial['productId']}/sourcesubmissionid/{initial['id']}"
    asked = f"{API}/products/relationships/sourcepubliherid/{service.made.credentials['accountId']}/{ids}"
    until(lambda: client.http.get(asked).status_code == 200, "nothing was received")
    return client.http.get(asked).json()


def rows_of(client: ApiClient, submission: dict[str, Any]) -> list[dict[str, str]]:
    """What labels can target, by the driver metadata."""
    metadata = json.loads(fetched(download_url(client.get_submission(submission), "driverMetadata")).content)
    return [
        {"bundleId": bundle_id, "infId": inf_id, "operatingSystemCode": code, "pnpString": pnp_id}
        for bundle_id, bundle in metadata["BundleInfoMap"].items()
        for inf_id, inf in bundle["InfInfoMap"].items()
        for code, pnp_ids in inf["OSPnPInfoMap"].items()
        for pnp_id in pnp_ids
    ]


def test_a_partner_gets_the_signed_package_and_signs_an_update_of_its_own(
    service: Served, client: ApiClient, initial: dict[str, Any], partner: tuple[int, ApiClient, Vendor]
) -> None:
    seller_id, theirs, vendor = partner
    received = shared(service, client, initial, seller_id, theirs)
    signed = fetched(download_url(received, "signedPackage")).content
    assert signed == fetched(download_url(initial, "signedPackage")).content
    assert fetched(download_url(received, "certificationReport")).status_code == 200
    assert theirs.http.post(f"{path_of(received)}/createpublishermetadata").status_code == 202
    (row,) = rows_of(theirs, received)
    assert row["pnpString"] == r"root\hwdash_sample"

    shell = fetched(download_url(received, "derivedPackage")).content
    update = derived(theirs, received)
    more = {"drivers/more/more.inf": MORE_INF.encode()}
    assert theirs.upload(update, update_package(vendor, shell, more=more)).status_code == 201
    assert theirs.commit(update).status_code == 202
    finished = theirs.finished(update)
    assert finished["workflowStatus"]["state"] == "completed", finished["workflowStatus"]["messages"]
    text = fetched(download_url(finished, "certificationReport")).text
    assert f"<th scope=row>Driver update of</th><td>submission {received['id']}</td>" in text
    assert "Partner (seller" in text

    known, new = sorted(rows_of(theirs, finished), key=lambda each: each["pnpString"])
    assert new["pnpString"] == r"root\not_shared"
    for rows, status in (([known], 201), ([known, new], 422)):
        body = {
            "name": "Update",
            "destination": "windowsUpdate",
            "publishingSpecifications": {"manualAcquisition": True},
            "targeting": {"hardwareIds": rows},
        }
        answer = theirs.http.post(f"{path_of(finished)}/shippingLabels", json=body)
        assert answer.status_code == status, answer.text
    targets = [each["target"] for each in answer.json()["error"]["validationErrors"]]
    assert len(targets) == 1
    assert targets[0].startswith("targeting.hardwareIds[1]")


def test_a_partners_update_has_to_be_of_the_authors_project(
    service: Served, client: ApiClient, initial: dict[str, Any], partner: tuple[int, ApiClient, Vendor]
) -> None:
    seller_id, theirs, vendor = partner
    received = shared(service, client, initial, seller_id, theirs)
    shell = fetched(download_url(received, "derivedPackage")).content
    info = PACKAGE_INFO.replace(b"Contoso widget", b"Fabrikam gadget")
    update = derived(theirs, received)
    theirs.upload(update, update_package(vendor, shell, info))
    theirs.commit(update)
    messages = theirs.finished(update)["workflowStatus"]["messages"]
    assert [each for each in messages if each.startswith("ERROR package.derived-project")], messages
