"""Write a model as an ONNX file: the graph of `Whole`, with words in the place of their codes, and labels. Needs torch,
onnx and onnxscript."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from unstuck.tabular.fit.export.contents import MISSING, Contents
from unstuck.tabular.fit.export.tree_node import with_nodes
from unstuck.tabular.fit.export.whole import Whole
from unstuck.tabular.fit.refusal import CannotFit

OPSET, LEARNING = 18, 3
"""Versions of the operators, and of those of ai.onnx.ml."""
LARGEST = 2**31 - 1
"""Bytes of a file: a limit of the format."""


def write(whole: Whole, path: Path, classes: bool) -> None:
    """Write the file atomically; `classes`: whether each row has one label.

    Inputs: `numbers` (n, d) float64 and `words` (n, c) strings, empty where missing; only those of which the model has
    columns. Outputs: `label` (n,) and `probabilities` (n, labels), or `prediction` (n, k) float64. The metadata entry
    `columns` holds the names and words as JSON. Raises CannotFit for a model that ONNX cannot express, OSError if the
    file cannot be written.
    """
    model = _graph(whole)
    _with_words(model, whole.contents)
    _with_results(model, whole.contents, classes)
    helper.set_model_props(model, {"columns": whole.contents.plain()})
    model.producer_name, model.producer_version = "unstuck", ""
    onnx.checker.check_model(model)
    text = model.SerializeToString(deterministic=True)
    if len(text) > LARGEST:
        raise CannotFit(f"{path}: the model is larger than 2 GiB, the limit of an ONNX file")
    beside = path.with_name(path.name + ".new")
    try:
        beside.write_bytes(text)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _graph(whole: Whole) -> Any:
    """The graph from numbers and codes, with a free number of rows."""
    about, rows = whole.contents, torch.export.Dim("rows")
    traced, translations = with_nodes(whole)
    inputs = {
        "numbers": torch.zeros(3, len(about.numbers), dtype=torch.float64) if about.numbers else None,
        "codes": torch.zeros(3, len(about.categories), dtype=torch.int64) if about.categories else None,
    }
    given = {name: value for name, value in inputs.items() if value is not None}
    try:
        with _silent():
            made = torch.onnx.export(
                traced, (), kwargs=inputs, dynamo=True, opset_version=OPSET, verbose=False,
                custom_translation_table=translations, input_names=list(given), output_names=["result"],
                dynamic_shapes={name: None if value is None else {0: rows} for name, value in inputs.items()},
            )  # fmt: skip
    except torch.onnx.OnnxExporterError as error:
        why = str(error.__cause__ or error).strip().splitlines()[0]
        raise CannotFit(f"the module of this model cannot be exported to ONNX: {why}") from error
    assert made is not None
    return made.model_proto


@contextmanager
def _silent() -> Iterator[None]:
    """Without the remarks of the exporter on its own workings."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)


def _with_words(model: Any, about: Contents) -> None:
    """Put strings in the place of the input `codes`."""
    if not about.categories:
        return
    graph = model.graph
    nodes, columns = [], []
    for j, one in enumerate(about.categories):
        place, column, codes = f"word_{j}_place", f"word_{j}", f"word_{j}_code"
        graph.initializer.append(numpy_helper.from_array(np.array([j]), place))
        keys = [*(word for word in one.words), *([""] if "" not in one.words else [])]
        values = [*range(len(one.words)), *([MISSING] if "" not in one.words else [])]
        nodes.append(helper.make_node("Gather", ["words", place], [column], axis=1))
        coded = {"keys_strings": keys, "values_int64s": values, "default_int64": len(one.words)}
        nodes.append(helper.make_node("LabelEncoder", [column], [codes], domain="ai.onnx.ml", **coded))
        columns.append(codes)
    nodes.append(helper.make_node("Concat", columns, ["codes"], axis=1))
    kept = [one for one in graph.input if one.name != "codes"]
    del graph.input[:]
    graph.input.extend([*kept, helper.make_tensor_value_info("words", TensorProto.STRING, ["rows", len(columns)])])
    _prepend(graph, nodes)
    if all(one.domain != "ai.onnx.ml" for one in model.opset_import):
        model.opset_import.append(helper.make_opsetid("ai.onnx.ml", LEARNING))


def _prepend(graph: Any, nodes: list[Any]) -> None:
    others = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *others])


def _with_results(model: Any, about: Contents, classes: bool) -> None:
    """Name the output, and give each row its label."""
    graph = model.graph
    name = "probabilities" if about.labels else "prediction"
    graph.node.append(helper.make_node("Identity", ["result"], [name]))
    width = graph.output[0].type.tensor_type.shape.dim[1].dim_value
    out = [helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["rows", width])]
    if classes:
        labels = _constant(about.labels)
        graph.initializer.append(labels)
        graph.node.append(helper.make_node("ArgMax", [name], ["best"], axis=1, keepdims=0))
        graph.node.append(helper.make_node("Gather", ["labels", "best"], ["label"], axis=0))
        out.insert(0, helper.make_tensor_value_info("label", labels.data_type, ["rows"]))
    del graph.output[:]
    graph.output.extend(out)


def _constant(labels: tuple[Any, ...]) -> Any:
    """The labels as a tensor: numbers or truth values of one kind, anything else as text."""
    found = np.array(labels)
    if found.dtype.kind not in "bif":
        found = np.array([str(one) for one in labels], object)
    return numpy_helper.from_array(found, "labels")
