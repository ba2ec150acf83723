"""Settings: the environment over the file over the defaults, and a plain word about each that is wrong."""

from pathlib import Path

import pytest

from hwdash.settings import DEFAULT_URL, SettingsError, load_settings


def test_without_anything_said_the_defaults_hold(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, {})
    assert settings.data == tmp_path
    assert settings.public_url == DEFAULT_URL
    assert settings.database == f"sqlite:///{tmp_path}/hwdash.db"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "hwdash.toml").write_text('clamd = "unix:/file"\nmax_package_mb = 7\n')
    settings = load_settings(tmp_path, {"HWDASH_CLAMD": "unix:/variable"})
    assert settings.clamd == "unix:/variable"
    assert settings.max_package_mb == 7


def test_the_data_folder_comes_from_the_argument_then_the_variable(tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert load_settings(None, {"HWDASH_DATA": str(other)}).data == other
    assert load_settings(tmp_path, {"HWDASH_DATA": str(other)}).data == tmp_path


def test_variables_of_the_client_are_none_of_the_services(tmp_path: Path) -> None:
    assert load_settings(tmp_path, {"HWDASH_CLIENT_ID": "x"}) == load_settings(tmp_path, {})


def test_a_public_url_ends_without_a_slash(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, {"HWDASH_PUBLIC_URL": "https://drivers.example.com/"})
    assert settings.public_url == "https://drivers.example.com"


def test_a_switch_is_true_or_false(tmp_path: Path) -> None:
    assert not load_settings(tmp_path, {}).accept_new_os_codes
    assert load_settings(tmp_path, {"HWDASH_ACCEPT_NEW_OS_CODES": "True"}).accept_new_os_codes
    (tmp_path / "hwdash.toml").write_text("accept_new_os_codes = true\n")
    assert load_settings(tmp_path, {}).accept_new_os_codes
    assert not load_settings(tmp_path, {"HWDASH_ACCEPT_NEW_OS_CODES": "false"}).accept_new_os_codes


@pytest.mark.parametrize(
    ("file", "variables", "named"),
    [
        ("clmd = 'unix:/x'", {}, "clmd"),
        ("data = '/x'", {}, "data"),
        ("clamd = 3", {}, "clamd"),
        ("max_package_mb = 0", {}, "max_package_mb"),
        ("max_package_mb = true", {}, "max_package_mb"),
        ("max_package_mb = 1.5", {}, "max_package_mb"),
        ("accept_new_os_codes = 1", {}, "accept_new_os_codes"),
        ("", {"HWDASH_ACCEPT_NEW_OS_CODES": "yes"}, "accept_new_os_codes"),
        ("clamd = ", {}, "hwdash.toml"),
        ("", {"HWDASH_CHILD_SECONDS": "soon"}, "child_seconds"),
        ("", {"HWDASH_PUBLIC_URL": "drivers.example.com"}, "public_url"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, file: str, variables: dict[str, str], named: str) -> None:
    (tmp_path / "hwdash.toml").write_text(file)
    with pytest.raises(SettingsError, match=named):
        load_settings(tmp_path, variables)
