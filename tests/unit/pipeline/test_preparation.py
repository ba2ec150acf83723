"""What the child process answers is not believed: an answer that would lead a later step astray is refused."""

from typing import Any

import pytest

from hwdash.pipeline.preparation import checked

FILE = {"path": "d/d.inf", "stored": "000000", "size": 1, "sha1": "a" * 40, "sha256": "b" * 64, "layout": None}
UNIVERSAL = {
    "verdict": "unknown",
    "reason": "no list",
    "binaries": [
        {
            "path": "d/d.sys",
            "machine": "amd64",
            "modules": [{"name": "HAL.dll", "kind": "kernel", "functions": 1, "delayed": False}],
        }
    ],
}
LAYOUT = {"checksum_offset": 216, "security_entry_offset": 296, "body_size": 4096, "checksum_base": 1}


def answer(
    file: dict[str, Any] | None = None, universal: dict[str, Any] = UNIVERSAL, positions: Any = None, **bundle: Any
) -> dict[str, Any]:
    parts = {"id": "6f1d0bde-1f0c-4a35-9d5e-0a3c0a5b7f21", "folder": "d", "catalogs": ["d.cat"], "hardwareIds": []}
    parts["files"] = [FILE | (file or {})]
    return {
        "bundles": [parts | bundle],
        "metadata": {},
        "positions": positions or {},
        "isExtension": False,
        "universal": universal,
        "findings": [],
    }


def test_an_answer_of_the_agreed_form_is_taken_as_it_is() -> None:
    sound = answer({"layout": LAYOUT}, positions={"b": {"d.inf": {"WINDOWS_7": {"usb\\a": 1}}}})
    assert checked(sound) == sound


@pytest.mark.parametrize(
    "wrong",
    [
        answer({"stored": "../../keys/root.pem"}),
        answer({"stored": "000000\n"}),
        answer({"path": "../../etc/cron.d/x"}),
        answer({"path": "d\\..\\..\\x"}),
        answer({"path": "/etc/passwd"}),
        answer({"size": -1}),
        answer({"size": "1"}),
        answer({"sha256": "b" * 63}),
        answer({"layout": {"checksum_offset": 216}}),
        answer({"layout": LAYOUT | {"checksum_offset": "216"}}),
        answer({"extra": 1}),
        answer(catalogs=["../x.cat"]),
        answer(catalogs=["..\\x.cat"]),
        answer(catalogs=["driver.sys"]),
        answer(folder="../d"),
        answer(id="not a guid"),
        answer(universal=UNIVERSAL | {"verdict": "yes"}),
        answer(universal=UNIVERSAL | {"reason": None}),
        answer(universal=UNIVERSAL | {"binaries": [{"path": "d/d.sys"}]}),
        answer(positions={"b": {"d.inf": {"WINDOWS_7": {"usb\\a": 0}}}}),
        answer(positions={"b": {"d.inf": {"WINDOWS_7": {"usb\\a": "1"}}}}),
        answer(positions=[]) | {"positions": []},
        {},
        [],
        None,
    ],
)
def test_any_other_answer_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="agreed form"):
        checked(wrong)
