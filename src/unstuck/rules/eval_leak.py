"""Data leakage: the evaluation rows, or their labels, took part in training.

## Why it hurts

A score on rows that the network was trained on measures memory, not generalisation. Copies of a row on both sides of
the split, features selected by the labels of all rows, a test loader over the training set: each gives a high score
that does not hold on new data. Of all faults this one looks most like success.

## How it is seen

Recorded rows: rows of an evaluation that the same network had been trained on before, beside rows that it had not, and
several copies of them in one evaluation. A plain evaluation of the training set (a training accuracy) is no leak.

In the source, before the line that splits the rows: oversampling (drawing with replacement, SMOTE, repeating the rows
of a class) or feature selection by the target. Also an evaluation loader that is given the training set while a test
set is never used, and slices that overlap. The effect of these is settled by a run with the split done first. A scaler
fitted on all rows is a hint only: its effect is small.

## What to do

Split first. Then oversample, select features and fit scalers on the training part alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.diagnosis.model import Effect, Evidence, Finding, NotApplicable, proven
from unstuck.diagnosis.skill import differs
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.split_first import ChooseByTraining, LoadTestSet, SplitFirst
from unstuck.signals.overlap import ALL, Overlap
from unstuck.signals.printed import changes
from unstuck.signals.source import Binding
from unstuck.signals.splits import KEPT_ASIDE, TRAINED_ON, Split, Splits, words
from unstuck.tape.model import Tape

FAULT = "eval-leak"
STAGE = Stage.REPORTING
SOME, APART = 0.05, 0.01
"""Shares of an evaluation's rows that were trained on: a leak, and none. Single rows of a table are equal by chance."""
COPIES = 0.02
"""Share of copies among an evaluation's rows, at least: evidence of oversampling before the split."""


def check(splits: Splits, overlap: Overlap | None) -> Iterator[Finding]:
    """Report what stands before each split and sets that are used twice; else shared rows by themselves."""
    share, copies = overlap.shared if overlap is not None else (0.0, 0.0)
    found = list(_in_the_text(splits, share))
    yield from found
    if not any(f.severity == "error" for f in found) and copies >= COPIES and SOME < share < ALL:
        said = f"data leakage: {share:.0%} of the evaluation rows were trained on, some in several copies; split first"
        evidence = (_shared(share), Evidence("copies among the evaluation rows", round(copies, 3), "0"))
        yield Finding(FAULT, said, None, evidence, (), "error", known="observed", effect=_leaks(share))


def verify(before: Tape, after: Tape) -> str | None:
    """The evaluation rows were trained on and are not any more; else a printed score that the leak had raised falls."""
    try:
        old, new = Overlap.read(before).shared[0], Overlap.read(after).shared[0]
    except NotApplicable:
        old, new = 0.0, 0.0
    if old < SOME:
        return _lower(before, after)
    if new > APART:
        return None
    try:
        change = max(changes(before, after), key=lambda c: (c.score, abs(c.gain)), default=None)
    except NotApplicable:
        change = None
    said = f"{old:.0%} of the evaluation rows had been trained on before, {new:.0%} after the patch"
    return f"{said}; {change}" if change is not None else said


def _lower(before: Tape, after: Tape) -> str | None:
    """No row is on both sides: labels leaked, and the printed score is lower without them."""
    try:
        scores = [c for c in changes(before, after) if c.score]
    except NotApplicable:
        return None
    lowest = min(scores, key=lambda c: c.gain, default=None)
    if lowest is None or not differs(lowest.gain, 0.0) or any(differs(0.0, c.gain) for c in scores):
        return None
    return f"the leak raised the score: {lowest}"


def _shared(share: float) -> Evidence:
    return Evidence("share of evaluation rows that were trained on", round(share, 3), "0")


def _leaks(share: float) -> Effect:
    return proven(f"{share:.0%} of the evaluation rows were trained on before")


def _in_the_text(splits: Splits, share: float) -> Iterator[Finding]:
    seen: set[ast.AST] = set()
    for split in splits.all:
        yield from _copied(splits, split, seen, share)
        yield from _selected(splits, split, seen)
    yield from _same_set(splits, share)
    yield from _overlapping(splits, share)
    yield from _scaled(splits)


