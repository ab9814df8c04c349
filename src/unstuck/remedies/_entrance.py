"""Where the inputs enter the network, in the text and in the program, and how something is put in front of it.

Three forms, because both training and evaluation must pass through the new piece: in a `forward` (or any function
that both call) the argument is wrapped; a `nn.Sequential` gets a first layer; else every call of the same thing is
wrapped in turn.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import zip_longest

from unstuck.diagnosis.model import Site
from unstuck.remedies._meaning import constructed
from unstuck.remedies._moves import added_argument, subject, the_call
from unstuck.remedies._names import full_name, imported, spelled
from unstuck.remedies.treatment import CannotEdit
from unstuck.source.loops import Training
from unstuck.source.scopes import Function
from unstuck.source.text import Place, Sources, Splice
from unstuck.source.values import Source
from unstuck.tape.ops import JOINING
from unstuck.tape.program import Call, Outside, Program, Ref, Value

Wrap = Callable[[Place], tuple[Splice, ...]]
Layer = Callable[[Place], tuple[str, tuple[Splice, ...]]]
OPERAND = (ast.BinOp, ast.Call)
METHODS = {"matmul", "mm", "bmm", "addmm", "mul"}


def entering(program: Program, slot: int) -> tuple[tuple[Site, ...], tuple[int, ...]]:
    """The sites where a slot is read, and at each the position among the call's arguments, or those it joins."""
    calls = program.users(Outside(slot))
    sites = {c.site: _position(c, slot) for c in reversed(calls) if c.site is not None}
    return tuple(reversed(sites.keys())), tuple(reversed(sites.values()))


def _position(call: Call, slot: int) -> int:
    given = call.args[0] if call.name in JOINING and call.args else call.args
    return next((i for i, a in enumerate(given) if a == Outside(slot)), 0)


def fronted(
    program: Program, slot: int, sites: tuple[Site, ...], new: Callable[[Ref, int, Call], list[Call]]
) -> Program:
    """The program with calls in front of those that read a slot at the sites. `new(ref, first free number, reader)`."""
    readers = [
        c for c in program.calls if (not sites or c.site in sites) and any(isinstance(r, Outside) for r in c.refs())
    ]
    # One line may hold a whole network, whose normalisation reads tensors from outside too: its running statistics.
    for reader in [c for c in readers if Outside(slot) in c.refs()] or readers:
        outside = [r for r in reader.refs() if isinstance(r, Outside)]
        ref = Outside(slot) if Outside(slot) in outside else outside[0]
        if not sites and ref != Outside(slot):
            continue
        calls = new(ref, program.fresh(), reader)
        turned = program.redirected(ref, Value(calls[-1].outs[0]), (reader,))
        here = next(c for c in turned.calls if c.outs == reader.outs)
        program = turned.before(here, *calls)
    return program


def in_front(
    sources: Sources, sites: tuple[Site, ...], positions: tuple[int, ...], wrap: Wrap, layer: Layer
) -> Iterator[Splice]:
    """The splices that put something in front of the network: `wrap(operand)` or, for a Sequential, `layer(model)`."""
    done: set[ast.AST] = set()
    for site, position in zip_longest(sites, positions, fillvalue=0):
        assert isinstance(site, Site)
        place = the_call(sources, site, lambda p: isinstance(p.node, OPERAND))
        for kind, target in _targets(sources, place, position):
            if target.node in done:
                continue
            done.add(target.node)
            if kind == "sequential":
                yield from _layered(target, *layer(target))
            else:
                yield from wrap(target) if kind == "operand" else _before_loop(target, wrap(target))


def behind(sources: Sources, site: Site, wrap: Wrap, layer: Layer) -> Iterator[Splice]:
    """The splices that put something behind the call at a site, wherever training and evaluation pass through it."""
    place = the_call(sources, site, lambda p: isinstance(p.node, OPERAND))
    models = [] if in_module(place) else _sequentials(sources, place)
    if len(models) == 1:
        text, above = layer(models[0])
        yield from (*above, added_argument(models[0], text))
        return
    if is_forward(place):
        yield from wrap(place)
        return
    for other in alike(sources, place, 0):
        yield from wrap(other)


def _layered(sequential: Place, text: str, above: tuple[Splice, ...]) -> Iterator[Splice]:
    yield from above
    yield as_first(sequential, text)


