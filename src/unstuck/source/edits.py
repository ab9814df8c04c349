"""The edits that remedies share: each finds one place, and gives the splices that change it.

An edit raises CannotEdit, with one clear line, where the place is missing or may be one of several.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable
from typing import TypeVar

from unstuck.diagnosis.model import Site
from unstuck.source.scopes import scopes
from unstuck.source.text import Change, Place, Sources, Splice
from unstuck.source.values import Source
from unstuck.tape.settings import is_settings

Node = TypeVar("Node", bound=ast.AST)
Wanted = Callable[[Place], bool]

TENSOR = {"softmax", "logsoftmax", "sigmoid", "relu", "tanh", "clamp", "squeeze", "detach"}
"""Methods of a tensor, where no method of the person's is called so."""
CHANGED = "the source changed since it was recorded"


class CannotEdit(Exception):
    """The remedy found no safe place in the source; the message says why."""


# -- finding a place ------------------------------------------------------------------------------------------------


def the_call(sources: Sources, site: Site, wanted: Wanted = lambda place: True) -> Place:
    """The one expression at a site that is what is wanted; where the site has no columns, the innermost on its line."""
    found = next((p for p in sources.calls(site) if wanted(p)), None)
    if found is None:
        raise CannotEdit(f"{site.file}, line {site.line}: the call was not found: {CHANGED}")
    return found


def node_at(sources: Sources, site: Site, *kinds: type[Node]) -> Place:
    """The node of one of these kinds that stands exactly at a site; CannotEdit where the text has changed there."""
    page, span = sources.page(site.file), sources.span(site)
    found = [n for k in kinds for n in page.all(k) if page.span(n) == span] if page and span else []
    if not found or page is None:
        raise CannotEdit(f"{site.file}, line {site.line}: {CHANGED}")
    return Place(site.file, page, found[0])


def call_to(sources: Sources, *names: str) -> Wanted:
    """Whether a call applies one of these torch functions or modules, by last name (`sigmoid` and `Sigmoid` alike)."""
    source, plain = Source.of(sources), {folded(name) for name in names}
    return lambda place: isinstance(place.node, ast.Call) and folded(source.applied(place.node)) in plain


def folded(name: str) -> str:
    """`torch.nn.LogSoftmax` and `torch.nn.functional.log_softmax` are both `logsoftmax`."""
    return name.rpartition(".")[2].replace("_", "").lower()


def subject(call: Place) -> Place:
    """What a call is applied to: its first argument, or the owner of a method."""
    node = arguments_of(call)
    func = node.func if isinstance(node.func, ast.Attribute) and not scopes(call.page).full_name(node.func) else None
    own = func is not None and isinstance(func.value, ast.Name) and func.value.id == "self"
    if func is not None and not own and (not node.args or folded(func.attr) in TENSOR):
        return call.of(func.value)
    if not node.args or isinstance(node.args[0], ast.Starred):
        raise CannotEdit(f"{call.file}, line {node.lineno}: cannot edit: {call.code} has no plain first argument")
    return call.of(node.args[0])


# -- arguments ------------------------------------------------------------------------------------------------------


def arguments_of(call: Place) -> ast.Call:
    """The call itself, as a node with arguments."""
    if not isinstance(call.node, ast.Call):
        raise CannotEdit(f"{call.file}, line {getattr(call.node, 'lineno', 0)}: expected a call, found {call.code}")
    return call.node


def argument(call: Place, position: int, keyword: str) -> Place | None:
    """An argument given by keyword or by position (a negative position: by keyword only)."""
    node = arguments_of(call)
    by_name = next((k.value for k in node.keywords if k.arg == keyword), None)
    by_place = node.args[position] if 0 <= position < len(node.args) else None
    if isinstance(by_place, ast.Starred):
        raise CannotEdit(f"{call.file}, line {node.lineno}: cannot edit: arguments given as {call.of(by_place).code}")
    value = by_name or by_place
    return call.of(value) if value is not None else None


def set_argument(sources: Sources, call: Place, position: int, keyword: str, text: str) -> Splice:
    """An argument gets a new text: at the constant it is read from, where that serves only here, else in the call."""
    if (given := argument(call, position, keyword)) is not None:
        return (literal(sources, given) or given).instead(text)
    node = arguments_of(call)
    if any(k.arg is None for k in node.keywords):
        raise CannotEdit(f"{call.file}, line {node.lineno}: cannot edit: {keyword} may be among the ** arguments")
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
    found = at_source(sources, [given])[0]
    return found if found.node is not given.node else None


