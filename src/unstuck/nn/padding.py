"""Padding with one value per channel: replaces zero padding when the scaling in front of it is folded away."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ChannelPad(nn.Module):
    """Pads (N, C, ...) or (C, ...) with `value`: (C,); `pad` as in torch.nn.functional.pad, two numbers per axis."""

    pad: list[int]
    value: Tensor

    def __init__(self, pad: Sequence[int], value: Tensor) -> None:
        super().__init__()
        self.pad = [int(p) for p in pad]
        self.register_buffer("value", value.clone())

    def forward(self, x: Tensor) -> Tensor:
        axes = len(self.pad) // 2
        inside = F.pad(torch.ones(x.shape[-axes:], dtype=x.dtype, device=x.device), self.pad)
        value = self.value.to(x.dtype).view([-1] + [1] * axes)
        return F.pad(x, self.pad) + (1 - inside) * value  # adding 0 inside is exact

    def extra_repr(self) -> str:
        return f"{len(self.value)} channels, pad={tuple(self.pad)}"
