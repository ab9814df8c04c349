"""Predictions computed from outputs with the wrong threshold or along the wrong dimension."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.diagnosis.model import Finding
from unstuck.remedies.decide_right import DecideByThreshold, HalfThreshold, PickByClass, ThresholdProbabilities
from unstuck.rules._reported import misreported
from unstuck.signals.predictions import ON_LOGITS, ON_PROBABILITIES, Predictions
from unstuck.signals.source import Loop, Source


def wrong_decisions(predictions: Predictions, width: int = 0) -> Iterator[Finding]:
    """Report thresholds and argmax calls that are certainly wrong.

    `width`: the outputs of the recorded network per row; 0 where they are not known.
    """
    yield from _rounded(predictions)
    yield from _wrong_threshold(predictions)
    yield from _picked(predictions, width)


def _rounded(predictions: Predictions) -> Iterator[Finding]:
    halves = (e for e, _, number in predictions.compared() if number == 0.5)
    for node in (*predictions.rounded(), *halves):
        if predictions.scale(node) == "logit":
            said = "raw logits are thresholded at 0.5; use 0, or apply sigmoid first"
            yield misreported(predictions.source, node, said, ThresholdProbabilities((predictions.source.site(node),)))


def _wrong_threshold(predictions: Predictions) -> Iterator[Finding]:
    for node, number, value in predictions.compared():
        if value == 0 and predictions.scale(node) == "probability":
            said = "probabilities are thresholded at 0, so every prediction is positive; use 0.5"
            yield misreported(predictions.source, number, said, HalfThreshold(predictions.source.site(number)))


def _picked(predictions: Predictions, width: int) -> Iterator[Finding]:
    source = predictions.source
    for node, dim in predictions.picked():
        call, number = predictions.output(node), source.number(dim)
        if call is None:
            continue
        loop = next(iter(source.loops(call)), None)
        if number == 0 and loop is not None and predictions.totals.batched(loop) and _gets_batch(source, call, loop):
            said = "argmax is taken over the batch (dim 0) instead of the classes; use dim=1"
            yield misreported(source, dim, said, PickByClass(source.site(dim)))
        elif number in (1, -1) and (width == 1 if width else _single(predictions, call)):
            said = "argmax over a single output is always class 0; compare the output with a threshold"
            yield misreported(source, dim, said, *_thresholded(predictions, node, dim))


def _thresholded(predictions: Predictions, node: ast.expr, dim: ast.expr) -> Iterator[DecideByThreshold]:
    """The remedy for `out.argmax(1)` and `out.max(1)[1]`; a pair that is taken apart elsewhere has none."""
    source = predictions.source
    call = next(n for n in source.above(dim) if isinstance(n, ast.Call))
    place = _indices(source, call)
    if place is not None:
        threshold = "0" if predictions.losses <= ON_LOGITS else "0.5"
        kept = any(k.arg == "keepdim" and ast.unparse(k.value) == "True" for k in call.keywords)
        yield DecideByThreshold(source.site(place), source.site(node), threshold, kept)


def _indices(source: Source, call: ast.Call) -> ast.expr | None:
    """The expression whose value is the place of the largest entry."""
    if isinstance(call.func, ast.Attribute) and call.func.attr == "argmax":
        return call
    match source.page(call).parents.get(call):
        case ast.Subscript(slice=ast.Constant(value=1)) | ast.Attribute(attr="indices") as around:
            return around
    return None


def _gets_batch(source: Source, call: ast.Call, loop: Loop) -> bool:
    given = call.args[0] if len(call.args) == 1 else None
    names = [n for n in ast.walk(given) if isinstance(n, ast.Name)] if given else []
    return any(b.kind == "loop" and b.statement is loop for n in names for b in source.bindings_of(n))


def _single(predictions: Predictions, call: ast.Call) -> bool:
    layer = predictions.last_layer(call.func)
    width = layer.args[1] if layer is not None and len(layer.args) > 1 else None
    binary = bool(predictions.losses) and predictions.losses <= ON_LOGITS | ON_PROBABILITIES
    return binary and width is not None and predictions.source.number(width) == 1
