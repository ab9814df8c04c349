"""The training loop as the text shows it: where it learns, which loops lie around that, where it evaluates, with what.

The innermost loop around `.backward()` is the batch loop, the one around it the epoch loop; functions are followed to
their callers, so a loop that stands in `main()` counts for the backward in `train_one_epoch()`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cached_property

from unstuck.signals.source import Binding, Function, Loop, Source
from unstuck.tape.model import Tape

DEPTH = 6
"""Calls are followed outwards through so many functions."""
CHAINS = 24
"""So many ways to reach one place are looked at."""
GRADIENT_FREE = {"torch.no_grad", "torch.inference_mode"}
LAYERS = ("Dropout", "BatchNorm", "AlphaDropout", "FeatureAlphaDropout", "SyncBatchNorm", "RReLU")
"""Beginnings of the names of layers that act differently in training and in evaluation."""


class Training:
    """What the text says about how the program trains."""

    def __init__(self, source: Source) -> None:
        self.source = source

    @classmethod
    def read(cls, tape: Tape) -> Training:
        """Of the texts on a tape."""
        return cls(Source.read(tape))

    # -- loops -------------------------------------------------------------------------------------------------------

    def methods(self, name: str, within: ast.AST | None = None) -> Iterator[ast.Call]:
        """The calls `x.name(...)`."""
        found = self.source.all(ast.Call, within)
        return (c for c in found if isinstance(c.func, ast.Attribute) and c.func.attr == name)

    @cached_property
    def backwards(self) -> tuple[ast.Call, ...]:
        """The calls of `.backward()`, `manual_backward(...)` and their like."""
        found = (c for c in self.source.all(ast.Call) if isinstance(c.func, ast.Attribute))
        return tuple(c for c in found if isinstance(c.func, ast.Attribute) and c.func.attr.endswith("backward"))

    def chains(self, node: ast.AST, seen: tuple[ast.AST, ...] = ()) -> list[tuple[Loop, ...]]:
        """The loops around a node, from the inside out, through the functions that call it; one chain per way."""
        loops, scope = self.source.loops(node), self.source.scope(node)
        callers = self.source.callers(scope) if isinstance(scope, Function) else ()
        if not callers or scope in seen or len(seen) >= DEPTH:
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
        """Whether a loop says by its counter, or by what it counts up to, that it goes over epochs."""
        named = (loop.target, loop.iter) if isinstance(loop, ast.For) else ()
        names = {n.id.lower() for part in named for n in ast.walk(part) if isinstance(n, ast.Name)}
        names |= {n.attr.lower() for part in named for n in ast.walk(part) if isinstance(n, ast.Attribute)}
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
        off = (
            isinstance(node, ast.Call)
            and node.args
            and isinstance(node.args[0], ast.Constant)
            and not node.args[0].value
        )
        return name in GRADIENT_FREE or (name.endswith("set_grad_enabled") and bool(off))

    # -- models and optimizers ---------------------------------------------------------------------------------------

    @cached_property
    def optimizers(self) -> tuple[ast.Call, ...]:
        """The constructions of optimizers of torch."""
        found = self.source.all(ast.Call)
        return tuple(c for c in found if self._is_optimizer(self.source.full_name(c)))

    def _is_optimizer(self, name: str) -> bool:
        last = name.rpartition(".")[2]
        return (
            name.startswith("torch.optim.")
            and last[:1].isupper()
            and not any(p in name for p in (".lr_sched", ".swa_"))
        )

    def optimizer_of(self, node: ast.expr) -> ast.Call | None:
        """The construction that an optimizer's name stands for, where there is one only."""
        for value in self.source.values(node):
            if value in self.optimizers and isinstance(value, ast.Call):
                return value
        return self.optimizers[0] if len(self.optimizers) == 1 and _is_called_optimizer(node) else None

    @cached_property
    def trained(self) -> frozenset[str]:
        """The names of the models that optimizers hold, as the constructions write them: `model`, `self.net`."""
        found = (c for o in self.optimizers for c in self.methods("parameters", o))
        return frozenset(ast.unparse(c.func.value) for c in found if isinstance(c.func, ast.Attribute))

    def names_for(self, node: ast.expr, depth: int = DEPTH) -> frozenset[str]:
        """The names by which callers know what a parameter stands for, and its own."""
        bindings = self.source.bindings_of(node)
        name = ast.unparse(node)
        scope = bindings[0].scope if bindings and bindings[0].kind == "parameter" else None
        if depth == 0 or len(bindings) != 1 or not isinstance(scope, Function):
            return frozenset({name})
        given = [g for call in self.source.callers(scope) if (g := argument_for(call, scope, name)) is not None]
        return frozenset({name}).union(*(self.names_for(g, depth - 1) for g in given))

    def origins(self, node: ast.expr, depth: int = DEPTH) -> list[ast.expr]:
        """What a name may stand for, through assignments, parameters and returned tuples; itself where it is open."""
        bindings = self.source.bindings_of(node) if depth else ()
        further = [o for b in bindings for v in self._given(b) if v is not node for o in self.origins(v, depth - 1)]
        return list(dict.fromkeys(further)) or [node]

    def _given(self, b: Binding) -> Iterator[ast.expr]:
        if b.kind == "assign" and b.item < 0 and b.value is not None:
            yield from self.results(b.value) or [b.value]
        elif b.kind == "assign" and isinstance(b.value, ast.Call):
            tuples = (r for r in self.results(b.value) if isinstance(r, ast.Tuple))
            yield from (r.elts[b.item] for r in tuples if b.item < len(r.elts))
        elif b.kind == "parameter" and isinstance(b.scope, Function):
            given = (argument_for(call, b.scope, b.name) for call in self.source.callers(b.scope))
            yield from (g for g in given if g is not None)

    def results(self, node: ast.expr) -> list[ast.expr]:
        """What the person's own function, called here by its name, returns."""
        functions = self.source.called(node) if isinstance(node, ast.Call) else ()
        named = [f for f in functions if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(f.name)]
        returns = (r for f in named for r in self.source.own(ast.Return, f))
        return [r.value for r in returns if r.value is not None]

    def is_trained(self, node: ast.expr) -> bool:
        """Whether an expression names a model that an optimizer holds (`self.model` and `trainer.model` are one)."""
        own = {tail(n) for n in self.trained}
        return any(tail(n) in own for n in self.names_for(node))

    @cached_property
    def has_modes(self) -> bool:
        """Whether the text builds a layer that acts differently in training and in evaluation."""
        names = (self.source.full_name(c).rpartition(".") for c in self.source.all(ast.Call))
        return any(owner.startswith("torch.nn") and name.startswith(LAYERS) for owner, _, name in names)

    def mode_calls(self, name: str, within: ast.AST | None = None) -> Iterator[ast.Call]:
        """The calls that set a trained model's mode: `eval` (also `train(False)`) or `train`."""
        for call in (*self.methods("eval", within), *self.methods("train", within)):
            if (
                isinstance(call.func, ast.Attribute)
                and self.is_trained(call.func.value)
                and _mode(call) in (name, "any")
            ):
                yield call

    def rebuilt_in(self, node: ast.expr, loop: ast.AST) -> list[Binding]:
        """Where a loop's own text gives a model (by any name its callers use for it) a new value."""
        names = {tail(n) for n in self.names_for(node)}
        found = (b for b in self.source.bindings if b.kind in ("assign", "loop", "with") and tail(b.name) in names)
        return [b for b in found if self.source.inside(b.statement, loop) and b.statement is not loop]

    def guarded(self, node: ast.AST, outer: ast.AST) -> bool:
        """Whether something decides, between a node and what it stands in, if the node is run."""
        for around in self.source.above(node):
            if around is outer:
                return False
            if isinstance(around, ast.If | ast.IfExp | ast.Try | ast.ExceptHandler | ast.Match):
                return True
        return False

    def enclosing_function(self, node: ast.AST) -> Function | None:
        """The function a node stands in."""
        scope = self.source.scope(node)
        return scope if isinstance(scope, Function) else None


def argument_for(call: ast.Call, function: Function, name: str) -> ast.expr | None:
    """What a call hands over for a parameter, by place or by name."""
    names = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
    at = names.index(name) - (names[:1] == ["self"]) if name in names else -1
    by_place = call.args[at] if 0 <= at < len(call.args) else None
    by_name = next((k.value for k in call.keywords if k.arg == name), None)
    return by_name or (by_place if not isinstance(by_place, ast.Starred) else None)


def tail(name: str) -> str:
    """The last part of a dotted name."""
    return name.rpartition(".")[2]


def _mode(call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute) and call.func.attr == "eval":
        return "eval" if not call.args else ""
    given = [*call.args, *(k.value for k in call.keywords if k.arg == "mode")]
    if not given:
        return "train"
    if len(given) == 1 and isinstance(given[0], ast.Constant):
        return "train" if given[0].value is True else "eval"
    return "any" if len(given) == 1 and len(call.args) + len(call.keywords) == 1 else ""


def _is_called_optimizer(node: ast.expr) -> bool:
    name = tail(ast.unparse(node)).lower()
    return name.startswith("opt") or name.endswith(("optimizer", "optimiser", "optim", "_opt"))
