"""The person's files as Python sees them: scopes, loops, names, and what a name was given.

A reading of the text alone, by the standard library's syntax tree: nothing is run, nothing is imported. Where the text
leaves a thing open (two assignments, a name from elsewhere), the answers say so by being empty or by being several.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from unstuck.diagnosis.model import NotApplicable, Site
from unstuck.source.text import Page, Sources
from unstuck.tape.model import Tape

Node = TypeVar("Node", bound=ast.AST)
Function = ast.FunctionDef | ast.AsyncFunctionDef
Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef
Loop = ast.For | ast.AsyncFor | ast.While | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp

LOOPS = (ast.For, ast.AsyncFor, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
SCOPES = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef)
COMMON = {
    "step",
    "train",
    "eval",
    "forward",
    "backward",
    "zero_grad",
    "to",
    "parameters",
    "state_dict",
    "close",
    "update",
}
"""Method names that torch uses too: a call of one is somebody's own method only where its owner is known."""


@dataclass(frozen=True, eq=False)
class Binding:
    """One place where a name (or `self.x`, or `totals["train"]`) gets a value."""

    name: str
    scope: Scope
    statement: ast.AST
    value: ast.expr | None
    """The expression it is given; the whole right side where that is unpacked."""
    item: int = -1
    """Which item of an unpacked right side."""
    kind: str = "assign"
    """assign, add (`+=` and its like), loop, with, parameter."""


