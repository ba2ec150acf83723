"""``hwdash sandbox record``, ``replay`` and ``compare``, before a real service."""

import base64
import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from hwdash.sandbox import Sandbox, running
from service import API, HWDASH, ApiClient, Vendor, clean_environment, download_url, new_vendor, signed_cabinet


@contextmanager
def door(*arguments: str) -> Iterator[dict[str, Any]]:
    """record or replay until the block ends; what it printed."""
    with subprocess.Popen(
        [*HWDASH, "sandbox", *arguments], env=clean_environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()
    assert process.returncode == 0


@dataclass(frozen=True)
class Recording:
    file: Path
    submission: dict[str, Any]
    canaries: dict[str, str]
    sandbox: Sandbox
    package: Path


@pytest.fixture(scope="module")
def vendor() -> Vendor:
    return new_vendor()


@pytest.fixture(scope="module")
def recording(vendor: Vendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recording]:
    """One submission from beginning to end through the recorder, with secrets where nobody expects them."""
    folder = tmp_path_factory.mktemp("recording")
    file, package = folder / "recording.jsonl", signed_cabinet(folder, vendor)
    with running(certificates=[vendor.write_certificate(folder)]) as sandbox:
        # By another name than that of its links: they lead to another host, as a store of blobs is.
        upstream = sandbox.url.replace("localhost", "127.0.0.1")
        with door("record", "--upstream", upstream, "--ca", str(sandbox.ca), str(file)) as recorder:
            api = ApiClient(
                recorder["url"], recorder["caCertificate"], sandbox.tenant_id, sandbox.client_id, sandbox.client_secret
            )
            token = api.http.headers["Authorization"].split()[1]
            hidden = "".join(f"{shift}{coded(sandbox.client_secret, shift)}" for shift in range(3))
            product = api.create_product(productName=hidden)
            assert api.http.get(f"{API}/products/1?note={quote(token, safe='')}").status_code == 404
            pieces = [b'{"note": "', *(bytes([each]) for each in token.encode()), b'", "name": "x", "type": "initial"}']
            refused = api.http.post(
                f"{API}/products/1/submissions", content=iter(pieces), headers={"Content-Type": "application/json"}
            )
            assert refused.status_code == 404
            submission = api.create_submission(product["id"])
            upload = download_url(submission, "initialPackage")
            assert urlsplit(upload).netloc == urlsplit(recorder["url"]).netloc
            assert api.upload(submission, package).status_code == 201
            assert api.http.get(f"{upload}broken", headers={"Authorization": ""}).status_code == 403
            assert api.commit(submission).status_code == 202
            done = api.finished(submission)
            signed = api.http.get(download_url(done, "signedPackage"), headers={"Authorization": ""})
            assert signed.content[:2] == b"PK"
        signature = urlsplit(upload).query.partition("sig=")[2]
        canaries = {"secret": sandbox.client_secret, "token": token, "signature": signature}
        yield Recording(file, done, canaries, sandbox, package)


def coded(secret: str, shift: int) -> str:
    return base64.b64encode(b"x" * shift + secret.encode()).decode()


def test_the_whole_exchange_is_written_down_in_order(recording: Recording) -> None:
    lines = [json.loads(line) for line in recording.file.read_text().splitlines()]
    paths = [f"{each['request']['method']} {each['request']['target'].partition('?')[0]}" for each in lines]
    product, submission = recording.submission["productId"], recording.submission["id"]
    wanted = [
        f"POST /{recording.sandbox.tenant_id}/oauth2/token",
        f"POST {API}/products",
        f"GET {API}/products/1",
        f"POST {API}/products/1/submissions",
        f"POST {API}/products/{product}/submissions",
        f"POST {API}/products/{product}/submissions/{submission}/commit",
        f"GET {API}/products/{product}/submissions/{submission}",
    ]
    assert [each for each in dict.fromkeys(paths) if "_through" not in each] == wanted
    uploads = [each for each in lines if each["request"]["method"] == "PUT"]
    assert [each["request"]["body"]["bytes"] for each in uploads] == [recording.package.stat().st_size]
    assert uploads[0]["request"]["target"].startswith("/_through/localhost:")


def test_no_secret_token_or_signature_is_in_a_recording_in_any_form(recording: Recording) -> None:
    text = recording.file.read_text()
    assert recording.file.stat().st_mode & 0o777 == 0o600
    for name, canary in recording.canaries.items():
        assert len(canary) > 20
        forms = [canary, quote(canary, safe=""), quote(quote(canary, safe=""), safe=""), canary.encode().hex()]
        forms += [coded(canary, shift)[4:-4] for shift in range(3)]
        assert [form for form in forms if form in text] == [], name
    assert "Bearer" not in text.replace('"token_type": "Bearer"', "")
    assert "sig=REMOVED" in text


def test_a_replay_answers_the_same_client_as_the_server_did(recording: Recording) -> None:
    with door("replay", str(recording.file)) as replay:
        api = ApiClient(replay["url"], replay["caCertificate"], "any-tenant", "any-client", "any-secret")
        product = api.create_product()
        submission = api.create_submission(product["id"])
        assert api.upload(submission, b"not looked at").status_code == 201
        assert api.commit(submission).status_code == 202
        done = api.finished(submission)
        for name in ("id", "workflowStatus"):
            assert done[name] == recording.submission[name]
        signed = api.http.get(download_url(done, "signedPackage"), headers={"Authorization": ""})
        assert signed.status_code == 200
        assert set(signed.content) == {0}
        missing = api.http.get(f"{API}/products/2")
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "notRecorded")


