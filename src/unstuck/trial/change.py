"""What is changed: by a unified diff, by another file, or by a value that is set where it is made."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from unstuck.source.numbers import same_name
from unstuck.source.origins import Origin, origins
from unstuck.source.text import Place, Sources, Splice, Variable
from unstuck.source.unified import CannotPatch, patched
from unstuck.source.values import Source
from unstuck.tape.settings import is_settings

FILES = 200
"""Files beside the script that are searched for the place of a value."""
ENTRIES = 4_000
"""Files that are looked at for them: a folder may hold a data set."""
LARGEST = 2**20
"""Bytes of a file above which it holds data, no settings."""


class CannotChange(Exception):
    """There is no such change to make; the message is one line."""


@dataclass(frozen=True)
class Change:
    """The changed program: whole files by path relative to the script's folder, and its command line."""

    files: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    said: str = ""
    """What was changed, in words."""


def changed(
    script: Path, arguments: tuple[str, ...], patch: str | None, other: Path | None, values: tuple[str, ...]
) -> Change:
    """The change that is asked for. Raises CannotChange."""
    if sum(map(bool, (patch, other, values))) != 1:
        raise CannotChange("say what to try: one of --patch FILE, --with OTHER.py and --set NAME=VALUE")
    if other is not None:
        return Change({script.name: _text(other)}, arguments, said=f"{other.name} in the place of {script.name}")
    if patch is not None:
        return by_diff(script.parent, patch, arguments)
    sources = Sources(_files(script), script.name, arguments=arguments)
    said = []
    for value in values:
        sources, where = _set(sources, value)
        said.append(where)
    files = {path: text for path, text in sources.files.items() if text != _files(script).get(path)}
    return Change(files, sources.arguments, sources.environment, "; ".join(said))


def by_diff(folder: Path, diff: str, arguments: tuple[str, ...] = ()) -> Change:
    """The files that a diff changes, relative to a folder. Raises CannotChange."""

    def read(path: str) -> str | None:
        file = folder / path
        inside = file.resolve().is_relative_to(folder.resolve())
        return _text(file) if inside and file.is_file() else None

    try:
        files = patched(diff, read)
    except CannotPatch as reason:
        raise CannotChange(f"the patch does not apply: {reason}") from None
    outside = [path for path in files if not (folder / path).resolve().is_relative_to(folder.resolve())]
    if outside:
        raise CannotChange(f"the patch does not apply: {outside[0]} is outside the script's folder")
    return Change(files, arguments, said=f"the patch of {', '.join(files)}")


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise CannotChange(f"{file}: {(error.strerror or str(error)).lower()}") from None


def _files(script: Path) -> dict[str, str]:
    """The script, and Python and settings files beside and below it."""
    found = [script]
    for path in islice(_below(script.parent), ENTRIES):
        wanted = path != script and (path.suffix == ".py" or is_settings(path.name))
        if len(found) <= FILES and wanted and path.is_file() and path.stat().st_size <= LARGEST:
            found.append(path)
    return {str(path.relative_to(script.parent)): _text(path) for path in found}


def _below(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith((".", "__")))
        yield from (Path(root) / file for file in sorted(files))


def _set(sources: Sources, given: str) -> tuple[Sources, str]:
    """The sources with a value set where it is made, and where that is."""
    name, equals, text = given.partition("=")
    if not equals or not name.strip("- "):
        raise CannotChange(f"--set {given}: expected NAME=VALUE")
    if (option := _option(sources, name)) is not None:
        return _passed(sources, option, text)
    try:
        value = float(text)
    except ValueError:
        raise CannotChange(
            f"--set {given}: {text!r} is no number, and the script has no option --{name.lstrip('-')}"
        ) from None
    found = _best(list(_places(sources, name)))
    if not found:
        raise CannotChange(f"--set {given}: no place was found where {name} gets its value")
    for origin in found:
        sources = _written(sources, origin, value)
    return sources, f"{name}: {_was(found[0])}{text} at {', '.join(o.said for o in found)}"


def _was(origin: Origin) -> str:
    return f"{origin.value:g} -> " if origin.value == origin.value else ""


def _written(sources: Sources, origin: Origin, value: float) -> Sources:
    change = origin.instead(value)
    return sources.spliced(change) if isinstance(change, Splice) else sources.started(change)


def _option(sources: Sources, name: str) -> str | None:
    """The script's command-line option of that name."""
    words = {same_name(w): w for w in _declared(sources)}
    return words.get(same_name(name))


def _declared(sources: Sources) -> Iterator[str]:
    for call in Source.of(sources).methods("add_argument"):
        words = [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        yield from (w for w in words if w.startswith("--"))


def _passed(sources: Sources, option: str, text: str) -> tuple[Sources, str]:
    """The command line with the option once, at its end."""
    kept: list[str] = []
    words = iter(sources.arguments)
    for word in words:
        if word == option:
            next(words, None)
        elif not word.startswith(f"{option}="):
            kept.append(word)
    new = Sources(sources.files, sources.main, arguments=(*kept, f"{option}={text}"), environment=sources.environment)
    return new, f"{option}={text} on the command line"


def _places(sources: Sources, name: str) -> Iterator[Origin]:
    """Where the values of arguments, names and keys of that name are made."""
    source = Source.of(sources)
    uses = [k.value for k in source.all(ast.keyword) if k.arg is not None and same_name(k.arg) == same_name(name)]
    for use in uses:
        place: Place = source.place(use)
        yield from origins(sources, place, name, lambda value: True, exact=False)
    if not uses:
        yield from origins(sources, None, name, lambda value: True, exact=False)


def _best(found: list[Origin]) -> list[Origin]:
    """The places of the first rank, each once. Raises CannotChange where they hold different values."""
    first = [o for o in found if o.rank == min(o.rank for o in found)]
    places = list({o.said: o for o in first if not isinstance(o.place, Variable)}.values())
    if len({o.value for o in places}) > 1:
        listed = ", ".join(f"{o.said} ({o.value:g})" for o in places)
        raise CannotChange(f"the value is made in several places: {listed}")
    return places
