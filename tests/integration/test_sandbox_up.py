"""``hwdash sandbox up`` and what stands on it: a running sandbox in a test."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import httpx
import pytest

from hwdash.sandbox import Sandbox, SandboxFailed, running, state
from hwdash.sandbox.mark import MARK
from hwdash.settings import Settings, SettingsError
from service import API, HWDASH, ApiClient, clean_environment, download_url, hwdash, new_vendor, signed_cabinet


def client_of(sandbox: Sandbox) -> ApiClient:
    return ApiClient(sandbox.url, str(sandbox.ca), sandbox.tenant_id, sandbox.client_id, sandbox.client_secret)


def test_a_sandbox_signs_and_tells_which_requests_it_got(tmp_path: Path) -> None:
    vendor = new_vendor()
    with running(certificates=[vendor.write_certificate(tmp_path)]) as sandbox:
        api = client_of(sandbox)
        submission = api.create_submission(api.create_product()["id"])
        assert api.upload(submission, signed_cabinet(tmp_path, vendor)).status_code == 201
        assert sandbox.requests.count("POST", "/commit") == 0
        assert api.commit(submission).status_code == 202
        assert api.finished(submission)["workflowStatus"]["state"] == "completed"
        assert sandbox.requests.count("POST", "/commit") == 1
        (commit,) = sandbox.requests.matching("post", "/commit/")
        assert (commit.path, commit.status) == (
            f"{API}/products/{submission['productId']}/submissions/{submission['id']}/commit",
            202,
        )
        secrets = (sandbox.client_secret, str(api.http.headers["Authorization"]).split()[1], "sig=")
        assert [each for each in secrets if each in (sandbox.data / "requests.jsonl").read_text()] == []
        sandbox.requests.forget()
        assert len(sandbox.requests) == 0
        assert api.http.get(f"{API}/products/1").status_code == 404
        assert [(each.method, each.status) for each in sandbox.requests] == [("GET", 404)]
        data = sandbox.data
    assert not data.parent.exists()


def test_a_kept_sandbox_is_opened_again_and_stopped_by_down(tmp_path: Path) -> None:
    data = tmp_path / "kept"
    with running(data=data) as sandbox:
        product = client_of(sandbox).create_product(productName="kept")
    assert data.is_dir()
    up = subprocess.Popen(
        [*HWDASH, "sandbox", "up", "--json", "--data", str(data)],
        env=clean_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    with up:
        assert up.stdout is not None
        given = json.loads(up.stdout.readline())
        assert given["pid"] == up.pid
        api = ApiClient(*(given[name] for name in ("url", "caCertificate", "tenantId", "clientId", "clientSecret")))
        assert [each["id"] for each in api.http.get(f"{API}/products").json()["value"]] == [product["id"]]
        down = [*HWDASH, "sandbox", "down", "--data", str(data)]
        done = subprocess.run(down, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, f"stopped the sandbox over {data}\n")
        assert up.wait(10) == 0
        with pytest.raises(httpx.ConnectError):
            api.http.get("/healthz")
    done = subprocess.run(down, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, f"Error: No sandbox runs over {data}.\n")


def test_a_release_folder_is_refused_by_every_command_of_a_sandbox(tmp_path: Path) -> None:
    data = tmp_path / "release"
    made = subprocess.run(
        [*HWDASH, "init", "--json", "--data", str(data)], env=clean_environment(), capture_output=True, check=True
    )
    assert "sandboxToken" not in json.loads(made.stdout)
    for command in (
        ["serve", "--impersonate", "--port", "0"],
        ["sandbox", "up"],
        ["sandbox", "down"],
    ):
        done = subprocess.run(
            [*HWDASH, *command, "--data", str(data)],
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 2, command
        assert "is no sandbox" in done.stderr
    with pytest.raises(SandboxFailed, match="is no sandbox"), running(data=data):
        pass


def test_what_a_certificate_option_names_must_be_a_certificate(tmp_path: Path) -> None:
    file = tmp_path / "no.pem"
    file.write_text("-----BEGIN CERTIFICATE-----\nno\n")
    with (
        pytest.raises(SandboxFailed, match=r"no\.pem is not a certificate in PEM or DER"),
        running(certificates=[file]),
    ):
        pass


def test_the_pytest_plugin_offers_a_sandbox_to_tests_of_others(tmp_path: Path) -> None:
    """Asked of pytest's own list, so that the entry point counts and not an import."""
    shown = subprocess.run(
        [sys.executable, "-m", "pytest", "--fixtures", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert "hwdash_sandbox [session scope]" in shown


def test_the_fixture_is_a_running_sandbox(hwdash_sandbox: Sandbox) -> None:
    hwdash_sandbox.requests.forget()
    product = client_of(hwdash_sandbox).create_product()
    assert hwdash_sandbox.requests.count("POST", "/products") == 1
    assert client_of(hwdash_sandbox).http.get(f"{API}/products/{product['id']}").status_code == 200


def test_a_dump_of_a_running_sandbox_is_loaded_as_the_same_sandbox(hwdash_sandbox: Sandbox, tmp_path: Path) -> None:
    api = client_of(hwdash_sandbox)
    submission = api.create_submission(api.create_product(productName="dumped")["id"])
    assert api.upload(submission, b"a package").status_code == 201
    file, data = tmp_path / "state.tar", tmp_path / "loaded"
    hwdash("sandbox", "dump", str(file), "--data", str(hwdash_sandbox.data), environment=clean_environment())
    assert file.stat().st_mode & 0o777 == 0o600
    later = api.create_product(productName="later")
    hwdash("sandbox", "load", str(file), "--data", str(data), environment=clean_environment())
    with running(data=data) as loaded:
        # The same application with the same secret: the first sandbox's client works on.
        api = ApiClient(
            loaded.url,
            str(loaded.ca),
            hwdash_sandbox.tenant_id,
            hwdash_sandbox.client_id,
            hwdash_sandbox.client_secret,
        )
        found = api.get_submission(submission)
        assert api.http.get(f"{API}/products/{later['id']}").status_code == 404
        content = api.http.get(download_url(found, "initialPackage"), headers={"Authorization": ""})
        assert content.content == b"a package"


def test_a_dump_is_of_a_sandbox_and_goes_into_a_new_folder(hwdash_sandbox: Sandbox, tmp_path: Path) -> None:
    file, other, full = tmp_path / "state.tar", tmp_path / "other.tar", tmp_path / "full"
    state.dump(Settings(data=hwdash_sandbox.data), file)
    full.mkdir()
    (full / "something").touch()
    with pytest.raises(SettingsError, match="is not empty"):
        state.load(file, full)
    with tarfile.open(other, "w") as archive:
        archive.add(file, "../outside")
    for wrong in (other, Path(__file__)):
        with pytest.raises(SettingsError, match="is no dump of a sandbox"):
            state.load(wrong, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert not (tmp_path.parent / "outside").exists()
    with tarfile.open(file) as whole, tarfile.open(other, "w") as unmarked:
        for member in whole:
            if member.name != MARK:
                unmarked.addfile(member, whole.extractfile(member) if member.isfile() else None)
    with pytest.raises(SettingsError, match="is no sandbox"):
        state.load(other, tmp_path / "new")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["full", "other.tar", "state.tar"]
