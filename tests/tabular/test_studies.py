"""The studies: lanes equal plain PyTorch, stories tell what they measured."""

from __future__ import annotations

import csv
import math
import os
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unstuck.cli.commands import main
from unstuck.report.html.figures import Axis, Bars, Heatmap, Histogram, Lines, Series, Spread, number, told
from unstuck.tabular.studies import heart_rate, rice, saturation, terminal
from unstuck.tabular.studies.heart_rate import variants as hearts
from unstuck.tabular.studies.heart_rate.courses import fed, train_all
from unstuck.tabular.studies.heart_rate.data import COUNT, Source, draw, moments
from unstuck.tabular.studies.lanes import Lanes, packed, with_one
from unstuck.tabular.studies.nets import Net, Pace, module, train
from unstuck.tabular.studies.rice import printed_log
from unstuck.tabular.studies.rice import table as tables
from unstuck.tabular.studies.rice import training as grains
from unstuck.tabular.studies.story import Request, Section, Study, Unavailable

SAMPLE = Path(__file__).parents[2] / "examples/rice.csv"
FULL = Path(os.environ.get("UNSTUCK_DATA", "/nonexistent")) / "rice.csv"

KINDS = [
    *(Net(3, 5, hidden, loss) for hidden, loss in product(("sigmoid", "relu", "none"), ("probabilities", "logits"))),
    Net(2, 4, norm=True),
    Net(2, 4, "relu", "logits", norm=True),
    Net(1, 6, optimizer="sgd"),
]
PACES = [Pace(0.01), Pace(0.01), Pace(0.1, every=30, factor=0.5)]


