"""Fold scaling layers into the linear layers that follow: the same function of the input, one layer fewer.

W ((x - c) * s) + b  =  (W s) x + (b - (W s) c)

The layers are paired by a torch.fx trace of the model, in train and in eval mode.
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
"""A folded model is rejected if it differs by this share of its largest output; rounding errors stay far below, unless
an offset is about 1e5 standard deviations."""


class Numbers(NamedTuple):
    """Center and scale per input feature or channel of the linear layer, in float64."""

    center: Tensor
    scale: Tensor


def fold(model: nn.Module, *, inplace: bool = False, example: Any = None) -> nn.Module:
    """The model without its scaling layers: each becomes nn.Identity (or ChannelPad) and is folded into the next layer.

    The next layer must be nn.Linear (directly, or after a flatten from axis 1) or nn.Conv1d to Conv3d, be the only one
    and be used once; nn.Identity in between is skipped. Zero padding is exact too: the input is then padded with the
    value that scales to 0. Everything is computed in float64 and rounded once. Names of parameters and modules stay,
    and so do the parameter objects; a bias is added if there was none and one is needed. With `example`, an input (or a
    tuple of inputs), both models are run on it in eval mode and compared.

    Raises FoldError (one line), with the model unchanged, if it cannot be folded exactly.
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
    raise FoldError(f"{link}: the scaled columns, {tuple(layer.sizes)}, are not the {features} inputs")


def _is_last(layer: Scaling) -> bool:
    """Whether axis 1 is the last one, as in (N, d)."""
    return layer.dims == [1] and layer.rank in (0, 2)


def _over_channels(link: Link, numbers: Tensor) -> Tensor:
    layer, channels = link.scaling, link.layer.in_channels
    if link.flattened:
        raise FoldError(f"{link}: a flatten in front of a convolution is not supported")
    if not layer.dims:
        return numbers.repeat(channels)
    if layer.sizes == [channels] and layer.dims in ([1], [-1 - CONVOLUTIONS[type(link.layer)]]):
        return numbers
    raise FoldError(f"{link}: a convolution needs one scale per channel, not {tuple(layer.sizes)}")


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
    """Broadcastable to the shape of the weight (out, in / groups, ...)."""
    groups = getattr(layer, "groups", 1)
    rows = numbers.to(layer.weight.device).view(groups, -1).repeat_interleave(len(layer.weight) // groups, 0)
    return rows.view(*rows.shape, *[1] * (layer.weight.dim() - 2))


def _stand_in(layer: Any, numbers: Numbers) -> nn.Module:
    """The module that replaces the scaling layer; turns off a convolution's zero padding if it pads itself."""
    if not pads_zeros(layer) or not numbers.center.any():
        return nn.Identity()
    pad = list(layer._reversed_padding_repeated_twice)
    layer.padding = (0,) * (len(pad) // 2)
    layer._reversed_padding_repeated_twice = [0] * len(pad)
    return ChannelPad(pad, numbers.center.to(layer.weight))


def pads_zeros(layer: Any) -> bool:
    """Whether the layer pads with zeros (other padding modes repeat values of the input)."""
    return getattr(layer, "padding_mode", "") == "zeros" and any(layer._reversed_padding_repeated_twice)


def _compare(model: nn.Module, folded: nn.Module, example: Any) -> None:
    inputs = example if isinstance(example, tuple) else (example,)
    with torch.no_grad():
        before, after = (copy.deepcopy(m).eval()(*inputs) for m in (model, folded))
    if not isinstance(before, Tensor):
        raise FoldError("`example` can be compared only if the model returns one tensor")
    worst = float((before - after).abs().max())
    if not worst <= FAR * float(before.abs().max()):
        raise FoldError(f"on `example` the folded model differs by {worst:.3g}; nothing was folded")
