"""A notebook's code cells as one Python text, and back: the tape, the rules and the remedies know only files.

The text of a notebook holds its code cells in order, each below a marker line. A line that is not Python (`%matplotlib
inline`, `!pip list`, all of a `%%bash` cell) becomes a comment, so that every line of a cell keeps its place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from typing import Any

import msgspec

MARKER = "# %% cell "
PYTHON_BODY = {"time", "timeit", "capture", "prun", "unstuck"}
"""Cell magics whose body is Python that runs in the notebook's namespace."""
_MAGIC = re.compile(r"\s*(%|!|\?)|.*[^#'\"]\?\s*$")
_ASSIGNED = re.compile(r"(\s*)([A-Za-z_][\w, ]*?)\s*=\s*(?:!|%[A-Za-z])")


class Cell(msgspec.Struct, frozen=True):
    """A code cell: its number as in `In [1]` after a run of all cells, its text, and its first line in the whole."""

    number: int
    text: str
    first: int


class Notebook(msgspec.Struct, frozen=True):
    """A notebook's file name, its code cells, and the file's text ("" for the cells of a live kernel)."""

    path: str
    cells: tuple[Cell, ...] = ()
    content: str = ""

    @property
    def text(self) -> str:
        """All cells as one Python text."""
        return "".join(f"{MARKER}{cell.number}\n{python(cell.text)}" for cell in self.cells)

    def cell(self, line: int) -> tuple[int, int]:
        """The number of the cell, and the line in it, of a line of the whole text."""
        cell = next((c for c in reversed(self.cells) if c.first <= line), None)
        return (cell.number, line - cell.first + 1) if cell is not None else (0, line)

    def line(self, number: int, line: int) -> str:
        """The text of a line of a cell; "" if there is none."""
        lines = next((c.text.split("\n") for c in self.cells if c.number == number), [])
        return lines[line - 1] if 0 < line <= len(lines) else ""

    def edited(self, text: str) -> str:
        """The notebook's file with its cells as in an edited text; everything else is as it was. Raises ValueError."""
        whole, cells = json.loads(self.content), self.split(text)
        for number, cell in _code(whole):
            if _source(cell) != cells[number]:
                cell["source"] = cells[number].splitlines(keepends=True)
        indent = re.match(r"\{\n( +)", self.content)
        ended = "\n" if self.content.endswith("\n") else ""
        return json.dumps(whole, indent=len(indent[1]) if indent else 1, ensure_ascii=False) + ended

    def split(self, text: str) -> dict[int, str]:
        """The cells of an edited text, with the lines that are not Python as they were. Raises ValueError if the
        edit does not leave the cells in place."""
        parts = dict(_parts(text))
        if list(parts) != [c.number for c in self.cells]:
            raise ValueError("the edit does not keep the notebook's cells apart")
        return {c.number: _restored(c.text, parts[c.number]) for c in self.cells}


def notebook(path: str, cells: Iterable[tuple[int, str]], content: str = "") -> Notebook:
    """A notebook of numbered code cells."""
    placed, first = [], 2
    for number, text in cells:
        placed.append(Cell(number, text, first))
        first += python(text).count("\n") + 1
    return Notebook(path, tuple(placed), content)


def read(path: str, content: str) -> Notebook:
    """A notebook file (nbformat 4 JSON). Raises ValueError with one line if it is none."""
    try:
        whole = json.loads(content)
        return notebook(path, [(number, _source(cell)) for number, cell in _code(whole)], content)
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not a notebook of format 4 ({type(error).__name__}: {error})") from None


def _code(whole: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The code cells with their numbers: blank ones are not run and have none."""
    cells = (cell for cell in whole["cells"] if cell["cell_type"] == "code")
    return enumerate((cell for cell in cells if _source(cell).strip()), 1)


def python(text: str) -> str:
    """A cell as Python, line by line; it ends with a newline."""
    lines = text.split("\n")
    name = re.match(r"%%(\w+)", lines[0])
    if name is not None and name[1] not in PYTHON_BODY:
        return "".join(f"# {line}\n" for line in lines)
    return "".join(f"{_python_line(line)}\n" for line in lines)


def _python_line(line: str) -> str:
    assigned = _ASSIGNED.match(line)
    if assigned is not None:  # the name stays bound
        return f"{assigned[1]}{assigned[2]} = None  # {line.strip()}"
    if not _MAGIC.match(line):
        return line
    indent = line[: len(line) - len(line.lstrip())]
    return f"{indent}pass  # {line.strip()}" if indent else f"# {line}"


def _source(cell: dict[str, Any]) -> str:
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def _parts(text: str) -> Iterator[tuple[int, str]]:
    number, lines = 0, []
    for line in text.split("\n"):
        mark = re.fullmatch(re.escape(MARKER) + r"(\d+)", line.rstrip("\r"))
        if mark is None:
            lines.append(line)
            continue
        if number:
            yield number, "\n".join(lines)
        number, lines = int(mark[1]), []
    if number:  # the last text ends with the newline that ends its last line
        yield number, "\n".join(lines[:-1] if lines and not lines[-1] else lines)


def _restored(raw: str, edited: str) -> str:
    """The edited cell, with the lines that the edit left alone as the person wrote them."""
    theirs, before, after = raw.split("\n"), python(raw).split("\n")[:-1], edited.split("\n")
    lines: list[str] = []
    for tag, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        lines += theirs[a:b] if tag == "equal" else after[c:d]
    return "\n".join(lines)
