"""Weights that a script does not write to but replaces: `w = (w - lr * g).requires_grad_()`."""

from __future__ import annotations

from torch import Tensor

from unstuck.recording.parameter_names import Names
from unstuck.recording.tracer import Entry, Tracer, tensors


def predecessor(weight: Tensor, tracer: Tracer, names: Names) -> tuple[Tensor, list[Entry]] | None:
    """The one weight of the same shape that a new weight was computed from since the last backward, and the calls."""
    sources = _sources(weight, tracer)
    wanted = {id(t) for t in sources}
    calls = []
    for entry in reversed(tracer.entries):
        if any(id(t) in wanted for t in entry.results):
            calls.append(entry)
            wanted |= {id(t) for t in tensors((entry.args, entry.kwargs))}
    read = {id(t): t for t in (*sources, *(t for c in calls for t in tensors((c.args, c.kwargs))))}
    alike = [t for t in read.values() if t in names and t.shape == weight.shape and t is not weight]
    return (alike[0], calls) if len(alike) == 1 else None


def _sources(weight: Tensor, tracer: Tracer) -> tuple[Tensor, ...]:
    """What a weight was computed from: as the tracer saw it, or a value that has the weight's memory (a Parameter)."""
    if (born := tracer.writes.born.get(id(weight))) is not None:
        return born.sources
    made = (t for call in reversed(tracer.entries) for t in call.results)
    memory = weight.data_ptr() if not weight.is_sparse else 0
    return tuple(t for t in made if memory and t.shape == weight.shape and t.data_ptr() == memory)[:1]
