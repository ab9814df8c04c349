"""A fitted model as one `nn.Module`: columns prepared, stages blended, calibrated and decoded. Needs torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unstuck.tabular.fit.arrays import Schema, arranged, frame_of, is_table, plain
from unstuck.tabular.fit.calibration import Calibration
from unstuck.tabular.fit.encoder import Encoder
from unstuck.tabular.fit.export.columns import Calendar, Categories, Numbers
from unstuck.tabular.fit.export.contents import Contents, contents
from unstuck.tabular.fit.export.stages import Forest, Lanes
from unstuck.tabular.fit.loss import Loss, Softmax, Squares
from unstuck.tabular.fit.model import Model
from unstuck.tabular.fit.task import Classes, Task
from unstuck.tabular.fit.task import Numbers as Numeric


class Encoded(nn.Module):
    """Numbers and codes to the inputs of stages, in their views."""

    def __init__(self, encoder: Encoder, about: Contents) -> None:
        super().__init__()
        self.calendar, self.numbers = Calendar(about.dates), Numbers(encoder.numeric)
        self.categories = Categories(encoder, about)

    def forward(self, numbers: Tensor | None, codes: Tensor | None, views: list[tuple[str, ...]]) -> list[Tensor]:
        """For each of the views (n, inputs); at least one input, as in `Encoder.encode`."""
        standard = self.numbers.standard(self.calendar(numbers)) if numbers is not None else None
        words = self.categories(codes) if codes is not None else []
        like = numbers if numbers is not None else words[0]
        out = []
        for view in views:
            own = self.numbers(standard, view) if standard is not None and len(self.numbers.kept) else []
            out.append(torch.cat([*own, *words], 1) if own or words else torch.zeros_like(like[:, :1]))
        return out


class Blend(nn.Module):
    """Stages by their weights, calibrated and bounded: what `Model.answers` does before decoding."""

    bounds: Tensor

    def __init__(self, model: Model) -> None:
        super().__init__()
        loss = model.task.loss
        self.loss, self.calibration = loss, model.calibration
        self.shares = [stage.weight for stage in model.stages]
        self.views = [stage.shape.views for stage in model.stages]
        self.stages = nn.ModuleList(
            Forest(stage.trees, loss) if stage.trees is not None else Lanes(stage, model.encoder.width(views), loss)
            for stage, views in zip(model.stages, self.views, strict=True)
        )
        bounds = model.bounds if model.bounds is not None else np.zeros((0, loss.outputs))
        self.register_buffer("bounds", torch.from_numpy(np.array(bounds, np.float64)))

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """From the inputs of every stage to (n, outputs)."""
        every = zip(self.shares, self.stages, inputs, strict=True)
        mixed = torch.stack([share * stage(x) for share, stage, x in every]).sum(0)
        if len(self.bounds):
            mixed = torch.minimum(torch.maximum(mixed, self.bounds[0]), self.bounds[1])
        return calibrated(mixed, self.calibration, self.loss)


def calibrated(answers: Tensor, calibration: Calibration, loss: Loss) -> Tensor:
    """As `Calibration.apply`."""
    if isinstance(loss, Squares):
        return answers
    p, share = answers ** (1 / calibration.temperature), 1.0 / (calibration.rows + 1.0)
    if isinstance(loss, Softmax):
        return p / p.sum(1, keepdim=True) * (1 - share) + share / loss.outputs
    return p / (p + (1 - answers) ** (1 / calibration.temperature)) * (1 - share) + share * 0.5


class Decoded(nn.Module):
    """As `Task.decode`."""

    mean: Tensor | None
    spread: Tensor

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.classes = len(task.labels) if isinstance(task, Classes) else 0
        numbers = task if isinstance(task, Numeric) else None
        self.register_buffer("mean", numbers and torch.from_numpy(np.array(numbers.mean, np.float64)))
        self.register_buffer("spread", numbers and torch.from_numpy(np.asarray(numbers.sign * numbers.spread)))

    def forward(self, answers: Tensor) -> Tensor:
        """(n, outputs) to (n, labels or numbers)."""
        if self.mean is not None:
            return answers * self.spread + self.mean
        if self.classes == 1:
            return torch.ones_like(answers)
        p = torch.cat([1 - answers, answers], 1) if self.classes == 2 else answers
        return p / p.sum(1, keepdim=True) if self.classes else p


class Whole(nn.Module):
    """The whole model. `contents` names its inputs, the words behind the codes, and the labels.

    All weights and inputs are float64, because columns are rounded to a grid: do not convert it to float32.
    """

    def __init__(self, model: Any, schema: Schema, names: list[str]) -> None:
        super().__init__()
        self.contents = contents(model.encoder, model.task, schema, names)
        self.schema, self.names = schema, names
        self.encoded, self.decoded = Encoded(model.encoder, self.contents), Decoded(model.task)
        self.blend = Blend(model) if isinstance(model, Model) else _own(model)
        self.eval()

    def forward(self, numbers: Tensor | None, codes: Tensor | None = None) -> Tensor:
        """Predictions for n rows, (n, k) float64: probabilities of `contents.labels`, or numbers.

        `numbers`: (n, d) float64, the columns `contents.numbers`, NaN where missing; `codes`: (n, c) int64, a code for
        each of `contents.categories`, -1 where missing. None for the one of which the model has no column.
        """
        numbers = numbers if self.contents.numbers else None
        codes = codes if self.contents.categories else None
        return self.decoded(self.blend(self.encoded(numbers, codes, self.blend.views)))

    def tensors(self, X: Any) -> tuple[Tensor, Tensor]:
        """The inputs of `forward` for X, in any form that the model's `predict` takes. Raises as `predict` does."""
        X = plain(X)
        X = arranged(X, self.names) if is_table(X) and self.names else X
        numbers, codes = self.contents.inputs(frame_of(X, self.schema)[0])
        return torch.from_numpy(numbers), torch.from_numpy(codes)


def _own(model: Any) -> nn.Module:
    from unstuck.tabular.fit.export.own import Own

    return Own(model)
