"""The trainer of tables: its arithmetic against torch, its laws, its memory."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unstuck.tabular.fit.adam import AdamW
from unstuck.tabular.fit.batches import folds, holdout
from unstuck.tabular.fit.equal import distinct
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.history import Checkpoint
from unstuck.tabular.fit.loss import Sigmoid, Softmax, Squares
from unstuck.tabular.fit.model import learn
from unstuck.tabular.fit.network import Dense, with_one
from unstuck.tabular.fit.numeric import VIEWS, Numeric
from unstuck.tabular.fit.options import Options
from unstuck.tabular.fit.quantiles import quantiles
from unstuck.tabular.fit.statistics import Chunk
from unstuck.tabular.fit.store import ModelError, load, save
from unstuck.tabular.fit.stream import learn_streamed
from unstuck.tabular.fit.task import Classes, Labels, Numbers

SHORT = Options(hidden=(8,), epochs=4, lanes=2)


def mixed_columns(n: int, seed: int) -> np.ndarray:
    """Normal, lognormal, two values, few values, rare, +-1, constant; some values missing."""
    rng = np.random.default_rng(seed)
    x = np.c_[
        rng.normal(size=n),
        np.exp(2 * rng.normal(size=n)),
        rng.integers(0, 2, n),
        rng.integers(0, 5, n),
        rng.uniform(size=n) < 0.05,
        rng.choice([-1.0, 1.0], n),
    ]
    x[rng.uniform(size=x.shape) < 0.03] = np.nan
    return np.c_[x, np.full(n, 3.3)]


def other_units(x: np.ndarray, seed: int, signs: bool = True) -> np.ndarray:
    """Every column times something from 1e-12 to 1e12, moved by up to a thousand spreads."""
    rng = np.random.default_rng(seed)
    a = 10 ** rng.uniform(-12, 12, x.shape[1]) * (rng.choice([-1, 1], x.shape[1]) if signs else 1)
    return a * x + a * np.nanstd(x, axis=0) * rng.uniform(-1e3, 1e3, x.shape[1])


class TestArithmetic:
    @pytest.mark.parametrize("activation", ["relu", "silu", "tanh"])
    @pytest.mark.parametrize("loss", [Softmax(3), Sigmoid(1), Sigmoid(2), Squares(2)])
    def test_gradients_are_those_of_autograd(self, activation, loss) -> None:
        rng = np.random.default_rng(0)
        net = Dense((5, 7, 6, loss.outputs), 3, activation)
        net.draw([1, 2, 3])
        x = rng.standard_normal((3, 11, 5), dtype=np.float32)
        y = rng.integers(0, 3, (3, 11)) if isinstance(loss, Softmax) else rng.integers(0, 2, (3, 11, loss.outputs))
        y = y if isinstance(loss, Softmax) else y.astype(np.float32)
        ones = np.ones((3, 11, 1), np.float32)
        net.backward(loss.slope(net.forward(np.concatenate([x, ones], axis=2)), y) / np.float32(11))
        for lane in range(3):
            want = torch_gradient(net, lane, x[lane], y[lane], loss, activation)
            assert np.allclose(net.gradient[lane], want, atol=2e-6, rtol=2e-4)

    def test_losses_are_torchs(self) -> None:
        z = np.random.default_rng(0).standard_normal((2, 9, 3)).astype(np.float32) * 20
        y = np.random.default_rng(1).integers(0, 3, (2, 9))
        want = torch.nn.functional.cross_entropy(
            torch.tensor(z).reshape(-1, 3), torch.tensor(y).ravel(), reduction="none"
        )
        assert np.allclose(Softmax(3).losses(z, y).ravel(), want.numpy(), atol=1e-4)
        yes = (y[..., None] == np.arange(3)).astype(np.float32)
        want = torch.nn.functional.binary_cross_entropy_with_logits(
            torch.tensor(z), torch.tensor(yes), reduction="none"
        )
        assert np.allclose(Sigmoid(3).losses(z, yes), want.sum(-1).numpy(), atol=1e-4)

    def test_adamw_moves_as_torchs(self) -> None:
        rng = np.random.default_rng(0)
        flat = rng.standard_normal((2, 40)).astype(np.float32)
        theirs = [torch.nn.Parameter(torch.tensor(row)) for row in flat.copy()]
        rates = (1e-3, 1e-2)
        optimizers = [
            torch.optim.AdamW([p], lr=rate, betas=(0.9, 0.99), weight_decay=0.1)
            for p, rate in zip(theirs, rates, strict=True)
        ]
        adam, column = AdamW(flat.shape, np.full((1, 40), 0.1, np.float32)), np.array(rates, np.float32)[:, None]
        for _ in range(50):
            gradient = rng.standard_normal((2, 40)).astype(np.float32)
            for p, optimizer, row in zip(theirs, optimizers, gradient.copy(), strict=True):
                p.grad = torch.tensor(row)
                optimizer.step()
            adam.step(flat, gradient, column)
        assert np.allclose(flat, np.stack([p.detach().numpy() for p in theirs]), atol=2e-6)

    def test_lanes_do_not_touch_each_other(self) -> None:
        both, alone = Dense((4, 6, 1), 2), Dense((4, 6, 1), 1)
        both.draw([5, 6])
        alone.draw([6])
        x = with_one(np.random.default_rng(0).standard_normal((10, 4), dtype=np.float32))[None]
        assert np.array_equal(both.forward(x)[1], alone.forward(x)[0])


def torch_gradient(net: Dense, lane: int, x: np.ndarray, y: np.ndarray, loss, activation: str) -> np.ndarray:
    """The same network's gradient by autograd, flat as `Dense` lays it out."""
    flat = torch.tensor(net.flat[lane], requires_grad=True)
    h, at = torch.tensor(x), 0
    sizes = list(pairwise(net.sizes))
    for i, (a, b) in enumerate(sizes):
        w = flat[at : at + (a + 1) * b].reshape(a + 1, b)
        h, at = h @ w[:-1] + w[-1], at + (a + 1) * b
        h = getattr(torch.nn.functional, activation)(h) if i < len(sizes) - 1 else h
    target = torch.tensor(y)
    if isinstance(loss, Softmax):
        total = torch.nn.functional.cross_entropy(h, target)
    elif isinstance(loss, Sigmoid):
        total = torch.nn.functional.binary_cross_entropy_with_logits(h, target, reduction="sum") / len(y)
    else:
        total = 0.5 * (h - target).square().sum() / len(y)
    total.backward()
    assert flat.grad is not None
    return flat.grad.numpy()


