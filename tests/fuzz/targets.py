"""What is fuzzed: each target reads bytes as the product does, and starts from files that are good.

A target may raise ParseError and LimitExceeded; one that checks signatures also VerificationError. Anything else is a
finding, and so is an input that takes longer or more memory than run.py allows.
"""

import io
from collections.abc import Callable, Iterable
from typing import NamedTuple

from authenticode_oracle import signatory
from fuzz import seeds
from hwdash.drivers.authenticode import key_usages, sign_cabinet, verify_cabinet, verify_pe
from hwdash.drivers.cab import Cabinet, CabinetLimits
from hwdash.drivers.catalog import Catalog
from hwdash.drivers.errors import DriversError, LimitExceeded, ParseError, VerificationError
from hwdash.drivers.inf.document import Inf
from hwdash.drivers.inf.metadata import driver_metadata
from hwdash.drivers.inf.verify import verify
from hwdash.drivers.package import check_inf_references
from hwdash.drivers.pe import PeImage, measure, signed_image_chunks
from hwdash.vocabulary import OPERATING_SYSTEMS

LIMITS = CabinetLimits(max_total_bytes=4 << 20, max_ratio=50, ratio_applies_above=1 << 20)
"""Small, so that one input costs milliseconds."""

_READ = (ParseError, LimitExceeded)
_VERIFY = (ParseError, LimitExceeded, VerificationError)


class Target(NamedTuple):
    """``read`` is fed with at most ``max_bytes``; ``seeds`` makes the files to start from."""

    read: Callable[[bytes], object]
    seeds: Callable[[], Iterable[bytes]]
    max_bytes: int
    allowed: tuple[type[DriversError], ...] = _READ


def read_inf(data: bytes) -> None:
    """Parse, write, parse again; the metadata of three systems."""
    inf = Inf.parse(data, source="fuzz.inf")
    again = Inf.from_text(inf.to_text(), source="fuzz.inf")
    assert [section.name for section in again.sections] == [section.name for section in inf.sections]
    driver_metadata({"bundle": [("fuzz.inf", inf)]}, OPERATING_SYSTEMS[:3])


def judge_inf(data: bytes) -> None:
    """Every rule in every mode."""
    inf = Inf.parse(data, source="fuzz.inf")
    for mode in ("declarative", "universal", "windows"):
        assert all(finding.message and finding.remedy for finding in verify(inf, mode=mode))
    check_inf_references(inf, ["a.sys"])


def read_cabinet(data: bytes) -> None:
    """Unpack everything."""
    cabinet = Cabinet.open(io.BytesIO(data), source="fuzz.cab")
    cabinet.check_limits(LIMITS)
    for file, pieces in cabinet.extract():
        assert sum(map(len, pieces)) == file.size


def verify_signed_cabinet(data: bytes) -> None:
    """Check the signature and look at the signer."""
    stream = io.BytesIO(data)
    found = verify_cabinet(stream, Cabinet.open(stream, source="fuzz.cab"), source="fuzz.cab")
    key_usages(found.signer)
    found.signer.subject.rfc4514_string()


def sign_again(data: bytes) -> None:
    """What can be signed verifies afterwards."""
    out = io.BytesIO()
    who = signatory("ec")
    sign_cabinet(io.BytesIO(data), out, who.sign, who.certificates, source="fuzz.cab")
    verify_signed_cabinet(out.getvalue())


def read_image(data: bytes) -> None:
    """What we would sign must be an image again."""
    stream = io.BytesIO(data)
    layout = measure(stream, PeImage.open(stream, source="fuzz.sys")).layout
    written = b"".join(signed_image_chunks(stream, layout, b"\x30\x00"))
    PeImage.open(io.BytesIO(written), source="fuzz.sys")


def verify_image(data: bytes) -> None:
    """Check the signature."""
    stream = io.BytesIO(data)
    verify_pe(stream, PeImage.open(stream, source="fuzz.sys"), source="fuzz.sys")


def read_catalog(data: bytes) -> None:
    """Read a catalog, whoever signed it."""
    Catalog.parse(data, source="fuzz.cat", verify=False)


def verify_catalog(data: bytes) -> None:
    """Read a catalog whose signature must hold."""
    Catalog.parse(data, source="fuzz.cat")


TARGETS: dict[str, Target] = {
    "inf": Target(read_inf, seeds.infs, 16 << 10),
    "inf-rules": Target(judge_inf, seeds.infs, 16 << 10),
    "cabinet": Target(read_cabinet, seeds.cabinets, 64 << 10),
    "signed-cabinet": Target(verify_signed_cabinet, seeds.signed_cabinets, 64 << 10, _VERIFY),
    "signing-a-cabinet": Target(sign_again, seeds.cabinets, 64 << 10, _VERIFY),
    "image": Target(read_image, seeds.images, 64 << 10),
    "signed-image": Target(verify_image, seeds.images, 64 << 10, _VERIFY),
    "catalog": Target(read_catalog, seeds.catalogs, 16 << 10),
    "signed-catalog": Target(verify_catalog, seeds.catalogs, 16 << 10, _VERIFY),
}
"""Every target by its name."""


def lose_index(data: bytes) -> None:
    """Broken on purpose: an accidental error."""
    if data[:1] == b"A":
        _ = data[len(data)]


def take_memory(data: bytes) -> None:
    """Broken on purpose: a length believed."""
    if data[:1] == b"A":
        _taken.append(b"x" * (1 << 30))


_taken: list[bytes] = []

BROKEN: dict[str, Target] = {
    "lose-index": Target(lose_index, lambda: [b"B"], 16),
    "take-memory": Target(take_memory, lambda: [b"B"], 16),
}
"""Targets that prove that a finding is found."""
