"""The result of a study: claims, each with its measurement, table and figures. Plain data, no torch.

The terminal and the HTML page render the same `Study`. A study builds its texts from the numbers of the run: a sentence
with a measured number is never a constant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from unstuck.report.html.figures import Figure, Table, number

Verdict = Literal["holds", "partly", "does not hold"]
"""Whether the measurement supports the claim."""
SAID: dict[Verdict, str] = {
    "holds": "The claim holds.",
    "partly": "The claim holds in part.",
    "does not hold": "The claim does not hold.",
}
"""The verdict as a sentence."""
Progress = Callable[[float, str], None]
"""Called with the share of the study done so far (0 to 1) and the current activity."""


class Unavailable(Exception):
    """A study cannot be run; the message is one line with what to do."""


@dataclass(frozen=True)
class Request:
    """The options of a study; None leaves the choice to the study."""

    seeds: int | None = None
    data: Path | None = None
    epochs: int | None = None
    quick: bool = False
    """Fewer seeds and epochs, for a first look and for tests."""


@dataclass(frozen=True)
class Section:
    """A claim, its measurement and its verdict."""

    title: str
    """A short heading."""
    claim: str
    """What was claimed or asked, in one or two sentences without measured numbers."""
    measurement: str
    """What this run shows: paragraphs separated by empty lines, with numbers from the run."""
    verdict: Verdict
    table: Table | None = None
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True)
class Study:
    """A complete study: the original question, then claim after claim."""

    name: str
    title: str
    question: str
    answer: str
    """The result in a few sentences, with numbers from the run."""
    sections: tuple[Section, ...]
    made: tuple[str, ...] = ()
    """Method, one line each: data, seeds, versions, seconds, speed-up over training one by one."""


def judged(holds: bool, partly: bool = False) -> Verdict:
    """The verdict for a claim that holds, holds in part, or does not."""
    return "holds" if holds else "partly" if partly else "does not hold"


def share(part: float, whole: float = 1.0, digits: int = 3) -> str:
    """A share in percent: `45 %`."""
    return f"{number(100 * part / whole, digits)} %" if whole else "-"
