"""What each of the other mistakes in the rice program costs: every one is run, most cost nothing."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from unstuck.studies.lanes import Lanes, packed, with_one
from unstuck.studies.nets import Net, Pace, module
from unstuck.studies.rice.run import MAXABS, RAW, RAW_LOGITS, ZSCORE, ZSCORE_LOGITS, Run
from unstuck.studies.rice.table import formed, sizes
from unstuck.studies.rice.training import BATCH, HIDDEN, RATE, Variant
from unstuck.studies.rice.witness import DIVISOR
from unstuck.studies.story import Section, Table, judged, number, share

STEPS = 200


def others(run: Run) -> Section:
    """The table of the other mistakes."""
    rows = tuple(_rows(run))
    costly = [name for name, _, harm in rows if harm == "misleads" or harm == "breaks"]
    text = (
        f"{len(rows)} things in the program are wrong or look wrong. None of them is why it does not learn: each was "
        "run by itself, and those that cost anything cost the truth of what is printed or break on another machine "
        f"({len(costly)} of {len(rows)})."
    )
    return Section(
        "The other mistakes",
        "Suspected in the thread's answers and by any reader: one of the program's other mistakes is to blame.",
        text,
        judged(any(harm == "prevents learning" for *_, harm in rows)),
        Table(("mistake", "measured", "what it costs"), rows),
    )


def _rows(run: Run) -> Iterator[tuple[str, str, str]]:
    yield "validation loss added to the training total", _printed_zero(run), "misleads"
    yield f"the total divided by {DIVISOR}", _divisor(run), "misleads"
    yield "prediction.round() == label on logits", _rounded(run), "misleads"
    yield "input.to(device), the result dropped", _device(), "breaks"
    yield "no nonlinearity between the layers", _affine(run), "nothing"
    yield "no eval() and train()", _modes(run), "nothing"
    yield "the label column divided too", _labels(run), "nothing"
    yield "statistics over all rows, before the split", _before_split(run), "nothing"
    yield "zero_grad after the step", _zeroed(run), "nothing"
    yield "a network at all", _logistic(run), "nothing"


def _printed_zero(run: Run) -> str:
    raw = ", ".join(number(run.val_loss(RAW, seed)) for seed in range(min(3, run.seeds)))
    cured = f"{run.val_loss(MAXABS):.3f}"
    return f"prints Validation Loss 0.0000; the true mean per batch is {raw} (raw, first seeds) and {cured} (max-abs)"


def _divisor(run: Run) -> str:
    train, val, _ = sizes(len(run.rice.y))
    batches = -(-train // BATCH) + -(-val // BATCH)
    return f"{batches} batches go into the total: what is printed is {batches / DIVISOR:g} times the mean per batch"


def _rounded(run: Run) -> str:
    printed = statistics.fmean(100 * c.printed_right[-1] for c in run.courses(RAW_LOGITS))
    true = statistics.fmean(100 * c.val_right[-1] for c in run.courses(RAW_LOGITS))
    return f"prints {number(printed, 2)} % where {number(true)} % are right"


def _device() -> str:
    x, model = torch.zeros(1, 1), nn.Linear(1, 1, device="meta")
    x.to("meta")
    try:
        model(x)
    except (RuntimeError, NotImplementedError) as error:
        return f"x stays on {x.device}; with the model on another device: {type(error).__name__}"
    return f"x stays on {x.device}; torch lets it pass"


def _affine(run: Run) -> str:
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
    return (
        f"the network is one affine map ({len(course.weights)} numbers for {columns + 1}), to {apart:.1g}; a ReLU "
        f"gains {number(gain, 1)} points at most"
    )


def _modes(run: Run) -> str:
    net, x = Net(run.rice.x.shape[1], HIDDEN, "none"), formed(run.rice.x, "max-abs")[:1000]
    plain = module(net, 0)
    dropping = nn.Sequential(plain[0], nn.Dropout(0.5), *list(plain)[1:])
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        here, there = (float((m.train()(x) - m.eval()(x)).abs().max()) for m in (plain, dropping))
    return f"outputs differ by {number(here)} here; with one Dropout in it, by up to {number(there, 2)}"


def _labels(run: Run) -> str:
    ones = float(run.rice.y.mean())
    return (
        f"its largest value is {number(float(run.rice.y.max()))}: no effect. With classes 1 and 2 it would be: "
        f"labels of 0.5 never equal a rounded output, and at most {number(100 * ones)} % could be counted right"
    )


def _before_split(run: Run) -> str:
    pairs = (
        (MAXABS, Variant("max-abs", "probabilities", seen="train")),
        (ZSCORE_LOGITS, Variant("z-score", "logits", seen="train")),
    )
    told = (f"{v.form} {number(run.accuracy(v).mean, 4)} % and {number(run.accuracy(w).mean, 4)} %" for v, w in pairs)
    return f"statistics of all rows and of the training rows: {', '.join(told)}"


def _zeroed(run: Run) -> str:
    return (
        "weights after 200 steps are equal to the last bit" if _same_weights(run) else "weights differ after 200 steps"
    )


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


def _logistic(run: Run) -> str:
    from sklearn.linear_model import LogisticRegression

    rows, x = run.split(0), formed(run.rice.x, "z-score").numpy()
    fitted = LogisticRegression(max_iter=1000).fit(x[rows.train], run.rice.y[rows.train])
    right = fitted.score(x[rows.test], run.rice.y[rows.test])
    ours = number(run.accuracy(ZSCORE).mean, 4)
    told = share(right, digits=4)
    return f"logistic regression on standardised columns: {told} on one split (the network: {ours} % over all)"