class TestColumns:
    @given(st.integers(3, 400), st.integers(0, 10**6))
    @settings(max_examples=60, deadline=None)
    def test_units_leave_no_trace(self, n, seed) -> None:
        x = mixed_columns(n, seed)
        there = other_units(x, seed + 1)
        here, other = Numeric.of(x), Numeric.of(there)
        for view in VIEWS:
            assert np.array_equal(here.encode(x, (view,)), other.encode(there, (view,)))

    @given(st.lists(st.integers(-50, 50), min_size=1, max_size=300), st.integers(1, 4))
    @settings(max_examples=100, deadline=None)
    def test_quantiles_turn_with_the_axis_and_count_weights_as_rows(self, values, times) -> None:
        x = np.array(values, float)[:, None]
        weights = np.random.default_rng(times).integers(1, times + 1, len(x))
        assert np.array_equal(quantiles(-x), -quantiles(x)[:, ::-1])
        assert np.array_equal(quantiles(x, weights.astype(float)), quantiles(np.repeat(x, weights, axis=0)))

    def test_varying_columns_are_kept_and_missing_values_encoded(self) -> None:
        x = mixed_columns(200, 0)
        numeric = Numeric.of(x)
        assert 6 not in numeric.kept
        assert numeric.encode(x, ("smooth",)).shape[1] == len(numeric.kept) + numeric.gaps.sum()
        assert np.isfinite(numeric.encode(np.full((2, 7), np.nan), VIEWS)).all()

    def test_outlier_does_not_dominate(self) -> None:
        x = np.random.default_rng(0).normal(size=(500, 1))
        x[0] = 1e9
        z = Numeric.of(x).encode(x, ("smooth",))
        assert abs(z).max() <= 3.0
        assert z[1:].std() > 0.4


class TestRows:
    @given(st.integers(0, 10**6))
    @settings(max_examples=30, deadline=None)
    def test_canonical_rows_do_not_depend_on_how_they_came(self, seed) -> None:
        rng = np.random.default_rng(seed)
        x = rng.integers(0, 3, (60, 3)).astype(np.float32)
        y = rng.integers(0, 2, 60)
        w = rng.integers(0, 4, 60).astype(float)
        here, repeated = distinct(x, y, w, x.T), np.repeat(np.arange(60), w.astype(int))
        there = distinct(x[repeated], y[repeated], None, x[repeated].T)
        assert np.array_equal(np.c_[x, y][here.order], np.c_[x, y][repeated][there.order])
        assert (here.w is None and there.w is None) or np.allclose(here.w, there.w)
        assert np.allclose(here.rows, there.rows) and here.rows.sum() == w.sum()

    def test_folds_hold_out_every_row_once_and_never_train_on_it(self) -> None:
        split = folds(np.arange(48) % 3, 4, np.random.default_rng(0))
        assert sorted(split.held.ravel()) == list(range(48))
        for held, own in zip(split.held, split.train, strict=True):
            assert not set(held) & set(own)
            assert len(held) + len(own) == 48
            assert set(np.bincount(held % 3)) == {4}

    def test_a_holdout_has_its_share_of_every_stratum(self) -> None:
        split = holdout(np.repeat([0, 1], [900, 100]), 0.1, np.random.default_rng(0))
        assert abs((split.held[0] >= 900).sum() - 10) <= 1


