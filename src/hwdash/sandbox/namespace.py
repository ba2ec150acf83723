"""A network and mounts for this process and its children alone (namespaces(7)): nothing on the machine changes.

Root with CAP_SYS_ADMIN gets them at once. Everybody else gets them in a user namespace of their own, where the kernel
allows one: there the process has every capability, which the programs that it starts lose again, unless it is root.
The process that enters cannot leave: only one that ends with the namespace should.
"""

import ctypes
import errno
import fcntl
import os
import socket
import struct
import sys
from pathlib import Path

# <linux/sched.h>, <linux/mount.h>, <linux/sockios.h>, <linux/if.h>
_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_SIOCSIFFLAGS, _IFF_UP, _IFF_RUNNING = 0x8914, 0x1, 0x40

OTHER_WAYS = (
    "Other ways are a hosts file, a container or a proxy with hwdash serve --impersonate: see "
    "docs/how-to/rehearse-in-a-sandbox.md"
)

# A switch of the kernel or of a distribution, the value that forbids, and what to do.
_SWITCHES = (
    ("user/max_user_namespaces", "0", "user namespaces are turned off: sysctl user.max_user_namespaces=10000"),
    (
        "kernel/unprivileged_userns_clone",
        "0",
        "user namespaces are for root only: sysctl kernel.unprivileged_userns_clone=1",
    ),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "AppArmor gives them no rights: run as root, or sysctl kernel.apparmor_restrict_unprivileged_userns=0",
    ),
)


class NoNamespaces(Exception):
    """This system gives this user no private network. The message says why and names the other ways."""


def enter() -> None:
    """Enter a new network namespace, whose loopback is up, and a new mount namespace. Raises NoNamespaces.

    The process must have one thread only: the kernel gives a user namespace to no other (unshare(2)).
    """
    if not sys.platform.startswith("linux"):
        raise NoNamespaces(f"{sys.platform} has no network namespaces. {OTHER_WAYS}")
    try:
        try:
            _unshare(_CLONE_NEWNS | _CLONE_NEWNET)
        except PermissionError:
            _enter_user_namespace()
        _mount("none", "/", _MS_REC | _MS_PRIVATE)
        _loopback_up()
    except OSError as error:
        raise NoNamespaces(f"No private network for this command: {_reason(error)}. {OTHER_WAYS}") from error


def bind_over(file: Path, target: Path) -> None:
    """Let ``target`` show the content of ``file`` to this process and its children. Raises OSError."""
    _mount(str(file), str(target), _MS_BIND)


def _enter_user_namespace() -> None:
    user, group = os.geteuid(), os.getegid()
    _unshare(_CLONE_NEWUSER | _CLONE_NEWNS | _CLONE_NEWNET)
    # Everybody stays who they are: files that the command makes are the user's own.
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP | _IFF_RUNNING))


def _unshare(flags: int) -> None:
    _call("unshare", flags)


def _mount(source: str, target: str, flags: int) -> None:
    _call("mount", os.fsencode(source), os.fsencode(target), None, ctypes.c_ulong(flags), None)


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)


def _reason(error: OSError) -> str:
    for switch, forbidding, reason in _SWITCHES:
        try:
            value = Path("/proc/sys", switch).read_text().strip()
        except OSError:
            continue
        if value == forbidding:
            return reason
    if error.errno in {errno.EPERM, errno.EACCES, errno.ENOSYS}:
        return (
            f"{error.filename or 'the kernel'} was refused, as a container's seccomp profile does: run the container "
            "with --cap-add SYS_ADMIN, or with a profile that allows unshare and mount"
        )
    return f"{error.filename or 'the kernel'}: {error.strerror}"
