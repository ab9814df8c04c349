"""Register layers kept in a plain list or dict: nn.ModuleList, nn.ModuleDict."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis.model import Trust
from unstuck.remedies._meaning import assigned, method
from unstuck.remedies._moves import gathered
from unstuck.remedies._names import full_name, needed, spelled
from unstuck.remedies._program import held_by, noted
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Place, Sources, Splice

Holder = ast.List | ast.ListComp | ast.Dict | ast.DictComp


class RegisterModules(Treatment, frozen=True):
    """`names`: weights on the tape that are unregistered and in no optimizer; `optimizer`: the one to hold them."""

    name: ClassVar[str] = "register-modules"
    trust: ClassVar[Trust] = "safe"

    names: tuple[str, ...] = ()
    optimizer: int = 0

    def summary(self) -> str:
        return "register the layers in a ModuleList, so that the optimizer gets their weights"

    def apply(self, trial: Trial) -> Trial:
        return noted(held_by(trial, self.names, self.optimizer), self.name)

    def edit(self, sources: Sources) -> Sources:
        splices = (s for w in sources.pages() for c in w.page.all(ast.ClassDef) for s in _of_class(sources, w.of(c)))
        return gathered(sources, splices, "no list or dict of layers was found in a module's __init__")


def _of_class(sources: Sources, owner: Place) -> Iterator[Splice]:
    init = method(owner, "__init__")
    if init is None:
        return
    for statement in owner.page.all(ast.Assign, init.node):
        target, value = statement.targets[0], owner.of(statement.value)
        if (
            isinstance(target, ast.Attribute)
            and (held := _holder(init, value))
            and _holds_layers(sources, init, target, held)
        ):
            if _keys_are_words(held.node):
                kind = (
                    "torch.nn.ModuleDict" if isinstance(held.node, ast.Dict | ast.DictComp) else "torch.nn.ModuleList"
                )
                yield from (*needed(value, kind), *_wrapped(value, spelled(value.page, kind)))
            else:
                kind = "torch.nn.ModuleList"
                yield from (*needed(value, kind), _beside(owner, target, spelled(value.page, kind)))


def _beside(owner: Place, target: ast.Attribute, kind: str) -> Splice:
    """ModuleDict keys must be strings: a dict with others stays, and its layers are also registered in a list."""
    name = ast.unparse(target)
    return owner.of(target).followed(f"{name}_registered = {kind}({name}.values())")


def _keys_are_words(node: ast.AST) -> bool:
    match node:
        case ast.Dict(keys=keys):
            return all(_is_word(k) for k in keys)
        case ast.DictComp(key=key):
            return _is_word(key) or isinstance(key, ast.JoinedStr) or ast.unparse(key).startswith("str(")
    return True


def _wrapped(value: Place, kind: str) -> Iterator[Splice]:
    empty = isinstance(value.node, ast.List | ast.Dict) and not ast.unparse(value.node)[1:-1]
    yield from [value.instead(f"{kind}()")] if empty else value.wrapped(f"{kind}(", ")")


def _is_word(key: ast.expr | None) -> bool:
    return isinstance(key, ast.Constant) and isinstance(key.value, str)


def _holder(init: Place, value: Place) -> Place | None:
    """The list or dict that a value is: written in place, or assigned to a name before."""
    if isinstance(value.node, ast.Name):
        found = [v for v in assigned(init, value.node.id) if isinstance(v.node, Holder)]
        return found[0] if found else None
    return value if isinstance(value.node, Holder) else None


def _holds_layers(sources: Sources, init: Place, target: ast.Attribute, held: Place) -> bool:
    inside = any(_is_layer(sources, held.of(c)) for c in held.page.all(ast.Call, held.node))
    return inside or any(_is_layer(sources, init.of(c)) for c in _added(init, target, held))


def _added(init: Place, target: ast.Attribute, held: Place) -> Iterator[ast.expr]:
    """What is appended, or put under a key, through the attribute or the name of the list."""
    names = {ast.unparse(target)} | {n.id for n in _names(init, held)}
    for statement in init.page.all(ast.stmt, init.node):
        match statement:
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=owner, attr="append"), args=[one])):
                yield from [one] if ast.unparse(owner) in names else []
            case ast.Assign(targets=[ast.Subscript(value=owner)], value=one):
                yield from [one] if ast.unparse(owner) in names else []
            case ast.AugAssign(target=owner, value=ast.List(elts=many)):
                yield from many if ast.unparse(owner) in names else []


def _names(init: Place, held: Place) -> Iterator[ast.Name]:
    for statement in init.page.all(ast.Assign, init.node):
        if statement.value is held.node:
            yield from (t for t in statement.targets if isinstance(t, ast.Name))


def _is_layer(sources: Sources, place: Place) -> bool:
    """Whether an expression constructs a module: of torch.nn, or of the script's own class."""
    if not isinstance(place.node, ast.Call):
        return False
    name = full_name(place.page, place.node.func)
    if name.startswith("torch.nn.") and name.rpartition(".")[2][:1].isupper() and "Parameter" not in name:
        return True
    own = {
        c.name
        for w in sources.pages()
        for c in w.page.all(ast.ClassDef)
        if any("Module" in ast.unparse(b) for b in c.bases)
    }
    return getattr(place.node.func, "id", "") in own
