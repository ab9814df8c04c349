"""Where rows are divided into those to train on and those to judge by, and what was done to them before."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from unstuck.signals.source import Binding, Source
from unstuck.signals.training import Training, tail
from unstuck.tape.model import Tape

SPLITTERS = {"train_test_split", "random_split"}
JOINERS = {"concatenate", "cat", "concat", "vstack", "row_stack", "stack"}
REPEATERS = {"repeat", "tile", "repeat_interleave"}
OVERSAMPLERS = ("SMOTE", "ADASYN", "OverSampler")
FAR = 300
"""So many expressions are followed back from a split."""
KEPT_ASIDE = {"test", "val", "valid", "validation", "eval", "heldout", "holdout", "dev", "te"}
TRAINED_ON = {"train", "training", "tr", "trn"}


@dataclass(frozen=True, eq=False)
class Split:
    """One division of rows: the call (or the first slice), and the expressions that are divided."""

    node: ast.expr
    rows: tuple[ast.expr, ...]


class Splits:
    """The divisions of the data in the text."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.training = source.once(Training)

    @classmethod
    def read(cls, tape: Tape) -> Splits:
        """Of the texts on a tape."""
        return Source.read(tape).once(cls)

    @cached_property
    def all(self) -> tuple[Split, ...]:
        """The calls that split, then names that are sliced at one place into two, or indexed by two such halves."""
        calls = (c for c in self.source.all(ast.Call) if tail(ast.unparse(c.func)) in SPLITTERS and c.args)
        named = (Split(c, tuple(c.args) if "train_test" in ast.unparse(c.func) else (c.args[0],)) for c in calls)
        sliced = tuple(self._sliced())
        return (*named, *sliced, *self._indexed(sliced))

    def _sliced(self) -> Iterator[Split]:
        heads: dict[tuple[ast.AST, str, str], ast.Subscript] = {}
        for node in self.source.all(ast.Subscript):
            part = node.slice
            if not isinstance(part, ast.Slice) or part.step is not None or not isinstance(node.value, ast.Name):
                continue
            if part.lower is None and part.upper is not None:
                heads[(self.source.scope(node), node.value.id, ast.unparse(part.upper))] = node
            elif part.upper is None and part.lower is not None:
                head = heads.get((self.source.scope(node), node.value.id, ast.unparse(part.lower)))
                if head is not None:
                    yield Split(head, (head.value,))

    def _indexed(self, sliced: tuple[Split, ...]) -> Iterator[Split]:
        """`x[first]` and `x[second]`, where the two are the halves of an order that was cut at one place."""
        for cut in sliced:
            halves = {b.name for b in self.source.bindings if b.value is not None and self._of(b.value, cut)}
            used: dict[tuple[ast.AST, str], dict[str, ast.Subscript]] = {}
            for node in self.source.all(ast.Subscript):
                if isinstance(node.value, ast.Name) and isinstance(node.slice, ast.Name) and node.slice.id in halves:
                    used.setdefault((self.source.scope(node), node.value.id), {})[node.slice.id] = node
            yield from (Split(n, (n.value,)) for by in used.values() if len(by) > 1 for n in list(by.values())[:1])

    def _of(self, value: ast.expr, cut: Split) -> bool:
        """Whether an expression, or a part of it, is a slice of what is cut."""
        order = ast.unparse(cut.rows[0])
        return any(
            isinstance(n, ast.Subscript) and isinstance(n.slice, ast.Slice) and ast.unparse(n.value) == order
            for n in ([value, *value.elts] if isinstance(value, ast.Tuple) else [value])
        )

    # -- what flows into a split -------------------------------------------------------------------------------------

    def behind(self, split: Split) -> Iterator[ast.expr]:
        """Every expression that takes part in making the rows of a split."""
        waiting, seen = list(split.rows), set()
        while waiting and len(seen) < FAR:
            node = waiting.pop()
            for part in ast.walk(node):
                if isinstance(part, ast.expr) and part not in seen:
                    seen.add(part)
                    yield part
                    waiting += self._makers(part, split)

    def _makers(self, node: ast.expr, split: Split) -> list[ast.expr]:
        if isinstance(node, ast.Call):
            return self.training.results(node)
        if not isinstance(node, ast.Name):
            return []
        return [
            b.value
            for b in self.source.bindings_of(node)
            if b.kind == "assign" and b.value and self._earlier(b, split.node)
        ]

    def _earlier(self, b: Binding, node: ast.expr) -> bool:
        apart = b.scope is not self.source.scope(node)
        return apart or getattr(b.statement, "lineno", 0) < self.source.statement(node).lineno

    def duplicated(self, split: Split) -> ast.expr | None:
        """What puts copies of rows among the rows before they are split; None where nothing does for certain."""
        return next((n for n in self.behind(split) if self._copies_rows(n)), None)

    def _copies_rows(self, node: ast.expr) -> bool:
        if not isinstance(node, ast.Call):
            return False
        name = tail(ast.unparse(node.func))
        if name in ("fit_resample", "fit_sample") and isinstance(node.func, ast.Attribute):
            made = (self.source.full_name(m) or ast.unparse(m) for m in self.training.origins(node.func.value))
            return any(word in m for m in made for word in OVERSAMPLERS)
        if name == "sample" and isinstance(node.func, ast.Attribute):
            return _flag(node, "replace") is True
        if self.source.full_name(node) == "sklearn.utils.resample":
            return _flag(node, "replace") is not False
        if name in REPEATERS and node.args:
            return self._chosen(node.args[0])
        return name in JOINERS and bool(node.args) and not self._sideways(node) and self._joins_copies(node.args[0])

    def _chosen(self, node: ast.expr) -> bool:
        """Rows of one class: `x[y == 1]`."""
        if not isinstance(node, ast.Subscript) or isinstance(node.slice, ast.Slice | ast.Constant):
            return isinstance(node, ast.Name) and any(
                self._chosen(v) for v in self.source.values(node) if v is not node
            )
        values = self.source.values(node.slice)
        return any(isinstance(n, ast.Compare) for v in values for n in ast.walk(v))

    def _sideways(self, node: ast.Call) -> bool:
        given = [k.value for k in node.keywords if k.arg in ("axis", "dim")] or node.args[1:2]
        return any(self.source.number(g) != 0 for g in given)

    def _joins_copies(self, joined: ast.expr) -> bool:
        """`[y, y]`, `[a] + [b] * 5`, `[x, x[rng.choice(...)]]`."""
        if any(isinstance(n, ast.BinOp) and isinstance(n.op, ast.Mult) and _lists(n) for n in ast.walk(joined)):
            return True
        parts = joined.elts if isinstance(joined, ast.List | ast.Tuple) else []
        names = [p.id for p in parts if isinstance(p, ast.Name)]
        return len(names) != len(set(names)) or any(self._drawn(p, set(names)) for p in parts)

    def _drawn(self, part: ast.expr, names: set[str]) -> bool:
        values = [part] if isinstance(part, ast.Subscript) else [v for v in self.source.values(part) if v is not part]
        for value in values:
            if isinstance(value, ast.Subscript) and isinstance(value.value, ast.Name) and value.value.id in names:
                drawn = (n for v in self.source.values(value.slice) for n in ast.walk(v) if isinstance(n, ast.Call))
                if any(
                    tail(ast.unparse(c.func)) in ("choice", "randint") and _flag(c, "replace") is not False
                    for c in drawn
                ):
                    return True
        return False

    def fitted(self, split: Split, package: str) -> ast.Call | None:
        """A `fit` or `fit_transform` of something from a package of sklearn, on rows that are split later."""
        for node in self.behind(split):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "fit_transform"
            ):
                made = (
                    self.source.full_name(m) for m in self.training.origins(node.func.value) if isinstance(m, ast.Call)
                )
                if any(name.startswith(package) for name in made):
                    return node
        return None

    def picked(self, split: Split) -> ast.Call | None:
        """A call that is given rows and labels, both split later, and says which columns of the rows are kept."""
        divided = {r.id for s in self.all for r in s.rows if isinstance(r, ast.Name)}
        for node in self.behind(split):
            match node:
                case ast.Subscript(value=ast.Name(id=rows), slice=ast.Tuple(elts=[ast.Slice(), columns])):
                    makers = (c for v in self.source.values(columns) for c in ast.walk(v) if isinstance(c, ast.Call))
                    for call in makers:
                        given = {a.id for a in call.args if isinstance(a, ast.Name)}
                        if rows in given and (given - {rows}) & divided:
                            return call
        return None

    def training_part(self, split: Split, before: ast.expr) -> str:
        """What stands in the brackets of `rows[...]` for the part to train on, where that is known `before` a call."""
        rows = {r.id for r in split.rows if isinstance(r, ast.Name)}
        for node in self.source.all(ast.Subscript):
            if isinstance(node.value, ast.Name) and node.value.id in rows and self._trains(node):
                names = [n for n in ast.walk(node.slice) if isinstance(n, ast.Name)]
                if all(any(self._earlier(b, before) for b in self.source.bindings_of(n)) for n in names):
                    return ast.unparse(node.slice)
        return ""

    def _trains(self, part: ast.Subscript) -> bool:
        """`x[train]`, or `x_train = x[:800]`."""
        if isinstance(part.slice, ast.Name):
            return bool(words(part.slice.id) & TRAINED_ON)
        statement = self.source.statement(part)
        targets = [ast.unparse(t) for t in statement.targets] if isinstance(statement, ast.Assign) else []
        first = targets[0].strip("()").split(",")[0] if targets else ""
        return isinstance(part.slice, ast.Slice) and part.slice.lower is None and bool(words(first) & TRAINED_ON)

    def halves(self, split: Split) -> tuple[ast.Assign | None, tuple[ast.Name, ...]]:
        """The assignment that names the halves of a split, and those names."""
        statement = self.source.statement(split.node)
        if not isinstance(statement, ast.Assign) or statement.value is not split.node or len(statement.targets) != 1:
            return None, ()
        target = statement.targets[0]
        names = target.elts if isinstance(target, ast.Tuple | ast.List) else []
        return statement, tuple(n for n in names if isinstance(n, ast.Name))


def words(name: str) -> set[str]:
    """The words of a name: `X_test` and `testLoader` both have `test`."""
    spaced = "".join(
        f"_{c.lower()}" if c.isupper() and i and not name[i - 1].isupper() else c.lower() for i, c in enumerate(name)
    )
    return set(spaced.replace(".", "_").split("_"))


def _lists(node: ast.BinOp) -> bool:
    return isinstance(node.left, ast.List) or isinstance(node.right, ast.List)


def _flag(call: ast.Call, name: str) -> bool | None:
    node = next((k.value for k in call.keywords if k.arg == name), None)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, bool) else None
