"""The cost of the study, against training the same networks one by one in plain PyTorch."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import torch

from unstuck.report.html.figures import number
from unstuck.tabular.studies.heart_rate import variants as v
from unstuck.tabular.studies.heart_rate.data import COUNT, draw, formed
from unstuck.tabular.studies.heart_rate.run import Run
from unstuck.tabular.studies.heart_rate.variants import Variant
from unstuck.tabular.studies.nets import module, train

STEPS, REPEATS = 100, 3


def plain_step(variant: Variant, steps: int = STEPS) -> float:
    """Processor seconds of one plain training step on all rows: module, loss, backward, optimizer."""
    rows = formed(draw(variant.source, 0), variant.form)
    times = (rows.shares * COUNT).round().long()
    batch = rows.x.repeat_interleave(times, 0), rows.y.repeat_interleave(times)
    model = train(variant.net, module(variant.net, 0), variant.pace, [batch] * 10)
    began = time.process_time()
    train(variant.net, model, variant.pace, [batch] * steps)
    return (time.process_time() - began) / steps


def price(run: Run) -> tuple[str, ...]:
    """The method, one line each; the plain step is measured now, on this machine."""
    parts = (run.story, run.varied, run.chart.trained)
    steps, seconds = sum(p.lane_steps for p in parts), sum(p.seconds for p in parts)
    trainings = sum(len(courses) for p in parts for courses in p.courses.values())
    step = statistics.median(plain_step(x) for x in (v.RAW, v.STANDARD, v.CIRCLES) for _ in range(REPEATS))
    return tuple(_lines(run, trainings, steps, seconds, step))


def _lines(run: Run, trainings: int, steps: int, seconds: float, step: float) -> Iterator[str]:
    yield f"data: {COUNT} rows, drawn anew for every seed: round(N(92, 10)), label 1 from 91 on; circles, moons"
    yield f"{run.seeds} seeds for data and initial weights; at most {run.limit} epochs; accuracy measured every 10"
    yield f"torch {torch.__version__}, {torch.get_num_threads()} thread, float32"
    yield (
        f"{trainings} trainings, {steps} steps in {number(seconds)} s of processor time in parallel; one by one, a "
        f"plain PyTorch step takes {number(1e6 * step)} us here, so they would take {number(step * steps)} s: "
        f"{number(step * steps / seconds, 2)} times as long"
    )