def normed(x: torch.Tensor) -> torch.Tensor:
    """What BatchNorm1d makes of a batch before its own weights."""
    return (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()


@pytest.mark.parametrize("net", KINDS, ids=str)
def test_lanes_equal_plain_pytorch(net: Net) -> None:
    """100 steps in float64: every lane's weights are those of the module trained alone."""
    draw = torch.Generator().manual_seed(0)
    xs = torch.randn(len(PACES), 40, net.inputs, generator=draw, dtype=torch.float64) * 3 + 1
    ys = (torch.rand(len(PACES), 40, generator=draw, dtype=torch.float64) > 0.5).double()
    models = [module(net, seed).double() for seed in range(len(PACES))]
    lanes = Lanes(net, torch.stack([packed(m) for m in models]), PACES)
    fed = with_one(torch.stack([normed(x) for x in xs]) if net.norm else xs)
    for _ in range(100):
        lanes.step(fed, ys[:, None], torch.full((1, 1, 40), 1 / 40, dtype=torch.float64))
    for lane, (model, pace) in enumerate(zip(models, PACES, strict=True)):
        alone = packed(train(net, model, pace, [(xs[lane], ys[lane])] * 100))
        torch.testing.assert_close(lanes.weights[lane], alone, rtol=0, atol=1e-10)


def test_kept_lanes_continue_unchanged() -> None:
    """Dropping a lane changes nothing for the others: they remember their moments and their step count."""
    net, draw_ = Net(2, 5), torch.Generator().manual_seed(1)
    x = torch.randn(3, 30, 3, generator=draw_, dtype=torch.float64)
    y = (torch.rand(3, 1, 30, generator=draw_) > 0.5).double()
    shares = torch.full((1, 1, 30), 1 / 30, dtype=torch.float64)
    starts = torch.stack([packed(module(net, s)) for s in range(3)]).double()
    paces = [Pace(0.1, 4, 0.5), Pace(0.01), Pace(0.02)]
    whole = Lanes(net, starts, paces)
    fewer = Lanes(net, starts, paces)
    for step in range(20):
        whole.step(x, y, shares)
        kept = [0, 1, 2] if step < 10 else [2, 0]
        fewer.step(x[kept], y[kept], shares)
        if step == 9:
            fewer = fewer.keep(torch.tensor([2, 0]))
    torch.testing.assert_close(fewer.weights, whole.weights[[2, 0]], rtol=0, atol=1e-12)


@given(
    rate=st.floats(1e-4, 1), every=st.integers(0, 50), factor=st.floats(0.1, 1), steps=st.integers(0, 200)
)  # fmt: skip
def test_travel_is_the_sum_of_the_rates(rate: float, every: int, factor: float, steps: int) -> None:
    """The bound on a bias is what the steps add up to."""
    pace = Pace(rate, every, factor)
    assert pace.travel(steps) == pytest.approx(sum(pace.at(i) for i in range(steps)), rel=1e-9, abs=1e-12)


def test_merged_duplicates_train_like_duplicates() -> None:
    """500 rounded heart rates, folded to their distinct values, give the gradient steps of all 500."""
    variant = hearts.STANDARD10
    rows, alone = fed(variant, 0), module(variant.net, 0).double()
    assert len(rows.y) < COUNT / 5
    times = (rows.shares * COUNT).round().long()
    every = rows.x.double().repeat_interleave(times, 0), rows.y.double().repeat_interleave(times)
    lanes = Lanes(variant.net, packed(alone)[None], [variant.pace])
    shares = (times.double() / COUNT)[None, None]
    for _ in range(50):
        lanes.step(with_one(rows.x.double())[None], rows.y.double()[None, None], shares)
    trained = packed(train(variant.net, alone, variant.pace, [every] * 50))
    torch.testing.assert_close(lanes.weights[0], trained, rtol=0, atol=1e-9)


@given(seed=st.integers(0, 10_000), centre=st.floats(-300, 300), spread=st.floats(0.5, 50))
@settings(max_examples=25, deadline=None)
def test_heart_rate_data(seed: int, centre: float, spread: float) -> None:
    """Shares sum to one, the centre and the spread are as asked, and the label is the threshold."""
    source = Source("heart rate", centre, spread, centre - spread / 10, spread / 10)
    rows = draw(source, seed)
    mean, var = moments(rows)
    assert rows.shares.sum().item() == pytest.approx(1)
    assert mean.item() == pytest.approx(centre, abs=0.3 * spread)
    assert math.sqrt(var.item()) == pytest.approx(spread, rel=0.2)
    assert 0.4 < (rows.y * rows.shares).sum().item() < 0.7


def test_raw_heart_rates_are_slow_and_centred_ones_are_not() -> None:
    """The story in small: 99 % at rate 0.01 takes raw inputs several times as long as standardised ones."""
    raw, standard, scaled = hearts.RAW10, hearts.STANDARD10, hearts.HUNDREDTH10
    trained = train_all((raw, standard, scaled), 3, 1000, lambda _: None)
    epochs = {v: Spread(tuple(c.epochs_to_good for c in cs)).median for v, cs in trained.courses.items()}
    assert epochs[standard] < epochs[scaled]
    assert epochs[standard] < epochs[raw] / 2
    assert trained.lane_steps == 9 * 1000


def test_heart_rate_study_reports_its_measurements() -> None:
    """A small run: every section has a verdict and its text carries no number that is missing."""
    shares: list[float] = []
    study = heart_rate.tell(Request(seeds=1, epochs=150), lambda share, _: shares.append(share))
    assert shares == sorted(shares) and shares[-1] <= 1
    assert len(study.sections) == 12
    _readable(study)


def test_the_command_prints_the_study_and_writes_its_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One run, two faces: every claim of the terminal stands on the page, and nothing else is written."""
    page = tmp_path / "study.html"
    assert main(["study", "heart-rate", "--seeds", "1", "--epochs", "20", "--html", str(page)]) == 0
    out, html = capsys.readouterr().out, page.read_text(encoding="utf-8")
    titles = [line.strip() for line in out.splitlines() if line[:1].isdigit()]
    assert len(titles) == 12
    assert all(title.split(". ", 1)[1] in html for title in titles)
    assert list(tmp_path.iterdir()) == [page]


def _readable(study: Study) -> None:
    text = terminal.render(study)
    assert study.title in text
    for section in study.sections:
        assert section.title in text
        assert section.table or section.figures
    for words in (study.answer, *(s.measurement for s in study.sections)):
        assert not {"nan", "None"} & set(words.replace("None of", "").split())


def test_rice_study_reports_its_measurements(tmp_path: Path) -> None:
    """On the small sample, with an id column put in front and semicolons, as the published table has them."""
    rows = list(csv.reader(SAMPLE.open()))
    with (tmp_path / "rice.csv").open("w", newline="") as file:
        csv.writer(file, delimiter=";").writerows([["id", *rows[0]], *([i, *r] for i, r in enumerate(rows[1:]))])
    study = rice.tell(Request(seeds=2, epochs=2, data=tmp_path), lambda *_: None)
    assert [s.verdict for s in study.sections[:3]] == ["holds", "does not hold", "does not hold"]
    assert "The id column" in [s.title for s in study.sections]
    assert "2 of 2 seeds" in study.answer
    _readable(study)


def test_rice_lanes_equal_plain_pytorch() -> None:
    """One epoch of one seed, batch by batch, the last short one included: the weights of the plain loop."""
    table = tables.read(SAMPLE)
    short = tables.Rice(table.path, table.names, table.x[:300], table.y[:300], None)
    trained = grains.train_all(short, grains.variants(short), 1, 1, lambda _: None)
    draw_ = torch.Generator().manual_seed(0)
    rows = tables.split(300, draw_).train
    rows = rows[torch.randperm(len(rows), generator=draw_)]
    for variant in (grains.Variant("max-abs", "probabilities"), grains.Variant("z-score", "logits", "relu")):
        x, y = tables.formed(short.x, variant.form), torch.from_numpy(short.y).float()
        net = grains.net_of(variant, x.shape[1])
        batches = [(x[part], y[part]) for part in rows.split(grains.BATCH)]
        alone = packed(train(net, module(net, 0), Pace(grains.RATE), batches))
        lane = trained.courses[variant][0].weights
        torch.testing.assert_close(lane, alone, rtol=0, atol=1e-5)


def test_the_printed_log_follows_from_outputs_of_zero() -> None:
    """Of all round splits one fits the printed accuracies, and it gives the two printed losses and no other."""
    (found,) = printed_log.derivations()
    assert found.split == tables.sizes(printed_log.ROWS) == (12729, 2728, 2728)
    assert {f"{found.last_one:.4f}", f"{found.last_zero:.4f}"} == {f"{p:.4f}" for p in printed_log.PRINTED}


@given(labels=st.lists(st.integers(0, 1), min_size=9, max_size=200).filter(lambda y: len(y) % 8 < 2))
def test_derived_total_equals_bceloss(labels: list[int]) -> None:
    """The sum over batches of torch's own loss, with every output exactly zero."""
    y = torch.tensor(labels).float()
    losses = [torch.nn.BCELoss()(torch.zeros(len(part)), part).item() for part in y.split(8)]
    assert printed_log.total(len(labels), sum(labels), labels[-1]) == pytest.approx(sum(losses), rel=1e-6)


def test_limits_of_float32() -> None:
    """The edges are those of the arithmetic: 24 bits above, the overflow of exp below."""
    found = saturation.edges()
    assert found.one == pytest.approx(24 * math.log(2), abs=1e-3)
    assert found.zero == pytest.approx(-128 * math.log(2), abs=1e-2)
    far = saturation.at(-1000.0)
    assert far.slope[1] == 0 and far.logits_slope[1] == -1


@given(rows=st.integers(100, 100_000))
def test_every_row_is_in_one_part(rows: int) -> None:
    """Train, validation and test add up, near 70, 15 and 15 %."""
    train_rows, val, test = tables.sizes(rows)
    assert train_rows + val + test == rows
    assert abs(val - test) <= 1 and abs(train_rows - 0.7 * rows) <= 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a,b,c\n" + "1,2,0\n" * 50, "50 rows"),
        ("a,b,c\n" + "1,2,3\n" * 200, "not a class"),
        ("a,b,c\n" + "1,,0\n" * 100 + "1,2,1\n" * 100, "missing values"),
        ("a,b,c\n" + "1,x,0\n" * 100 + "1,2,1\n" * 100, "not a readable table"),
        ("a\n" + "1\n0\n" * 100, "too few columns"),
        ("", "not a readable table"),
        ("\x00\xff\x00", "not a readable table"),
    ],
)
def test_invalid_rice_table_raises_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, words: str
) -> None:
    """One line that says what is wrong and what is accepted; exit code 2, no traceback."""
    (tmp_path / "rice.csv").write_text(content, encoding="latin-1")
    assert main(["study", "rice", "--data", str(tmp_path / "rice.csv")]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and words in said[0] and "--data FILE" in said[0]


def test_missing_table_names_the_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing asked for, nothing in the environment, nothing here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("UNSTUCK_DATA", raising=False)
    assert main(["study", "rice"]) == 2
    assert "rice.csv" in capsys.readouterr().err


def test_a_folder_without_the_table_is_named(tmp_path: Path) -> None:
    """The line names the file that is missing, not the folder that is there."""
    with pytest.raises(Unavailable, match=r"no rice\.csv in"):
        tables.find(tmp_path)


@pytest.mark.parametrize("form", tables.FORMS)
def test_a_constant_column_stays_finite(form: str) -> None:
    """Nothing is divided by zero."""
    x = np.column_stack([np.zeros(5), np.full(5, 3.0), np.arange(5.0)])
    assert tables.formed(x, form).isfinite().all()


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_every_layout_reads_alike(tmp_path: Path, mark: str) -> None:
    """Separators and the id column are told by the heading."""
    rows = list(csv.reader(SAMPLE.open()))
    with (tmp_path / "rice.csv").open("w", newline="") as file:
        csv.writer(file, delimiter=mark).writerows([["ID", *rows[0]], *([i, *r] for i, r in enumerate(rows[1:]))])
    read, plain = tables.read(tmp_path / "rice.csv"), tables.read(SAMPLE)
    assert read.ids is not None and plain.ids is None
    assert np.array_equal(read.x, plain.x) and np.array_equal(read.y, plain.y)


@given(st.floats(-1e5, 1e5), st.integers(1, 4))
def test_numbers_below_a_million_are_written_out(value: float, digits: int) -> None:
    """No power of ten where a number of digits does, and what is written is the value, rounded."""
    words = number(value, digits)
    assert "e+" not in words
    assert float(words) == pytest.approx(value, rel=0.5 * 10 ** (1 - digits), abs=1e-300)


@given(st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(math.inf)), min_size=1, max_size=30))
def test_a_spread_counts_never_as_later_than_everything(values: list[float]) -> None:
    """The median is never where more than half of the seeds never get there, and lies within the range."""
    spread = Spread(tuple(values))
    assert math.isinf(spread.median) == (2 * (len(values) - spread.reached) >= len(values))
    assert spread.low <= spread.median <= spread.high
    assert ("never" in told(spread)) == (math.inf in values)


