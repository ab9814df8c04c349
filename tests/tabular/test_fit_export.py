"""A fitted model as an `nn.Module` and as an ONNX file: both predict what the model predicts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from unstuck import Classifier, Regressor
from unstuck.cli import main
from unstuck.tabular.fit.calendar import parts
from unstuck.tabular.fit.export.columns import Calendar
from unstuck.tabular.fit.persistence import load, save
from unstuck.tabular.fit.refusal import CannotFit

Array = np.ndarray
CLOSE = 1e-5


def table(rows: int, seed: int = 0) -> tuple[pd.DataFrame, Array]:
    """Numbers far from unit scale, dates, categories of few and of many words, gaps; a target that jumps."""
    rng = np.random.default_rng(seed)
    found = pd.DataFrame(
        {
            "mass": rng.normal(5e6, 1e6, rows), "wait": rng.exponential(size=rows), "rooms": rng.integers(0, 5, rows),
            "kind": rng.choice(list("abcdef"), rows), "sold": pd.Timestamp("2020-01-01") + _days(rng, rows),
            "town": rng.choice([f"town {i}" for i in range(40)], rows), "new": rng.random(rows) < 0.5,
        }
    )  # fmt: skip
    y = 3.0 * (found.wait > 0.7) * (found.rooms > 2) + 2 * (found.kind == "c") + found.sold.dt.month / 6
    y += 0.1 * rng.normal(size=rows)
    found.loc[rng.random(rows) < 0.1, "mass"] = np.nan
    found.loc[rng.random(rows) < 0.1, "kind"] = None
    return found, y.to_numpy()


def _days(rng: Any, rows: int) -> Any:
    return pd.to_timedelta(rng.uniform(0, 900, rows), "D")


def strange(rows: int = 60) -> pd.DataFrame:
    """Rows as in `table`, and values that training did not see."""
    found, _ = table(rows, seed=1)
    found.loc[:4, "town"] = "elsewhere"
    found.loc[5:9, "mass"] = [np.inf, -np.inf, 1e15, -1e15, np.nan]
    found.loc[10:12, "sold"] = [pd.NaT, pd.Timestamp("1900-02-28"), pd.Timestamp("2100-03-01")]
    return found


def told(model: Any, X: Any) -> Array:
    """What the model predicts, (n, k)."""
    found = model.predict(X) if isinstance(model, Regressor) else model.predict_proba(X)
    return found.reshape(len(X), -1)


def by_module(model: Any, X: Any) -> Array:
    whole = model.to_module()
    with torch.no_grad():
        return whole(*whole.tensors(X)).numpy()


def by_onnx(file: Path, X: Any, model: Any) -> list[Array]:
    """All outputs of the runtime, from plain columns."""
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    about = json.loads(session.get_modelmeta().custom_metadata_map["columns"])
    feed = {"numbers": model.to_module().tensors(X)[0].numpy()}
    if about["categories"]:
        feed["words"] = X[list(about["categories"])].fillna("").astype(object).to_numpy()
    names = [one.name for one in session.get_inputs()]
    return session.run(None, {name: feed[name] for name in names})


FITS = {
    "regression": lambda y: (Regressor(random_state=0), y),
    "quantile": lambda y: (Regressor(loss="quantile:0.8", random_state=0), y),
    "two classes": lambda y: (Classifier(random_state=0), np.where(y > 2, "dear", "cheap")),
    "three classes": lambda y: (Classifier(random_state=0), np.digitize(y, [1.5, 3])),
}


@pytest.fixture(scope="module")
def fitted() -> Any:
    X, y = table(600)
    return Classifier(random_state=0).fit(X, np.where(y > 2, "dear", "cheap"))


def test_the_module_predicts_what_the_model_predicts(fitted: Any) -> None:
    assert any(stage.trees is not None for stage in fitted.model_.stages)
    assert np.abs(by_module(fitted, strange()) - told(fitted, strange())).max() < CLOSE


@pytest.mark.net
@pytest.mark.parametrize("sort", FITS)
def test_the_module_of_every_task(sort: str) -> None:
    X, y = table(600)
    model, target = FITS[sort](y)
    model.fit(X, target)
    assert any(stage.trees is not None for stage in model.model_.stages)
    assert np.abs(by_module(model, strange()) - told(model, strange())).max() < CLOSE * np.std(y)


@pytest.mark.parametrize("how", [{"activation": "silu"}, {"activation": "tanh", "hidden": (8, 4)}, {}])
@pytest.mark.parametrize("views", [("smooth", "normal"), ("smooth", "steps")])
def test_every_activation_and_view(how: dict[str, Any], views: tuple[str, ...], monkeypatch: Any) -> None:
    from unstuck.tabular.fit import options

    rng = np.random.default_rng(0)
    x = np.round(rng.standard_t(3, (150, 3)), 1)
    x[rng.random(x.shape) < 0.1] = np.nan
    made = options.Options
    monkeypatch.setattr(options, "Options", lambda **own: made(**own, views=views))
    model = Regressor(epochs=10, random_state=0, **how).fit(x, np.nan_to_num(x) @ [[1.0, 5], [2.0, 6], [3.0, 7]])
    assert {stage.shape.views for stage in model.model_.stages} >= {views}
    new = np.concatenate([x * 3, np.full((1, 3), np.nan)])
    assert np.abs(by_module(model, new) - told(model, new)).max() < CLOSE * 20


@pytest.mark.net
def test_onnx_predicts_what_the_model_predicts(fitted: Any, tmp_path: Path) -> None:
    fitted.to_onnx(tmp_path / "m.onnx")
    label, p = by_onnx(tmp_path / "m.onnx", strange(), fitted)
    assert (label == fitted.predict(strange())).all()
    assert np.abs(p - told(fitted, strange())).max() < CLOSE
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.net
@pytest.mark.parametrize("sort", FITS)
@pytest.mark.parametrize("rows", [60, 600])
def test_onnx_of_every_task(sort: str, rows: int, tmp_path: Path) -> None:
    X, y = table(rows)
    model, target = FITS[sort](y)
    model.fit(X, target).to_onnx(tmp_path / "m.onnx")
    out = by_onnx(tmp_path / "m.onnx", strange(), model)
    assert np.abs(out[-1] - told(model, strange())).max() < CLOSE * np.std(y)


@pytest.mark.net
@pytest.mark.parametrize("columns", [["mass", "wait"], ["kind", "town"], ["kind"]])
def test_onnx_of_numbers_alone_and_of_words_alone(columns: list[str], tmp_path: Path) -> None:
    X, y = table(200)
    model = Regressor(random_state=0, epochs=5).fit(X[columns], y)
    model.to_onnx(tmp_path / "m.onnx")
    (out,) = by_onnx(tmp_path / "m.onnx", strange()[columns], model)
    assert np.abs(out - told(model, strange()[columns])).max() < CLOSE * np.std(y)


@pytest.mark.net
def test_onnx_of_long_tails_and_of_many_labels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_t(1.5, (400, 2))
    model = Regressor(random_state=0).fit(x, x[:, 0] * 2 + rng.normal(size=400))
    assert any(stage.linear for stage in model.model_.stages)
    model.to_onnx(tmp_path / "a.onnx")
    assert np.allclose(by_onnx(tmp_path / "a.onnx", x, model)[0], told(model, x), rtol=CLOSE, atol=CLOSE)
    labels = Classifier(random_state=0, epochs=5).fit(x, np.c_[x > 0, x[:, :1] > 1].astype(int))
    labels.to_onnx(tmp_path / "b.onnx")
    (p,) = by_onnx(tmp_path / "b.onnx", x, labels)
    assert np.abs(p - told(labels, x)).max() < CLOSE


class Own(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


class Odd(Own):
    """Its path depends on values, which a graph cannot express."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x) if float(x.sum()) > 0 else -self.net(-x)


