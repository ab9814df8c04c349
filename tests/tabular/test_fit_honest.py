"""Honest numbers: groups and times kept apart, intervals of scores, repeated cross-fitting, copies named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import log_loss, r2_score

from unstuck import Classifier, Regressor, cli
from unstuck.tabular.fit.batches import Split
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.intervals import intervals
from unstuck.tabular.fit.model import learn, prepared
from unstuck.tabular.fit.separation import Separation
from unstuck.tabular.fit.task import Numbers

Array = np.ndarray


def patients(groups: int = 40, each: int = 15, seed: int = 0) -> tuple[Array, Array, Array]:
    """x (n, 4), whose last column tells the patient, and a target that is mostly the patient's own."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(groups), each)
    own = rng.normal(size=groups)
    x = np.c_[rng.normal(size=(len(who), 3)), rng.permutation(groups)[who] + 0.01 * rng.normal(size=len(who))]
    return x, 0.5 * x[:, 0] + 2 * own[who] + 0.2 * rng.normal(size=len(who)), who


def divided(x: Array, y: Array, separation: Separation | None, lanes: int) -> tuple[Split, Separation]:
    context, _ = prepared(Frame(x), y[:, None], Numbers.of(y[:, None]), None, None, separation=separation)
    assert context.separation is not None
    return context.split(context.lanes(lanes)), context.separation


class TestGroups:
    @pytest.mark.parametrize("groups", [3, 40, 3000])
    def test_no_lane_trains_on_a_group_that_it_holds_out(self, groups: int) -> None:
        x, y, who = patients(groups, 4)
        split, separation = divided(x, y, Separation.of(who, None), 4)
        assert separation.group is not None
        for train, held in zip(split.train, split.held, strict=True):
            assert not set(separation.group[train]) & set(separation.group[held])
        assert len(np.unique(split.held)) == len(x), "every row is held out once"

    def test_parts_of_unequal_groups_are_balanced_and_lose_no_row(self) -> None:
        rng = np.random.default_rng(0)
        who = np.repeat(np.arange(12), rng.integers(5, 120, 12))
        x, y = rng.normal(size=(len(who), 2)), rng.normal(size=len(who))
        split, _ = divided(x, y, Separation.of(who, None), 4)
        for train, held in zip(split.train, split.held, strict=True):
            assert len(np.unique(np.concatenate([train, held]))) == len(who)
            assert len(np.unique(held)) < 0.45 * len(who)

    def test_the_score_is_that_of_new_groups(self) -> None:
        x, y, who = patients()
        free, apart = (Regressor(epochs=15, random_state=0).fit(x, y, groups=one).scores_ for one in (None, who))
        assert free[0].name == apart[0].name == "R2"
        assert free[0].model > 0.7
        assert apart[0].model < 0.3
        assert apart[0].high - apart[0].low > 2 * (free[0].high - free[0].low), "40 groups say less than 600 rows"

    def test_with_a_module_too(self) -> None:
        from torch import nn

        x, y, who = patients(12, 10)
        net = lambda inputs, outputs: nn.Linear(inputs, outputs)
        model = Regressor(module=net, epochs=2, lanes=3, random_state=0).fit(x, y, groups=who)
        assert len(model.model_.unseen.rows) == len(x)
        assert model.scores_[0].low < model.scores_[0].model < model.scores_[0].high

    @pytest.mark.parametrize(
        "groups", [np.zeros(60), [None, *range(59)], np.zeros((60, 2))], ids=["one", "missing", "shape"]
    )
    def test_what_cannot_be_separated_is_refused(self, groups) -> None:
        x, y, _ = patients(4, 15)
        with pytest.raises(ValueError, match="group"):
            Regressor(epochs=1).fit(x, y, groups=groups)


