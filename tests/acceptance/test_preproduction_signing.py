"""Preproduction signing as its users walk it: from an unsigned driver to files that the preproduction root vouches for,
by ``hwdash preprod``; and a service that is killed on the way.
"""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from hwdash.cli.verification import verify_signed_package
from hwdash.pipeline.preprod import PREPROD
from hwdash.storage.database import Database
from hwdash.storage.tables import preprod_assets, preprod_steps
from service import API, HWDASH, Made, Served, clean_environment, make_service, serve, signed_cabinet, until

PACKAGES = f"{API}/preprod/packages"
KILLED_SERVICE = (sys.executable, str(Path(__file__).with_name("killed_service.py")))
KILLS = {f"preprod-{step}" for step in ("preparation", "signing", "publishSignedFiles")}


def root_of(made: Made) -> Path:
    return made.data / "keys" / "preproduction-root.crt"


def client_environment(served: Served) -> dict[str, str]:
    given = served.made.credentials
    return clean_environment(
        HWDASH_URL=served.url,
        HWDASH_TENANT_ID=given["tenantId"],
        HWDASH_CLIENT_ID=given["clientId"],
        HWDASH_CLIENT_SECRET=given["clientSecret"],
        HWDASH_CA=given["caCertificate"],
    )


def preprod(served: Served, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*HWDASH, "preprod", *arguments]
    environment = client_environment(served)
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=folder)


