"""Standardise with statistics measured during training, then frozen."""

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor

from unstuck.nn.scaling import Scaling


class RunningStandardize(Scaling):
    """Standardises by the mean and standard deviation of everything seen in training, including the current batch.

    It freezes after `batches` training batches, or as soon as the estimate is stable: over the latest doubling of
    batches no column's mean moved by `tolerance` standard deviations, no standard deviation changed by that share, and
    1 / tolerance^2 rows were seen. The buffer `frozen` records it; from then on, and always in eval mode, its state
    does not change. Before the first training batch, inputs pass unchanged. Unlike BatchNorm, it scales alike in train
    and eval mode, and once frozen no row's output depends on the other rows of the batch.
    """

    count: Tensor
    spread: Tensor
    past_mean: Tensor
    past_spread: Tensor
    batches: Tensor
    frozen: Tensor
    done: bool

    def __init__(
        self,
        shape: int | Sequence[int],
        dims: int | Sequence[int] | None = None,
        *,
        batches: int = 1000,
        tolerance: float = 0.02,
        **options: Any,
    ) -> None:
        super().__init__(shape, dims, **options)
        if batches < 1 or not 0 <= tolerance < 1:
            raise ValueError("batches must be at least 1 and tolerance in [0, 1)")
        self.limit = int(batches)
        self.tolerance = float(tolerance)
        self.enough = 1 / max(self.tolerance, 1e-6) ** 2
        self.fitted = True
        self.done = False
        self.center.zero_()
        self.scale.fill_(1)
        self.register_buffer("count", torch.zeros_like(self.center, dtype=torch.int64))
        for name in ("spread", "past_mean", "past_spread"):
            self.register_buffer(name, torch.zeros_like(self.center))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64, device=self.center.device))
        self.register_buffer("frozen", torch.zeros((), dtype=torch.bool, device=self.center.device))

    def forward(self, x: Tensor) -> Tensor:
        """x as in `Scaling`; in train mode it is measured first, until frozen."""
        self._check(x)
        if self.training and not self._is_done():
            center, scale = self._learn(x.detach())
            return self._scaled(x, center, scale)
        return self._scaled(x, self.center, self.scale)

    def _is_done(self) -> bool:
        """Whether it is frozen, without synchronising with a GPU: there it is read at each call of `train`."""
        if torch.jit.is_scripting() or torch.compiler.is_compiling():  # pyright: ignore[reportPrivateImportUsage]
            return self.done
        if not self.done and self.frozen.is_cpu:
            self.done = bool(self.frozen)
        return self.done

    def train(self, mode: bool = True) -> Self:
        self.done = not self.frozen.is_meta and bool(self.frozen)
        return super().train(mode)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self.done = not self.frozen.is_meta and bool(self.frozen)

    def _learn(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The estimate including this batch. No branch on `frozen`, which would synchronise with the GPU."""
        with torch.no_grad():
            number, mean, spread = _measured(self._columns(x), self.center)
            count = self.count + number.view(self.count.shape)
            share = number.view(count.shape).to(mean) / count.clamp(min=1).to(mean)
            apart = mean.view(count.shape) - self.center
            within = torch.hypot(self.spread * (1 - share).sqrt(), spread.view(count.shape) * share.sqrt())
            mean = self.center + apart * share
            spread = torch.hypot(within, apart * (share * (1 - share)).sqrt())
            held = self.frozen
            scale = torch.where(held, self.scale, _inverse(spread, mean))
            mean = torch.where(held, self.center, mean)
            self._keep(torch.where(held, self.count, count), mean, torch.where(held, self.spread, spread), scale)
            return mean, scale

    def _columns(self, x: Tensor) -> Tensor:
        """The input's values as (n, columns)."""
        return torch.movedim(x, self.dims, self.last).reshape(-1, self.center.numel())

    def _keep(self, count: Tensor, mean: Tensor, spread: Tensor, scale: Tensor) -> None:
        held = self.frozen.clone()
        batches = torch.where(held, self.batches, self.batches + 1)
        doubled = (batches & (batches - 1)) == 0
        moved = torch.maximum((mean - self.past_mean).abs(), (spread - self.past_spread).abs())
        stable = ((moved <= self.tolerance * spread) & (count >= self.enough)).all() & doubled & (self.tolerance > 0)
        self.past_mean.copy_(torch.where(doubled & ~held, mean, self.past_mean))
        self.past_spread.copy_(torch.where(doubled & ~held, spread, self.past_spread))
        self.count.copy_(count)
        self.center.copy_(mean)
        self.spread.copy_(spread)
        self.scale.copy_(scale)
        self.batches.copy_(batches)
        self.frozen.copy_(held | stable | (batches >= self.limit))

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "batches": self.limit, "tolerance": self.tolerance}


def _measured(x: Tensor, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Number, mean and spread of the finite values of x: (n, columns), relative to the largest: exact for constants."""
    finite = torch.isfinite(x)
    x = x.to(torch.promote_types(x.dtype, like.dtype))
    number = finite.sum(0)
    anchor = torch.where(finite, x, float("-inf")).amax(0) if x.shape[0] > 0 else x.sum(0)
    anchor = torch.where(number > 0, anchor, 0.0)
    divide = number.clamp(min=1).to(x.dtype)
    apart = torch.where(finite, x - anchor, 0.0)
    mean = apart.sum(0) / divide
    apart = torch.where(finite, apart - mean, 0.0)
    unit = apart.abs().amax(0).clamp(min=1e-37) if x.shape[0] > 0 else torch.ones_like(mean)
    spread = unit * ((apart / unit).square().sum(0) / divide).sqrt()
    return number, (anchor + mean).to(like.dtype), spread.to(like.dtype)


def _inverse(spread: Tensor, mean: Tensor) -> Tensor:
    """1 / spread, or 0 if the spread is within the rounding errors of such numbers."""
    eps = 1.2e-7 if spread.dtype == torch.float32 else 2.3e-16
    constant = spread <= 4 * eps * mean.abs()
    return torch.where(constant, 0.0, 1 / torch.where(constant, 1.0, spread).clamp(min=1e-37))
