"""Scaling as a layer: its statistics are saved and exported with the weights. Needs torch.

    scale = Standardize(10).fit(training_rows)
    model = torch.nn.Sequential(scale, torch.nn.Linear(10, 25), ...)

Measured before training: Standardize, MaxAbs, RobustScale. Measured during training: RunningStandardize. `fold` folds
a layer into the weights that follow; `save` and `load` store layers without their network.
"""

from __future__ import annotations

from unstuck.nn.files import LoadError, load, save
from unstuck.nn.folding import FoldError, fold
from unstuck.nn.measured import MaxAbs, Standardize
from unstuck.nn.padding import ChannelPad
from unstuck.nn.robust import RobustScale
from unstuck.nn.running import RunningStandardize
from unstuck.nn.scaling import Scaling

__all__ = [
    "ChannelPad",
    "FoldError",
    "LoadError",
    "MaxAbs",
    "RobustScale",
    "RunningStandardize",
    "Scaling",
    "Standardize",
    "fold",
    "load",
    "save",
]
