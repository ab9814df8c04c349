"""An account of a run in plain data, beside `Looks`: ranges by call, targets, terms of the loss, weights, scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from unstuck.signals.described import described, rounded
from unstuck.signals.evaluation import FinalEvaluation
from unstuck.signals.gradients import Gradients
from unstuck.signals.looks import CALLS
from unstuck.signals.printed import Printed
from unstuck.signals.recomputed import Recomputed
from unstuck.signals.task import Task, main_program
from unstuck.tape.interpreter import run
from unstuck.tape.model import Parameter, Pass, Tape
from unstuck.tape.program import Call, Program, Value
from unstuck.tape.site import Site

WEIGHTS, OPTIMIZERS, LINES, TERMS, SLOTS = 40, 6, 12, 12, 4
"""At most, of each: what is told must be read in one sitting."""
ROWS, COLUMNS = 3, 16
"""Of a batch, as a sample."""
BATCHES = 200
"""Batches whose targets are read."""
HEAVY = 50_000_000
"""Numbers that a step's calls make in all, from which on it is not run for ranges: their values are held at once."""
ADDING = {"add", "sum", "stack"}
"""Calls that join the terms of a loss."""


def account(tape: Tape) -> dict[str, Any]:
    """By section. Raises nothing: a section that cannot be read says why, as `{"not known": ...}`."""
    parts: dict[str, Callable[[], Any]] = {
        "tensors": lambda: _slots(tape),
        "ranges": lambda: list(_ranges(tape)),
        "targets": lambda: _targets(tape),
        "terms of the loss": lambda: _terms(tape),
        "optimizers": lambda: _optimizers(tape),
        "weights": lambda: _weights(tape),
        "evaluations": lambda: _evaluations(tape),
        "printed": lambda: _printed(tape),
    }
    return {name: _told(part) for name, part in parts.items()}


def _told(part: Callable[[], Any]) -> Any:
    try:
        return part()
    except Exception as reason:  # what cannot be told must not cost the rest
        return {"not known": (str(reason).splitlines() or [type(reason).__name__])[0][:200]}


def _ranges(tape: Tape) -> Iterator[dict[str, str]]:
    """Of each call that `looks` tells of, in its order: its result's range at the first weights and at the last."""
    _, program, passes = _main(tape)
    start, end = _values(tape, program, passes[0], "w"), _values(tape, program, passes[-1], "f")
    for call in [c for c in program.calls if c.outs][:CALLS]:
        out = call.outs[0]
        yield {"start": _range(start[out]), "end": _range(end[out])}


def _slots(tape: Tape) -> list[dict[str, Any]]:
    """Every tensor that enters the step from outside, tokens and targets included: of the first batch, and how many."""
    _, program, passes = _main(tape)
    target = Task.read(tape).target
    return [_slot(tape, passes, slot, slot == target) for slot in range(program.slots)[:LINES]]


def _slot(tape: Tape, passes: list[Pass], slot: int, target: bool) -> dict[str, Any]:
    first = tape.tensors[passes[0].outside[slot]]
    rows = first.detach().reshape(len(first), -1)[:ROWS, :COLUMNS] if first.dim() and first.numel() else first
    told = {"tensor": slot, "is": "target" if target else "input", **described(first)}
    different = len({p.outside[slot] for p in passes})
    return told | {"first rows": rows.tolist(), "different batches": f"{different} in {len(passes)} passes"}


def _main(tape: Tape) -> tuple[int, Program, list[Pass]]:
    number = main_program(tape)
    return number, tape.programs[number], [p for p in tape.passes if p.program == number]


def _values(tape: Tape, program: Program, p: Pass, which: str) -> dict[Any, Tensor]:
    if sum(math.prod(c.shape) for c in program.calls) > HEAVY:
        raise ValueError("the batch is too large to be run once more for ranges")
    weights = {name: tape.tensors[f"{which}:{name}"] for name in program.weights()}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        return dict(run(program, weights, tuple(tape.tensors[k] for k in p.outside), {}))


def _range(value: Tensor) -> str:
    told = described(value)
    if "min" not in told:
        return "nothing finite"
    text = f"{told['min']:g} to {told['max']:g}" if value.numel() > 1 else f"{told['min']:g}"
    text += f", mean {told['mean']:g}, std {told['std']:g}" if "mean" in told else ""
    return text + (f", NaN in {told['share_nan']:g}" if told.get("share_nan") else "")


def _where(site: Site | None) -> str:
    return f"{site.file}:{site.line}" if site is not None else "-"


def _targets(tape: Tape) -> dict[str, Any]:
    _, _, passes = _main(tape)
    task = Task.read(tape)
    if task.target is None:
        return {"task": task.kind, "target": "not known"}
    batches = [tape.tensors[p.outside[task.target]] for p in passes[:BATCHES]]
    whole = torch.cat([t.reshape(-1) for t in batches])
    told = {"task": task.kind, "over": f"{len(batches)} batches", **described(whole)}
    first = [sorted({rounded(float(v)) for v in t.reshape(-1)[:512]})[:8] for t in batches[:3]]
    return told | {"distinct values in the first batches": first, "shape": list(batches[0].shape)}


