"""How much of a tape is replayed, and how: lanes, rows of each batch, passes; within time and memory.

Estimates only: the same tape always gets the same course. What does not fit into SECONDS gets fewer lanes, then fewer
rows of each batch, then more time, as much as the script's own takes; what still does not fit is not begun.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from unstuck.replay import devices
from unstuck.replay.cost import Cost, Manner, estimate
from unstuck.replay.lanes import LANES
from unstuck.replay.thinned import most, thinned
from unstuck.signals.task import main_program
from unstuck.tape.interpreter import CannotReplay
from unstuck.tape.model import Pass, Tape

SECONDS = 2.0
"""Estimated cost of one replay; the course is cut to fit, and every trial has the same length."""
SHARE, LONG = 1 / 8, 20.0
"""A replay of heavy steps may take this share of the script's own seconds, and LONG seconds at most (at effort 1): a
search makes about eight, of which most stop at 0.4 of the course."""
SPARING = 2.0
"""The shortest course may cost this many times its seconds before lanes or rows are left out."""
LONGEST = 1_600
"""Passes replayed at most: two seconds of a small network's steps."""
SHORTEST = 40
"""Passes replayed at least, if the tape holds them."""
TELLING = 20
"""Fewer passes than this, of a longer tape, are not worth a replay: remedies need tens of steps to show an effect."""
SHAPES = 6
"""Distinct programs on a course: tracing one costs as much as hundreds of its steps."""
FEWER = (LANES, 4, 3)
"""Numbers of lanes. Three are the fewest of which a large difference can be told from chance (`verdict`)."""
FASTER = 100.0
"""How many times as fast as one core a device with its own memory is taken to be."""
CHEAPER = 0.8
"""Lanes at once are preferred only if they cost less than this share of lanes one by one, which need less memory."""
ALLOWED, SPARE = 1.5, 512 * 2**20
"""All processes together may hold ALLOWED times what the script does, and SPARE bytes."""
OURS = 350 * 2**20
"""Bytes of the diagnosis itself: Python, torch, rules."""
UNKNOWN = 300 * 2**20
"""Bytes that a script holds besides weights and activations, if the tape does not say how much it held."""
COPIES = 5
"""Of each lane's weights: themselves, a gradient, two moments, and in a sweep what they were before a step."""
BACKWARD = 1.5
"""Bytes in a step per byte of what its calls return: what backward holds besides."""
UNPLAYABLE = (RuntimeError, NotImplementedError, TypeError, ValueError, KeyError, IndexError, CannotReplay)
"""What is raised if a call cannot be run again, or not in lanes."""


@dataclass(frozen=True)
class Extent:
    """How a tape is replayed. `why` says why not, else ""."""

    tape: Tape
    """With fewer rows per batch where `every` is more than 1."""
    lanes: int = LANES
    manner: Manner = "at once"
    every: int = 1
    """One row in so many is replayed."""
    passes: tuple[Pass, ...] = ()
    seconds: float = SECONDS
    """Estimated cost of the whole course."""
    bytes: int = 0
    """Estimated memory of one replay, on the device where the lanes are."""
    why: str = ""


def extent(tape: Tape, seconds: float, device: str = "cpu", only: Manner | None = None) -> Extent:
    """The extent of a tape's replays, each of about this many seconds. `only`: the one manner its calls allow."""
    if not tape.passes:
        return Extent(tape, why="no training step was recorded")
    return _Chooser.of(tape, seconds, device, only).chosen()


def script_memory(tape: Tape) -> int:
    """Bytes that the script's own process held at most."""
    return tape.facts.memory or UNKNOWN + COPIES * _weights(tape)


def beside(tape: Tape) -> int:
    """Bytes that a replay may take while the patched script is running too."""
    script, held = script_memory(tape), _held(tape)
    return int(ALLOWED * script) + SPARE - OURS - held - (script + held)


