"""Whether actions are drawn a second time for their log-probability.

## What it asks

Does a line draw from the network's distributions what nothing acts on, though another line draws what is acted on?

## How

Every draw of the first steps is followed. It is acted on where its numbers leave for Python or another call reads
them; one that is only read in `log_prob`, or only picks a value with a gradient, decides nothing.

## What it costs

Nothing is run.

## What is healthy

An action is drawn once, and the log-probability is that of the action which was taken. Drawn again, the loss raises
and lowers the probability of actions that nobody took.
"""

from __future__ import annotations

from dataclasses import dataclass

from unstuck.diagnosis.model import Statement
from unstuck.micro.step import Recorded
from unstuck.tape.found_lines import DrawnAgain as Line

COST = 0


@dataclass(frozen=True)
class DrawnAgain:
    """The lines that draw again."""

    lines: tuple[Line, ...]

    @property
    def why(self) -> str:
        """Each line."""
        return "; ".join(map(_said, self.lines)) or "what the network's distributions draw is acted on, or none is"

    @property
    def numbers(self) -> dict[str, float]:
        """The count."""
        return {"lines": float(len(self.lines))}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """Each line."""
        return tuple(Statement(_said(n), n.site, "drawn-again", {"times": n.times}) for n in self.lines)


def ask(recorded: Recorded) -> DrawnAgain:
    """Read what the recording found."""
    return DrawnAgain(recorded.tape.facts.drawn_again)


def _said(line: Line) -> str:
    at = line.acting
    place = f"line {at.line}" if at.file == line.site.file else f"{at.file}:{at.line}"
    return (
        f"the values that are drawn here ({line.times} times) only meet their own log-probability: what is acted on is "
        f"drawn at {place}, and the loss changes the probability of other values"
    )


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
policy = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 3))
optimizer = torch.optim.Adam(policy.parameters(), lr=0.01)
for episode in range(20):
    states, actions, rewards = [], [], []
    for step in range(30):
        state = torch.randn(4)
        with torch.no_grad():
            action = torch.distributions.Categorical(logits=policy(state)).sample()
        rewards.append(1.0 if action.item() == int(state[:3].argmax()) else 0.0)
        states.append(state)
        actions.append(action)
    found = torch.distributions.Categorical(logits=policy(torch.stack(states)))
    score = torch.tensor(rewards) - sum(rewards) / 30
    loss = -(found.log_prob({actions}) * score).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(episode, sum(rewards))
"""

FIRES = _SCRIPT.format(actions="found.sample()")
QUIET = _SCRIPT.format(actions="torch.stack(actions)")
