"""The rice study: a table of rice grains, a small network, and a loss that does not change."""

from __future__ import annotations

from unstuck.headroom.measure import one_thread
from unstuck.report.html.figures import number
from unstuck.tabular.studies.rice import cures, stuck
from unstuck.tabular.studies.rice.faults import others
from unstuck.tabular.studies.rice.price import price
from unstuck.tabular.studies.rice.run import MAXABS, RAW, RAW_LOGITS, Run
from unstuck.tabular.studies.rice.table import find, read
from unstuck.tabular.studies.rice.training import EPOCHS, stretches, train_all, variants
from unstuck.tabular.studies.story import Progress, Request, Study

SEEDS, QUICK_SEEDS, QUICK_EPOCHS = 20, 4, 3
FEW_SEEDS = 5
"""For the sweep over input scales: nine scales show their own noise."""

QUESTION = (
    "Somebody trains a network of two linear layers and a sigmoid on a table of rice grains: measured columns, two "
    "classes, BCELoss, Adam, batches of 8. Loss and accuracy do not change after the first epoch. With "
    "BCEWithLogitsLoss and no sigmoid it learns. Mathematically the two losses are the same: why does it matter?"
)


@one_thread()
def tell(request: Request, progress: Progress) -> Study:
    """Run the study. Raises Unavailable with instructions if the table is not found."""
    rice = read(find(request.data))
    seeds = request.seeds or (QUICK_SEEDS if request.quick else SEEDS)
    epochs = request.epochs or (QUICK_EPOCHS if request.quick else EPOCHS)
    every, words = variants(rice), f"{seeds} seeds, {epochs} epochs"
    trained = train_all(rice, every, seeds, epochs, lambda share: progress(0.8 * share, words))
    few = min(FEW_SEEDS, seeds)
    scales = train_all(rice, stretches(), few, epochs, lambda share: progress(0.8 + 0.15 * share, "input scales"))
    progress(0.95, "limits of float32, and other mistakes")
    run = Run(rice, trained, scales, seeds, epochs)
    sections = [stuck.frozen(run), stuck.printed_log(run), stuck.limits(run), stuck.outside(run)]
    sections += [cures.on_logits(run), cures.scaling(run), cures.against_scale(run)]
    sections += [cures.with_id(run)] if rice.ids is not None else []
    sections += [others(run)]
    return Study(
        "rice",
        "A table of rice grains, and a loss that does not change",
        QUESTION,
        _answer(run),
        tuple(sections),
        price(run),
    )


def _answer(run: Run) -> str:
    raw, e, start = run.courses(RAW), run.edges, run.starts
    return (
        "The columns are large. The initial logits have a median size of "
        f"{number(float(start['raw'].logits.abs().median()))}; in float32 the sigmoid of anything above "
        f"{number(e.one)} is exactly 1 and its gradient exactly 0, so BCELoss passes no gradient on: "
        f"{sum(c.stuck for c in raw)} of {run.seeds} seeds end with the same prediction for every grain. The loss on "
        f"logits keeps the gradient ({number(run.accuracy(RAW_LOGITS).mean)} % accuracy) but training is unstable (sd "
        f"{number(run.accuracy(RAW_LOGITS).sd, 2)}). With columns divided by their largest values, BCELoss gives "
        f"{number(run.accuracy(MAXABS).mean, 4)} % (sd {number(run.accuracy(MAXABS).sd, 2)})."
    )
