"""What a name or an expression of the person's may hold, and which of their functions a call enters.

A reading of the text alone: nothing is run, nothing is imported. Where the text leaves a thing open (two assignments,
a parameter without callers), the answers say so by being several, or by being the expression itself. Rules and
remedies ask the same `Source`, which is built once per text.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import TypeVar

from unstuck.diagnosis.model import NotApplicable
from unstuck.source.idle import Idle, idle
from unstuck.source.names import Names, argument_for, default_of, is_property
from unstuck.source.scopes import Binding, Function, Scope, scopes
from unstuck.source.settings import held_under
from unstuck.source.text import Sources
from unstuck.tape.model import Tape

Reading = TypeVar("Reading")
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Variable = tuple[Scope | None, str]

SAME = {"to", "cuda", "cpu", "double", "float", "half", "bfloat16", "train", "eval", "requires_grad_", "type", "apply"}
"""Methods that give back the module they are called on."""
SHELLS = {"torch.compile", "torch.nn.DataParallel", "torch.nn.parallel.DistributedDataParallel", "torch.jit.script"}
COMMON = {"step", "train", "eval", "forward", "backward", "zero_grad", "to", "parameters", "state_dict", "close"}
COMMON |= {"update"}
"""Methods of torch's own objects: where the owner is not known, a call of one is not taken for the person's."""
DEPTH = 40
"""Settings in settings are followed through this many: the interpreter's own stack is finite."""


