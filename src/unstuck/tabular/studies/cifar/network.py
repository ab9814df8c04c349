"""One lane: the asker's network, 3072-300-10 with ReLU and no biases, with hand-written gradients.

Lanes that share a batch are not stacked into one wide product: at this size a product is bound by arithmetic, and one
three times as wide runs at the same rate (`machine` measures it).
"""

from __future__ import annotations

import torch
from torch import Tensor

from unstuck.tabular.studies.cifar.variants import Protocol, Variant

Start = tuple[Tensor, Tensor]
"""Initial weights of both layers: (hidden, inputs) and (classes, hidden)."""


def start(seed: int, inputs: int, protocol: Protocol, he: bool = False) -> Start:
    """The weights of two bias-free `nn.Linear` right after `torch.manual_seed(seed)`; restores torch's random state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = (
            torch.nn.Linear(inputs, protocol.hidden, bias=False),
            torch.nn.Linear(protocol.hidden, protocol.classes, bias=False),
        )
        if he:
            for layer in layers:
                torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    first, second = (layer.weight.detach() for layer in layers)
    return first, second


class Lane:
    """A network in training: weights, gradients, torch's SGD, and the buffers of one step."""

    def __init__(self, variant: Variant, begin: Start, dtype: torch.dtype = torch.float32) -> None:
        self.variant = variant
        shares = [layer.weight for layer in variant.recipe.layers]
        self.weights = tuple(w.to(dtype, copy=True).mul_(s.init) for w, s in zip(begin, shares, strict=True))
        for w in self.weights:
            w.grad = torch.zeros_like(w)
        groups = [{"params": [w], **share.settings} for w, share in zip(self.weights, shares, strict=True)]
        self.optimizer = torch.optim.SGD(groups, fused=True)  # one pass over the weights instead of four
        self.logits = torch.empty(0)
        """Of the latest batch, (batch, classes)."""
        self.errors = torch.empty(0)
        """Of the latest batch, (batch, classes): softmax minus one-hot labels, p - y."""

    @torch.no_grad()
    def gradients(self, x: Tensor, y: Tensor) -> float:
        """Compute the gradients of the mean cross-entropy on x (batch, inputs), y (batch,); returns the loss."""
        first, second = self.weights
        hidden = torch.mm(x, first.t()).relu_()
        self.logits = torch.mm(hidden, second.t())
        likelihood = self.logits.log_softmax(1)
        rows = torch.arange(len(y))
        self.errors = likelihood.exp()
        self.errors[rows, y] -= 1.0
        back = self.errors / len(y)
        torch.mm(back.t(), hidden, out=second.grad)
        pulled = torch.mm(back, second).masked_fill_(hidden <= 0, 0.0)
        torch.mm(pulled.t(), x, out=first.grad)
        return -likelihood[rows, y].mean().item()

    def step(self, x: Tensor, y: Tensor) -> float:
        """Train on one batch; returns its loss before the update."""
        loss = self.gradients(x, y)
        self.optimizer.step()
        return loss

    @property
    def silent(self) -> bool:
        """Whether every logit of the latest batch was exactly zero."""
        return not self.logits.any()

    @torch.no_grad()
    def hidden(self, x: Tensor) -> Tensor:
        """Pre-activations (batch, hidden)."""
        return torch.mm(x, self.weights[0].t())

    @torch.no_grad()
    def outputs(self, hidden: Tensor) -> Tensor:
        """Logits (batch, classes) from pre-activations."""
        return torch.mm(hidden.relu(), self.weights[1].t())


def work(inputs: int, protocol: Protocol) -> float:
    """Floating-point operations of one step of one lane, in GFLOP: the matrix products of both layers.

    Forward and weight gradient of layer 1; forward, weight gradient and input gradient of layer 2.
    """
    per_row = 2 * inputs * protocol.hidden + 3 * protocol.hidden * protocol.classes
    return 2 * protocol.batch * per_row / 1e9