def at_source(sources: Sources, given: list[Place]) -> list[Place]:
    """Where to write a new value for expressions that all get it: at the constant, where it serves only them."""
    source = Source.of(sources)
    found = (_constant(source, place, given) or place for place in given)
    return list({place.node: place for place in found}.values())


def _constant(source: Source, place: Place, given: list[Place]) -> Place | None:
    node = place.node
    if not isinstance(node, ast.Name | ast.Attribute):
        return None
    values = [v for v in source.meant(source.node(place)) if is_literal(v)]
    if len(values) != 1:
        return None
    served = {g.node for g in given if g.code == place.code}
    parent = source.page(values[0]).parents.get(values[0])
    target = parent.targets[0] if isinstance(parent, ast.Assign) else node
    names = [node, target] if isinstance(target, ast.Name | ast.Attribute) else [node]
    return source.place(values[0]) if all(len(source.readers(n)) <= len(served) for n in names) else None


def is_literal(node: ast.AST) -> bool:
    """A number, a word, or a number with a sign."""
    return isinstance(node, ast.Constant) or (isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant))


# -- statements and expressions -------------------------------------------------------------------------------------


def dropped(item: Place) -> Splice:
    """An element of a call's arguments or of a list goes, with its comma, and with its line where it stood alone."""
    page, parent = item.page, item.page.parents.get(item.node)
    row: list = parent.args if isinstance(parent, ast.Call) else parent.elts if isinstance(parent, ast.List) else []
    if item.node not in row:
        raise CannotEdit(f"{item.file}: cannot edit: {item.code} is not an element of a list or of a call")
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
    inner, parent = subject(call), call.page.parents.get(call.node)
    if isinstance(parent, ast.Assign) and [call.of(t).code for t in parent.targets] == [inner.code]:
        return call.removed()  # x = self.softmax(x)
    chained = isinstance(parent, ast.Attribute | ast.Subscript | ast.BinOp | ast.UnaryOp)
    return call.instead(inner.operand if chained else inner.code)


def around(place: Place, first: str, second: str, nested: bool = True) -> tuple[Splice, Splice]:
    """Two operators in turn, `(x - M) / S` or (not `nested`) `x * S + M`, in parentheses where something joins them."""
    joined = isinstance(place.page.parents.get(place.node), ast.BinOp | ast.Attribute | ast.Subscript | ast.UnaryOp)
    left, middle = ("(", ")") if nested else ("", "")
    outer = ("(", ")") if joined else ("", "")
    return place.wrapped(outer[0] + left, f"{first}{middle}{second}{outer[1]}")


def at_start_of(block: Place, *lines: str) -> Splice:
    """New lines at the start of a loop's or a function's body (behind its docstring)."""
    body = getattr(block.node, "body", [])
    if not body:
        raise CannotEdit(f"{block.file}: cannot edit: {block.code.splitlines()[0]} has no body")
    documented = len(body) > 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    first = block.of(body[1] if documented else body[0])
    if first.indent is None:
        raise CannotEdit(f"{block.file}, line {body[0].lineno}: cannot edit: several statements on one line")
    return first.preceded(*lines)


def gathered(sources: Sources, changes: Iterable[Change], otherwise: str) -> Sources:
    """The sources with all of the changes; CannotEdit where there is none, or where they would not leave Python."""
    made = list(changes)
    if not made:
        raise CannotEdit(otherwise)
    splices = [c for c in made if isinstance(c, Splice)]
    new = sources.spliced(*splices).started(*(c for c in made if not isinstance(c, Splice)))
    broken = [s.file for s in splices if new.page(s.file) is None and not is_settings(s.file)]
    if broken:
        raise CannotEdit(f"{broken[0]}: cannot edit: the result would not be valid Python")
    return new


def top_names(place: Place, *wanted: str) -> list[str]:
    """Names that are free in the whole file, as near to those wanted as may be."""
    taken = {n.id for n in place.page.all(ast.Name)} | {b.name for b in scopes(place.page).bindings}
    variants = ([name, *(f"{name}_{i}" for i in range(2, 1000))] for name in wanted)
    return [next(n for n in names if n not in taken) for names in variants]


def number(value: float) -> str:
    """A number as a person would write it: six significant digits."""
    return repr(rounded(value))


def short(value: float) -> str:
    """A rate or a factor in four significant digits: 0.001, 3e-05."""
    return f"{value:.4g}"


def rounded(value: float) -> float:
    """The value that `number` writes."""
    return float(f"{value:.6g}")