class Source(Names):
    """The person's files, read."""

    def __init__(self, sources: Sources, idle: Idle = frozenset()) -> None:
        super().__init__(sources, idle)
        self._readings: dict[type, object] = {}
        self._classes: dict[ast.AST | Variable, ast.ClassDef | None] = {}
        self._defined: dict[ast.AST | Variable, tuple[Definition, ...]] = {}
        self._ends: dict[tuple[ast.expr, bool], tuple[ast.expr, ...]] = {}
        self._depth = 0

    @classmethod
    def read(cls, tape: Tape) -> Source:
        """Of the texts on a tape; raises NotApplicable where there is none that Python can read."""
        sources = Sources(tape.sources, tape.script)
        source = cls.of(sources, idle(tape, {place.file: place.page for place in sources.pages()}))
        if not source.pages:
            raise NotApplicable("the script's text is not on the tape")
        return source

    @classmethod
    def of(cls, sources: Sources, idle: Idle = frozenset()) -> Source:
        """Of sources without their idle functions; the same object for the same text."""
        return _source(tuple(sources.files.items()), sources.main, idle)

    def once(self, kind: type[Reading]) -> Reading:
        """A reading of these sources (`Training`, `Steps`, ...), built once."""
        if kind not in self._readings:
            self._readings[kind] = kind(self)  # type: ignore[call-arg]
        return self._readings[kind]  # type: ignore[return-value]

    # -- names -------------------------------------------------------------------------------------------------------

    def bindings_of(self, node: ast.expr) -> tuple[Binding, ...]:
        """Where what an expression reads (a name, `self.x`, `totals["train"]`) got its values."""
        if isinstance(node, ast.Attribute) and (owner := self.class_of(node.value)) is not None:
            for cls in self.lineage(owner):
                if found := self.attributes.get((cls, node.attr)):
                    return tuple(found)
        elif isinstance(node, ast.Name) and (origin := self.exported(self.full_name(node))):
            return scopes(origin[0]).bound(origin[1], origin[0].tree)
        found = scopes(self.page(node)).bindings_of(node)
        if found or not isinstance(node, ast.Attribute):
            return found or (self.starred(node) if isinstance(node, ast.Name) else ())
        of_self = isinstance(node.value, ast.Name) and node.value.id == "self"  # set from outside, or in a subclass
        return tuple(self.attributes.get((None, node.attr), ())) if of_self else ()

    def variable(self, node: ast.expr) -> Variable | None:
        """What tells one variable from another: the scope (of `self.x`: the class; None if not known) and the name."""
        if isinstance(node, ast.Attribute):
            if (owner := self.class_of(node.value)) is not None:
                binding = (c for c in self.lineage(owner) if (c, node.attr) in self.attributes)
                return next(binding, owner), node.attr
            exact = scopes(self.page(node)).bindings_of(node)
            return (exact[0].scope, exact[0].name) if exact else (None, node.attr)
        if isinstance(node, ast.Name) and (origin := self.exported(self.full_name(node))):
            return origin[0].tree, origin[1]
        return scopes(self.page(node)).variable(node)

    def bound_variable(self, b: Binding) -> Variable:
        """The variable that a binding gives a value to."""
        owner, _, attr = b.name.rpartition(".")
        return (self.class_of_self(b.scope, owner), attr) if owner and attr.isidentifier() else (b.scope, b.name)

    # -- values ------------------------------------------------------------------------------------------------------

    def values(self, node: ast.expr) -> tuple[ast.expr, ...]:
        """The expressions a name was given; the expression itself where it is none (or was given nothing plain)."""
        found = [b.value for b in self.bindings_of(node) if b.kind == "assign" and b.item < 0]
        return tuple(v for v in found if v is not None) or (node,)

    def value(self, node: ast.expr) -> ast.expr:
        """The one expression a name was given; the expression itself where there is none or are several."""
        found = self.values(node)
        return found[0] if len(found) == 1 and len(self.bindings_of(node)) <= 1 else node

    def latest(self, node: ast.expr) -> Binding | None:
        """The binding of a name that stands last before it; the last of all where none does."""
        bound = scopes(self.page(node)).bindings_of(node)
        before = [b for b in bound if self.before(b.statement, node)]
        around = [b for b in bound if b.kind in ("loop", "with", "parameter") and b.statement in self.above(node)]
        return (before or around or list(bound) or [None])[-1]

    def number(self, node: ast.expr | None) -> float | None:
        """The number an expression is, by itself or through one assignment of a literal."""
        try:
            found = ast.literal_eval(self.value(node)) if node is not None else None
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            return None
        return found if isinstance(found, int | float) and not isinstance(found, bool) else None

    def meant(self, node: ast.expr) -> tuple[ast.expr, ...]:
        """What an expression may hold, as far back as the text goes: calls that construct, literals, lambdas.

        Assignments, attributes, parameters, returns and settings are followed; the expression itself stands where
        that ends.
        """
        return self._followed(node, callers=True)

    def _followed(self, root: ast.expr, callers: bool) -> tuple[ast.expr, ...]:
        key = (root, callers)
        if key in self._ends or self._depth >= DEPTH:
            return self._ends.get(key, (root,))
        self._ends[key] = (root,)  # what is asked for while it is being worked out is not known
        self._depth += 1
        ends: dict[ast.expr, None] = {}
        seen, waiting = {root}, [root]
        while waiting:
            node = waiting.pop()
            given = self.given(node, callers)
            if not given:
                ends[node] = None
            further = [v for v in dict.fromkeys(given) if v not in seen]
            seen.update(further)
            waiting += reversed(further)
        self._depth -= 1
        self._ends[key] = tuple(ends) or (root,)
        return self._ends[key]

    def readers(self, node: ast.Name | ast.Attribute) -> list[ast.expr]:
        """Where the same variable is read (an attribute: one of that name, of any object)."""
        if isinstance(node, ast.Attribute):
            return [n for n in self.all(ast.Attribute) if n.attr == node.attr and isinstance(n.ctx, ast.Load)]
        known, read = self.variable(node), (n for n in self.all(ast.Name) if isinstance(n.ctx, ast.Load))
        return [n for n in read if n.id == node.id and self.variable(n) == known]

    def applied(self, call: ast.Call) -> str:
        """The full name of the torch function or module that a call applies; of a method, `torch.Tensor.relu`."""
        if not isinstance(call.func, ast.Call) and (direct := self.full_name(call)):
            return direct
        values = self.meant(call.func)
        names = [self.full_name(value) for value in values]
        if any(names) or any(isinstance(value, ast.Call) for value in values):
            return next(filter(None, names), "")
        return f"torch.Tensor.{call.func.attr}" if isinstance(call.func, ast.Attribute) else ""

    def given(self, node: ast.expr, callers: bool = True) -> list[ast.expr]:
        """What an expression holds, one step back: the values of a name, what a call returns."""
        match node:
            case ast.Name():
                return [v for b in self.bindings_of(node) for v in self._given(b, callers)]
            case ast.IfExp(body=body, orelse=orelse):
                return [body, orelse]
            case ast.Attribute(attr=attr) if not self.full_name(node):
                return self._of_attribute(node, attr, callers)
            case ast.Subscript(value=owner, slice=ast.Constant(value=str(key))):
                found = [v for b in self.bindings_of(node) for v in self._given(b, callers)]
                return found or self.settings(owner, key, callers)
            case ast.Call(func=func, args=args):
                if functions := [d for d in self.definitions(func) if isinstance(d, Function)]:
                    return [r for f in functions for r in self.returned(f)]
                if isinstance(func, ast.Attribute) and func.attr in SAME and not self.full_name(func.value):
                    return [func.value]
                return args[:1] if self.full_name(func) in SHELLS else []
        return []

    def _of_attribute(self, node: ast.Attribute, attr: str, callers: bool) -> list[ast.expr]:
        exact = [v for b in self.bindings_of(node) for v in self._given(b, callers)]
        found = exact or self.settings(node.value, attr, callers)
        return found or [v for b in self.attributes.get((None, attr), ()) for v in self._given(b, callers)]

    def _given(self, b: Binding, callers: bool) -> Iterator[ast.expr]:
        if isinstance(b.statement, Function) and isinstance(b.scope, ast.ClassDef) and is_property(b.statement):
            yield from self.returned(b.statement)
        if b.kind == "parameter" and callers and isinstance(b.scope, Function):
            yield from self.arguments(b.scope, b.name)
        elif b.value is not None and b.kind in ("assign", "with") and b.item < 0:
            yield b.value
        elif b.value is not None and b.kind == "assign":
            tuples = (v for v in self._followed(b.value, callers) if isinstance(v, ast.Tuple))
            yield from (t.elts[b.item] for t in tuples if b.item < len(t.elts))

    def settings(self, owner: ast.expr, name: str, callers: bool = True) -> list[ast.expr]:
        """What a table of settings (a dict, a namespace, options, an object of a class) holds under a name."""
        return [v for table in self._followed(owner, callers) for v in held_under(self, table, name)]

    # -- functions and classes ---------------------------------------------------------------------------------------

    def definitions(self, node: ast.expr) -> tuple[Definition, ...]:
        """The person's own functions or classes that a name, or `module.name`, or `object.method` stands for."""
        key = (self.local(node) or node) if isinstance(node, ast.Name) else node
        if key not in self._defined:
            self._defined[key] = ()
            self._defined[key] = tuple(dict.fromkeys(self._defined_by(node)))
        return self._defined[key]

    def _defined_by(self, node: ast.expr) -> Iterator[Definition]:
        if isinstance(node, ast.Name):
            for b in self.bindings_of(node):
                if isinstance(b.statement, Definition) and b.kind == "def":
                    yield b.statement
                elif b.kind == "assign" and isinstance(b.value, ast.Name | ast.Attribute):
                    yield from self.definitions(b.value)
        elif isinstance(node, ast.Attribute) and (full := self.full_name(node)):
            origin = self.exported(full)
            bound = self.bound(origin[1], origin[0].tree) if origin else ()
            yield from (b.statement for b in bound if isinstance(b.statement, Definition))
        elif isinstance(node, ast.Attribute):
            yield from self._methods_of(node)

    def _methods_of(self, node: ast.Attribute) -> Iterator[Definition]:
        owners = [d for d in self.definitions(node.value) if isinstance(d, ast.ClassDef)]
        if isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "super":
            own = self.owner_class(node)
            owners = list(self.lineage(own))[1:] if own is not None else []
        elif not owners and (known := self.class_of(node.value)) is not None:
            owners = [known]
        if owners:
            found = (self.method(c, node.attr) for owner in owners for c in self.lineage(owner))
            yield from [f for f in found if f is not None][:1]
        elif node.attr not in COMMON:
            yield from (f for f in self.functions.get(node.attr, ()) if self.is_method(f))

    def lineage(self, cls: ast.ClassDef, depth: int = DEPTH) -> Iterator[ast.ClassDef]:
        """A class and those of the person's that it inherits from, in the order in which they are asked."""
        yield cls
        bases = (
            d for base in cls.bases for d in self.definitions(base) if isinstance(d, ast.ClassDef) and d is not cls
        )
        yield from (c for base in bases if depth for c in self.lineage(base, depth - 1))

    def class_of(self, node: ast.expr) -> ast.ClassDef | None:
        """The person's own class that an expression is an instance of, as far as the text says so."""
        key = scopes(self.page(node)).variable(node) or node
        if key not in self._classes:
            self._classes[key] = None
            self._classes[key] = self._worked_out(node)
        return self._classes[key]

    def _worked_out(self, node: ast.expr) -> ast.ClassDef | None:
        variable = scopes(self.page(node)).variable(node) if isinstance(node, ast.Name) else None
        if variable is not None and isinstance(variable[0], Function):
            if (own := self.class_of_self(*variable)) is not None:
                return own
            parameters = (a for a in ast.walk(variable[0].args) if isinstance(a, ast.arg) and a.arg == variable[1])
            annotated = [d for a in parameters if a.annotation for d in self.definitions(a.annotation)]
            if annotated and isinstance(annotated[0], ast.ClassDef):
                return annotated[0]
        values = self._followed(node, callers=False)
        made = [self.definitions(v.func) for v in values if isinstance(v, ast.Call)]
        first = made[0][0] if made and made[0] else None
        return first if isinstance(first, ast.ClassDef) and all(m == made[0] for m in made) else None

    # -- callers -----------------------------------------------------------------------------------------------------

    @cached_property
    def _calls(self) -> dict[ast.Call, tuple[Function, ...]]:
        return {call: found for call in self.all(ast.Call) if (found := tuple(self._entered(call)))}

    def _entered(self, call: ast.Call) -> Iterator[Function]:
        for definition in self.definitions(call.func):
            if isinstance(definition, Function):
                yield definition
            else:
                inits = (self.method(c, "__init__") for c in self.lineage(definition))
                yield from [i for i in inits if i is not None][:1]

    def _handed(self, call: ast.Call) -> Iterator[Function]:
        for argument in (*call.args, *(k.value for k in call.keywords)):
            if isinstance(argument, ast.Name):
                yield from (d for d in self.definitions(argument) if isinstance(d, Function))

    @cached_property
    def _reached(self) -> dict[ast.Call, tuple[Function, ...]]:
        every = ((call, (*self._calls.get(call, ()), *self._handed(call))) for call in self.all(ast.Call))
        return {call: found for call, found in every if found}

    def entered(self, call: ast.Call) -> tuple[Function, ...]:
        """The person's own functions that a call enters itself."""
        return self._calls.get(call, ())

    def entered_by(self, function: Function) -> list[ast.Call]:
        """The calls that enter a function themselves, from outside of itself."""
        return [c for c, found in self._calls.items() if function in found and not self.inside(c, function)]

    def called(self, call: ast.Call) -> tuple[Function, ...]:
        """The person's own functions that a call may enter (a function handed over as an argument counts)."""
        return self._reached.get(call, ())

    def callers(self, function: Function) -> tuple[ast.Call, ...]:
        """The calls that may enter a function, from outside of itself."""
        return tuple(c for c, found in self._reached.items() if function in found and not self.inside(c, function))

    def arguments(self, function: Function, name: str) -> list[ast.expr]:
        """What a function's callers give for one of its parameters; its default where one gives nothing."""
        given = [argument_for(c, function, name) for c in self.entered_by(function)]
        known = [g for g in given if g is not None]
        return known if known and None not in given else [*known, *default_of(function, name)]


@lru_cache(maxsize=16)
def _source(files: tuple[tuple[str, str], ...], main: str, idle: Idle) -> Source:
    return Source(Sources(dict(files), main), idle)
