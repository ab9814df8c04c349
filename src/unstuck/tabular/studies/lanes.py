"""Train many small networks at once: stacked weights, hand-written gradients, own data and rate per lane.

All weights of a lane are one row of one tensor, (lanes, weights), so that an optimizer step is one call. A bias is the
weight of a constant input 1: the first layer is one product per lane, and so is its gradient. The derivatives of the
loss and of the sigmoid are torch's own operators, with their clamps and saturation: a lane trains exactly like the same
network in plain PyTorch, including when it gets stuck.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

from unstuck.tabular.studies.nets import Net, Pace

aten = torch.ops.aten
BETAS, EPS = (0.9, 0.999), 1e-8
"""torch's defaults of Adam."""


def with_one(x: Tensor) -> Tensor:
    """x (..., n, inputs) with a column of ones appended: (..., n, inputs + 1)."""
    return torch.cat([x, torch.ones_like(x[..., :1])], -1)


def packed(model: nn.Sequential) -> Tensor:
    """The weights of a module of `nets` as one row."""
    first, last = (m for m in model if isinstance(m, nn.Linear))
    parts = [torch.cat([m.weight, m.bias[:, None]], 1).flatten() for m in (first, last)]
    norms = [torch.cat([m.weight, m.bias]) for m in model if isinstance(m, nn.BatchNorm1d)]
    return torch.cat([*parts, *norms]).detach()


