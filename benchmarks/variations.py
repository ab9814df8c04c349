"""Sick programs by the hundred, with their truth, in the layout that a scorer of cases reads.

    python -m benchmarks.variations --list
    python -m benchmarks.variations --write DIR [--sample N] [--seed S] [--only WORD,...] [--measure]

Every case is a folder NAME with `train.py` (sick), `fixed.py` (the same program as it should be) and `truth.json`:
`faults`, `also_true` (other names a fair reader may give), `metric`, and, with --measure, `broken` and `fixed`, the
RESULT of both programs for SEED 0, 1, 2 (null where it stopped with an error). A measured case counts only if the fixed
program is good and the sick one clearly worse; of a pair of faults each alone must be worse, too. Others are dropped.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from statistics import median

from benchmarks.forked import Value, run, warm
from benchmarks.sick import tables
from benchmarks.sick.variation import Variation, healthy, pairs, singles

SEEDS = (0, 1, 2)
GOOD = 0.6
"""The fixed program must get this far from the constant answer to the perfect one, with every seed."""
WORSE = 0.25
"""And the sick one must lose this share of what the fixed one gained."""

INFLATED = 0.03
"""Of a leak: how much better than the honest number the reported one must be."""


def every_case() -> Iterator[Variation]:
    """Single faults, pairs, data files, and the healthy ones."""
    return chain(singles(), pairs(), tables.cases(), healthy())


def values(text: str, case: Variation, seeds: tuple[int, ...] = SEEDS) -> list[Value]:
    """The RESULT of a program for each seed; far below the constant answer, or NaN, is cut off."""
    with tempfile.TemporaryDirectory() as scratch:
        script = Path(scratch) / "train.py"
        script.write_text(text)
        for name, data in case.files.items():
            (script.parent / name).write_bytes(data)
        found = [run(script, seed).value for seed in seeds]
    return [_cut(v, case.blind - 1.0) for v in found]


def _cut(value: Value, floor: float) -> Value:
    if value is None:
        return None
    return round(max(value, floor), 4) if math.isfinite(value) else floor


def good(fixed: list[Value], case: Variation) -> bool:
    """Whether a program that should be right is."""
    return all(v is not None and v >= case.blind + GOOD * (1 - case.blind) for v in fixed)


def worse(broken: list[Value], fixed: list[Value], case: Variation) -> bool:
    """Whether a program is clearly worse than the sound one (or stops with an error, or claims clearly too much)."""
    seen, sound = ([v for v in values if v is not None] for values in (broken, fixed))
    if not seen or case.inflates:
        return not seen or min(seen) >= max(sound) + INFLATED
    return median(seen) <= median(sound) - WORSE * (median(sound) - case.blind) and max(seen) < min(sound)


def doubtful(case: Variation, seeds: tuple[int, ...]) -> tuple[list[Value], list[Value], str]:
    """Results of both programs, and why the case does not count ("" where it does)."""
    fixed = values(case.fixed, case, seeds)
    if case.code_mends and not good(fixed, case):
        return fixed, [], f"the sound program is not good: {fixed}"
    broken = values(case.train, case, seeds) if case.faults else []
    if case.faults and case.code_mends and case.shows and not worse(broken, fixed, case):
        return fixed, broken, f"the sick program is hardly worse: {broken} against {fixed}"
    for half in case.halves:
        if not worse(alone := values(half, case, seeds), fixed, case):
            return fixed, broken, f"one of the two faults is harmless: {alone} against {fixed}"
    return fixed, broken, ""


def measured(case: Variation) -> tuple[dict, str]:
    """The numbers of a case, and why it does not count; one seed first, since most that fall fall there."""
    start, more = doubtful(case, SEEDS[:1]), SEEDS[1:]
    if start[2]:
        return {}, start[2]
    rest = doubtful(replace(case, halves=()), more)
    fixed, broken = start[0] + rest[0], start[1] + rest[1]
    if not case.faults:
        return {"broken": None, "fixed": None, "measured": fixed}, rest[2]
    return {"broken": broken, "fixed": fixed if case.code_mends else None}, rest[2]


def truth(case: Variation, numbers: dict) -> dict:
    """What truth.json holds."""
    return {
        "source": f"generated ({case.about})",
        "faults": list(case.faults),
        "also_true": list(case.also),
        "repair": case.repair,
        "metric": case.metric,
        **(numbers or {"broken": [], "fixed": []}),
    }


def write(case: Variation, folder: Path, numbers: dict) -> None:
    """The case as a folder."""
    home = folder / case.name
    home.mkdir(parents=True, exist_ok=True)
    (home / "train.py").write_text(case.train)
    if case.faults and case.code_mends:
        (home / "fixed.py").write_text(case.fixed)
    for name, data in case.files.items():
        (home / name).write_bytes(data)
    (home / "truth.json").write_text(json.dumps(truth(case, numbers), indent=1) + "\n")


def sampled(cases: list[Variation], count: int, seed: int) -> list[Variation]:
    """At most so many, spread over the faults: one of each first, then a second, and so on."""
    rng, piles = random.Random(seed), {}
    for case in rng.sample(cases, len(cases)):
        piles.setdefault("+".join(case.faults) if len(case.faults) < 2 else "pair", []).append(case)
    turns = [(turn, key) for key, pile in piles.items() for turn in range(len(pile))]
    rng.shuffle(turns)
    return [piles[key][turn] for turn, key in sorted(turns, key=lambda t: t[0])[:count]]


def chosen(only: str) -> list[Variation]:
    """The cases whose name holds one of the words (all, where there is none)."""
    words = [w for w in only.split(",") if w]
    return [c for c in every_case() if not words or any(w in c.name for w in words)]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--write", type=Path)
    parser.add_argument("--sample", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--measure", action="store_true")
    options = parser.parse_args()
    cases = chosen(options.only)
    if options.sample is not None:
        cases = sampled(cases, options.sample, options.seed)
    if options.measure:
        warm()
    for case in cases:
        if options.list or not options.write:
            print(f"{case.name:40} {case.about}")
            continue
        numbers, dropped = measured(case) if options.measure else ({}, "")
        if not dropped:
            write(case, options.write, numbers)
        print(f"{case.name:40} {dropped or numbers or 'written'}", flush=True)


if __name__ == "__main__":
    main()