class TestTime:
    def test_everything_held_out_is_later(self) -> None:
        x, y, _ = patients()
        when = np.random.default_rng(0).permutation(600) // 2
        for dates in (when, np.datetime64("2020-01-01") + when, [str(day) for day in when]):
            split, separation = divided(x, y, Separation.of(None, dates), 4)
            assert separation.time is not None
            assert separation.time[split.train].max() < separation.time[split.held].min()
            assert split.held.size == 120

    def test_with_groups_neither_is_shared(self) -> None:
        x, y, who = patients(60, 10)
        split, separation = divided(x, y, Separation.of(who, who + np.tile(np.arange(10), 60)), 4)
        assert separation.time is not None and separation.group is not None
        assert separation.time[split.train].max() < separation.time[split.held].min()
        assert not set(separation.group[split.train[0]]) & set(separation.group[split.held[0]])

    def test_a_drift_shows_in_the_score(self) -> None:
        rng = np.random.default_rng(0)
        when = np.arange(800)
        x = np.c_[rng.normal(size=(800, 2)), rng.permutation(800)]
        y = x[:, 0] * np.where(when < 640, 1.0, -1.0) + 0.1 * rng.normal(size=800)
        found = Regressor(hidden=16, epochs=10, random_state=0).fit(x, y, time=when).scores_
        assert found[0].high < 0

    def test_trees_join_and_are_saved(self, tmp_path: Path) -> None:
        from unstuck.tabular.fit.persistence import load, save

        rng = np.random.default_rng(0)
        x = rng.integers(0, 8, (1500, 4)).astype(float)
        y = np.where((x[:, 0] % 2 > 0) ^ (x[:, 1] % 3 > 1), 3.0, x[:, 2] % 2) + 0.05 * rng.normal(size=1500)
        model = Regressor(epochs=2, random_state=0).fit(x, y, time=np.arange(1500))
        assert any(stage.trees is not None for stage in model.model_.stages)
        save(model, tmp_path / "m")
        np.testing.assert_array_equal(load(tmp_path / "m").predict(x), model.predict(x))

    @pytest.mark.parametrize(
        "time", [np.zeros(60), ["soon"] * 60, [np.nan, *range(59)]], ids=["one", "word", "missing"]
    )
    def test_what_has_no_order_is_refused(self, time) -> None:
        x, y, _ = patients(4, 15)
        with pytest.raises(ValueError, match="time"):
            Regressor(epochs=1).fit(x, y, time=time)


class TestIntervals:
    def test_they_cover_the_true_mean(self) -> None:
        rng = np.random.default_rng(0)
        hits = 0
        for _ in range(200):
            values = rng.exponential(size=80)
            ((low, high),) = intervals([lambda w, v=values: float(np.average(v, weights=w))], np.ones(80))
            hits += low <= 1.0 <= high
        assert 0.88 <= hits / 200 <= 0.98

    def test_they_are_as_wide_as_groups_ask(self) -> None:
        rng = np.random.default_rng(0)
        who = np.repeat(np.arange(20), 30)
        values = rng.normal(size=20)[who]
        mean = lambda w: float(np.average(values, weights=w))
        ((low, high),) = intervals([mean], np.ones(600), who)
        assert 0.6 < (high - low) / (2 * 1.96 * values.std() / 20**0.5) < 1.4

    def test_scores_that_are_perfect_are_not_certain(self) -> None:
        x = np.r_[np.zeros(30), np.ones(30)][:, None] + 0.01 * np.random.default_rng(0).normal(size=(60, 1))
        accuracy = Classifier(hidden=8, epochs=40, random_state=0).fit(x, x[:, 0] > 0.5).scores_[0]
        assert accuracy.model == accuracy.high == 1.0
        assert accuracy.low == pytest.approx(0.025 ** (1 / 60))

    def test_estimators_report_what_they_held_out(self) -> None:
        x, y, _ = patients()
        model = Classifier(epochs=5, random_state=0).fit(x, y > 0)
        scores = {score.name: score for score in model.scores_}
        unseen = model.model_.unseen
        assert scores["log loss"].model == pytest.approx(log_loss((y > 0)[unseen.rows], unseen.answers))
        assert all(score.low <= score.model <= score.high for score in model.scores_)
        assert model.partial_fit(x, y > 0).scores_ == ()


class TestSmallTables:
    def test_every_row_is_held_out_by_several_divisions(self) -> None:
        rng = np.random.default_rng(0)
        x = rng.normal(size=(90, 2))
        y = x[:, 0] + rng.normal(size=90)
        context, _ = prepared(Frame(x), y[:, None], Numbers.of(y[:, None]), None, None)
        split = context.split(context.lanes(4))
        assert len(split.held) == 12
        for turn in range(3):
            assert len(np.unique(split.held[4 * turn : 4 * turn + 4])) == 88
        assert not np.array_equal(split.held[0], split.held[4])
        for train, held in zip(split.train, split.held, strict=True):
            assert not set(train) & set(held)

    def test_the_score_is_that_of_the_means_over_the_divisions(self) -> None:
        rng = np.random.default_rng(0)
        x = rng.normal(size=(90, 3))
        y = x[:, 0] + rng.normal(size=90)
        model = Regressor(epochs=8, random_state=0).fit(x, y)
        unseen = model.model_.unseen
        assert len(unseen.rows) > 88, "one division leaves two rows over"
        assert model.scores_[0].model == pytest.approx(r2_score(y[unseen.rows], unseen.answers[:, 0]))

    def test_training_goes_on(self) -> None:
        x, y, who = patients(20, 10)
        model = Regressor(epochs=4, warm_start=True, random_state=0).fit(x, y, groups=who)
        assert np.isfinite(model.fit(x, y, groups=who).predict(x)).all()


