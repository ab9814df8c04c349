"""What a name in the person's source stands for: assignments, attributes, parameters and returns, followed by the text.

No code is run. Where several values are possible all are given, in the order in which they stand.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.remedies._names import full_name
from unstuck.source.text import Place, Sources

SAME = {"to", "cuda", "cpu", "double", "float", "half", "bfloat16", "train", "eval", "requires_grad_", "type", "apply"}
"""Methods that give back the module they are called on."""
SHELLS = {"torch.compile", "torch.nn.DataParallel", "torch.nn.parallel.DistributedDataParallel", "torch.jit.script"}
DEPTH = 8


def meant(sources: Sources, place: Place, seen: frozenset[ast.AST] = frozenset()) -> list[Place]:
    """What an expression stands for: calls that construct, literals, lambdas; itself where it cannot be followed."""
    seen = seen | {place.node}
    further = [v for v in _next(sources, place) if v.node not in seen] if len(seen) < DEPTH else []
    found = [p for v in further for p in meant(sources, v, seen)]
    return list(dict.fromkeys(found)) or [place]


def _next(sources: Sources, place: Place) -> list[Place]:
    match place.node:
        case ast.Name():
            return list(_named(sources, place, place.node.id))
        case ast.Attribute(value=owner, attr=attr):
            if full_name(place.page, place.node):
                return []
            return list(attributes(sources, place, attr)) or list(_setting(sources, place.of(owner), attr))
        case ast.Subscript(value=owner, slice=ast.Constant(value=str(key))):
            return list(_setting(sources, place.of(owner), key))
        case ast.Call(func=ast.Attribute(value=owner, attr=attr)) if attr in SAME and not full_name(place.page, owner):
            return [place.of(owner)]
        case ast.Call(func=func, args=[inner, *_]) if full_name(place.page, func) in SHELLS:
            return [place.of(inner)]
        case ast.Call(func=func):
            return [v for f in functions(sources, place.of(func)) for v in returned(f)]
    return []


def _setting(sources: Sources, owner: Place, name: str) -> Iterator[Place]:
    """What a table of settings holds under a name: a dict, a namespace, a dataclass, the options of a command line."""
    for table in meant(sources, owner):
        match table.node:
            case ast.Dict(keys=keys, values=values):
                named = (
                    v for k, v in zip(keys, values, strict=True) if isinstance(k, ast.Constant) and k.value == name
                )
                yield from map(table.of, named)
            case ast.Call(func=ast.Attribute(attr="parse_args" | "parse_known_args")):
                yield from _option(sources, name)
            case ast.Call(keywords=keywords) if not full_name(table.page, table.node.func).startswith("torch."):
                given = [table.of(k.value) for k in keywords if k.arg == name]
                yield from given or (d for c in classes(sources, table) for d in _default(c, name))


def _option(sources: Sources, name: str) -> Iterator[Place]:
    for call in calls_of(sources, "add_argument"):
        assert isinstance(call.node, ast.Call)
        words = [a.value for a in call.node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        if name in {word.lstrip("-").replace("-", "_") for word in words}:
            yield from (call.of(k.value) for k in call.node.keywords if k.arg == "default")


def _default(owner: Place, name: str) -> Iterator[Place]:
    assert isinstance(owner.node, ast.ClassDef)
    for statement in owner.node.body:
        match statement:
            case (
                ast.AnnAssign(target=ast.Name(id=n), value=value) | ast.Assign(targets=[ast.Name(id=n)], value=value)
            ) if n == name and value is not None:
                yield owner.of(value)


def _named(sources: Sources, place: Place, name: str) -> Iterator[Place]:
    scope = place.page.function(place.node)
    while scope is not None:
        inside = list(assigned(place.of(scope), name))
        if inside or _is_parameter(scope, name):
            yield from inside or arguments(sources, place.of(scope), name)
            return
        scope = place.page.function(scope)
    yield from assigned(place.of(place.page.tree), name)


def assigned(scope: Place, name: str) -> Iterator[Place]:
    """The values given to a name in a function or at the top of a file, as expressions."""
    page = scope.page
    inner = scope.node if isinstance(scope.node, ast.FunctionDef) else None
    for statement in page.all(ast.stmt, scope.node):
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value and page.function(statement) is inner:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                if (value := _part(target, statement.value, name)) is not None:
                    yield scope.of(value)


def _part(target: ast.expr, value: ast.expr, name: str, kind: type = ast.Name) -> ast.expr | None:
    """What of a value an assignment's target of that name gets."""
    if isinstance(target, kind):
        return value if name in (getattr(target, "id", ""), getattr(target, "attr", "")) else None
    if isinstance(target, ast.Tuple | ast.List) and isinstance(value, ast.Tuple | ast.List):
        parts = (_part(t, v, name, kind) for t, v in zip(target.elts, value.elts, strict=False))
        return next((p for p in parts if p is not None), None)
    return None


