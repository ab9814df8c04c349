"""Save a model as one file: safetensors, with JSON in the header. Loading executes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from unstuck.tabular.fit.calibration import Calibration
from unstuck.tabular.fit.categories import Words
from unstuck.tabular.fit.conformal import Conformal
from unstuck.tabular.fit.effects import Effects
from unstuck.tabular.fit.encoder import BRIEF, Encoder
from unstuck.tabular.fit.model import Model
from unstuck.tabular.fit.network import Dense
from unstuck.tabular.fit.numeric import VIEWS, Numeric
from unstuck.tabular.fit.stage import Stage
from unstuck.tabular.fit.task import Classes, Labels, Numbers, Task
from unstuck.tabular.fit.train import Shape
from unstuck.tabular.fit.trees import Trees

Array = np.ndarray
FORMAT = 1
"""In this format the stages of the ensemble are called crews, and its calibration belief."""


class ModelError(Exception):
    """A file is not a readable model; the message is one line."""


def save(model: Model, path: Path, about: Mapping[str, Any] | None = None) -> None:
    """Write a model atomically, with JSON metadata.

    Raises ModelError if it cannot be written; an existing file is then unchanged.
    """
    head, arrays = packed(model.encoder, model.task)
    arrays |= {f"crew.{i}": stage.flat for i, stage in enumerate(model.stages)}
    arrays |= {
        f"trees.{i}.{name}": value
        for i, stage in enumerate(model.stages)
        if stage.trees is not None
        for name, value in stage.trees.state().items()
    }
    arrays |= {} if model.bounds is None else {"bounds": model.bounds}
    arrays |= packed_errors(model.conformal)
    head |= {
        "crews": [asdict(stage.shape) | {"weight": stage.weight, "onto": stage.onto} for stage in model.stages],
        "belief": {"heat": model.calibration.temperature, "rows": model.calibration.rows},
        "notes": list(model.notes),
        "about": dict(about or {}),
    }
    write(path, head, arrays)


def packed(encoder: Encoder, task: Task) -> tuple[dict[str, Any], dict[str, Array]]:
    """The header and arrays of the columns and the target, for any kind of network."""
    arrays = {f"numeric.{k}": v for k, v in encoder.numeric.state().items()}
    target, more = _packed_task(task)
    found = {i: one for i, one in enumerate(encoder.effects) if one is not None}
    arrays |= {f"effects.{i}": one.values for i, one in found.items()}
    head = {"task": target, "words": [asdict(words) for words in encoder.words]}
    return head | {"effects": {str(i): list(one.words) for i, one in found.items()}}, arrays | more


def write(path: Path, head: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write a file atomically. Raises ModelError if it cannot be written."""
    from safetensors.numpy import save as packed

    beside = path.with_name(path.name + ".new")
    try:
        whole = {k: np.ascontiguousarray(v) for k, v in arrays.items()}
        # write_bytes, so that the file gets the user's default permissions.
        beside.write_bytes(packed(whole, {"unstuck": json.dumps({"format": FORMAT, **head})}))
        beside.replace(path)
    except Exception as error:
        beside.unlink(missing_ok=True)
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error).splitlines()[0]
        raise ModelError(f"{path} could not be written: {why}") from None


def load(path: Path) -> tuple[Model, dict[str, Any]]:
    """A model and its metadata. Raises ModelError for any other file."""
    head, arrays = read(path)
    if head.get("modules"):
        raise ModelError(f"{path} holds a module of its owner, which only Python can rebuild: load it there")
    try:
        return _model(head, arrays), dict(head["about"])
    except Exception:
        raise ModelError(f"{path} is corrupt: its parts are inconsistent") from None