def written(path: str, columns: dict[str, Array]) -> None:
    lines = [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    Path(path).write_text("\n".join([",".join(columns), *lines]), encoding="utf-8")


class TestCommand:
    @pytest.fixture(autouse=True)
    def here(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)

    def fitted(self, *words: str) -> dict:
        quick = ("--target", "y", "--epochs", "3", "--hidden", "8", "--json", "t.json", "--quiet")
        assert cli.main(["fit", "t.csv", *quick, *words]) == 0
        return json.loads(Path("t.json").read_text(encoding="utf-8"))

    def table(self, groups: int = 40) -> dict[str, Array]:
        x, y, who = patients(groups, 6)
        day = np.datetime64("2020-01-01") + np.random.default_rng(1).permutation(len(y))
        return {"who": np.char.add("p", who.astype(str)), "day": day, "a": x[:, 0], "b": x[:, 1], "y": y}

    def test_groups_are_no_input_and_kept_apart(self, capsys) -> None:
        written("t.csv", self.table())
        found = self.fitted("--group", "who", "--holdout", "0.25")
        assert found["inputs"] == ["day", "a", "b"]
        assert "of groups that are not trained on" in found["judged"][0]["of"]
        assert found["rows"] + found["judged"][1]["rows"] == 240
        assert found["judged"][1]["rows"] % 6 == 0 and 48 <= found["judged"][1]["rows"] <= 72
        for judged in found["judged"]:
            assert all(score["low"] <= score["model"] <= score["high"] for score in judged["scores"])
        assert " to " in capsys.readouterr().out

    def test_times_are_kept_in_order(self) -> None:
        written("t.csv", self.table())
        found = self.fitted("--time", "day", "--drop", "day,who", "--holdout", "0.25")
        assert found["inputs"] == ["a", "b"]
        assert "later than all training rows" in found["judged"][0]["of"]
        assert (found["rows"], found["judged"][0]["rows"], found["judged"][1]["rows"]) == (180, 36, 60)

    def test_a_test_file_with_the_same_groups_and_earlier_rows_is_named(self) -> None:
        table = self.table()
        written("t.csv", table)
        written("new.csv", {name: column[:30] for name, column in table.items()})
        notes = " ".join(self.fitted("--group", "who", "--time", "day", "--test", "new.csv")["notes"])
        assert "new.csv: 30 of 30 rows are copies of training rows" in notes
        assert "new.csv: 30 of 30 rows are of groups that were trained on" in notes
        assert "new.csv: 30 of 30 rows are not later" in notes

    def test_copies_are_named_and_draws_are_not(self) -> None:
        table = {name: np.tile(column, 2) for name, column in self.table().items()}
        table["who"] = np.r_[table["who"][:240], np.char.add("q", table["who"][240:])]
        written("t.csv", {name: table[name] for name in ("a", "b", "y", "who")})
        assert any(
            "480 rows are copies of rows of other groups" in note for note in self.fitted("--group", "who")["notes"]
        )
        notes = self.fitted("--drop", "who", "--holdout", "0.3")["notes"]
        assert any("held-out rows are copies of training rows" in note for note in notes)
        rng = np.random.default_rng(0)
        x = rng.integers(0, 2, (240, 2))
        written("t.csv", {"a": x[:, 0], "b": x[:, 1], "y": np.where(rng.random(240) < 0.3 + 0.4 * x[:, 0], "u", "v")})
        assert not any("copies" in note for note in self.fitted("--holdout", "0.3")["notes"])

    def test_rows_without_a_group_are_left_out_with_a_note(self) -> None:
        table = self.table()
        table["who"] = np.where(np.arange(240) < 10, "", table["who"])
        written("t.csv", table)
        found = self.fitted("--group", "who")
        assert found["rows"] == 230
        assert any("10 rows ignored: no group" in note for note in found["notes"])

    @pytest.mark.parametrize(
        ("words", "why"),
        [
            (("--group", "nobody"), "no column"),
            (("--group", "y"), "two roles"),
            (("--time", "who"), "a time must be a number or a date"),
            (("--group", "same"), "all rows are of the group"),
        ],
    )
    def test_what_does_not_apply_is_refused_in_one_line(self, words, why, capsys) -> None:
        written("t.csv", self.table() | {"same": np.full(240, "x")})
        assert cli.main(["fit", "t.csv", "--target", "y", *words]) == 2
        assert why in capsys.readouterr().err


def test_groups_do_not_depend_on_the_order_of_the_rows() -> None:
    x, y, who = patients(20, 8)
    order = np.random.default_rng(0).permutation(len(y))
    task = Numbers.of(y[:, None])
    here, there = (
        learn(Frame(x[at]), y[at, None], task, separation=Separation.of(who[at], None)).answers(Frame(x[:20]))
        for at in (np.arange(len(y)), order)
    )
    np.testing.assert_array_equal(here, there)