COMPARE = ("sandbox", "compare")


def compare(
    recording: Recording, file: Path, command: Sequence[str] = COMPARE, *, has_package: bool = True
) -> subprocess.CompletedProcess[str]:
    given = recording.sandbox
    package = ["--package", str(recording.package)] if has_package else []
    return subprocess.run(
        [*HWDASH, *command, str(file), *package, "--json"],
        env=clean_environment(
            HWDASH_URL=given.url,
            HWDASH_CA=str(given.ca),
            HWDASH_TENANT_ID=given.tenant_id,
            HWDASH_CLIENT_ID=given.client_id,
            HWDASH_CLIENT_SECRET=given.client_secret,
        ),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("command", [COMPARE, ("conformance", "--yes", "--recording")])
def test_a_server_does_not_differ_from_its_own_recording(recording: Recording, command: Sequence[str]) -> None:
    done = compare(recording, recording.file, command)
    assert json.loads(done.stdout) == {"differences": []}, done.stderr
    assert done.returncode == 0


def test_without_a_package_for_an_upload_nothing_is_sent(recording: Recording) -> None:
    before = recording.sandbox.requests.count("POST", "/products")
    done = compare(recording, recording.file, has_package=False)
    assert (done.returncode, "--package" in done.stderr) == (2, True)
    assert recording.sandbox.requests.count("POST", "/products") == before > 0


def test_another_spelling_another_type_and_a_missing_name_are_found(recording: Recording, tmp_path: Path) -> None:
    file = tmp_path / "other.jsonl"
    lines = [json.loads(line) for line in recording.file.read_text().splitlines()]
    (product,) = (each for each in lines if each["request"]["target"] == f"{API}/products")
    answer = product["response"]["body"]["json"]
    answer["deviceType"] = "Internal"
    answer["sharedProductId"] = "none"
    answer["isCommitted"] = 1
    file.write_text(json.dumps(product) + "\n")
    done = compare(recording, file)
    assert done.returncode == 1
    found = {each["field"]: each["message"] for each in json.loads(done.stdout)["differences"]}
    assert found["body.deviceType"] == "recorded 'Internal', answered 'internal'"
    assert "recorded a number" in found["body.isCommitted"]
    assert "body.sharedProductId" in found


def test_a_file_that_is_no_recording_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "wrong.jsonl"
    file.write_text('{"request": {}}\n')
    for command in (["replay"], ["compare", "--profile", "none"]):
        whole = [*HWDASH, "sandbox", *command, str(file)]
        done = subprocess.run(whole, env=clean_environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert f"{file}, line 1" in done.stderr
