"""Containment by namespaces: the script sees all files through an overlay, itself and its children, and no network.

The process that enters must have one thread. It becomes three: one outside that waits, the first process of the new
process namespace, with which everything in it ends, and the one that returns.
"""

from __future__ import annotations

import os
from contextlib import suppress

from unstuck.containment import kernel, renames
from unstuck.containment.mounts import Place, build

FLAGS = kernel.NEWNS | kernel.NEWPID | kernel.NEWNET | kernel.NEWIPC


def enter(place: Place, told: int) -> None:
    """Return contained, in a new process; the others write the end of it to `told`. Raises OSError in the first."""
    had = kernel.capabilities()
    split = _left(had)
    kernel.die_with_parent()
    failed, failing = os.pipe()
    first = os.fork()
    if first:
        _wait(first, failed, failing, told)
    os.close(failed)
    try:
        kernel.die_with_parent()
        here = os.getcwd()
        kernel.loopback_up()
        mounted = build(Place(place.scratch, split=split, likely=place.likely, room=place.room))
        with suppress(OSError):
            os.chdir(here)
        kernel.renounce(had & kernel.KEPT)
    except BaseException as error:
        os.write(failing, str(error).encode("utf-8", "replace")[:400])
        os._exit(1)
    os.close(failing)
    script = os.fork()
    if script:
        _reap(script, told)
    renames.install(mounted)


def _left(had: int) -> bool:
    """Leave the namespaces; whether a user namespace was needed for that."""
    if had >> kernel.SYS_ADMIN & 1 and "unprivileged" not in os.environ.get("UNSTUCK_CONTAINMENT", ""):
        with suppress(OSError):
            kernel.unshare(FLAGS)
            return kernel.in_user_namespace()
    uid, gid = os.geteuid(), os.getegid()
    kernel.unshare(FLAGS | kernel.NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    return True


def _wait(first: int, failed: int, failing: int, told: int) -> None:
    """Outside: wait for the first process. Raises OSError with the reason if the view could not be made."""
    os.close(failing)
    why = os.read(failed, 400).decode("utf-8", "replace")
    if why:
        os.waitpid(first, 0)
        raise OSError(0, why)
    os.close(told)
    os.waitpid(first, 0)
    os._exit(0)


def _reap(script: int, told: int) -> None:
    """The first process inside: take the end of every orphan until the script has ended, and end all with it."""
    os.closerange(0, told)
    while True:
        pid, status = os.wait()
        if pid == script:
            os.write(told, f"ended {os.waitstatus_to_exitcode(status)}\n".encode())
            os._exit(0)
