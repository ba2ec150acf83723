"""Preproduction signing on the wire (contract: routes 17 to 21, sections 3.15, 4.17 to 4.21, 6.7)."""

import hashlib
import io
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from hwdash.clock import system_clock
from hwdash.settings import load_settings
from hwdash.storage.accounts import add_secret, create_account, create_application
from hwdash.storage.database import Database
from hwdash.storage.tables import preprod_assets, preprod_packages
from hwdash.vocabulary import Role
from service import API, ApiClient, Made, Served, make_service, new_vendor, serve, signed_cabinet, until

PACKAGES = f"{API}/preprod/packages"
PACKAGE = {"id", "etag", "lastModified", "signingStatus"}
ASSET = {"id", "packageId", "assetType", "createdDate", "contentHash"}


def put(http: httpx.Client, content: bytes | Iterator[bytes], path: str = PACKAGES, **headers: str) -> httpx.Response:
    return http.put(path, content=content, headers=headers)


def finished(client: ApiClient, package_id: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def ended() -> bool:
        nonlocal found
        found = client.http.get(f"{PACKAGES}/{package_id}").raise_for_status().json()
        assert found["signingStatus"] in ("NotStarted", "Processing", "Succeeded", "Failed")
        return found["signingStatus"] in ("Succeeded", "Failed")

    until(ended, "the package was not signed", 120)
    return found


@contextmanager
def database_of(made: Made) -> Iterator[Database]:
    database = Database(load_settings(made.data, made.environment).database)
    try:
        yield database
    finally:
        database.close()


def rows(made: Made) -> set[int]:
    with database_of(made) as database, database.reading() as connection:
        return {row.id for row in connection.execute(preprod_packages.select())}


def stored(made: Made) -> set[Path]:
    return {path for path in (made.data / "blobs").rglob("*") if path.is_file()}


def client_of(service: Served, roles: list[Role], account_id: int | None = None) -> ApiClient:
    """A client of a new application: of ``account_id``, else of a new account."""
    now = system_clock()
    with database_of(service.made) as database, database.writing() as connection:
        owner = account_id or create_account(connection, "Another company", now).id
        made = create_application(connection, owner, "Another application", roles, now)
        secret = add_secret(connection, made.client_id, now).secret
    return ApiClient(service.url, service.made.credentials["caCertificate"], made.tenant_id, made.client_id, secret)


def error(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()["error"]
    assert found["code"] == code
    return found


@pytest.fixture(scope="module")
def package(service: Served, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return signed_cabinet(tmp_path_factory.mktemp("package"), service.made.vendor).read_bytes()


@pytest.fixture(scope="module")
def signed(service: Served, package: bytes) -> dict[str, Any]:
    """A package that was signed, as GET shows it."""
    client = service.client()
    return finished(client, put(client.http, package).raise_for_status().json()["id"])


def test_a_new_package_is_answered_in_the_documented_form(client: ApiClient, service: Served, package: bytes) -> None:
    answer = put(client.http, package, **{"Content-Type": "application/octet-stream"})
    assert answer.status_code == 201
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    made = answer.json()
    assert set(made) == PACKAGE  # above all no error, and no assets
    assert made["signingStatus"] == "NotStarted"
    assert isinstance(made["id"], str)
    assert datetime.fromisoformat(made["lastModified"]).tzinfo is not None
    assert answer.headers["Location"] == f"{service.url}{PACKAGES}/{made['id']}"
    assert answer.headers["ETag"] == made["etag"]


def test_a_signed_package_has_one_asset_and_no_error(client: ApiClient, signed: dict[str, Any]) -> None:
    assert signed["signingStatus"] == "Succeeded"
    assert set(signed) == PACKAGE | {"assets"}
    (asset,) = signed["assets"]
    assert set(asset) == ASSET
    assert (asset["packageId"], asset["assetType"]) == (signed["id"], "SignedFilesZip")
    listed = client.http.get(f"{PACKAGES}/{signed['id']}/assets")
    assert listed.json() == [asset]  # a bare array
    assert client.http.get(f"{PACKAGES}/{signed['id']}/assets/{asset['id']}").json() == asset


def test_the_download_is_the_zip_that_the_hash_is_of(client: ApiClient, signed: dict[str, Any]) -> None:
    (asset,) = signed["assets"]
    answer = client.http.get(f"{PACKAGES}/{signed['id']}/assets/{asset['id']}/download")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="Preproduction_{signed["id"]}.zip"'
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert asset["contentHash"] == hashlib.sha256(answer.content).hexdigest()
    names = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    assert sorted(names) == [f"hwdash_sample/hwdash_sample.{kind}" for kind in ("cat", "inf", "sys")]


def test_a_download_can_be_had_in_ranges(client: ApiClient, signed: dict[str, Any]) -> None:
    url = f"{PACKAGES}/{signed['id']}/assets/{signed['assets'][0]['id']}/download"
    whole = client.http.get(url)
    etag = whole.headers["ETag"]
    part = client.http.get(url, headers={"Range": "bytes=100-", "If-Match": etag})
    assert (part.status_code, part.content) == (206, whole.content[100:])
    assert part.headers["Content-Range"] == f"bytes 100-{len(whole.content) - 1}/{len(whole.content)}"
    assert client.http.get(url, headers={"Range": "bytes=-5"}).content == whole.content[-5:]
    assert client.http.get(url, headers={"Range": "bytes=2-4"}).content == whole.content[2:5]
    assert client.http.get(url, headers={"Range": "bytes=0-1", "If-Range": '"other"'}).content == whole.content
    beyond = client.http.get(url, headers={"Range": f"bytes={len(whole.content)}-"})
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{len(whole.content)}")
    assert client.http.get(url, headers={"If-None-Match": etag}).status_code == 304
    assert client.http.get(url, headers={"If-Match": '"other"'}).status_code == 412


def test_the_etag_tells_whether_a_package_has_changed(client: ApiClient, signed: dict[str, Any]) -> None:
    url = f"{PACKAGES}/{signed['id']}"
    answer = client.http.get(url)
    assert answer.headers["ETag"] == signed["etag"]
    unchanged = client.http.get(url, headers={"If-None-Match": signed["etag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert client.http.get(url, headers={"If-None-Match": '"other"'}).json() == signed
    assert client.http.get(url, headers={"If-Match": signed["etag"]}).json() == signed
    assert client.http.get(url, headers={"If-Match": '"other"'}).status_code == 412
    before = put(client.http, b"no cabinet").json()
    assert finished(client, before["id"])["etag"] != before["etag"]


def test_any_form_of_upload_is_taken(client: ApiClient, package: bytes) -> None:
    forms = (
        put(client.http, package),
        put(client.http, package, f"{PACKAGES}/"),
        put(client.http, package, "/v1.0/my/Hardware/PREPROD/Packages", Accept="*/*"),
        put(client.http, package, **{"Content-Type": "application/x-www-form-urlencoded"}),
        put(client.http, package, **{"Content-Type": "application/json"}),
        put(client.http, iter([package[:1000], b"", package[1000:]])),
    )
    assert [answer.status_code for answer in forms] == [201] * len(forms)
    assert len({answer.json()["id"] for answer in forms}) == len(forms)


def test_a_repeated_upload_gets_the_first_package(client: ApiClient, service: Served, package: bytes) -> None:
    request = str(uuid.uuid4())
    first = put(client.http, package, **{"MS-RequestId": request}).json()
    files = len(stored(service.made))
    again = put(client.http, package, **{"MS-RequestId": request})
    assert (again.status_code, again.json()["id"]) == (201, first["id"])
    assert rows(service.made) >= {int(first["id"])}
    other = put(client.http, package + b"more", **{"MS-RequestId": request}).json()
    assert other["id"] != first["id"]
    assert len(stored(service.made)) >= files


def test_what_is_no_package_fails_with_the_reason(client: ApiClient) -> None:
    failed = finished(client, put(client.http, b"This is no cabinet.").raise_for_status().json()["id"])
    assert failed["signingStatus"] == "Failed"
    assert set(failed) == PACKAGE | {"assets", "error"}
    assert failed["assets"] == []
    assert set(failed["error"]) == {"message"}
    assert f"Preproduction_{failed['id']}.cab" in failed["error"]["message"]
    assert client.http.get(f"{PACKAGES}/{failed['id']}/assets").json() == []


def test_a_zip_file_is_told_why_it_is_none(client: ApiClient) -> None:
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("driver/driver.inf", "[Version]\n")
    failed = finished(client, put(client.http, zipped.getvalue()).json()["id"])
    assert "package.container" in failed["error"]["message"]
    assert "preproduction takes a signed cabinet" in failed["error"]["message"]


def test_a_signer_who_is_not_registered_is_refused(client: ApiClient, tmp_path: Path) -> None:
    stranger = signed_cabinet(tmp_path, new_vendor("Nobody knows")).read_bytes()
    failed = finished(client, put(client.http, stranger).json()["id"])
    assert failed["signingStatus"] == "Failed"
    assert "package.signer-not-registered" in failed["error"]["message"]


def test_an_empty_body_is_refused_and_leaves_nothing(client: ApiClient, service: Served) -> None:
    before = rows(service.made)
    found = error(put(client.http, b""), 422, "invalidInput")
    assert "empty" in found["message"]
    assert rows(service.made) == before


def test_a_broken_upload_leaves_nothing(client: ApiClient, service: Served) -> None:
    before = rows(service.made)

    def broken() -> Iterator[bytes]:
        yield b"x" * 100_000
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        put(client.http, broken())
    until(lambda: rows(service.made) == before, "the row of the broken upload stays")
    until(lambda: not list((service.made.data / "blobs" / "incoming").iterdir()), "bytes of a broken upload stay")


def test_a_package_that_is_too_large_is_refused_before_and_while_it_comes(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    made = make_service(tmp_path_factory.mktemp("small"))
    with serve(made, extra={"HWDASH_MAX_PACKAGE_MB": "1"}) as served:
        client = served.client()
        before = stored(made)
        too_large = b"x" * ((1 << 20) + 1)
        for body in (too_large, iter([too_large[:600_000], too_large[600_000:]])):
            answer = put(client.http, body)
            assert answer.status_code == 413
            assert answer.json()["statusCode"] == "413"
            assert "1048576" in answer.json()["message"]
        assert rows(made) == set()
        assert stored(made) == before
        assert put(client.http, too_large[1:]).status_code == 201


def test_only_submitters_upload_and_every_hardware_role_reads(service: Served, signed: dict[str, Any]) -> None:
    with database_of(service.made) as database, database.reading() as connection:
        owner = (
            connection.execute(preprod_packages.select().where(preprod_packages.c.id == int(signed["id"])))
            .one()
            .account_id
        )
    reader = client_of(service, [Role.MANAGER, Role.REPORT_REVIEWER], owner)
    before = rows(service.made)
    error(put(reader.http, b"x" * 100_000), 403, "forbidden")
    assert rows(service.made) == before
    asset = f"{PACKAGES}/{signed['id']}/assets/{signed['assets'][0]['id']}"
    for path in (f"{PACKAGES}/{signed['id']}", f"{PACKAGES}/{signed['id']}/assets", asset, f"{asset}/download"):
        assert reader.http.get(path).status_code == 200
    nobody = client_of(service, [Role.MANAGER], owner)
    error(nobody.http.get(asset), 403, "forbidden")
    assert nobody.http.get(asset, headers={"Authorization": ""}).status_code == 401


def test_another_account_sees_nothing(service: Served, client: ApiClient, signed: dict[str, Any]) -> None:
    stranger = client_of(service, [Role.MANAGER, Role.DRIVER_SUBMITTER])
    asset = f"{PACKAGES}/{signed['id']}/assets/{signed['assets'][0]['id']}"
    for path in (f"{PACKAGES}/{signed['id']}", f"{PACKAGES}/{signed['id']}/assets", asset, f"{asset}/download"):
        error(stranger.http.get(path), 404, "entityNotFound")
    # The asset exists, below another package.
    path = f"{PACKAGES}/{put(client.http, b'x').json()['id']}/assets/{signed['assets'][0]['id']}"
    error(client.http.get(path), 404, "entityNotFound")
    error(client.http.get(f"{path}/download"), 404, "entityNotFound")


def test_an_account_without_an_ev_certificate_uploads_nothing(service: Served) -> None:
    stranger = client_of(service, [Role.MANAGER, Role.DRIVER_SUBMITTER])
    before = rows(service.made)
    assert "EV certificate" in error(put(stranger.http, b"x" * 100_000), 403, "forbidden")["message"]
    assert rows(service.made) == before


@pytest.mark.parametrize("wrong", ["0", "-1", "1e3", "x", "9" * 19, "9" * 40, "%00", "..%2F1", "1234567890"])
def test_wrong_ids_do_not_exist(client: ApiClient, signed: dict[str, Any], wrong: str) -> None:
    for path in (wrong, f"{wrong}/assets", f"{signed['id']}/assets/{wrong}", f"{signed['id']}/assets/{wrong}/download"):
        error(client.http.get(f"{PACKAGES}/{path}"), 404, "entityNotFound")


def test_other_methods_say_which_there_are(client: ApiClient, signed: dict[str, Any]) -> None:
    for method, path, allowed in (
        ("GET", PACKAGES, "PUT"),
        ("POST", PACKAGES, "PUT"),
        ("DELETE", f"{PACKAGES}/{signed['id']}", "GET"),
    ):
        answer = client.http.request(method, path)
        assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)


def test_a_preproduction_package_is_no_product(client: ApiClient, signed: dict[str, Any]) -> None:
    products = client.http.get(f"{API}/products").json()["value"]
    assert int(signed["id"]) not in {each["id"] for each in products}
    error(client.http.get(f"{API}/products/{signed['id']}"), 404, "entityNotFound")
    error(client.http.post(f"{API}/products/{signed['id']}/submissions/{signed['id']}/commit"), 404, "entityNotFound")


def test_assets_come_in_pages(client: ApiClient, service: Served) -> None:
    package_id = finished(client, put(client.http, b"x").json()["id"])["id"]
    now = system_clock()
    with database_of(service.made) as database, database.writing() as connection:
        for number in range(1, 4):
            connection.execute(
                preprod_assets.insert().values(
                    id=number, package_id=int(package_id), type="SignedFilesZip", blob="0" * 32, name=f"{number}.zip",
                    sha256="ab" * 32, created_at=now,
                )
            )  # fmt: skip
    url = f"{PACKAGES}/{package_id}"
    first = client.http.get(url, params={"pageSize": 2}).json()
    assert [each["id"] for each in first["assets"]] == ["1", "2"]
    token = first["assetsContinuationToken"]
    rest = client.http.get(f"{url}/assets", params={"pageSize": 2, "continuationToken": token})
    assert [each["id"] for each in rest.json()] == ["3"]
    assert "Link" not in rest.headers
    listed = client.http.get(f"{url}/assets", params={"pageSize": 1})
    assert [each["id"] for each in listed.json()] == ["1"]
    assert [each["id"] for each in client.http.get(listed.links["next"]["url"]).json()] == ["2"]
    whole = client.http.get(url).json()
    assert len(whole["assets"]) == 3
    assert "assetsContinuationToken" not in whole
    for wrong in ({"continuationToken": "x"}, {"continuationToken": "ä"}, {"pageSize": "0"}):
        found = error(client.http.get(f"{url}/assets", params=wrong), 422, "invalidInput")
        assert [each["target"] for each in found["validationErrors"]] == list(wrong)
