"""The training loop as the text shows it: where it learns, which loops lie around that, where it evaluates, with what.

The innermost loop around `.backward()` is the batch loop, the one around it the epoch loop; functions are followed to
their callers, so a loop that stands in `main()` counts for the backward in `train_one_epoch()`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cached_property

from unstuck.source.files import Loop
from unstuck.source.scopes import Binding, Function
from unstuck.source.values import DEPTH, Source, Variable
from unstuck.tape.model import Tape

CALLS = 6
"""Calls are followed outwards through this many functions."""
CHAINS = 24
"""This many ways to reach one place are looked at."""
GRADIENT_FREE = {"torch.no_grad", "torch.inference_mode"}
LAYERS = ("Dropout", "BatchNorm", "AlphaDropout", "FeatureAlphaDropout", "SyncBatchNorm", "RReLU")
"""Beginnings of the names of layers that act differently in training and in evaluation."""


class Training:
    """What the text says about how the program trains."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._known: dict[tuple[ast.expr, bool], frozenset[Variable]] = {}

    @classmethod
    def read(cls, tape: Tape) -> Training:
        """Of the texts on a tape."""
        return Source.read(tape).once(cls)

    # -- loops -------------------------------------------------------------------------------------------------------

    def methods(self, name: str, within: ast.AST | None = None) -> Iterator[ast.Call]:
        """The calls `x.name(...)`."""
        return self.source.methods(name, within)

    @cached_property
    def backwards(self) -> tuple[ast.Call, ...]:
        """The calls of `.backward()`, `manual_backward(...)` and their like."""
        found = self.source.all(ast.Call)
        return tuple(c for c in found if isinstance(c.func, ast.Attribute) and c.func.attr.endswith("backward"))

    def chains(self, node: ast.AST, seen: tuple[ast.AST, ...] = ()) -> list[tuple[Loop, ...]]:
        """The loops around a node, from the inside out, through the functions that call it; one chain per way."""
        loops, scope = self.source.loops(node), self.source.scope(node)
        callers = self.source.callers(scope) if isinstance(scope, Function) else ()
        if not callers or scope in seen or len(seen) >= CALLS:
            return [loops]
        further = (chain for call in callers for chain in self.chains(call, (*seen, scope)))
        return [loops + chain for chain in further][:CHAINS]

    @cached_property
    def training_chains(self) -> tuple[tuple[Loop, ...], ...]:
        """The loops around each backward."""
        return tuple(chain for b in self.backwards for chain in self.chains(b))

    @cached_property
    def batch_loops(self) -> frozenset[Loop]:
        """The loops that hold a backward as their innermost."""
        return frozenset(chain[0] for chain in self.training_chains if chain)

    @cached_property
    def training_loops(self) -> frozenset[Loop]:
        """All loops around a backward."""
        return frozenset(loop for chain in self.training_chains for loop in chain)

    def is_epoch_loop(self, loop: Loop) -> bool:
        """Whether a loop says by its counter, or by what it counts up to, that it goes over epochs.

        The structure cannot tell: a loop over folds, seeds or rates stands around the batches just as well.
        """
        named = (loop.target, loop.iter) if isinstance(loop, ast.For) else ()
        parts = (n for part in named for n in ast.walk(part) if isinstance(n, ast.Name | ast.Attribute))
        names = {(n.id if isinstance(n, ast.Name) else n.attr).lower() for n in parts}
        return any("epoch" in n or n in {"ep", "epo"} for n in names)

    def reached(self, loop: ast.AST) -> tuple[ast.AST, ...]:
        """A loop (or function) and every function of the person's that its body enters."""
        found: list[ast.AST] = [loop]
        for part in found:
            for call in self.source.all(ast.Call, part):
                found += [f for f in self.source.called(call) if f not in found]
        return tuple(found)

    def in_training(self, node: ast.AST) -> bool:
        """Whether a node is run once per batch of training."""
        return any(loop in self.batch_loops for chain in self.chains(node) for loop in chain)

    def guarded(self, node: ast.AST, outer: ast.AST) -> bool:
        """Whether something decides, between a node and what it stands in, if the node is run."""
        for around in self.source.above(node):
            if around is outer:
                return False
            if isinstance(around, ast.If | ast.IfExp | ast.Try | ast.ExceptHandler | ast.Match):
                return True
        return False

    # -- evaluation --------------------------------------------------------------------------------------------------

    def gradient_free(self, node: ast.AST, seen: tuple[ast.AST, ...] = ()) -> bool:
        """Whether a node runs under no_grad or inference_mode (a caller's too, where all of them agree)."""
        inner, scope = list(self.source.above(node)), self.source.scope(node)
        withs = (n for n in inner if isinstance(n, ast.With))
        if any(self._frees(item.context_expr) for w in withs for item in w.items):
            return True
        if not isinstance(scope, Function) or scope in seen:
            return False
        if any(self._frees(d) for d in scope.decorator_list):
            return True
        callers = self.source.callers(scope)
        return bool(callers) and all(self.gradient_free(c, (*seen, scope)) for c in callers)

    def _frees(self, node: ast.expr) -> bool:
        name = self.source.full_name(node)
        given = node.args[:1] if isinstance(node, ast.Call) else []
        off = any(isinstance(a, ast.Constant) and not a.value for a in given)
        return name in GRADIENT_FREE or (name.endswith("set_grad_enabled") and off)

    # -- optimizers --------------------------------------------------------------------------------------------------

    @cached_property
    def optimizers(self) -> tuple[ast.Call, ...]:
        """The constructions of optimizers of torch."""
        return tuple(c for c in self.source.all(ast.Call) if _is_optimizer(self.source.full_name(c)))

    def is_optimizer(self, node: ast.expr) -> bool:
        """Whether an expression holds an optimizer: by its construction, else by what is done with it.

        Only where the text shows neither, its name is asked.
        """
        values = [v for v in self.source.meant(node) if isinstance(v, ast.Call)]
        if any(v in self.optimizers or self._is_own_optimizer(v) for v in values):
            return True
        if any(self._is_something_else(v) for v in values):
            return False
        done = self._done_with(node)
        holds = any(True for v in values for a in (*v.args, *v.keywords) for _ in self.methods("parameters", a))
        return holds or "param_groups" in done or {"step", "zero_grad"} <= done or _is_called_optimizer(node)

    def stepped(self, call: ast.Call) -> ast.expr | None:
        """The optimizer that a call steps: `optimizer.step()`, `scaler.step(optimizer)`; None for other calls."""
        if not isinstance(call.func, ast.Attribute) or call.func.attr != "step":
            return None
        return next((a for a in [*call.args[:1], call.func.value] if self.is_optimizer(a)), None)

    @cached_property
    def steps(self) -> tuple[ast.Call, ...]:
        """The calls that step an optimizer."""
        return tuple(c for c in self.methods("step") if self.stepped(c) is not None)

    def _is_own_optimizer(self, made: ast.Call) -> bool:
        classes = (d for d in self.source.definitions(made.func) if isinstance(d, ast.ClassDef))
        return any(_is_optimizer(self.source.full_name(base)) for c in classes for base in c.bases)

    def _is_something_else(self, made: ast.Call) -> bool:
        own = any(isinstance(d, ast.ClassDef) for d in self.source.definitions(made.func))
        return own or self.source.full_name(made).startswith("torch.")

    def _done_with(self, node: ast.expr) -> set[str]:
        """The attributes that a variable is asked for, anywhere."""
        variable = self.source.variable(node)
        return self._asked.get(variable, set()) if variable is not None else set()

    @cached_property
    def _asked(self) -> dict[Variable, set[str]]:
        asked: dict[Variable, set[str]] = {}
        for node in self.source.all(ast.Attribute):
            if isinstance(node.value, ast.Name | ast.Attribute) and (known := self.source.variable(node.value)):
                asked.setdefault(known, set()).add(node.attr)
        return asked

    # -- models ------------------------------------------------------------------------------------------------------

    @cached_property
    def _held(self) -> tuple[ast.expr, ...]:
        """The models that optimizers hold, as the constructions write them: `model`, `self.net`."""
        found = (c for o in self.optimizers for c in self.methods("parameters", o))
        return tuple(c.func.value for c in found if isinstance(c.func, ast.Attribute))

    @cached_property
    def trained(self) -> frozenset[str]:
        """The names of the models that optimizers hold."""
        return frozenset(ast.unparse(n) for n in self._held)

    @cached_property
    def _trained(self) -> frozenset[Variable]:
        return frozenset(v for n in self._held for v in self.known_as(n, through_returns=False))

    def is_trained(self, node: ast.expr) -> bool:
        """Whether an expression names a model that an optimizer holds (`self.model` and `trainer.model` are one)."""
        return any(_same(a, b) for a in self.known_as(node) for b in self._trained)

    def known_as(self, node: ast.expr, through_returns: bool = True, depth: int = DEPTH) -> frozenset[Variable]:
        """The variables that hold what an expression does: its own, and those it was given by."""
        key = (node, through_returns)
        if key not in self._known:
            variable = self.source.variable(node)
            self._known[key] = frozenset({variable} if variable else ())
            made = isinstance(node, ast.Call) and self.source.definitions(node.func)
            if depth and (through_returns or not made):
                given = (self.known_as(v, through_returns, depth - 1) for v in self.source.given(node))
                self._known[key] = self._known[key].union(*given)
        return self._known[key]

    def names_for(self, node: ast.expr) -> frozenset[str]:
        """The names by which callers know what a parameter stands for, and its own."""
        return frozenset({ast.unparse(node)} | {name for _, name in self.known_as(node)})

    def origins(self, node: ast.expr) -> list[ast.expr]:
        """What an expression may hold, as far back as the text goes; itself where that is open."""
        return list(self.source.meant(node))

    def results(self, node: ast.expr) -> list[ast.expr]:
        """What the person's own function, called here, returns."""
        found = self.source.definitions(node.func) if isinstance(node, ast.Call) else ()
        return [r for f in found if isinstance(f, Function) for r in self.source.returned(f)]

    @cached_property
    def has_modes(self) -> bool:
        """Whether the text builds a layer that acts differently in training and in evaluation."""
        names = (self.source.full_name(c).rpartition(".") for c in self.source.all(ast.Call))
        return any(owner.startswith("torch.nn") and name.startswith(LAYERS) for owner, _, name in names)

    def mode_calls(self, name: str, within: ast.AST | None = None) -> Iterator[ast.Call]:
        """The calls that set a trained model's mode: `eval` (also `train(False)`) or `train`."""
        for call in (*self.methods("eval", within), *self.methods("train", within)):
            owner = call.func.value if isinstance(call.func, ast.Attribute) else call
            if _mode(call) in (name, "any") and self.is_trained(owner):
                yield call

    def rebuilt_in(self, node: ast.expr, loop: ast.AST) -> list[Binding]:
        """Where a loop's own text gives a model (by any name its callers use for it) a new value."""
        known = self.known_as(node)
        found = (b for b in self.source.bindings if b.kind in ("assign", "loop", "with"))
        inside = (b for b in found if self.source.inside(b.statement, loop) and b.statement is not loop)
        return [b for b in inside if any(_same(self.source.bound_variable(b), v) for v in known)]


def tail(name: str) -> str:
    """The last part of a dotted name."""
    return name.rpartition(".")[2]


def _same(one: Variable, other: Variable) -> bool:
    """Whether two variables may be one: an attribute of an object of unknown class goes by its name."""
    return one == other or (None in (one[0], other[0]) and tail(one[1]) == tail(other[1]))


def _is_optimizer(name: str) -> bool:
    """Whether a full name is a class of torch.optim that updates weights."""
    return (
        name.startswith("torch.optim.")
        and tail(name)[:1].isupper()
        and not any(part in name for part in (".lr_sched", ".swa_"))
    )


def _is_called_optimizer(node: ast.expr) -> bool:
    name = tail(ast.unparse(node)).lower()
    return name.startswith("opt") or name.endswith(("optimizer", "optimiser", "optim", "_opt"))


def _mode(call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute) and call.func.attr == "eval":
        return "eval" if not call.args else ""
    given = [*call.args, *(k.value for k in call.keywords if k.arg == "mode")]
    if not given:
        return "train"
    if len(given) == 1 and isinstance(given[0], ast.Constant):
        return "train" if given[0].value is True else "eval"
    return "any" if len(given) == 1 and len(call.args) + len(call.keywords) == 1 else ""