@pytest.fixture(scope="module")
def signed(service: Served, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("signed")
    package = signed_cabinet(folder, service.made.vendor).rename(folder / "mydriver.cab")
    done = preprod(service, folder, "sign", str(package), "--poll", "0.1", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert f"package {document['packageId']}" in done.stderr.splitlines()
    return folder, document


def test_a_driver_comes_back_signed_below_the_preproduction_root_alone(
    service: Served, signed: tuple[Path, dict[str, str]]
) -> None:
    folder, document = signed
    target = folder / "mydriver-preproduction.zip"
    assert document == {
        "packageId": document["packageId"],
        "signingStatus": "Succeeded",
        "signedPackage": str(target),
        "error": None,
    }
    assert len(list(verify_signed_package(target, root_of(service.made)))) == 3
    with zipfile.ZipFile(target) as archive:
        archive.extractall(folder / "files")
    for root, verified in ((root_of(service.made), True), (service.made.root_certificate, False)):
        for name in ("hwdash_sample.sys", "hwdash_sample.cat"):
            command = ["osslsigncode", "verify", "-CAfile", root, folder / "files" / "hwdash_sample" / name]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert (done.returncode == 0) is verified, done.stdout
            assert ("Signature verification: ok" in done.stdout) is verified, done.stdout
            assert "CN=hwdash preproduction signing" in done.stdout


def test_the_commands_find_the_package_again_by_its_id(service: Served, signed: tuple[Path, dict[str, str]]) -> None:
    folder, document = signed
    package_id = document["packageId"]
    shown = json.loads(preprod(service, folder, "show", package_id, "--json").stdout)
    assert (shown["id"], shown["signingStatus"]) == (package_id, "Succeeded")
    assert json.loads(preprod(service, folder, "assets", package_id, "--json").stdout) == shown["assets"]
    assert shown["assets"][0]["contentHash"] in preprod(service, folder, "assets", package_id).stdout
    assert f"package {package_id}: Succeeded" in preprod(service, folder, "show", package_id).stdout
    again = preprod(service, folder, "download", package_id)
    assert again.returncode == 0, again.stderr
    downloaded = folder / f"Preproduction_{package_id}.zip"
    assert downloaded.read_bytes() == Path(document["signedPackage"]).read_bytes()


def test_a_bad_package_ends_with_its_findings_and_writes_nothing(service: Served, tmp_path: Path) -> None:
    package = tmp_path / "bad.cab"
    package.write_bytes(b"no cabinet")
    done = preprod(service, tmp_path, "sign", str(package), "--poll", "0.1", "--json")
    assert done.returncode == 1
    document = json.loads(done.stdout.splitlines()[-1])
    assert document["signingStatus"] == "Failed"
    assert document["signedPackage"] is None
    assert "package.unreadable" in document["error"]
    assert document["error"] in done.stderr
    assert [path.name for path in tmp_path.glob("*.zip*")] == []
    shown = preprod(service, tmp_path, "show", document["packageId"])
    assert shown.returncode == 0
    assert document["error"] in shown.stdout


def test_what_is_wrong_with_a_call_has_its_exit_code(service: Served, tmp_path: Path) -> None:
    unknown = preprod(service, tmp_path, "show", "../products")
    assert (unknown.returncode, "entityNotFound 404" in unknown.stderr) == (1, True)
    assert preprod(service, tmp_path, "sign", "nowhere.cab").returncode == 2
    environment = client_environment(service)
    for change, code in (({"HWDASH_URL": "https://localhost:1"}, 3), ({"HWDASH_CLIENT_SECRET": "wrong"}, 4)):
        done = subprocess.run(
            [*HWDASH, "preprod", "show", "1"], env=environment | change, capture_output=True, text=True, check=False
        )
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr


@pytest.mark.timeout(280)
def test_a_package_survives_a_kill_after_each_step_that_leaves_files(tmp_path: Path) -> None:
    made = make_service(tmp_path / "killed")
    marks = tmp_path / "marks"
    marks.mkdir()
    package = signed_cabinet(tmp_path, made.vendor).read_bytes()
    package_id = ""
    for _ in range(len(KILLS)):
        with serve(made, command=KILLED_SERVICE, extra={"KILLED": str(marks)}) as served:
            if not package_id:
                package_id = _uploaded(served, package)
            until(lambda: served.process.poll() is not None, "the service was not killed")
    assert {mark.name for mark in marks.iterdir()} == KILLS

    with serve(made) as served:
        client = served.client()
        found: dict[str, object] = {}

        def ended() -> bool:
            found.update(client.http.get(f"{PACKAGES}/{package_id}").json())
            return found["signingStatus"] in ("Succeeded", "Failed")

        until(ended, "the package was not signed")
        assert found["signingStatus"] == "Succeeded", found
        (asset,) = client.http.get(f"{PACKAGES}/{package_id}/assets").json()
        signed = client.http.get(f"{PACKAGES}/{package_id}/assets/{asset['id']}/download").raise_for_status()
        until(lambda: not list((made.data / "work").iterdir()), "the workspace was not removed")
    target = tmp_path / "signed.zip"
    target.write_bytes(signed.content)
    assert len(list(verify_signed_package(target, root_of(made)))) == 3
    database = Database(f"sqlite:///{made.data / 'hwdash.db'}")
    with database.reading() as connection:
        steps = connection.execute(sa.select(preprod_steps.c.step)).scalars().all()
        assert connection.execute(sa.select(sa.func.count()).select_from(preprod_assets)).scalar_one() == 1
    database.close()
    assert sorted(steps) == sorted(PREPROD.steps)


def _uploaded(served: Served, package: bytes) -> str:
    """Upload; the first kill may come before the answer, but the row tells the id."""
    client = served.client()
    try:
        return str(client.http.put(PACKAGES, content=package).json()["id"])
    except httpx.HTTPError:
        database = Database(f"sqlite:///{served.made.data / 'hwdash.db'}")
        with database.reading() as connection:
            (found,) = connection.exec_driver_sql("SELECT id FROM preprod_packages").scalars().all()
        database.close()
        return str(found)


def test_the_bytes_of_an_upload_that_a_crash_cut_off_go_at_a_later_start(tmp_path: Path) -> None:
    made = make_service(tmp_path / "cut")
    with serve(made) as served:
        client = served.client()

        def body() -> Iterator[bytes]:
            yield b"x" * (3 << 20)
            until(lambda: any((made.data / "blobs" / "incoming").iterdir()), "nothing arrived")
            os.kill(served.process.pid, 9)
            yield b"x" * (3 << 20)

        with pytest.raises(httpx.HTTPError):
            client.http.put(PACKAGES, content=body())
        served.process.wait()
    database = Database(f"sqlite:///{made.data / 'hwdash.db'}")
    with database.writing() as connection:
        (found,) = connection.exec_driver_sql("SELECT id FROM preprod_packages").scalars().all()
        connection.exec_driver_sql("UPDATE preprod_packages SET created_at = '2020-01-01 00:00:00.000000'")
    with serve(made) as served:
        assert served.client().http.get(f"{PACKAGES}/{found}").status_code == 404
        assert list((made.data / "blobs" / "incoming").iterdir()) == []
        with database.reading() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM preprod_packages").scalar_one() == 0
    database.close()
