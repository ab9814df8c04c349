"""The training loop as the text shows it: what rules ask of it."""

from unstuck.source.loops import Training, tail
from unstuck.source.names import argument_for

__all__ = ["Training", "argument_for", "tail"]
