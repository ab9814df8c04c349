"""`unstuck export`: the model of a file as an ONNX file. Needs torch, onnx and onnxscript."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from unstuck.tabular.fit.arrays import Schema
from unstuck.tabular.fit.columns import roles_of
from unstuck.tabular.fit.export.onnx import write
from unstuck.tabular.fit.export.whole import Whole
from unstuck.tabular.fit.habits import habits_of
from unstuck.tabular.fit.store import ModelError, load
from unstuck.tabular.fit.task import Classes


def export(options: Namespace) -> str:
    """Write the file and return one line on its inputs. Raises ModelError, CannotFit and OSError."""
    model, about = load(Path(options.model))
    try:
        who, habits = roles_of(about), habits_of(about)
    except (KeyError, TypeError, ValueError):
        line = f"{options.model} does not record its input columns: it was saved by an earlier version"
        raise ModelError(line) from None
    words = tuple(kind.name == "text" for kind in who.inputs.values())
    whole = Whole(model, Schema(words, who, habits), list(who.inputs))
    write(whole, Path(options.onnx), isinstance(model.task, Classes))
    return f"{options.onnx}: {_inputs(whole)}"


def _inputs(whole: Whole) -> str:
    about = whole.contents
    sizes = {"numbers": len(about.numbers), "words": len(about.categories)}
    return "inputs " + " and ".join(f"{name} (rows, {size})" for name, size in sizes.items() if size)