def test_a_module_of_ones_own() -> None:
    X, y = table(150)
    model = Classifier(module=Own, epochs=3, random_state=0).fit(X, np.digitize(y, [1, 2]))
    assert np.abs(by_module(model, strange()) - told(model, strange())).max() < CLOSE


@pytest.mark.net
def test_onnx_of_a_module_of_ones_own(tmp_path: Path) -> None:
    X, y = table(150)
    good, odd = (Regressor(module=net, epochs=2, random_state=0).fit(X, y) for net in (Own, Odd))
    good.to_onnx(tmp_path / "m.onnx")
    (out,) = by_onnx(tmp_path / "m.onnx", strange(), good)
    assert np.abs(out - told(good, strange())).max() < CLOSE * np.std(y)
    with pytest.raises(CannotFit, match=r"the module of this model cannot be exported to ONNX: \S"):
        odd.to_onnx(tmp_path / "odd.onnx")
    assert not (tmp_path / "odd.onnx").exists()


def test_parts_of_dates_are_those_of_numpy() -> None:
    days = np.concatenate([np.arange(-700_100, 2_900_100, 997.3), [np.nan, np.inf, 0.5, 59, 60, 18_321, 18_322]])
    found = Calendar((True,))(torch.from_numpy(days)[:, None]).numpy()
    assert np.abs(found[:, 1:] - parts(days)).max() < 1e-8


def test_the_module_names_what_it_takes(fitted: Any) -> None:
    whole = fitted.to_module()
    assert whole.contents.numbers == ("mass", "wait", "rooms", "sold", "new")
    assert [one.name for one in whole.contents.categories] == ["kind", "town"]
    assert sorted(whole.contents.categories[0].words) == list("abcdef")
    assert whole.contents.labels == ("cheap", "dear")
    assert whole.contents.categories[0].codes([None, "nothing of the kind"]).tolist() == [-1, 6]
    assert not any(value.dtype == torch.float32 for value in whole.state_dict().values())


@pytest.mark.net
def test_the_command_exports_the_model_of_a_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    X, y = table(80)
    X.assign(price=y).to_csv(tmp_path / "t.csv", index=False)
    data, saved, file = (str(tmp_path / name) for name in ("t.csv", "m.model", "m.onnx"))
    assert main(["fit", data, "--target", "price", "--model", saved, "--epochs", "3", "--quiet"]) == 0
    capfd.readouterr()
    assert main(["export", saved, "--onnx", file]) == 0
    assert capfd.readouterr().err == f"unstuck: {file}: inputs numbers (rows, 5) and words (rows, 2)\n"
    model = load(saved)
    (out,) = by_onnx(Path(file), X, model)
    assert np.abs(out - told(model, X)).max() < CLOSE * np.std(y)


def test_files_that_cannot_be_exported_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    X, y = table(60)
    save(Regressor(module=Own, epochs=1).fit(X, y), tmp_path / "own")
    (tmp_path / "text").write_text("no model")
    for name, why in (("own", "holds a module of its owner"), ("text", "is not an unstuck model")):
        assert main(["export", str(tmp_path / name), "--onnx", str(tmp_path / "m.onnx")]) == 2
        line = capsys.readouterr().err
        assert why in line and line.count("\n") == 1
