"""The walls one by one: the filter's program by an interpreter of its own, for both processors; the rest for real."""

import errno
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from hwdash.pipeline import confinement
from hwdash.pipeline.confinement import IsolationUnavailable, filter_program, landlock_abi

ALLOWED, KILLED = "allowed", "killed"
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # linux/audit.h
PROCESS = 4711


def verdict(machine: str, number: int, *arguments: int, architecture: int | None = None) -> str | int:
    """Run the classic BPF program over one struct seccomp_data; 'allowed', 'killed', or the error number."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    record = struct.pack("=IIQ6Q", number, architecture or ARCHITECTURES[machine], 0, *padded)
    program = list(struct.iter_unpack("=HBBI", filter_program(machine, process=PROCESS)))
    accumulator = position = 0
    while True:
        code, if_true, if_false, operand = program[position]
        position += 1
        match code:
            case 0x20:  # load a word at an absolute offset
                (accumulator,) = struct.unpack_from("=I", record, operand)
            case 0x54:
                accumulator &= operand
            case 0x15:
                position += if_true if accumulator == operand else if_false
            case 0x25:
                position += if_true if accumulator > operand else if_false
            case 0x35:
                position += if_true if accumulator >= operand else if_false
            case 0x45:
                position += if_true if accumulator & operand else if_false
            case 0x06:
                action, value = operand & 0xFFFF0000, operand & 0xFFFF
                return {0x7FFF0000: ALLOWED, 0x80000000: KILLED, 0x00050000: value}[action]
            case _:
                raise AssertionError(f"no such instruction: {code:#x}")


# Numbers as the kernel's asm/unistd_64.h and asm-generic/unistd.h give them: (x86_64, aarch64).
BOTH = pytest.mark.parametrize(("machine", "column"), [("x86_64", 0), ("aarch64", 1)])


@BOTH
@pytest.mark.parametrize(
    ("numbers", "arguments"),
    [
        pytest.param((0, 63), (), id="read"),
        pytest.param((9, 222), (), id="mmap"),
        pytest.param((10, 226), (), id="mprotect"),
        pytest.param((231, 94), (), id="exit_group"),
        pytest.param((202, 98), (), id="futex"),
        pytest.param((318, 278), (), id="getrandom"),
        pytest.param((257, 56), (0, 0, os.O_RDONLY | os.O_CLOEXEC), id="openat to read"),
        pytest.param((257, 56), (0, 0, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), id="openat to write anew"),
        pytest.param((56, 220), (0x3D0F00,), id="clone as the C library does for a thread"),
        pytest.param((62, 129), (PROCESS, 9), id="kill itself"),
        pytest.param((234, 131), (PROCESS, 99, 6), id="tgkill its own thread"),
        pytest.param((302, 261), (0, 7), id="prlimit64 of its own"),
        pytest.param((157, 167), (15,), id="prctl to name a thread"),
        pytest.param((16, 29), (1, 0x5401), id="ioctl TCGETS"),
        pytest.param((72, 25), (1, 1030), id="fcntl F_DUPFD_CLOEXEC"),
    ],
)
def test_what_reading_needs_is_allowed(machine: str, column: int, numbers: tuple[int, int], arguments: tuple[int, ...]):
    assert verdict(machine, numbers[column], *arguments) == ALLOWED


@BOTH
@pytest.mark.parametrize(
    ("numbers", "arguments"),
    [
        pytest.param((41, 198), (), id="socket"),
        pytest.param((53, 199), (), id="socketpair"),
        pytest.param((42, 203), (), id="connect"),
        pytest.param((59, 221), (), id="execve"),
        pytest.param((322, 281), (), id="execveat"),
        pytest.param((56, 220), (17,), id="clone as fork does"),
        pytest.param((56, 220), (0x4111,), id="clone as vfork does"),
        pytest.param((56, 220), (0x50010F00,), id="clone a thread into new namespaces"),
        pytest.param((101, 117), (), id="ptrace"),
        pytest.param((310, 270), (), id="process_vm_readv"),
        pytest.param((311, 271), (), id="process_vm_writev"),
        pytest.param((62, 129), (1, 9), id="kill another"),
        pytest.param((62, 129), (2**32 - 1, 9), id="kill all"),
        pytest.param((62, 129), (0, 9), id="kill its group"),
        pytest.param((234, 131), (1, 1, 9), id="tgkill another"),
        pytest.param((200, 130), (1, 9), id="tkill"),
        pytest.param((302, 261), (1, 7), id="prlimit64 of another"),
        pytest.param((165, 40), (), id="mount"),
        pytest.param((272, 97), (), id="unshare"),
        pytest.param((308, 268), (), id="setns"),
        pytest.param((321, 280), (), id="bpf"),
        pytest.param((250, 219), (), id="keyctl"),
        pytest.param((298, 241), (), id="perf_event_open"),
        pytest.param((323, 282), (), id="userfaultfd"),
        pytest.param((425, 425), (), id="io_uring_setup"),
        pytest.param((135, 92), (), id="personality"),
        pytest.param((313, 273), (), id="finit_module"),
        pytest.param((319, 279), (), id="memfd_create"),
        pytest.param((268, 53), (), id="fchmodat"),
        pytest.param((76, 45), (), id="truncate"),
        pytest.param((257, 56), (0, 0, os.O_RDONLY | os.O_TRUNC), id="openat to empty what it may only read"),
        pytest.param((157, 167), (1, 0), id="prctl to outlive its parent"),
        pytest.param((157, 167), (4, 1), id="prctl to be traceable"),
        pytest.param((16, 29), (0, 0x5412), id="ioctl TIOCSTI"),
        pytest.param((72, 25), (0, 8, 1), id="fcntl F_SETOWN"),
    ],
)
def test_what_reaches_outside_is_refused(
    machine: str, column: int, numbers: tuple[int, int], arguments: tuple[int, ...]
):
    assert verdict(machine, numbers[column], *arguments) == errno.EPERM


@pytest.mark.parametrize("number", [57, 58, 90, 86, 88])
def test_the_old_calls_of_x86_64_are_refused_too(number: int):
    assert verdict("x86_64", number) == errno.EPERM


@BOTH
@pytest.mark.parametrize("number", [435, 437, 452, 463, 0x3FFFFFFF])
def test_calls_that_cannot_be_examined_or_are_newer_do_not_exist(machine: str, column: int, number: int):
    assert verdict(machine, number) == errno.ENOSYS


@pytest.mark.parametrize("number", [0x40000000, 0x40000000 + 59, 0xFFFFFFFF])
def test_calls_in_the_x32_form_kill(number: int):
    assert verdict("x86_64", number) == KILLED


@BOTH
def test_calls_in_the_form_of_another_processor_kill(machine: str, column: int):
    assert verdict(machine, 0, architecture=0x40000003) == KILLED  # AUDIT_ARCH_I386
    assert verdict(machine, 0, architecture=ARCHITECTURES["aarch64" if machine == "x86_64" else "x86_64"]) == KILLED


def test_a_processor_without_a_filter_is_named():
    with pytest.raises(IsolationUnavailable, match=r"riscv64.*x86_64 or aarch64"):
        filter_program("riscv64", process=PROCESS)


def confined(program: str, *arguments: object) -> str:
    """Run ``program`` in an interpreter of its own, after ``from hwdash.pipeline.confinement import *``."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import os, sys\nfrom hwdash.pipeline import confinement\n" + program,
            *map(str, arguments),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


