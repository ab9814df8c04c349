"""What the network is judged by has been seen in training.

## Why it hurts

A score on rows that the network was trained on says how well it remembers, not how well it knows. Copies of a row that
stand on both sides of the split, features chosen by looking at all labels, a test loader built from the training set:
each makes the score splendid and the program useless in earnest. It is the one fault that looks like success.

## How it is seen

The text is followed back from the place where rows are split: oversampling (drawing with replacement, SMOTE and its
like, repeating the rows of a class, joining a set with itself) or a selection of features by the target stands before
it. Or the evaluation's loader is given the training set while a set kept aside is never used; or two slices overlap.
Scaling by the statistics of all rows is only hinted at: its effect is next to nothing.

## What to do

Split first. Then oversample, select and fit on the training part alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding, NotApplicable
from unstuck.remedies.split_first import ChooseByTraining, LoadTestSet, SplitFirst
from unstuck.signals.overlap import Overlap
from unstuck.signals.source import Binding
from unstuck.signals.splits import KEPT_ASIDE, TRAINED_ON, Split, Splits, words
from unstuck.tape.model import Tape

FAULT = "eval-leak"
SOME, MOST = 0.05, 0.995
"""Between these shares of common rows an evaluation is neither apart from the training nor of the training itself."""
COPIES = 0.02
"""So many of the rows are copies of others, at least: two rows of a table may be equal by chance."""


def check(splits: Splits, tape: Tape) -> Iterator[Finding]:
    """What stands before each split, then the sets that are used twice; what the tape shows where the text does not."""
    found = list(_in_the_text(splits))
    yield from found
    if not any(f.severity == "error" for f in found):
        yield from _on_the_tape(tape)


def _on_the_tape(tape: Tape) -> Iterator[Finding]:
    """Rows that were trained on among those judged by, some of them several times."""
    try:
        sets = Overlap.read(tape)
    except NotApplicable:
        return
    both, copies = sets.shared()
    share = both / len(sets.judged)
    if copies >= COPIES * len(sets.judged) and SOME < share < MOST:
        said = f"{both} of {len(sets.judged)} rows of the evaluation were trained on, and {copies} of them are copies"
        evidence = Evidence("share of the evaluation's rows that were trained on", round(share, 3), "0")
        yield Finding(FAULT, said, None, (evidence,), (), "error", demonstrated=said)


def _in_the_text(splits: Splits) -> Iterator[Finding]:
    seen: set[ast.AST] = set()
    for split in splits.all:
        yield from _copied(splits, split, seen)
        yield from _selected(splits, split, seen)
    yield from _same_set(splits)
    yield from _overlapping(splits)
    yield from _scaled(splits)


def _copied(splits: Splits, split: Split, seen: set[ast.AST]) -> Iterator[Finding]:
    node = splits.duplicated(split)
    if node is not None and node not in seen:
        seen.add(node)
        line = splits.source.site(split.node).line
        said = f"rows are copied here before line {line} splits them: copies of one row stand on both sides"
        yield _finding(splits, node, said, *_split_first(splits, split))


def _selected(splits: Splits, split: Split, seen: set[ast.AST]) -> Iterator[Finding]:
    fitted = splits.fitted(split, "sklearn.feature_selection")
    node = fitted if fitted is not None and len(fitted.args) > 1 else splits.picked(split)
    if node is not None and node not in seen:
        seen.add(node)
        line = splits.source.site(split.node).line
        said = f"features are chosen by the labels of all rows before line {line} splits them"
        part = splits.training_part(split, node) if node is not fitted else ""
        yield _finding(splits, node, said, *([ChooseByTraining(splits.source.site(node), part)] if part else []))


def _split_first(splits: Splits, split: Split) -> Iterator[SplitFirst]:
    """The repair, where the rows are made by one call and split by the next."""
    statement, names = splits.halves(split)
    makers = {b.statement for row in split.rows for b in _bound_before(splits, row, split)}
    if statement is not None and names and len(makers) == 1:
        yield SplitFirst(splits.source.site(makers.pop()), splits.source.site(statement))


def _bound_before(splits: Splits, row: ast.expr, split: Split) -> list[Binding]:
    bound = [b for b in splits.source.bindings_of(row) if b.kind == "assign"] if isinstance(row, ast.Name) else []
    line = splits.source.statement(split.node).lineno
    before = [b for b in bound if getattr(b.statement, "lineno", line) < line]
    return before[-1:]


def _same_set(splits: Splits) -> Iterator[Finding]:
    """A loader for evaluation that is given the training set."""
    loaders = [(b, d) for b in splits.source.bindings if (d := _loaded(splits, b)) is not None]
    trained = {ast.unparse(d) for b, d in loaders if words(b.name) & TRAINED_ON}
    aside = _unused(splits)
    for b, dataset in loaders:
        if (
            words(b.name) & KEPT_ASIDE
            and ast.unparse(dataset) in trained
            and not words(ast.unparse(dataset)) & KEPT_ASIDE
        ):
            said = f"{b.name} is given {ast.unparse(dataset)}, the set that is trained on"
            if len(aside) == 1:
                said += f"; {aside[0]} is never used"
                yield _finding(splits, dataset, said, LoadTestSet(splits.source.site(dataset), aside[0]))
            else:
                yield _finding(splits, dataset, said, hint=True)


def _loaded(splits: Splits, b: Binding) -> ast.expr | None:
    """The data set of a loader that a name is given; only plain names."""
    call = b.value if b.kind == "assign" and b.item < 0 else None
    if not isinstance(call, ast.Call) or not splits.source.full_name(call).endswith(".DataLoader"):
        return None
    given = call.args[0] if call.args else next((k.value for k in call.keywords if k.arg == "dataset"), None)
    return given if isinstance(given, ast.Name | ast.Attribute) else None


def _unused(splits: Splits) -> list[str]:
    """Data sets kept aside by name that nothing ever reads."""
    read = {n.id for n in splits.source.all(ast.Name) if isinstance(n.ctx, ast.Load)}
    named = (
        b for b in splits.source.bindings if b.kind == "assign" and words(b.name) & KEPT_ASIDE and b.name.isidentifier()
    )
    sets = (
        b.name
        for b in named
        if words(b.name) & {"set", "data", "ds", "dataset"} or "Dataset" in ast.unparse(b.value or b.statement)
    )
    return sorted({n for n in sets if n not in read and not words(n) & {"loader", "dl", "dataloader"}})


def _overlapping(splits: Splits) -> Iterator[Finding]:
    """Two literal slices of one name, one to train on and one kept aside, that have rows in common."""
    heads: dict[tuple[ast.AST, str], float] = {}
    for b in splits.source.bindings:
        part = _slice(splits, b)
        if part is None:
            continue
        key = (b.scope, part[0])
        if words(b.name) & TRAINED_ON and part[1] is None and part[2] is not None:
            heads[key] = part[2]
        elif (
            words(b.name) & KEPT_ASIDE and part[2] is None and part[1] is not None and 0 <= part[1] < heads.get(key, 0)
        ):
            said = f"{b.name} begins at row {part[1]:g} of {part[0]}, but training goes up to row {heads[key]:g}"
            yield _finding(splits, b.statement, said)


def _slice(splits: Splits, b: Binding) -> tuple[str, float | None, float | None] | None:
    value = b.value if b.kind == "assign" and b.item < 0 else None
    if not isinstance(value, ast.Subscript) or not isinstance(value.slice, ast.Slice) or value.slice.step is not None:
        return None
    part = value.slice
    low, high = splits.source.number(part.lower), splits.source.number(part.upper)
    known = (part.lower is None or low is not None) and (part.upper is None or high is not None)
    return (ast.unparse(value.value), low, high) if known and (high is None or high > 0) else None


def _scaled(splits: Splits) -> Iterator[Finding]:
    nodes = dict.fromkeys(n for split in splits.all if (n := splits.fitted(split, "sklearn.preprocessing")) is not None)
    for node in nodes:
        yield _finding(splits, node, "the scaling is fitted on all rows, those of the evaluation among them", hint=True)


def _finding(splits: Splits, node: ast.AST, said: str, *remedies: object, hint: bool = False) -> Finding:
    site = splits.source.site(node)
    code = splits.source.code(splits.source.statement(node)).splitlines()[0].strip()
    evidence = Evidence("in the text", code, "split first")
    if hint:
        return Finding(FAULT, said, site, (evidence,), remedies, "hint", "hint")
    return Finding(FAULT, said, site, (evidence,), remedies, "error", demonstrated=f"line {site.line}: {said}")


_SCRIPT = """
import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import nn

torch.manual_seed(0)
rng = np.random.default_rng(0)
x = rng.normal(size=(500, 8)).astype("float32")
y = (x[:, 0] + rng.normal(size=500) > 1.8).astype("int64")


def balanced(x, y):
    rare = np.flatnonzero(y == 1)
    more = rng.choice(rare, size=300)
    return np.concatenate([x, x[more]]), np.concatenate([y, y[more]])


{split}
x_train, y_train = torch.from_numpy(x_train), torch.from_numpy(y_train)
x_test, y_test = torch.from_numpy(x_test), torch.from_numpy(y_test)
model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(40):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x_train), y_train)
    loss.backward()
    optimizer.step()
with torch.no_grad():
    answers = model(x_test).argmax(1)
print("recall", (answers[y_test == 1] == 1).float().mean().item())
"""

FIRES = _SCRIPT.format(
    split="x_more, y_more = balanced(x, y)\n"
    "x_train, x_test, y_train, y_test = train_test_split(x_more, y_more, random_state=0)"
)
QUIET = _SCRIPT.format(
    split="x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=0)\n"
    "x_train, y_train = balanced(x_train, y_train)"
)
