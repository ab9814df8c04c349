"""The calls of the Linux kernel that Python does not offer, through ctypes. Each raises OSError.

Numbers: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h; constants: include/uapi/linux.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
import struct
import sys

NEWNS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x00020000, 0x08000000, 0x10000000, 0x20000000, 0x40000000
NOSUID, NODEV, REMOUNT, BIND, REC, PRIVATE = 2, 4, 32, 4096, 16384, 1 << 18
DETACH = 2
READ_ONLY = 1
RECURSIVE = 0x8000
DEATH_SIGNAL, SUBREAPER, NO_NEW_PRIVILEGES, DROP_BOUND, SET_SECCOMP = 1, 36, 38, 24, 22
SYS_ADMIN = 21
KEPT = sum(1 << bit for bit in (0, 1, 3, 4, 5, 6, 7, 14, 23))
"""Capabilities that root keeps if it had them: what files and processes of other users need (chown, dac_override,
fowner, fsetid, kill, setgid, setuid), locked memory and priorities. None of them reaches past a mount namespace."""

NUMBERS = {
    "x86_64": {"pivot_root": 155, "capset": 126},
    "aarch64": {"pivot_root": 41, "capset": 91},
}
COMMON = {"mount_setattr": 442, "landlock_create_ruleset": 444, "landlock_add_rule": 445, "landlock_restrict_self": 446}
"""System calls since 5.0 have the same number everywhere."""


def available() -> bool:
    """Whether this is a Linux of which the numbers are known."""
    return sys.platform == "linux" and platform.machine() in NUMBERS and sys.maxsize > 2**32


def number(name: str) -> int:
    """The number of a system call on this machine."""
    return COMMON.get(name) or NUMBERS[platform.machine()][name]


def syscall(name: str, *arguments: int | bytes | ctypes.Array | ctypes.Structure | None) -> int:
    """A system call by its name; structures are handed over by reference."""
    words = [ctypes.byref(a) if isinstance(a, ctypes.Structure) else _word(a) for a in arguments]
    return _checked(_libc().syscall(ctypes.c_long(number(name)), *words), name)


def unshare(flags: int) -> None:
    """Leave namespaces; that of processes is left by the next child."""
    _checked(_libc().unshare(flags), "unshare")


def mount(source: str | None, target: str, kind: str | None = None, flags: int = 0, options: str | None = None) -> None:
    """mount(2)."""
    words = [None if w is None else os.fsencode(w) for w in (source, target, kind, options)]
    _checked(_libc().mount(*words[:3], ctypes.c_ulong(flags), words[3]), f"mount {target}")


def unmount(target: str) -> None:
    """Detach a mount and what is below it."""
    _checked(_libc().umount2(os.fsencode(target), DETACH), f"unmount {target}")


def bind(source: str, target: str, read_only: bool = True) -> None:
    """Show a file or a folder, with the mounts below it, at another place as well."""
    mount(source, target, None, BIND | REC)
    if read_only:
        attributes = (ctypes.c_uint64 * 4)(READ_ONLY, 0, 0, 0)
        syscall("mount_setattr", -100, os.fsencode(target), RECURSIVE, attributes, ctypes.sizeof(attributes))


def pivot(folder: str) -> None:
    """Make a mount the root of all names; the old root is gone."""
    os.chdir(folder)
    syscall("pivot_root", b".", b".")
    unmount(".")
    os.chdir("/")


def prctl(option: int, *arguments: int) -> None:
    """prctl(2)."""
    words = [ctypes.c_ulong(a) for a in (*arguments, 0, 0, 0, 0)][:4]
    _checked(_libc().prctl(option, *words), f"prctl {option}")


def die_with_parent() -> None:
    """Be killed when the parent ends."""
    prctl(DEATH_SIGNAL, 9)


def capabilities() -> int:
    """The capabilities that are in force, as bits."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        return next((int(line.split()[1], 16) for line in status if line.startswith("CapEff:")), 0)


def in_user_namespace() -> bool:
    """Whether this is a user namespace with a map of its own: rights over the machine's own files are not for it."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return file.read().split() != ["0", "0", "4294967295"]


def renounce(kept: int) -> None:
    """Give up every other capability for good, and new ones that a program file may bring."""
    prctl(NO_NEW_PRIVILEGES, 1)
    for bit in range(64):
        if not kept >> bit & 1:
            try:
                prctl(DROP_BOUND, bit)
            except OSError as error:
                if error.errno == errno.EINVAL:
                    break  # the kernel has no more
                if error.errno != errno.EPERM:  # it has no right to lower the bound, and so nothing to lose
                    raise
    low, high = kept & 0xFFFFFFFF, kept >> 32
    header = ctypes.create_string_buffer(struct.pack("Ii", 0x20080522, 0))
    syscall("capset", header, ctypes.create_string_buffer(struct.pack("6I", low, low, 0, high, high, 0)))


def loopback_up() -> None:
    """Switch on the only network device of a new network namespace (SIOCGIFFLAGS, SIOCSIFFLAGS)."""
    import fcntl  # there is none on Windows, where this module must be importable

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anything:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(anything, 0x8913, request))[1]
        fcntl.ioctl(anything, 0x8914, struct.pack("16sH14x", b"lo", flags | 1))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _word(argument: object) -> object:
    return ctypes.c_long(argument) if isinstance(argument, int) else argument


def _checked(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result
