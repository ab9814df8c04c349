"""All measurements of one run of the rice study."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from unstuck.report.html.figures import Spread
from unstuck.tabular.studies.rice.start import Start, look
from unstuck.tabular.studies.rice.table import PLAIN, Rice, split
from unstuck.tabular.studies.rice.training import Course, Trained, Variant
from unstuck.tabular.studies.saturation import Edges, edges

RAW = Variant("raw", "probabilities")
RAW_LOGITS = Variant("raw", "logits")
MAXABS, MAXABS_LOGITS = Variant("max-abs", "probabilities"), Variant("max-abs", "logits")
ZSCORE, ZSCORE_LOGITS = Variant("z-score", "probabilities"), Variant("z-score", "logits")
STARTS = 10
"""Seeds for the initial state: rows times seeds, not seeds, give the precision."""


@dataclass(frozen=True)
class Run:
    """The table, the trained lanes, and quantities derived from both."""

    rice: Rice
    trained: Trained
    stretched: Trained
    seeds: int
    epochs: int

    def courses(self, variant: Variant) -> list[Course]:
        """A variant's courses, one per seed."""
        return (self.trained if variant in self.trained.courses else self.stretched).courses[variant]

    def accuracy(self, variant: Variant) -> Spread:
        """Final test accuracy in percent, per seed."""
        return Spread(tuple(100 * c.test_right for c in self.courses(variant)), digits=4)

    def val_loss(self, variant: Variant, seed: int | None = None) -> float:
        """The mean validation loss per batch, over the epochs (and seeds)."""
        chosen = self.courses(variant) if seed is None else [self.courses(variant)[seed]]
        losses = torch.tensor([c.val_loss for c in chosen])
        return float(losses.mean()) / -(-len(self.split(0).val) // 8)

    def split(self, seed: int):
        """The split used in training with this seed."""
        return split(len(self.rice.y), torch.Generator().manual_seed(seed))

    @cached_property
    def edges(self) -> Edges:
        """The limits of float32."""
        return edges()

    @cached_property
    def starts(self) -> dict[str, Start]:
        """The initial state of each form of the inputs."""
        return {form: look(self.rice, form, min(STARTS, self.seeds)) for form in PLAIN}

    @cached_property
    def larger_class(self) -> float:
        """Share of the larger class in percent: the accuracy of a constant prediction."""
        ones = float(self.rice.y.mean())
        return 100 * max(ones, 1 - ones)
