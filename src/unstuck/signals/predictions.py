"""What the program makes of a network's output: where it rounds, compares or picks, and on which scale that is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cached_property

from unstuck.signals.source import Source
from unstuck.signals.totals import Totals, keyword
from unstuck.signals.training import Training, tail
from unstuck.tape import ops
from unstuck.tape.model import Tape

PLAIN = ops.names(lambda op: op.hands_on == "all") | {"requires_grad_"}
"""Methods that change an output's shape, type or place and not its values."""
ACTIVATIONS = {name.replace("_", "") for name in ops.ACTIVATIONS}
LAYERS = ops.modules(lambda op: op.kind == "layer")
ON_LOGITS = {"BCEWithLogitsLoss", "binary_cross_entropy_with_logits", "MultiLabelSoftMarginLoss"}
ON_PROBABILITIES = {"BCELoss", "binary_cross_entropy"}
LOSSES = ops.LOSSES | ops.modules(lambda op: op.kind == "loss")
DEPTH = 10


class Predictions:
    """The places where outputs become answers."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.training = source.once(Training)
        self.totals = source.once(Totals)

    @classmethod
    def read(cls, tape: Tape) -> Predictions:
        """Of the texts on a tape."""
        return Source.read(tape).once(cls)

    @cached_property
    def losses(self) -> frozenset[str]:
        """The losses of torch that the text builds or calls, by last name."""
        names = (self.source.full_name(c) for c in self.source.all(ast.Call))
        return frozenset(tail(n) for n in names if n.startswith("torch.nn.") and tail(n) in LOSSES)

    def scale(self, node: ast.expr) -> str:
        """`logit` or `probability`, where an expression is a trained network's output for certain; else ""."""
        call, changed = self._output(node, DEPTH)
        last = self.last(call.func) if call is not None else ""
        if changed:
            return "probability" if changed in ("sigmoid", "expit") and last == "layer" else ""
        if last == "layer" and self.losses and self.losses <= ON_LOGITS:
            return "logit"
        return "probability" if last == "sigmoid" and self.losses and self.losses <= ON_PROBABILITIES else ""

    def output(self, node: ast.expr) -> ast.Call | None:
        """The call of a trained network whose output an expression is, reshaped at most."""
        call, changed = self._output(node, DEPTH)
        return call if not changed else None

    def _output(self, node: ast.expr, depth: int) -> tuple[ast.Call | None, str]:
        """The call of a trained network that an expression comes from, and the activation behind it."""
        match node := self.plain(node):
            case ast.Name() if depth and (value := self._last_value(node)) is not None:
                return self._output(value, depth - 1)
            case ast.Call() if self.training.is_trained(node.func):
                return node, ""
            case ast.Call() if depth:
                activation, inner = self.activation(node)
                return (self._output(inner, depth - 1)[0], activation) if activation and inner else (None, "")
        return None, ""

    def _last_value(self, node: ast.expr) -> ast.expr | None:
        b = self.source.latest(node)
        return b.value if b is not None and b.kind == "assign" and b.item < 0 else None

    def plain(self, node: ast.expr) -> ast.expr:
        """An expression without what only reshapes or moves it: `out.squeeze(1).cpu()` and `out[:, 0]` are `out`."""
        match node:
            case ast.Call(func=ast.Attribute(value=owner, attr=attr), args=args) if attr in PLAIN:
                return self.plain(args[0] if args and self.source.full_name(node) else owner)
            case ast.Subscript(value=owner, slice=ast.Tuple()) | ast.Attribute(value=owner, attr="data"):
                return self.plain(owner)
        return node

    def activation(self, node: ast.Call) -> tuple[str, ast.expr | None]:
        """An activation that a call applies, by last name, and what it is applied to; ("", None) for other calls."""
        full = self.source.applied(node)
        found = tail(full).lower().replace("_", "")
        if found not in ACTIVATIONS:
            return "", None
        method = full.startswith("torch.Tensor.")
        return found, getattr(node.func, "value", None) if method or not node.args else node.args[0]

    # -- the model's own end -----------------------------------------------------------------------------------------

    def last(self, model: ast.expr) -> str:
        """What a network ends with: `layer`, an activation's name, or "" where the text does not tell for certain."""
        made = self.training.origins(model)
        kinds = {self._kind(c) for m in made for c in self._last_calls(m, DEPTH)}
        return kinds.pop() if len(kinds) == 1 and all(any(self._last_calls(m, DEPTH)) for m in made) else ""

    def last_layer(self, model: ast.expr) -> ast.Call | None:
        """The construction of the layer that a network ends with."""
        made = [c for m in self.training.origins(model) for c in self._last_calls(m, DEPTH)]
        return made[0] if len(made) == 1 else None

    def _kind(self, call: ast.Call) -> str:
        name = tail(self.source.full_name(call))
        activation = self.activation(call)[0] or (name.lower() if name.lower() in ACTIVATIONS else "")
        return "layer" if name in LAYERS else activation

    def _last_calls(self, made: ast.expr, depth: int) -> Iterator[ast.Call]:
        """The layer or the activation that a construction ends with."""
        while (
            isinstance(made, ast.Call)
            and isinstance(made.func, ast.Attribute)
            and isinstance(made.func.value, ast.Call)
        ):
            made = made.func.value  # Net(...).to(device) is Net(...)
        if not isinstance(made, ast.Call) or depth == 0:
            return
        name = tail(self.source.full_name(made))
        classes = [d for d in self.source.definitions(made.func) if isinstance(d, ast.ClassDef)]
        if name == "Sequential" and made.args and not isinstance(made.args[-1], ast.Starred):
            yield from (c for o in self.training.origins(made.args[-1]) for c in self._last_calls(o, depth - 1))
        elif classes:
            yield from (c for cls in classes for c in self._returned(cls, depth - 1))
        elif name not in ("Flatten", "Squeeze", "Unflatten", "Identity"):
            yield made

    def _returned(self, cls: ast.ClassDef, depth: int) -> Iterator[ast.Call]:
        forward = next((f for c in self.source.lineage(cls) if (f := self.source.method(c, "forward"))), None)
        returned = self.source.returned(forward) if forward is not None else []
        if len(returned) == 1:
            yield from self._applied(returned[0], depth)

    def _applied(self, node: ast.expr, depth: int) -> Iterator[ast.Call]:
        node = self.plain(node)
        if isinstance(node, ast.Name) and depth:
            value = self._last_value(node)
            if value is not None and not any(isinstance(n, ast.If) for n in self.source.above(value)):
                yield from self._applied(value, depth - 1)
        elif isinstance(node, ast.Call) and self.activation(node)[0]:
            yield node
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            made = (o for o in self.training.origins(node.func) if o is not node.func)
            yield from (c for o in made for c in self._last_calls(o, depth - 1))

    # -- answers -----------------------------------------------------------------------------------------------------

    @cached_property
    def _methods(self) -> tuple[tuple[ast.Call, str, ast.expr, list[ast.expr]], ...]:
        """The calls outside of forward methods: name, what it is of, and the other arguments, as method or function."""
        calls = (c for c in self.source.all(ast.Call) if isinstance(c.func, ast.Attribute) and self._outside(c))
        torch = ((c, bool(self.source.full_name(c) and c.args)) for c in calls)
        return tuple(
            (c, c.func.attr, c.args[0] if own else c.func.value, c.args[1:] if own else c.args)  # type: ignore[attr-defined]
            for c, own in torch
        )

    def _outside(self, node: ast.AST) -> bool:
        return getattr(self.source.scope(node), "name", "") != "forward"

    def rounded(self) -> Iterator[ast.expr]:
        """Expressions that are rounded."""
        yield from (of for _, name, of, _ in self._methods if name == "round")

    def compared(self) -> Iterator[tuple[ast.expr, ast.expr, float]]:
        """Expressions that are compared with a number: the expression, the number's place, the number."""
        pairs = [
            (n.left, n.comparators[0])
            for n in self.source.all(ast.Compare)
            if isinstance(n.ops[0], ast.Gt | ast.GtE | ast.Lt | ast.LtE) and self._outside(n)
        ]
        pairs += [(of, rest[0]) for _, name, of, rest in self._methods if name in ("gt", "ge") and len(rest) == 1]
        for node, bound in sorted(pairs, key=lambda pair: self.source.place(pair[0]).page.span(pair[0])):
            if (number := self.source.number(bound)) is not None:
                yield node, bound, number

    def picked(self) -> Iterator[tuple[ast.expr, ast.expr]]:
        """Expressions whose largest entry is sought along a dimension: the expression, the dimension's place."""
        for call, name, of, rest in self._methods:
            dim = keyword(call, "dim") or keyword(call, "axis") or next(iter(rest), None)
            if name in ("argmax", "max") and dim is not None:
                yield of, dim
