"""The SDK against the real service, through a connection that misbehaves."""

import hashlib
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from hwdash.sdk.auth import ClientSecret
from hwdash.sdk.client import HardwareClient
from hwdash.sdk.errors import (
    ApiError,
    AuthenticationError,
    LabelFailed,
    SdkError,
    SigningFailed,
    SubmissionFailed,
    TransportError,
)
from hwdash.wire.preprod import PreprodAsset
from service import X64, Served, signed_cabinet

PRODUCT = {"productName": "SDK", "testHarness": "Attestation", "requestedSignatures": [X64]}

Fault = Callable[[httpx.Request, int], httpx.Response | None]


class Unreliable(httpx.BaseTransport):
    """The real connection, with faults: ``fault(request, number)`` answers or raises in its place, or lets it pass."""

    def __init__(self, ca: str, fault: Fault) -> None:
        self._real = httpx.HTTPTransport(verify=ssl.create_default_context(cafile=ca))
        self._fault = fault
        self.seen: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        return self._fault(request, len(self.seen)) or self._real.handle_request(request)

    def close(self) -> None:
        self._real.close()


def sdk(service: Served, fault: Fault = lambda request, number: None, secret: str | None = None) -> HardwareClient:
    given = service.made.credentials
    credentials = ClientSecret(service.url, given["tenantId"], given["clientId"], secret or given["clientSecret"])
    return HardwareClient(service.url, credentials, transport=Unreliable(given["caCertificate"], fault))


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwdash.sdk.client.FIRST_PAUSE_SECONDS", 0.0)


def test_creates_reads_and_lists(service: Served) -> None:
    with sdk(service) as client:
        product = client.create_product(PRODUCT)
        assert client.get_product(product.id) == product
        assert product.id in {each.id for each in client.products()}
        submission = client.create_submission(product.id, "first")
        assert [each.id for each in client.submissions(product.id)] == [submission.id]


def test_updates_and_lists_audiences(service: Served) -> None:
    with sdk(service) as client:
        product = client.create_product(PRODUCT)
        submission = client.create_submission(product.id, "first")
        client.update_product(product.id, {"productName": "Renamed", "marketingNames": ["One"]})
        client.update_submission(product.id, submission.id, "second")
        changed = client.get_product(product.id)
        assert (changed.product_name, changed.marketing_names) == ("Renamed", ["One"])
        assert client.get_submission(product.id, submission.id).name == "second"
        with pytest.raises(ApiError) as refused:
            client.update_product(product.id, {"isTestSign": True})
        assert [target for target, _ in refused.value.findings] == ["isTestSign"]
        assert "Test_Registry_Key" in [each.name for each in client.audiences()]


def test_a_collection_is_what_its_pages_hold_together(service: Served) -> None:
    with sdk(service) as client:
        for _ in range(3):
            client.create_product(PRODUCT)
        whole, paged = client.collection("products"), client.collection("products?pageSize=2")
    assert len(whole["value"]) >= 3
    assert paged["value"] == whole["value"]
    assert [each["rel"] for each in paged["links"]] == ["self"]


def test_a_get_is_repeated_when_the_service_is_busy(service: Served) -> None:
    answers = {2: httpx.Response(503), 3: httpx.Response(429, headers={"Retry-After": "0"}), 4: httpx.Response(500)}
    with sdk(service, lambda request, number: answers.get(number)) as client:
        assert list(client.products()) is not None


def test_a_create_whose_answer_is_lost_is_not_sent_twice_blindly(service: Served) -> None:
    def lose(request: httpx.Request, number: int) -> httpx.Response | None:
        if request.method == "POST" and request.url.path.endswith("/products"):
            raise httpx.ReadError("lost", request=request)
        return None

    with sdk(service, lose) as client, pytest.raises(TransportError, match="lost"):
        client.create_product(PRODUCT)


def test_a_create_with_a_request_id_is_repeated_and_makes_one_product(service: Served) -> None:
    given = service.made.credentials
    real = httpx.HTTPTransport(verify=ssl.create_default_context(cafile=given["caCertificate"]))
    lost: list[httpx.Response] = []

    def lose_the_answer(request: httpx.Request, number: int) -> httpx.Response | None:
        if request.method == "POST" and request.url.path.endswith("/products") and not lost:
            lost.append(real.handle_request(request))
            raise httpx.ReadError("lost", request=request)
        return None

    with sdk(service, lose_the_answer) as client:
        product = client.create_product(PRODUCT, request_id="5f1d8f8e-52cf-4f4b-8c62-0a2a35d7c3a1")
        lost[0].read()
        assert product.id == lost[0].json()["id"]


