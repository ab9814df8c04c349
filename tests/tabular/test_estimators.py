"""The estimators: scikit-learn's contract in full, tables of every kind, and networks that are trained on."""

from __future__ import annotations

import copy
import pickle
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import nn

from unstuck.tabular.fit.estimators import Classifier, Regressor
from unstuck.tabular.fit.persistence import load, save
from unstuck.tabular.fit.store import ModelError

SMALL: dict[str, Any] = {"hidden": 16, "epochs": 30, "lanes": 2, "random_state": 0}
QUICK = SMALL | {"epochs": 3}


def network(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 16), nn.Tanh(), nn.Linear(16, outputs))


class Noisy(nn.Module):
    """Random numbers and running statistics in its forward pass."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(inputs, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, outputs)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def rows(n: int = 80, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """x (n, 3) in odd units, and what its first column says."""
    x = np.random.default_rng(seed).standard_normal((n, 3))
    return x * [1e-3, 1e5, 1] + [92, 0, -1], (x[:, 0] > 0).astype(int)


X, Y = rows()
TRAINED = {name: value for name, value in SMALL.items() if name not in ("hidden", "lanes")}


class Named(nn.Sequential):
    """The same as a class: a function's address would give the checks another name in every process."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(network(inputs, outputs))


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [
        Classifier(hidden=16, epochs=30, lanes=2),
        Regressor(hidden=16, epochs=30, lanes=2),
        Classifier(module=Named, epochs=30, learning_rate=0.03),
        Regressor(module=Named, epochs=30, learning_rate=0.03),
    ]
)
def test_scikit_learn_estimator_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def test_containers_agree() -> None:
    x, y = X.astype(np.float64), Y
    expected = Classifier(**QUICK).fit(x, y).predict_proba(x)
    columns = {name: x[:, j] for j, name in enumerate("abc")}
    for table in (
        x.tolist(), np.asfortranarray(x), x.astype(object), x.astype("U32"), torch.from_numpy(x), sp.csr_array(x),
        sp.coo_matrix(x), pd.DataFrame(columns), pl.DataFrame(columns), pa.table(columns),
    ):  # fmt: skip
        found = Classifier(**QUICK).fit(table, y).predict_proba(table)
        np.testing.assert_array_equal(found, expected, err_msg=str(type(table)))


def test_columns_of_every_type() -> None:
    rng = np.random.default_rng(0)
    n = 60
    word = rng.choice(["red", "green"], n)
    frame = pd.DataFrame(
        {
            "word": pd.Series(word, dtype=object),
            "text": pd.Series(word, dtype="string"),
            "class": pd.Categorical(rng.integers(0, 3, n)),
            "day": pd.Timestamp("2020-02-01") + pd.to_timedelta(rng.integers(0, 99, n), unit="D"),
            "here": pd.Series(rng.integers(0, 9, n), dtype="Int64").mask(rng.random(n) < 0.2),
            "flag": rng.random(n) < 0.5,
        }
    )
    frame.loc[3, "word"] = None
    model = Classifier(**SMALL).fit(frame, word)
    assert model.score(frame, word) == 1.0
    assert list(model.feature_names_in_) == list(frame.columns)
    found = model.predict_proba(frame.astype({"class": object, "text": object}))
    np.testing.assert_array_equal(found, model.predict_proba(frame))
    new = frame.assign(word="never seen", text=None)
    assert np.isfinite(model.predict_proba(new)).all()
    polar = pl.DataFrame({"word": word, "n": rng.random(n)}, schema_overrides={"word": pl.Categorical})
    assert Classifier(**SMALL).fit(polar, word).score(polar, word) == 1.0
    assert Classifier(**SMALL).fit(pa.table(polar), word).score(polar, word) == 1.0


def written_frame(n: int = 80) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    days = pd.Timestamp("2020-01-06") + pd.to_timedelta(rng.integers(0, 700, n), unit="D")
    money = [f"${v:,.2f}" for v in rng.uniform(0, 9000, n)]
    frame = pd.DataFrame({"day": days.strftime("%d/%m/%Y"), "price": money, "word": rng.choice(["a", "b"], n)})
    return frame, np.asarray(days.day_of_week > 3)


