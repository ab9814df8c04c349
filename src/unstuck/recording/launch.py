"""Run somebody's script or module as `__main__`, the way `python X` would, inside the present process.

Everything the person can look at is Python's own: a fresh `__main__` module, `sys.argv`, `sys.orig_argv`,
`sys.path[0]`, the exit code, and the traceback of what they did not catch, without our frames. Modules, packages,
folders and zip files go through the function of `runpy` that the interpreter itself calls, so that its frames are
there too. No torch here.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib.machinery
import io
import os
import pkgutil
import runpy
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, ModuleType, TracebackType

from unstuck.recording.script import Target

INTERRUPTED = 128 + signal.SIGINT
"""What `execute` returns after an uncaught KeyboardInterrupt; `leave` turns it into death by that signal."""

OURS = str(Path(__file__).parent) + os.sep
"""Frames from files below this folder are hidden from the person."""


class BudgetSpent(BaseException):
    """The budget is spent: ends the script at once, and is a normal end."""


def execute(target: Target, on_error: Callable[[BaseException], None] | None = None) -> int:
    """Run the target to its end and return its exit code; what it did not catch is printed as Python prints it.

    `on_error` gets such an exception, already free of our frames, before it is printed. `BudgetSpent` ends with 0.
    """
    error = _outcome(target)
    if error is None or _spent(error):
        return 0
    if isinstance(error, SystemExit):
        return _exit_code(error)
    unframe(error)
    if on_error is not None:
        with contextlib.suppress(Exception):
            on_error(error)
    return _shown(error)


def leave(code: int) -> None:
    """End the process with a code of `execute`: after an interrupt by the signal itself, once everything is wound up.

    Python dies by SIGINT after its last clean-up where the last *source text* it was given to run raised
    KeyboardInterrupt; this must therefore be the last thing that the main module does.
    """
    if code != INTERRUPTED:
        sys.exit(code)
    with contextlib.suppress(KeyboardInterrupt):
        exec("raise KeyboardInterrupt")


def _outcome(target: Target) -> BaseException | None:
    # The exception is handed on rather than handled here, so that no handler of ours is on the stack when a
    # replaced sys.excepthook runs and sys.exc_info() is as empty there as it is under Python.
    try:
        _enter(target)
    except BaseException as error:
        return error
    return None


def _enter(target: Target) -> None:
    sys.orig_argv[:] = [*_interpreter(), *(("-m", target.module) if target.module else (target.name,)), *target.args]
    main = _fresh_main()
    if target.module is not None:
        sys.argv[:] = ["-m", *target.args]
        _search_first(str(Path.cwd()))
        return runpy._run_module_as_main(target.module)  # type: ignore[attr-defined]
    sys.argv[:] = [target.name, *target.args]
    path = _absolute(target.name)
    if pkgutil.get_importer(path) is not None:
        # Python looks into a folder or zip file even where safe_path is set.
        sys.path.insert(0, path) if sys.flags.safe_path else _search_first(path)
        return runpy._run_module_as_main("__main__", False)  # type: ignore[attr-defined]
    _search_first(os.path.dirname(os.path.realpath(path)))  # noqa: PTH120
    main.__file__, main.__cached__ = path, None  # type: ignore[attr-defined]
    main.__loader__ = importlib.machinery.SourceFileLoader("__main__", path)
    return exec(_code(path), main.__dict__)


def _fresh_main() -> ModuleType:
    annotated = "__annotations__" in vars(sys.modules["__main__"])
    main = ModuleType("__main__")
    if annotated:  # until Python 3.13 the main module has them from the start
        main.__annotations__ = {}
    main.__builtins__ = builtins  # type: ignore[attr-defined]
    sys.modules["__main__"] = main
    return main


def _interpreter() -> list[str]:
    """The interpreter and its own options, as this process was started."""
    given = sys.orig_argv or [sys.executable]
    words = (i for i, word in enumerate(given) if i and (word in ("-m", "-c") or not word.startswith("-")))
    return given[: next((i for i in words if given[i - 1] not in ("-W", "-X")), 1)]


def _search_first(folder: str) -> None:
    # Python put the place of our own main module there; with safe_path it puts nothing.
    if not sys.flags.safe_path:
        sys.path[:1] = [folder]


def _absolute(path: str) -> str:
    # Python does not normalise: `./x.py` is `/here/./x.py` in tracebacks.
    return os.path.join(Path.cwd(), path)  # noqa: PTH118


def _code(path: str) -> CodeType:
    """The script's code; a .pyc is taken as it is."""
    with io.open_code(path) as file:
        compiled = pkgutil.read_code(file)  # type: ignore[attr-defined]
        if compiled is not None:
            return compiled
        file.seek(0)
        return compile(file.read(), path, "exec", dont_inherit=True)


def _linked(error: BaseException) -> Iterator[BaseException]:
    """The exception and everything it was raised from, during, or as a group of."""
    seen, queue = set(), [error]
    while queue:
        one = queue.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        members = one.exceptions if isinstance(one, BaseExceptionGroup) else ()
        queue += [e for e in (one.__cause__, one.__context__, *members) if e is not None]


def _spent(error: BaseException) -> bool:
    # A script's own `finally` or `except BaseException` may raise something else while it passes.
    return any(isinstance(e, BudgetSpent) for e in _linked(error))


def unframe(error: BaseException) -> None:
    """Take our frames out of the tracebacks of an exception and of all that it is linked to."""
    for one in _linked(error):
        one.__traceback__ = _relinked(list(_frames(one.__traceback__)))


def _frames(tb: TracebackType | None) -> Iterator[TracebackType]:
    while tb is not None:
        yield tb
        tb = tb.tb_next


def _relinked(frames: list[TracebackType]) -> TracebackType | None:
    kept: list[TracebackType] = []
    for frame in frames:
        if not frame.tb_frame.f_code.co_filename.startswith(OURS):
            kept.append(frame)
        elif kept and kept[-1].tb_frame.f_code.co_name == "handle_torch_function":
            del kept[-2:]  # a torch function that asked us first: it stands below once more, doing its work
    for frame, after in zip(kept, [*kept[1:], None], strict=False):
        frame.tb_next = after
    return kept[0] if kept else None


def _shown(error: BaseException) -> int:
    """Print an exception through sys.excepthook, with what Python does where the hook is gone or fails."""
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
    sys.last_exc = error  # type: ignore[attr-defined]
    code = INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
    hook = getattr(sys, "excepthook", None)
    if hook is None:
        print("sys.excepthook is missing", file=sys.stderr)
        hook = sys.__excepthook__
    failure = _failure(hook, error)
    if isinstance(failure, SystemExit):
        return _exit_code(failure)
    if failure is not None:
        unframe(failure)
        print("Error in sys.excepthook:", file=sys.stderr)
        sys.__excepthook__(type(failure), failure, failure.__traceback__)
        print("\nOriginal exception was:", file=sys.stderr)
        sys.__excepthook__(type(error), error, error.__traceback__)
    return code


def _failure(hook: Callable[..., object], error: BaseException) -> BaseException | None:
    try:
        hook(type(error), error, error.__traceback__)
    except BaseException as failure:
        return failure
    return None


def _exit_code(error: SystemExit) -> int:
    """The exit code of a SystemExit; anything but a number or None is printed, as Python does."""
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code
    if sys.stderr is not None:
        print(error.code, file=sys.stderr, flush=True)
    return 1
