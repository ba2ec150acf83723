"""Who may use the API, and for what (contract/api.md 1.2, 8; contract/dashboard.md 2, 3, 16 to 20).

- The account is enrolled, and has signed every agreement that the service's operator published.
- An application is associated with the account, enabled, and holds Manager and a hardware role.
- A person is a user of the account, enabled, and holds a hardware role; Manager is asked of programs only.
- Then the request's own roles: any of them. A System Submitter submits whole systems, and no drivers.

Each missing piece has a refusal of its own. None of them is about the token: a client that gets a new one after 401
would do so for ever.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from hwdash.domain.errors import Code, DomainError
from hwdash.vocabulary import SYSTEM_PRODUCT_TYPES, Role

SUBMITTERS = frozenset({Role.DRIVER_SUBMITTER, Role.ADMINISTRATOR})


class AccountStatus(StrEnum):
    """Where an account stands in the hardware programme."""

    PENDING = "pending"
    ENROLLED = "enrolled"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class Principal:
    """An application or a person, and the account that it acts for."""

    id: str  # client id or user id
    account_id: int
    is_person: bool
    is_disabled: bool
    roles: tuple[str, ...]
    account_status: str
    unsigned: Sequence[str]
    """The agreements that the account has not signed, "NAME VERSION" each."""


def check_access(known: Principal | None, roles: Collection[Role]) -> Principal:
    """The principal, when it may make a request that any of these roles allows. Raises DomainError, forbidden."""
    if known is None:
        raise _forbidden(
            "The application or person of this token is not associated with an account of this service. An "
            "administrator associates it: hwdash admin app create, or hwdash admin user create."
        )
    kind, command = ("person", "user") if known.is_person else ("application", "app")
    if known.is_disabled:
        raise _forbidden(f"The {kind} is disabled. An administrator enables it: hwdash admin {command} enable.")
    _check_account(known)
    held = set(known.roles)
    if not known.is_person and Role.MANAGER not in held:
        raise _forbidden(
            "The application does not hold the Manager role in its account. An administrator adds it: "
            "hwdash admin app roles."
        )
    if not held - {Role.MANAGER}:
        raise _forbidden(
            f"The {kind} holds no hardware role in its account, such as Driver Submitter. An administrator adds it: "
            f"hwdash admin {command} roles."
        )
    if held.isdisjoint(roles):
        raise _forbidden(f"This request needs the role {' or '.join(sorted(roles))}.")
    return known


def check_submits(held: Collection[str], product_types: Collection[str]) -> None:
    """May someone with these roles submit a product of these types? Raises DomainError, forbidden."""
    if SUBMITTERS.isdisjoint(held) and SYSTEM_PRODUCT_TYPES.isdisjoint(product_types):
        raise _forbidden(
            "This request needs the role Administrator or Driver Submitter: a System Submitter submits products with "
            "a product type of a whole system, such as Laptop."
        )


def _check_account(known: Principal) -> None:
    if known.account_status == AccountStatus.SUSPENDED:
        raise _forbidden(
            f"The account {known.account_id} is suspended. An administrator of the service ends that: "
            "hwdash admin account enroll."
        )
    if known.account_status != AccountStatus.ENROLLED:
        raise _forbidden(
            f"The account {known.account_id} is not enrolled in the hardware programme yet. An administrator of the "
            "service enrols it: hwdash admin account enroll."
        )
    if known.unsigned:
        raise _forbidden(
            f"The account has not signed {', '.join(known.unsigned)}. A person of the account with the role Legal "
            "Agreement Signer signs: hwdash admin agreement sign."
        )


def no_ev_certificate() -> DomainError:
    """A submission or preproduction package of an account without a valid EV certificate (contract/dashboard.md 10)."""
    return _forbidden(
        "The account has no registered EV certificate that is valid today, which every submission needs. Have one "
        "registered, then try again: hwdash admin certificate add."
    )


def _forbidden(message: str) -> DomainError:
    return DomainError(Code.FORBIDDEN, message)