ATTEMPT = """
def attempt(action):
    try:
        action()
    except OSError as error:
        return error.strerror
    return "done"
"""


@pytest.mark.parametrize("abi", range(1, 8))
def test_files_are_closed_under_every_version_of_landlock(abi: int, tmp_path: Path):
    version = min(abi, landlock_abi())
    given, kept, closed = tmp_path / "given", tmp_path / "kept", tmp_path / "closed"
    for folder in (given, kept, closed):
        folder.mkdir()
        (folder / "file").write_bytes(b"12345")
    out = confined(
        ATTEMPT
        + f"confinement.landlock_abi = lambda: {version}\n"
        + """
given, kept, closed = sys.argv[1:]
confinement.drop_privileges(parent=os.getppid())
confinement.restrict_files(readable=[kept], writable=[given])
confinement.restrict_calls()
print(attempt(lambda: open(given + "/file", "wb").close()),
      attempt(lambda: open(kept + "/file", "rb").close()),
      attempt(lambda: open(kept + "/file", "r+b").close()),
      attempt(lambda: os.open(kept + "/file", os.O_RDONLY | os.O_TRUNC)),
      attempt(lambda: os.truncate(closed + "/file", 0)),
      attempt(lambda: os.unlink(closed + "/file")),
      attempt(lambda: open(closed + "/file", "rb").close()),
      attempt(lambda: os.rename(given + "/file", closed + "/new")) != "done",
      sep="|")
""",
        given,
        kept,
        closed,
    )
    denied, refused = os.strerror(errno.EACCES), os.strerror(errno.EPERM)
    assert out.split("|") == ["done", "done", denied, refused, refused, denied, denied, "True"]
    assert (kept / "file").read_bytes() == (closed / "file").read_bytes() == b"12345"