class Lanes:
    """Networks of one kind, trained in parallel. `weights` (lanes, P) are the current weights."""

    def __init__(self, net: Net, starts: Tensor, paces: Sequence[Pace]) -> None:
        """`starts` (lanes, P): packed weights; `paces`: one per lane."""
        self.net, self.paces, self.steps = net, tuple(paces), 0
        self.weights, self.gradients = starts.clone(), torch.zeros_like(starts)
        self.moments = torch.zeros_like(starts), torch.zeros_like(starts)
        self._layout()

    def _layout(self) -> None:
        cut = self.net.width * (self.net.inputs + 1)
        self._cuts = cut, cut + self.net.width + 1
        self._views, self._slopes = self._parts(self.weights), self._parts(self.gradients)
        self._rooms: dict[int, tuple[Tensor, ...]] = {}
        self._strides = torch.zeros_like(self.weights)
        self._count = torch.tensor(float(self.steps))  # Adam counts in place
        self._kinds, self._rate = set(self.paces), None

    def _parts(self, flat: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Views: first layer (lanes, width, inputs + 1), last layer (lanes, 1, width + 1), norm (lanes, 2, inputs)."""
        a, b = self._cuts
        first = flat[:, :a].unflatten(1, (self.net.width, self.net.inputs + 1))
        norm = flat[:, b:].unflatten(1, (2, self.net.inputs)) if self.net.norm else flat[:, b:]
        return first, flat[:, a:b].unsqueeze(1), norm

    def first(self) -> tuple[Tensor, Tensor]:
        """The first layer's weights (lanes, width, inputs) and biases (lanes, width)."""
        whole = self._views[0]
        return whole[..., :-1], whole[..., -1]

    def keep(self, lanes: Tensor) -> Lanes:
        """Only these lanes (indices), in this order, with their optimizer states."""
        left = Lanes(self.net, self.weights[lanes], [self.paces[i] for i in lanes.tolist()])
        left.moments = self.moments[0][lanes].clone(), self.moments[1][lanes].clone()
        left.steps = self.steps
        left._layout()
        return left

    def logits(self, x: Tensor) -> Tensor:
        """The logits (lanes, n) for x (lanes, n, inputs + 1), prepared as for `step`."""
        room = self._room(x)
        return self._forward(x, room).squeeze(1).clone()

    def step(self, x: Tensor, y: Tensor, shares: Tensor) -> Tensor:
        """One step of every lane; returns the logits before it, (lanes, n).

        `x` (lanes, n, inputs + 1) ends in a column of ones and is already normalised if the net begins with BatchNorm;
        `y` and `shares` (lanes or 1, 1, n): targets, and the weight of each row in the loss (they sum to one).
        """
        room = self._room(x)
        z = self._forward(x, room)
        self._backward(room, self._slope(z, y, shares))
        self._update()
        return z.squeeze(1)

    def _room(self, x: Tensor) -> tuple[Tensor, ...]:
        """Buffers for batches of this size: the hidden layer with a row of ones below it, and its gradients."""
        lanes, n, _ = x.shape
        if n not in self._rooms:
            hidden = x.new_ones(lanes, self.net.width + 1, n)
            self._rooms[n] = (torch.empty_like(hidden[:, 1:]), hidden, x.new_empty(lanes, n, self.net.inputs + 1))
        return self._rooms[n]

    def _forward(self, x: Tensor, room: tuple[Tensor, ...]) -> Tensor:
        before, hidden, entering = room
        first, last, norm = self._views
        entering.copy_(x)
        if self.net.norm:
            torch.addcmul(norm[:, 1:], x[..., :-1], norm[:, :1], out=entering[..., :-1])
            self._normed = x
        torch.bmm(first, entering.transpose(1, 2), out=before)
        self._activate(before, hidden[:, :-1])
        return torch.bmm(last, hidden)

    def _activate(self, before: Tensor, after: Tensor) -> None:
        match self.net.hidden:
            case "sigmoid":
                torch.sigmoid(before, out=after)
            case "relu":
                torch.clamp_min(before, 0, out=after)
            case _:
                after.copy_(before)

    def _slope(self, z: Tensor, y: Tensor, shares: Tensor) -> Tensor:
        """The derivative of the loss by the logits, as torch computes it for either form of the loss."""
        p = torch.sigmoid(z)
        if self.net.loss == "logits":
            return p.sub_(y).mul_(shares)
        y, shares = y.expand_as(p), shares.expand_as(p)
        return aten.sigmoid_backward(aten.binary_cross_entropy_backward(shares, p, y, None, 0), p)

    def _backward(self, room: tuple[Tensor, ...], slope: Tensor) -> None:
        before, hidden, entering = room
        first, last, norm = self._slopes
        torch.bmm(slope, hidden.transpose(1, 2), out=last)
        torch.mul(self._views[1][..., :-1].transpose(1, 2), slope, out=before)
        if self.net.hidden == "sigmoid":
            before = aten.sigmoid_backward(before, hidden[:, :-1])
        elif self.net.hidden == "relu":
            before = aten.threshold_backward(before, hidden[:, :-1], 0)
        first.copy_(torch.bmm(before, entering))
        if self.net.norm:
            back = torch.bmm(before.transpose(1, 2), self._views[0][..., :-1])
            norm[:, 0] = (back * self._normed[..., :-1]).sum(1)
            norm[:, 1] = back.sum(1)

    def _update(self) -> None:
        if self.net.optimizer == "sgd":
            self.weights.addcmul_(self.gradients, self._rates(), value=-1)
        else:
            self._stride()
            self.weights.addcmul_(self._strides, self._rates())
        self.steps += 1

    def _stride(self) -> None:
        """Adam's step from zero at rate one. A step is linear in the rate, so one call serves every lane's rate."""
        self._strides.zero_()
        adam(
            [self._strides],
            [self.gradients],
            [self.moments[0]],
            [self.moments[1]],
            [],
            [self._count],
            foreach=False,
            fused=True,
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=1.0,
            weight_decay=0.0,
            eps=EPS,
            maximize=False,
        )

    def _rates(self) -> Tensor:
        """The rates of this step, (lanes, 1); recomputed only if one may have changed."""
        if any(pace.every and self.steps % pace.every == 0 for pace in self._kinds) or self._rate is None:
            self._rate = self.weights.new_tensor([[pace.at(self.steps)] for pace in self.paces])
        return self._rate
