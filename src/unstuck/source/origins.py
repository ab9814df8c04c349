"""Where a number of the run is made: a literal, a settings file, the command line, the environment.

The text is followed from the expression that uses the number back to what gives it. Where that ends in something that
the text does not show (a library that reads the command line, a table filled at run time), whatever holds the number
that the tape recorded comes into question, first under a name that the text uses for it. A run with one of them changed
shows whether it was the one: candidates are given best first.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from unstuck.source.edits import short
from unstuck.source.numbers import arguments, constant, pairs, same_name
from unstuck.source.text import Argument, Change, Place, Sources, Splice, Variable
from unstuck.source.values import Source

Wanted = Callable[[float], bool]
MOST = 6
"""Candidates tried at most: each costs a run of the script."""
PASSING = {"float", "int", "str", "eval", "abs"}
GETTERS = {"get", "pop", "setdefault"}


@dataclass(frozen=True)
class Origin:
    """One place that holds the number."""

    said: str
    """As a report names it: `--lr on the command line`, `lr in config.json:3`."""
    value: float
    place: Change
    """The change that writes a number there: its text has {} for the number."""
    rank: int = 0

    def instead(self, value: float) -> Change:
        """The change that writes another number there."""
        return replace(self.place, text=self.place.text.replace("{}", self._written(value)))

    def _written(self, value: float) -> str:
        text = str(int(value)) if float(value).is_integer() else short(value)
        yaml = isinstance(self.place, Splice) and self.place.file.endswith((".yaml", ".yml"))
        if yaml and "e" in text and "." not in text:  # YAML 1.1 takes 3e-05 for a word
            return text.replace("e", ".0e")
        return text


@dataclass
class Trail:
    """The way back from an expression: the literals it ends in, and the names met on the way."""

    source: Source
    names: dict[str, None] = field(default_factory=dict)
    positions: list[int] = field(default_factory=list)
    """Places on the command line that are read by number."""
    variables: list[str] = field(default_factory=list)
    literals: list[tuple[ast.expr, float, float | None]] = field(default_factory=list)
    """Literal, its value, and the constant by which the way multiplies it (None where that is not known)."""
    closed: list[ast.expr] = field(default_factory=list)
    """Calculations that read no variable: they are the number, whatever it is."""

    def follow(self, node: ast.expr) -> Trail:
        """Everything that an expression may be made of."""
        seen: set[ast.expr] = set()
        waiting: list[tuple[ast.expr, float | None]] = [(node, 1.0)]
        while waiting:
            at, scale = waiting.pop(0)
            if at in seen:
                continue
            seen.add(at)
            if (value := constant(at)) is not None:
                self.literals.append((at, value, scale))
                continue
            self._note(at)
            back = self._back(at)
            waiting += [(v, _times(scale, by)) for v, by in back]
            self.closed += [at] if not back and scale == 1.0 and self._is_closed(at) else []
        return self

    def _is_closed(self, node: ast.expr) -> bool:
        names = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
        return (
            isinstance(node, ast.Call | ast.BinOp)
            and all(self.source.full_name(n) for n in names)
            and not (self.positions or self.variables or self.source.full_name(node).startswith("os."))
        )

    def _note(self, node: ast.expr) -> None:
        full = self.source.full_name(node)
        match node:
            case ast.Subscript(value=owner, slice=ast.Constant(value=int(at))) if self._is(owner, "sys.argv"):
                self.positions.append(at - 1)
            case ast.Subscript(value=owner, slice=ast.Constant(value=str(name))) if self._is(owner, "os.environ"):
                self.variables.append(name)
            case ast.Call(args=[ast.Constant(value=str(name)), *_]) if full in ("os.environ.get", "os.getenv"):
                self.variables.append(name)
            case ast.Call(func=ast.Attribute(attr=attr), args=[ast.Constant(value=str(name)), *_]) if attr in GETTERS:
                self.names[name] = None
            case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=str(name)), *_]):
                self.names[name] = None
            case ast.Subscript(slice=ast.Constant(value=str(name))) | ast.Attribute(attr=name) | ast.Name(id=name):
                self.names[name] = None

    def _is(self, node: ast.expr, full: str) -> bool:
        return self.source.full_name(node) == full

    def _back(self, node: ast.expr) -> list[tuple[ast.expr, float | None]]:
        """The expressions one step back, each with the constant that this one multiplies it by."""
        match node:
            case ast.Call(func=ast.Name(id=name), args=[inner, *_]) if name in PASSING:
                return [(inner, 1.0)]
            case ast.BoolOp(values=values):
                return [(v, 1.0) for v in values]
            case ast.NamedExpr(value=value) | ast.UnaryOp(op=ast.UAdd(), operand=value):
                return [(value, 1.0)]
            case ast.UnaryOp(op=ast.USub(), operand=value):
                return [(value, -1.0)]
            case ast.BinOp(left=left, op=ast.Mult() | ast.Div() as op, right=right):
                return _product(left, op, right)
            case ast.Call(func=ast.Attribute(value=owner, attr=attr), args=[ast.Constant(value=key), *default]) if (
                attr in GETTERS
            ):
                return [(v, 1.0) for v in (*self.source.settings(owner, str(key)), *default)]
            case ast.Call(func=ast.Name(id="getattr"), args=[owner, ast.Constant(value=key), *default]):
                return [(v, 1.0) for v in (*self.source.settings(owner, str(key)), *default)]
            case ast.Call(args=[_, default]) if self._is(node, "os.getenv"):
                return [(default, 1.0)]
        return [(v, 1.0) for v in self.source.given(node)]

    def __post_init__(self) -> None:
        self.known = list(_options(self.source))

    def called(self) -> set[str]:
        """The names met, and what the options of the command line by one of them are called besides."""
        names = {same_name(n) for n in self.names}
        for words in self.known:
            if names & words:
                names |= words
        return names


def origins(sources: Sources, given: Place | None, key: str, wanted: Wanted, exact: bool = True) -> tuple[Origin, ...]:
    """Where the number that an expression gives comes from, best first.

    `given` is None where the text shows no expression; `key` is what the number is called where it is used. `wanted`
    says whether a number is the recorded one; where it is not `exact`, a number counts only under a known name.
    """
    source = Source.of(sources)
    trail = Trail(source, {key: None})
    if given is not None:
        trail.follow(source.node(given))
    found = sorted((o for o in _found(sources, trail, wanted) if exact or o.rank < UNNAMED), key=lambda o: o.rank)
    return tuple({_where(o.place): o for o in reversed(found)}.values())[::-1][:MOST]


GIVEN, FOLLOWED, FILED, NAMED, UNNAMED = range(5)


def _found(sources: Sources, trail: Trail, wanted: Wanted) -> Iterator[Origin]:
    names = trail.called()
    for word in arguments(sources.arguments):
        known = word.at in trail.positions or same_name(word.name.rpartition(".")[2]) in names
        short_for = any(known_as.startswith(same_name(word.name)) for known_as in names) and bool(word.name)
        if wanted(word.value):
            rank = GIVEN if known or short_for else UNNAMED
            yield Origin(f"{word.said} on the command line", word.value, Argument(word.at, word.template), rank)
    for node, value, scale in trail.literals:
        if scale is None or wanted(value * scale):
            yield _literal(trail, node, value, FOLLOWED)
    for node in trail.closed:
        yield _literal(trail, node, float("nan"), FOLLOWED)
    environment = dict(sources.environment)
    for name in trail.variables:
        yield Origin(f"the environment variable {name}", _float(environment.get(name)), Variable(name, "{}"), FOLLOWED)
    for file, text in sources.files.items():
        for pair in pairs(file, text):
            if wanted(pair.value):
                rank = FILED if same_name(pair.key) in names else UNNAMED
                line = text.count("\n", 0, pair.start) + 1
                yield Origin(f"{pair.key} in {file}:{line}", pair.value, Splice(file, pair.start, pair.end, "{}"), rank)
    for node, value in _literals(trail.source):
        if wanted(value):
            named = bool({same_name(n) for n in _names_of(trail.source, node)} & names)
            yield _literal(trail, node, value, NAMED if named else UNNAMED)
    for name, text in environment.items():
        if same_name(name) in names and wanted(_float(text)):
            yield Origin(f"the environment variable {name}", _float(text), Variable(name, "{}"), NAMED)


def _literal(trail: Trail, node: ast.expr, value: float, rank: int) -> Origin:
    source = trail.source
    place = source.place(node)
    start, end = place.page.span(node)
    quoted = isinstance(node, ast.Constant) and isinstance(node.value, str)
    option = next((w for w in _words(source.page(node).parents.get(node), source)), "")
    said = f"{place.file}:{getattr(node, 'lineno', 0)}"
    template = f"{place.code[0]}{{}}{place.code[-1]}" if quoted else "{}"
    return Origin(f"the default of {option} in {said}" if option else said, value,
                  Splice(place.file, start, end, template), rank)  # fmt: skip


def _words(parent: ast.AST | None, source: Source) -> Iterator[str]:
    """The option's name as it is typed, where a literal is the default in the option's declaration."""
    call = source.page(parent).parents.get(parent) if isinstance(parent, ast.keyword) else parent
    if isinstance(call, ast.Call):
        yield from (w for w in _strings(call) if w.startswith("--"))


def _strings(call: ast.Call) -> list[str]:
    return [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]


def _options(source: Source) -> Iterator[set[str]]:
    """What each option of the command line is called: `-l`, `--learning-rate`, its `dest`."""
    for call in source.all(ast.Call):
        words = [w for w in _strings(call) if w.startswith("-") or w.isidentifier()]
        if any(w.startswith("-") for w in words):
            words += [k.value.value for k in call.keywords if k.arg == "dest" and isinstance(k.value, ast.Constant)]
            yield {same_name(str(w)) for w in words}


def _literals(source: Source) -> Iterator[tuple[ast.expr, float]]:
    for kind in (ast.Constant, ast.UnaryOp, ast.BinOp):
        for node in source.all(kind):
            inner = isinstance(source.page(node).parents.get(node), ast.UnaryOp | ast.BinOp)
            value = None if inner else constant(node)
            if value is not None and not (isinstance(node, ast.Constant) and isinstance(node.value, str | bool)):
                yield node, value


def _names_of(source: Source, node: ast.expr) -> Iterator[str]:
    """The names that the text gives a literal right where it stands."""
    parent = source.page(node).parents.get(node)
    match parent:
        case ast.keyword(arg=str(name)):
            call = source.page(node).parents.get(parent)
            yield name
            yield from _strings(call) if isinstance(call, ast.Call) and name == "default" else ()
        case ast.Dict(keys=keys, values=values):
            pairs_ = zip(keys, values, strict=True)
            yield from (str(k.value) for k, v in pairs_ if v is node and isinstance(k, ast.Constant))
        case ast.Assign(targets=[target]) | ast.AnnAssign(target=target):
            yield _last(target)
        case ast.Call():
            yield from _strings(parent)
        case ast.arguments():
            placed = [*parent.posonlyargs, *parent.args]
            pairs_ = [*zip(reversed(placed), reversed(parent.defaults), strict=False)]
            pairs_ += [*zip(parent.kwonlyargs, parent.kw_defaults, strict=True)]
            yield from (a.arg for a, d in pairs_ if d is node)


def _last(target: ast.expr) -> str:
    match target:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
    return ""


def _product(left: ast.expr, op: ast.operator, right: ast.expr) -> list[tuple[ast.expr, float | None]]:
    a, b = constant(left), constant(right)
    if b is not None and b != 0:
        return [(left, b if isinstance(op, ast.Mult) else 1 / b)]
    if a is not None and isinstance(op, ast.Mult):
        return [(right, a)]
    return [(left, None), (right, None)] if isinstance(op, ast.Mult) else [(left, None)]


def _times(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one * other


def _float(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")


def _where(change: Change) -> tuple[object, ...]:
    match change:
        case Splice(file=file, start=start, end=end):
            return file, start, end
        case Argument(index=index):
            return (index,)
    return (change.name,)