def _targets(sources: Sources, place: Place, position: int) -> list[tuple[str, Place]]:
    if not in_module(place):
        models = _sequentials(sources, place)
        if len(models) == 1 and not _indexed(sources, place):
            return [("sequential", models[0])]
    if is_forward(place):
        return [("loop" if over_layers(place) else "operand", operand(place, position))]
    return [("operand", operand(p, position)) for p in alike(sources, place, position)]


def _sequentials(sources: Sources, place: Place) -> list[Place]:
    """The Sequential that is called here, where its layers stand in its construction."""
    return [m for m, name in _models(sources, place) if name == "torch.nn.Sequential" and _listed(m)]


def over_layers(place: Place) -> ast.For | None:
    """The loop `for layer in self.layers: x = layer(x)` that a call stands in, where it is one."""
    loop = place.page.around(place.node, ast.For)
    called = place.node.func if isinstance(place.node, ast.Call) else None
    if loop is None or not isinstance(called, ast.Name | ast.Subscript):
        return None
    filled = {n.id for n in ast.walk(loop.target) if isinstance(n, ast.Name)}
    return loop if filled & {n.id for n in ast.walk(called) if isinstance(n, ast.Name)} else None


def last_turn(place: Place, loop: ast.For) -> str:
    """The condition, in the loop's own words, that its last layer has its turn."""
    code = place.page.code
    match loop.target, loop.iter:
        case ast.Name(id=layer), ast.Name() | ast.Attribute() as layers:
            return f"{layer} is {code(layers)}[-1]"
        case ast.Name(id=turn), ast.Call(func=ast.Name(id="range"), args=[count]):
            return f"{turn} == {place.of(count).operand} - 1"
        case ast.Tuple(elts=[ast.Name(id=turn), _]), ast.Call(func=ast.Name(id="enumerate"), args=[layers]):
            return f"{turn} == len({code(layers)}) - 1"
    raise CannotEdit(f"{place.file}, line {loop.lineno}: cannot edit: the last turn of this loop is not known")


def _before_loop(operand: Place, splices: tuple[Splice, ...]) -> Iterator[Splice]:
    """What would wrap the operand at each turn of a loop over layers is done once in front of the loop."""
    page, loop = operand.page, operand.page.around(operand.node, ast.For)
    span = page.span(operand.node)
    wrap = [s for s in splices if s.start in span and not s.text.endswith(("\n", "\r"))]
    if loop is None or not isinstance(operand.node, ast.Name):
        raise CannotEdit(f"{operand.file}: cannot edit: the input of the loop over layers is not a variable")
    yield from (s for s in splices if s not in wrap)
    text = operand.code.join(s.text for s in wrap)
    yield operand.of(loop).preceded(f"{operand.code} = {text}")


def _models(sources: Sources, place: Place) -> list[tuple[Place, str]]:
    return constructed(sources, place.of(place.node.func)) if isinstance(place.node, ast.Call) else []


def _listed(sequential: Place) -> bool:
    """Whether the layers stand in the construction (and are not added to it later on)."""
    return isinstance(sequential.node, ast.Call) and bool(sequential.node.args)


def _indexed(sources: Sources, place: Place) -> bool:
    """Whether layers are taken from the model by number, which a new first layer would shift."""
    assert isinstance(place.node, ast.Call)
    name = place.of(place.node.func).code
    found = (s for w in sources.pages() for s in w.page.all(ast.Subscript))
    return any(ast.unparse(s.value) == name and isinstance(s.slice, ast.Constant) for s in found)


def in_module(place: Place) -> bool:
    """Whether a place stands in a method of a module of the person's."""
    owner = place.page.around(place.node, ast.ClassDef)
    return owner is not None and any(_is_module(place, base) for base in owner.bases)


def is_forward(place: Place) -> bool:
    """Whether a place stands in a function that both training and evaluation go through: a method of a module, or a
    function that neither trains nor loops over batches."""
    function = place.page.function(place.node)
    if function is None:
        return False
    calls = {c.func.attr for c in place.page.all(ast.Call, function) if isinstance(c.func, ast.Attribute)}
    trains = calls & {"backward", "step", "zero_grad", "no_grad", "eval"}
    owner = place.page.around(function, ast.ClassDef)
    if owner is not None:
        in_module = any(_is_module(place, b) for b in owner.bases)
        return (in_module and not trains) or function.name in ("forward", "__call__")
    return not trains and not _calls_parameter(place, function)


def _is_module(place: Place, base: ast.expr) -> bool:
    return full_name(place.page, base).startswith("torch.nn") or place.of(base).code.endswith("Module")


