"""One recorded step, ready to be run again by plain autograd: also where lanes cannot run it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from unstuck.tape import sparse
from unstuck.tape.interpreter import CPU, CannotReplay, Values, Way, run
from unstuck.tape.model import Pass, Tape
from unstuck.tape.program import Program

Weights = dict[str, Tensor]
REFUSED = (CannotReplay, RuntimeError, IndexError, KeyError, TypeError, ValueError, AttributeError)
"""What the interpreter and torch raise where a step cannot be run again."""
LONGEST = 20_000
"""Calls of a program that is still run: a step of more takes seconds for the interpreter alone."""
FAITHFUL = 1e-2
"""Largest relative difference between the first loss run again and the recorded one: a wrong step is off by more, and
reduced precision by less (bfloat16 keeps 8 bits)."""


class Backward(NamedTuple):
    """What a step gave: the loss, its gradients by weight, and those by slot of what entered."""

    loss: Tensor
    gradients: Weights
    entering: dict[int, Tensor]
    values: Values


@dataclass(frozen=True)
class Step:
    """A program with the weights and the batch of one pass."""

    program: Program
    weights: Weights
    """Every weight and buffer that the program reads, by name."""
    outside: tuple[Tensor, ...]
    trained: frozenset[str]
    """The weights that gradients are taken for."""
    device: torch.device
    seed: int = 0
    """Of the random numbers that its calls draw: two runs of one step draw the same."""

    def with_(self, **changes: object) -> Step:
        """A changed copy."""
        return replace(self, **changes)

    def given(self, slot: int, tensor: Tensor) -> Step:
        """The step with another tensor in a slot."""
        return replace(self, outside=tuple(tensor if i == slot else t for i, t in enumerate(self.outside)))

    def values(self, kept: Collection[int] | None = None) -> Values:
        """The values that its calls make, by number: all of them, or those that are `kept`. No gradient is recorded
        unless the loss is made of gradients itself."""
        with torch.set_grad_enabled(self.program.differentiates), self.drawing():
            spaces = (self._leaves(()), tuple(map(self._entering, self.outside)), {})
            made = run(self.program, *spaces, Way(self.device), kept)
        return {number: value.detach() for number, value in made.items()}

    def loss(self) -> float:
        """The loss; raises CannotReplay where it is not one number."""
        return float(one_number(self.values({self.program.loss})[self.program.loss]))

    def backward(
        self, slots: Collection[int] = (), kept: Collection[int] = (), of: int | None = None, literal: bool = True
    ) -> Backward:
        """Loss and gradients. `slots`: also the gradients of these tensors; `kept`: also these values; `of`: the value
        that is differentiated in the loss's place (its sum, where it is several numbers)."""
        leaves = self._leaves(self.trained)
        wanted = self.program.loss if of is None else of
        with torch.enable_grad(), self.drawing():
            outside = self.outside if slots else sparse.entering(self.program, self.outside)
            entering = [self._entering(t, i in slots) for i, t in enumerate(outside)]
            # A leaf must not be changed in place; its gradient is asked for all the same.
            given = tuple(t.clone() if t.requires_grad else t for t in entering)
            values = run(self.program, leaves, given, {}, Way(self.device, literal), {wanted, *kept})
            loss = one_number(values[wanted]) if of is None else values[wanted].sum()
        asked = {**{n: leaves[n] for n in self.trained}, **{i: entering[i] for i in slots}}
        asked = {key: t for key, t in asked.items() if t.requires_grad}
        made = _gradients(loss, asked)
        return Backward(
            loss.detach(), {n: made[n] for n in self.trained if n in made},
            {i: made[i] for i in slots if i in made}, {n: values[n].detach() for n in kept},
        )  # fmt: skip

    def reached(self) -> dict[str, Tensor | None]:
        """Per trained weight its gradient; None where the loss is not made with it."""
        leaves, names = self._leaves(self.trained), sorted(self.trained)
        with torch.enable_grad(), self.drawing():
            entering = tuple(map(self._entering, sparse.entering(self.program, self.outside)))
            kept = {self.program.loss}
            loss = one_number(run(self.program, leaves, entering, {}, Way(self.device, True), kept)[self.program.loss])
        if not names or not loss.requires_grad:
            return dict.fromkeys(names)
        made = torch.autograd.grad(loss, [leaves[n] for n in names], allow_unused=True)
        return dict(zip(names, made, strict=True))

    def flows(self) -> Values:
        """The gradient of the loss by every value that it is made of, by number."""
        with torch.enable_grad(), self.drawing():
            spaces = (self._leaves(self.trained), tuple(map(self._entering, self.outside)), {})
            values = run(self.program, *spaces, Way(self.device, True), None)
        loss = one_number(values[self.program.loss])
        asked = {n: v for n, v in values.items() if v.requires_grad}
        made = torch.autograd.grad(loss, list(asked.values()), allow_unused=True) if loss.requires_grad else ()
        return {n: g for n, g in zip(asked, made, strict=False) if g is not None}

    def _leaves(self, trained: Collection[str]) -> Weights:
        return {n: w.detach().requires_grad_(n in trained or self._asks(w)) for n, w in self.weights.items()}

    def _asks(self, tensor: Tensor) -> bool:
        """What a loss made of gradients differentiates needs a graph."""
        return self.program.differentiates and tensor.is_floating_point()

    def _entering(self, tensor: Tensor, asked: bool = False) -> Tensor:
        return tensor.detach().clone().requires_grad_(tensor.is_floating_point() and (asked or self._asks(tensor)))

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """The same random numbers at every run; the person's own stay as they are."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(self.seed)
            yield


def _gradients(loss: Tensor, asked: dict) -> dict:
    if not asked or not loss.requires_grad:
        return {key: torch.zeros_like(t) for key, t in asked.items()}
    made = torch.autograd.grad(loss, list(asked.values()), allow_unused=True)
    return {key: torch.zeros_like(t) if g is None else g for (key, t), g in zip(asked.items(), made, strict=True)}


def one_number(loss: Tensor) -> Tensor:
    """The loss as a tensor without axes; CannotReplay where it is several numbers."""
    if loss.numel() != 1:
        raise CannotReplay("what it differentiates is not one number")
    return loss.reshape(())


@dataclass(frozen=True)
class Recorded:
    """The recorded steps of a tape, on the device of the replay."""

    tape: Tape
    device: torch.device = CPU
    seconds: float = 2.0
    """Of this thread's work that an experiment may take, where it can do with less."""

    @cached_property
    def start(self) -> Weights:
        """Every weight and buffer before the first step."""
        return {p.name: self.tape.start(p.name).to(self.device) for p in self.tape.parameters}

    @cached_property
    def trained(self) -> frozenset[str]:
        """The weights that are trained: an optimizer holds them, and they ask for gradients."""
        return frozenset(p.name for p in self.tape.parameters if p.trainable and p.optimizer >= 0)

    def step(self, at: int, weights: Weights | None = None) -> Step:
        """The step of a pass, at the first weights or others. Raises CannotReplay where it cannot be run."""
        p = self.tape.passes[at]
        return self.step_of(p, weights)

    def step_of(self, p: Pass, weights: Weights | None = None) -> Step:
        """The step of a pass that may not be one of the tape's first."""
        program, space = self.tape.programs[p.program], self.start if weights is None else weights
        if program.missing or program.loss < 0 or len(program.calls) > LONGEST:
            raise CannotReplay(program.missing or f"its step has {len(program.calls)} calls")
        mine = {name: space[name] for name in program.weights()}
        outside = tuple(self.tape.tensors[key].to(self.device) for key in p.outside)
        return Step(program, mine, outside, self.trained & mine.keys(), self.device)

    @cached_property
    def first(self) -> Step:
        """The first step. Raises CannotReplay unless it gives the recorded loss (programs that draw aside)."""
        if not self.tape.passes:
            raise CannotReplay("no training step was recorded")
        step, wanted = self.step(0), self.tape.passes[0].loss
        if not draws(step.program):
            got = step.loss()
            same = got == wanted or (got != got and wanted != wanted)
            if not same and not abs(got - wanted) <= FAITHFUL * max(abs(wanted), 1e-6):
                raise CannotReplay(f"its first loss comes out as {got:.6g} instead of {wanted:.6g}")
        return step


def draws(program: Program) -> bool:
    """Whether its calls draw random numbers."""
    return any(call.op.stochastic or call.name in DRAWING for call in program.calls)


DRAWING = {"rand", "randn", "rand_like", "randn_like", "normal", "uniform", "randint", "randperm", "bernoulli"}
