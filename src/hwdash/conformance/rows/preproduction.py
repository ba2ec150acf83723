"""Preproduction signing: packages, their status and their assets (contract, 3.15, 4.17 to 4.21)."""

import hashlib
import io
import zipfile
from typing import Any

from hwdash.conformance import expect, shapes
from hwdash.conformance.caller import json_of, object_of
from hwdash.conformance.outcome import Mismatch, Source
from hwdash.conformance.row import Rows
from hwdash.conformance.stage import Made, Stage

ROWS = Rows()


def _succeeded(stage: Stage) -> tuple[Made, dict[str, Any]]:
    _ = stage.package
    made, package = stage.preprod_ended
    if package.get("signingStatus") != "Succeeded":
        reason = (package.get("error") or {}).get("message", "it gave no reason.")
        raise Mismatch(f"the preproduction package ended {package.get('signingStatus')}: {reason}")
    return made, package


def _assets(stage: Stage) -> tuple[str, list[dict[str, Any]]]:
    _, package = _succeeded(stage)
    path = f"/preprod/packages/{package['id']}/assets"
    body = json_of(stage.caller.send("GET", path))
    if not isinstance(body, list) or not body:
        raise Mismatch(f"the list of assets is {body!r}; it should be a bare array with the signed files.")
    return path, body


@ROWS.row("route-17-preprod-upload", Source.DOCUMENTED)
def upload(stage: Stage) -> None:
    """PUT preprod/packages: 2xx and the package, NotStarted."""
    answer = stage.preprod.answer
    expect.is_json(answer)
    package = object_of(answer)
    expect.shape(package, shapes.PREPROD_PACKAGE, "the new package")
    expect.equal(package["signingStatus"], "NotStarted", "signingStatus of a new package")


@ROWS.row("route-17-preprod-created", Source.OURS)
def upload_status(stage: Stage) -> None:
    """PUT preprod/packages: the status is 201."""
    expect.status(stage.preprod.answer, 201)


@ROWS.row("route-18-preprod-status", Source.DOCUMENTED, waits="preprod")
def status(stage: Stage) -> None:
    """GET preprod package: 200, ends Succeeded or Failed."""
    made, package = stage.preprod_ended
    answer = stage.caller.send("GET", f"/preprod/packages/{made.body['id']}")
    expect.json(answer, 200, shapes.PREPROD_PACKAGE, "the package")
    expect.equal(package["id"], made.body["id"], "id")
    if package["signingStatus"] == "Failed":
        expect.true((package.get("error") or {}).get("message"), "a failed package has no error.message.")


@ROWS.row("route-18-preprod-no-error", Source.OURS, waits="preprod")
def no_error(stage: Stage) -> None:
    """GET preprod package: error only when it failed."""
    made, package = stage.preprod_ended
    expect.true("error" not in made.body, "a new package has an error.")
    expect.equal("error" in package, package["signingStatus"] == "Failed", "whether error is there")


@ROWS.row("route-19-preprod-assets", Source.FIELD, waits="preprod")
def assets(stage: Stage) -> None:
    """GET assets: 200 and a bare array."""
    path, _ = _assets(stage)
    expect.json(stage.caller.send("GET", path), 200, shapes.array(shapes.PREPROD_ASSET), "the list of assets")


@ROWS.row("route-20-preprod-asset", Source.DOCUMENTED, waits="preprod")
def asset(stage: Stage) -> None:
    """GET asset: 200 and the asset."""
    path, listed = _assets(stage)
    body = expect.json(stage.caller.send("GET", f"{path}/{listed[0]['id']}"), 200, shapes.PREPROD_ASSET, "the asset")
    expect.equal(body, listed[0], "the asset")


@ROWS.row("route-21-preprod-download", Source.DOCUMENTED, waits="preprod")
def asset_download(stage: Stage) -> None:
    """GET asset download: 200, the zip itself."""
    path, listed = _assets(stage)
    answer = stage.caller.send("GET", f"{path}/{listed[0]['id']}/download")
    expect.status(answer, 200)
    expect.true(zipfile.is_zipfile(io.BytesIO(answer.content)), "the download is no zip file.")


@ROWS.row("preprod-content-hash", Source.OURS, waits="preprod")
def content_hash(stage: Stage) -> None:
    """An asset's contentHash is the SHA-256 in lower-case hex."""
    path, listed = _assets(stage)
    answer = stage.caller.send("GET", f"{path}/{listed[0]['id']}/download")
    expect.equal(listed[0]["contentHash"], hashlib.sha256(answer.content).hexdigest(), "contentHash")


@ROWS.row("preprod-no-product", Source.DOCUMENTED)
def no_product(stage: Stage) -> None:
    """A preproduction package is no product."""
    identifier = stage.preprod.body["id"]
    listed = object_of(stage.caller.send("GET", "/products?pageSize=50"))
    expect.true(
        all(str(each["id"]) != str(identifier) for each in listed["value"]), "the package is in the list of products."
    )


@ROWS.row("preprod-unknown", Source.DOCUMENTED)
def unknown(stage: Stage) -> None:
    """An unknown preproduction package is 404 entityNotFound."""
    expect.status(stage.caller.send("GET", "/preprod/packages/none", authorization=None), 401)  # the route is there
    for path in ("", "/assets", "/assets/none", "/assets/none/download"):
        expect.error(stage.caller.send("GET", f"/preprod/packages/none{path}"), 404, "entityNotFound")
