"""The page on unstuck.nn says what is so: its code runs, and its claims that no other test holds are held here."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from unstuck.nn import MaxAbs, Standardize, fold, load, save

PAGE = Path(__file__).resolve().parents[2] / "docs" / "nn.md"


def test_page_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 5
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)


def test_max_abs_keeps_zeros_and_signs() -> None:
    x = torch.tensor([[0.0, -4.0, 0.0], [2.0, -4.0, 0.0]])
    assert MaxAbs(3).fit(x)(x).tolist() == [[0, -1, 0], [1, -1, 0]]


def test_folded_model_needs_floating_point() -> None:
    x = torch.randint(0, 9, (5, 2))
    model = nn.Sequential(Standardize(2).fit(x), nn.Linear(2, 1))
    model(x)
    with pytest.raises(RuntimeError, match="dtype"):
        fold(model)(x)


def test_gradients_of_folded_weights_are_those_of_the_unscaled_problem() -> None:
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0)) + torch.tensor([1000.0, 0.0])
    model = nn.Sequential(Standardize(2).fit(x), nn.Linear(2, 1))
    folded = fold(model)
    for net in (model, folded):
        net(x).sum().backward()
    assert float(folded[1].weight.grad.abs().max()) > 100 * float(model[1].weight.grad.abs().max())


def test_loaded_layer_refits_from_scratch(tmp_path: Path) -> None:
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    save(tmp_path / "x", {"a": Standardize(2).fit(x)})
    layer = load(tmp_path / "x")["a"]
    assert not layer.moments.count.any()
    torch.testing.assert_close(layer.fit(x + 5).mean, x.mean(0) + 5)


def test_source_may_reuse_its_array() -> None:
    x = np.random.default_rng(0).standard_normal((40, 2))
    buffer = np.empty((4, 2))

    def source():
        for start in range(0, 40, 4):
            buffer[:] = x[start : start + 4]
            yield buffer

    torch.testing.assert_close(Standardize(2).fit(source()).mean, Standardize(2).fit(x).mean)
