"""What a process gives up for good before it reads a stranger's bytes.

Four walls, each closed by the kernel, none of which the process can open again:

- limits (setrlimit): address space, processor time, file size, open files, processes, no core file;
- privileges: no new ones, no capabilities, no tracing by others, death with its parent;
- files (Landlock): the Python installation to read, the caller's paths to read or to write, nothing else;
- system calls (seccomp): no network, no other programs, no other processes, no interfaces of the kernel that reading
  and writing files does not need.

The filter is a list of refusals, not of permissions, because the interpreter and its libraries differ between systems;
a call newer than the list does not exist (ENOSYS). Sources: the kernel's Documentation/userspace-api/landlock.rst and
seccomp_filter.rst, the man pages landlock(7), seccomp(2), prctl(2); call numbers from the kernel's
asm/unistd_64.h (x86_64) and asm-generic/unistd.h (aarch64).
"""

import ctypes
import errno
import os
import resource
import stat
import struct
import sys
from collections.abc import Iterable, Mapping

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class IsolationUnavailable(Exception):
    """This system cannot confine a process; the message says which wall is missing and what to do."""


def _call(number: int, *arguments: object, doing: str) -> int:
    result = int(_libc.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        _refuse(doing)
    return result


def _prctl(option: int, value: int, *, doing: str) -> int:
    zero = ctypes.c_ulong(0)
    result = int(_libc.prctl(ctypes.c_int(option), ctypes.c_ulong(value), zero, zero, zero))
    if result < 0:
        _refuse(doing)
    return result


def _refuse(doing: str) -> None:
    code = ctypes.get_errno()
    raise IsolationUnavailable(f"{doing} failed: {os.strerror(code)} ({errno.errorcode.get(code, code)})")


def _column(machine: str) -> int:
    """Where the call tables below keep the numbers of ``machine``."""
    try:
        return list(_MACHINES).index(machine)
    except ValueError:
        raise IsolationUnavailable(
            f"No seccomp filter is written for the processor {machine!r}. Run the service on x86_64 or aarch64."
        ) from None


# --- limits -----------------------------------------------------------------------------------------------------------


def limit_resources(*, memory_bytes: int, cpu_seconds: int, file_bytes: int, open_files: int, processes: int) -> None:
    """Lower the hard limits of this process; a limit that is already lower stays.

    ``processes`` counts every process and thread of the same user, so it only keeps one child from using up the user's
    whole allowance; that the child starts no process at all is the filter's work.
    """
    for kind, soft, hard in (
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_AS, memory_bytes, memory_bytes),
        (resource.RLIMIT_CPU, cpu_seconds, cpu_seconds + 1),  # SIGXCPU first, SIGKILL a second later
        (resource.RLIMIT_FSIZE, file_bytes, file_bytes),
        (resource.RLIMIT_NOFILE, open_files, open_files),
        (resource.RLIMIT_NPROC, processes, processes),
    ):
        _, ceiling = resource.getrlimit(kind)
        if ceiling != resource.RLIM_INFINITY:
            soft, hard = min(soft, ceiling), min(hard, ceiling)  # noqa: PLW2901
        resource.setrlimit(kind, (soft, hard))


# --- privileges -------------------------------------------------------------------------------------------------------

_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 2, 4, 38
_SIGKILL = 9
_CAPABILITY_VERSION_3 = 0x20080522
_CAPSET = (126, 91)  # x86_64, aarch64


