"""Actions that are drawn a second time for their log-probability."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.micro import drawn_again
from unstuck.micro.step import Recorded

SCRIPT = """
import torch
from torch import nn
from torch.distributions import Bernoulli, Categorical, Normal

torch.manual_seed(0)
@torch.no_grad()
def entropy(d):
    print(d.log_prob(d.sample()))


policy = nn.Linear(4, 3)
optimizer = torch.optim.Adam(policy.parameters(), lr=0.01)
for episode in range(6):
    logs, rewards = [], []
    for step in range(10):
        out = policy(torch.randn(4))
        {act}
        rewards.append({reward})
        logs.append({log})
    loss = -(torch.stack(logs) * torch.tensor(rewards)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
ITEM = "float(action.item() == 1)"
CATEGORICAL = "d = Categorical(logits=out); action = d.sample()"
BY_HAND = "action = torch.multinomial(out.softmax(0), 1)"
NORMAL = "d = Normal(out, 1.0); action = d.sample()"
PICKED = "out.log_softmax(0).gather(0, {}).squeeze()"
AGAIN = {
    "a distribution": (CATEGORICAL, ITEM, "d.log_prob(d.sample())"),
    "by hand": (BY_HAND, ITEM, PICKED.format("torch.multinomial(out.softmax(0), 1)")),
    "a continuous action": (NORMAL, "float(action.numpy()[0])", "d.log_prob(d.sample()).sum()"),
}
ONCE = {
    "a distribution": (CATEGORICAL, ITEM, "d.log_prob(action)"),
    "by hand": (BY_HAND, ITEM, PICKED.format("action")),
    "a continuous action": (NORMAL, "float(action.numpy()[0])", "d.log_prob(action).sum()"),
    "a second draw that is looked at": (CATEGORICAL, ITEM, "(b := d.sample(), d.log_prob(b) * (b + 1.0))[1]"),
    "noise of no network": (CATEGORICAL, ITEM, "d.log_prob(action) + Normal(0.0, torch.ones(1)).sample().sum()"),
    "a row that is picked": (CATEGORICAL, ITEM, "d.log_prob(action) + out[torch.multinomial(out.softmax(0), 1)].sum()"),
    "an entropy that is printed": (CATEGORICAL, ITEM, "(d.log_prob(action), entropy(d))[0]"),
    "draws that nothing acts on": (CATEGORICAL, "1.0", "d.log_prob(action)"),
}


@pytest.mark.parametrize("case", AGAIN)
def test_a_second_draw_for_the_log_probability_is_told(case: str, record: Record) -> None:
    act, reward, log = AGAIN[case]
    (told,) = drawn_again.ask(Recorded(record(SCRIPT.format(act=act, reward=reward, log=log)))).statements
    assert told.site is not None and told.site.line == 20
    assert "line 18" in told.what


@pytest.mark.parametrize("case", ONCE)
def test_a_draw_that_is_acted_on_is_healthy(case: str, record: Record) -> None:
    act, reward, log = ONCE[case]
    assert drawn_again.ask(Recorded(record(SCRIPT.format(act=act, reward=reward, log=log)))).statements == ()
