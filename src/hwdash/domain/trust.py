"""What a signature of this service is worth on a Windows machine: the one table of it.

The page of the trust kit, ``hwdash trust verdict`` and docs/explanation/what-a-signature-is-worth.md are made of it.
Each claim names the document that it stands on; all are pages of Microsoft Learn. 64-bit Windows is meant throughout.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Where the code of a package runs."""

    KERNEL = "kernel-mode"
    USER = "user-mode"
    """UMDF drivers, components, or an INF without any code."""


class SetUp(StrEnum):
    """What was done on a machine."""

    AS_IT_COMES = "as it comes"
    ROOT = "root and publisher installed"
    TEST_SIGNING = "test-signing mode, root and publisher installed"
    KERNEL_SIGNERS = "App Control policy with this CA as custom kernel signer"


class Answer(StrEnum):
    """Does a package of this service load?"""

    LOADS = "loads"
    CONDITIONAL = "loads on conditions"
    NEVER = "never loads"


@dataclass(frozen=True, slots=True)
class Windows:
    """Releases that judge alike."""

    key: str
    name: str
    is_strict: bool = True
    """With Secure Boot on, new kernel drivers need a signature of Microsoft's Dev Portal."""
    is_server: bool = False


RELEASES = (
    Windows("10-1511", "Windows 8, 8.1, and 10 up to version 1511", is_strict=False),
    Windows("10", "Windows 10, version 1607 and later"),
    Windows("11", "Windows 11"),
    Windows("server-2016", "Windows Server 2016 and later", is_server=True),
)

POLICY = "Driver Signing Policy"
TESTSIGNING = "The TESTSIGNING Boot Configuration Option"
SECURE_BOOT = "Secure boot feature signing requirements for kernel-mode drivers"
KERNEL_SIGNERS = "Custom Kernel Signers for App Control for Business"
PNP = "PnP Device Installation Signing Requirements"
CATEGORIES = "Signature Categories and Driver Installation"
MEMORY_INTEGRITY = "Driver compatibility with memory integrity and VBS"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a package loads on one kind of machine, why, and where that is written."""

    windows: Windows
    secure_boot: bool
    set_up: SetUp
    answer: Answer
    why: str
    source: str


MEMORY_INTEGRITY_NOTE = (
    "Memory integrity (HVCI) takes nothing back from these rules and accepts no other signature. It asks more of a "
    "kernel driver's code: no section that is both writable and executable, and sections aligned to pages."
)
APP_CONTROL_NOTE = (
    "Where an App Control policy is enforced on the machine, code loads only if that policy allows it too, user-mode "
    "code where the policy covers user mode. The kit's app-control-signer.xml is what to merge into such a policy."
)
NOTES = ((MEMORY_INTEGRITY_NOTE, MEMORY_INTEGRITY), (APP_CONTROL_NOTE, KERNEL_SIGNERS))
"""What holds beside the verdicts, with its source."""

IN_SHORT = (
    "Windows with Secure Boot, as it comes, never loads a kernel driver for a signature of this service: it is not "
    "Microsoft's. Installing the root changes nothing about that. To release to machines that are not your own, submit "
    "to Microsoft."
)


def verdicts(
    kind: Kind, releases: Sequence[Windows] = RELEASES, secure_boot: Sequence[bool] = (True, False)
) -> Iterator[Verdict]:
    """A verdict for each release, state of Secure Boot and set-up."""
    judge = _kernel if kind == Kind.KERNEL else _user
    for windows in releases:
        for on in secure_boot:
            for set_up in SetUp:
                if kind == Kind.USER and set_up in (SetUp.TEST_SIGNING, SetUp.KERNEL_SIGNERS):
                    continue  # these are about the kernel
                yield Verdict(windows, on, set_up, *judge(windows, on, set_up))


def release_of(key: str) -> Windows:
    """The release of a key. Raises KeyError."""
    return {each.key: each for each in RELEASES}[key]


def _kernel(windows: Windows, secure_boot: bool, set_up: SetUp) -> tuple[Answer, str, str]:
    if set_up == SetUp.TEST_SIGNING:
        if secure_boot:
            return Answer.NEVER, "Test-signing mode is not permitted while Secure Boot is on.", SECURE_BOOT
        why = (
            "The kernel loads drivers signed by any certificate; that each image is signed is asked, and this service "
            "signs each. The installed root is for the device installation."
        )
        return Answer.LOADS, why, TESTSIGNING
    if set_up == SetUp.KERNEL_SIGNERS:
        if not secure_boot:
            why = (
                "The policy counts because it is signed below Secure Boot's own keys: without Secure Boot it does not."
            )
            return Answer.NEVER, why, KERNEL_SIGNERS
        if not windows.is_strict:
            return Answer.NEVER, "This release has no custom kernel signers.", KERNEL_SIGNERS
        why = (
            "If this edition and build have custom kernel signers, the policy lists this CA, and it is signed by an "
            "authority in the machine's Secure Boot PK or KEK, so by who owns the firmware's keys."
        )
        return Answer.CONDITIONAL, why, KERNEL_SIGNERS
    if secure_boot and windows.is_strict:
        why = "New kernel drivers need a signature of Microsoft's Dev Portal" + (
            ", and HLK results." if windows.is_server else "."
        )
    else:
        why = "Code Integrity takes signatures from its own list of roots, and an installed root is not on it."
    return Answer.NEVER, why, POLICY


def _user(_windows: Windows, _secure_boot: bool, set_up: SetUp) -> tuple[Answer, str, str]:
    if set_up == SetUp.AS_IT_COMES:
        why = "The package counts as unsigned: its catalog's certificate is from no authority that the machine trusts."
        return Answer.NEVER, why, CATEGORIES
    why = (
        "The device installation takes the catalog: the root is trusted and the publisher too. The kernel's rules and "
        "Secure Boot are not about user-mode drivers."
    )
    return Answer.LOADS, why, PNP
