"""`unstuck fit`: train on a table, evaluate, save."""

from __future__ import annotations

import os
import time
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np

from unstuck import __version__
from unstuck.tabular.extras import require
from unstuck.tabular.fit.checkpoint import Curves, mark_of, opened, removed
from unstuck.tabular.fit.columns import recorded
from unstuck.tabular.fit.fitted import Fitted, Judged, courses
from unstuck.tabular.fit.habits import of_table
from unstuck.tabular.fit.job import Job, chunks, names_in, prepared
from unstuck.tabular.fit.judging import judged
from unstuck.tabular.fit.model import Model, learn
from unstuck.tabular.fit.options import Options
from unstuck.tabular.fit.progress import Progress
from unstuck.tabular.fit.refusal import CannotFit
from unstuck.tabular.fit.remarks import remarks
from unstuck.tabular.fit.resources import Resources
from unstuck.tabular.fit.store import ModelError, save
from unstuck.tabular.fit.target import Target
from unstuck.tabular.fit.task import Numbers
from unstuck.tabular.tables import TableError


class Interrupted(Exception):
    """Ctrl-C; the message says what was saved."""


def fit(options: Namespace, progress: Progress) -> Fitted:
    """Train, evaluate and save. Raises TableError, ModelError and CannotFit with one line each, and Interrupted on
    Ctrl-C."""
    begun, resources = time.monotonic(), Resources.of(None if options.minutes is None else 60 * options.minutes)
    if options.ray is not None:
        require("ray")
    job = prepared(options, progress.reading)
    if options.html is not None and job.loaded is None:
        raise CannotFit("--html needs the table in memory, and it does not fit")
    chosen = Options(hidden=options.hidden, epochs=options.epochs, rate=options.rate, seed=options.seed)
    folder = _folder(options)
    history = Curves(told=progress.say)
    if folder is not None:
        history.kept = opened(folder, _mark(options, job, chosen), options.resume)
    progress.baseline = _baseline(job.aim)
    task = job.aim.task
    progress.measure = "R2" if isinstance(task, Numbers) and task.quantile is None else "explained"
    progress.trying()
    try:
        model = _trained(options, job, chosen, progress, history, resources)
        progress.done()
        fitted = _told(options, job, model, history, time.monotonic() - begun)
        if options.model is not None:
            save(model, Path(options.model), _about(job, fitted))
    except KeyboardInterrupt:
        progress.done()
        raise Interrupted(_left(folder)) from None
    except (MemoryError, ModelError, TableError) as error:
        why = str(error) if not isinstance(error, MemoryError) else "not enough memory"
        kept = f"; the training is saved in {folder}: use --resume to continue it" if _noted(folder) else ""
        raise CannotFit(why + kept) from None
    finally:
        if folder is not None and not _noted(folder):
            removed(folder)
    if folder is not None:
        removed(folder)
    return fitted if options.html is None else _explained(options, job, chosen, fitted)


def _explained(options: Namespace, job: Job, chosen: Options, fitted: Fitted) -> Fitted:
    from unstuck.tabular.fit.explain.command import of_fit

    try:
        return replace(fitted, explanation=of_fit(options, job, chosen, fitted))
    except KeyboardInterrupt:
        saved = "" if options.model is None else f"; the model is saved in {options.model}"
        raise Interrupted(f"interrupted while the page was made{saved}") from None


def _baseline(aim: Target) -> float:
    w = None if aim.weights is None else aim.weights.astype(np.float32)
    return aim.task.loss.baseline(aim.task.encode(aim.y), w)


def _trained(
    options: Namespace, job: Job, chosen: Options, progress: Progress, history: Curves, resources: Resources
) -> Model:
    if options.ray is not None:
        from unstuck.tabular.fit.machines.entry import learn_on

        return learn_on(options.ray, job, chosen, progress.epoch, history, resources)
    if job.loaded is not None:
        frame, aim, watch = job.frame(), job.aim, progress.epoch
        return learn(
            frame, aim.y, aim.task, chosen, aim.weights, watch, history, resources=resources,
            separation=job.separation,
        )  # fmt: skip
    if job.aim.sort == "multilabel":
        raise CannotFit("the table does not fit in memory: multilabel training needs it in memory")
    if job.separation is not None:
        raise CannotFit("the table does not fit in memory: --group and --time need it in memory")
    from unstuck.tabular.fit.stream import learn_streamed

    classes = job.aim.sort != "regression"
    quantile = job.aim.task.quantile if isinstance(job.aim.task, Numbers) else None
    return learn_streamed(
        lambda: chunks(job), classes, chosen, progress.epoch, history, resources=resources, quantile=quantile
    )


def _told(options: Namespace, job: Job, model: Model, history: Curves, seconds: float) -> Fitted:
    figures, more = judged(options, job, model)
    notes = [*job.table.notes, *job.roles.notes, *job.aim.notes]
    notes += remarks(job.loaded.frame, model.encoder, job.roles.moments()) if job.loaded is not None else []
    notes += [*model.notes, *more]
    targets = tuple(names_in(options.target, job.table))
    return Fitted(
        " ".join(options.data), job.aim.sort, targets, tuple(job.roles.inputs), len(job.aim.rows), model,
        tuple(figures), courses(model, history.curves), tuple(dict.fromkeys(notes)), seconds, options.model,
    )  # fmt: skip


def _folder(options: Namespace) -> Path | None:
    """The checkpoint folder; None if the training is not saved."""
    if options.checkpoint is not None:
        return Path(options.checkpoint)
    if options.model is not None:
        return Path(options.model + ".checkpoint")
    if options.resume:
        raise CannotFit("--resume requires --model or --checkpoint")
    return None


def _mark(options: Namespace, job: Job, chosen: Options) -> str:
    asked = (chosen, job.aim.sort, options.target, dict(job.roles.inputs), options.weight, options.holdout)
    asked += (options.group, options.time, options.loss)
    if job.loaded is not None:
        return mark_of(*asked, loaded=job.loaded)
    files = [(source.file, os.stat(source.file)) for source in job.table.sources]  # noqa: PTH116
    return mark_of(*asked, [(file, found.st_size, found.st_mtime_ns) for file, found in files])


def _noted(folder: Path | None) -> bool:
    return folder is not None and any(folder.glob("*.safetensors"))


def _left(folder: Path | None) -> str:
    if _noted(folder):
        return f"interrupted; the training is saved in {folder}: run the same command with --resume to continue it"
    if folder is not None:
        return "interrupted before there was anything to save"
    return "interrupted; nothing was saved (--model OUT would keep a checkpoint)"


def _about(job: Job, fitted: Fitted) -> dict[str, object]:
    """Metadata of the model file: what `predict` needs, and a summary of the evaluation."""
    return {
        "unstuck": __version__,
        "task": fitted.sort,
        "targets": list(fitted.targets),
        "names": list(job.aim.names),
        **recorded(job.roles),
        "habits": of_table(job.table).plain(),
        "rows": fitted.rows,
        "judged": [{"of": one.of, "rows": one.figures.rows} | _scores(one) for one in fitted.judged],
        "notes": list(fitted.notes),
    }


def _scores(one: Judged) -> dict[str, float]:
    return {f"{score.of} {score.name}".strip(): score.model for score in one.figures.scores}
