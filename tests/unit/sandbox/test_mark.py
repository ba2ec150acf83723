from pathlib import Path

import pytest

from hwdash.clock import system_clock
from hwdash.sandbox.mark import MARK, make_mark, mark_of
from hwdash.settings import SettingsError


def test_a_folder_without_the_mark_is_no_sandbox(tmp_path: Path) -> None:
    assert mark_of(tmp_path) is None


def test_the_mark_admits_its_token_and_no_other_and_does_not_keep_it(tmp_path: Path) -> None:
    token = make_mark(tmp_path / "new", system_clock())
    mark = mark_of(tmp_path / "new")
    assert mark is not None
    assert mark.admits(token)
    assert not mark.admits(token + "x")
    assert not mark.admits("")
    assert token not in (tmp_path / "new" / MARK).read_text()
    assert (tmp_path / "new" / MARK).stat().st_mode & 0o777 == 0o600


def test_a_service_that_is_there_cannot_become_a_sandbox(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    with pytest.raises(SettingsError, match="holds a service already"):
        make_mark(tmp_path, system_clock())
    assert mark_of(tmp_path) is None


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", '{"madeAt": "x"}'])
def test_a_broken_mark_is_refused_and_not_taken_for_none(tmp_path: Path, content: str) -> None:
    (tmp_path / MARK).write_text(content)
    with pytest.raises(SettingsError, match="not the mark of a sandbox"):
        mark_of(tmp_path)
