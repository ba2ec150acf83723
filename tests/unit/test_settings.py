"""Settings: the environment over the file over the defaults, and a plain word about each that is wrong."""

from pathlib import Path

import pytest

from hwdash.settings import DEFAULT_URL, SECRETS, SettingsError, load_settings, secret_of


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


# Secrets in files of their own


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_in_a_variable_a_file_or_a_credential(tmp_path: Path, name: str) -> None:
    variable, named, credentials = f"HWDASH_{name.upper()}", tmp_path / "anything", tmp_path / "credentials"
    credentials.mkdir()
    assert secret_of(name, {}) is None
    assert secret_of(name, {"CREDENTIALS_DIRECTORY": str(credentials)}) is None
    named.write_text("from a file\n")
    (credentials / name).write_text("a credential")
    with_credential = {"CREDENTIALS_DIRECTORY": str(credentials)}
    assert secret_of(name, with_credential) == "a credential"
    assert secret_of(name, with_credential | {f"{variable}_FILE": str(named)}) == "from a file"
    assert secret_of(name, with_credential | {variable: "a variable"}) == "a variable"
    assert secret_of("client_secret", {"HWDASH_CLIENT_SECRET_FILE": str(named)}) == "from a file"


def test_of_a_file_only_the_last_line_break_is_left_out(tmp_path: Path) -> None:
    for written, meant in ((b" a b \n", " a b "), (b"a\r\n", "a"), (b"a\nb", "a\nb"), ("\u00fc".encode(), "\u00fc")):
        (tmp_path / "secret").write_bytes(written)
        assert secret_of("key_passphrase", {"HWDASH_KEY_PASSPHRASE_FILE": str(tmp_path / "secret")}) == meant


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff-hidden-\xff", b"hidden\0", b"hidden" * 20_000])
def test_a_file_that_holds_no_secret_is_told_without_what_it_holds(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    for environment in (
        {"HWDASH_DATABASE_URL_FILE": str(file)},
        {"HWDASH_DATABASE_URL_FILE": str(file), "CREDENTIALS_DIRECTORY": str(tmp_path)},
    ):
        with pytest.raises(SettingsError, match=r"HWDASH_DATABASE_URL_FILE: .*secret") as told:
            load_settings(tmp_path, environment)
        assert "hidden" not in str(told.value)


def test_a_secret_twice_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="HWDASH_DATABASE_URL and HWDASH_DATABASE_URL_FILE are both set"):
        load_settings(tmp_path, {"HWDASH_DATABASE_URL": "sqlite://", "HWDASH_DATABASE_URL_FILE": str(tmp_path)})


def test_the_database_comes_from_its_file_and_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "hwdash.toml").write_text('database_url = "sqlite:///other"\n')
    (tmp_path / "url").write_text("postgresql+psycopg://u:hidden@host/x\n")
    settings = load_settings(tmp_path, {"HWDASH_DATABASE_URL_FILE": str(tmp_path / "url")})
    assert settings.database == "postgresql+psycopg://u:hidden@host/x"
    assert "hidden" not in repr(settings)
