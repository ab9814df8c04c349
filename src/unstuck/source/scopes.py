"""The scopes of one file, and what binds the names in them, by the standard library's own symbol table.

`symtable` is what the compiler itself uses, so the answers are Python's: a comprehension and a lambda have names of
their own, a class body is not seen from its methods, `global` and `nonlocal` bind elsewhere, and a name that is bound
anywhere in a function is local in all of it.
"""

from __future__ import annotations

import ast
import symtable
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from unstuck.source.text import Page

Function = ast.FunctionDef | ast.AsyncFunctionDef
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
Scope = ast.Module | Function | ast.Lambda | ast.ClassDef | Comprehension

TABLES = {ast.Lambda: "lambda", ast.ListComp: "listcomp", ast.SetComp: "setcomp", ast.DictComp: "dictcomp"}
TABLES |= {ast.GeneratorExp: "genexpr"}
"""Names that the symbol table gives to scopes without a name."""


@dataclass(frozen=True, eq=False)
class Binding:
    """One place where a name (or `self.x`, or `totals["train"]`) gets a value."""

    name: str
    scope: Scope
    """The scope in which the name lives: of `self.x`, that of `self`; after `global x`, the module."""
    statement: ast.AST
    value: ast.expr | None
    """The expression it is given; the whole right side where that is unpacked."""
    item: int = -1
    """Which item of an unpacked right side."""
    kind: str = "assign"
    """assign, add (`+=` and its like), loop, with, parameter, def (a function or a class), import, other."""
    origin: str = ""
    """The full name of what an import binds: `torch.nn.functional`."""


class Scopes:
    """The scopes of a file: which scope an expression belongs to, where a name of it lives, and what binds it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._scope: dict[ast.AST, Scope] = {}
        self._taken: set[int] = set()
        self._tables: dict[ast.AST, symtable.SymbolTable | None] = {page.tree: _table(page.text)}
        waiting: list[tuple[ast.AST, Scope]] = [(page.tree, page.tree)]
        while waiting:
            node, scope = waiting.pop()
            self._scope[node] = scope
            outside, inside = _parts(node)
            if inside:
                self._tables[node] = self._child(self._tables.get(scope), node)
            further = [(n, scope) for n in outside] + [(n, node) for n in inside]
            waiting += reversed(further)  # type: ignore[arg-type]

    def _child(self, table: symtable.SymbolTable | None, node: ast.AST) -> symtable.SymbolTable | None:
        # Two lambdas on one line are told apart by their order, which is the same in the tree and in the table.
        name, line = TABLES.get(type(node)) or getattr(node, "name", ""), getattr(node, "lineno", 0)
        for child in _children(table) if table is not None else ():
            if (child.get_name().strip("<>"), child.get_lineno()) == (name, line) and child.get_id() not in self._taken:
                self._taken.add(child.get_id())
                return child
        return None

    def of(self, node: ast.AST) -> Scope:
        """The scope whose names an expression uses; a function's defaults and decorators use those around it."""
        return self._scope.get(node, self.page.tree)

    def home(self, name: str, scope: Scope) -> Scope:
        """The scope in which a name lives that is used in `scope`: the module's where it is global or built in."""
        at = scope
        while not isinstance(at, ast.Module):
            symbol = _symbol(self._tables.get(at), name)
            if symbol is not None and (at is scope or not isinstance(at, ast.ClassDef)):
                if symbol.is_global():
                    break
                if symbol.is_local():
                    return at
            at = self.of(at)
        return self.page.tree

    def variable(self, node: ast.AST) -> tuple[Scope, str] | None:
        """The scope and the name of what a name, a dotted name or an item with a constant key stands for."""
        first = node
        while isinstance(first, ast.Attribute | ast.Subscript):
            first = first.value
        if not isinstance(first, ast.Name):
            return None
        name = first.id if first is node else ast.unparse(node)
        return self.home(first.id, self.of(first)), name

    # -- what binds names --------------------------------------------------------------------------------------------

    @cached_property
    def bindings(self) -> tuple[Binding, ...]:
        """Everything that gives something a value, in the order of the text."""
        found = [(self.page.span(_place(b.statement)), b) for n in self._scope for b in self._bound(n)]
        return tuple(b for _, b in sorted(found, key=lambda one: one[0]))

    @cached_property
    def _by_name(self) -> dict[tuple[Scope, str], list[Binding]]:
        table: dict[tuple[Scope, str], list[Binding]] = {}
        for b in self.bindings:
            table.setdefault((b.scope, b.name), []).append(b)
        return table

    def bound(self, name: str, scope: Scope) -> tuple[Binding, ...]:
        """What binds a name that lives in a scope."""
        return tuple(self._by_name.get((scope, name), ()))

    def bindings_of(self, node: ast.AST) -> tuple[Binding, ...]:
        """What binds the name (or `totals["train"]`) that an expression reads."""
        variable = self.variable(node)
        return self.bound(variable[1], variable[0]) if variable else ()

    def reaching(self, node: ast.expr) -> Binding | None:
        """The binding that an expression most likely reads: the last before it in its own scope, else the last."""
        bound = [b for b in self.bindings_of(node) if not _is_none(b.value)]
        own = len(bound) > 1 and self.of(bound[0].statement) is self.of(node)
        before = [b for b in bound if self.page.span(b.statement)[1] <= self.page.span(node)[0]] if own else []
        return (before or bound or [None])[-1]

    def full_name(self, node: ast.AST) -> str:
        """A dotted name through the imports: `F.relu` is `torch.nn.functional.relu`; "" where no import binds it."""
        if isinstance(node, ast.Name):
            b = self.reaching(node)
            return b.origin if b is not None else self._starred(node.id)
        if isinstance(node, ast.Attribute):
            owner = self.full_name(node.value)
            return f"{owner}.{node.attr}" if owner else ""
        return ""

    @cached_property
    def stars(self) -> tuple[str, ...]:
        """The modules of `from ... import *`, the last first."""
        found = (n for n in self._scope if isinstance(n, ast.ImportFrom) and n.names[0].name == "*")
        return tuple(n.module or "" for n in found)[::-1]

    def _starred(self, name: str) -> str:
        # Asked of modules that are loaded anyway: nothing is imported for it.
        return next((f"{m}.{name}" for m in self.stars if hasattr(sys.modules.get(m), name)), "")

    def _bound(self, node: ast.AST) -> Iterator[Binding]:
        scope = self.of(node)
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    yield from self._unpacked(target, value, node, "assign")
            case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.NamedExpr(target=target, value=value):
                yield from self._unpacked(target, value, node, "assign")
            case ast.AugAssign(target=target, value=value):
                yield from self._unpacked(target, value, node, "add")
            case ast.For(target=target, iter=value) | ast.AsyncFor(target=target, iter=value):
                yield from self._unpacked(target, value, node, "loop")
            case ast.comprehension(target=target, iter=value):
                yield from self._unpacked(target, value, node, "loop")
            case ast.withitem(optional_vars=ast.expr() as target, context_expr=value):
                yield from self._unpacked(target, value, node, "with")
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                parameters = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                for i, arg in enumerate([*parameters, *filter(None, (node.args.vararg, node.args.kwarg))]):
                    yield Binding(arg.arg, node, node, None, i, "parameter")
                if not isinstance(node, ast.Lambda):
                    yield Binding(node.name, self.home(node.name, scope), node, None, kind="def")
            case ast.ClassDef(name=name):
                yield Binding(name, self.home(name, scope), node, None, kind="def")
            case ast.Import() | ast.ImportFrom():
                for local, origin in imports(node):
                    yield Binding(local, self.home(local, scope), node, None, kind="import", origin=origin)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield Binding(name, self.home(name, scope), node, None, kind="other")

    def _unpacked(
        self, target: ast.expr, value: ast.expr, node: ast.AST, kind: str, item: int = -1
    ) -> Iterator[Binding]:
        if isinstance(target, ast.Tuple | ast.List):
            rows = value.elts if isinstance(value, ast.Tuple | ast.List) and kind == "assign" and item < 0 else []
            same = len(rows) == len(target.elts)
            for i, part in enumerate(target.elts):
                at = -1 if same else i if item < 0 else item
                yield from self._unpacked(part, rows[i] if same else value, node, kind, at)
        elif isinstance(target, ast.Starred):
            yield from self._unpacked(target.value, value, node, "other", item)
        elif (variable := self.variable(target)) is not None:
            yield Binding(variable[1], variable[0], node, value, item, kind)
        else:
            yield Binding(ast.unparse(target), self.of(target), node, value, item, kind)