def test_dates_and_money_as_text() -> None:
    frame, y = written_frame()
    model = Classifier(**SMALL).fit(frame, y)
    assert model.score(frame, y) > 0.95  # the weekday is an input
    assert any("'price': numbers" in note for note in model.notes_)
    expected = model.predict_proba(frame)
    np.testing.assert_array_equal(model.predict_proba(pl.from_pandas(frame).lazy()), expected)
    one = model.predict_proba(frame.assign(day="03/04/2020"))  # day first, as in training
    np.testing.assert_array_equal(one, model.predict_proba(frame.assign(day=pd.Timestamp("2020-04-03"))))
    with pytest.raises(ValueError, match="row 1, column 'price': 'tall' is not a number"):
        model.predict(frame.assign(price="tall"))


@pytest.mark.parametrize("container", [pd.DataFrame, pl.from_pandas, pa.Table.from_pandas])
def test_other_order_and_more_columns(container: Any) -> None:
    frame, y = written_frame(40)
    model = Classifier(**QUICK).fit(container(frame), y)
    expected = model.predict_proba(container(frame))
    np.testing.assert_array_equal(model.predict_proba(container(frame[["word", "day", "price"]])), expected)
    with pytest.warns(UserWarning, match="are ignored: 'more'"):
        np.testing.assert_array_equal(model.predict_proba(container(frame.assign(more=1))), expected)
    with pytest.raises(ValueError, match="missing input columns: 'day'; did you mean 'days'"):
        model.predict(container(frame.rename(columns={"day": "days"})))


def test_command_and_estimators_share_a_format(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    from unstuck.cli import main

    monkeypatch.chdir(tmp_path)
    frame, y = written_frame()
    frame.to_csv("new.csv", index=False)
    frame.assign(y=y).to_csv("old.csv", index=False)
    model = Classifier(**QUICK).fit(frame, y)
    save(model, "python.model")
    assert main(["predict", "python.model", "new.csv", "-o", "p.csv"]) == 0
    np.testing.assert_allclose(pd.read_csv("p.csv")["p(true)"], model.predict_proba(frame)[:, 1], atol=1e-8)
    assert main(["fit", "old.csv", "--target", "y", "--hidden", "4", "--epochs", "2", "--model", "c.model"]) == 0
    assert main(["predict", "c.model", "new.csv", "-o", "q.csv"]) == 0
    again = load("c.model")
    np.testing.assert_allclose(again.predict_proba(frame)[:, 1], pd.read_csv("q.csv")["p(true)"], atol=1e-8)
    save(Regressor(**QUICK).fit(X, X[:, 0]), "array.model")
    pd.DataFrame(X).to_csv("array.csv", index=False)
    assert main(["predict", "array.model", "array.csv"]) == 0
    assert "taken in their order" in capsys.readouterr().err


def test_numeric_column_stays_numeric() -> None:
    frame = pd.DataFrame({"size": np.arange(20.0), "x": np.arange(20) % 3})
    model = Regressor(**QUICK).fit(frame, np.arange(20))
    with pytest.raises(ValueError, match="column 'size' was numeric in training but contains 'tall'"):
        model.predict(pd.DataFrame({"size": ["1", "tall"], "x": [1, 2]}))
    with pytest.raises(TypeError, match="string or a number"):
        Regressor(**QUICK).fit(np.array([[{}], [1.0]], object), [0, 1])


def test_missing_values_and_constant_columns_are_noted() -> None:
    rng = np.random.default_rng(0)
    x = np.stack([rng.standard_normal(80), np.full(80, 7.0), np.full(80, np.nan)], axis=1)
    y = rng.random(80) < 0.5
    x[y, 0] = np.nan
    x[3, 0] = np.inf
    model = Classifier(**SMALL).fit(x, y)
    assert model.score(x, y) > 0.97
    assert any("2 columns ignored" in note for note in model.notes_)
    assert any("1 column with missing values" in note for note in model.notes_)


def test_several_labels_and_several_numbers() -> None:
    said = np.stack([X[:, 0] > 92, X[:, 1] > 0], axis=1).astype(int)
    model = Classifier(**SMALL).fit(X, said)
    assert model.predict(X).shape == model.predict_proba(X).shape == (80, 2)
    assert (model.predict(X) == said).mean() > 0.9
    numbers = np.stack([X[:, 0] * 1e6, X[:, 1], np.full(80, 5.0)], axis=1)
    regressor = Regressor(**SMALL).fit(X, numbers)
    assert regressor.score(X[:, :], numbers) > 0.9
    np.testing.assert_array_equal(regressor.predict(X)[:, 2], 5.0)
    assert Regressor(**QUICK).fit(X, numbers[:, 0]).predict(X).shape == (80,)


@pytest.mark.parametrize("how", [{"hidden": 16, "lanes": 2}, {"module": Noisy}, {}], ids=["own", "module", "ensemble"])
def test_random_state_is_reproducible(how: dict[str, Any]) -> None:
    first, again, other = (Classifier(epochs=2, random_state=s, **how).fit(X, Y).predict_proba(X) for s in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_random_state_is_unchanged() -> None:
    torch.manual_seed(3)
    np.random.seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    Classifier(module=Noisy, epochs=2, random_state=0).fit(X, Y).predict(X)
    Classifier(**QUICK).fit(X, Y)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])