def _copied(splits: Splits, split: Split, seen: set[ast.AST], share: float) -> Iterator[Finding]:
    node = splits.duplicated(split)
    if node is not None and node not in seen:
        seen.add(node)
        line = splits.source.site(split.node).line
        said = f"rows are oversampled before line {line} splits them, so copies are on both sides; split first"
        yield _finding(splits, node, said, *_split_first(splits, split), share=share)


def _selected(splits: Splits, split: Split, seen: set[ast.AST]) -> Iterator[Finding]:
    fitted = splits.fitted(split, "sklearn.feature_selection")
    node = fitted if fitted is not None and len(fitted.args) > 1 else splits.picked(split)
    if node is not None and node not in seen:
        seen.add(node)
        line = splits.source.site(split.node).line
        said = f"features are selected by the labels of all rows before line {line} splits them; split first"
        part = splits.training_part(split, node) if node is not fitted else ""
        yield _finding(splits, node, said, *([ChooseByTraining(splits.source.site(node), part)] if part else []))


def _split_first(splits: Splits, split: Split) -> Iterator[SplitFirst]:
    """The remedy, if the rows are made by one call and split by the next."""
    statement, names = splits.halves(split)
    makers = {b.statement for row in split.rows for b in _bound_before(splits, row, split)}
    if statement is not None and names and len(makers) == 1:
        yield SplitFirst(splits.source.site(makers.pop()), splits.source.site(statement))


def _bound_before(splits: Splits, row: ast.expr, split: Split) -> list[Binding]:
    bound = [b for b in splits.source.bindings_of(row) if b.kind == "assign"] if isinstance(row, ast.Name) else []
    line = splits.source.statement(split.node).lineno
    before = [b for b in bound if getattr(b.statement, "lineno", line) < line]
    return before[-1:]


def _same_set(splits: Splits, share: float) -> Iterator[Finding]:
    """An evaluation loader that is given the training set."""
    loaders = [(b, d) for b in splits.source.bindings if (d := _loaded(splits, b)) is not None]
    trained = {ast.unparse(d) for b, d in loaders if words(b.name) & TRAINED_ON}
    aside = _unused(splits)
    for b, dataset in loaders:
        if (
            words(b.name) & KEPT_ASIDE
            and ast.unparse(dataset) in trained
            and not words(ast.unparse(dataset)) & KEPT_ASIDE
        ):
            said = f"{b.name} loads {ast.unparse(dataset)}, the training set"
            if len(aside) == 1:
                said += f", and {aside[0]} is never used"
                yield _finding(splits, dataset, said, LoadTestSet(splits.source.site(dataset), aside[0]), share=share)
            else:
                yield _finding(splits, dataset, said, harmless="it may be meant: a training accuracy")


def _loaded(splits: Splits, b: Binding) -> ast.expr | None:
    """The data set of a loader, if it is a plain name."""
    call = b.value if b.kind == "assign" and b.item < 0 else None
    if not isinstance(call, ast.Call) or not splits.source.full_name(call).endswith(".DataLoader"):
        return None
    given = call.args[0] if call.args else next((k.value for k in call.keywords if k.arg == "dataset"), None)
    return given if isinstance(given, ast.Name | ast.Attribute) else None


def _unused(splits: Splits) -> list[str]:
    """Data sets named as held out that are never read."""
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


def _overlapping(splits: Splits, share: float) -> Iterator[Finding]:
    """Two literal slices of one name, for training and for evaluation, that overlap."""
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
            said = f"{b.name} starts at row {part[1]:g} of {part[0]}, but the training rows end at {heads[key]:g}"
            yield _finding(splits, b.statement, said, share=share)


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
        said = "the scaler is fitted on all rows, including the evaluation rows"
        yield _finding(splits, node, said, harmless="mean and deviation hardly depend on the evaluation rows")


def _finding(
    splits: Splits, node: ast.AST, said: str, *remedies: object, share: float = 0.0, harmless: str = ""
) -> Finding:
    """A finding read in the source; proven if recorded rows are on both sides."""
    site = splits.source.site(node)
    code = splits.source.code(splits.source.statement(node)).splitlines()[0].strip()
    evidence = (Evidence("source", code, "split first"),)
    if harmless:
        return Finding(FAULT, said, site, evidence, remedies, known="read", effect=Effect("refuted", harmless))
    if share < SOME:
        return Finding(FAULT, said, site, evidence, remedies, "error", known="read")
    evidence = (*evidence, _shared(share))
    return Finding(FAULT, said, site, evidence, remedies, "error", known="observed", effect=_leaks(share))


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
