"""The network is judged by inputs that were prepared differently from those it learned from.

## Why it hurts

A network that has learned from standardised features knows nothing of raw ones: their scale pushes every unit to where
it has never been. The training loss is fine, the score is that of chance, and it looks like overfitting.

## How it is seen

The inputs of training and evaluation are compared on the tape: their spreads differ by a large factor, or their means
lie many spreads apart. The text says where: the training part goes through `fit_transform` (or is divided, or has a
mean subtracted) and the part kept aside never does.

## What to do

Prepare both alike, with the statistics of the training part: `X_test = scaler.transform(X_test)`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from torch import Tensor

from unstuck.diagnosis.model import Evidence, Finding, NotApplicable, Site
from unstuck.remedies.bare_input import BareInput, first_of
from unstuck.remedies.prepare_alike import PrepareAlike
from unstuck.signals.overlap import Overlap
from unstuck.signals.source import Binding, Source
from unstuck.signals.splits import KEPT_ASIDE, TRAINED_ON, words
from unstuck.signals.training import Training
from unstuck.tape.model import Tape

FAULT = "preprocess-mismatch"
FACTOR = 4.0
"""Spreads that differ by this factor are of two preparations."""
APART = 4.0
"""So many training spreads between the means are no accident either."""
MANY = 0.25
"""So many of the features must differ: a single one may have a rare value."""
PLAIN, NEARLY_ALL, FEWEST = 8.0, 0.9, 4
"""Nearly all of several features (or whole pictures) so far apart: no text is needed."""
STANDARD, ELSEWHERE = 0.15, 20.0
"""Every feature of the training has mean 0 and spread 1 within this: it was standardised. Where one of the evaluation's
then lies so many spreads away, that was not."""


def check(training: Training, tape: Tape) -> Iterator[Finding]:
    """What the text shows, with the measurement beside it; else the measurement alone."""
    measured = _measured(tape)
    if measured and not measured[0]:
        return
    found = list(_unprepared(training))
    for b, twin in found[:1]:
        yield _said(training.source, b, twin, measured)
    if not found and measured:
        said = "the evaluation's inputs are on another scale than those of the training"
        sure, sites = said if _plain(tape) else "", list(_altered(training))
        remedies = tuple(BareInput(site) for site in sites[:1])
        yield Finding(FAULT, said, sites[0] if sites else None, measured[1:], remedies, "error", demonstrated=sure)


def _altered(training: Training) -> Iterator[Site]:
    """Arithmetic in the argument of a forward outside training: `model(x_test * std + mean)`."""
    for call in training.source.all(ast.Call):
        if call.args and training.is_trained(call.func) and not training.in_training(call):
            given = call.args[0]
            if isinstance(given, ast.BinOp) and isinstance(first_of(given), ast.Name | ast.Attribute | ast.Subscript):
                yield training.source.site(given)


def _measured(tape: Tape) -> tuple | None:
    """Whether the two sets differ, and the evidence; None where the tape does not say."""
    try:
        shift, ratio = Overlap.read(tape).spread()
    except NotApplicable:
        return None
    if not len(ratio):
        return None
    off = (ratio > FACTOR) | (ratio < 1 / FACTOR) | (shift > APART)
    share, factor, apart = float(off.double().mean()), float(ratio.median()), float(shift.median())
    features = Evidence("share of features that differ between training and evaluation", round(share, 3), "0")
    spread = Evidence("spread of the evaluation's inputs over the training's (median)", round(factor, 4), "near 1")
    means = Evidence("distance of the means in training spreads (median)", round(apart, 3), f"below {APART:g}")
    return share >= MANY, features, spread, means


def _standardised(rows: Tensor) -> bool:
    if rows.dim() != 2 or rows.shape[1] < FEWEST:
        return False
    mean, std = rows.double().mean(0), rows.double().std(0, correction=0)
    return bool((mean.abs() < STANDARD).all()) and bool(((std - 1).abs() < STANDARD).all())


def _plain(tape: Tape) -> bool:
    """Whether no shift of the data explains it: nearly all features are far apart, all in the same direction.

    Or one part was standardised, and the other has kept its units.
    """
    sets = Overlap.read(tape)
    shift, ratio = sets.spread()
    if _standardised(sets.trained) and float(shift.max()) > ELSEWHERE:
        return True
    smaller, larger = ratio < 1 / PLAIN, ratio > PLAIN
    share = max(float(way.double().mean()) for way in (smaller, larger, shift > PLAIN))
    return (sets.trained.dim() > 2 or len(ratio) >= FEWEST) and share >= NEARLY_ALL


def _unprepared(training: Training) -> Iterator[tuple[Binding, str]]:
    """Training parts that are scaled, with the twin kept aside that never is."""
    source = training.source
    for b in source.bindings:
        if b.kind != "assign" or b.item >= 0 or b.value is None or not words(b.name) & TRAINED_ON:
            continue
        if _prepares(b):
            for twin in _twins(source, b):
                if _is_raw(source, twin, b) and _reaches(training, twin) and not _is_prepared(training, twin):
                    yield b, twin


def _prepares(b: Binding) -> bool:
    """`X_train = scaler.fit_transform(X_train)`, `X_train = X_train / 255`, `X_train = (X_train - mean) / std`."""
    value = b.value
    if isinstance(value, ast.Call):
        scaler = isinstance(value.func, ast.Attribute) and value.func.attr == "fit_transform"
        return scaler and any(ast.unparse(a) == b.name for a in value.args)
    if not isinstance(value, ast.BinOp) or not isinstance(value.op, ast.Div | ast.Sub):
        return False
    return b.name in {n.id for n in ast.walk(value) if isinstance(n, ast.Name)}


def _twins(source: Source, b: Binding) -> list[str]:
    """Names of the same scope that differ in the word for the part only: `X_test` beside `X_train`."""
    rest = words(b.name) - TRAINED_ON
    names = {o.name for o in source.bindings if o.scope is b.scope and o.name.isidentifier()}
    return sorted(n for n in names if words(n) & KEPT_ASIDE and words(n) - KEPT_ASIDE == rest)


CONVERSIONS = {"tensor", "from_numpy", "as_tensor", "FloatTensor", "Tensor", "TensorDataset", "len", "print", "float32"}
CONVERSIONS |= {"array", "asarray", "DataLoader", "astype", "float", "unsqueeze", "view", "reshape", "to"}
"""Calls that leave the scale of what they are given."""


ENTRIES = {"tensor", "from_numpy", "as_tensor", "FloatTensor", "Tensor", "TensorDataset", "DataLoader"}
"""Calls by which rows are on their way to a network."""


def _is_raw(source: Source, name: str, beside: Binding) -> bool:
    """Whether every value a name is given is a part of something larger, or a conversion of itself."""
    values = [b.value for b in source.bound(name, beside.scope) if b.item < 0 and b.value is not None]
    plain = (ast.Name, ast.Subscript, ast.Attribute)
    return all(isinstance(v, plain) or (isinstance(v, ast.Call) and _last_name(v) in CONVERSIONS) for v in values)


def _reaches(training: Training, name: str) -> bool:
    """Whether a name is given to a network, or made into what one is given."""
    calls = (c for c in training.source.all(ast.Call) if _last_name(c) in ENTRIES or training.is_trained(c.func))
    return any(isinstance(n, ast.Name) and n.id == name for c in calls for a in c.args for n in ast.walk(a))


def _last_name(call: ast.Call) -> str:
    return ast.unparse(call.func).rpartition(".")[2]


def _is_prepared(training: Training, name: str, depth: int = 3) -> bool:
    """Whether anything but conversions and the network's own call ever happens to a name."""
    reads = (n for n in training.source.all(ast.Name) if n.id == name and isinstance(n.ctx, ast.Load))
    return any(_changes(training, n, depth) for n in reads)


