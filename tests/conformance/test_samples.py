"""The documentation's sample bodies are played, and the answers compared with the documented ones: every name, its
casing and its type. What a sample's value decides is compared too.
"""

from typing import Any

import httpx
import pytest

from service import API, ApiClient

ID, DATE, URL = 1152921504606978300, "2018-04-01T00:00:00Z", "https://manage.devcenter.microsoft.com/v2.0/my/hardware"

# The attestation sample: Attestation in PascalCase, a date without a zone, a family code in lower case, a signature for
# 32-bit Vista that attestation itself forbids.
ATTESTATION = {
    "productName": "VFTestDriver",
    "testHarness": "Attestation",
    "announcementDate": "2018-04-01T00:00:00",
    "deviceMetadataIds": [],
    "firmwareVersion": "980",
    "deviceType": "external",
    "isTestSign": False,
    "isFlightSign": False,
    "marketingNames": [],
    "selectedProductTypes": {"windows_v100_RS3": "Unclassified"},
    "requestedSignatures": ["WINDOWS_v100_RS3_FULL", "WINDOWS_VISTA"],
    "additionalAttributes": {},
}
HLK = {
    "productName": "Contoso HBA",
    "testHarness": "HLK",
    "announcementDate": "2018-04-01T00:00:00",
    "deviceMetadataIds": ["00000000-1111-2222-3333-444444444444"],
    "firmwareVersion": "980",
    "deviceType": "external",
    "isTestSign": False,
    "isFlightSign": False,
    "marketingNames": ["Contoso HBA 1", "Contoso HBA 2"],
    "selectedProductTypes": {"windows_v100_RS4": "Storage Controller"},
    "requestedSignatures": ["WINDOWS_v100_X64_RS4_FULL"],
    "additionalAttributes": {"storageController": {"biosVersion": "1", "usedBootSupport": True}},
}


def product_answer(sent: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        **sent,
        "id": ID,
        "sharedProductId": ID,
        "links": [
            {"href": URL, "rel": "self", "method": "GET"},
            {"href": URL, "rel": "get_submissions", "method": "GET"},
        ],
        "announcementDate": DATE,
        "isCommitted": False,
        "isExtensionInf": False,
        "isRetpolineCompiled": False,
        "originType": "author",
        "sourceProductId": 0,
        "sourcePublisherId": 0,
        "message": "",
        "createdDateTime": DATE,
        "updatedDateTime": DATE,
    } | changes


SUBMISSION_ANSWER: dict[str, Any] = {
    "id": ID,
    "productId": ID,
    "name": "VFTestDriver_submission1",
    "type": "initial",
    "links": [
        {"href": URL, "rel": "self", "method": "GET"},
        {"href": URL, "rel": "update_submission", "method": "PATCH"},
        {"href": URL, "rel": "commit_submission", "method": "POST"},
    ],
    "commitStatus": "commitPending",
    "isExtensionInf": False,
    "isUniversal": False,
    "isDeclarativeInf": False,
    "createdBy": "an application",
    "createdDateTime": DATE,
    "downloads": {"items": [{"type": "initialPackage", "url": URL}], "messages": []},
}


def form(value: object) -> object:
    """The names and types of a JSON value, inner ones too; an array has one form, that of its items."""
    if isinstance(value, dict):
        return {name: form(each) for name, each in value.items()}
    if isinstance(value, list):
        forms = [form(each) for each in value]
        assert all(each == forms[0] for each in forms)
        return forms[:1]
    return type(value).__name__


def created(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.parametrize(
    ("sample", "changes"),
    [
        (ATTESTATION, {"testHarness": "attestation", "selectedProductTypes": {"Windows_v100_RS3": "Unclassified"}}),
        (
            HLK,
            {
                "testHarness": "hlk",
                "selectedProductTypes": {"Windows_v100_RS4": "Storage Controller"},
                "additionalAttributes": {
                    "storageController": {"biosVersion": "1", "usedBootSupport": True}
                    | dict.fromkeys(
                        [
                            *("usedProprietary", "usedMicrosoft", "usedBetterBoot", "supportsSector4K512E"),
                            *("supportsSector4K4K", "supportsDifferential"),
                        ],
                        False,
                    )
                },
            },
        ),
    ],
    ids=["attestation", "hlk"],
)
def test_the_sample_of_a_product(client: ApiClient, sample: dict[str, Any], changes: dict[str, Any]) -> None:
    product = created(client.http.post(f"{API}/products", json=sample))
    documented = product_answer(sample, **changes)
    assert form(product) == form(documented)
    decided = (set(sample) | set(changes)) - {"announcementDate"}
    assert {name: product[name] for name in decided} == {name: documented[name] for name in decided}
    assert [(each["rel"], each["method"]) for each in product["links"]] == [("self", "GET"), ("get_submissions", "GET")]
    listed = client.http.get(f"{API}/products").json()
    assert form(listed["links"][0]) == form(documented["links"][0])
    assert form(next(each for each in listed["value"] if each["id"] == product["id"])) == form(documented)


def test_the_sample_of_a_submission(client: ApiClient) -> None:
    product = created(client.http.post(f"{API}/products", json=ATTESTATION))
    path = f"{API}/products/{product['id']}/submissions"
    submission = created(client.http.post(path, json={"name": "VFTestDriver_submission1", "type": "initial"}))
    assert form(submission) == form(SUBMISSION_ANSWER)
    for name in ("name", "type", "commitStatus"):
        assert submission[name] == SUBMISSION_ANSWER[name]
    assert [each["rel"] for each in submission["links"]] == [each["rel"] for each in SUBMISSION_ANSWER["links"]]
    (listed,) = client.http.get(path).json()["value"]
    assert form(listed) == form({name: each for name, each in SUBMISSION_ANSWER.items() if name != "downloads"})
    assert form(client.http.get(f"{path}/{submission['id']}").json()) == form(SUBMISSION_ANSWER)


REFUSALS: list[tuple[str, str, Any, int, dict[str, Any]]] = [
    (
        "POST",
        "/products",
        {**ATTESTATION, "requestedSignatures": ["WINDOWS_v100_X86_TH2_FULL"]},
        422,
        {"code": "invalidInput", "validationErrors": [{"target": "requestedSignatures", "message": ""}]},
    ),
    ("GET", "/products/1", None, 404, {"code": "entityNotFound", "validationErrors": []}),
    ("POST", "/products/1/submissions", {"name": "n", "type": "initial"}, 404, {"code": "entityNotFound"}),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "documented"), REFUSALS)
def test_the_sample_of_a_refusal(
    client: ApiClient, method: str, path: str, body: Any, status: int, documented: dict[str, Any]
) -> None:
    answer = client.http.request(method, f"{API}{path}", json=body)
    assert answer.status_code == status, answer.text
    (name,) = answer.json()
    assert name == "error"
    error = answer.json()["error"]
    wanted = {"message": "", "requestId": "", "validationErrors": []} | documented
    assert form(error) == form(wanted)
    assert error["code"] == documented["code"]


def test_the_sample_of_a_refusal_by_the_gateway(client: ApiClient) -> None:
    answer = client.http.get(f"{API}/products", headers={"Authorization": "Bearer none"})
    assert answer.status_code == 401
    assert form(answer.json()) == form({"statusCode": "401", "message": "Unauthorized"})
    assert answer.json()["statusCode"] == "401"
