"""Evaluation inputs are preprocessed differently from training inputs.

## Why it hurts

A network trained on standardised features cannot use raw ones: their scale drives its units to values they have never
had. The training loss is fine and the test score is that of chance, which looks like overfitting.

## How it is seen

Recorded inputs of training and evaluation are compared per feature: standard deviations differ by a large factor, or
means lie many standard deviations apart. The source shows where: the training part goes through `fit_transform` (or is
divided, or has a mean subtracted) and the test part never does. The effect is proven if the last evaluation scores far
below the training, or if the trained network scores clearly better on it once each feature has the training's mean and
standard deviation.

## What to do

Use the statistics of the training part for both: `X_test = scaler.transform(X_test)`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from torch import Tensor

from unstuck.diagnosis.model import Effect, Evidence, Finding, Known, NotApplicable, Site, proven
from unstuck.diagnosis.skill import differs, worth_having
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.bare_input import BareInput, first_of
from unstuck.remedies.prepare_alike import PrepareAlike
from unstuck.signals.evaluation import FinalEvaluation
from unstuck.signals.learning import Learning
from unstuck.signals.overlap import Overlap
from unstuck.signals.printed import improved
from unstuck.signals.realigned import Realigned
from unstuck.signals.source import Binding, Source
from unstuck.signals.splits import KEPT_ASIDE, TRAINED_ON, words
from unstuck.signals.training import Training
from unstuck.tape.model import Tape

FAULT = "preprocess-mismatch"
STAGE = Stage.REPORTING
NEVER_MEANT = True
FACTOR, APART = 4.0, 4.0
"""Ratio of standard deviations, and distance of means in training standard deviations, of two preparations. Of random
splits of 20 rows of normal features, one ratio in a million is above 4."""
MANY = 0.25
"""Share of features that differ, at least: a single one may have an outlier."""
PLAIN, NEARLY_ALL, FEWEST = 8.0, 0.9, 4
"""Nearly all of at least four features (or whole pictures) this far apart: certain without the source."""
SLIGHTLY = 1.6
"""The same ratio where the trained network itself shows that the units matter: of random splits of 50 rows, one ratio
in a thousand is above 1.6."""
STANDARD, ELSEWHERE = 0.15, 20.0
"""Training means within 0.15 of 0 and deviations within 0.15 of 1: standardised. A test feature 20 deviations away is
not."""


def check(
    training: Training,
    overlap: Overlap | None,
    learning: Learning | None,
    final: FinalEvaluation | None,
    realigned: Realigned | None,
) -> Iterator[Finding]:
    """Report the part that is never prepared, with the measured difference; else the difference by itself."""
    matters = _matters(realigned)
    differ, evidence = (
        _measured(overlap, SLIGHTLY if matters.word == "proven" else FACTOR) if overlap is not None else (None, ())
    )
    if differ is False:
        return
    effect = (matters if matters.word == "proven" else _effect(learning, final)) if differ else Effect()
    found = list(_unprepared(training))
    for b, twin in found[:1]:
        yield _unscaled(training.source, b, twin, evidence, effect)
    if not found and overlap is not None and differ:
        said = "evaluation inputs are on another scale than training inputs; preprocess both alike"
        sites = list(_altered(training, trained=False))
        place = next(iter(sites), next(_altered(training, trained=True), None))
        known: Known = "observed" if _plain(overlap) or matters.word == "proven" else "guessed"
        remedies = tuple(BareInput(site) for site in sites[:1])
        effect = effect if known == "observed" else Effect()
        yield Finding(FAULT, said, place, evidence, remedies, "error", known=known, effect=effect)


def verify(before: Tape, after: Tape) -> str | None:
    """The inputs were on different scales and are alike now, and the last evaluation scores higher."""
    try:
        was, now = FinalEvaluation.read(before), FinalEvaluation.read(after)
        old, new = _measured(Overlap.read(before))[0], _measured(Overlap.read(after))[0]
    except NotApplicable:
        return improved(before, after)
    if not old or new or not differs(was.skill, now.skill):
        return None
    return (
        f"with inputs alike: {was.name} of the last evaluation {was.score:.3f} before, {now.score:.3f} after the patch"
    )


def _effect(learning: Learning | None, final: FinalEvaluation | None) -> Effect:
    """Proven if the evaluation scores far below the training."""
    if learning is None or final is None or not worth_having(final.skill, learning.final):
        return Effect()
    return proven(f"skill {learning.final:.2f} on training batches, {final.skill:.2f} in the last evaluation")


def _matters(realigned: Realigned | None) -> Effect:
    """Proven if the trained network scores clearly better on inputs in the units of its training."""
    if realigned is None or not worth_having(realigned.before.skill, realigned.after.skill):
        return Effect()
    was, now = realigned.before, realigned.after
    return proven(
        f"{was.name} of the last evaluation {was.score:.3f}; {now.score:.3f} by the same network once each feature has "
        f"the training's mean and standard deviation"
    )


def _altered(training: Training, trained: bool) -> Iterator[Site]:
    """Arithmetic in the argument of an evaluation, `model(x_test * std + mean)`, or of the `trained` forward."""
    for call in training.source.all(ast.Call):
        if call.args and training.is_trained(call.func) and training.in_training(call) is trained:
            given = call.args[0]
            if isinstance(given, ast.BinOp) and isinstance(first_of(given), ast.Name | ast.Attribute | ast.Subscript):
                yield training.source.site(given)


def _measured(overlap: Overlap, factor: float = FACTOR) -> tuple[bool | None, tuple[Evidence, ...]]:
    """Whether the two sets differ, and the evidence; None if no feature varies."""
    shift, ratio = overlap.spread()
    if not len(ratio):
        return None, ()
    off = (ratio > factor) | (ratio < 1 / factor) | (shift > APART)
    share, typical, apart = float(off.double().mean()), float(ratio.median()), float(shift.median())
    features = Evidence("share of features that differ between training and evaluation", round(share, 3), "0")
    spread = Evidence("standard deviation, evaluation / training (median)", round(typical, 4), "near 1")
    means = Evidence("distance of the means in training deviations (median)", round(apart, 3), f"below {APART:g}")
    return share >= MANY, (features, spread, means)


def _standardised(rows: Tensor) -> bool:
    if rows.dim() != 2 or rows.shape[1] < FEWEST:
        return False
    mean, std = rows.double().mean(0), rows.double().std(0, correction=0)
    return bool((mean.abs() < STANDARD).all()) and bool(((std - 1).abs() < STANDARD).all())


def _plain(overlap: Overlap) -> bool:
    """Whether nearly all features are far apart in one direction, or only the training part is standardised.

    A shift of the data does not look like that.
    """
    shift, ratio = overlap.spread()
    if _standardised(overlap.trained) and float(shift.max()) > ELSEWHERE:
        return True
    smaller, larger = ratio < 1 / PLAIN, ratio > PLAIN
    share = max(float(way.double().mean()) for way in (smaller, larger, shift > PLAIN))
    return (overlap.trained.dim() > 2 or len(ratio) >= FEWEST) and share >= NEARLY_ALL


def _unprepared(training: Training) -> Iterator[tuple[Binding, str]]:
    """Training parts that are scaled, with the name of the test part that never is."""
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
    """Names of the same scope that differ only in the word for the part: `X_test` beside `X_train`."""
    rest = words(b.name) - TRAINED_ON
    names = {o.name for o in source.bindings if o.scope is b.scope and o.name.isidentifier()}
    return sorted(n for n in names if words(n) & KEPT_ASIDE and words(n) - KEPT_ASIDE == rest)


CONVERSIONS = {"tensor", "from_numpy", "as_tensor", "FloatTensor", "Tensor", "TensorDataset", "len", "print", "float32"}
CONVERSIONS |= {"array", "asarray", "DataLoader", "astype", "float", "unsqueeze", "view", "reshape", "to"}
"""Calls that do not change the scale of their argument."""
ENTRIES = {"tensor", "from_numpy", "as_tensor", "FloatTensor", "Tensor", "TensorDataset", "DataLoader"}
"""Calls that prepare rows for a network."""


def _is_raw(source: Source, name: str, beside: Binding) -> bool:
    """Whether every value of a name is a part of something larger, or a conversion."""
    values = [b.value for b in source.bound(name, beside.scope) if b.item < 0 and b.value is not None]
    plain = (ast.Name, ast.Subscript, ast.Attribute)
    return all(isinstance(v, plain) or (isinstance(v, ast.Call) and _last_name(v) in CONVERSIONS) for v in values)


def _reaches(training: Training, name: str) -> bool:
    """Whether a name is passed to a network, or converted for one."""
    calls = (c for c in training.source.all(ast.Call) if _last_name(c) in ENTRIES or training.is_trained(c.func))
    return any(isinstance(n, ast.Name) and n.id == name for c in calls for a in c.args for n in ast.walk(a))


def _last_name(call: ast.Call) -> str:
    return ast.unparse(call.func).rpartition(".")[2]


def _is_prepared(training: Training, name: str, depth: int = 3) -> bool:
    """Whether a name is used in anything but conversions and calls of the network."""
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


def _unscaled(source: Source, b: Binding, twin: str, measured: tuple[Evidence, ...], effect: Effect) -> Finding:
    site, known = source.site(b.statement), "observed" if measured else "read"
    said = f"{b.name} is scaled here but {twin} is not; apply the same scaling to both"
    evidence = measured or (Evidence("source", source.code(b.statement), f"{twin} alike"),)
    remedies = (PrepareAlike(site, twin),)
    return Finding(FAULT, said, site, evidence, remedies, "error", known=known, effect=effect)


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
