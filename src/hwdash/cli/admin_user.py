"""``hwdash admin user``."""

from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa

from hwdash.cli.admin_options import ACCOUNT, ROLE, account_named, transaction
from hwdash.cli.output import json_option, print_json, print_table, refuse
from hwdash.cli.service_options import data_option
from hwdash.cli.two_people import Rule, two_people
from hwdash.clock import system_clock
from hwdash.storage import users
from hwdash.storage.users import User
from hwdash.vocabulary import Role

LOGIN = click.argument("login")


@click.group()
def user() -> None:
    """People: who may sign in, and with which roles."""


def chosen_user(connection: sa.Connection, account_id: int, login: str) -> User:
    """The person that is meant; an unknown one ends the command."""
    found = users.user_of_login(connection, account_id, login)
    if found is None:
        refuse(f"Account {account_id} has no user {login}; hwdash admin user list tells who there is.")
    return found


@user.command("create")
@LOGIN
@click.option("--name", help="The person's name [LOGIN].")
@click.option("--role", "roles", multiple=True, required=True, type=ROLE, help="A role; give it once for each.")
@ACCOUNT
@two_people(Rule.ROLE_GRANTS)
@data_option
def new_user(login: str, name: str | None, roles: tuple[str, ...], account: int | None, data: Path | None) -> None:
    """Make a person who signs in as LOGIN; prints one JSON object, the one-time password this once.

    It is good for a week, for one sign-in, at which the person chooses a password.
    """
    with transaction(data) as connection:
        made = users.create_user(
            connection,
            account_named(connection, account),
            login,
            name or login,
            [Role(each) for each in roles],
            system_clock(),
        )
    print_json(_to_json(made.user) | {"oneTimePassword": made.one_time_password})


@user.command("list")
@ACCOUNT
@json_option
@data_option
def list_users(account: int | None, as_json: bool, data: Path | None) -> None:
    """List an account's people."""
    with transaction(data) as connection:
        known = users.users_of(connection, account_named(connection, account))
    if as_json:
        print_json({"users": [_to_json(each) for each in known]})
        return
    print_table(
        ("login", "state", "name", "roles"),
        [_to_json(each) | {"roles": ", ".join(each.roles)} for each in known],
    )


@user.command("roles")
@LOGIN
@click.argument("roles", nargs=-1, required=True, type=ROLE)
@ACCOUNT
@two_people(Rule.ROLE_GRANTS)
@data_option
def change_roles(login: str, roles: tuple[str, ...], account: int | None, data: Path | None) -> None:
    """Give LOGIN these ROLES instead of the ones that they have; they count from the next request on."""
    with transaction(data) as connection:
        person = chosen_user(connection, account_named(connection, account), login)
        users.set_user_roles(connection, person.id, [Role(each) for each in roles])
    click.echo(f"{person.login}: {', '.join(Role(each) for each in roles)}")


@user.command("reset-password")
@LOGIN
@ACCOUNT
@two_people(Rule.ROLE_GRANTS)
@data_option
def reset(login: str, account: int | None, data: Path | None) -> None:
    """Give LOGIN a new one-time password, and end their sign-ins; prints one JSON object, the password this once."""
    with transaction(data) as connection:
        person = chosen_user(connection, account_named(connection, account), login)
        password = users.reset_password(connection, person.id, system_clock())
    print_json({"login": person.login, "oneTimePassword": password})


@user.command("disable")
@LOGIN
@ACCOUNT
@data_option
def disable(login: str, account: int | None, data: Path | None) -> None:
    """Bar LOGIN from the next request on, and end their sign-ins."""
    _set_disabled(login, account, data, disabled=True)


@user.command("enable")
@LOGIN
@ACCOUNT
@two_people(Rule.ROLE_GRANTS)
@data_option
def enable(login: str, account: int | None, data: Path | None) -> None:
    """Let LOGIN sign in again."""
    _set_disabled(login, account, data, disabled=False)


@user.command("remove")
@LOGIN
@ACCOUNT
@data_option
def remove(login: str, account: int | None, data: Path | None) -> None:
    """Forget LOGIN. What they submitted and signed stays."""
    with transaction(data) as connection:
        person = chosen_user(connection, account_named(connection, account), login)
        users.remove_user(connection, person.id)
    click.echo(f"removed {person.login}")


def _set_disabled(login: str, account: int | None, data: Path | None, *, disabled: bool) -> None:
    with transaction(data) as connection:
        person = chosen_user(connection, account_named(connection, account), login)
        users.set_user_disabled(connection, person.id, disabled=disabled)
    click.echo(f"{person.login} is {'disabled' if disabled else 'enabled'}")


def _state(person: User) -> str:
    if person.is_disabled:
        return "disabled"
    if person.one_time_until is not None:
        expired = person.one_time_until <= system_clock()
        return "one-time password expired" if expired else "has a one-time password"
    return "enabled"


def _to_json(person: User) -> dict[str, Any]:
    return {
        "id": person.id,
        "accountId": person.account_id,
        "login": person.login,
        "name": person.name,
        "roles": list(person.roles),
        "state": _state(person),
        "createdAt": person.created_at.isoformat(),
    }