def test_a_refused_token_is_fetched_anew_once(service: Served) -> None:
    refused = {2: httpx.Response(401, json={"statusCode": "401", "message": "ended"})}
    with sdk(service, lambda request, number: refused.get(number)) as client:
        assert list(client.products()) is not None


def test_a_link_to_another_origin_is_not_followed_with_the_token(service: Served) -> None:
    elsewhere = {"value": [], "links": [{"href": "https://example.com/v2.0/my/hardware/products", "rel": "next_link"}]}
    answers = {2: httpx.Response(200, json=elsewhere)}
    with sdk(service, lambda request, number: answers.get(number)) as client:
        with pytest.raises(SdkError, match=r"another origin, https://example\.com"):
            list(client.products())
        transport = client._http._transport
        assert isinstance(transport, Unreliable)
        assert {request.url.host for request in transport.seen} == {"localhost"}


def test_a_wrong_secret_is_an_authentication_error(service: Served) -> None:
    with sdk(service, secret="wrong") as client, pytest.raises(AuthenticationError, match="7000215"):
        list(client.products())


def test_every_finding_of_a_refusal_is_told(service: Served) -> None:
    with sdk(service) as client, pytest.raises(ApiError) as refusal:
        client.create_product({"productName": "", "testHarness": "none", "requestedSignatures": []})
    assert refusal.value.code == "invalidInput"
    assert {target for target, _ in refusal.value.findings} == {"productName", "testHarness", "requestedSignatures"}


def test_nobody_at_the_address_is_a_transport_error() -> None:
    credentials = ClientSecret("https://localhost:9", "t", "c", "s")
    with HardwareClient("https://localhost:9", credentials) as client, pytest.raises(TransportError):
        client.get_product(1)


def test_a_package_goes_up_in_blocks_and_comes_back_whole_through_faults(service: Served, tmp_path: Path) -> None:
    package = tmp_path / "large.cab"
    package.write_bytes(hashlib.shake_256(b"package").digest(9 << 20))
    failed: set[str] = set()

    def fail_each_block_once(request: httpx.Request, number: int) -> httpx.Response | None:
        block = request.url.params.get("blockid")
        if block is None or block in failed:
            return None
        failed.add(block)
        raise httpx.WriteError("broken", request=request)

    moved: list[tuple[int, int]] = []
    with sdk(service, fail_each_block_once) as client:
        submission = client.create_submission(client.create_product(PRODUCT).id, "large")
        url = submission.download("initialPackage")
        assert url is not None
        client.upload(url, package, lambda done, total: moved.append((done, total)))
        client.download(url, tmp_path / "back.cab")
    assert len(failed) == 3
    assert moved[-1] == (9 << 20, 9 << 20)
    assert (tmp_path / "back.cab").read_bytes() == package.read_bytes()
    assert not (tmp_path / "back.cab.part").exists()


def test_a_download_that_breaks_goes_on_where_it_broke(service: Served, tmp_path: Path) -> None:
    package = tmp_path / "large.cab"
    package.write_bytes(hashlib.shake_256(b"package").digest(6 << 20))
    broken: list[str] = []

    class Breaking(httpx.SyncByteStream):
        def __iter__(self):
            yield package.read_bytes()[: 2 << 20]
            raise httpx.ReadError("broken")

    def break_once(request: httpx.Request, number: int) -> httpx.Response | None:
        if request.method != "GET" or "/blobs/" not in request.url.path:
            return None
        broken.append(request.headers.get("Range", ""))
        if len(broken) > 1:
            return None
        with httpx.Client(verify=ssl.create_default_context(cafile=service.made.credentials["caCertificate"])) as real:
            headers = real.head(request.url).headers
        return httpx.Response(200, headers=headers, stream=Breaking())

    with sdk(service, break_once) as client:
        submission = client.create_submission(client.create_product(PRODUCT).id, "large")
        url = submission.download("initialPackage")
        assert url is not None
        client.upload(url, package)
        client.download(url, tmp_path / "back.cab")
    assert broken == ["", f"bytes={2 << 20}-"]
    assert (tmp_path / "back.cab").read_bytes() == package.read_bytes()


