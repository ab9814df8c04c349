"""The cost of each of the other mistakes in the rice program, measured one by one."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from unstuck.report.html.figures import Table, number
from unstuck.tabular.studies.lanes import Lanes, packed, with_one
from unstuck.tabular.studies.nets import Net, Pace, module
from unstuck.tabular.studies.rice.printed_log import DIVISOR
from unstuck.tabular.studies.rice.run import MAXABS, RAW, RAW_LOGITS, ZSCORE, ZSCORE_LOGITS, Run
from unstuck.tabular.studies.rice.table import formed, sizes
from unstuck.tabular.studies.rice.training import BATCH, HIDDEN, RATE, Variant
from unstuck.tabular.studies.story import Section, judged, share

STEPS = 200


Row = tuple[str, str]
"""The measurement, and its cost."""
NOTHING = "nothing"


def others(run: Run) -> Section:
    """The table of the other mistakes."""
    rows = tuple((name, *row) for name, row in _rows(run))
    costly = sum(cost != NOTHING for *_, cost in rows)
    right = run.accuracy(MAXABS).mean
    text = (
        f"All {len(rows)} of these are still in the program when its columns are divided by their largest values, "
        f"and then the test accuracy is {number(right, 4)} %: none of them prevents learning. Each was "
        f"also run by itself: {costly} have a cost, mostly wrong printed numbers."
    )
    return Section(
        "The other mistakes",
        "Suggested in the thread's answers: one of the program's other mistakes is the cause.",
        text,
        judged(right < run.larger_class + 5, right < run.larger_class + 20),
        Table(("mistake", "measurement", "cost"), rows),
    )


def _rows(run: Run) -> Iterator[tuple[str, Row]]:
    yield "validation loss added to the training total", _printed_zero(run)
    yield f"the total divided by {DIVISOR}", _divisor(run)
    yield "prediction.round() == label, once on logits", _rounded(run)
    yield "input.to(device), result discarded", _device()
    yield "no nonlinearity between the layers", _affine(run)
    yield "no eval() and train()", _modes(run)
    yield "the label column divided too", _labels(run)
    yield "statistics over all rows, before the split", _before_split(run)
    yield "zero_grad after the step", _zeroed(run)
    yield "a network where a linear model would do", _logistic(run)


def _printed_zero(run: Run) -> Row:
    raw = ", ".join(number(run.val_loss(RAW, seed)) for seed in range(min(3, run.seeds)))
    cured = run.val_loss(MAXABS)
    told = (
        f"prints Validation Loss 0.0000; the true mean per batch is {raw} (raw, first seeds) and {cured:.3f} (max-abs)"
    )
    return told, "hides the validation loss" if cured > 0 else NOTHING


def _divisor(run: Run) -> Row:
    train, val, _ = sizes(len(run.rice.y))
    batches = -(-train // BATCH) + -(-val // BATCH)
    told = f"{batches} batches are added up: the printed loss is {batches / DIVISOR:g} times the mean per batch"
    return told, "misleads" if batches != DIVISOR else NOTHING


def _rounded(run: Run) -> Row:
    printed = statistics.fmean(100 * c.printed_right[-1] for c in run.courses(RAW_LOGITS))
    true = statistics.fmean(100 * c.val_right[-1] for c in run.courses(RAW_LOGITS))
    told = f"prints {number(printed, 2)} %, the accuracy is {number(true)} %"
    return told, "misleads" if abs(printed - true) > 1 else NOTHING


def _device() -> Row:
    x, model = torch.zeros(1, 1), nn.Linear(1, 1, device="meta")
    x.to("meta")
    try:
        model(x)
    except (RuntimeError, NotImplementedError) as error:
        told = f"x stays on {x.device}; with the model on another device: {type(error).__name__}"
        return told, "crashes on a GPU"
    return f"x stays on {x.device}; torch accepts it", NOTHING


def _affine(run: Run) -> Row:
    course = run.courses(MAXABS)[0]
    assert course.weights is not None
    columns = run.rice.x.shape[1]
    net = Net(columns, HIDDEN, "none")
    lanes, x = Lanes(net, course.weights[None], [Pace(RATE)]), with_one(formed(run.rice.x, "max-abs"))
    first = course.weights[: HIDDEN * (columns + 1)].view(HIDDEN, columns + 1)
    last = course.weights[HIDDEN * (columns + 1) :]
    one = last[:-1] @ first
    one[-1] += last[-1]
    with torch.no_grad():
        apart = float((lanes.logits(x[None])[0].sigmoid() - (x @ one).sigmoid()).abs().max())
    gain = max(run.accuracy(Variant(v.form, v.loss, "relu")).mean - run.accuracy(v).mean for v in (MAXABS, ZSCORE))
    told = (
        f"the network is one affine map ({len(course.weights)} weights instead of {columns + 1}), up to {apart:.1g}; a "
        f"ReLU gains at most {number(gain, 1)} points"
    )
    return told, "accuracy" if gain > 0.5 else NOTHING


def _modes(run: Run) -> Row:
    net, x = Net(run.rice.x.shape[1], HIDDEN, "none"), formed(run.rice.x, "max-abs")[:1000]
    plain = module(net, 0)
    dropping = nn.Sequential(plain[0], nn.Dropout(0.5), *list(plain)[1:])
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        here, there = (float((m.train()(x) - m.eval()(x)).abs().max()) for m in (plain, dropping))
    told = f"outputs differ by {number(here)} here; with a Dropout layer, by up to {number(there, 2)}"
    return told, "accuracy" if here else NOTHING


def _labels(run: Run) -> Row:
    ones = float(run.rice.y.mean())
    largest = float(run.rice.y.max())
    told = (
        f"its largest value is {number(largest)}; with classes 1 and 2, labels of 0.5 would never equal a rounded "
        f"output, and at most {number(100 * ones)} % could be counted as correct"
    )
    return told, "misleads" if largest != 1 else NOTHING


def _before_split(run: Run) -> Row:
    pairs = (
        (MAXABS, Variant("max-abs", "probabilities", seen="train")),
        (ZSCORE_LOGITS, Variant("z-score", "logits", seen="train")),
    )
    told = (f"{v.form} {number(run.accuracy(v).mean, 4)} % and {number(run.accuracy(w).mean, 4)} %" for v, w in pairs)
    leak = max(abs(run.accuracy(v).mean - run.accuracy(w).mean) for v, w in pairs)
    words = f"statistics of all rows and of the training rows: {', '.join(told)}"
    return words, "optimistic test accuracy" if leak > 0.2 else NOTHING


def _zeroed(run: Run) -> Row:
    if _same_weights(run):
        return f"weights after {STEPS} steps are bit-identical", NOTHING
    return f"weights after {STEPS} steps differ", "accuracy"


def _same_weights(run: Run) -> bool:
    before, after = (_stepped(run, order) for order in (_clear_first, _clear_last))
    return bool((before == after).all())


def _stepped(run: Run, step: Callable[[torch.optim.Optimizer, Tensor], None]) -> Tensor:
    model = module(Net(run.rice.x.shape[1], HIDDEN, "none"), 0)
    optimizer, loss_fn = torch.optim.Adam(model.parameters(), lr=RATE), nn.BCELoss()
    x, y = formed(run.rice.x, "max-abs"), torch.from_numpy(run.rice.y).float()
    for at in range(STEPS):
        rows = slice(at * BATCH % (len(y) - BATCH), at * BATCH % (len(y) - BATCH) + BATCH)
        step(optimizer, loss_fn(model(x[rows]).squeeze(1), y[rows]))
    return packed(model)


def _clear_first(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _clear_last(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def _logistic(run: Run) -> Row:
    from sklearn.linear_model import LogisticRegression

    rows, x = run.split(0), formed(run.rice.x, "z-score").numpy()
    fitted = LogisticRegression(max_iter=1000).fit(x[rows.train], run.rice.y[rows.train])
    right = fitted.score(x[rows.test], run.rice.y[rows.test])
    ours = run.accuracy(ZSCORE).mean
    told = f"logistic regression on standardised columns: {share(right, digits=4)} on one split"
    return f"{told} (the network: {number(ours, 4)} % on average)", "time" if 100 * right > ours - 1 else NOTHING