@lru_cache(maxsize=64)
def scopes(page: Page) -> Scopes:
    """A page's scopes, built once."""
    return Scopes(page)


def imports(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    """Local and full name of what an import binds: `("nn", "torch.nn")`."""
    for alias in node.names:
        if isinstance(node, ast.ImportFrom):
            if alias.name != "*":
                yield alias.asname or alias.name, f"{node.module or ''}.{alias.name}"
        elif alias.asname:
            yield alias.asname, alias.name
        else:
            yield alias.name.partition(".")[0], alias.name.partition(".")[0]


def _parts(node: ast.AST) -> tuple[list[ast.AST], list[ast.AST]]:
    """A node's children: those of the scope around it, and those of the scope that it opens."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
            args = [n for n in ast.iter_child_nodes(node.args) if isinstance(n, ast.arg)]
            defaults = [n for n in ast.iter_child_nodes(node.args) if isinstance(n, ast.expr)]
            notes = [a.annotation for a in args if a.annotation]
            around = [*getattr(node, "decorator_list", []), *filter(None, [getattr(node, "returns", None)])]
            body = node.body if isinstance(node.body, list) else [node.body]
            return [*defaults, *notes, *around], [*args, *body]
        case ast.ClassDef():
            return [*node.decorator_list, *node.bases, *node.keywords], list(node.body)
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            first = node.generators[0].iter
            turns = [n for g in node.generators for n in (g, g.target, g.iter, *g.ifs) if n is not first]
            return [first], [*turns, *(n for n in ast.iter_child_nodes(node) if not isinstance(n, ast.comprehension))]
        case ast.arg():
            return [], []  # its annotation belongs to the scope around the function
        case ast.comprehension():
            return [], []  # its parts are the comprehension's
    return list(ast.iter_child_nodes(node)), []


def _table(text: str) -> symtable.SymbolTable | None:
    try:
        return symtable.symtable(text.replace("\ufeff", " ", 1) if text.startswith("\ufeff") else text, "", "exec")
    except (SyntaxError, ValueError, RecursionError):
        return None  # `nonlocal` at the top, and other texts that can be parsed and not run


def _children(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    for child in table.get_children():
        if str(child.get_type()) in ("function", "class"):
            yield child
        else:
            yield from _children(child)  # type parameters have a scope around the function's own


def _symbol(table: symtable.SymbolTable | None, name: str) -> symtable.Symbol | None:
    try:
        return table.lookup(name) if table is not None else None
    except KeyError:
        return None


def _place(statement: ast.AST) -> ast.AST:
    # A turn of a comprehension and an item of a `with` have no place of their own in the tree: their names have.
    return getattr(statement, "target", None) or getattr(statement, "optional_vars", None) or statement


def _is_none(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is None