def drop_privileges(*, parent: int) -> None:
    """Drop every capability, refuse new privileges and tracing, and die when ``parent`` (a process id) does."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1, doing="Refusing new privileges")
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0))
    nothing = ctypes.create_string_buffer(24)  # two of (effective, permitted, inheritable)
    _call(_CAPSET[_column(os.uname().machine)], header, nothing, doing="Dropping capabilities")
    _prctl(_PR_SET_DUMPABLE, 0, doing="Forbidding others to trace this process")
    # After capset, because a change of credentials may clear the signal.
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL, doing="Tying this process to its parent's life")
    if os.getppid() != parent:  # it died before the signal was set
        os._exit(1)


# --- files ------------------------------------------------------------------------------------------------------------

_FS_EXECUTE, _FS_WRITE_FILE, _FS_READ_FILE, _FS_READ_DIR, _FS_REMOVE_DIR, _FS_REMOVE_FILE = (1 << n for n in range(6))
_FS_MAKE_DIR, _FS_MAKE_REG = 1 << 7, 1 << 8
_FS_ABI_1 = (1 << 13) - 1
_FS_REFER, _FS_TRUNCATE, _FS_IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15  # since ABI 2, 3 and 5
_NET_TCP = 0b11  # bind and connect, since ABI 4
_SCOPES = 0b11  # abstract Unix sockets and signals, since ABI 6

_READ = _FS_READ_FILE | _FS_READ_DIR
# No symbolic links, sockets, pipes or devices: the unconfined parent reads these folders afterwards.
_WRITE = (
    _READ | _FS_WRITE_FILE | _FS_REMOVE_DIR | _FS_REMOVE_FILE | _FS_MAKE_DIR | _FS_MAKE_REG | _FS_REFER | _FS_TRUNCATE
)
_FOR_A_FILE = _FS_EXECUTE | _FS_WRITE_FILE | _FS_READ_FILE | _FS_TRUNCATE | _FS_IOCTL_DEV

_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446  # the same on every machine
_SHARED_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")


def landlock_abi() -> int:
    """The version of Landlock that the kernel offers, 1 or more; `IsolationUnavailable` when it offers none."""
    version = int(_libc.syscall(ctypes.c_long(_LANDLOCK_CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint32(1)))
    if version >= 1:
        return version
    code = ctypes.get_errno()
    why = {
        errno.ENOSYS: "this kernel has no Landlock, or a container's seccomp profile hides it",
        errno.EOPNOTSUPP: "this kernel has Landlock, but it is switched off",
        errno.EPERM: "a container's seccomp profile refuses it",
    }.get(code, os.strerror(code))
    raise IsolationUnavailable(
        f"No Landlock: {why}. Use a kernel of 5.13 or later with Landlock enabled ('landlock' must stand in "
        "/sys/kernel/security/lsm; add it to the lsm= boot parameter), and in a container a seccomp profile that "
        "allows landlock_create_ruleset, landlock_add_rule and landlock_restrict_self (Docker 20.10.18 and later does)."
    )


def python_installation() -> list[str]:
    """The folders that importing needs: standard library, installed packages, this package, shared libraries.

    Entries of ``sys.path`` outside the installation (another project's checkout, say) are left out: nobody knows what
    else lies there.
    """
    prefixes = {
        prefix.rstrip("/") + "/" for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix)
    }
    found = [entry for entry in sys.path if any(entry.startswith(prefix) and entry != prefix for prefix in prefixes)]
    found.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    found += _SHARED_LIBRARIES
    return [path for path in found if os.path.exists(path)]


def restrict_files(*, readable: Iterable[str], writable: Iterable[str]) -> None:
    """Leave this thread, and every thread and process it starts later, nothing but these files and folders.

    Raises `OSError` for a path that is not there, `IsolationUnavailable` where Landlock is missing.
    """
    abi = landlock_abi()
    handled = _FS_ABI_1
    for since, right in ((2, _FS_REFER), (3, _FS_TRUNCATE), (5, _FS_IOCTL_DEV)):
        if abi >= since:
            handled |= right
    attributes = struct.pack("=QQQ", handled, _NET_TCP, _SCOPES)[: 24 if abi >= 6 else 16 if abi >= 4 else 8]
    ruleset = _call(
        _LANDLOCK_CREATE_RULESET,
        attributes,
        ctypes.c_size_t(len(attributes)),
        ctypes.c_uint32(0),
        doing="Making a Landlock ruleset",
    )
    try:
        for paths, rights in ((readable, _READ), (writable, _WRITE)):
            for path in paths:
                _allow(ruleset, path, rights & handled)
        _call(_LANDLOCK_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0), doing="Closing files off by Landlock")
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _FOR_A_FILE
        rule = struct.pack("=Qi", rights, descriptor)
        path_beneath = ctypes.c_int(1)
        _call(
            _LANDLOCK_ADD_RULE,
            ctypes.c_int(ruleset),
            path_beneath,
            rule,
            ctypes.c_uint32(0),
            doing=f"Allowing {path} in Landlock",
        )
    finally:
        os.close(descriptor)


# --- system calls -----------------------------------------------------------------------------------------------------

# name: (x86_64, aarch64); None where the machine has no such call.
_REFUSED: Mapping[str, tuple[int | None, int | None]] = {
    # the network, and every other socket
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "accept": (43, 202), "accept4": (288, 242), "sendto": (44, 206), "sendmsg": (46, 211), "sendmmsg": (307, 269),
    "recvmsg": (47, 212), "recvmmsg": (299, 243),
    # programs and processes, its own place among them, and other processes' memory, signals, descriptors and schedule
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281), "setsid": (112, 157),
    "setpgid": (109, 154), "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "kcmp": (312, 272), "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "setpriority": (141, 140), "ioprio_set": (251, 30), "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119), "sched_setattr": (314, 274), "sched_setaffinity": (203, 122),
    "migrate_pages": (256, 238), "move_pages": (279, 239),
    # what processes share: System V and POSIX message passing
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "msgget": (68, 186), "msgsnd": (69, 189),
    "msgrcv": (70, 188), "msgctl": (71, 187), "semget": (64, 190), "semop": (65, 193), "semctl": (66, 191),
    "semtimedop": (220, 192), "mq_open": (240, 180), "mq_unlink": (241, 181),
    # the file tree's shape
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97),
    "setns": (308, 268), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "swapon": (167, 224), "swapoff": (168, 225), "quotactl": (179, 60), "quotactl_fd": (443, 443), "acct": (163, 89),
    # what Landlock does not guard: owners, modes, times and attributes of files; files by handle; notification;
    # truncation before its ABI 3; links and devices, also inside the writable folders
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "chown": (92, None), "fchown": (93, 55),
    "lchown": (94, None), "fchownat": (260, 54), "utime": (132, None), "utimes": (235, None),
    "futimesat": (261, None), "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "lookup_dcookie": (212, 18),
    "fanotify_init": (300, 262), "inotify_init": (253, None), "inotify_init1": (294, 26), "truncate": (76, 45),
    "link": (86, None), "linkat": (265, 37), "symlink": (88, None), "symlinkat": (266, 36), "mknod": (133, None),
    "mknodat": (259, 33),
    # memory that the limit on address space does not count
    "memfd_create": (319, 279), "memfd_secret": (447, 447),
    # the kernel itself
    "bpf": (321, 280), "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "io_setup": (206, 0), "io_submit": (209, 2),
    "personality": (135, 92), "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142), "capset": (126, 91),
    "syslog": (103, 116), "sethostname": (170, 161), "setdomainname": (171, 162), "settimeofday": (164, 170),
    "clock_settime": (227, 112), "adjtimex": (159, 171), "clock_adjtime": (305, 266), "iopl": (172, None),
    "ioperm": (173, None), "modify_ldt": (154, None), "vhangup": (153, 58),
}  # fmt: skip
# Those that the C library gives up gracefully only when they do not exist.
_ABSENT: Mapping[str, tuple[int | None, int | None]] = {"clone3": (435, 435), "openat2": (437, 437)}
# Those whose arguments decide.
_EXAMINED: Mapping[str, tuple[int | None, int | None]] = {
    "clone": (56, 220), "kill": (62, 129), "tgkill": (234, 131), "prlimit64": (302, 261), "prctl": (157, 167),
    "ioctl": (16, 29), "fcntl": (72, 25), "open": (2, None), "openat": (257, 56),
}  # fmt: skip
_LAST_KNOWN_CALL = 451  # cachestat, Linux 6.5; the numbers after it are the same on every machine

_MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # AUDIT_ARCH_X86_64, AUDIT_ARCH_AARCH64
_X32_BIT = 0x40000000

_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06  # BPF_LD|BPF_W|BPF_ABS, BPF_ALU|BPF_AND|BPF_K, BPF_RET|BPF_K
_IF_EQUAL, _IF_GREATER, _IF_AT_LEAST, _IF_ANY_BIT = 0x15, 0x25, 0x35, 0x45  # BPF_JMP|BPF_K with JEQ, JGT, JGE, JSET
_NUMBER_AT, _MACHINE_AT, _ARGUMENTS_AT = 0, 4, 16  # offsets in struct seccomp_data; both machines are little-endian
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS

_CLONE_THREAD = 0x00010000
_CLONE_NEW_NAMESPACES = 0x7E020000
_TERMINAL_AND_DESCRIPTOR_IOCTLS = (0x5401, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS FIONREAD FIONBIO FIONCLEX FIOCLEX
_PRCTLS = (15, 0x53564D41)  # PR_SET_NAME, PR_SET_VMA (the C library names its heaps)
_FCNTLS_THAT_REACH_OTHERS = (8, 10, 15, 1024, 1026)  # F_SETOWN F_SETSIG F_SETOWN_EX F_SETLEASE F_NOTIFY

_Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand


def _argument(index: int) -> _Instruction:
    return (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * index)  # the low half: all that are examined are 32 bits wide


def _one_of(index: int, values: Iterable[int], *, then: int, otherwise: int) -> list[_Instruction]:
    block = [_argument(index)]
    for value in values:
        block += [(_IF_EQUAL, 0, 1, value), (_RETURN, 0, 0, then)]
    return [*block, (_RETURN, 0, 0, otherwise)]


def _opening(flags_index: int) -> list[_Instruction]:
    """O_TRUNC without write access empties a file that Landlock before its ABI 3 lets the process read."""
    return [
        _argument(flags_index),
        (_IF_ANY_BIT, 0, 3, os.O_TRUNC),
        (_AND, 0, 0, os.O_ACCMODE),
        (_IF_EQUAL, 0, 1, os.O_RDONLY),
        (_RETURN, 0, 0, _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]


def filter_program(machine: str, *, process: int) -> bytes:
    """The seccomp filter, an array of struct sock_filter, for a ``machine`` (x86_64 or aarch64) and a process id."""
    column = _column(machine)
    program: list[_Instruction] = [
        (_LOAD, 0, 0, _MACHINE_AT),
        (_IF_EQUAL, 1, 0, _MACHINES[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_IF_AT_LEAST, 0, 1, _X32_BIT),
        (_RETURN, 0, 0, _KILL),
        (_IF_GREATER, 0, 1, _LAST_KNOWN_CALL),
        (_RETURN, 0, 0, _ENOSYS),
    ]
    for calls, answer in ((_REFUSED, _EPERM), (_ABSENT, _ENOSYS)):
        for numbers in calls.values():
            if (number := numbers[column]) is not None:
                program += [(_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, answer)]
    blocks = {
        "clone": [
            _argument(0),
            (_IF_ANY_BIT, 2, 0, _CLONE_NEW_NAMESPACES),
            (_IF_ANY_BIT, 0, 1, _CLONE_THREAD),
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, _EPERM),
        ],
        "kill": _one_of(0, [process], then=_ALLOW, otherwise=_EPERM),
        "tgkill": _one_of(0, [process], then=_ALLOW, otherwise=_EPERM),
        "prlimit64": _one_of(0, [0, process], then=_ALLOW, otherwise=_EPERM),
        "prctl": _one_of(0, _PRCTLS, then=_ALLOW, otherwise=_EPERM),
        "ioctl": _one_of(1, _TERMINAL_AND_DESCRIPTOR_IOCTLS, then=_ALLOW, otherwise=_EPERM),
        "fcntl": _one_of(1, _FCNTLS_THAT_REACH_OTHERS, then=_EPERM, otherwise=_ALLOW),
        "open": _opening(1),
        "openat": _opening(2),
    }
    for name, block in blocks.items():
        if (number := _EXAMINED[name][column]) is not None:
            program += [(_IF_EQUAL, 0, len(block), number), *block]
    program.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


_SECCOMP = (317, 277)


class _FilterProgram(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def restrict_calls() -> None:
    """Refuse every thread of this process, from now on, the calls that parsing needs none of."""
    instructions = filter_program(os.uname().machine, process=os.getpid())
    program = _FilterProgram(len(instructions) // 8, instructions)
    set_mode_filter, every_thread = ctypes.c_uint(1), ctypes.c_uint(1)
    try:
        _call(
            _SECCOMP[_column(os.uname().machine)],
            set_mode_filter,
            every_thread,
            ctypes.byref(program),
            doing="Installing the seccomp filter",
        )
    except IsolationUnavailable as error:
        raise IsolationUnavailable(
            f"{error}. Use a kernel of 4.14 or later built with "
            "CONFIG_SECCOMP_FILTER, and no container profile that refuses seccomp()."
        ) from None


def confine(*, parent: int, limits: Mapping[str, int], readable: Iterable[str], writable: Iterable[str]) -> None:
    """Close all four walls around this process, whose one thread is the caller, in the order that lets each be closed.

    ``parent`` is the process to die with; ``limits`` are the arguments of `limit_resources`; ``readable`` and
    ``writable`` are absolute paths of files and folders that exist. Raises `IsolationUnavailable`.
    """
    if len(os.listdir("/proc/self/task")) != 1:
        raise IsolationUnavailable("Landlock confines one thread, but other threads run already")
    limit_resources(**limits)
    drop_privileges(parent=parent)
    restrict_files(readable=[*python_installation(), *readable], writable=writable)
    restrict_calls()