def test_capabilities_are_gone_and_stay_gone():
    out = confined(
        "confinement.drop_privileges(parent=os.getppid())\n"
        "wanted = ('CapEff', 'CapPrm', 'NoNewPrivs')\n"
        "print(*[line.split()[1] for line in open('/proc/self/status') if line.startswith(wanted)])"
    )
    assert out.split() == ["0" * 16, "0" * 16, "1"]


def test_the_memory_limit_cannot_be_raised_again():
    out = confined(
        """
import resource
confinement.limit_resources(memory_bytes=1 << 28, cpu_seconds=9, file_bytes=9, open_files=32, processes=4096)
confinement.drop_privileges(parent=os.getppid())
try:
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
except (ValueError, OSError) as error:
    print("refused")
print(resource.getrlimit(resource.RLIMIT_AS)[1], resource.getrlimit(resource.RLIMIT_CORE)[1])
"""
    )
    assert out.split() == ["refused", str(1 << 28), "0"]


def test_a_process_that_was_orphaned_before_it_could_notice_ends():
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from hwdash.pipeline import confinement; confinement.drop_privileges(parent=1234567890)",
        ],
        check=False,
        timeout=60,
    )
    assert done.returncode == 1


def test_a_process_with_other_threads_refuses_to_be_confined():
    out = confined(
        """
import threading
wait = threading.Event()
threading.Thread(target=wait.wait).start()
try:
    confinement.confine(parent=os.getppid(), limits={}, readable=[], writable=[])
except confinement.IsolationUnavailable as error:
    print(error)
wait.set()
"""
    )
    assert "other threads run already" in out


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSYS, "has no Landlock"),
        (errno.EOPNOTSUPP, "switched off"),
        (errno.EPERM, "seccomp profile refuses"),
    ],
)
def test_the_reason_for_no_landlock_is_told_with_the_remedy(code: int, words: str, monkeypatch):
    monkeypatch.setattr(confinement._libc, "syscall", lambda *_: -1)
    monkeypatch.setattr(confinement.ctypes, "get_errno", lambda: code)
    with pytest.raises(IsolationUnavailable, match=rf"{words}.*5\.13"):
        landlock_abi()


def test_only_the_installation_is_readable_not_every_folder_that_python_imports_from(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path), "/"])
    folders = confinement.python_installation()
    assert str(tmp_path) not in folders
    assert "/" not in folders
    assert sys.prefix not in folders
    assert str(Path(confinement.__file__).parents[1]) in folders
