"""The trees of a model as one node of an ONNX graph, TreeEnsembleRegressor of ai.onnx.ml. Needs torch and onnxscript.

The node stands for an operator that torch can trace but not run.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np
import torch
from onnx import numpy_helper
from onnxscript.onnx_opset import opset_ai_onnx_ml3
from torch import Tensor, nn

from unstuck.tabular.fit.export.stages import Forest
from unstuck.tabular.fit.export.whole import Whole
from unstuck.tabular.fit.trees import LEAF, Trees

_OWN = torch.library.Library("unstuck", "DEF")
_OWN.define("trees(Tensor x, int number, int targets) -> Tensor")


@torch.library.register_fake("unstuck::trees", lib=_OWN)
def _shape(x: Tensor, number: int, targets: int) -> Tensor:
    return x.new_empty(x.shape[0], targets, dtype=torch.float32)


class TreeNode(Forest):
    """A `Forest` whose sums the operator stands for."""

    def __init__(self, forest: Forest, number: int) -> None:
        super().__init__(forest.trees, forest.loss)
        self.number = number

    def sums(self, x: Tensor) -> Tensor:
        """(n, inputs) to (n, lanes * outputs)."""
        return torch.ops.unstuck.trees(x, self.number, self.lanes * self.outputs).double()


def with_nodes(whole: Whole) -> tuple[nn.Module, dict[Any, Callable[..., Any]]]:
    """A model for the exporter, and the translation of its operator. The model itself does not change."""
    stages = getattr(whole.blend, "stages", ())
    forests = [stage.trees if isinstance(stage, Forest) else None for stage in stages]
    if not any(forests):
        return whole, {}

    def translated(x: Any, number: int, targets: int) -> Any:
        trees = forests[number]
        assert trees is not None
        return opset_ai_onnx_ml3.TreeEnsembleRegressor(x, n_targets=targets, **_attributes(trees))

    nodes = [TreeNode(one, j) if isinstance(one, Forest) else one for j, one in enumerate(stages)]
    return _with(whole, nn.ModuleList(nodes)), {torch.ops.unstuck.trees.default: translated}


def _with(whole: Whole, stages: nn.ModuleList) -> nn.Module:
    """A copy of the model that shares all but its stages."""
    other, blend = copy(whole), copy(whole.blend)
    other._modules, blend._modules = dict(whole._modules), dict(whole.blend._modules)
    blend.stages = stages
    other.blend = blend
    return other.eval()


def _attributes(trees: Trees) -> dict[str, Any]:
    leaf = trees.feature == LEAF
    tree = np.searchsorted(trees.roots, np.arange(len(leaf)), side="right") - 1
    own = np.arange(len(leaf)) - trees.roots[tree]
    ways = np.where(leaf[:, None], 0, trees.children - trees.roots[tree][:, None])
    return {
        "nodes_treeids": tree.tolist(),
        "nodes_nodeids": own.tolist(),
        "nodes_featureids": np.where(leaf, 0, trees.feature).tolist(),
        "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_values_as_tensor": numpy_helper.from_array(np.where(leaf, 0.0, trees.threshold)),
        "nodes_truenodeids": ways[:, 0].tolist(),
        "nodes_falsenodeids": ways[:, 1].tolist(),
        "nodes_missing_value_tracks_true": (trees.missing & ~leaf).astype(int).tolist(),
        "target_treeids": tree[leaf].tolist(),
        "target_nodeids": own[leaf].tolist(),
        "target_ids": trees.place[tree[leaf]].tolist(),
        "target_weights_as_tensor": numpy_helper.from_array(trees.value[leaf]),
    }