def test_waiting_for_a_failed_submission_tells_why(service: Served, tmp_path: Path) -> None:
    with sdk(service) as client:
        submission = client.create_submission(client.create_product(PRODUCT).id, "broken")
        url = submission.download("initialPackage")
        assert url is not None
        broken = tmp_path / "broken.cab"
        broken.write_bytes(signed_cabinet(tmp_path, service.made.vendor).read_bytes()[:-1000])
        client.upload(url, broken)
        client.commit(submission.product_id, submission.id)
        with pytest.raises(SubmissionFailed) as failure:
            client.wait(submission.product_id, submission.id, poll_seconds=0.1, timeout_seconds=60)
    assert failure.value.step == "packageInfoValidation"
    assert any("Initial_" in message for message in failure.value.messages)


def test_a_token_endpoint_that_is_busy_is_asked_again(service: Served) -> None:
    answers = {1: httpx.Response(503), 2: httpx.Response(429), 3: httpx.Response(500, text="<html>")}
    paused: list[float] = []
    with sdk(service, lambda request, number: answers.get(number)) as client:
        assert isinstance(client._credentials, ClientSecret)
        client._credentials.sleep = paused.append
        assert list(client.products()) is not None
    assert len(paused) == 3
    assert paused == sorted(paused)


def test_a_commit_in_doubt_is_asked_about_and_not_sent_blindly(service: Served, tmp_path: Path) -> None:
    """502 after the commit was taken, 500 before it was, and a plain refusal."""
    package = signed_cabinet(tmp_path, service.made.vendor)
    real = httpx.HTTPTransport(verify=ssl.create_default_context(cafile=service.made.credentials["caCertificate"]))
    commits: list[int] = []

    def fault(request: httpx.Request, number: int) -> httpx.Response | None:
        if not request.url.path.endswith("/commit"):
            return None
        commits.append(number)
        if len(commits) == 1:
            return httpx.Response(500)
        if len(commits) == 2:
            assert real.handle_request(request).status_code == 202
            return httpx.Response(502, text="<html>bad gateway</html>")
        return None

    with sdk(service, fault) as client:
        product = client.create_product(PRODUCT)
        submission = client.create_submission(product.id, "in doubt")
        url = submission.download("initialPackage")
        assert url is not None
        client.upload(url, package)
        client.commit(product.id, submission.id)
        assert len(commits) == 2
        with pytest.raises(ApiError, match="Only pending"):
            client.commit(product.id, submission.id)


def test_an_upload_whose_answer_is_lost_is_repeated_and_makes_one_preproduction_package(
    service: Served, tmp_path: Path
) -> None:
    given = service.made.credentials
    real = httpx.HTTPTransport(verify=ssl.create_default_context(cafile=given["caCertificate"]))
    lost: list[httpx.Response] = []

    def lose_the_answer(request: httpx.Request, number: int) -> httpx.Response | None:
        if request.method == "PUT" and not lost:
            lost.append(real.handle_request(request))
            raise httpx.ReadError("lost", request=request)
        return None

    package = tmp_path / "package.cab"
    package.write_bytes(b"no cabinet, and more than one piece of it" * 50_000)
    moved: list[tuple[int, int]] = []
    with sdk(service, lose_the_answer) as client:
        made = client.upload_preprod(package, lambda done, total: moved.append((done, total)))
        lost[0].read()
        assert made.id == lost[0].json()["id"]
        with pytest.raises(SigningFailed, match=r"package\.unreadable"):
            client.wait_preprod(made.id, poll_seconds=0.05)
    total = package.stat().st_size
    assert moved.count((0, total)) == moved.count((total, total)) == 2
    real.close()


def test_a_download_with_another_hash_than_the_assets_is_not_kept(service: Served, tmp_path: Path) -> None:
    answers = {2: httpx.Response(200, content=b"something else", headers={"ETag": '"1"'})}
    asset = PreprodAsset(id="1", content_hash=hashlib.sha256(b"the signed files").hexdigest())
    client = sdk(service, lambda request, number: answers.get(number))
    with client, pytest.raises(TransportError, match="SHA-256"):
        client.download_preprod("2", asset, tmp_path / "signed.zip")
    assert list(tmp_path.iterdir()) == []


