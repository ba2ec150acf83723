"""Who acts as an officer: the options of the commands that take an officer's word."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hwdash.cli.output import Exit, refuse, say
from hwdash.cli.service_options import told_plainly
from hwdash.server.keys import keys_folder
from hwdash.settings import Settings, secret_of
from hwdash.signing.officers import DualControl, open_officer_key

F = TypeVar("F", bound=Callable[..., Any])

PASSPHRASE = "HWDASH_OFFICER_PASSPHRASE"  # noqa: S105 the name of a variable, not a secret
_OFFICER, _KEY, _BREAK_GLASS = "hwdash.officer", "hwdash.officer_key", "hwdash.break_glass"
_APPOINTED = "hwdash.appointed"


@dataclass(frozen=True, slots=True)
class ActingOfficer:
    """An officer with their key, open."""

    name: str
    key: Ed25519PrivateKey = field(repr=False)


def officer_options(command: F) -> F:
    """The ``--officer`` and ``--key`` options; ``acting_officer`` has what they say, not the command's parameters."""
    key = click.option(
        "--key", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE", expose_value=False,
        callback=_kept(_KEY), help=f"Your key as an officer; {PASSPHRASE} opens it, or you are asked.",
    )  # fmt: skip
    officer = click.option(
        "--officer", metavar="NAME", expose_value=False, callback=_kept(_OFFICER), help="Who you are of the officers."
    )
    return officer(key(command))


def break_glass_option(command: F) -> F:
    """The ``--break-glass`` option; ``breaks_glass`` has what it says."""
    return click.option(
        "--break-glass", is_flag=True, expose_value=False, callback=_kept(_BREAK_GLASS),
        help="In an emergency, do alone what needs more people; give a --reason. Everybody is told.",
    )(command)  # fmt: skip


def breaks_glass() -> bool:
    """Whether this command is to do alone what needs more people."""
    return click.get_current_context().meta.get(_BREAK_GLASS) is True


def tell_of_broken_glass() -> None:
    """Tell who did it what follows."""
    say(
        "The glass is broken. The audit log and the service's log say so, and every hwdash admin does until another "
        "officer has seen it: hwdash admin break-glass list."
    )


def _kept(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def keep(context: click.Context, _: click.Parameter, value: Any) -> None:
        context.meta[name] = value

    return keep


def acting_officer() -> ActingOfficer | None:
    """Who acts in this command; None when nobody was named. What is wrong with that ends the command."""
    meta = click.get_current_context().meta
    name, file = meta.get(_OFFICER), meta.get(_KEY)
    if name is None and file is None:
        return None
    if name is None or file is None:
        refuse("--officer and --key belong together: say who you are, and give your key.", Exit.USAGE)
    with told_plainly():
        return ActingOfficer(name, open_officer_key(file, officer_passphrase().encode()))


def officer_passphrase(*, is_new: bool = False) -> str:
    """The passphrase of an officer's key: from where secrets are put, else asked for at the terminal."""
    with told_plainly():
        given = secret_of("officer_passphrase", os.environ)
    if given is None:
        given = click.prompt("Passphrase of the officer's key", hide_input=True, confirmation_prompt=is_new, err=True)
    return str(given)


@dataclass(frozen=True, slots=True)
class Appointed:
    """The officers and the policy of a service, and what it is known by."""

    control: DualControl
    root: Callable[[], bytes] = field(repr=False)
    """Reads its root certificate, PEM."""

    @property
    def service(self) -> str:
        """SHA-256 of the root certificate, hex: what the words of officers name."""
        with told_plainly():
            return x509.load_pem_x509_certificate(self.root()).fingerprint(hashes.SHA256()).hex()


def appointed(settings: Settings) -> Appointed:
    """The officers and the policy of a service: from the key folder, or where that is the signer's alone, from it.

    Read once for a command. What cannot be read ends it.
    """
    meta = click.get_current_context().meta
    if _APPOINTED not in meta:
        with told_plainly():
            meta[_APPOINTED] = _appointed(settings)
    found: Appointed = meta[_APPOINTED]
    return found


def _appointed(settings: Settings) -> Appointed:
    folder = keys_folder(settings.data)
    if settings.signer_socket and not os.access(folder, os.R_OK | os.X_OK):
        from hwdash.signing.process import SignerProcess  # noqa: PLC0415 - half of what a command takes to start

        with SignerProcess.connect(Path(settings.signer_socket), settings.signer_user) as signer:
            root = signer.root_certificate_pem
            return Appointed(signer.dual_control(), lambda: root)
    return Appointed(DualControl.read(folder), (folder / "root.crt").read_bytes)
