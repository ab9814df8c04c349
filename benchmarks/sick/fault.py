"""What a fault is: the edit that makes a healthy script sick, and what must be true of the script for it to matter."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.sick.recipe import NotHere, Recipe, Script

Edit = Callable[[Script], Script]


@dataclass(frozen=True)
class Fault:
    """One way to write one fault."""

    name: str
    """The name in the common vocabulary."""
    shade: str
    """Which way, and how strong."""
    harm: Edit
    """Makes a script sick."""
    base: Edit = lambda script: script
    """Changes the healthy script first (raw units that are then standardised, say), for the sick and the sound one."""
    also: tuple[str, ...] = ()
    """Other names a fair reader may give."""
    fits: Callable[[Recipe], bool] = lambda recipe: True
    repair: str = ""
    shows: bool = True
    """Whether RESULT tells the sick script from the sound one."""
    inflates: bool = False
    """Whether the sick script's RESULT is too good to be true, rather than worse."""


def all_of(*edits: Edit) -> Edit:
    """Several edits, one after the other."""

    def each(script: Script) -> Script:
        for edit in edits:
            script = edit(script)
        return script

    return each


def swap(part: str, old: str, new: str) -> Edit:
    """Replace a piece of one part."""
    return lambda script: script.swap(part, old, new)


def drop(part: str) -> Edit:
    """Leave a part out; it must have been there."""

    def without(script: Script) -> Script:
        if not getattr(script, part).strip():
            raise NotHere(f"there is no {part}")
        return script.with_(**{part: ""})

    return without


def put(part: str, text: str) -> Edit:
    """Write a part anew, or add to it."""
    return lambda script: script.with_(**{part: getattr(script, part) + text})


def instead(part: str, text: str) -> Edit:
    """Write a part anew."""
    return lambda script: script.with_(**{part: text})


def in_text(old: str, new: str) -> Edit:
    """An exact replacement in the finished text."""
    return lambda script: script.edit(old, new)


def layered(change: Callable[[tuple[str, ...]], tuple[str, ...]]) -> Edit:
    """Change the list of layers; it must become another one."""

    def edit(script: Script) -> Script:
        layers = change(script.layers)
        if layers == script.layers:
            raise NotHere("no such layer")
        return script.with_(layers=layers)

    return edit


def ended(layer: str) -> Edit:
    """Add a last layer."""
    return layered(lambda layers: (*layers, layer))


def rated(factor: float) -> Edit:
    """Multiply the learning rate."""

    def edit(script: Script) -> Script:
        change = lambda found: f"lr={float(found[1]) * factor:.3g}"
        return script.with_(optimizer=re.sub(r"lr=([\d.e+-]+)", change, script.optimizer))

    return edit


def on(*words: str) -> Callable[[Recipe], bool]:
    """A recipe whose task is of one of these kinds and (where inputs are named) takes one of these inputs."""
    kinds = {"binary", "multi", "number"} & set(words)
    inputs = {"table", "image", "series", "tokens"} & set(words)
    return lambda r: (not kinds or r.about.kind in kinds) and (not inputs or r.about.input in inputs)


def where(*tests: Callable[[Recipe], bool]) -> Callable[[Recipe], bool]:
    """A recipe that passes every test."""
    return lambda recipe: all(test(recipe) for test in tests)


def modules(recipe: Recipe) -> bool:
    """The network is made of modules, not of raw tensors."""
    return recipe.style != "functional"
