"""Containment by Landlock and a filter of system calls: the kernel denies every write outside scratch.

Landlock (Documentation/userspace-api/landlock.rst) covers files that are opened, made, removed and renamed. What it
does not know is filtered: modes, owners, times and attributes of files are left as they are and the call succeeds, so
that `shutil.copy` and the like go on; sockets other than those of one machine are refused.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import stat
import struct
from collections.abc import Iterator
from contextlib import suppress

from unstuck.containment import kernel

WRITE_FILE, REMOVE_FILE, MAKE_REG = 1 << 1, 1 << 5, 1 << 8
WRITES = 0b1_1111_1111_0010
"""Bits 1 and 4 to 12 (WRITE_FILE, REMOVE_*, MAKE_*)."""
REFER, TRUNCATE = 1 << 13, 1 << 14
SIGNALS_AND_ABSTRACT_SOCKETS = 3
VERSION = 1
PATH_BENEATH = 1

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
IGNORED = {
    "x86_64": (90, 91, 92, 93, 94, 132, 235, 261, 280, 260, 268, 452, 188, 189, 190, 197, 198, 199, 463, 466, 469),
    "aarch64": (52, 53, 54, 55, 88, 452, 5, 6, 7, 14, 15, 16, 463, 466, 469),
}
"""chmod, chown, utime and setxattr in all their forms."""
TRUNCATES = {"x86_64": 76, "aarch64": 45}
OPENS = {"x86_64": ((2, 1), (257, 2)), "aarch64": ((56, 2),)}
"""open and openat, and which argument has the flags."""
SOCKETS = {"x86_64": 41, "aarch64": 198}
ABSENT = (425, 437)
"""io_uring_setup, which no filter sees through, and openat2, whose flags it cannot read: callers use the old calls."""
LOCAL = (1, 16)
"""AF_UNIX, and AF_NETLINK, by which a process reads the devices of its own machine."""

LOAD, EQUAL, AND, GREATER, RETURN = 0x20, 0x15, 0x54, 0x35, 0x06
ALLOW, ERROR = 0x7FFF0000, 0x00050000


def enter(scratch: tuple[str, ...]) -> None:
    """Deny this process and its children every write outside these folders. Raises OSError where that cannot be had."""
    version = kernel.syscall("landlock_create_ruleset", None, 0, VERSION)
    had = kernel.capabilities()
    kernel.die_with_parent()
    kernel.renounce(had & kernel.KEPT)
    _restrict(version, scratch)
    program = b"".join(_filter(platform.machine(), whole=version >= 3))
    code = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(code)))
    kernel.prctl(kernel.SET_SECCOMP, 2, ctypes.addressof(header))


def _restrict(version: int, scratch: tuple[str, ...]) -> None:
    handled = WRITES | (REFER if version >= 2 else 0) | (TRUNCATE if version >= 3 else 0)
    words = struct.pack("QQQ", handled, 0, SIGNALS_AND_ABSTRACT_SOCKETS)
    size = 24 if version >= 6 else 8
    rules = kernel.syscall("landlock_create_ruleset", ctypes.create_string_buffer(words[:size], size), size, 0)
    try:
        for folder in scratch:
            _allow(rules, folder, handled)
        _allow(rules, "/dev/shm", handled & (WRITE_FILE | REMOVE_FILE | MAKE_REG | TRUNCATE))
        for device in _devices("/dev"):
            _allow(rules, device, handled & (WRITE_FILE | TRUNCATE))
        kernel.syscall("landlock_restrict_self", rules, 0)
    finally:
        os.close(rules)


def _allow(rules: int, path: str, access: int) -> None:
    with suppress(FileNotFoundError):
        place = os.open(path, os.O_PATH)
        try:
            attributes = ctypes.create_string_buffer(struct.pack("=Qi", access, place), 12)
            kernel.syscall("landlock_add_rule", rules, PATH_BENEATH, attributes, 0)
        finally:
            os.close(place)


def _devices(folder: str) -> Iterator[str]:
    """Character devices that may be written to: /dev/null, terminals, GPUs."""
    with suppress(PermissionError, FileNotFoundError):
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False) and entry.name != "shm":
                yield from _devices(entry.path)
            elif stat.S_ISCHR(entry.stat(follow_symlinks=False).st_mode) and os.access(entry.path, os.W_OK):
                yield entry.path


def _filter(machine: str, whole: bool) -> Iterator[bytes]:
    """The filter's program (Documentation/networking/filter.rst). `whole`: Landlock itself knows truncation."""
    yield _line(LOAD, 4)
    yield _line(EQUAL, ARCHITECTURES[machine], 1, 0)
    yield _line(RETURN, ERROR | errno.ENOSYS)
    yield _line(LOAD, 0)
    yield _line(GREATER, 0x40000000, 0, 1)  # the x32 calls have other numbers
    yield _line(RETURN, ERROR | errno.ENOSYS)
    for call in IGNORED[machine]:
        yield from _on(call, _line(RETURN, ERROR | 0))
    for call in ABSENT:
        yield from _on(call, _line(RETURN, ERROR | errno.ENOSYS))
    yield from _on(SOCKETS[machine], *_sockets())
    if not whole:
        yield from _on(TRUNCATES[machine], _line(RETURN, ERROR | errno.EACCES))
        for call, argument in OPENS[machine]:
            yield from _on(call, *_truncating(argument))
    yield _line(RETURN, ALLOW)


def _on(call: int, *lines: bytes) -> Iterator[bytes]:
    yield _line(EQUAL, call, 0, len(lines))
    yield from lines


def _sockets() -> Iterator[bytes]:
    yield _line(LOAD, 16)
    for family in LOCAL:
        yield _line(EQUAL, family, 0, 1)
        yield _line(RETURN, ALLOW)
    yield _line(RETURN, ERROR | errno.EACCES)


def _truncating(argument: int) -> Iterator[bytes]:
    """Opening for reading only, and truncating all the same, is denied."""
    yield _line(LOAD, 16 + 8 * argument)
    yield _line(AND, os.O_TRUNC | os.O_ACCMODE)
    yield _line(EQUAL, os.O_TRUNC, 0, 1)
    yield _line(RETURN, ERROR | errno.EACCES)
    yield _line(RETURN, ALLOW)


def _line(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("HBBI", code, yes, no, value)
