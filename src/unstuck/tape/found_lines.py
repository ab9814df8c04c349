"""Lines of the script at which the recording of the first steps has found something."""

from __future__ import annotations

from typing import NamedTuple

from unstuck.tape.site import Site


class Unread(NamedTuple):
    """A line whose torch call gave something in the first steps that nothing has read before it was freed."""

    site: Site
    name: str
    """Of torch's function."""
    times: int
    gradient: bool
    """A gradient could go through it."""
    shape: tuple[int, ...]
    last_of: int = 0
    """It gives so many numbers in each step, and only the last of them is read; 0 where none is."""


class LostWrite(NamedTuple):
    """A line that assigns to a part of a tensor that nothing else refers to."""

    site: Site
    more: int
    """References to the tensor beside those of the assignment: 1 is that of `+=` itself."""
    times: int


class DrawnAgain(NamedTuple):
    """A line that draws from the network's distributions what only meets its own log-probability."""

    site: Site
    times: int
    acting: Site
    """Another line that draws, and whose draws are acted on."""


class Prepared(NamedTuple):
    """Arithmetic of the person's on what enters a program in the first steps."""

    program: int
    slot: int
    site: Site
    name: str
    """Of torch's function."""
    before: tuple[float, float]
    """Smallest and largest number that it was given, and ..."""
    after: tuple[float, float]
    """... that it gave."""
    averages: bool = False
    """It made fractions of whole numbers, as a mean of neighbours is."""


class Crossed(NamedTuple):
    """A line that joins a tensor with its reduction along another axis than the one that was left."""

    site: Site
    shape: tuple[int, ...]
    """Of the tensor."""
    axis: int
    """That was reduced."""
    times: int


class Coarse(NamedTuple):
    """A line that computes with numbers which single precision has rounded to few different ones."""

    site: Site
    largest: float
    step: float
    """Between neighbouring numbers of that size."""
    spread: float
    """Standard deviation over the rows."""
    rows: int


class Relabelled(NamedTuple):
    """A line that reshapes data to the same lengths in another order."""

    site: Site
    name: str
    before: tuple[int, ...]
    after: tuple[int, ...]


class Written(NamedTuple):
    """The line that last wrote some places of what enters a program."""

    program: int
    slot: int
    site: Site
