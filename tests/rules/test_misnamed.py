"""A constructor that Python never calls: the model has no layers, and torch refuses an empty list of parameters."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.whole import diagnosed, run

SCRIPT = """
import torch
from torch import nn


class Net(nn.Module):
    def {name}(self):
        super(Net, self).{name}()
        self.layer = nn.Linear(4, 2)

    def forward(self, x):
        return self.layer(x)


torch.manual_seed(0)
x = torch.randn(200, 4)
y = (x[:, 0] > 0).long()
model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
for step in range(40):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
print(loss.item())
"""


@pytest.mark.net
@pytest.mark.parametrize("name", ["___init___", "_init_", "__init_", "__inti__"])
def test_a_constructor_under_another_name_is_named_and_renamed(name: str, tmp_path: Path) -> None:
    whole = diagnosed(SCRIPT.format(name=name), tmp_path / "script")
    (finding,) = whole.loud("optimizer-params")
    assert f"Net.{name}" in finding.message
    assert finding.site is not None
    assert f"def {name}" in SCRIPT.format(name=name).splitlines()[finding.site.line - 1]
    assert whole.loud("unregistered-params") == []
    assert float(run(whole.patched()).stdout) < 0.2