class Source:
    """The person's sources, read."""

    def __init__(self, files: dict[str, str], main: str = "") -> None:
        sources = Sources(dict(files), main)
        self.pages: dict[str, Page] = {place.file: place.page for place in sources.pages()}
        self.main = main
        self._file = {node: file for file, page in self.pages.items() for node in ast.walk(page.tree)}

    @classmethod
    def read(cls, tape: Tape) -> Source:
        """Of the texts on a tape; raises NotApplicable where there is none that Python can read."""
        source = cls(tape.sources, tape.script)
        if not source.pages:
            raise NotApplicable("the script's text is not on the tape")
        return source

    @classmethod
    def of(cls, sources: Sources) -> Source:
        """Of sources that are being edited."""
        return cls(sources.files, sources.main)

    # -- places ------------------------------------------------------------------------------------------------------

    def all(self, kind: type[Node], within: ast.AST | Iterable[ast.AST] | None = None) -> Iterator[Node]:
        """The nodes of a kind, file by file, as they stand in the text; or those within a node (or several)."""
        if isinstance(within, ast.AST):
            yield from self.page(within).all(kind, within)
            return
        for part in (p.tree for p in self.pages.values()) if within is None else within:
            yield from self.all(kind, part)

    def file(self, node: ast.AST) -> str:
        """The file a node stands in."""
        return self._file[node]

    def page(self, node: ast.AST) -> Page:
        """The parsed file a node stands in."""
        return self.pages[self._file[node]]

    def code(self, node: ast.AST) -> str:
        """A node's text."""
        return self.page(node).code(node)

    def site(self, node: ast.AST) -> Site:
        """A node's place, as a finding names it."""
        scope = self.scope(node)
        name = "" if isinstance(scope, ast.Module) else scope.name
        line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
        last, end = getattr(node, "end_lineno", line), getattr(node, "end_col_offset", -1)
        return Site(self.file(node), line, column, last, end, name)

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes around a node, from the inside out."""
        return self.page(node).above(node)

    def inside(self, node: ast.AST, outer: ast.AST) -> bool:
        """Whether one node is another or stands within it."""
        return node is outer or outer in self.above(node)

    def statement(self, node: ast.AST) -> ast.stmt:
        """The statement a node is part of."""
        return self.page(node).statement(node)

    def scope(self, node: ast.AST) -> Scope:
        """The function (or the file) whose names a node uses."""
        if isinstance(node, ast.Module):
            return node
        return next(n for n in self.above(node) if isinstance(n, SCOPES))

    def own(self, kind: type[Node], scope: ast.AST) -> Iterator[Node]:
        """The nodes of a kind in a scope or a statement, those of functions defined within it left out."""
        home = scope if isinstance(scope, SCOPES) else self.scope(scope)
        return (n for n in self.all(kind, scope) if n is not scope and self.scope(n) is home)

    def loops(self, node: ast.AST) -> tuple[Loop, ...]:
        """The loops around a node in its own scope, from the inside out."""
        found, inner = [], node
        for outer in self.above(node):
            if isinstance(outer, SCOPES):
                break
            if isinstance(outer, LOOPS) and _repeats(outer, inner):
                found.append(outer)
            inner = outer
        return tuple(found)

    # -- names -------------------------------------------------------------------------------------------------------

    @cached_property
    def _imports(self) -> dict[str, dict[str, str]]:
        return {file: _imported(page.tree) for file, page in self.pages.items()}

    def full_name(self, node: ast.AST) -> str:
        """An expression's dotted name through the imports: `F.relu` is `torch.nn.functional.relu`; "" if none."""
        if isinstance(node, ast.Call):
            return self.full_name(node.func)
        if isinstance(node, ast.Name):
            return self._imports[self.file(node)].get(node.id, "")
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            owner = self.full_name(node.value)
            return f"{owner}.{node.attr}" if owner else ""
        return ""

    @cached_property
    def bindings(self) -> tuple[Binding, ...]:
        """Every place in the files where something gets a value."""
        return tuple(b for page in self.pages.values() for node in ast.walk(page.tree) for b in self._bound(node))

    @cached_property
    def _by_name(self) -> dict[tuple[Scope, str], list[Binding]]:
        table: dict[tuple[Scope, str], list[Binding]] = {}
        for b in self.bindings:
            table.setdefault((b.scope, b.name), []).append(b)
        return table

    @cached_property
    def _by_attribute(self) -> dict[str, list[Binding]]:
        table: dict[str, list[Binding]] = {}
        for b in self.bindings:
            if b.name.startswith("self."):
                table.setdefault(b.name, []).append(b)
        return table

    def bound(self, name: str, scope: Scope) -> tuple[Binding, ...]:
        """Where a name gets values in a scope."""
        return tuple(self._by_name.get((scope, name), ()))

    def bindings_of(self, node: ast.expr) -> tuple[Binding, ...]:
        """Where the name (or `self.x`) that an expression reads got its values: in the nearest scope that has any."""
        name = ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute | ast.Subscript) else ""
        if name.startswith("self."):
            return tuple(self._by_attribute.get(name, ()))
        scope: Scope | None = self.scope(node)
        while name and scope is not None:
            if found := self.bound(name, scope):
                return found
            scope = None if isinstance(scope, ast.Module) else self.scope(scope)
        return ()

    def values(self, node: ast.expr) -> tuple[ast.expr, ...]:
        """The expressions a name was given; the expression itself where it is none (or was given nothing plain)."""
        found = [b for b in self.bindings_of(node) if b.kind == "assign" and b.value is not None and b.item < 0]
        return tuple(b.value for b in found if b.value) or (node,)

    def value(self, node: ast.expr) -> ast.expr:
        """The one expression a name was given; the expression itself where there is none or are several."""
        found = self.values(node)
        return found[0] if len(found) == 1 and len(self.bindings_of(node)) <= 1 else node

    def latest(self, node: ast.expr) -> Binding | None:
        """The binding of a name that stands last before it in its own scope; the last of all where none does."""
        bound = self.bound(ast.unparse(node), self.scope(node))
        before = [b for b in bound if self.page(node).span(b.statement)[1] <= self.page(node).span(node)[0]]
        around = [b for b in bound if b.kind in ("loop", "with", "parameter") and b.statement in self.above(node)]
        return max(before or around or bound, key=lambda b: self.page(node).span(b.statement), default=None)

    def number(self, node: ast.expr | None) -> float | None:
        """The number an expression is, by itself or through one assignment of a literal."""
        if node is None:
            return None
        try:
            found = ast.literal_eval(self.value(node))
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            return None
        return found if isinstance(found, int | float) and not isinstance(found, bool) else None

    def _bound(self, node: ast.AST) -> Iterator[Binding]:
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    yield from self._unpacked(target, value, node, "assign")
            case ast.AnnAssign(target=target, value=value) if value is not None:
                yield from self._unpacked(target, value, node, "assign")
            case ast.NamedExpr(target=target, value=value):
                yield from self._unpacked(target, value, node, "assign")
            case ast.AugAssign(target=target, value=value):
                yield from self._unpacked(target, value, node, "add")
            case ast.For(target=target, iter=value) | ast.AsyncFor(target=target, iter=value):
                yield from self._unpacked(target, value, node, "loop")
            case ast.comprehension(target=target, iter=value):
                yield from self._unpacked(target, value, node, "loop")
            case ast.withitem(optional_vars=target, context_expr=value) if target is not None:
                yield from self._unpacked(target, value, node, "with")
            case ast.FunctionDef(args=args) | ast.AsyncFunctionDef(args=args):
                for i, arg in enumerate([*args.posonlyargs, *args.args, *args.kwonlyargs]):
                    yield Binding(arg.arg, node, node, None, i, "parameter")

    def _unpacked(self, target: ast.expr, value: ast.expr, node: ast.AST, kind: str) -> Iterator[Binding]:
        if isinstance(target, ast.Name | ast.Attribute | ast.Subscript):
            yield Binding(ast.unparse(target), self.scope(node), node, value, -1, kind)
        elif isinstance(target, ast.Tuple | ast.List):
            same = isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts) and kind == "assign"
            for i, part in enumerate(target.elts):
                if same and isinstance(value, ast.Tuple | ast.List):
                    yield from self._unpacked(part, value.elts[i], node, kind)
                else:
                    yield from (
                        Binding(b.name, b.scope, node, value, i, kind) for b in self._unpacked(part, value, node, kind)
                    )

    # -- functions and their callers ---------------------------------------------------------------------------------

    @cached_property
    def functions(self) -> dict[str, list[Function]]:
        """The person's functions and methods by name."""
        table: dict[str, list[Function]] = {}
        for node in (*self.all(ast.FunctionDef), *self.all(ast.AsyncFunctionDef)):
            table.setdefault(node.name, []).append(node)
        return table

    @cached_property
    def _calls(self) -> dict[ast.Call, tuple[Function, ...]]:
        return {call: found for call in self.all(ast.Call) if (found := tuple(self._called(call)))}

    def called(self, call: ast.Call) -> tuple[Function, ...]:
        """The person's own functions that a call may enter (a function handed over as an argument counts)."""
        return self._calls.get(call, ())

    def callers(self, function: Function) -> tuple[ast.Call, ...]:
        """The calls that may enter a function, from outside of itself."""
        return tuple(c for c, found in self._calls.items() if function in found and not self.inside(c, function))

    def owner_class(self, node: ast.AST) -> ast.ClassDef | None:
        """The class whose body a function (or a node in it) stands in."""
        return next((n for n in (node, *self.above(node)) if isinstance(n, ast.ClassDef)), None)

    def class_of(self, node: ast.expr) -> ast.ClassDef | None:
        """The person's own class that an expression is an instance of, as far as the text says so."""
        if isinstance(node, ast.Name) and node.id == "self":
            return self.owner_class(node)
        made = [m for v in self.values(node) for m in self._constructs(v)]
        return made[0] if made and all(m is made[0] for m in made) else None

    def _constructs(self, value: ast.expr) -> Iterator[ast.ClassDef]:
        while (
            isinstance(value, ast.Call)
            and isinstance(value.func, ast.Attribute)
            and isinstance(value.func.value, ast.Call)
        ):
            value = value.func.value  # Net(...).to(device)
        name = value.func.id if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) else ""
        yield from (c for c in self.all(ast.ClassDef) if c.name == name)

    def _called(self, call: ast.Call) -> Iterator[Function]:
        if isinstance(call.func, ast.Name):
            yield from (f for f in self.functions.get(call.func.id, ()) if not self._is_method(f))
            yield from (f for f in self.functions.get("__init__", ()) if self._builds(f, call.func.id))
        elif isinstance(call.func, ast.Attribute) and not self.full_name(call.func):
            methods = [f for f in self.functions.get(call.func.attr, ()) if self._is_method(f)]
            owner = self.class_of(call.func.value) if methods else None
            known = [f for f in methods if self.owner_class(f) is owner]
            yield from known or (methods if owner is None and call.func.attr not in COMMON else ())
        for argument in (*call.args, *(k.value for k in call.keywords)):
            if isinstance(argument, ast.Name):
                yield from (f for f in self.functions.get(argument.id, ()) if not self._is_method(f))

    def _builds(self, init: Function, name: str) -> bool:
        owner = self.owner_class(init)
        return owner is not None and owner.name == name

    def _is_method(self, function: Function) -> bool:
        return isinstance(self.page(function).parents.get(function), ast.ClassDef)


def _repeats(loop: ast.AST, inner: ast.AST) -> bool:
    # The right side of `for x in f():` is run once; so is what stands after `else`.
    if isinstance(loop, ast.For | ast.AsyncFor | ast.While):
        return inner in loop.body
    return not isinstance(inner, ast.comprehension)


def _imported(tree: ast.AST) -> dict[str, str]:
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {
                a.asname or a.name.split(".")[0]: a.name if a.asname else a.name.split(".")[0] for a in node.names
            }
        elif isinstance(node, ast.ImportFrom):
            names |= {a.asname or a.name: f"{node.module or ''}.{a.name}" for a in node.names}
    return names
