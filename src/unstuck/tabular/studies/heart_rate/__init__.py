"""The heart-rate study: a network that learns circles and moons, but not one threshold on one number around 92."""

from __future__ import annotations

from unstuck.headroom.measure import one_thread
from unstuck.report.html.figures import number
from unstuck.tabular.studies.heart_rate import first_answer, foresight, second_answer, wider
from unstuck.tabular.studies.heart_rate import variants as v
from unstuck.tabular.studies.heart_rate.chart import draw_map
from unstuck.tabular.studies.heart_rate.courses import train_all
from unstuck.tabular.studies.heart_rate.eval_mode import evaluate
from unstuck.tabular.studies.heart_rate.price import price
from unstuck.tabular.studies.heart_rate.run import Run
from unstuck.tabular.studies.heart_rate.words import got
from unstuck.tabular.studies.story import Progress, Request, Study

SEEDS, QUICK_SEEDS, QUICK_EPOCHS = 5, 2, 2000


@one_thread()
def tell(request: Request, progress: Progress) -> Study:
    """Run the study on generated data."""
    seeds = request.seeds or (QUICK_SEEDS if request.quick else SEEDS)
    limit = min(request.epochs or (QUICK_EPOCHS if request.quick else v.LONG), v.LONG)
    run = _train(seeds, limit, progress)
    progress(0.99, "BatchNorm in eval mode, and the cost of one step")
    sections = (
        first_answer.question(run),
        first_answer.standardise(run),
        first_answer.mean_or_spread(run),
        foresight.not_foreseen(run),
        second_answer.travel(run),
        second_answer.decaying(run),
        second_answer.larger(run),
        first_answer.batch_norm(run, evaluate(min(500, limit))),
        first_answer.logits_loss(run),
        wider.chart(run),
        wider.sensitivity(run),
        wider.every_variant(run),
    )
    return Study(
        "heart-rate",
        "One heart rate, one threshold, and a network that barely learns",
        QUESTION,
        _answer(run),
        sections,
        price(run),
    )


QUESTION = (
    "Somebody learning PyTorch trained a network of two linear layers with sigmoids (one input, ten hidden units "
    "here) with binary cross-entropy and Adam. On circles and half-moons around zero it does well. On a simpler "
    "data set, heart rates around 92 with label 1 from 91 on, it does badly. Why?"
)


def _train(seeds: int, limit: int, progress: Progress) -> Run:
    story = train_all(
        v.STORY,
        seeds,
        limit,
        lambda share: progress(0.55 * share, f"{len(v.STORY)} variants, {seeds} seeds, up to {limit} epochs"),
    )
    varied = train_all(
        v.SENSITIVITY, seeds, limit, lambda share: progress(0.55 + 0.12 * share, "other widths, spreads, optimizers")
    )
    chart = draw_map(limit, seeds, lambda share: progress(0.67 + 0.32 * share, "the map"))
    return Run(story, varied, chart, seeds, limit)


def _answer(run: Run) -> str:
    raw, standard = run.look(v.RAW), run.look(v.STANDARD)
    return (
        f"The data is far from zero. {number(100 * raw.saturated, 2)} % of the hidden layer's pre-activations are "
        f"saturated (standardised: {number(100 * standard.saturated, 2)} %), so the hidden layer is nearly constant, "
        "and its biases have to travel to the data at one learning rate per step. At rate 0.001 it reaches 99 % on "
        f"raw input {got(run.epochs(v.RAW))}; standardised {got(run.epochs(v.STANDARD))}; with only the mean "
        f"subtracted {got(run.epochs(v.CENTRED))}; with BatchNorm1d in front {got(run.epochs(v.NORM))}; with a rate "
        f"that halves every 1000 epochs {got(run.epochs(v.STEPPED))}, because the sum of the rates bounds the "
        "distance."
    )