def _calls_parameter(place: Place, function: Function) -> bool:
    """`def evaluate(model, x): model(x)` is not the network itself; `def net(x): torch.relu(x @ W)` is."""
    called = place.node.func if isinstance(place.node, ast.Call) else None
    return isinstance(called, ast.Name) and called.id in {a.arg for a in function.args.args}


def operand(place: Place, position: int) -> Place:
    """The operand by which the inputs enter an operator or a call."""
    node = place.node
    if isinstance(node, ast.BinOp):
        return place.of(node.right if position == 1 else node.left)
    if not isinstance(node, ast.Call):
        raise CannotEdit(f"{place.file}: cannot edit: {place.code} is neither a call nor an operator")
    if full_name(place.page, node.func).rpartition(".")[2] in JOINING and node.args:
        return _joined(place.of(node.args[0]), position)
    if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS and not full_name(place.page, node.func):
        return place.of(node.func.value if position == 0 else node.args[position - 1])
    if 0 < position < len(node.args) and full_name(place.page, node.func):
        return place.of(node.args[position])
    return subject(place)


def _joined(listed: Place, position: int) -> Place:
    """One of the tensors that a call joins."""
    if not isinstance(listed.node, ast.List | ast.Tuple) or any(isinstance(e, ast.Starred) for e in listed.node.elts):
        raise CannotEdit(f"{listed.file}: cannot edit: the list {listed.code} is built elsewhere")
    return listed.of(listed.node.elts[position])


def alike(sources: Sources, place: Place, position: int) -> list[Place]:
    """The expressions that apply the same weights: the same function's calls, products with the same matrix."""
    source = Source.of(sources)
    node = source.node(place)
    name, weights = _weights(source, node, position)
    found = []
    for other in (n for n in source.all(ast.expr) if type(n) is type(node)):
        called, own = _weights(source, other, position)
        if called == name and len(own) == len(weights) and all(map(partial(_same, source), own, weights)):
            found.append(source.place(other))
    return found


def _weights(source: Source, node: ast.expr, position: int) -> tuple[str, list[ast.expr]]:
    """The operation, and what it applies to its input: the called thing, or the other operands."""
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            return type(op).__name__, [left if position == 1 else right]
        case ast.Call(func=func, args=args) if full := source.full_name(func):
            return full, [a for i, a in enumerate(args) if i != position]
        case ast.Call(func=ast.Attribute(attr="matmul" | "mm" as attr), args=args):
            return attr, args
        case ast.Call(func=func):
            return "", [func]
    return "", []


def _same(source: Source, one: ast.expr, other: ast.expr) -> bool:
    """Whether two expressions hold the same weights; a parameter nobody is seen to give goes by its name."""
    alike = source.code(one) == source.code(other)
    known, others = (source.once(Training).known_as(n) for n in (one, other))
    known, others = ({v for v in found if v[0] is not None} for found in (known, others))
    if not known or not others or not isinstance(one, ast.Name | ast.Attribute):
        return alike
    bound = (*source.bindings_of(one), *source.bindings_of(other))
    handed = any(b.kind == "parameter" for b in bound) and not (source.given(one) and source.given(other))
    return bool(known & others) or (alike and handed)


def as_first(sequential: Place, text: str) -> Splice:
    """A new first layer of a `nn.Sequential(...)`, on its own line where the layers have theirs."""
    node = sequential.node
    assert isinstance(node, ast.Call)
    page = sequential.page
    if not node.args:
        raise CannotEdit(f"{sequential.file}, line {node.lineno}: cannot edit: the layers are added elsewhere")
    if isinstance(node.args[0], ast.Call) and "OrderedDict" in page.code(node.args[0].func):
        inner, outer = sequential.code, spelled(page, "torch.nn.Sequential")
        return sequential.instead(f"{outer}({text}, {inner})")
    start = page.span(node.args[0])[0]
    lead = page.text[page.line(node.args[0].lineno)[0] : start]
    gap = " " if lead.strip() else page.newline + lead
    return Splice(sequential.file, start, start, f"{text},{gap}")


def device_of(place: Place) -> str:
    """`.to(x.device)`, after a tensor in the expression, where the file moves tensors between devices; else ""."""
    if not re.search(r"\bdevice\b|\.cuda\(", place.page.text):
        return ""
    known = {*imported(place.page), "self"}
    names = (n.id for n in ast.walk(place.node) if isinstance(n, ast.Name) and n.id not in known)
    return f".to({name}.device)" if (name := next(names, None)) else ""
