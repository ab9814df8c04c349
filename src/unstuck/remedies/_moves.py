"""The moves that remedies share: each finds one place, and yields the splices that change it.

A move raises CannotEdit, with one clear line, where the place is missing or may be one of several.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator

from unstuck.diagnosis.model import Site
from unstuck.remedies._meaning import applied, assigned, meant
from unstuck.remedies.treatment import CannotEdit
from unstuck.source.text import Place, Sources, Splice

Wanted = Callable[[Place], bool]


def the_call(sources: Sources, site: Site, wanted: Wanted = lambda place: True) -> Place:
    """The one expression at a site that is what is wanted; where the site has no columns, the innermost on its line."""
    found = [p for p in sources.calls(site) if wanted(p)]
    if not found:
        raise CannotEdit(f"{site.file}, line {site.line}: the call was not found in the text")
    return found[0]


def call_to(sources: Sources, *names: str) -> Wanted:
    """Whether a call applies one of these torch functions or modules, by last name (`sigmoid` and `Sigmoid` alike)."""
    plain = {folded(name) for name in names}
    return lambda place: isinstance(place.node, ast.Call) and folded(applied(sources, place)) in plain


def folded(name: str) -> str:
    """`torch.nn.LogSoftmax` and `torch.nn.functional.log_softmax` are both `logsoftmax`."""
    return name.rpartition(".")[2].replace("_", "").lower()


def arguments_of(call: Place) -> ast.Call:
    """The call itself, as a node with arguments."""
    if not isinstance(call.node, ast.Call):
        raise CannotEdit(f"{call.file}, line {getattr(call.node, 'lineno', 0)}: a call was expected here")
    return call.node


def argument(call: Place, position: int, keyword: str) -> Place | None:
    """An argument given by keyword or by position (a negative position: by keyword only)."""
    node = arguments_of(call)
    by_name = next((k.value for k in node.keywords if k.arg == keyword), None)
    by_place = node.args[position] if 0 <= position < len(node.args) else None
    if isinstance(by_place, ast.Starred):
        raise CannotEdit(f"{call.file}, line {node.lineno}: the arguments are given by *{call.of(by_place).code[1:]}")
    value = by_name or by_place
    return call.of(value) if value is not None else None


def set_argument(sources: Sources, call: Place, position: int, keyword: str, text: str) -> Splice:
    """An argument gets a new text: at the constant it is read from, where that serves only here, else in the call."""
    if (given := argument(call, position, keyword)) is not None:
        return (literal(sources, given) or given).instead(text)
    node = arguments_of(call)
    if any(k.arg is None for k in node.keywords):
        raise CannotEdit(f"{call.file}, line {node.lineno}: the arguments are given by **, none is called {keyword}")
    return added_argument(call, f"{keyword}={text}")


def added_argument(call: Place, text: str) -> Splice:
    """One more argument, behind the others."""
    node = arguments_of(call)
    inside = [*node.args, *(k.value for k in node.keywords)]
    last = max((call.page.span(n)[1] for n in inside), default=None)
    end = call.page.span(node)[1] - 1
    if last is None:
        return Splice(call.file, end, end, text)
    closing = re.match(r"[\s)]*\)", call.page.text[last:end])
    at = last + closing.end() if closing else last
    return Splice(call.file, at, at, f", {text}")


def literal(sources: Sources, given: Place) -> Place | None:
    """The number (or word) that a name or attribute is read from, where it is set once and read only here."""
    found = at_source(sources, [given])
    return found[0] if found[0].node is not given.node else None


def at_source(sources: Sources, given: list[Place]) -> list[Place]:
    """Where to write a new value for expressions that all get it: at the constant, where it serves only them."""
    found = (_constant(sources, place, given) or place for place in given)
    return list({place.node: place for place in found}.values())


def _constant(sources: Sources, place: Place, given: list[Place]) -> Place | None:
    node, reads = place.node, sum(p.code == place.code for p in given)
    if not isinstance(node, ast.Name | ast.Attribute):
        return None
    name = node.id if isinstance(node, ast.Name) else node.attr
    values = [v for v in meant(sources, place) if is_literal(v.node)]
    if len(values) != 1 or _read(sources, name, type(node)) > reads:
        return None
    far = _filled(values[0])
    return values[0] if far in ("", name) or _read(sources, far, ast.Name) <= reads else None


def _filled(value: Place) -> str:
    """The name that an assignment gives a value to ("" where it is given otherwise)."""
    parent = value.page.parents.get(value.node)
    target = parent.targets[0] if isinstance(parent, ast.Assign) else None
    return target.id if isinstance(target, ast.Name) else ""


def is_literal(node: ast.AST) -> bool:
    """A number, a word, or a number with a sign."""
    return isinstance(node, ast.Constant) or (isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant))


def _read(sources: Sources, name: str, kind: type[ast.Name] | type[ast.Attribute]) -> int:
    """How often a name (or an attribute of that name) is read, in all files."""
    found = (n for w in sources.pages() for n in w.page.all(kind) if isinstance(n.ctx, ast.Load))
    return sum(name == (n.id if isinstance(n, ast.Name) else n.attr) for n in found)


def dropped(item: Place) -> Splice:
    """An element of a call's arguments or of a list goes, with its comma, and with its line where it stood alone."""
    page, parent = item.page, item.page.parents.get(item.node)
    row: list = parent.args if isinstance(parent, ast.Call) else parent.elts if isinstance(parent, ast.List) else []
    if item.node not in row:
        raise CannotEdit(f"{item.file}: {item.code} cannot be taken out where it stands")
    if isinstance(parent, ast.Call) and isinstance(parent.func, ast.Attribute) and parent.func.attr == "append":
        return item.removed()
    start, end = page.span(item.node)
    if behind := re.match(r"[ \t]*,[ \t]*", page.text[end:]):
        end += behind.end()
    elif row.index(item.node) > 0:
        return Splice(item.file, page.span(row[row.index(item.node) - 1])[1], end, "")
    line = page.line(getattr(item.node, "lineno", 1))
    rest = page.text[end : line[1]].partition("#")[0]
    alone = end <= line[1] and not page.text[line[0] : start].strip() and not rest.strip()
    return Splice(item.file, *line, "") if alone else Splice(item.file, start, end, "")


