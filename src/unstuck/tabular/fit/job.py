"""Resolve the command line of `unstuck fit` to rows, targets and held-out rows."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.loading import Loaded, frame_of, gather
from unstuck.tabular.fit.pinball import level_of
from unstuck.tabular.fit.refusal import CannotFit
from unstuck.tabular.fit.roles import Roles, roles
from unstuck.tabular.fit.separation import Separation
from unstuck.tabular.fit.size import fits
from unstuck.tabular.fit.statistics import Chunk
from unstuck.tabular.fit.target import Target, missing, target
from unstuck.tabular.fit.task import Numbers
from unstuck.tabular.tables import NUMBER, TEXT, Table, TableError, read

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Job:
    """A training job: a table, the roles of its columns, and the rows with their targets."""

    table: Table
    roles: Roles
    aim: Target
    """The training rows."""
    apart: Target | None
    """The rows held out by --holdout."""
    loaded: Loaded | None
    """None if the rows do not fit in memory."""
    test: Table | None = None
    """The rows of --test: inputs and targets, read with the kinds of `table`."""
    separation: Separation | None = None
    """Groups and times of the training rows, and of those of --holdout."""
    beyond: Separation | None = None

    def frame(self) -> Frame:
        """The inputs of the training rows, if they are in memory."""
        assert self.loaded is not None
        whole = len(self.aim.rows) == len(self.loaded)
        return self.loaded.frame if whole else self.loaded.frame.take(self.aim.rows)


def opened_table(
    data: list[str], options: Namespace, split: str | None = None, missing: Iterable[str] = (), usual: str = "."
) -> Table:
    """Open the data of a command line. `missing`, `usual`: more words for a missing value, and the decimal mark where
    the data leaves it open."""
    table = read(
        data[0] if len(data) == 1 else data,
        delimiter={"tab": "\t", "\\t": "\t"}.get(options.delimiter or "", options.delimiter),
        decimal=options.decimal,
        encoding=options.encoding,
        header=options.header,
        split=split,
        missing=dict.fromkeys((*options.missing, *missing)),
        dates=options.dates,
        table=options.table,
        usual=usual,
    )
    return table.read_as(dict.fromkeys(names_in(options.text, table), TEXT))


def prepared(options: Namespace, told: Callable[[int], None]) -> Job:
    """The job of a command line; `told` is called with the number of rows read. Raises TableError and CannotFit."""
    table = opened_table(options.data, options, options.split)
    targets = names_in(options.target, table)
    as_numbers = [*(targets if options.task == "regression" else ()), *([options.weight] if options.weight else [])]
    texts = {name for name in as_numbers if name in table.columns and table.columns[name].name == "text"}
    table = table.read_as(dict.fromkeys(texts, NUMBER))  # reading them names the first row that is not a number
    who = roles(table, targets, names_in(options.drop, table), options.weight, options.group, options.time)
    test = None if options.test is None else _test(options, table, who)
    whole = fits(table, who)
    loaded = gather(table, who if whole else replace(who, inputs={}), told)
    kinds = [table.columns[name] for name in targets]
    aim = target(targets, kinds, loaded.targets, loaded.weights, options.task)
    aim, separation = _separated(_losing(aim, options.loss), loaded)
    train, held = _parted(aim, options.holdout, options.seed, separation)
    own, beyond = separation, None
    if separation is not None and len(held):
        own, beyond = separation.take(train), separation.take(held)
    apart = aim.take(held) if len(held) else None
    aim = aim.take(train) if len(held) else aim
    return Job(table, who, aim, apart, loaded if whole else None, test, own, beyond)


def _losing(aim: Target, loss: str | None) -> Target:
    """With the loss of --loss."""
    if loss is None:
        return aim
    level = level_of(loss)
    if not isinstance(aim.task, Numbers):
        raise CannotFit(f"--loss is for numbers: this task is {aim.sort} (--task regression: as numbers)")
    return replace(aim, task=replace(aim.task, quantile=level))


def _separated(aim: Target, loaded: Loaded) -> tuple[Target, Separation | None]:
    """The rows with a known group and time, and these."""
    known = np.ones(len(aim.rows), bool)
    for one in (loaded.group, loaded.time):
        if one is not None:
            known &= ~missing(one)[aim.rows]
    if not known.any():
        raise CannotFit("no row has a target, a group and a time")
    if not known.all():
        note = f"{(~known).sum():,} rows ignored: no group, or no time"
        aim = replace(aim.take(np.flatnonzero(known)), notes=(*aim.notes, note))
    group, time = (None if one is None else one[aim.rows] for one in (loaded.group, loaded.time))
    return aim, Separation.of(group, time)


def _test(options: Namespace, table: Table, who: Roles) -> Table:
    """The rows of another file; of the training folder itself, its split called test."""
    same = options.test in options.data
    if same and not Path(options.test).is_dir():
        raise CannotFit(f"--test {options.test} is the training data; use --holdout to hold out a share of it")
    found = opened_table([options.test], options, "test" if same else None, table.missing)
    beside = [name for name in (who.group, who.time) if name is not None and name in found.columns]
    wanted = dict.fromkeys((*who.inputs, *who.targets, *beside))
    for name, kind in who.inputs.items():
        if kind.shape and found.columns.get(name, kind) != kind:
            raise TableError(f"is {found.columns[name]}, but training used {kind}", file=options.test, column=name)
    return found.select(wanted).read_as({name: table.columns[name] for name in wanted}, table.notations)


def names_in(words: list[str], table: Table) -> tuple[str, ...]:
    """Column names from the command line: each word is a name, or several separated by commas."""
    names = (name for word in words for name in ([word] if word in table.columns else word.split(",")))
    return tuple(dict.fromkeys(name if name in table.columns else name.strip() for name in names))


def _parted(aim: Target, share: float | None, seed: int, separation: Separation | None) -> tuple[Array, Array]:
    """Training and held-out rows, stratified by class or by the size of the number."""
    n = len(aim.rows)
    if share is None:
        return np.arange(n), np.zeros(0, np.int64)
    rng = np.random.Generator(np.random.Philox(key=[seed, 0x4E1D]))
    strata = aim.task.strata(aim.task.encode(aim.y))
    if separation is not None:
        apart = separation.held(strata, share, rng)
        train, held = np.flatnonzero(separation.trained(apart)), np.flatnonzero(apart)
    else:
        order = rng.permutation(n)
        order = order[np.argsort(strata[order], kind="stable")]
        steps = np.floor((np.arange(n) + 1) * share) > np.floor(np.arange(n) * share)
        train, held = np.sort(order[~steps]), np.sort(order[steps])
    if not len(train) or not len(held):
        raise CannotFit(f"--holdout {share:g} of {n:,} rows leaves none on one side")
    if aim.sort in ("binary", "multiclass") and len(np.unique(aim.y[train])) < len(np.unique(aim.y)):
        raise CannotFit("--holdout leaves a class without training rows; use a smaller share")
    return train, held


def chunks(job: Job) -> Iterator[Chunk]:
    """The training rows from first to last, a batch at a time."""
    at, aim = 0, job.aim
    for batch in job.table.select(job.roles.inputs).batches():
        first, end = np.searchsorted(aim.rows, [at, at + batch.num_rows])
        frame = frame_of(batch, job.roles).take(aim.rows[first:end] - at)
        yield Chunk(frame, aim.y[first:end], None if aim.weights is None else aim.weights[first:end])
        at += batch.num_rows
