"""The stages of an ensemble as torch modules, in float64. Needs torch."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from unstuck.tabular.fit.loss import Loss, Sigmoid, Softmax
from unstuck.tabular.fit.stage import Stage
from unstuck.tabular.fit.trees import LEAF, Trees

ACTIVATIONS = {"relu": torch.relu, "silu": functional.silu, "tanh": torch.tanh}


def answers(z: Tensor, loss: Loss) -> Tensor:
    """Predictions from logits (..., outputs), as those of `loss`."""
    if isinstance(loss, Softmax):
        return torch.softmax(z, -1)
    return torch.sigmoid(z) if isinstance(loss, Sigmoid) else z


class Lanes(nn.Module):
    """The networks of a stage, whose predictions are averaged; without hidden layers, the linear stage."""

    def __init__(self, stage: Stage, inputs: int, loss: Loss) -> None:
        super().__init__()
        self.loss, self.act = loss, ACTIVATIONS[stage.shape.activation]
        sizes = (inputs, *stage.shape.hidden, loss.outputs)
        flat = torch.from_numpy(stage.flat.astype(np.float64))
        parts = flat.split([(a + 1) * b for a, b in pairwise(sizes)], 1)
        whole = [part.reshape(len(flat), a + 1, b) for part, (a, b) in zip(parts, pairwise(sizes), strict=True)]
        self.weights = nn.ParameterList([nn.Parameter(w[:, :-1].clone()) for w in whole])
        self.biases = nn.ParameterList([nn.Parameter(w[:, -1:].clone()) for w in whole])

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs) to (n, outputs)."""
        x, last = x[None], len(self.weights) - 1
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.matmul(x, weight) + bias
            x = self.act(x) if i < last else x
        return answers(x, self.loss).mean(0)


class Forest(nn.Module):
    """The trees of the boosted stage: every tree goes down one level at a time, and a leaf stays where it is."""

    feature: Tensor
    threshold: Tensor
    missing: Tensor
    left: Tensor
    right: Tensor
    value: Tensor
    roots: Tensor
    into: Tensor
    start: Tensor

    def __init__(self, trees: Trees, loss: Loss) -> None:
        super().__init__()
        self.loss, self.trees, (self.lanes, self.outputs) = loss, trees, trees.start.shape
        leaf = trees.feature == LEAF
        self.depth = _depth(trees)
        here = np.arange(len(leaf))[:, None]
        ways = np.where(leaf[:, None], here, trees.children).astype(np.int64)
        into = np.zeros((len(trees.roots), self.lanes * self.outputs))
        into[np.arange(len(trees.roots)), trees.place] = 1.0
        arrays = {
            "feature": np.where(leaf, 0, trees.feature).astype(np.int64), "left": ways[:, 0], "right": ways[:, 1],
            "threshold": np.where(leaf, 0.0, trees.threshold), "missing": trees.missing, "value": trees.value,
            "roots": trees.roots.astype(np.int64), "into": into, "start": trees.start.reshape(-1),
        }  # fmt: skip
        for name, values in arrays.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(values)))

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs), NaN where missing, to (n, outputs)."""
        raw = self.sums(x) + self.start if len(self.roots) else self.start.expand(x.shape[0], -1)
        return answers(raw.reshape(-1, self.lanes, self.outputs), self.loss).mean(1)

    def sums(self, x: Tensor) -> Tensor:
        """The sums of the trees of each lane and output, (n, lanes * outputs)."""
        return torch.matmul(self.value[self._leaves(x)], self.into)

    def _leaves(self, x: Tensor) -> Tensor:
        node = self.roots.expand(x.shape[0], -1)
        for _ in range(self.depth):
            value = torch.gather(x, 1, self.feature[node])
            goes_left = (value <= self.threshold[node]) | (torch.isnan(value) & self.missing[node])
            node = torch.where(goes_left, self.left[node], self.right[node])
        return node


def _depth(trees: Trees) -> int:
    """The number of comparisons on the longest way to a leaf."""
    depth = np.zeros(len(trees.feature), np.int64)
    for node in np.flatnonzero(trees.feature != LEAF):  # parents come before their children
        depth[trees.children[node]] = depth[node] + 1
    return int(depth.max(initial=0))