def read(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """The header and arrays that `write` wrote. Raises ModelError for any other file."""
    from safetensors import safe_open

    if not path.is_file():
        raise ModelError(f"{path}: no such file")
    try:
        with safe_open(path, framework="numpy") as file:
            head = json.loads((file.metadata() or {})["unstuck"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except Exception as error:
        if isinstance(error, PermissionError):
            raise ModelError(f"{path}: permission denied") from None
        raise ModelError(f"{path} is not an unstuck model, or is corrupt") from None
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise ModelError(f"{path} was saved by another version of unstuck")
    return head, arrays


def unpacked(head: dict[str, Any], arrays: dict[str, Array]) -> tuple[Encoder, Task]:
    """The inverse of `packed`."""
    numeric = Numeric(**{k.removeprefix("numeric."): v for k, v in arrays.items() if k.startswith("numeric.")})
    words = tuple(
        Words(
            tuple(map(str, w["words"])), tuple(map(int, w["counts"])), int(w["rows"]), bool(w["cut"]),
            int(w.get("there", 0)),
        )
        for w in head["words"]
    )  # fmt: skip
    task = _task(head["task"], arrays)
    return Encoder(numeric, words, _effects(head, arrays, len(words), task.loss.outputs)), task


def _effects(head: dict[str, Any], arrays: dict[str, Array], columns: int, outputs: int) -> tuple[Effects | None, ...]:
    pairs = head.get("effects", {}).items()
    found = {int(i): Effects(tuple(map(str, words)), arrays[f"effects.{i}"]) for i, words in pairs}
    for one in found.values():
        if one.values.shape != (len(one.words), outputs) or not np.isfinite(one.values).all():
            raise ValueError("effects of another target")
    return tuple(found.get(i) for i in range(columns)) if found else ()


def _model(head: dict[str, Any], arrays: dict[str, Array]) -> Model:
    encoder, task = unpacked(head, arrays)
    if not head["crews"]:
        raise ValueError("no network")
    stages = tuple(
        _stage(one, arrays[f"crew.{i}"], encoder, task, _trees(arrays, f"trees.{i}."))
        for i, one in enumerate(head["crews"])
    )
    calibration = Calibration(float(head["belief"]["heat"]), float(head["belief"]["rows"]))
    bounds = arrays.get("bounds")
    if bounds is not None and bounds.shape != (2, task.loss.outputs):
        raise ValueError("bounds of another target")
    conformal = unpacked_errors(arrays)
    if conformal is not None and conformal.errors.shape[1] != task.loss.outputs:
        raise ValueError("errors of another target")
    notes = tuple(map(str, head["notes"]))
    return Model(encoder, task, stages, calibration, None, notes, bounds, conformal=conformal)


def packed_errors(conformal: Conformal | None) -> dict[str, Array]:
    """The arrays of the errors of held-out rows."""
    return {} if conformal is None else {"errors": conformal.errors, "errors.rows": np.array([conformal.rows])}


def unpacked_errors(arrays: Mapping[str, Array]) -> Conformal | None:
    """The inverse of `packed_errors`. Raises ValueError for other arrays."""
    if "errors" not in arrays:
        return None
    found = Conformal(arrays["errors"], int(arrays["errors.rows"][0]))
    if not found.valid:
        raise ValueError("not the errors of held-out rows")
    return found


def _trees(arrays: dict[str, Array], prefix: str) -> Trees | None:
    found = {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
    return Trees(**found) if found else None


def _stage(head: dict[str, Any], flat: Array, encoder: Encoder, task: Task, trees: Trees | None) -> Stage:
    shape = Shape(tuple(head["views"]), tuple(map(int, head["hidden"])), str(head["activation"]))
    if (trees is None) != (shape.views != BRIEF) or not set(shape.views) <= {*VIEWS, *BRIEF}:
        raise ValueError("not a stage")
    if flat.dtype != np.float32 or flat.ndim != 2:
        raise ValueError("not weights")
    if trees is not None:
        trees.check(encoder.width(BRIEF), len(flat), task.loss.outputs)
        return Stage(shape, flat, float(head["weight"]), False, "", trees)
    sizes = (encoder.width(shape.views), *shape.hidden, task.loss.outputs)
    if flat.shape[1] != Dense.count(sizes) or not np.isfinite(flat).all():
        raise ValueError("weights of another shape")
    return Stage(shape, flat, float(head["weight"]), bool(head.get("onto", False)))


def _packed_task(task: Task) -> tuple[dict[str, Any], dict[str, Array]]:
    if isinstance(task, Classes):
        return {"kind": "classes", "labels": task.labels.tolist(), "type": task.labels.dtype.kind}, {}
    if isinstance(task, Labels):
        return {"kind": "labels", "names": list(task.names)}, {}
    return {"kind": "numbers", "quantile": task.quantile}, {
        "task.mean": task.mean,
        "task.spread": task.spread,
        "task.sign": task.sign,
    }


def _task(head: dict[str, Any], arrays: dict[str, Array]) -> Task:
    if head["kind"] == "classes":
        labels = np.array(head["labels"], dtype=object if head["type"] == "O" else None)
        return Classes(labels)
    if head["kind"] == "labels":
        return Labels(tuple(map(str, head["names"])))
    level = head.get("quantile")
    return Numbers(
        arrays["task.mean"], arrays["task.spread"], arrays["task.sign"], None if level is None else float(level)
    )
