"""What is to be run, and whether it can be run at all: asked before anything starts, and without running any of it."""

from __future__ import annotations

import pkgutil
import shlex
import sys
import traceback
import warnings
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

from unstuck.tape.notebook import read


@dataclass(frozen=True)
class Target:
    """What to run: a path (script, folder or zip file) or a module's name, and the arguments that follow it."""

    path: str | None
    module: str | None
    args: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As it was given."""
        return self.path or self.module or ""

    @property
    def notebook(self) -> bool:
        """Whether it is a Jupyter notebook."""
        return self.path is not None and self.path.endswith(".ipynb")

    @property
    def words(self) -> str:
        """As it would be typed again."""
        return shlex.join((*(("-m",) if self.module else ()), self.name, *self.args))


def check(target: Target) -> str | None:
    """One line where the target cannot be run at all; None where Python could start on it. Runs nothing of it."""
    if target.module is None and not Path(target.name).exists():
        return f"{target.name}: no such file"
    if target.notebook:
        return _unread(Path(target.name))
    try:
        text = source(target)
    except LookupError as missing:
        return str(missing.args[0])
    except OSError as error:
        return f"{target.name}: {error.strerror or error}"
    broken = None if text is None else _syntax(text)
    return broken and f"{broken.filename}:{broken.lineno or 1}: {broken.msg}"


def _unread(path: Path) -> str | None:
    """One line where a notebook cannot be run; None where it can."""
    try:
        read(path.name, path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return f"{path}: {getattr(error, 'strerror', None) or error}"
    missing = [name for name in ("nbclient", "ipykernel") if find_spec(name) is None]
    return f"a notebook needs {' and '.join(missing)}: pip install 'unstuck[notebook]'" if missing else None


def syntax_error(target: Target) -> str | None:
    """What Python itself prints about a target that it cannot parse; None for any other."""
    try:
        text = source(target)
    except (LookupError, OSError):
        return None
    broken = None if text is None else _syntax(text)
    return broken and "".join(traceback.format_exception_only(broken))


def _syntax(source: Path) -> SyntaxError | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source.read_bytes(), str(source.absolute()), "exec", dont_inherit=True)
    except SyntaxError as error:
        return error
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        return SyntaxError(str(error) or type(error).__name__, (str(source.absolute()), 1, None, None))
    return None


def source(target: Target) -> Path | None:
    """The file that would run first; None where it has no source text. Raises LookupError with one line."""
    if target.module is not None:
        return _module_source(target.module)
    path = Path(target.name)
    if target.notebook:
        return None
    if path.is_dir():
        inside = next((path / name for name in ("__main__.py", "__main__.pyc") if (path / name).exists()), None)
        if inside is None:
            raise LookupError(f"{target.name}: the folder has no __main__.py")
        return inside if inside.suffix == ".py" else None
    if pkgutil.get_importer(str(path)) is not None:
        return None
    with path.open("rb"):  # may raise OSError
        return None if path.suffix == ".pyc" else path


def _module_source(name: str) -> Path | None:
    # Package by package through the path finder, because importlib.util.find_spec would run a parent's __init__.
    where: list[str] | None = [str(Path.cwd()), *sys.path[1:]]
    missing = LookupError(f"no module named {name}")
    spec = None
    for depth, _ in enumerate(parts := name.split("."), start=1):
        if where is None or not parts[depth - 1]:
            raise missing
        spec = PathFinder.find_spec(".".join(parts[:depth]), where)
        if spec is None and depth == 1 and name in sys.builtin_module_names:
            return None
        if spec is None:
            raise missing
        where = None if spec.submodule_search_locations is None else list(spec.submodule_search_locations)
    if where is not None:
        spec = PathFinder.find_spec(f"{name}.__main__", where)
        if spec is None:
            raise LookupError(f"{name} is a package without a __main__.py")
    origin = Path(spec.origin) if spec is not None and spec.origin else None
    return origin if origin is not None and origin.suffix == ".py" and origin.exists() else None
