"""`unstuck predict`: predictions for the rows of a table, a batch at a time."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pyarrow as pa

from unstuck.tabular.fit import writer
from unstuck.tabular.fit.columns import roles_of
from unstuck.tabular.fit.figures import written
from unstuck.tabular.fit.habits import habits_of
from unstuck.tabular.fit.job import names_in, opened_table
from unstuck.tabular.fit.loading import frame_of
from unstuck.tabular.fit.model import Model
from unstuck.tabular.fit.roles import Roles, listed
from unstuck.tabular.fit.store import ModelError, load
from unstuck.tabular.fit.task import Classes, Numbers
from unstuck.tabular.tables import Table, TableError
from unstuck.tabular.tables.refusal import shown

Array = np.ndarray


def predict(options: Namespace, stream: TextIO, say: Callable[[str], None]) -> int:
    """Write a table of predictions and return the number of rows. Raises ModelError and TableError with one line
    each."""
    writer.check(options.out)
    model, about = load(Path(options.model))
    who = _columns(about, options.model)
    habits = habits_of(about)
    table = opened_table(options.data, options, options.split, habits.missing, habits.decimal)
    keep = names_in(options.keep, table)
    if about.get("by_place"):
        table, who = _by_place(table, who, keep, say)
    for note in _notes(table, who, keep):
        say(note)
    whole = table.read_as(dict(who.inputs), habits.notations)
    table = table.select(dict.fromkeys((*who.inputs, *keep))).read_as(dict(who.inputs), habits.notations)
    schema = _schema(table, keep, model, tuple(map(str, about["names"])), _checked(model, options))
    rows = 0
    with writer.writer(options.out, schema, stream) as put:
        for batch in table.batches():
            put(
                pa.RecordBatch.from_arrays(
                    list(_arrays(batch, keep, model, who, schema, options.interval)), schema=schema
                )
            )
            rows += batch.num_rows
    for note in table.slips.values():
        say(note)
    if options.html is not None:
        from unstuck.tabular.fit.explain.command import of_predict

        of_predict(model, about, whole, who).html(options.html)
    return rows


def _columns(about: dict[str, Any], file: str) -> Roles:
    """The model's input columns."""
    try:
        return roles_of(about)
    except (KeyError, TypeError, ValueError):
        raise ModelError(f"{file} does not record its input columns: it was saved by an earlier version") from None


def _by_place(table: Table, who: Roles, keep: tuple[str, ...], say: Callable[[str], None]) -> tuple[Table, Roles]:
    """For a model that was fitted to an array: its columns are those of the table, one by one."""
    names = [name for name in table.columns if name not in keep]
    if len(names) != len(who.inputs):
        what = f"has {len(names)} columns, but the model was fitted to an array of {len(who.inputs)} without names"
        raise TableError(what, file=table.name)
    say("the model was fitted to an array without names: the columns are taken in their order")
    return table, replace(who, inputs=dict(zip(names, who.inputs.values(), strict=True)))


def _notes(table: Table, who: Roles, keep: tuple[str, ...]) -> Iterator[str]:
    """Notes on the columns. Raises TableError if one that is needed is missing."""
    missing = [name for name in who.inputs if name not in table.columns]
    if len(missing) > 1:
        raise TableError(f"missing input columns: {listed(missing)}", file=table.name)
    if missing:
        table.select(missing)  # raises with a suggestion
    extra = [name for name in table.columns if name not in {*who.inputs, *who.targets, *keep}]
    if extra:
        yield f"ignored, because the model was not trained on them: {listed(extra)}"
    for name, kind in who.inputs.items():
        found = table.columns.get(name)
        if found is not None and kind.shape and found != kind:
            raise TableError(f"is {found}, but the model was trained on {kind}", file=table.name, column=name)


def _checked(model: Model, options: Namespace) -> bool:
    """Whether intervals are asked for. Raises ModelError if the model has none."""
    if options.interval is None:
        return False
    if not isinstance(model.task, Numbers):
        raise ModelError(f"{options.model} predicts classes: --interval is for numbers")
    if model.conformal is None:
        raise ModelError(f"{options.model} has no held-out rows, which --interval needs")
    model.conformal.offsets(options.interval)  # raises where too few rows were held out
    return True


def _schema(table: Table, keep: tuple[str, ...], model: Model, names: tuple[str, ...], interval: bool) -> pa.Schema:
    fields = [table.schema.field(name) for name in keep]
    if isinstance(model.task, Classes):
        fields.append(pa.field("prediction", pa.array(model.task.labels[:1]).type))
        fields += [pa.field(f"p({written(label)})", pa.float64()) for label in model.task.labels.tolist()]
    elif model.task.loss.outputs and hasattr(model.task, "names"):
        fields.append(pa.field("prediction", pa.string()))
        fields += [pa.field(f"p({name})", pa.float64()) for name in names]
    else:
        words = ("prediction", "lower", "upper") if interval else ("prediction",)
        several = len(names) > 1
        fields += [pa.field(f"{word}({name})" if several else word, pa.float64()) for name in names for word in words]
    found = [field.name for field in fields]
    twice = next((name for name in found if found.count(name) > 1), None) if len(found) < 10_000 else None
    if twice is not None:
        raise TableError(f"two columns would be called {shown(twice)}: rename the kept one", column=twice)
    return pa.schema(fields)


def _arrays(
    batch: Any, keep: tuple[str, ...], model: Model, who: Roles, schema: pa.Schema, interval: float | None
) -> Iterator[Any]:
    yield from (batch.column(name) for name in keep)
    answers = model.answers(frame_of(batch, who))
    if isinstance(model.task, Classes):
        yield pa.array(model.task.labels[answers.argmax(axis=1)], schema.field(len(keep)).type)
    elif schema.field(len(keep)).type == pa.string():
        names = np.array([field.name[2:-1] for field in schema][len(keep) + 1 :], object)
        yield pa.array([";".join(names[row > 0.5]) for row in answers], pa.string())
    if interval is not None and model.conformal is not None:
        ends = model.conformal.around(answers, interval)
        answers = np.concatenate([answers[:, :, None], ends], axis=2).reshape(len(answers), -1)
    yield from (pa.array(answers[:, j]) for j in range(answers.shape[1]))
