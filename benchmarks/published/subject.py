"""The subjects and what is published of them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
SCRIPTS = HERE / "subjects"
HELPERS = ("pictures.py",)
"""Modules that a subject may import; they are laid beside it."""


@dataclass(frozen=True)
class Subject:
    """A script of `subjects/` and its truth; `subjects.toml` says what the fields mean."""

    name: str
    collection: str
    source: str
    published: tuple[str, ...] = ()
    symptom: str = ""
    faults: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    shown: bool = False
    others: tuple[str, str] | None = None
    repair: tuple[tuple[str, str], ...] = ()
    broken: float | None = None
    repaired: float | None = None

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong with it."""
        return not self.faults

    def script(self) -> str:
        """The text as the person would have written it."""
        return (SCRIPTS / f"{self.name}.py").read_text()

    def repaired_script(self) -> str:
        """The text with the published repair; ValueError where a place of it is not in the script exactly once."""
        text = self.script()
        for old, new in self.repair:
            if old not in text:
                raise ValueError(f"{self.name}: no {old!r} to repair")
            text = text.replace(old, new)
        return text


def subjects() -> tuple[Subject, ...]:
    """All subjects, in the order of the file."""
    entries = tomllib.loads((HERE / "subjects.toml").read_text())["subject"]
    return tuple(Subject(**{key: _frozen(value) for key, value in entry.items()}) for entry in entries)


def _frozen(value: object) -> object:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
