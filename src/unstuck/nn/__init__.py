"""Scaling as a layer: its statistics travel with the weights, through checkpoints and exports. Needs torch.

    scale = Standardize(10).fit(training_rows)
    model = torch.nn.Sequential(scale, torch.nn.Linear(10, 25), ...)

Measured beforehand: Standardize, MaxAbs, RobustScale. Measured while training: RunningStandardize. `fold` writes a
layer into the weights behind it; `save` and `load` keep layers without their network.
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
