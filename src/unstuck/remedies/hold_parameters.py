"""Give the optimizer the weights that the loss depends on and that no optimizer holds."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._loop import optimizer_at
from unstuck.remedies._meaning import assigned
from unstuck.remedies._moves import argument, gathered
from unstuck.remedies._program import held_by, noted, root_of
from unstuck.remedies.treatment import CannotApply, CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources, Splice


class HoldParameters(Treatment, frozen=True):
    """`names`: weights on the tape that no optimizer holds (`rnn.fc.weight`); `optimizer`: its number on the tape;
    `site`: its construction, to tell several apart."""

    name: ClassVar[str] = "hold-parameters"
    trust: ClassVar[Trust] = "likely"

    names: tuple[str, ...]
    optimizer: int = 0
    site: Site | None = None

    def summary(self) -> str:
        return "give the optimizer all weights that the loss depends on"

    def apply(self, trial: Trial) -> Trial:
        if any(p.unfrozen for p in trial.tape.parameters if p.name in self.names):
            raise CannotApply("a replay keeps the weights frozen that are frozen at the first step")
        return noted(held_by(trial, self.names, self.optimizer), self.name)

    def edit(self, sources: Sources) -> Sources:
        call = optimizer_at(sources, self.site)
        given = argument(call, 0, "params")
        if given is None:
            raise CannotEdit(f"{call.file}: the optimizer is constructed without parameters")
        return gathered(sources, self._splices(call, given), "the optimizer already holds them, as the text reads")

    def _splices(self, call: Place, given: Place) -> Iterator[Splice]:
        roots = list(dict.fromkeys(_spoken(call, root_of(n)) for n in self.names))
        bare = {n for n in self.names if n == root_of(n)}
        stale = [r for r in roots if re.search(rf"(?<![\w.]){re.escape(r)}\.(named_)?parameters\(", given.code)]
        if len(roots) == len(stale) == given.code.count("parameters(") == 1 and _chosen(given):
            yield given.instead(f"{stale[0]}.parameters()")
        elif stale:
            yield _again(call, stale[-1])
        elif len(roots) == 1 and not bare and re.search(rf"(?<![\w.]){re.escape(roots[0])}\b", given.code):
            yield given.instead(f"{roots[0]}.parameters()")
        else:
            yield given.instead(" + ".join([_listed(given), *(_all(r, r in bare) for r in roots)]))


def _chosen(given: Place) -> bool:
    """Whether only a part of the parameters is selected: by a slice or a condition."""
    node = given.node
    filters = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "filter"
    return filters or isinstance(node, ast.Subscript | ast.ListComp | ast.GeneratorExp)


def _spoken(call: Place, root: str) -> str:
    """The name of the outermost module in the text; the tape calls one without a name after its class.

    One of a list has the name by which a loop around the call goes through that list.
    """
    known = {call.page.code(n) for kind in (ast.Name, ast.Attribute) for n in call.page.all(kind)}
    if root in known:
        return root
    for made in call.page.all(ast.Assign):
        if isinstance(made.value, ast.Call) and call.page.code(made.value.func).lower() == root:
            return call.page.code(made.targets[0])
    if (each := _each(call, root.partition("[")[0])) is not None:
        return each
    raise CannotEdit(f"{call.file}: cannot tell the name of {root} in the script")


def _each(call: Place, modules: str) -> str | None:
    """The variable of the innermost loop around a call, or of the comprehension that it stands in, over `modules`."""
    above = list(call.page.above(call.node))
    loops = [n for node in above for n in getattr(node, "generators", [node] if isinstance(node, ast.For) else [])]
    over = (n.target for n in loops if call.page.code(n.iter) == modules)
    return next((target.id for target in over if isinstance(target, ast.Name)), None)


def _again(call: Place, root: str) -> Splice:
    """The optimizer is constructed again after the statement that rebuilt its model, or a layer of it."""
    page, statement = call.page, call.page.statement(call.node)
    scope = call.of(page.function(call.node) or page.tree)
    made = (*assigned(scope, root), *_layers(scope, root))
    later = [v for v in made if page.span(v.node)[0] > page.span(statement)[1]]
    later.sort(key=lambda v: page.span(v.node))
    if not later:
        raise CannotEdit(
            f"{call.file}: the optimizer is given {root}.parameters(), but of another {root}; where is not clear"
        )
    return later[-1].followed(page.code(statement))


def _layers(scope: Place, root: str) -> Iterator[Place]:
    """What a function puts in the place of a module's layers: `model.fc = nn.Linear(512, 10)`."""
    page = scope.page
    for made in page.all(ast.Assign):
        here = (page.function(made) or page.tree) is scope.node
        if here and any(isinstance(t, ast.Attribute) and page.code(t).startswith(f"{root}.") for t in made.targets):
            yield scope.of(made.value)


def _listed(given: Place) -> str:
    return given.code if isinstance(given.node, ast.List) else f"list({given.code})"


def _all(root: str, bare: bool) -> str:
    return f"[{root}]" if bare else f"list({root}.parameters())"
