"""The training loop as the text shows it: what rules ask of it."""

from unstuck.source.loops import Training, tail

__all__ = ["Training", "tail"]
