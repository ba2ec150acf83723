"""What the commands of ``hwdash admin`` share."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import sqlalchemy as sa
from cryptography import x509

from hwdash.cli.admin_changes import changes_recorded
from hwdash.cli.output import Exit, Refused, refuse, say
from hwdash.cli.service_options import existing_service, told_plainly
from hwdash.cli.two_people import by_two
from hwdash.clock import system_clock
from hwdash.domain.errors import DomainError
from hwdash.storage.accounts import all_accounts
from hwdash.storage.database import Database
from hwdash.storage.officers import all_broken_glass
from hwdash.vocabulary import Role

ROLE = click.Choice([str(each) for each in Role], case_sensitive=False)
ACCOUNT = click.option("--account", type=int, metavar="SELLERID", help="The account [the only one].")
BY = click.option("--by", help="Who decides; kept with the decision [the name you are logged in with].")
FILE = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@contextmanager
def transaction(data: Path | None) -> Iterator[sa.Connection]:
    """A writing transaction on the service's database; what it refuses ends the command.

    Whatever it changes, it leaves an entry of the audit log: the command with its parameters, by whom, and the rows.
    A command that waits for a second person is undone at its end (two_people.py).
    """
    settings = existing_service(data)
    with told_plainly():
        database = Database(settings.database)
        try:
            database.create()
            with (
                by_two(settings, database.writing) as ended,
                database.writing() as connection,
                changes_recorded(connection, system_clock),
            ):
                yield connection
                ended(connection)
                unseen = all_broken_glass(connection, unacknowledged=True)
            for each in unseen:
                who = f"{each.broken_by} broke the glass, and no other officer has seen it"
                say(f"warning: {who} ({each.id}): {each.act}")
        finally:
            database.close()


@contextmanager
def findings_told() -> Iterator[None]:
    """Ends the command with every finding of a DomainError."""
    try:
        yield
    except DomainError as error:
        refuse("\n".join(f"{target}: {message}" for target, message in error.targets), Exit.USAGE)


def account_named(connection: sa.Connection, wanted: int | None) -> int:
    """The account that is meant; where there are several, it must be named."""
    known = [each.id for each in all_accounts(connection)]
    if wanted is None and len(known) == 1:
        return known[0]
    if wanted in known:
        return wanted
    known_ids = ", ".join(map(str, known)) or "none"
    raise Refused(f"Name the account with --account: there are {known_ids}.", Exit.USAGE)


def who_decides(by: str | None) -> str:
    """The name of the person who decides."""
    try:
        name = getpass.getuser() if by is None else by
    except (OSError, KeyError):
        refuse("This user has no name: say with --by who decides.", Exit.USAGE)
    if not name.strip() or len(name) > 200 or not name.isprintable():
        refuse("--by must be a name of 1 to 200 printable characters.", Exit.USAGE)
    return name


def read_certificate(file: Path) -> x509.Certificate:
    """The certificate in a file, PEM or DER; of several in PEM the first."""
    content = file.read_bytes()
    try:
        if b"-----BEGIN CERTIFICATE-----" in content:
            return x509.load_pem_x509_certificate(content)
        return x509.load_der_x509_certificate(content)
    except ValueError as error:
        refuse(f"{file} is not a certificate in PEM or DER: {error}", Exit.USAGE)