class TestLearning:
    def test_rows_may_come_in_any_order_and_units(self) -> None:
        x, rng = mixed_columns(150, 3), np.random.default_rng(4)
        y = (np.nan_to_num(x[:, 0]) + np.nan_to_num(x[:, 3]) > 2).astype(int)
        there, order = other_units(x, 5), rng.permutation(150)
        task = Classes(np.array([0, 1]))
        here = learn(Frame(x), y, task, SHORT).answers(Frame(x))
        other = learn(Frame(there[order]), y[order], task, SHORT).answers(Frame(there))
        assert np.array_equal(here, other)
        assert ((here[:, 1] > 0.5) == y).mean() > 0.6

    @pytest.mark.parametrize("sign", [-1.0, 1.0])
    def test_a_targets_units_are_those_of_the_answers(self, sign) -> None:
        x = mixed_columns(120, 6)
        y = np.nan_to_num(x[:, :2]) @ np.array([[1.0, 0.5], [0.1, -1.0]])
        a, b = sign * np.array([1e9, 1e-7]), np.array([-3e9, 5e-5])
        here = learn(Frame(x), y, Numbers.of(y), SHORT).answers(Frame(x))
        there = learn(Frame(x), a * y + b, Numbers.of(a * y + b), SHORT).answers(Frame(x))
        assert np.allclose(there, a * here + b, rtol=1e-9, atol=0)

    def test_a_row_of_weight_three_is_three_rows(self) -> None:
        x = np.random.default_rng(0).normal(size=(40, 3))
        y, w = (x[:, 0] > 0).astype(int), np.random.default_rng(1).integers(0, 4, 40)
        task = Classes(np.array([0, 1]))
        weighed = learn(Frame(x), y, task, SHORT, weights=w.astype(float)).answers(Frame(x))
        repeated = learn(Frame(np.repeat(x, w, axis=0)), np.repeat(y, w), task, SHORT).answers(Frame(x))
        assert np.allclose(weighed, repeated, atol=1e-12)

    def test_it_learns_what_there_is_to_learn(self) -> None:
        rng = np.random.default_rng(0)
        x = rng.normal(size=(600, 4)) * [1e-6, 1.0, 1e5, 1.0] + [0, 92.0, 7e6, 0]
        y = np.array(["low", "high"])[((x[:, 1] - 92) * x[:, 3] > 0).astype(int)]
        model = learn(Frame(x[:400]), y[:400], Classes(np.unique(y)))
        right = model.answers(Frame(x[400:])).argmax(axis=1) == (y[400:] == "low")
        assert right.mean() > 0.9
        assert model.unseen is not None
        assert abs(np.mean(model.unseen.answers.argmax(1) == (y[model.unseen.rows] == "low")) - right.mean()) < 0.08

    def test_words_and_labels(self) -> None:
        rng = np.random.default_rng(0)
        words = rng.choice(["red", "green", "blue"], 300)
        y = np.stack([words == "red", rng.uniform(size=300) < 0.5], axis=1).astype(float)
        frame = Frame(np.zeros((300, 1)), (list(words),))
        answers = learn(frame, y, Labels(("red", "noise")), Options(hidden=(8,), epochs=30, lanes=2)).answers(frame)
        assert ((answers[:, 0] > 0.5) == (words == "red")).all()
        assert np.isfinite(
            learn(frame, y, Labels(("red", "noise")), SHORT).answers(Frame(np.zeros((1, 1)), (["new"],)))
        ).all()

    @pytest.mark.parametrize("n", [1, 2, 3, 9])
    def test_few_rows(self, n) -> None:
        x, y = np.arange(n, dtype=float)[:, None], np.arange(n) % 2
        answers = learn(Frame(x), y, Classes(np.unique(y))).answers(Frame(x))
        assert answers.shape == (n, min(n, 2))
        assert np.allclose(answers.sum(axis=1), 1)


def in_chunks(x: np.ndarray, y: np.ndarray, size: int):
    """The rows as a stream."""
    return lambda: (Chunk(Frame(x[at : at + size]), y[at : at + size]) for at in range(0, len(x), size))