def _changes(training: Training, node: ast.Name, depth: int) -> bool:
    for outer in training.source.above(node):
        if isinstance(outer, ast.Call) and training.is_trained(outer.func):
            return False
        converts = isinstance(outer, ast.Call) and _last_name(outer) in CONVERSIONS
        if isinstance(outer, ast.BinOp | ast.For | ast.comprehension) or (isinstance(outer, ast.Call) and not converts):
            return True
        if isinstance(outer, ast.Assign):
            names = [t.id for t in outer.targets if isinstance(t, ast.Name) and t.id != node.id]
            return depth > 0 and any(_is_prepared(training, n, depth - 1) for n in names)
        if isinstance(outer, ast.stmt):
            return False
    return False


def _said(source: Source, b: Binding, twin: str, measured: tuple | None) -> Finding:
    site = source.site(b.statement)
    said = f"{b.name} is scaled here and {twin} never is"
    evidence = measured[1:] if measured else (Evidence("in the text", source.code(b.statement), f"{twin} alike"),)
    return Finding(
        FAULT, said, site, evidence, (PrepareAlike(site, twin),), "error", demonstrated=f"line {site.line}: {said}"
    )


_SCRIPT = """
import torch
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn

torch.manual_seed(0)
X, y = load_wine(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=0)
scaler = StandardScaler()
X_train = scaler.fit_transform(X_train)
{test}X_train = torch.tensor(X_train, dtype=torch.float32)
X_test = torch.tensor(X_test, dtype=torch.float32)
y_train, y_test = torch.tensor(y_train), torch.tensor(y_test)
model = nn.Sequential(nn.Linear(13, 32), nn.ReLU(), nn.Linear(32, 3))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

for epoch in range(8):
    for batch in torch.randperm(len(X_train)).split(16):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(X_train[batch]), y_train[batch])
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        print(epoch, loss.item(), (model(X_test).argmax(1) == y_test).float().mean().item())
"""

FIRES = _SCRIPT.format(test="")
QUIET = _SCRIPT.format(test="X_test = scaler.transform(X_test)\n")
