"""What the program makes of a network's output: where it rounds, compares or picks, and on which scale that is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cached_property

from unstuck.signals.source import Source
from unstuck.signals.totals import Totals
from unstuck.signals.training import Training, tail
from unstuck.tape.model import Tape

SHAPES = {"squeeze", "unsqueeze", "view", "view_as", "reshape", "flatten", "ravel", "contiguous", "t", "requires_grad_"}
"""Methods that change an output's shape and not its values."""
CARRIERS = {"cpu", "detach", "numpy", "to", "float", "double", "clone", "cuda"}
ACTIVATIONS = {"sigmoid", "softmax", "logsoftmax", "logsigmoid", "tanh", "relu", "expit"}
LAYERS = {"Linear", "LazyLinear", "Conv1d", "Conv2d", "Bilinear"}
ON_LOGITS = {"BCEWithLogitsLoss", "binary_cross_entropy_with_logits", "MultiLabelSoftMarginLoss"}
ON_PROBABILITIES = {"BCELoss", "binary_cross_entropy"}
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
        found = (self.source.full_name(c) for c in self.source.all(ast.Call))
        names = (tail(n) for n in found if n.startswith(("torch.nn.", "torch.nn.functional.")))
        return frozenset(n for n in names if n.lower().endswith(("loss", "entropy", "_logits")))

    def scale(self, node: ast.expr) -> str:
        """`logit` or `probability`, where an expression is a trained network's output for certain; else ""."""
        call, changed = self._output(node, DEPTH)
        last = self.last(call.func) if call is not None else ""
        if changed in ("sigmoid", "expit") and last == "layer":
            return "probability"
        if changed:
            return ""
        if last == "layer" and self.losses and self.losses <= ON_LOGITS:
            return "logit"
        return "probability" if last == "sigmoid" and self.losses and self.losses <= ON_PROBABILITIES else ""

    def output(self, node: ast.expr) -> ast.Call | None:
        """The call of a trained network whose output an expression is, reshaped at most."""
        call, changed = self._output(node, DEPTH)
        return call if not changed else None

    def _output(self, node: ast.expr, depth: int) -> tuple[ast.Call | None, str]:
        node = self.plain(node)
        if isinstance(node, ast.Name) and depth:
            b = self.source.latest(node)
            known = b is not None and b.kind == "assign" and b.item < 0 and b.value is not None
            return self._output(b.value, depth - 1) if b is not None and b.value is not None and known else (None, "")
        if not isinstance(node, ast.Call):
            return None, ""
        if self.training.is_trained(node.func):
            return node, ""
        activation, inner = self.activation(node)
        return (
            (self._output(inner, depth - 1)[0], activation)
            if activation and inner is not None and depth
            else (None, "")
        )

    def plain(self, node: ast.expr) -> ast.expr:
        """An expression without what only reshapes or moves it: `out.squeeze(1).cpu()` and `out[:, 0]` are `out`."""
        while True:
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in SHAPES | CARRIERS
            ):
                inner = node.args[0] if self.source.full_name(node) and node.args else node.func.value
                node = inner
            elif _is_column(node) or (isinstance(node, ast.Attribute) and node.attr == "data"):
                node = node.value  # type: ignore[attr-defined]
            else:
                return node

    def activation(self, node: ast.Call) -> tuple[str, ast.expr | None]:
        """An activation that a call applies, by last name, and what it is applied to; ("", None) for other calls."""
        made = (
            [m for m in self.training.origins(node.func) if isinstance(m, ast.Call)]
            if not self.source.full_name(node)
            else []
        )
        name = self.source.full_name(made[0]) if len(made) == 1 else self.source.full_name(node)
        method = node.func.attr if isinstance(node.func, ast.Attribute) and not name else ""
        found = (tail(name) or method).lower().replace("_", "")
        if found not in ACTIVATIONS:
            return "", None
        return found, node.args[0] if node.args and (name or not method) else getattr(node.func, "value", None)

    # -- the model's own end -----------------------------------------------------------------------------------------

    def last(self, model: ast.expr, depth: int = DEPTH) -> str:
        """What a network ends with: `layer`, an activation's name, or "" where the text does not tell for certain."""
        kinds = {self._ends(m, depth) for m in self.training.origins(model)}
        return kinds.pop() if len(kinds) == 1 else ""

    def last_layer(self, model: ast.expr) -> ast.Call | None:
        """The construction of the layer that a network ends with."""
        made = [c for m in self.training.origins(model) for c in self._last_calls(m, DEPTH)]
        return made[0] if len(made) == 1 else None

    def _ends(self, made: ast.expr, depth: int) -> str:
        names = {self._kind(c) for c in self._last_calls(made, depth)}
        return names.pop() if len(names) == 1 else ""

    def _kind(self, call: ast.Call) -> str:
        name = tail(self.source.full_name(call))
        return (
            "layer"
            if name in LAYERS
            else self.activation(call)[0] or (name.lower() if name.lower() in ACTIVATIONS else "")
        )

    def _last_calls(self, made: ast.expr, depth: int) -> Iterator[ast.Call]:
        made = _unmoved(made)
        if not isinstance(made, ast.Call) or depth == 0:
            return
        name = tail(self.source.full_name(made))
        if name == "Sequential" and made.args and not isinstance(made.args[-1], ast.Starred):
            yield from (c for o in self.training.origins(made.args[-1]) for c in self._last_calls(o, depth - 1))
        elif name in ("Flatten", "Squeeze", "Unflatten", "Identity"):
            return
        elif own := [
            c for c in self.source.all(ast.ClassDef) if isinstance(made.func, ast.Name) and c.name == made.func.id
        ]:
            yield from (c for cls in own for c in self._returned(cls, depth - 1))
        else:
            yield made

    def _returned(self, cls: ast.ClassDef, depth: int) -> Iterator[ast.Call]:
        forward = next((f for f in cls.body if isinstance(f, ast.FunctionDef) and f.name == "forward"), None)
        returns = list(self.source.own(ast.Return, forward)) if forward else []
        if len(returns) == 1 and returns[0].value is not None:
            yield from self._applied(returns[0].value, depth)

    def _applied(self, node: ast.expr, depth: int) -> Iterator[ast.Call]:
        node = self.plain(node)
        if isinstance(node, ast.Name) and depth:
            b = self.source.latest(node)
            straight = b is not None and not any(isinstance(n, ast.If) for n in self.source.above(b.statement))
            if b is not None and b.value is not None and b.kind == "assign" and b.item < 0 and straight:
                yield from self._applied(b.value, depth - 1)
        elif isinstance(node, ast.Call) and self.activation(node)[0]:
            yield node
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield from (
                c
                for o in self.training.origins(node.func)
                if o is not node.func
                for c in self._last_calls(o, depth - 1)
            )

    # -- answers -----------------------------------------------------------------------------------------------------

    @cached_property
    def _outside(self) -> tuple[ast.expr, ...]:
        return tuple(n for n in self.source.all(ast.expr) if not self._in_forward(n))

    def _in_forward(self, node: ast.AST) -> bool:
        return getattr(self.source.scope(node), "name", "") == "forward"

    def rounded(self) -> Iterator[ast.expr]:
        """Expressions that are rounded."""
        for call in self._outside:
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "round":
                yield call.args[0] if self.source.full_name(call) and call.args else call.func.value

    def compared(self) -> Iterator[tuple[ast.expr, ast.expr, float]]:
        """Expressions that are compared with a number: the expression, the number's place, the number."""
        for node in self._outside:
            if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Gt | ast.GtE | ast.Lt | ast.LtE):
                given = (node.left, node.comparators[0])
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("gt", "ge"):
                given = (node.func.value, node.args[0]) if len(node.args) == 1 else None
            else:
                continue
            if given and (number := self.source.number(given[1])) is not None:
                yield *given, number

    def picked(self) -> Iterator[tuple[ast.expr, ast.expr]]:
        """Expressions whose largest entry is sought along a dimension: the expression, the dimension's place."""
        for call in self._outside:
            if (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Attribute)
                and call.func.attr in ("argmax", "max")
            ):
                torch = bool(self.source.full_name(call))
                over = call.args[0] if torch and call.args else call.func.value
                dim = next((k.value for k in call.keywords if k.arg in ("dim", "axis")), None)
                rest = call.args[1:] if torch else call.args
                if dim is not None or rest:
                    yield over, dim if dim is not None else rest[0]


def _is_column(node: ast.expr) -> bool:
    return isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple)


def _unmoved(node: ast.expr) -> ast.expr:
    # Net(...).to(device) is Net(...)
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Call):
        node = node.func.value
    return node
