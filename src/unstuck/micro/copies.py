"""What is known of a target that stands in the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from unstuck.diagnosis.model import Site, Statement

FAULT = "answer-in-input"
WHOLE = 0.9
"""Share of followed inputs from which on no more needs to be said."""
Form = Literal["same", "later", "column"]


@dataclass(frozen=True)
class Copied:
    """Where the target stands in the input."""

    form: Form
    slot: int
    share: float
    """Of the counted positions (or of the rows), those at which they agree."""
    shift: int = 0
    """By how many positions the input is further on."""
    column: int = -1
    follows: float | None = None
    """Share of exchanged inputs that the trained network's answer became; None where it could not be asked."""
    leans: float | None = None
    """Share of exchanged inputs that the trained network's answer moved towards; of what it does not copy, a half."""
    future: bool = False
    """Outputs depend on later positions of the input."""
    memory: bool = False
    """Outputs depend on earlier positions of the input."""
    at: Site | None = None
    """The call in which an output first sees later positions, else the loss."""
    held_out: float | None = None
    """Skill in the script's own last evaluation, or its share of right answers; None where it makes none."""

    @property
    def solved(self) -> bool:
        """A copy solves the task, and nothing else is asked for: the output depends on what it is to answer. A network
        that sees all of its input and is asked for it is an autoencoder, and so is one that sees one position only."""
        return self.form != "same" or (self.memory and not self.future)

    @property
    def what(self) -> str:
        """The fact, as a clause."""
        match self.form:
            case "column":
                return f"the target is column {self.column} of the input in {self.share:.0%} of the rows"
            case "same":
                return f"the target of each position is the input at that position ({self.share:.0%} of them)"
        further = "the next position" if self.shift == 1 else f"{self.shift} positions on"
        return f"the target is the input at {further} ({self.share:.0%} of them), and the output depends on it"

    @property
    def why(self) -> str:
        """The fact and whether the network copies."""
        if self.follows is None:
            return self.what
        leans = f" and leans to it in {self.leans:.0%}" if self.leans is not None and self.follows < WHOLE else ""
        asked = "exchange the input there, and the trained network's answer"
        return f"{self.what}; {asked} becomes what was put there in {self.follows:.0%} of the rows{leans}"

    @property
    def numbers(self) -> dict[str, float]:
        """The shift, the share that agrees, and that which follows."""
        known = {"follows": self.follows, "leans": self.leans, "held_out": self.held_out}
        return {"shift": self.shift, "share": self.share, **{k: v for k, v in known.items() if v is not None}}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """That a copy solves the task."""
        return (Statement(self.why, self.at, "copied", self.numbers, FAULT),) if self.solved else ()
