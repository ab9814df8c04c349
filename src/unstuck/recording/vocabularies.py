"""Texts of token ids: dicts, lists and strings of the script that name the rows of a table in which ids are looked up.

They are looked for once, at a backward whose step looks something up in a table of weights: among the variables of the
person's frames and modules, and in what the objects there hold. Nothing of theirs is called, and no property is read.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from types import FrameType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from unstuck.recording.parameter_names import is_weight
from unstuck.recording.tracer import Entry, tensors
from unstuck.tape.model import Vocabulary

LOOKUPS = (nn.functional.embedding, nn.functional.embedding_bag, torch.Tensor.__getitem__)
PLAIN = (dict, list, tuple, str)
LOOKS, MOST, LONGEST, LARGEST = 3, 6, 24, 65_536
"""At most: backwards that are looked at, vocabularies, characters of a text, entries of a vocabulary."""
OBJECTS, DEEP = 4_000, 4
"""Objects that are looked into, and how many steps they lie behind a variable, at most."""


class Vocabularies:
    """`look` at each backward; `found` holds what fits. `theirs` tells whether a file is the person's."""

    def __init__(self, theirs: Callable[[str], bool], failed: Callable[[Exception], object]) -> None:
        self.found: tuple[Vocabulary, ...] = ()
        self._theirs, self._failed = theirs, failed
        self._left = LOOKS

    def look(self, entries: Iterable[Entry]) -> None:
        """A backward is about to run through these calls."""
        if self._left:
            self._left -= 1
            try:
                self._search({rows for entry in entries for rows in _rows(entry)})
            except Exception as error:
                self._failed(error)

    def _search(self, sizes: set[int]) -> None:
        if sizes:
            self._left = 0
            fitting = (v for name, value in self._held() for v in _fitting(name, value, sizes))
            self.found = tuple(islice(fitting, MOST))

    def _held(self) -> Iterator[tuple[str, Any]]:
        """Dicts, lists and strings with their names, those that are nearest to a variable first."""
        waiting = deque((name, value, 0) for space in self._spaces() for name, value in list(space.items()))
        seen: set[int] = set()
        while waiting and len(seen) < OBJECTS:
            name, value, depth = waiting.popleft()
            if id(value) in seen or name.startswith("__"):
                continue
            seen.add(id(value))
            if type(value) in PLAIN:
                yield name, value
            elif depth < DEEP and (inner := self._inside(value)) is not None:
                waiting.extend((f"{name}.{k}", v, depth + 1) for k, v in list(inner.items()) if isinstance(k, str))

    def _spaces(self) -> Iterator[Mapping[str, Any]]:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if self._theirs(frame.f_code.co_filename):
                yield frame.f_locals
                yield frame.f_globals
            frame = frame.f_back

    def _inside(self, value: Any) -> dict[str, Any] | None:
        """What an object holds; of the modules of libraries, of classes and of tensors nothing."""
        # type(), not isinstance(): asking a lazy proxy for its class would wake it up.
        if issubclass(type(value), type | Tensor):
            return None
        try:
            held = object.__getattribute__(value, "__dict__")
        except Exception:  # it holds nothing by name
            return None
        if issubclass(type(value), ModuleType) and not self._theirs(str(held.get("__file__", "<"))):
            return None
        return held if type(held) is dict else None


def _rows(entry: Entry) -> Iterator[int]:
    """The rows of the table that a call looks whole numbers up in."""
    if entry.func in LOOKUPS and entry.args:
        given = list(tensors((entry.args, entry.kwargs)))
        table = next((t for t in given if t.dim() == 2 and is_weight(t)), None)
        if table is not None and any(not t.is_floating_point() and t.dtype != torch.bool for t in given):
            yield len(table)


def _fitting(name: str, value: Any, sizes: set[int]) -> Iterator[Vocabulary]:
    """A vocabulary, if every id in it is a row of a table of one of these sizes.

    A list must be as long as the table: an id that stands for padding before it would shift its texts.
    """
    if not 1 < len(value) <= LARGEST:
        return
    if type(value) is dict:
        texts = _of_dict(value)
        fits = texts is not None and min(texts) >= 0 and any(max(texts) < size for size in sizes)
    else:
        texts = dict(enumerate(value)) if len(value) in sizes and all(isinstance(v, str) for v in value) else None
        fits = texts is not None and len(set(texts.values())) == len(texts)
    if texts is not None and fits:
        yield Vocabulary(name, tuple((number, text[:LONGEST]) for number, text in sorted(texts.items())))


def _of_dict(value: dict[Any, Any]) -> dict[int, str] | None:
    """Texts by id, from either direction."""
    if all(type(k) is str and type(v) is int for k, v in value.items()):
        texts = {v: k for k, v in value.items()}
        return texts if len(texts) == len(value) else None
    if all(type(k) is int and type(v) is str for k, v in value.items()):
        return dict(value)
    return None
