"""What a release is made of is told, pinned by hash, and the same sources make the same wheel.

The bill of materials is held against CycloneDX's own schema, as cyclonedx-python-lib brings it.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cyclonedx.schema
import jsonschema
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from referencing import Registry, Resource

from service import ROOT

SCHEMAS = Path(cyclonedx.schema.__file__).parent / "_res"
REQUIREMENTS = (ROOT / "requirements.txt").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def script(name: str, **environment: str) -> str:
    command = [sys.executable, str(ROOT / "scripts" / name)]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def bill() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(script("sbom.py"))
    return found


def test_the_bill_of_materials_is_cyclonedx(bill: dict[str, Any]) -> None:
    files = [json.loads(file.read_text()) for file in SCHEMAS.glob("*.schema.json") if "-strict" not in file.name]
    registry: Registry[Any] = Registry().with_resources(
        [(each["$id"], Resource.from_contents(each)) for each in files if "$id" in each]
    )
    schema = json.loads((SCHEMAS / "bom-1.6.SNAPSHOT.schema.json").read_text())
    checker = jsonschema.Draft7Validator(schema, registry=registry)
    assert [f"{each.json_path}: {each.message}" for each in checker.iter_errors(bill)] == []
    assert list(checker.iter_errors(bill | {"specVersion": 7}))


def test_it_lists_all_that_hwdash_needs_as_it_is_pinned_and_installed(bill: dict[str, Any]) -> None:
    listed = {each["name"]: each["version"] for each in bill["components"]}
    extras = [each for name in ("azure", "postgresql") for each in PROJECT["optional-dependencies"][name]]
    needed = {canonicalize_name(Requirement(each).name) for each in [*PROJECT["dependencies"], *extras]}
    assert needed <= set(listed)
    assert not {"pytest", "ruff", "mypy", "bandit", "uv"} & set(listed)
    for name, pinned in listed.items():
        assert version(name) == pinned
        assert re.search(rf"^{re.escape(name)}(\[\w+\])?=={re.escape(pinned)} ", REQUIREMENTS, re.MULTILINE)


def test_each_component_has_hashes_and_everyone_that_is_needed_is_a_component(bill: dict[str, Any]) -> None:
    refs = {each["bom-ref"] for each in [*bill["components"], bill["metadata"]["component"]]}
    assert {each["ref"] for each in bill["dependencies"]} == refs
    assert {each for row in bill["dependencies"] for each in row["dependsOn"]} == refs - {
        bill["metadata"]["component"]["bom-ref"]
    }
    for each in bill["components"]:
        (reference,) = each["externalReferences"]
        assert reference["hashes"]
        assert all(digest["content"] in REQUIREMENTS for digest in reference["hashes"])


def test_the_same_sources_give_the_same_bill(bill: dict[str, Any]) -> None:
    assert json.loads(script("sbom.py")) == bill
    assert json.loads(script("sbom.py", SOURCE_DATE_EPOCH="1700000000")) != bill


def test_the_wheel_is_the_same_each_time_and_its_time_is_in_it() -> None:
    told = [
        dict(line.split(": ", 1) for line in script("wheel.py", SOURCE_DATE_EPOCH=at).splitlines())
        for at in ("1700000000", "1700000000", "1800000000")
    ]
    digests = [each["sha256"] for each in told]
    assert digests[0] == digests[1] != digests[2]
    assert all(Path(each["wheel"]).is_file() for each in told)


def test_everything_is_pinned_by_hash() -> None:
    pinned = re.findall(r"^([a-z][\w.\[\]-]*)==\S+(.*(?:\n    .*)*)", REQUIREMENTS, re.MULTILINE)
    assert len(pinned) > 80
    assert [name for name, rest in pinned if "--hash=sha256:" not in rest] == []
    assert not re.search(r"^(?!\s|#|[a-z][\w.\[\]-]*==)", REQUIREMENTS.strip(), re.MULTILINE)
    assert "://" not in REQUIREMENTS


def test_each_action_of_ci_is_pinned_by_commit_and_nothing_may_be_written() -> None:
    for workflow in (ROOT / ".github" / "workflows").glob("*.yml"):
        text = workflow.read_text()
        uses = re.findall(r"uses: (\S+)", text)
        assert uses
        assert [each for each in uses if not re.fullmatch(r"[\w-]+/[\w/-]+@[0-9a-f]{40}", each)] == []
        assert "permissions: {}" in text
        assert not re.search(r"\bwrite\b", text.partition("permissions")[2])
        assert "pull_request_target" not in text
