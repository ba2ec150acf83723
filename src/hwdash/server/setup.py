"""Making a new service: what ``hwdash init`` does."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from hwdash.domain.audit import act
from hwdash.server.audit_log import checkpoint_key
from hwdash.server.keys import ServiceKeys, keys_folder, open_secrets
from hwdash.settings import Settings
from hwdash.signing.authority import TlsFiles, ensure_authority, ensure_tls, new_roots
from hwdash.signing.errors import KeysError
from hwdash.signing.key_places import checked_place
from hwdash.signing.keys import TOKEN_FILE, Credential, KeyFolder, write_atomically
from hwdash.signing.roots import (
    ROOT_FILE,
    ROOT_PASSPHRASE,
    given_passphrase,
    new_passphrase,
    read_roots,
    write_roots,
)
from hwdash.storage.accounts import add_secret, all_accounts, create_account, create_application
from hwdash.storage.audit import append, operator
from hwdash.storage.database import Database
from hwdash.storage.kind import claim_database
from hwdash.vocabulary import FIRST_ROLES


class AlreadyMade(Exception):
    """The data folder holds a service already."""


@dataclass(frozen=True, slots=True)
class NewService:
    """What the first client needs; the secret is shown once and stored nowhere."""

    account_id: int
    tenant_id: str
    client_id: str
    client_secret: str = field(repr=False)
    ca_certificate: Path
    root_certificate: Path
    root_key: Path | None = None
    """Where the keys of the roots were written; None in a sandbox, and where an authority was there already."""
    root_passphrase: str = field(default="", repr=False)
    """What opens them, when it was made here."""


def make_service(
    settings: Settings,
    *,
    account_name: str,
    application_name: str,
    hosts: list[str],
    now: datetime,
    sandbox: bool = False,
    root_key: Path | None = None,
    token: str = "",
) -> NewService:
    """Make data folder, keys, certificates, database, first account and application.

    ``sandbox`` makes the keys and the database of a sandbox. ``root_key`` is the file for the keys of the roots, in the
    data folder when None; a sandbox keeps none. ``token`` is the URI of a token or vault to make the signing keys in.
    What an interrupted call left is used. Raises AlreadyMade when the service has an account, KeysError, and WrongKind.
    """
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = Database(settings.database)
    try:
        database.create()
        with database.reading() as connection:
            if all_accounts(connection):
                raise AlreadyMade(
                    f"{settings.data} holds a service already; serve it, or choose another folder with --data"
                )
        with database.writing() as connection:
            claim_database(connection, sandbox=sandbox)
        authority = KeyFolder.open(keys_folder(settings.data))
        if token:
            write_atomically(authority.path / TOKEN_FILE, f"{checked_place(token)}\n".encode(), mode=0o600)
        file = root_key or settings.data / ROOT_FILE
        with ThreadPoolExecutor(1) as thread:
            own = thread.submit(ServiceKeys.ensure, settings.data)
            roots, made_passphrase = _roots(authority, file, now, sandbox=sandbox)
            ensure_authority(authority, now, sandbox=sandbox, crl_url=settings.crl_url, roots=roots)
            own.result()
        checkpoint_key(settings)
        tls = tls_files(settings, hosts, now, sandbox=sandbox)
        with database.writing() as connection:
            account = create_account(connection, account_name, now, policy={"manualReview": False})
            application = create_application(connection, account.id, application_name, FIRST_ROLES, now)
            secret = add_secret(connection, application.client_id, now)
            thing = ("application", application.client_id)
            append(connection, act(account.id, now, operator(), "init", thing, secretId=secret.id))
    finally:
        database.close()
    return NewService(
        account.id,
        account.tenant_id,
        application.client_id,
        secret.secret,
        tls.ca_certificate,
        authority.public_file("root"),
        None if sandbox or not file.exists() else file,
        made_passphrase,
    )


def _roots(authority: KeyFolder, file: Path, now: datetime, *, sandbox: bool) -> tuple[dict[str, Credential], str]:
    """The roots of a new authority, their keys in ``file``, and its passphrase where it was made here."""
    given = given_passphrase()
    if file.exists() and not sandbox:
        if given is None:
            raise KeysError(
                f"{file} holds root keys already, of an init that was interrupted or of another service: remove the "
                f"data folder and begin anew, or set {ROOT_PASSPHRASE} to their passphrase"
            )
        return read_roots(file, given), ""
    if authority.has("root"):
        return {}, ""
    roots = new_roots(now, sandbox=sandbox)
    if sandbox:
        return roots, ""
    passphrase = given or new_passphrase()
    write_roots(file, roots, passphrase, is_random=given is None)
    return roots, "" if given else passphrase


def tls_files(settings: Settings, hosts: list[str], now: datetime, *, sandbox: bool = False) -> TlsFiles:
    """The local CA and the server's certificate for these names, made or renewed as needed."""
    return ensure_tls(open_secrets(settings.data, "tls"), hosts, now, sandbox=sandbox)
