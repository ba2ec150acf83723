"""Preproduction packages and their assets (contract/api.md 3.15)."""

from hwdash.wire.base import WireDate, WireModel


class PreprodError(WireModel):
    """Why a package was not signed."""

    message: str = ""


class PreprodAsset(WireModel):
    """What can be downloaded of a package; ``content_hash`` is the SHA-256, lower-case hex."""

    id: str
    package_id: str = ""
    asset_type: str = ""
    created_date: WireDate = None
    content_hash: str | None = None


class PreprodPackage(WireModel):
    """A package for preproduction signing. ``error`` is there when it failed; ``assets`` when it was asked for."""

    id: str
    etag: str | None = None
    last_modified: WireDate = None
    signing_status: str = ""
    error: PreprodError | None = None
    assets: list[PreprodAsset] | None = None
    assets_continuation_token: str | None = None
