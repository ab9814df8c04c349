"""Fold scaling layers into the linear layers behind them: the same function of the input, one layer less.

W ((x - c) * s) + b  =  (W s) x + (b - (W s) c)

Which layer stands behind which is read off torch.fx's trace of the model, in training and in evaluation mode.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from unstuck.nn.chain import FoldError, Link, links
from unstuck.nn.padding import ChannelPad
from unstuck.nn.scaling import Scaling

CONVOLUTIONS = {nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}
FAR = 1e-2
"""A folded model that differs by this share of its largest output computes something else; rounding stays far below,
unless an offset is some 1e5 spreads away."""


class Numbers(NamedTuple):
    """Center and scale per input feature or channel of the layer behind, in float64."""

    center: Tensor
    scale: Tensor


def fold(model: nn.Module, *, inplace: bool = False, example: Any = None) -> nn.Module:
    """The model without its scaling layers: each becomes nn.Identity (or ChannelPad) and enters the weights behind it.

    Behind it must stand, alone and used once, nn.Linear (directly, or after a flatten from axis 1) or nn.Conv1d to 3d;
    nn.Identity between them is passed over. Zero padding is exact too: the input is then padded with what scales to 0.
    Everything is computed in float64 and rounded once. Parameter and module names stay, and so do the parameters
    themselves; a bias is added where there was none and one is needed. With `example`, an input (or a tuple of
    inputs), both models are run on it in evaluation mode and compared.

    Raises FoldError (one line), with the model unchanged, for whatever cannot be folded exactly.
    """
    plan = [(link, _numbers(link)) for link in links(model)]
    if example is not None:
        _compare(model, _folded(copy.deepcopy(model), plan), example)
    return _folded(model if inplace else copy.deepcopy(model), plan)


def _numbers(link: Link) -> Numbers:
    spread = _over_linear if type(link.layer) is nn.Linear else _over_channels
    layer = link.scaling
    flat = Numbers(layer.center.detach().double().flatten(), layer.scale.detach().double().flatten())
    return Numbers(*(spread(link, numbers) for numbers in flat))


def _over_linear(link: Link, numbers: Tensor) -> Tensor:
    layer, features = link.scaling, link.layer.in_features
    if layer.columns == features and (link.flattened or layer.dims == [-1] or _is_last(layer)):
        return numbers
    in_front = layer.dims == list(range(1, 1 + len(layer.dims)))
    if not features % layer.columns and (not layer.dims or (link.flattened and in_front)):
        return numbers.repeat_interleave(features // layer.columns)
    raise FoldError(f"{link}: the columns that are scaled, {tuple(layer.sizes)}, are not the {features} inputs")


def _is_last(layer: Scaling) -> bool:
    """Axis 1 is the last: of rows (N, d)."""
    return layer.dims == [1] and layer.rank in (0, 2)


def _over_channels(link: Link, numbers: Tensor) -> Tensor:
    layer, channels = link.scaling, link.layer.in_channels
    if link.flattened:
        raise FoldError(f"{link}: a flatten before a convolution is not followed")
    if not layer.dims:
        return numbers.repeat(channels)
    if layer.sizes == [channels] and layer.dims in ([1], [-1 - CONVOLUTIONS[type(link.layer)]]):
        return numbers
    raise FoldError(f"{link}: only one scale per channel goes into a convolution, not {tuple(layer.sizes)}")


def _folded(model: nn.Module, plan: list[tuple[Link, Numbers]]) -> nn.Module:
    with torch.no_grad():
        for link, numbers in plan:
            layer = model.get_submodule(link.behind)
            _rewrite(layer, numbers)
            parent, _, name = link.front.rpartition(".")
            setattr(model.get_submodule(parent), name, _stand_in(layer, numbers))
    return model


def _rewrite(layer: Any, numbers: Numbers) -> None:
    weight = layer.weight.data
    scaled = weight.double() * _per_weight(numbers.scale, layer)
    shift = (scaled * _per_weight(numbers.center, layer)).flatten(1).sum(1)
    layer.weight.data = scaled.to(weight.dtype)
    if numbers.center.any():
        before = 0 if layer.bias is None else layer.bias.data.double()
        bias = (before - shift).to(weight.dtype)
        if layer.bias is None:
            layer.bias = nn.Parameter(bias, requires_grad=layer.weight.requires_grad)
        else:
            layer.bias.data = bias


def _per_weight(numbers: Tensor, layer: Any) -> Tensor:
    """In the shape of the weight (out, in / groups, ...), for broadcasting."""
    groups = getattr(layer, "groups", 1)
    rows = numbers.to(layer.weight.device).view(groups, -1).repeat_interleave(len(layer.weight) // groups, 0)
    return rows.view(*rows.shape, *[1] * (layer.weight.dim() - 2))


def _stand_in(layer: Any, numbers: Numbers) -> nn.Module:
    """What takes the scaling's place; a convolution that padded with zeros pads no more."""
    if not pads_zeros(layer) or not numbers.center.any():
        return nn.Identity()
    pad = list(layer._reversed_padding_repeated_twice)
    layer.padding = (0,) * (len(pad) // 2)
    layer._reversed_padding_repeated_twice = [0] * len(pad)
    return ChannelPad(pad, numbers.center.to(layer.weight))


def pads_zeros(layer: Any) -> bool:
    """The layer puts zeros around its input (every other padding takes values of the input itself)."""
    return getattr(layer, "padding_mode", "") == "zeros" and any(layer._reversed_padding_repeated_twice)


def _compare(model: nn.Module, folded: nn.Module, example: Any) -> None:
    inputs = example if isinstance(example, tuple) else (example,)
    with torch.no_grad():
        before, after = (copy.deepcopy(m).eval()(*inputs) for m in (model, folded))
    if not isinstance(before, Tensor):
        raise FoldError("an example can be compared only where the model returns one tensor")
    worst = float((before - after).abs().max())
    if not worst <= FAR * float(before.abs().max()):
        raise FoldError(f"on the example the folded model is off by {worst:.3g}; nothing was folded")
