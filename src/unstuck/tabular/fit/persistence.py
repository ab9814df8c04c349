"""Save a fitted estimator in a file that executes nothing when loaded, in the format of `unstuck fit --model`: the
command and the estimators read each other's files. A user's module is rebuilt by the user."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from unstuck.tabular.fit import store
from unstuck.tabular.fit.arrays import Schema
from unstuck.tabular.fit.columns import recorded, roles_of, unnamed
from unstuck.tabular.fit.estimators import Classifier, Regressor
from unstuck.tabular.fit.evaluated import names_of, sort_of
from unstuck.tabular.fit.habits import habits_of
from unstuck.tabular.fit.online import Pace
from unstuck.tabular.fit.store import ModelError
from unstuck.tabular.fit.task import Numbers, Task
from unstuck.tabular.fit.trainer import trainer

Array = np.ndarray
KINDS = {"Classifier": Classifier, "Regressor": Regressor}
SETTINGS = (
    "activation", "lanes", "epochs", "batch_size", "learning_rate", "weight_decay", "warm_start", "time_limit",
    "n_jobs", "loss",
)  # fmt: skip
CURVES = ("loss_curve_", "validation_curve_", "notes_")


def save(estimator: Classifier | Regressor, path: str | Path) -> None:
    """Write a fitted estimator: encoder, weights, and settings except `class_weight`, `random_state` and `module`.
    Raises ModelError if it cannot be written."""
    schema, names = estimator._schema, list(map(str, getattr(estimator, "feature_names_in_", ())))
    known = recorded(schema.roles) if schema.roles is not None else unnamed(schema.words, names)
    about = known | {
        "targets": [],
        "task": sort_of(estimator.model_.task),
        "names": list(names_of(estimator.model_.task)),
        "habits": schema.habits.plain() if schema.habits is not None else {},
        "typed": schema.roles is not None,
        "estimator": type(estimator).__name__,
        "settings": {name: getattr(estimator, name) for name in SETTINGS if hasattr(estimator, name)}
        | {"hidden": estimator.hidden},
        "words": list(schema.words),
        "features": names,
        "flat": bool(getattr(estimator, "_flat", True)),
        "seed": estimator._seed,
        "curves": {name: list(getattr(estimator, name)) for name in CURVES},
    }
    model = estimator.model_
    if estimator.module is None:
        store.save(model, Path(path), about)
        return
    head, arrays = store.packed(model.encoder, model.task)
    arrays |= store.packed_errors(model.conformal)
    for lane, net in enumerate(model.nets):
        arrays |= {f"module.{lane}.{name}": value.detach().cpu().numpy() for name, value in net.state_dict().items()}
    store.write(Path(path), head | {"modules": len(model.nets), "about": about, "crews": []}, arrays)


def load(path: str | Path, module: Any = None) -> Classifier | Regressor:
    """Load a saved estimator, or a model of `unstuck fit` as one. `module`: builds its network, if it was saved with a
    user's module.

    Raises ModelError for other files, and if `module` is missing or builds another network.
    """
    path = Path(path)
    head, arrays = store.read(path)
    if "estimator" not in head.get("about", {}):
        return _of_command(path)
    try:
        about, own = head["about"], int(head.get("modules", 0))
        settings = about["settings"]
        settings["hidden"] = tuple(settings["hidden"]) if isinstance(settings["hidden"], list) else settings["hidden"]
        estimator = KINDS[about["estimator"]](**settings, module=module)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ModelError(f"{path} holds no estimator; try `unstuck predict`") from None
    if bool(own) != (module is not None):
        needs = "was saved with a module: pass `module`" if own else "was saved without a module: do not pass `module`"
        raise ModelError(f"{path} {needs}")
    if not own:
        estimator.model_ = store.load(path)[0]
    else:
        encoder, task = store.unpacked(head, arrays)
        states = [_state(arrays, f"module.{lane}.") for lane in range(own)]
        try:
            restored = trainer(estimator).restored(encoder, task, states)
            estimator.model_ = replace(restored, conformal=store.unpacked_errors(arrays))
        except (RuntimeError, ValueError, TypeError) as error:
            raise ModelError(f"{path} holds the weights of another module: {str(error).splitlines()[0]}") from None
    return _fitted(estimator, about, estimator.model_.task, _schema(about))


def _state(arrays: dict[str, Array], prefix: str) -> dict[str, Array]:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def _of_command(path: Path) -> Classifier | Regressor:
    """The model of `unstuck fit` as an estimator with the usual settings."""
    model, about = store.load(path)
    try:
        who, habits = roles_of(about), habits_of(about)
    except (KeyError, TypeError, ValueError):
        raise ModelError(f"{path} does not record its input columns: it was saved by an earlier version") from None
    estimator: Any = Classifier()
    if isinstance(model.task, Numbers):
        level = model.task.quantile
        estimator = Regressor(loss="squared" if level is None else f"quantile:{level:g}")
    estimator.model_ = model
    words = tuple(kind.name == "text" for kind in who.inputs.values())
    more = {"words": words, "features": list(who.inputs), "flat": model.task.loss.outputs == 1, "seed": 0}
    notes = list(map(str, about.get("notes", ())))
    curves = {"loss_curve_": [], "validation_curve_": [], "notes_": notes}
    return _fitted(estimator, more | {"curves": curves}, model.task, Schema(words, who, habits))


def _schema(about: dict[str, Any]) -> Schema:
    words = tuple(map(bool, about["words"]))
    return Schema(words, roles_of(about), habits_of(about)) if about.get("typed") else Schema(words)


def _fitted(estimator: Any, about: dict[str, Any], task: Task, schema: Schema) -> Classifier | Regressor:
    estimator._schema, estimator._seed = schema, int(about["seed"])
    estimator._pace, estimator._flat = Pace(), bool(about["flat"])
    estimator.n_features_in_ = len(about["words"])
    if names := about.get("features", about.get("names")):
        estimator.feature_names_in_ = np.array(names, object)
    if not isinstance(task, Numbers):
        estimator.classes_ = getattr(task, "labels", np.arange(task.loss.outputs))
    for name in CURVES:
        setattr(estimator, name, about["curves"][name])
    estimator.n_iter_, estimator.best_loss_ = (
        len(estimator.loss_curve_),
        min(estimator.validation_curve_, default=np.nan),
    )
    return estimator