def attributes(sources: Sources, place: Place, attr: str) -> Iterator[Place]:
    """The values given to an attribute of that name: in the place's own class where it has one, else anywhere."""
    own = place.page.around(place.node, ast.ClassDef)
    of_self = (
        isinstance(place.node, ast.Attribute)
        and isinstance(place.node.value, ast.Name)
        and place.node.value.id == "self"
    )
    here = list(_set_in(place.of(own), attr)) if own and of_self else []
    yield from here or (v for whole in sources.pages() for v in _set_in(whole, attr))


def _set_in(scope: Place, attr: str) -> Iterator[Place]:
    for statement in scope.page.all(ast.Assign, scope.node):
        for target in statement.targets:
            if (value := _part(target, statement.value, attr, ast.Attribute)) is not None:
                yield scope.of(value)


def _is_parameter(function: ast.FunctionDef, name: str) -> bool:
    return name in {a.arg for a in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)}


def arguments(sources: Sources, function: Place, name: str) -> Iterator[Place]:
    """What a function's callers give for one of its parameters (else its default)."""
    node = function.node
    assert isinstance(node, ast.FunctionDef)
    names = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
    owner = function.page.parents.get(node)
    called = owner.name if isinstance(owner, ast.ClassDef) and node.name == "__init__" else node.name
    at = names.index(name) - isinstance(owner, ast.ClassDef) if name in names else -1
    given = [v for c in calls_of(sources, called) if (v := _given(c, name, at)) is not None]
    defaults = dict(zip(reversed(names), reversed(node.args.defaults), strict=False))
    yield from given or ([function.of(defaults[name])] if name in defaults else [])


def _given(call: Place, name: str, at: int) -> Place | None:
    node = call.node
    assert isinstance(node, ast.Call)
    by_name = next((k.value for k in node.keywords if k.arg == name), None)
    value = by_name or (node.args[at] if 0 <= at < len(node.args) else None)
    return call.of(value) if value is not None else None


def calls_of(sources: Sources, name: str) -> Iterator[Place]:
    """The calls of a function, class or method of that name, in all files."""
    for whole in sources.pages():
        for call in whole.page.all(ast.Call):
            last = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            if last == name:
                yield whole.of(call)


def functions(sources: Sources, place: Place) -> list[Place]:
    """The person's own function that an expression names, where it is one."""
    name = place.node.attr if isinstance(place.node, ast.Attribute) else getattr(place.node, "id", "")
    if full_name(place.page, place.node).startswith("torch."):
        return []
    return [w.of(f) for w in sources.pages() for f in w.page.all(ast.FunctionDef) if f.name == name][:1]


def classes(sources: Sources, place: Place) -> list[Place]:
    """The person's own class that an instance (`model`) or a construction (`Net(3)`) is of."""
    names = {_last(p.node.func) for p in meant(sources, place) if isinstance(p.node, ast.Call)}
    return [w.of(c) for w in sources.pages() for c in w.page.all(ast.ClassDef) if c.name in names]


def method(owner: Place, name: str) -> Place | None:
    """A class's own method."""
    found = [n for n in ast.iter_child_nodes(owner.node) if isinstance(n, ast.FunctionDef) and n.name == name]
    return owner.of(found[0]) if found else None


def returned(function: Place) -> list[Place]:
    """The expressions that a function returns."""
    page, node = function.page, function.node
    found = (r for r in page.all(ast.Return, node) if page.function(r) is node and r.value is not None)
    return [function.of(r.value) for r in found if r.value is not None]


def _last(func: ast.expr) -> str:
    return func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")


def constructed(sources: Sources, place: Place) -> list[tuple[Place, str]]:
    """The constructions an expression stands for, each with the full name of what it constructs."""
    found = ((p, p.node) for p in meant(sources, place))
    return [(p, name) for p, n in found if isinstance(n, ast.Call) and (name := full_name(p.page, n.func))]


def applied(sources: Sources, place: Place) -> str:
    """The full name of the torch function or module that a call applies: `self.act(x)` may be `torch.nn.Sigmoid`."""
    node = place.node
    if not isinstance(node, ast.Call):
        return ""
    if direct := full_name(place.page, node.func):
        return direct
    for value in meant(sources, place.of(node.func)):
        if isinstance(value.node, ast.Call):
            return full_name(value.page, value.node.func)
        if direct := full_name(value.page, value.node):
            return direct
    return f"torch.Tensor.{node.func.attr}" if isinstance(node.func, ast.Attribute) else ""
