"""Sandboxes made for one run: everything that a client needs, at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509

from hwdash.clock import system_clock
from hwdash.sandbox.playbill import store_scenario
from hwdash.sandbox.separation import check_sandbox, make_sandbox, sandbox_tls
from hwdash.server.keys import keys_folder
from hwdash.server.setup import NewService
from hwdash.settings import Settings, SettingsError
from hwdash.signing.keys import KeyFolder
from hwdash.storage.accounts import add_secret, all_accounts, applications_of
from hwdash.storage.certificates import add_signing_certificate
from hwdash.storage.database import Database

ACCOUNT, APPLICATION = "Sandbox", "Rehearsal"


@dataclass(frozen=True, slots=True)
class Opened:
    """What a client of the sandbox needs. ``token`` is its admin token, "" for a sandbox that was there before."""

    service: NewService
    token: str = field(repr=False)


def open_sandbox(settings: Settings, certificates: Sequence[Path] = (), scenario: str = "") -> Opened:
    """Make a sandbox, or take the one that is in the folder and give its first application one more secret.

    ``certificates`` are registered for its first account; ``scenario`` is the TOML of what it plays, "" for none new.
    Raises SettingsError for a folder that holds something else and for a file that is no certificate, AccountError for
    a certificate that is refused, ScenarioError and KeysError.
    """
    read = [_certificate(file) for file in certificates]
    if (settings.data / "keys").exists():
        check_sandbox(settings)
        opened = Opened(_known(settings), "")
    else:
        # Who starts one for a test does not want to wait for it.
        made = make_sandbox(settings, account_name=ACCOUNT, application_name=APPLICATION, hosts=[], step_times="none")
        opened = Opened(*made)
    if scenario:
        store_scenario(settings.data, scenario)
    database = Database(settings.database)
    try:
        with database.writing() as connection:
            for each in read:
                add_signing_certificate(connection, opened.service.account_id, each, system_clock())
    finally:
        database.close()
    return opened


def _known(settings: Settings) -> NewService:
    database = Database(settings.database)
    now = system_clock()
    try:
        database.create()
        with database.writing() as connection:
            account = all_accounts(connection)[0]
            application = applications_of(connection, account.id)[0]
            secret = add_secret(connection, application.client_id, now).secret
    except IndexError:
        raise SettingsError(
            f"{settings.data} has no application: hwdash init --sandbox was interrupted. Remove it and make it anew."
        ) from None
    finally:
        database.close()
    tls = sandbox_tls(settings, [], now)
    root = KeyFolder(keys_folder(settings.data), b"").public_file("root")
    return NewService(account.id, account.tenant_id, application.client_id, secret, tls.ca_certificate, root)


def _certificate(file: Path) -> x509.Certificate:
    try:
        content = file.read_bytes()
        if b"-----BEGIN CERTIFICATE-----" in content:
            return x509.load_pem_x509_certificate(content)
        return x509.load_der_x509_certificate(content)
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(f"{file} is not a certificate in PEM or DER: {error}") from error
