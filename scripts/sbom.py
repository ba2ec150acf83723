"""Write the bill of materials of a release as CycloneDX 1.6: the target of ``make sbom``.

It lists what is installed beside the wheel: hwdash itself, and from requirements.txt each distribution that it needs at
run time with its extras, in the pinned version and with the hashes that pip would accept, and who needs whom. What is
needed to build and test only stands in no release and not here. The same sources give the same bytes.
"""

import json
import re
import sys
import tomllib
import uuid
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distribution
from os import environ
from pathlib import Path
from typing import Any

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)")
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
EXTRAS = ("azure", "postgresql")

Pins = dict[str, tuple[str, list[str]]]


def pins(requirements: Path) -> Pins:
    """Name: version and SHA-256 hashes of what requirements.txt pins."""
    found: Pins = {}
    name = ""
    for line in requirements.read_text("utf-8").splitlines():
        if pinned := PINNED.match(line):
            name = canonicalize_name(pinned[1])
            found[name] = (pinned[2], [])
        elif (digest := HASH.search(line)) and name:
            found[name][1].append(digest[1])
    return found


def needs(name: str, extras: set[str]) -> list[Requirement]:
    """What an installed distribution needs here at run time, with these extras."""
    environments = [default_environment() | {"extra": extra} for extra in ("", *sorted(extras))]
    needed = map(Requirement, distribution(name).requires or ())
    return [each for each in needed if each.marker is None or any(map(each.marker.evaluate, environments))]


def graph(pinned: Pins) -> dict[str, list[str]]:
    """Who needs whom, from hwdash on. Raises SystemExit for what is needed and not pinned."""
    found: dict[str, list[str]] = {}
    wanted = [("hwdash", set(EXTRAS))]
    seen: dict[str, set[str]] = {}
    while wanted:
        name, extras = wanted.pop()
        if name in seen and extras <= seen[name]:
            continue
        seen[name] = seen.get(name, set()) | extras
        if name != "hwdash" and name not in pinned:
            sys.exit(f"{name} is needed, but requirements.txt does not pin it: run make lock")
        try:
            needed = needs(name, seen[name])
        except PackageNotFoundError:
            sys.exit(f"{name} is needed, but not installed: run make setup")
        found[name] = sorted({canonicalize_name(each.name) for each in needed})
        wanted += [(canonicalize_name(each.name), set(each.extras)) for each in needed]
    return found


def licence(name: str) -> list[dict[str, Any]]:
    """The licence that a distribution declares: an SPDX expression, or its own words."""
    told = distribution(name).metadata
    if expression := told.get("License-Expression"):
        return [{"expression": expression}]
    words = [each.rpartition(" :: ")[2] for each in told.get_all("Classifier") or () if each.startswith("License :: ")]
    return [{"license": {"name": each}} for each in words]


def component(name: str, version: str, hashes: list[str]) -> dict[str, Any]:
    """One library."""
    purl = f"pkg:pypi/{name}@{version}"
    found: dict[str, Any] = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    if licences := licence(name):
        found["licenses"] = licences
    # One hash for each wheel and source archive of this version: any of them may be what is installed.
    if hashes:
        found["externalReferences"] = [
            {
                "type": "distribution",
                "url": purl,
                "hashes": [{"alg": "SHA-256", "content": each} for each in sorted(hashes)],
            }
        ]
    return found


def bill(root: Path = ROOT) -> dict[str, Any]:
    """The document."""
    version = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    pinned = pins(root / "requirements.txt")
    needed = graph(pinned)
    versions = {name: pinned[name][0] for name in needed if name != "hwdash"} | {"hwdash": version}
    refs = {name: f"pkg:pypi/{name}@{each}" for name, each in versions.items()}
    when = datetime.fromtimestamp(int(environ.get("SOURCE_DATE_EPOCH", "315532800")), UTC)
    document: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": when.isoformat(),
            "component": component("hwdash", version, []) | {"type": "application"},
            "tools": {"components": [{"type": "application", "name": "scripts/sbom.py", "version": version}]},
        },
        "components": [component(name, *pinned[name]) for name in sorted(needed) if name != "hwdash"],
        "dependencies": [
            {"ref": refs[name], "dependsOn": [refs[each] for each in needed[name]]} for name in sorted(needed)
        ],
    }
    content = json.dumps(document, sort_keys=True)
    return document | {"serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, content)}"}


if __name__ == "__main__":
    print(json.dumps(bill(), indent=2))
