"""Where gradients are cleared, computed and spent, in the order of the text."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from unstuck.signals.source import Binding, Function, Source
from unstuck.signals.training import Training
from unstuck.source.scopes import scopes
from unstuck.source.values import Variable
from unstuck.tape.model import Tape

STRANGERS = {"lightning", "pytorch_lightning", "accelerate", "transformers", "fastai", "ignite", "skorch", "deepspeed"}
STRANGERS |= {"catalyst", "composer", "trl", "stable_baselines3"}
"""Packages that step by themselves."""


@dataclass(frozen=True, eq=False)
class Event:
    """One call: `clear`, `backward` or `step`."""

    kind: str
    node: ast.Call
    owner: Variable | None
    """The optimizer it is called on; for `clear` also a model."""
    sometimes: bool
    """Something in the block decides whether it is called."""
    all: bool = False
    """It clears everything: there is one optimizer only."""

    def clears(self, step: Event) -> bool:
        """Whether it clears what a step spends."""
        return self.all or self.owner == step.owner


class Steps:
    """The order of things in the training step."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.training = source.once(Training)

    @classmethod
    def read(cls, tape: Tape) -> Steps:
        """Of the texts on a tape."""
        return Source.read(tape).once(cls)

    @cached_property
    def elsewhere(self) -> bool:
        """Whether steps may be made where the text does not show them: by a package, or by a closure."""
        imported = {b.origin.partition(".")[0] for b in self.source.bindings if b.kind == "import"}
        closures = any((s.args or s.keywords) and self.training.stepped(s) not in s.args for s in self.steps())
        return bool(imported & STRANGERS) or closures

    def steps(self) -> Iterator[ast.Call]:
        """The calls `optimizer.step()` and `scaler.step(optimizer)`."""
        return iter(self.training.steps)

    def uncalled(self) -> Iterator[ast.Attribute]:
        """`optimizer.step` and `loss.backward` that stand alone without parentheses."""
        nodes = (s.value for s in self.source.all(ast.Expr) if isinstance(s.value, ast.Attribute))
        for node in nodes:
            if node.attr == "backward" or (node.attr == "step" and self.training.is_optimizer(node.value)):
                yield node

    # -- the order ---------------------------------------------------------------------------------------------------

    def blocks(self) -> Iterator[tuple[Event, ...]]:
        """Per block that holds a backward and is repeated as a whole: its events, in order."""
        yield from (self.events(block) for block in dict.fromkeys(self._block(b) for b in self.training.backwards))

    def _block(self, node: ast.AST) -> ast.AST:
        loops = [n for n in self.source.loops(node) if isinstance(n, ast.For | ast.While | ast.AsyncFor)]
        return loops[0] if loops else self.source.scope(node)

    def events(self, block: ast.AST) -> tuple[Event, ...]:
        """The events in a block's own text."""
        found = (self._event(c, block) for c in self.source.own(ast.Call, block))
        return tuple(event for event in found if event is not None)

    def _event(self, call: ast.Call, block: ast.AST) -> Event | None:
        if not isinstance(call.func, ast.Attribute):
            return None
        owner, name = call.func.value, call.func.attr
        sometimes = self.training.guarded(call, block) or self._block(call) is not block
        if name.endswith("backward"):
            return Event("backward", call, None, sometimes)
        if (stepped := self.training.stepped(call)) is not None:
            return Event("step", call, self.source.variable(stepped), sometimes)
        single = len(self.training.optimizers) == 1
        if name == "zero_grad" and (single or self.training.is_optimizer(owner)):
            return Event("clear", call, self.source.variable(owner), sometimes, single)
        return None

    def behind(self) -> Iterator[tuple[ast.Call, ast.Call, ast.Call]]:
        """backward and zero_grad in a batch loop whose only step stands behind the loop."""
        if len(self.training.steps) != 1:
            return
        for backward in self.training.backwards:
            loop = self._block(backward)
            inside = self.events(loop) if isinstance(loop, ast.For) else ()
            clears = [e for e in inside if e.kind == "clear" and not e.sometimes]
            outer = self.events(self._block(loop)) if clears and not any(e.kind == "step" for e in inside) else ()
            for step in (e for e in outer if e.kind == "step" and not e.sometimes):
                if self.source.before(loop, step.node) and clears[0].clears(step):
                    yield backward, clears[0].node, step.node

    # -- what is missing ---------------------------------------------------------------------------------------------

    def lacks_step(self) -> bool:
        """Whether there is an optimizer and a backward, and for certain no step of any kind."""
        if not self.training.optimizers or not self.training.backwards or self._by_hand() or self._handed_out():
            return False
        return all(self._is_schedule(c) for c in self.training.methods("step"))

    def _is_schedule(self, call: ast.Call) -> bool:
        made = self.training.origins(call.func.value) if isinstance(call.func, ast.Attribute) else []
        return all(self.source.full_name(m).startswith("torch.optim.lr_scheduler") for m in made)

    def lacks_backward(self) -> bool:
        """Whether there is a step in a loop, and for certain nothing that computes gradients."""
        stepped = any(any(self.training.chains(s)) for s in self.steps())
        if not stepped or self.training.backwards or self._handed_out():
            return False
        words = {n.attr for n in self.source.all(ast.Attribute)} | {n.id for n in self.source.all(ast.Name)}
        return not words & {"grad", "backward", "vjp", "jacrev", "grad_and_value", "value_and_grad", "jacobian"}

    def _by_hand(self) -> bool:
        return any(n.attr == "grad" for n in self.source.all(ast.Attribute))

    def _handed_out(self) -> bool:
        """Whether an optimizer is given to something that is neither the person's own nor torch's."""
        return any(self._gets_optimizer(c) and self._is_strange(c) for c in self.source.all(ast.Call))

    def _gets_optimizer(self, call: ast.Call) -> bool:
        given = (*call.args, *(k.value for k in call.keywords))
        return any(isinstance(g, ast.Name | ast.Attribute) and self.training.is_optimizer(g) for g in given)

    def _is_strange(self, call: ast.Call) -> bool:
        known = self.source.called(call) or self.source.definitions(call.func)
        return not known and not self.source.full_name(call).startswith("torch.")

    def optimizer_name(self, backward: ast.AST) -> str:
        """The one name under which the optimizer is known where a backward stands; "" if that is not plain."""
        names = {b.name for b in self.source.bindings if self._holds_optimizer(b) and self._visible(b, backward)}
        return names.pop() if len(names) == 1 else ""

    def _holds_optimizer(self, b: Binding) -> bool:
        """Whether a name is given an optimizer: one that is constructed there, that a call returns, or an argument."""
        if b.kind == "parameter" and isinstance(b.scope, Function):
            given = self.source.arguments(b.scope, b.name)
        else:
            given = [b.value] if b.value is not None and b.kind == "assign" and b.item < 0 else []
        return any(v in self.training.optimizers for g in given for v in self.source.meant(g))

    def _visible(self, b: Binding, node: ast.AST) -> bool:
        """Whether a name means at a node what a binding gave to it; `self.x`, in any method of the class."""
        if b.name.isidentifier():
            known = scopes(self.source.page(node))
            return self.source.page(b.statement) is known.page and known.home(b.name, known.of(node)) is b.scope
        classes = (self.source.owner_class(n) for n in (node, b.statement))
        mine, other = (list(self.source.lineage(c)) if c is not None else [] for c in classes)
        return b.name.startswith("self.") and bool(mine and other) and (mine[0] in other or other[0] in mine)