@pytest.mark.parametrize("how", [{"hidden": 16, "lanes": 2}, {"module": network}], ids=["own", "module"])
def test_warm_start_continues(how: dict[str, Any]) -> None:
    model = Classifier(epochs=4, learning_rate=0.02, warm_start=True, random_state=0, **how).fit(X, Y)
    losses = [model.best_loss_]
    for _ in range(4):
        losses.append(model.fit(X, Y).best_loss_)
    assert losses[-1] < 0.9 * losses[0]
    assert sorted(losses, reverse=True) == losses
    cold = clone(model).set_params(warm_start=False).fit(X, Y)
    assert cold.best_loss_ == losses[0]
    with pytest.raises(ValueError, match="classes"):
        model.fit(X, np.where(Y > 0, 7, 0))


def test_warm_start_keeps_better_weights() -> None:
    model = Regressor(**SMALL, warm_start=True).fit(X, X[:, 0])
    good = model.predict(X)
    np.testing.assert_array_equal(model.set_params(learning_rate=1e3, epochs=1).fit(X, X[:, 0]).predict(X), good)


@pytest.mark.parametrize("how", [{"hidden": 16}, {"module": network}], ids=["own", "module"])
def test_partial_fit(how: dict[str, Any]) -> None:
    model = Classifier(random_state=0, learning_rate=0.01, **how)
    x, y = rows(400)
    for _ in range(4):
        for part in np.array_split(np.arange(400), 4):
            model.partial_fit(x[part], y[part], classes=[0, 1])
    assert model.score(*rows(200, seed=1)) > 0.93
    assert model.n_iter_ == 16
    assert model.loss_curve_[-1] < 0.5 * model.loss_curve_[0]
    resumed = copy.deepcopy(model).partial_fit(x, y).predict_proba(x)
    np.testing.assert_array_equal(model.partial_fit(x, y).predict_proba(x), resumed)
    assert Regressor(random_state=0, **how).partial_fit(x, x[:, 0]).predict(x).shape == (400,)


def test_partial_fit_after_fit() -> None:
    model = Classifier(**SMALL, learning_rate=0.03).fit(X, Y)
    for _ in range(20):
        model.partial_fit(X, 1 - Y)
    assert model.score(X, 1 - Y) > 0.9


def test_first_partial_fit_needs_classes() -> None:
    with pytest.raises(ValueError, match="classes must be passed"):
        Classifier(**QUICK).partial_fit(X, Y)
    model = Classifier(**QUICK).partial_fit(X[:5], np.zeros(5), classes=[0, 1, 2])
    assert model.predict_proba(X).shape == (80, 3)
    with pytest.raises(ValueError, match="classes"):
        model.partial_fit(X[:2], [0, 3])


def test_weights_of_rows_and_classes() -> None:
    twice = Classifier(**QUICK).fit(np.repeat(X, 1 + Y, axis=0), np.repeat(Y, 1 + Y)).predict_proba(X)
    by_row = Classifier(**QUICK).fit(X, Y, sample_weight=1.0 + Y).predict_proba(X)
    by_class = Classifier(**QUICK, class_weight={0: 1, 1: 2}).fit(X, Y).predict_proba(X)
    np.testing.assert_array_equal(by_row, twice)
    np.testing.assert_array_equal(by_class, twice)
    rare = np.random.default_rng(0).random(80) < 0.1
    even = Classifier(**SMALL, class_weight="balanced").fit(X, rare).predict_proba(X)[:, 1].mean()
    assert even > Classifier(**SMALL).fit(X, rare).predict_proba(X)[:, 1].mean() + 0.1


def test_words_count_by_weight() -> None:
    word = np.array([["a"], ["b"], ["c"]] * 4, object)
    y, weights = [0, 1, 1] * 4, [3, 1, 2] * 4
    weighed = Classifier(**QUICK).fit(word, y, sample_weight=weights).predict_proba(word)
    repeated = Classifier(**QUICK).fit(np.repeat(word, weights, axis=0), np.repeat(y, weights)).predict_proba(word)
    np.testing.assert_array_equal(weighed, repeated)


