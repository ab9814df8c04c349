"""The entries: `unstuck.try_patch` for Python, `of_target` for the command line and other faces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from unstuck.diagnosis.rerun import NotContained
from unstuck.diagnosis.skill import LEAST
from unstuck.recording.script import Target, source
from unstuck.signals.own_number import Way
from unstuck.trial.change import CannotChange, changed
from unstuck.trial.conduct import DEFAULT, Say, Terms, Untried, conduct
from unstuck.trial.model import Trial
from unstuck.trial.runs import Job
from unstuck.trial.sequential import PAIRS

__all__ = ["CannotChange", "NotContained", "Untried", "of_target", "terms", "try_patch"]


def try_patch(
    script: str | Path, *, patch: str | None = None, other: str | Path | None = None,
    values: Mapping[str, object] | None = None, arguments: Sequence[str] = (), seeds: int = PAIRS,
    worth: float = LEAST, higher_is_better: bool | None = None, by: str = "",
    uncontained: bool = False,
) -> Trial:  # fmt: skip
    """Run a script with and without a change, in pairs from the same seeds, and say whether the change is better.

    One of `patch` (a unified diff, relative to the script's folder), `other` (a script in its place) and `values` (name
    to value, set where the value is made) says what is changed. `arguments` are the script's own. `seeds`: pairs of
    runs at most. `worth`: the difference worth having, as a share of an accuracy or of a loss. `by`: words
    before the printed number to compare by; without any, the last one that both programs print. `higher_is_better`: of
    that number; None goes by its words.

    Raises CannotChange where the change cannot be made, Untried where the original script fails or nothing can be
    compared, and NotContained where the runs cannot be contained here and `uncontained` is not set.
    """
    way: Way = 0 if higher_is_better is None else 1 if higher_is_better else -1
    given = tuple(f"{name}={value}" for name, value in (values or {}).items())
    target = Target(str(script), None, tuple(arguments))
    return of_target(
        target, patch=patch, other=None if other is None else str(other), values=given,
        terms=terms(seeds, worth, way, uncontained, by),
    )  # fmt: skip


def terms(seeds: int | None, worth: float | None, better: int, uncontained: bool, by: str = "") -> Terms:
    """The terms of a trial, with their defaults."""
    way: Way = 1 if better > 0 else -1 if better < 0 else 0
    return Terms(seeds or PAIRS, worth or LEAST, way, by, uncontained)


def of_target(
    target: Target, *, patch: str | None = None, other: str | None = None, values: tuple[str, ...] = (),
    terms: Terms = DEFAULT, say: Say = lambda _: None,
) -> Trial:  # fmt: skip
    """The trial of a change to a script or a module. Raises as `try_patch` does."""
    script = source(target)
    if script is None:
        raise CannotChange(f"{target.name} has no source text to change")
    script = script.resolve()
    change = changed(script, target.args, patch, None if other is None else Path(other), values)
    job = Job(target.path, target.module, target.args, script.parent, str(Path.cwd()))
    return conduct(job, change, terms, say)
