"""Build networks from a user's `module` that fit the table and the task. Needs torch."""

from __future__ import annotations

import warnings
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from unstuck.tabular.fit.loss import Loss, Sigmoid, Softmax
from unstuck.tabular.fit.module_training import shaped

PROBABLE = (nn.Sigmoid, nn.Softmax)
"""Layers that turn logits into probabilities, which the loss already does."""


def made(module: Any, x: Tensor, loss: Loss, lanes: int) -> list[nn.Module]:
    """One float32 network per lane, tested on some rows x (b, inputs).

    An nn.Module is copied, and the copies after the first are reinitialised if possible; anything else is called with
    the numbers of inputs and outputs. Raises TypeError if the result is not a network, ValueError if it cannot take
    these inputs or returns another shape.
    """
    nets = [_one(module, x.shape[1], loss.outputs, lane).float() for lane in range(lanes)]
    for net in nets:
        _tried(net, x, loss)
    last = [*nets[0].modules()][-1]
    if not isinstance(last, PROBABLE) or not isinstance(loss, Sigmoid | Softmax):
        return nets
    warnings.warn(f"module ends in {type(last).__name__}, but the loss takes logits: remove it", stacklevel=2)
    return nets


def _one(module: Any, inputs: int, outputs: int, lane: int) -> nn.Module:
    if isinstance(module, nn.Module):
        net = deepcopy(module)
        if lane:
            net.apply(_drawn)
        return net
    if not callable(module):
        raise TypeError(
            f"module must be an nn.Module or a function of (inputs, outputs) that returns one, not {module!r}"
        )
    net = module(inputs, outputs)
    if not isinstance(net, nn.Module):
        raise TypeError(f"module({inputs}, {outputs}) returned a {type(net).__name__}, not an nn.Module")
    return net


def _drawn(layer: nn.Module) -> None:
    draw = getattr(layer, "reset_parameters", None)
    if callable(draw):
        draw()


def _tried(net: nn.Module, x: Tensor, loss: Loss) -> None:
    try:
        with torch.no_grad():
            z = net.eval()(x)
    except Exception as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"module cannot take ({len(x)}, {x.shape[1]}) inputs: {why}. X becomes {x.shape[1]} numbers (constant "
            "columns are dropped; missing values and words add inputs): let `module` be a function of (inputs, outputs)"
        ) from error
    if not isinstance(z, Tensor) or shaped(z, loss).shape != (len(x), loss.outputs):
        got = tuple(z.shape) if isinstance(z, Tensor) else type(z).__name__
        raise ValueError(f"module returned {got} for {len(x)} rows: this target needs ({len(x)}, {loss.outputs})")
    if not any(p.requires_grad for p in net.parameters()):
        raise ValueError("module has no parameter to train")
