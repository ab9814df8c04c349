"""In which mode the modules that own a step's weights are, at each backward: kept where it changes."""

from __future__ import annotations

from torch import Tensor, nn

from unstuck.recording.parameter_names import Names
from unstuck.tape.model import Mode


class Modes:
    """Reads `module.training`; whoever wrote the module, and whether or not the text shows who set it."""

    def __init__(self, names: Names) -> None:
        self.changes: list[Mode] = []
        self._names = names
        self._modules: dict[int, list[nn.Module]] = {}
        self._last: dict[int, Mode] = {}

    def look(self, program: int, weights: list[Tensor], passes: int) -> None:
        """A backward through a program is about to begin."""
        if program not in self._modules:
            owners = (self._names.modules_of(weight) for weight in weights)
            self._modules[program] = list({id(m): m for m in owners if m is not None}.values())
        modules = self._modules[program]
        training = sum(module.training for module in modules)
        last = self._last.get(program)
        if modules and (last is None or last.training != training):
            self._last[program] = Mode(passes, program, training, len(modules))
            self.changes.append(self._last[program])
