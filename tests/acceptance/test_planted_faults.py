"""One cabinet with faults of every kind planted into it: one call of ``hwdash package check`` names each, with its
file and line.
"""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from service import HWDASH, SAMPLE, X64, Entry, clean_environment, unsigned_cabinet

INF = (SAMPLE / "hwdash_sample.inf").read_text()
SYS = SAMPLE / "hwdash_sample.sys"
SERVER = "WINDOWS_v100_SERVER_X64_FE_FULL"
LONG = "f" * 40


class Planted(NamedTuple):
    """What the check must report. ``at`` is a piece of the line in ``text``, or empty where there is no line."""

    code: int | str
    file: str | None
    text: str = ""
    at: str = ""

    @property
    def expected(self) -> tuple[int | str, str | None, int | None]:
        lines = [number for number, line in enumerate(self.text.splitlines(), 1) if self.at and self.at in line]
        assert len(lines) == bool(self.at), f"{self.at!r} is in the lines {lines}"
        return self.code, self.file, lines[0] if lines else None


def edited(*edits: tuple[str, str]) -> str:
    text = INF
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


POSTDATED = edited(("DriverVer   = 06/02/2025", "DriverVer   = 12/31/2199"))
NO_SUCH_DAY = edited(("DriverVer   = 06/02/2025", "DriverVer   = 2025-06-02"))
UNDEFINED = edited(("%Device% =", "%Nothing% ="))
ELAM = INF + "[SignatureAttributes]\nhwdash_sample.sys = SignatureAttributes.Elam\n"
CUT_OFF = edited(("[Manufacturer]", "[Manufacturer"))
ASTRAY = edited(("hwdash_sample.cat", "..\\other.cat"))
FOR_ARM = INF.replace("NTamd64", "NTarm64")


def driver(folder: str, text: str) -> list[Entry]:
    return [(f"{folder}\\driver.inf", text.encode()), (f"{folder}\\hwdash_sample.sys", SYS)]


FAULTS: list[tuple[Planted, list[Entry]]] = [
    (Planted("package.files-at-root", "root.txt"), [("root.txt", b"at the root")]),
    (Planted("package.no-inf", "second"), [("second\\readme.txt", b"no INF here")]),
    (Planted("package.folder-name-length", LONG), driver(LONG, INF)),
    (Planted("package.folder-name-characters", "R&D"), driver("R&D", INF)),
    (
        Planted("package.duplicate-name", "twice\\DRIVER.INF"),
        [*driver("twice", INF), ("twice\\DRIVER.INF", INF.encode())],
    ),
    (
        Planted("package.unsafe-name", "astray\\..\\..\\x.txt"),
        [*driver("astray", INF), ("astray\\..\\..\\x.txt", b"x")],
    ),
    (Planted("package.not-a-pe-file", "text/tool.dll"), [*driver("text", INF), ("text\\tool.dll", b"no library")]),
    (Planted("package.driverver-in-future", "late/driver.inf", POSTDATED, "DriverVer"), driver("late", POSTDATED)),
    (
        Planted("package.file-missing", "absent/driver.inf", INF, "hwdash_sample.sys = 1"),
        [("absent\\driver.inf", INF.encode())],
    ),
    (Planted("package.needs-hlk", "elam/driver.inf", ELAM, "= SignatureAttributes.Elam"), driver("elam", ELAM)),
    (Planted("package.catalog-name", "cat/driver.inf", ASTRAY, "CatalogFile"), driver("cat", ASTRAY)),
    (Planted("package.architectures-differ", "arm"), driver("arm", FOR_ARM)),
    (Planted(1002, "cut/driver.inf", CUT_OFF, "[Manufacturer"), driver("cut", CUT_OFF)),
    (Planted(1218, "date/driver.inf", NO_SUCH_DAY, "DriverVer"), driver("date", NO_SUCH_DAY)),
    (Planted(1235, "string/driver.inf", UNDEFINED, "%Nothing%"), driver("string", UNDEFINED)),
]


def check(package: Path, *options: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [*HWDASH, "package", "check", str(package), "--json", *options],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return done.returncode, found


def places(findings: Sequence[dict[str, Any]]) -> set[tuple[int | str, str | None, int | None]]:
    return {(each["code"], each["file"], each["line"]) for each in findings if each["level"] == "error"}


def test_every_planted_fault_is_named_in_one_go(tmp_path: Path) -> None:
    package = unsigned_cabinet(tmp_path, [*driver("good", INF), *(entry for _, entries in FAULTS for entry in entries)])
    code, found = check(package, "--signature", X64, "--signature", SERVER)
    assert code == 1
    assert found["valid"] is False
    expected = {planted.expected for planted, _ in FAULTS}
    expected |= {("package.unsigned", package.name, None), ("package.signature-not-attested", None, None)}
    assert len(expected) >= 10
    assert expected - places(found["findings"]) == set()
    for each in found["findings"]:
        assert set(each) == {"code", "level", "file", "line", "message", "remedy", "inferred"}
        assert each["message"]
        assert each["remedy"]
    assert not {each["code"] for each in found["findings"] if each["file"] == "good/driver.inf"}


def test_the_package_without_the_faults_has_none_but_the_missing_signature(tmp_path: Path) -> None:
    package = unsigned_cabinet(tmp_path, driver("good", INF))
    code, found = check(package, "--signature", X64)
    assert code == 1
    assert places(found["findings"]) == {("package.unsigned", package.name, None)}