def test_a_preproduction_download_goes_on_where_it_broke(service: Served, tmp_path: Path) -> None:
    content = bytes(range(256)) * 20_000

    class Breaking(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield content[:1_500_000]
            raise httpx.ReadError("broken")

    headers = {"ETag": '"1"', "Content-Length": str(len(content))}
    seen: list[httpx.Request] = []

    def break_once(request: httpx.Request, number: int) -> httpx.Response | None:
        if number == 1:
            return None
        seen.append(request)
        if number == 2:
            return httpx.Response(200, stream=Breaking(), headers=headers)
        start = int(request.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        return httpx.Response(206, content=content[start:], headers={"ETag": '"1"'})

    asset = PreprodAsset(id="1", content_hash=hashlib.sha256(content).hexdigest())
    with sdk(service, break_once) as client:
        client.download_preprod("2", asset, tmp_path / "signed.zip")
    assert (tmp_path / "signed.zip").read_bytes() == content
    assert all(request.headers["Authorization"].startswith("Bearer ") for request in seen)
    assert seen[1].headers["If-Match"] == '"1"'


def labels_seen(*statuses: tuple[object, str]) -> tuple[Fault, list[str]]:
    """The label 7 as it is at each look, and then stays; in the forms that Microsoft's service was seen to use."""
    looked: list[str] = []

    def fault(request: httpx.Request, number: int) -> httpx.Response | None:
        if "/shippingLabels/7" not in request.url.path:
            return None
        looked.append(request.method)
        step, state = statuses[min(len(looked), len(statuses)) - 1]
        status = {"currentStep": step, "state": state, "messages": ["Ask later."], "errorReport": ""}
        ids = {"id": 7, "productId": 5, "submissionId": 6}
        label = {**ids, "name": "n", "destination": "windowsUpdate", "workflowStatus": status, "links": []}
        return httpx.Response(200, json=label)

    return fault, looked


@pytest.mark.parametrize(
    ("statuses", "until_approval", "looks"),
    [
        (
            [
                *(("Created", "completed"), (5, "started"), ("somethingNew", "completed")),
                *(("microsoftApproval", "started"), ("publishing", "started")),
                *(("finalizePublishing", "started"), ("finalizePublishing", "completed")),
            ],
            *(False, 7),
        ),
        ([("preProcessShippingLabel", "notStarted"), ("microsoftApproval", "notStarted")], True, 2),
        ([("updateGeneration", "started"), ("finalizePublishing", "started")], True, 2),
        ([("processSharing", "completed"), ("FinalizeSharing", "completed")], False, 2),
    ],
)
def test_waiting_for_a_label_ends_when_it_is_published_or_shared(
    service: Served, statuses: list[tuple[object, str]], until_approval: bool, looks: int
) -> None:
    fault, looked = labels_seen(*statuses)
    with sdk(service, fault) as client:
        label = client.wait_label(5, 6, 7, until_approval=until_approval, poll_seconds=0)
    assert (len(looked), label.workflow_status.state) == (looks, statuses[-1][1])


def test_waiting_for_a_label_that_fails_tells_where_and_why(service: Served) -> None:
    fault, looked = labels_seen(("microsoftApproval", "started"), ("microsoftApproval", "failed"))
    with sdk(service, fault) as client, pytest.raises(LabelFailed, match="Ask later") as failure:
        client.wait_label(5, 6, 7, poll_seconds=0)
    assert (failure.value.step, failure.value.messages, len(looked)) == ("microsoftApproval", ["Ask later."], 2)


def test_waiting_for_a_label_ends_when_time_is_up(service: Served) -> None:
    fault, looked = labels_seen(("microsoftApproval", "started"))
    with sdk(service, fault) as client:
        clock = iter(range(100))
        client._now, client._sleep = lambda: float(next(clock)), lambda seconds: None
        with pytest.raises(TransportError, match="label 7 has not ended in 3 s"):
            client.wait_label(5, 6, 7, timeout_seconds=3)
    assert len(looked) == 4


def test_a_change_of_a_label_whose_answer_is_lost_is_not_sent_twice_blindly(service: Served) -> None:
    def lose(request: httpx.Request, number: int) -> httpx.Response | None:
        if request.method == "PATCH":
            raise httpx.ReadError("lost", request=request)
        return None

    with sdk(service, lose) as client:
        with pytest.raises(TransportError, match="lost"):
            client.update_label(5, 6, 7, {"restrictedToAudiences": []})
        transport = client._http._transport
        assert isinstance(transport, Unreliable)
        assert [request.method for request in transport.seen].count("PATCH") == 1