class TestStreaming:
    x = np.random.default_rng(0).normal(size=(3000, 4)) * [1, 1e4, 1, 1e-3] + [0, 5e4, 0, 0]
    y = (x[:, 0] * (x[:, 1] - 5e4) > 0).astype(int)

    def test_sorted_rows_train_as_shuffled_ones(self) -> None:
        order = np.argsort(self.y, kind="stable")
        options = Options(hidden=(32,), epochs=24, lanes=2, rate=0.01, batch=32)
        for index in (np.arange(3000), order):
            model = learn_streamed(in_chunks(self.x[index], self.y[index], 256), True, options, room=20_000)
            assert (model.answers(Frame(self.x)).argmax(axis=1) == self.y).mean() > 0.93

    def test_the_size_of_the_chunks_does_not_matter(self) -> None:
        options = Options(hidden=(8,), epochs=2, lanes=1, rate=0.01)
        a, b = (
            learn_streamed(in_chunks(self.x, self.y, size), True, options, room=20_000).answers(Frame(self.x[:50]))
            for size in (100, 1700)
        )
        assert np.allclose(a, b, atol=1e-6)

    def test_numbers_and_words_stream_too(self) -> None:
        words = np.where(self.x[:, 0] > 0, "up", "down")
        target = (3e6 * self.x[:, :1] + 1e9).astype(float)
        chunks = lambda: (
            Chunk(Frame(self.x[at : at + 500, 2:], (list(words[at : at + 500]),)), target[at : at + 500])
            for at in range(0, 3000, 500)
        )
        model = learn_streamed(chunks, False, Options(hidden=(16,), epochs=6, lanes=1), room=1 << 20)
        guess = model.answers(Frame(self.x[:, 2:], (list(words),)))
        assert np.corrcoef(guess[:, 0], target[:, 0])[0, 1] > 0.7

    def test_no_rows_are_refused(self) -> None:
        with pytest.raises(ValueError, match="no rows"):
            learn_streamed(lambda: iter(()), True)


class Stop(Exception):
    """What ends a training in the middle."""


class TestGoingOn:
    @pytest.mark.parametrize("streamed", [False, True])
    def test_an_interrupted_training_comes_to_the_same_weights(self, tmp_path: Path, streamed) -> None:
        x, y = TestStreaming.x[:600], TestStreaming.y[:600]
        options = Options(hidden=(8,), epochs=8, lanes=2, rate=0.01, batch=32)

        def fitted(history=None, stop: int | None = None):
            def watch(_, now) -> None:
                if len(now.curve) == stop:
                    raise Stop

            if streamed:
                return learn_streamed(in_chunks(x, y, 100), True, options, watch, history, room=4000)
            return learn(Frame(x), y, Classes(np.array([0, 1])), options, None, watch, history)

        whole = fitted()
        with pytest.raises(Stop):
            fitted(Checkpoint(tmp_path, "this", 0.0), stop=3)
        again = fitted(Checkpoint(tmp_path, "this", 0.0))
        assert np.array_equal(whole.stages[0].flat, again.stages[0].flat)
        with pytest.raises(ValueError, match="other data"):
            fitted(Checkpoint(tmp_path, "that", 0.0))


class TestStoring:
    x = mixed_columns(80, 1)

    def model(self):
        words = ["a", "b", None, "c"] * 20
        return learn(Frame(self.x, (words,)), np.array(["p", "q"] * 40), Classes(np.array(["p", "q"])), SHORT), words

    def test_a_model_comes_back_whole(self, tmp_path: Path) -> None:
        model, words = self.model()
        save(model, tmp_path / "m", {"target": "y"})
        again, about = load(tmp_path / "m")
        assert about == {"target": "y"}
        assert list(again.task.labels) == ["p", "q"]
        assert np.array_equal(again.answers(Frame(self.x, (words,))), model.answers(Frame(self.x, (words,))))
        assert [p.name for p in tmp_path.iterdir()] == ["m"]

    def test_damaged_and_foreign_files_are_one_line(self, tmp_path: Path) -> None:
        file = tmp_path / "m"
        save(self.model()[0], file)
        good = file.read_bytes()
        size = int.from_bytes(good[:8], "little")
        head = json.loads(good[8 : 8 + size])
        said = json.loads(head["__metadata__"]["unstuck"])
        bad = [b"", good[:100], good[:-10], b"\x80\x04\x95", good.replace(b'"F32"', b'"I32"')]
        for change in ({"format": 9}, {"crews": []}, {"task": {"kind": "numbers"}}, {"words": [{}]}):
            head["__metadata__"]["unstuck"] = json.dumps(said | change)
            text = json.dumps(head).encode()
            bad.append(len(text).to_bytes(8, "little") + text + good[8 + size :])
        for content in bad:
            file.write_bytes(content)
            with pytest.raises(ModelError) as told:
                load(file)
            assert "\n" not in str(told.value)
        with pytest.raises(ModelError, match="no such file"):
            load(tmp_path / "nothing")

    def test_a_file_that_cannot_be_written_leaves_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="could not be written"):
            save(self.model()[0], tmp_path / "no" / "m")
        assert not list(tmp_path.iterdir())
