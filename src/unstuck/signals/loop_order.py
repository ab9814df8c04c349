"""The order in which a run cleared, computed and spent gradients, with the person's lines, as the recording saw it.

It needs no reading of who holds which optimizer: the text is asked only whether the lines can be moved.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from unstuck.diagnosis.model import NotApplicable, Site
from unstuck.signals.source import Source
from unstuck.source.text import Sources
from unstuck.tape.model import LoopCall, Tape

FEWEST = 2
"""Steps, at least: one may be a warming up."""
HALF = 0.5


class Lost(NamedTuple):
    """A backward whose gradients a call cleared before the step that was to use them."""

    backward: LoopCall
    clear: LoopCall
    step: LoopCall


@dataclass(frozen=True)
class LoopOrder:
    """The first calls of a run, in order."""

    tape: Tape

    @classmethod
    def read(cls, tape: Tape) -> LoopOrder:
        """NotApplicable where no backward was called in a line of the person's."""
        if not any(c.kind == "backward" and c.sites for c in tape.facts.calls):
            raise NotApplicable("no line that calls backward() was recorded")
        return cls(tape)

    @property
    def backward(self) -> LoopCall:
        """The first backward."""
        return next(c for c in self.tape.facts.calls if c.kind == "backward" and c.sites)

    @property
    def step(self) -> LoopCall | None:
        """The first step of an optimizer of torch."""
        return next((c for c in self.tape.facts.calls if c.kind == "step" and c.sites), None)

    def lost(self) -> Lost | None:
        """The first of an optimizer's steps, if each of them finds the gradients cleared that were made for it.

        By the calls, and by the tape: most of its updates found no gradient.
        """
        for number in range(len(self.tape.optimizers)):
            empty = [u.empty for u in self.tape.updates if u.optimizer == number]
            found = list(self._before_steps(number)) if sum(empty) > HALF * len(empty) else []
            whole = [lost for lost in found if lost is not None]
            if len(found) >= FEWEST and len(whole) == len(found):
                return whole[0]
        return None

    def _before_steps(self, optimizer: int) -> Iterator[Lost | None]:
        """Per step of an optimizer behind a backward: what was lost; None where its gradients were still there."""
        backward: LoopCall | None = None
        clear: LoopCall | None = None
        for call in self.tape.facts.calls:
            if call.kind == "backward":
                backward, clear = call, None
            elif call.kind == "clear" and call.optimizer in (-1, optimizer):
                clear = call
            elif call.kind == "step" and call.optimizer == optimizer and backward is not None:
                yield Lost(backward, clear, call) if clear is not None else None

    def thrown_away(self) -> LoopCall | None:
        """The first clearing between two backwards without a step."""
        calls = self.tape.facts.calls
        threes = zip(calls, calls[1:], calls[2:], strict=False)
        kinds = ("backward", "clear", "backward")
        return next((c[1] for c in threes if tuple(one.kind for one in c) == kinds and c[1].sites), None)

    # -- lines that can be moved -------------------------------------------------------------------------------------

    @cached_property
    def _source(self) -> Source:
        return Source.read(self.tape)

    def movable(self, *calls: LoopCall) -> tuple[Site, ...] | None:
        """The lines of one function of the person's in which each call was made; None where there is no such function.

        What a wrapper of theirs does within is not moved out of it: the line that calls the wrapper is. And the lines
        lie in one block: nothing decides about one of them alone.
        """
        for frame in calls[0].sites:
            home = (frame.file, frame.function)
            sites = [next((s for s in c.sites if (s.file, s.function) == home), None) for c in calls]
            known = tuple(s for s in sites if s is not None)
            if len(set(known)) == len(calls):
                blocks = {self._block(site) for site in known}
                return known if len(blocks) == 1 and None not in blocks else None
        return None

    def node(self, site: Site) -> ast.Call | None:
        """The call that stands at a site."""
        sources = Sources(self.tape.sources, self.tape.script)
        place = next((p for p in sources.calls(site) if isinstance(p.node, ast.Call)), None)
        found = self._source.node(place) if place is not None and place.file in self._source.pages else None
        return found if isinstance(found, ast.Call) else None

    def _block(self, site: Site) -> tuple[ast.stmt, ...] | None:
        """The statements among which a call stands, `with` around it left out; None where it is not found."""
        node = self.node(site)
        if node is None:
            return None
        page, statement = self._source.page(node), self._source.statement(node)
        while isinstance(around := page.parents[statement], ast.With | ast.AsyncWith):
            statement = around
        return tuple(page.siblings(statement))
