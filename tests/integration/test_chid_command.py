"""``hwdash chid``: from values, from a table, from this machine."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from hwdash.cli import main as command_line
from hwdash.drivers import chid

# As published in fwupd's libfwupdplugin/fu-hwids-test.c.
VALUES = {
    "--manufacturer": "LENOVO",
    "--family": "ThinkPad T440s",
    "--product": "20ARS19C0C",
    "--sku": "LENOVO_MT_20AR_BU_Think_FM_ThinkPad T440s",
    "--baseboard-manufacturer": "LENOVO",
    "--baseboard-product": "20ARS19C0C",
    "--bios-vendor": "LENOVO",
    "--bios-version": "GJET75WW (2.25 )",
    "--bios-major": "2",
    "--bios-minor": "25",
    "--enclosure-type": "10",
}
FIRST, LAST = "147efce9-f201-5fc8-ab0c-c859751c3440", "6de5d951-d755-576b-bd09-c5cf66b27234"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["hwdash", "chid", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


def test_values_give_their_chids(run: Any) -> None:
    given = [word for pair in VALUES.items() for word in pair]
    code, out, _ = run(*given, "--json")
    found = json.loads(out)
    assert (code, len(out.splitlines())) == (0, 1)
    assert [each["number"] for each in found["chids"]] == list(range(15))
    assert (found["chids"][0]["chid"], found["chids"][14]) == (
        FIRST,
        {"number": 14, "chid": LAST, "values": ["manufacturer"]},
    )
    assert found["computer"]["bios_minor"] == 25
    _, out, _ = run(*given)
    assert "bios minor: 25\n" in out
    assert f"HardwareID-14  {{{LAST}}}  manufacturer\n" in out


@pytest.fixture
def table(tmp_path: Path) -> Path:
    file = tmp_path / "DMI"
    file.write_bytes(struct.pack("<BBHBB", 1, 6, 0, 1, 2) + b"LENOVO\0Other\0\0")
    return file


def test_values_count_before_those_of_a_table(run: Any, table: Path) -> None:
    _, out, _ = run("--smbios", table, "--json")
    assert json.loads(out)["computer"]["product"] == "Other"
    _, out, _ = run("--smbios", table, "--product", "20ARS19C0C", "--json")
    assert [(each["number"], each["chid"]) for each in json.loads(out)["chids"]] == [
        (9, "0cf8618d-9eff-537c-9f35-46861406eb9c"),
        (14, LAST),
    ]


def test_without_anything_it_is_this_machine(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chid.read_this_machine, "__defaults__", (tmp_path,))
    code, _, err = run()
    assert (code, "--smbios" in err) == (2, True)
    folder = tmp_path / "class" / "dmi" / "id"
    folder.mkdir(parents=True)
    (folder / "sys_vendor").write_text("LENOVO\n")
    code, out, _ = run("--json")
    assert (code, [each["chid"] for each in json.loads(out)["chids"]]) == (0, [LAST])


def test_without_a_manufacturer_there_is_no_chid(run: Any) -> None:
    code, out, err = run("--product", "x", "--json")
    assert (code, json.loads(out)["chids"]) == (1, [])
    assert "manufacturer" in err


def test_a_broken_table_is_refused_with_its_place(run: Any, table: Path) -> None:
    table.write_bytes(table.read_bytes()[:-1])
    code, out, err = run("--smbios", table)
    assert (code, out) == (1, "")
    assert "DMI, offset 0x6: the strings of a structure do not end" in err


@pytest.mark.parametrize("wrong", [["--bios-major", "256"], ["--enclosure-type", "x"], ["--smbios", "missing"], ["x"]])
def test_wrong_usage_ends_with_2(run: Any, wrong: list[str]) -> None:
    assert run(*wrong)[0] == 2
