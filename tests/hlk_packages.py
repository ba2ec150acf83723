"""Packages of the HLK with the sample driver in them, and the updates that are made from their shells."""

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import httpx

from authenticode_oracle import Signatory
from hlkx_writer import ROOT, STREAM, Form, hlkx_parts, packed, sign
from service import SAMPLE, ApiClient, Vendor

INFO = "hck/data/PackageInfo.xml"
SHA_256 = Form()


def hlk_package(vendor: Vendor | None, *, form: Form = SHA_256, with_drivers: bool = True) -> bytes:
    """A package with the sample driver in it; without a vendor, unsigned."""
    drivers = {f"drivers/hwdash_sample/{file.name}": file.read_bytes() for file in SAMPLE.iterdir()}
    parts = hlkx_parts(more=drivers if with_drivers else {})
    return packed(sign(parts, Signatory(vendor.key, vendor.chain[0], vendor.chain[-1]), form) if vendor else parts)


def fetched(url: str) -> httpx.Response:
    """A download without any header of ours; the service's TLS is not what is tested here."""
    return httpx.get(url, verify=False)


def update_package(vendor: Vendor, shell: bytes, info: bytes | None = None, more: Mapping[str, bytes] = {}) -> bytes:
    """What HLK Studio is taken to make of a shell: the same parts, and the new driver."""
    with zipfile.ZipFile(io.BytesIO(shell)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist() if not name.startswith("[")}
    parts |= {f"drivers/hwdash_sample/{file.name}": file.read_bytes() for file in SAMPLE.iterdir()} | dict(more)
    if info is not None:
        parts[INFO] = info
    root = [link for link in ROOT if link[2] != f"/{STREAM}"]
    return packed(sign(parts, Signatory(vendor.key, vendor.chain[0], vendor.chain[-1]), root=root))


def derived(client: ApiClient, initial: Mapping[str, Any], name: str = "Update") -> dict[str, Any]:
    return client.create_submission(initial["productId"], name=name, type="derived")
