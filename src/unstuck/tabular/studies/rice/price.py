"""The cost of the rice study, against training the same networks one by one in plain PyTorch."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import torch

from unstuck.report.html.figures import number
from unstuck.tabular.studies.nets import Pace, module, train
from unstuck.tabular.studies.rice.run import MAXABS, MAXABS_LOGITS, Run
from unstuck.tabular.studies.rice.table import Rice, formed, sizes
from unstuck.tabular.studies.rice.training import BATCH, RATE, Variant, net_of

STEPS, REPEATS = 300, 3


def plain_step(rice: Rice, variant: Variant, steps: int = STEPS) -> float:
    """Processor seconds of one plain training step on prepared batches: module, loss, backward, optimizer."""
    x, y = formed(rice.inputs(variant.with_id), variant.form), torch.from_numpy(rice.y).float()
    batches = list(zip(x.split(BATCH), y.split(BATCH), strict=True))
    batches = (batches * (1 + steps // len(batches)))[: steps + 10]
    net = net_of(variant, x.shape[1])
    model = train(net, module(net, 0), Pace(RATE), batches[:10])
    began = time.process_time()
    train(net, model, Pace(RATE), batches[10:])
    return (time.process_time() - began) / steps


def price(run: Run) -> tuple[str, ...]:
    """The method, one line each; the plain step is measured now, on this machine."""
    step = statistics.median(plain_step(run.rice, v) for v in (MAXABS, MAXABS_LOGITS) for _ in range(REPEATS))
    return tuple(_lines(run, step))


def _lines(run: Run, step: float) -> Iterator[str]:
    train_rows, val, test = sizes(len(run.rice.y))
    parts = (run.trained, run.stretched)
    steps, seconds = sum(p.lane_steps for p in parts), sum(p.seconds for p in parts)
    yield f"data: {run.rice.path.name}, {len(run.rice.y)} rows, {run.rice.x.shape[1]} columns"
    yield f"{run.seeds} seeds, each with its own split ({train_rows} / {val} / {test}), order and initial weights"
    yield f"{run.epochs} epochs, batches of {BATCH}"
    yield f"torch {torch.__version__}, {torch.get_num_threads()} thread, float32"
    trainings = sum(len(courses) for p in parts for courses in p.courses.values())
    yield (
        f"{trainings} trainings, {steps} steps in {number(seconds)} s of processor time in parallel; one by one, a "
        f"plain PyTorch step takes {number(1e6 * step)} us here, so they would take {number(step * steps)} s: "
        f"{number(step * steps / seconds, 2)} times as long"
    )