def test_the_terminal_draws_every_figure() -> None:
    """Each kind of figure with values that cannot be drawn among those that can."""
    nan, axis = math.nan, Axis("x", "s", log=True)
    figures = (
        Lines("curves", axis, Axis("y"), (Series("one", (1.0, 10.0, 0.0), (1.0, nan, 2.0)), Series("none", (), ()))),
        Lines("nothing", axis, axis, ()),
        Histogram("counts", axis, (0.0, 1.0, 2.0), (("a", (0.0, 3.0)), ("b", (0.0, 0.0)))),
        Heatmap("cells", axis, axis, ("c",), ("r",), ((math.inf,),), axis),
        Bars("bars", ("one", "other"), (Spread((1.0, 2.0)), math.inf), axis),
    )
    text = terminal.render(Study("n", "t", "q", "a", (Section("s", "c", "m", "partly", figures=figures),)), ascii=True)
    assert all(f.title in text for f in figures)
    assert "1.5 (0.71)" in text and "never" in text and text.isascii()


@pytest.mark.skipif(not FULL.is_file(), reason="needs the full rice table: UNSTUCK_DATA names its folder")
def test_raw_inputs_get_stuck_on_the_full_table() -> None:
    """The thread's own table: every seed stuck with BCELoss on raw columns, none once they are scaled."""
    table = tables.read(FULL)
    trained = grains.train_all(table, grains.variants(table), 2, 1, lambda _: None)
    assert all(c.stuck for c in trained.courses[grains.Variant("raw", "probabilities")])
    assert all(c.test_right > 0.97 for c in trained.courses[grains.Variant("max-abs", "probabilities")])
