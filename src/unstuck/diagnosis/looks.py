"""What a tape shows to the eye: what enters the network, the step by line, losses and rates. Plain data, no torch."""

from __future__ import annotations

from typing import Literal

import msgspec

from unstuck.tape.site import Site

Kind = Literal["columns", "pictures", "numbers", "identities"]
"""Rows of columns; rows of pictures; rows of another form (sequences, volumes); whole numbers that are looked up."""


class Column(msgspec.Struct, frozen=True):
    """One feature over the rows that were recorded."""

    name: str
    mean: float
    std: float
    low: float
    high: float
    edges: tuple[float, ...]
    counts: tuple[float, ...]
    """Rows per bin, one fewer than `edges`."""


class Picture(msgspec.Struct, frozen=True):
    """A picture as the network got it: `pixels[y][x]` with values from 0 to 255, of one channel or three."""

    pixels: tuple[tuple[tuple[int, ...], ...], ...]
    low: float
    """The value that is drawn as 0."""
    high: float
    """The value that is drawn as 255."""


class Row(msgspec.Struct, frozen=True):
    """One row of the last recorded batch: the first numbers that enter, what was wanted, what was answered."""

    given: tuple[float, ...]
    wanted: tuple[float, ...] = ()
    answered: tuple[float, ...] = ()


class Tokens(msgspec.Struct, frozen=True):
    """One row of whole numbers that are looked up, as texts where the script names them."""

    given: tuple[str, ...]
    wanted: tuple[str, ...] = ()
    answered: tuple[str, ...] = ()
    more: int = 0
    """How many further tokens the row has."""


class Entering(msgspec.Struct, frozen=True):
    """One tensor that enters the network by a layer with weights."""

    name: str
    kind: Kind
    shape: tuple[int, ...]
    dtype: str
    site: Site | None
    """The call that it enters."""
    nonfinite: float
    """Share of its rows with NaN or infinity."""
    features: int
    """How many features it has; `columns` are the first of them."""
    columns: tuple[Column, ...] = ()
    pictures: tuple[Picture, ...] = ()
    rows: tuple[Row, ...] = ()
    tokens: tuple[Tokens, ...] = ()
    named: str = ""
    """What of the script's gives the tokens their texts ("" where they are shown as numbers)."""


class Layer(msgspec.Struct, frozen=True):
    """One call of the step, with the root mean square of its values; NaN where it was not run."""

    site: Site | None
    call: str
    shape: tuple[int, ...]
    start: float
    """At the initial weights."""
    end: float
    """At the final weights."""
    weights: tuple[str, ...] = ()
    """Those that it reads."""
    gradient: tuple[float, float] = (float("nan"), float("nan"))
    """Norm of the gradient of its weights, at the start and at the end of the run."""


class Looks(msgspec.Struct, frozen=True):
    """Everything that a page draws from the tape."""

    entering: tuple[Entering, ...] = ()
    layers: tuple[Layer, ...] = ()
    losses: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    """Number of the backward, and loss."""
    rates: tuple[tuple[str, tuple[float, ...], tuple[float, ...]], ...] = ()
    """Per optimizer and group: its name, numbers of the steps, learning rates."""
    skill: tuple[float, ...] = ()
    """Over equal stretches of the run."""
    notes: tuple[str, ...] = ()
    """What could not be read, and why."""
