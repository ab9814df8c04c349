"""Variations: a fault (or two, or none) in a recipe, as a pair of programs and what is true of them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.sick import data_faults, loop_faults, network_faults, output_faults
from benchmarks.sick.fault import Fault
from benchmarks.sick.healthy import script
from benchmarks.sick.recipe import NotHere, Recipe, Script, drawn
from benchmarks.sick.tasks import TASKS

EACH = 4
"""How many recipes every shade of a fault is put into."""
PAIRS = 80
HEALTHY = 8
"""Healthy recipes per task."""
TRIES = 60


@dataclass(frozen=True)
class Variation:
    """One case: the program to diagnose, the one it should have been, and the truth about it."""

    name: str
    faults: tuple[str, ...]
    train: str
    fixed: str
    about: str
    also: tuple[str, ...] = ()
    repair: str = "none"
    metric: str = "accuracy"
    blind: float = 0.5
    shows: bool = True
    inflates: bool = False
    halves: tuple[str, ...] = ()
    """Of a pair: the programs with only one of the two faults, each of which must be sick as well."""
    files: dict[str, bytes] = field(default_factory=dict)
    """Data files that stand beside both programs."""
    code_mends: bool = True
    """False where only other data can help."""


def every_fault() -> list[Fault]:
    """The catalogue of ways to write a fault."""
    return [f for module in (data_faults, output_faults, network_faults, loop_faults) for f in module.faults()]


def seeded(*words: object) -> random.Random:
    """The same numbers for the same words, whatever else is generated."""
    return random.Random("/".join(map(str, words)))


def recipes(rng: random.Random) -> Iterator[Recipe]:
    """Healthy recipes at random."""
    for _ in range(TRIES):
        yield drawn(rng, rng.choice(tuple(TASKS)))


def made(name: str, chosen: tuple[Fault, ...], recipe: Recipe) -> Variation:
    """The faults written into the recipe; raises NotHere where they have no place in it."""
    if not all(f.fits(recipe) for f in chosen):
        raise NotHere("does not fit")
    sound = script(recipe)
    for fault in chosen:
        sound = fault.base(sound)
    texts = [_harmed(sound, those) for those in (chosen, *((f,) for f in chosen if len(chosen) > 1))]
    fixed = sound.render()
    if fixed in texts:
        raise NotHere("nothing changed")
    true = tuple(dict.fromkeys(f.name for f in chosen))
    also = tuple(dict.fromkeys(a for f in chosen for a in f.also if a not in true))
    return Variation(
        name,
        true,
        texts[0],
        fixed,
        f"{' and '.join(f'{f.name} ({f.shade})' for f in chosen)}: {recipe}",
        also,
        "; ".join(f.repair for f in chosen),
        recipe.about.metric,
        recipe.about.blind,
        all(f.shows for f in chosen),
        any(f.inflates for f in chosen),
        tuple(texts[1:]),
    )


def _harmed(sound: Script, faults: tuple[Fault, ...]) -> str:
    for fault in faults:
        sound = fault.harm(sound)
    return sound.render()


def first(name: str, faults: tuple[Fault, ...], rng: random.Random) -> Variation | None:
    """The first recipe that takes the faults, if one does."""
    for recipe in recipes(rng):
        try:
            return made(name, faults, recipe)
        except NotHere:
            continue
    return None


def singles() -> Iterator[Variation]:
    """Every shade of every fault, in several recipes."""
    for fault in every_fault():
        for k in range(EACH):
            name = f"{fault.name}_{fault.shade}_{k}".replace("-", "_").replace(".", "")
            if case := first(name, (fault,), seeded(fault.name, fault.shade, k)):
                yield case


def pairs() -> Iterator[Variation]:
    """Two different faults in one program."""
    catalogue = [f for f in every_fault() if f.shows and not f.inflates]
    for k in range(PAIRS):
        rng = seeded("pair", k)
        for _ in range(TRIES):
            two = tuple(rng.sample(catalogue, 2))
            if two[0].name != two[1].name and (case := first(f"pair_{k:02d}", two, rng)):
                yield case
                break


def healthy() -> Iterator[Variation]:
    """The recipes as they are."""
    for task in TASKS:
        for k in range(HEALTHY):
            recipe = drawn(seeded("healthy", task, k), task)
            text, about = script(recipe).render(), recipe.about
            yield Variation(f"ok_{task}_{k}", (), text, text, str(recipe), metric=about.metric, blind=about.blind)