def _terms(tape: Tape) -> list[str]:
    _, program, passes = _main(tape)
    start = _values(tape, program, passes[0], "w")
    end = _values(tape, program, passes[-1], "f")
    return [f"{_where(c.site)} {c.name}: {_range(start[c.outs[0]])} first, {_range(end[c.outs[0]])} last"
            for c in _added(program, program.loss)]  # fmt: skip


def _added(program: Program, loss: int) -> list[Call]:
    """The calls whose results are added up to a value."""
    maker = program.maker(Value(loss))
    parts = [r for r in maker.refs() if isinstance(r, Value)] if maker is not None and maker.name in ADDING else []
    if len(parts) < 2:
        return []
    makers = [m for r in parts if (m := program.maker(r)) is not None and not m.shape]
    return [c for m in makers for c in (_added(program, m.outs[0]) or [m])][:TERMS]


def _optimizers(tape: Tape) -> list[dict[str, Any]]:
    told = []
    for n, optimizer in enumerate(tape.optimizers[:OPTIMIZERS]):
        rates = [u.rates[0] for u in tape.updates if u.optimizer == n and u.rates]
        norms = [u.norm for u in tape.updates if u.optimizer == n and u.norm is not None]
        options = {k: v for k, v in (optimizer.groups[0] if optimizer.groups else {}).items() if k != "params"}
        told.append({
            "name": optimizer.name, "made at": _where(optimizer.made), "tensors held": optimizer.held,
            "tensors no program reaches": optimizer.foreign, "options": options, "clip": optimizer.clip,
            "built": optimizer.created, "steps": len(rates),
            "rate first, smallest, last": [rates[0], min(rates), rates[-1]] if rates else None,
            "gradient norm first, last": [rounded(norms[0]), rounded(norms[-1])] if norms else None,
        })  # fmt: skip
    stale = sum(bool(p.stale) for p in tape.passes)
    return [*told, {"passes that began with gradients from before": f"{stale} of {len(tape.passes)}"}]


def _weights(tape: Tape) -> list[str]:
    """Each weight: who holds it, its size, how far it moved, its gradient early and late."""
    gradients = _told(lambda: Gradients.read(tape))
    lines = [_weight(tape, p, gradients) for p in tape.parameters[:WEIGHTS]]
    left = len(tape.parameters) - len(lines)
    return [*lines, f"... {left} more"] if left else lines


def _weight(tape: Tape, p: Parameter, gradients: Any) -> str:
    start, end = tape.tensors.get(f"w:{p.name}"), tape.tensors.get(f"f:{p.name}")
    holder = "buffer" if p.buffer else f"optimizer {p.optimizer}" if p.optimizer >= 0 else "in no optimizer"
    text = f"{p.name} {'x'.join(map(str, p.shape)) or '1'}, {holder}{'' if p.trainable or p.buffer else ', frozen'}"
    if start is not None and start.is_floating_point():
        size = float(start.double().norm()) / math.sqrt(max(1, start.numel()))
        text += f", root mean square {size:.3g}, range {float(start.min()):.3g} to {float(start.max()):.3g}"
        if end is not None and end.shape == start.shape:
            moved = float((end.double() - start.double()).norm()) / max(float(start.double().norm()), 1e-30)
            text += f", moved by {moved:.3g} of its norm"
    if isinstance(gradients, Gradients) and p.name in gradients.by_weight:
        early, late = gradients.typical(p.name)
        text += f", gradient norm {early:.3g} early, {late:.3g} late"
    return text


def _evaluations(tape: Tape) -> dict[str, Any]:
    told: dict[str, Any] = {"forward passes without a backward": len(tape.evaluations)}
    if tape.evaluations:
        told["after passes"] = sorted({e.after for e in tape.evaluations})[:LINES]
        last = tape.evaluations[-1]
        slots = [described(tape.tensors[k]) for k in last.outside[:SLOTS] if k in tape.tensors]
        told["inputs of the last"] = slots
        final = _told(lambda: FinalEvaluation.read(tape))
        told["recounted score of the last"] = (
            f"{final.name} {final.score:.4g}" if isinstance(final, FinalEvaluation) else final
        )
    modes = [f"after {m.after} passes: {m.training} of {m.modules} modules in training mode" for m in tape.facts.modes]
    return told | ({"modes": modes[:LINES]} if modes else {})


def _printed(tape: Tape) -> dict[str, Any]:
    lines = list(Printed.read(tape).last().values())
    told: dict[str, Any] = {"last line of each form": [line.said.line[:200] for line in lines][-LINES:]}
    counted = _told(lambda: Recomputed.read(tape))
    if isinstance(counted, Recomputed):
        told["printed beside recounted"] = [
            f"{r.line.said.line[:100]}: printed {r.number.value:g}, recounted {r.counted:.4g} over {r.rows} rows"
            for r in counted.last().values()
        ][-LINES:]
    return told