@dataclass(frozen=True)
class _Chooser:
    tape: Tape
    seconds: float
    device: str
    only: Manner | None
    main: int
    costs: tuple[Cost, ...]
    """By program."""

    @classmethod
    def of(cls, tape: Tape, seconds: float, device: str, only: Manner | None) -> _Chooser:
        speed = 1.0 if device == "cpu" else FASTER
        return cls(
            tape, seconds, device, only, main_program(tape), tuple(estimate(tape, p, speed) for p in tape.programs)
        )

    def chosen(self) -> Extent:
        """The first extent that fits; if none does, one that says why."""
        tried = []
        for found in self._ordered():
            if found.passes:
                return found
            tried.append(found)
        return Extent(self.tape, why=tried[-1].why)

    def _ordered(self) -> Iterator[Extent]:
        rows = most(self.tape, self.main)
        for seconds in dict.fromkeys((self.seconds, self._longer())):
            for lanes in FEWER[:2]:
                yield self._of(lanes, seconds)
            yield from self._thinned(FEWER[1], seconds, rows)
        for shortest in (SHORTEST, TELLING):
            yield from self._thinned(FEWER[-1], self._longer(), rows, shortest)
            yield self._of(FEWER[-1], self._longer(), shortest)

    def _longer(self) -> float:
        """The seconds of a heavy replay: more where the script itself took long."""
        effort = self.seconds / SECONDS
        return max(self.seconds, effort * min(LONG, SHARE * self.tape.seconds))

    def _of(
        self, lanes: int, seconds: float, shortest: int = SHORTEST, every: int = 1, tape: Tape | None = None
    ) -> Extent:
        """The extent with so many lanes; without passes, and with the reason, if it does not fit."""
        manner, tape = self._fitting(lanes, every), self.tape if tape is None else tape
        if manner is None:
            return Extent(tape, why="its weights and activations need more memory than a replay may take")
        least = min(shortest, len(tape.passes))
        passes, cost = self._course(
            tape, lambda p: self._seconds(p.program, lanes, manner, every), least, seconds, manner
        )
        allowed = SPARING * seconds
        if cost > allowed and len(passes) <= least:
            why = f"its step takes too long: {least} steps in {lanes} lanes need about {cost:.0f} s, of {allowed:.0f} s"
            return Extent(tape, why=why)
        return Extent(tape, lanes, manner, every, passes, cost, self._bytes(lanes, manner, every))

    def _course(
        self, tape: Tape, price: Callable[[Pass], float], least: int, seconds: float, manner: Manner
    ) -> tuple[tuple[Pass, ...], float]:
        """The first passes that fit into the seconds, but at least so many, and what they cost."""
        passes: list[Pass] = []
        cost, seen = 0.0, set[int]()
        for p in tape.passes[:LONGEST]:
            seen.add(p.program)
            crowded = manner == "at once" and len(seen) > SHAPES
            if len(passes) >= least and (cost + price(p) > seconds or crowded):
                break
            cost += price(p)
            passes.append(p)
        return tuple(passes), cost

    def _thinned(self, lanes: int, seconds: float, rows: int, shortest: int = SHORTEST) -> Iterator[Extent]:
        """The same with every n-th row of a batch, n as small as the seconds allow and `rows` at most."""
        least = min(shortest, len(self.tape.passes))
        fits = lambda n: least * self._seconds(self.main, lanes, self._manner(lanes, n), n) <= seconds
        every = next((n for n in range(2, rows) if fits(n)), rows)
        if every > 1 and (few := self._few(every)) is not None:
            yield self._of(lanes, seconds, shortest, every, few)

    def _few(self, every: int) -> Tape | None:
        """The tape with fewer rows; None where its loss is no mean over rows, or rows cannot be told apart."""
        with suppress(*UNPLAYABLE):
            few = thinned(self.tape, every)
            return None if few is self.tape else few
        return None

    def _seconds(self, program: int, lanes: int, manner: Manner, every: int) -> float:
        return self.costs[program].seconds(lanes, manner, every if program == self.main else 1)

    def _fitting(self, lanes: int, every: int) -> Manner | None:
        """The manner in which so many lanes fit into memory; the cheaper one if both do."""
        limit = self._limit()
        manners: tuple[Manner, ...] = (self._manner(lanes, every), "one by one")
        return next((m for m in manners if self._bytes(lanes, m, every) <= limit), None)

    def _manner(self, lanes: int, every: int) -> Manner:
        if self.only is not None:
            return self.only
        at_once, alone = (self._seconds(self.main, lanes, m, every) for m in ("at once", "one by one"))
        return "at once" if at_once < CHEAPER * alone else "one by one"

    def _limit(self) -> int:
        on_device = devices.room(self.device)
        if on_device is not None:
            return on_device
        return int(ALLOWED * script_memory(self.tape)) + SPARE - OURS - _held(self.tape)

    def _bytes(self, lanes: int, manner: Manner, every: int) -> int:
        played = {p.program for p in self.tape.passes[:SHORTEST]}
        numbers = int(BACKWARD * max(self.costs[n].numbers for n in played) / every)
        return COPIES * lanes * _weights(self.tape) + numbers * (lanes if manner == "at once" else 1)


def _weights(tape: Tape) -> int:
    """Bytes of the weights that are trained."""
    return sum(4 * math.prod(p.shape) for p in tape.parameters if p.trainable and p.optimizer >= 0)


def _held(tape: Tape) -> int:
    """Bytes of the tape's own tensors."""
    return sum(t.numel() * t.element_size() for t in tape.tensors.values())
