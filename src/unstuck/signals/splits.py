"""Where rows are divided into those to train on and those to judge by, and what was done to them before."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from unstuck.signals.source import Binding, Source
from unstuck.signals.totals import keyword
from unstuck.signals.training import Training, tail
from unstuck.tape.model import Tape

SPLITTERS = {"train_test_split", "random_split"}
JOINERS = {"concatenate", "cat", "concat", "vstack", "row_stack", "stack"}
REPEATERS = {"repeat", "tile", "repeat_interleave"}
OVERSAMPLERS = ("SMOTE", "ADASYN", "OverSampler")
FAR = 300
"""Expressions that are followed back from a split, at most."""
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
        calls = (c for c in self.source.all(ast.Call) if c.args and _name(c) in SPLITTERS)
        named = (Split(c, tuple(c.args if _name(c) == "train_test_split" else c.args[:1])) for c in calls)
        sliced = tuple(self._sliced())
        return (*named, *sliced, *self._indexed(sliced))

    @cached_property
    def _parts(self) -> tuple[tuple[ast.Subscript, ast.Name], ...]:
        found = self.source.all(ast.Subscript)
        return tuple((n, n.value) for n in found if isinstance(n.value, ast.Name))

    def _sliced(self) -> Iterator[Split]:
        heads: dict[object, ast.Subscript] = {}
        for node, whole in self._parts:
            match node.slice:
                case ast.Slice(lower=None, upper=ast.expr() as cut, step=None):
                    heads[self.source.local(whole), ast.unparse(cut)] = node
                case ast.Slice(lower=ast.expr() as cut, upper=None, step=None):
                    if head := heads.get((self.source.local(whole), ast.unparse(cut))):
                        yield Split(head, (head.value,))

    def _indexed(self, sliced: tuple[Split, ...]) -> Iterator[Split]:
        """`x[first]` and `x[second]`, where the two are the halves of an order that was cut at one place."""
        for cut in sliced:
            order = self.source.local(cut.rows[0])
            halves = {(b.scope, b.name) for b in self.source.bindings if b.value and self._holds(b.value, order)}
            used: dict[object, dict[object, ast.Subscript]] = {}
            for node, whole in self._parts:
                if isinstance(node.slice, ast.Name) and (half := self.source.local(node.slice)) in halves:
                    used.setdefault(self.source.local(whole), {})[half] = node
            firsts = (next(iter(by.values())) for by in used.values() if len(by) > 1)
            yield from (Split(n, (n.value,)) for n in firsts)

    def _holds(self, value: ast.expr, order: object) -> bool:
        """Whether an expression, or an element of it, is a slice of what is cut."""
        parts = [value, *value.elts] if isinstance(value, ast.Tuple) else [value]
        slices = (n for n in parts if isinstance(n, ast.Subscript) and isinstance(n.slice, ast.Slice))
        return any(self.source.local(n.value) == order for n in slices)

    # -- what flows into a split -------------------------------------------------------------------------------------

    def behind(self, split: Split) -> Iterator[ast.expr]:
        """Every expression that takes part in making the rows of a split."""
        waiting, seen = list(split.rows), set()
        while waiting and len(seen) < FAR:
            for part in ast.walk(waiting.pop()):
                if isinstance(part, ast.expr) and part not in seen:
                    seen.add(part)
                    yield part
                    waiting += self._makers(part, split)

    def _makers(self, node: ast.expr, split: Split) -> list[ast.expr]:
        if isinstance(node, ast.Call):
            return self.training.results(node)
        bound = self.source.bindings_of(node) if isinstance(node, ast.Name) else ()
        return [b.value for b in bound if b.kind == "assign" and b.value and self._earlier(b, split.node)]

    def _earlier(self, b: Binding, node: ast.expr) -> bool:
        apart = self.source.scope(b.statement) is not self.source.scope(node)
        return apart or getattr(b.statement, "lineno", 0) < self.source.statement(node).lineno

    def duplicated(self, split: Split) -> ast.expr | None:
        """What puts copies of rows among the rows before they are split; None where nothing does for certain."""
        return next((n for n in self.behind(split) if isinstance(n, ast.Call) and self._copies_rows(n)), None)

    def _copies_rows(self, node: ast.Call) -> bool:
        name, owner = _name(node), node.func.value if isinstance(node.func, ast.Attribute) else None
        if name in ("fit_resample", "fit_sample") and owner is not None:
            made = (self.source.full_name(m) or ast.unparse(m) for m in self.training.origins(owner))
            return any(word in m for m in made for word in OVERSAMPLERS)
        if name == "sample" and owner is not None:
            return _flag(node, "replace") is True
        if self.source.full_name(node) == "sklearn.utils.resample":
            return _flag(node, "replace") is not False
        if name in REPEATERS and node.args:
            return self._chosen(node.args[0])
        return name in JOINERS and bool(node.args) and not self._sideways(node) and self._joins_copies(node.args[0])

    def _chosen(self, node: ast.expr) -> bool:
        """Rows of one class: `x[y == 1]`."""
        if isinstance(node, ast.Name):
            return any(self._chosen(v) for v in self.source.values(node) if v is not node)
        if not isinstance(node, ast.Subscript) or isinstance(node.slice, ast.Slice | ast.Constant):
            return False
        return any(isinstance(n, ast.Compare) for v in self.source.values(node.slice) for n in ast.walk(v))

    def _sideways(self, node: ast.Call) -> bool:
        given = keyword(node, "axis") or keyword(node, "dim") or next(iter(node.args[1:2]), None)
        return given is not None and self.source.number(given) != 0

    def _joins_copies(self, joined: ast.expr) -> bool:
        """`[y, y]`, `[a] + [b] * 5`, `[x, x[rng.choice(...)]]`."""
        products = (n for n in ast.walk(joined) if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Mult))
        if any(isinstance(side, ast.List) for n in products for side in (n.left, n.right)):
            return True
        parts = joined.elts if isinstance(joined, ast.List | ast.Tuple) else []
        names = [p.id for p in parts if isinstance(p, ast.Name)]
        return len(names) != len(set(names)) or any(self._drawn(p, set(names)) for p in parts)

    def _drawn(self, part: ast.expr, names: set[str]) -> bool:
        for value in [part] if isinstance(part, ast.Subscript) else self.source.values(part):
            if isinstance(value, ast.Subscript) and isinstance(value.value, ast.Name) and value.value.id in names:
                calls = (n for v in self.source.values(value.slice) for n in ast.walk(v) if isinstance(n, ast.Call))
                if any(_name(c) in ("choice", "randint") and _flag(c, "replace") is not False for c in calls):
                    return True
        return False

    def fitted(self, split: Split, package: str) -> ast.Call | None:
        """A `fit_transform` of something from a package of sklearn, on rows that are split later."""
        for node in self.behind(split):
            match node:
                case ast.Call(func=ast.Attribute(value=owner, attr="fit_transform")):
                    made = (self.source.full_name(m) for m in self.training.origins(owner) if isinstance(m, ast.Call))
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
        rows = {self.source.local(r) for r in split.rows if isinstance(r, ast.Name)}
        for node, whole in self._parts:
            if self.source.local(whole) in rows and self._trains(node):
                names = [n for n in ast.walk(node.slice) if isinstance(n, ast.Name)]
                if all(any(self._earlier(b, before) for b in self.source.bindings_of(n)) for n in names):
                    return ast.unparse(node.slice)
        return ""

    def _trains(self, part: ast.Subscript) -> bool:
        """`x[train]`, or `x_train = x[:800]`."""
        if isinstance(part.slice, ast.Name):
            return bool(words(part.slice.id) & TRAINED_ON)
        match self.source.statement(part):
            case ast.Assign(targets=[ast.Name(id=first) | ast.Tuple(elts=[ast.Name(id=first), *_]), *_]):
                return isinstance(part.slice, ast.Slice) and not part.slice.lower and bool(words(first) & TRAINED_ON)
        return False

    def halves(self, split: Split) -> tuple[ast.Assign | None, tuple[ast.Name, ...]]:
        """The assignment that names the halves of a split, and those names."""
        match statement := self.source.statement(split.node):
            case ast.Assign(targets=[target], value=value) if value is split.node:
                names = target.elts if isinstance(target, ast.Tuple | ast.List) else []
                return statement, tuple(n for n in names if isinstance(n, ast.Name))  # type: ignore[return-value]
        return None, ()


def words(name: str) -> set[str]:
    """The words of a name: `X_test` and `testLoader` both have `test`."""
    spaced = "".join(
        f"_{c.lower()}" if c.isupper() and i and not name[i - 1].isupper() else c.lower() for i, c in enumerate(name)
    )
    return set(spaced.replace(".", "_").split("_"))


def _name(call: ast.Call) -> str:
    return tail(ast.unparse(call.func))


def _flag(call: ast.Call, name: str) -> bool | None:
    node = keyword(call, name)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, bool) else None