def unwrapped(call: Place) -> Splice:
    """A call gives way to what it was applied to: `self.softmax(x)` and `x.softmax(1)` become `x`."""
    node = arguments_of(call)
    inner = call.of(_subject(call, node))
    parent = call.page.parents.get(node)
    if isinstance(parent, ast.Assign) and [call.of(t).code for t in parent.targets] == [inner.code]:
        return call.removed()  # x = self.softmax(x)
    chained = isinstance(parent, ast.Attribute | ast.Subscript | ast.BinOp | ast.UnaryOp)
    return call.instead(inner.operand if chained else inner.code)


def subject(call: Place) -> Place:
    """What a call is applied to: its first argument, or the owner of a method."""
    return call.of(_subject(call, arguments_of(call)))


def _subject(call: Place, node: ast.Call) -> ast.expr:
    from unstuck.remedies._names import full_name

    is_method = isinstance(node.func, ast.Attribute) and not full_name(call.page, node.func) and not _own(node.func)
    if is_method and isinstance(node.func, ast.Attribute) and (not node.args or folded(node.func.attr) in TENSOR):
        return node.func.value
    if not node.args or isinstance(node.args[0], ast.Starred):
        raise CannotEdit(f"{call.file}, line {node.lineno}: what {call.code} is applied to is not plain")
    return node.args[0]


TENSOR = {"softmax", "logsoftmax", "sigmoid", "relu", "tanh", "clamp", "squeeze", "detach"}
"""Names that are methods of a tensor where no module of the person's is called so."""


def _own(func: ast.Attribute) -> bool:
    return isinstance(func.value, ast.Name) and func.value.id == "self"


def around(place: Place, first: str, second: str, nested: bool = True) -> tuple[Splice, Splice]:
    """Two operators in turn, `(x - M) / S` or (not `nested`) `x * S + M`, in parentheses where something joins them."""
    joined = isinstance(place.page.parents.get(place.node), ast.BinOp | ast.Attribute | ast.Subscript | ast.UnaryOp)
    left, middle = ("(", ")") if nested else ("", "")
    outer = ("(", ")") if joined else ("", "")
    return place.wrapped(outer[0] + left, f"{first}{middle}{second}{outer[1]}")


def gathered(sources: Sources, splices: Iterable[Splice], otherwise: str) -> Sources:
    """The sources with all of the splices; CannotEdit where there is none, or where they would not leave Python."""
    made = list(splices)
    if not made:
        raise CannotEdit(otherwise)
    new = sources.spliced(*made)
    broken = [s.file for s in made if new.page(s.file) is None]
    if broken:
        raise CannotEdit(f"{broken[0]}: the edit does not fit the text there")
    return new


def number(value: float) -> str:
    """A number as a person would write it: six significant digits."""
    return repr(rounded(value))


def short(value: float) -> str:
    """A rate or a factor in four significant digits: 0.001, 3e-05."""
    return f"{value:.4g}"


def rounded(value: float) -> float:
    """The value that `number` writes."""
    return float(f"{value:.6g}")


def top_names(place: Place, *wanted: str) -> list[str]:
    """Names that are free in the whole file, as near to those wanted as may be."""
    taken = {n.id for n in place.page.all(ast.Name)} | {n.name for n in place.page.all(ast.ClassDef)}
    return [next(n for n in _variants(name) if n not in taken) for name in wanted]


def _variants(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}_{i}" for i in range(2, 1000))


def lines_of(scope: Place, name: str) -> list[Place]:
    """The statements that give a value to a name in a scope."""
    return [v.of(v.page.statement(v.node)) for v in assigned(scope, name)]
