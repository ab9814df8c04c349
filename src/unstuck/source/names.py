"""The names of the person's files: what each means through the imports, what binds it, which functions bear it."""

from __future__ import annotations

import ast
import sys
from functools import cached_property

from unstuck.source.files import Files
from unstuck.source.scopes import Binding, Function, Scope, scopes
from unstuck.source.text import Page


class Names(Files):
    """Files with their names."""

    def full_name(self, node: ast.AST) -> str:
        """An expression's dotted name through the imports: `F.relu` is `torch.nn.functional.relu`; "" if none."""
        node = node.func if isinstance(node, ast.Call) else node
        return scopes(self.page(node)).full_name(node)

    @cached_property
    def bindings(self) -> tuple[Binding, ...]:
        """Every place in the files where something gets a value."""
        found = (b for page in self.pages.values() for b in scopes(page).bindings)
        return tuple(b for b in found if b.statement not in self.unread)

    def bound(self, name: str, scope: Scope) -> tuple[Binding, ...]:
        """Where a name that lives in a scope gets values."""
        return scopes(self.page(scope)).bound(name, scope)

    def local(self, node: ast.AST) -> tuple[Scope, str] | None:
        """The scope and the name of a variable as its own function writes it: of `self.x`, the method's."""
        return scopes(self.page(node)).variable(node)

    @cached_property
    def attributes(self) -> dict[tuple[ast.ClassDef | None, str], list[Binding]]:
        """Bindings of attributes by class and name; under None those of all objects."""
        table: dict[tuple[ast.ClassDef | None, str], list[Binding]] = {}
        for b in self.bindings:
            owner, _, attr = b.name.rpartition(".")
            if isinstance(b.scope, ast.ClassDef) and not owner:
                table.setdefault((b.scope, attr), []).append(b)
            elif owner and attr.isidentifier():
                table.setdefault((None, attr), []).append(b)
                if (cls := self.class_of_self(b.scope, owner)) is not None:
                    table.setdefault((cls, attr), []).append(b)
        return table

    def class_of_self(self, scope: ast.AST, name: str) -> ast.ClassDef | None:
        """The class whose method a scope is, where a name is that method's first parameter."""
        around = self.page(scope).parents.get(scope) if isinstance(scope, Function) else None
        first = [a.arg for a in (*scope.args.posonlyargs, *scope.args.args)][:1] if isinstance(scope, Function) else []
        return around if isinstance(around, ast.ClassDef) and first == [name] else None

    def exported(self, full: str) -> tuple[Page, str] | None:
        """The person's file and the name in it that an import means."""
        module, _, name = full.rpartition(".")
        if not module or module.partition(".")[0] in sys.stdlib_module_names:
            return None
        path = "/" + module.replace(".", "/")
        found = (p for f, p in self.pages.items() if f"/{f}".endswith((f"{path}.py", f"{path}/__init__.py")))
        page = next(found, None)
        return (page, name) if page is not None else None

    def starred(self, node: ast.Name) -> tuple[Binding, ...]:
        """What binds a name in a file of the person's from which `*` is imported."""
        found = (self.exported(f"{module}.{node.id}") for module in scopes(self.page(node)).stars)
        return next((scopes(o[0]).bound(o[1], o[0].tree) for o in found if o is not None), ())

    @cached_property
    def functions(self) -> dict[str, list[Function]]:
        """The person's functions and methods by name."""
        table: dict[str, list[Function]] = {}
        for node in (*self.all(ast.FunctionDef), *self.all(ast.AsyncFunctionDef)):
            table.setdefault(node.name, []).append(node)
        return table

    def method(self, cls: ast.ClassDef, name: str) -> Function | None:
        """A class's own method."""
        return next((n for n in cls.body if isinstance(n, Function) and n.name == name), None)

    def returned(self, function: Function) -> list[ast.expr]:
        """The expressions that a function returns."""
        return [r.value for r in self.own(ast.Return, function) if r.value is not None]

    def is_method(self, function: Function) -> bool:
        return isinstance(self.page(function).parents.get(function), ast.ClassDef)


def argument_for(call: ast.Call, function: Function, name: str) -> ast.expr | None:
    """What a call hands over for a parameter, by place or by name."""
    names = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
    at = names.index(name) - (names[:1] == ["self"]) if name in names else -1
    by_place = call.args[at] if 0 <= at < len(call.args) else None
    by_name = next((k.value for k in call.keywords if k.arg == name), None)
    return by_name or (by_place if not isinstance(by_place, ast.Starred) else None)


def is_property(function: Function) -> bool:
    """Whether a method is read as an attribute."""
    return any(ast.unparse(d).endswith("property") for d in function.decorator_list)


def default_of(function: Function, name: str) -> list[ast.expr]:
    """The default of a parameter, where it has one."""
    args = function.args
    placed = [a.arg for a in (*args.posonlyargs, *args.args)]
    named = zip([a.arg for a in args.kwonlyargs], args.kw_defaults, strict=True)
    defaults = dict(zip(reversed(placed), reversed(args.defaults), strict=False)) | {n: d for n, d in named if d}
    return [defaults[name]] if name in defaults else []
