"""A sandbox and a release service are two things from birth: each way to mix them is refused (docs/adr/0016)."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from hwdash.clock import system_clock
from hwdash.sandbox.mark import MARK
from hwdash.sandbox.separation import check_sandbox, make_release, make_sandbox, sandbox_tls
from hwdash.server.app import create_service
from hwdash.server.setup import AlreadyMade, make_service, tls_files
from hwdash.settings import Settings, SettingsError
from hwdash.signing.authority import IDENTITIES, ensure_authority
from hwdash.signing.errors import KeysError
from hwdash.signing.keys import KeyFolder
from hwdash.storage.database import Database
from hwdash.storage.kind import WrongKind, claim_database


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("sandbox") / "data"
    make_sandbox(Settings(data=data), account_name="A", application_name="B", hosts=["sandbox.example"])
    return data


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("release") / "data"
    make_release(Settings(data=data), account_name="A", application_name="B", hosts=["localhost"])
    return data


@pytest.fixture
def sandbox(made: Path, tmp_path: Path) -> Settings:
    return Settings(data=shutil.copytree(made, tmp_path / "sandbox"))


@pytest.fixture
def release(released: Path, tmp_path: Path) -> Settings:
    return Settings(data=shutil.copytree(released, tmp_path / "release"))


def certificate(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


SIGNING = ("root", "issuing", "preproduction-root", "timestamp", "provenance", *IDENTITIES)


def common_name(file: Path) -> str:
    return str(certificate(file).subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def test_every_certificate_of_a_sandbox_says_so_and_ends_within_a_month(sandbox: Settings) -> None:
    files = [sandbox.data / "keys" / f"{name}.crt" for name in SIGNING]
    files += [sandbox.data / "secrets" / "tls" / f"{name}.crt" for name in ("tls-ca", "tls-server")]
    for file in files:
        assert "SANDBOX" in common_name(file)
        assert certificate(file).not_valid_after_utc <= system_clock() + timedelta(days=30)


def test_no_certificate_of_a_release_service_says_sandbox(release: Settings) -> None:
    files = [*release.data.glob("keys/*.crt"), *release.data.glob("secrets/tls/*.crt")]
    assert {file.stem for file in files} == {*SIGNING, "tls-ca", "tls-server"}
    assert [file for file in files if "SANDBOX" in common_name(file)] == []


def test_the_ca_of_a_sandbox_is_held_to_the_impersonated_names_and_its_own(sandbox: Settings) -> None:
    constraints = certificate(sandbox.data / "secrets" / "tls" / "tls-ca.crt").extensions.get_extension_for_class(
        x509.NameConstraints
    )
    assert constraints.critical
    permitted = {str(each.value) for each in constraints.value.permitted_subtrees or []}
    assert permitted == {
        "localhost",
        "sandbox.example",
        "manage.devcenter.microsoft.com",
        "login.microsoftonline.com",
        "127.0.0.1/32",
        "::1/128",
    }


def test_two_sandboxes_and_a_release_service_share_no_ca(sandbox: Settings, release: Settings, tmp_path: Path) -> None:
    other = Settings(data=tmp_path / "other")
    make_sandbox(other, account_name="A", application_name="B", hosts=["localhost"])
    for name in ("keys/root.crt", "secrets/tls/tls-ca.crt"):
        keys = [certificate(each.data / name).public_key() for each in (sandbox, release, other)]
        assert keys[0] != keys[1] != keys[2] != keys[0]


def test_a_release_folder_cannot_be_made_a_sandbox(release: Settings) -> None:
    with pytest.raises(SettingsError, match="never becomes one"):
        make_sandbox(release, account_name="A", application_name="B", hosts=["localhost"])
    assert not (release.data / MARK).exists()


def test_a_sandbox_cannot_be_made_a_release_service(sandbox: Settings) -> None:
    with pytest.raises(SettingsError, match="never becomes anything else"):
        make_release(sandbox, account_name="A", application_name="B", hosts=["localhost"])


def test_sandbox_features_refuse_a_release_folder(release: Settings) -> None:
    with pytest.raises(SettingsError, match="is no sandbox"):
        check_sandbox(release)


def test_a_mark_that_was_put_into_a_release_folder_starts_nothing(release: Settings, sandbox: Settings) -> None:
    shutil.copy(sandbox.data / MARK, release.data / MARK)
    check_sandbox(release)  # the mark alone is there; the keys are looked at where the service is put together
    with pytest.raises(KeysError, match="one never becomes the other"):
        create_service(release, sandbox=True)
    with pytest.raises(KeysError, match="one never becomes the other"):
        sandbox_tls(release, ["localhost"], system_clock())


def test_a_sandbox_whose_mark_was_taken_away_starts_nothing(sandbox: Settings) -> None:
    (sandbox.data / MARK).unlink()
    with pytest.raises(KeysError, match="one never becomes the other"):
        create_service(sandbox)
    with pytest.raises(KeysError, match="one never becomes the other"):
        tls_files(sandbox, ["localhost"], system_clock())


def test_release_keys_copied_into_a_sandbox_start_nothing(sandbox: Settings, release: Settings) -> None:
    shutil.rmtree(sandbox.data / "keys")
    shutil.copytree(release.data / "keys", sandbox.data / "keys")
    with pytest.raises(KeysError, match="one never becomes the other"):
        create_service(sandbox, sandbox=True)
    with pytest.raises(KeysError, match="one never becomes the other"):
        ensure_authority(KeyFolder.open(sandbox.data / "keys"), system_clock(), sandbox=True)


def test_a_database_of_a_sandbox_serves_no_release_keys_and_the_other_way_round(
    sandbox: Settings, release: Settings
) -> None:
    """As with one PostgreSQL database named in two places: the folders are whole, the database is the other's."""
    for mine, other, is_sandbox in ((sandbox, release, True), (release, sandbox, False)):
        mixed = Settings(data=mine.data, database_url=other.database)
        with pytest.raises(WrongKind, match="cannot be mixed"):
            create_service(mixed, sandbox=is_sandbox)
        with pytest.raises((WrongKind, AlreadyMade)):
            make_service(
                mixed, account_name="A", application_name="B", hosts=[], now=system_clock(), sandbox=is_sandbox
            )


def test_a_database_older_than_kinds_is_a_release_services(release: Settings) -> None:
    database = Database(release.database)
    with database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM service_kind")
        with pytest.raises(WrongKind):
            claim_database(connection, sandbox=True)
    database.close()