def test_in_pipelines_and_searches() -> None:
    search = GridSearchCV(
        make_pipeline(FunctionTransformer(), Classifier(**QUICK)),
        {"classifier__hidden": [(4,), (8, 4)], "classifier__activation": ["relu", "tanh"]},
        cv=2,
    ).fit(X, Y)
    assert search.best_estimator_.predict(X).shape == (80,)
    own = GridSearchCV(Classifier(epochs=3, random_state=0), {"module": [network, Noisy]}, cv=2).fit(X, Y)
    assert own.best_params_["module"] in (network, Noisy)
    assert len(cross_val_score(Regressor(**QUICK), X, X[:, 1], cv=3)) == 3


@pytest.mark.parametrize("how", [{"hidden": 16, "lanes": 2}, {"module": Noisy}], ids=["own", "module"])
def test_pickle_and_clone(how: dict[str, Any]) -> None:
    model = Classifier(epochs=3, random_state=0, **how).fit(X, Y)
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(other.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("how", [{"hidden": (8, 4), "lanes": 2}, {"module": Noisy, "lanes": 2}], ids=["own", "module"])
def test_save_and_load_round_trip(tmp_path: Path, how: dict[str, Any]) -> None:
    frame, module = pd.DataFrame(X, columns=["a", "b", "c"]).assign(word=np.where(Y, "x", "y")), how.get("module")
    for kind, y in (
        (Classifier, np.where(Y, "yes", "no")),
        (Classifier, np.eye(2, dtype=int)[Y]),
        (Regressor, X[:, 1]),
    ):
        model = kind(epochs=2, random_state=0, **how).fit(frame, y)
        save(model, tmp_path / "model")
        again = load(tmp_path / "model", module)
        np.testing.assert_array_equal(again.predict(frame), model.predict(frame))
        assert again.get_params() == model.get_params() | {"random_state": None}
        assert again.loss_curve_ == model.loss_curve_ and list(again.feature_names_in_) == list(frame.columns)
        assert again.score(frame, y) == model.score(frame, y)
    with pytest.raises(ModelError, match="module"):
        load(tmp_path / "model", None if module else network)
    if module:
        with pytest.raises(ModelError, match="another module"):
            load(tmp_path / "model", network)


@pytest.mark.parametrize("how", [{"hidden": 16}, {"module": network}], ids=["own", "module"])
def test_prediction_is_independent_of_other_rows(how: dict[str, Any]) -> None:
    model = Regressor(epochs=3, random_state=0, **how).fit(X, X[:, 1])
    one_by_one = np.concatenate([model.predict(X[i : i + 1]) for i in range(80)])
    np.testing.assert_array_equal(model.predict(X), one_by_one)


@pytest.mark.parametrize("n", [2, 3, 5, 9])
def test_a_few_rows(n: int) -> None:
    x = np.arange(n, dtype=float)[:, None]
    assert np.isfinite(Regressor(**QUICK).fit(x, x[:, 0] ** 2).predict(x)).all()
    assert Regressor(**QUICK).fit(x, np.full(n, 1e-9)).predict(x).tolist() == [1e-9] * n
    assert Classifier(**QUICK).fit(x, x[:, 0] > 0).predict_proba(x).shape == (n, 2)
    assert Classifier(module=network, epochs=2, random_state=0).fit(x, x[:, 0] > 0).predict(x).shape == (n,)


def test_columns_that_never_change() -> None:
    x = np.full((30, 4), 92.0)
    found = Classifier(**SMALL).fit(x, np.arange(30) % 3 == 0).predict_proba(x)
    np.testing.assert_allclose(found[:, 1], 1 / 3, atol=0.1)


def test_very_many_columns() -> None:
    x = np.random.default_rng(0).standard_normal((20, 100_000)).astype(np.float32)
    model = Classifier(hidden=4, lanes=1, epochs=1, learning_rate=0.01, random_state=0).fit(x, np.arange(20) % 2)
    assert model.predict(x).shape == (20,)


def test_too_large_sparse_input_is_refused() -> None:
    vast = sp.csr_array((10_000_000, 10_000_000))
    with pytest.raises(MemoryError, match="as a dense array"):
        Regressor(**QUICK).fit(vast, np.zeros(10_000_000))


def test_invalid_parameters_are_named() -> None:
    for wrong in (
        {"hidden": 0}, {"hidden": ()}, {"hidden": (8, "8")}, {"activation": "gelu"}, {"lanes": 0}, {"epochs": 1.5},
        {"batch_size": True}, {"learning_rate": -1}, {"weight_decay": None}, {"class_weight": "even"},
        {"device": "cuda"}, {"module": 3}, {"module": network, "hidden": 8},
    ):  # fmt: skip
        with pytest.raises((ValueError, TypeError), match=next(iter(wrong))):
            Classifier(**wrong).fit(X, Y)


def test_invalid_targets() -> None:
    with pytest.raises(ValueError, match="only one class"):
        Classifier(**QUICK).fit(X, np.zeros(80))
    with pytest.raises(ValueError, match="only one class"):
        Classifier(**QUICK).fit(X, Y, sample_weight=Y)
    with pytest.raises(ValueError, match=r"zero|is 0"):
        Classifier(**QUICK).fit(X, Y, sample_weight=0 * Y)
    with pytest.raises(ValueError, match="more than two classes each"):
        Classifier(**QUICK).fit(X, np.stack([Y, Y + 1], axis=1))
    with pytest.raises(NotFittedError):
        Regressor().predict(X)


class TestModules:
    def test_module_kinds(self) -> None:
        how = {"epochs": 20, "learning_rate": 0.03, "random_state": 0}
        for module in (network, Noisy, network(3, 1), nn.Sequential(nn.LazyLinear(8), nn.Tanh(), nn.LazyLinear(1))):
            assert Classifier(module=module, **how).fit(X, Y).score(X, Y) > 0.9
        flat = lambda inputs, outputs: nn.Sequential(network(inputs, 1), nn.Flatten(0))
        assert Regressor(module=flat, **how).fit(X, Y).score(X, Y) > 0.5

    def test_two_logits_equal_softmax(self) -> None:
        how: dict[str, Any] = {"epochs": 5, "random_state": 0}
        model = Classifier(module=network(3, 2), **how).fit(X, Y)
        logits = model.model_.nets[0].double()(
            torch.from_numpy(model.model_.encoder.numeric.encode(X, ("smooth",))).double()
        )
        np.testing.assert_allclose(model.predict_proba(X), logits.softmax(1).detach(), atol=1e-6)

    def test_users_module_is_unchanged(self) -> None:
        module = network(3, 1)
        before = copy.deepcopy(module.state_dict())
        Classifier(module=module, epochs=2, random_state=0).fit(X, Y)
        for name, value in module.state_dict().items():
            assert torch.equal(value, before[name])

    def test_invalid_modules_are_named(self) -> None:
        for module, why in (
            (nn.Linear(7, 1), "cannot take"),
            (nn.Linear(3, 5), "this target needs"),
            (nn.Identity(), "this target needs"),
            (lambda i, o: nn.Flatten(), "this target needs"),
            (lambda i, o: network(i, o).requires_grad_(False), "no parameter"),
        ):
            with pytest.raises(ValueError, match=why):
                Classifier(module=module, epochs=1).fit(X, Y)

    def test_final_sigmoid_warns(self) -> None:
        with pytest.warns(UserWarning, match="ends in Sigmoid"):
            Classifier(module=lambda i, o: nn.Sequential(nn.Linear(i, o), nn.Sigmoid()), epochs=1).fit(X, Y)

    def test_rate_search_without_vmap(self) -> None:
        class Moody(nn.Module):
            """Its path depends on the data: it cannot be trained side by side."""

            def __init__(self, inputs: int, outputs: int) -> None:
                super().__init__()
                self.one, self.two = nn.Linear(inputs, outputs), nn.Linear(inputs, outputs)

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return self.one(x) if self.one(x).sum().item() > 0 else self.two(x)

        assert Classifier(module=Moody, epochs=5, random_state=0).fit(X, Y).score(X, Y) > 0.8

    def test_lanes_differ(self) -> None:
        model = Classifier(module=network(3, 1), lanes=3, epochs=2, random_state=0).fit(X, Y)
        first, second, third = (net[0].weight for net in model.model_.nets)
        assert not torch.equal(first, second) and not torch.equal(second, third)


def test_verbose_prints_every_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    Classifier(**QUICK, verbose=1).fit(X, Y)
    assert capsys.readouterr().out.count("held-out loss") == 3


def test_tables_need_no_torch() -> None:
    script = (
        "import sys, numpy as np; from unstuck import Classifier\n"
        "Classifier(hidden=4, epochs=1).fit(np.eye(9), np.arange(9) % 2).predict(np.eye(9))\n"
        "assert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=120).returncode == 0


def test_silent_by_default(capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Classifier(**QUICK).fit(X, Y).predict(X)
    assert capfd.readouterr() == ("", "")


@pytest.mark.net
def test_page_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = Path(__file__).resolve().parents[2] / "docs" / "estimators.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 8
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)
