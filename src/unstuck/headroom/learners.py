"""Simple strong learners: each is given a table and its targets, and answers for another table.

Classes are numbers 0 ... C - 1, and so are the answers; values are standardised. None of them needs more than torch,
but gradient boosting, which is left out where scikit-learn is not installed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from unstuck.headroom.features import Table

RIDGES = (10.0, 0.3, 1e-2, 1e-4)
"""Strengths of the linear map's penalty, per row; a tenth of the rows chooses."""
STEPS = 20
"""Of the logistic regression, for each strength of the penalty, from where the one before ended."""
NEIGHBOURS = (1, 5, 15)
RANKS, TURNS, SHRINK = (1, 2, 4, 8), 15, 0.3
"""Of the products of names: vectors of so many numbers, refitted so often, with this penalty."""
NAMES = 2_048
"""Columns for indices; larger vocabularies are folded to as many."""
CHECKED = 0.15
"""Share of the rows that choose between settings, and end the network's training."""
UNITS, FACTORS, EPOCHS, BATCH, PATIENCE = 64, 12, 60, 96, 6
"""Of the network: units per layer, numbers per name, passes over the rows, rows per step, passes without a gain."""
COLUMNS = 48
"""Columns that boosting gets, as principal components where there are more: its time is proportional to them."""
TREES = 400
"""Trees in all, over the classes."""


@dataclass(frozen=True)
class Problem:
    """What to learn, what to answer for, and until when (CPU seconds of this process)."""

    train: Table
    targets: Tensor
    asked: Table
    classes: int
    """0 for values."""
    until: float

    @property
    def late(self) -> bool:
        """No time is left."""
        return time.process_time() > self.until


Learner = Callable[[Problem], Tensor]


def prepared(problem: Problem) -> tuple[Tensor, Tensor]:
    """Both tables with standardised numbers and a column for each name, float32; values beyond 5 spreads are cut."""
    x, asked = problem.train.numbers, problem.asked.numbers
    mean, std = x.mean(0), (x - x.mean(0)).square().mean(0).sqrt()
    live = std > 1e-6 * (mean.abs() + 1e-30)
    scaled = [((t - mean) / std)[:, live].clamp(-5, 5) for t in (x, asked)]
    names = (problem.train.names, problem.asked.names)
    wide = [torch.cat([t, *_hot(n, problem)], 1) for t, n in zip(scaled, names, strict=True)]
    return wide[0], wide[1]


def _hot(names: Tensor, problem: Problem) -> Iterator[Tensor]:
    for column, kinds in zip(names.T, _kinds(problem), strict=True):
        yield functional.one_hot(column % kinds, kinds).float()


def _kinds(problem: Problem) -> list[int]:
    both = torch.cat([problem.train.names, problem.asked.names])
    return [min(NAMES, 1 + int(column.max())) for column in both.T]


def _split(rows: int) -> tuple[Tensor, Tensor]:
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(1))
    cut = max(1, int(CHECKED * rows))
    return order[cut:], order[:cut]


def _wanted(problem: Problem) -> Tensor:
    """(rows, columns) a column per class, or the values."""
    if problem.classes:
        return functional.one_hot(problem.targets, problem.classes).float()
    return problem.targets.float().unsqueeze(1)


def _decided(scores: Tensor, problem: Problem) -> Tensor:
    return scores.argmax(1) if problem.classes else scores[:, 0]


def _loss(scores: Tensor, targets: Tensor, problem: Problem) -> Tensor:
    if problem.classes:
        return functional.cross_entropy(scores, targets)
    return functional.mse_loss(scores[:, 0], targets.float())


def linear(problem: Problem) -> Tensor:
    """A ridge regression on values; a regularised logistic regression on classes."""
    x, asked = prepared(problem)
    return _decided(_at(asked, _line(x, problem)), problem)


def _line(x: Tensor, problem: Problem) -> Tensor:
    """(columns + 1, classes or 1) The weights of the linear map, with the strength that a part of the rows chooses."""
    make = _Logistic if problem.classes else _Ridge
    ours, checked = _split(len(x))
    part = make(x[ours], problem.targets[ours], torch.zeros(x.shape[1] + 1, problem.classes or 1))
    best, loss = RIDGES[0], float("inf")
    for ridge in RIDGES:
        now = float(_loss(_at(x[checked], part.fit(ridge)), problem.targets[checked], problem))
        best, loss = (ridge, now) if now < loss else (best, loss)
        if problem.late:
            break
    return make(x, problem.targets, part.weights).fit(best)


def _at(x: Tensor, weights: Tensor) -> Tensor:
    return x @ weights[:-1] + weights[-1]


class _Ridge:
    """Ridge regressions on the same rows."""

    def __init__(self, x: Tensor, targets: Tensor, start: Tensor) -> None:
        one = torch.cat([x, torch.ones(len(x), 1)], 1)
        self._squares, self._sums, self._rows = one.T @ one, one.T @ targets.float().unsqueeze(1), len(x)
        self.weights = start

    def fit(self, ridge: float) -> Tensor:
        """The weights with a penalty on all of them but the constant."""
        penalised = self._squares.clone()
        penalised.diagonal()[:-1] += ridge * self._rows
        self.weights = torch.linalg.solve(penalised, self._sums)
        return self.weights


class _Logistic:
    """Logistic regressions on the same rows, each from where the one before ended."""

    def __init__(self, x: Tensor, targets: Tensor, start: Tensor) -> None:
        self._x, self._targets, self.weights = x, targets, start

    def fit(self, ridge: float) -> Tensor:
        """The weights with a penalty on all of them but the constant."""
        weights = self.weights.clone().requires_grad_()
        optimizer = torch.optim.LBFGS([weights], max_iter=STEPS, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = functional.cross_entropy(_at(self._x, weights), self._targets)
            loss = loss + ridge / 2 * weights[:-1].square().sum()
            loss.backward()
            return loss

        with torch.enable_grad():
            optimizer.step(closure)  # type: ignore[arg-type]
        self.weights = weights.detach()
        return self.weights


def neighbours(problem: Problem) -> Tensor:
    """The mean of the nearest rows; their number is chosen by asking each row about the others."""
    x, asked = prepared(problem)
    wanted = _wanted(problem)
    inner = torch.cdist(x, x).fill_diagonal_(float("inf"))
    near = inner.topk(min(max(NEIGHBOURS), len(x) - 1), largest=False).indices
    losses = {k: float((wanted[near[:, :k]].mean(1) - wanted).square().mean()) for k in NEIGHBOURS if k < len(x)}
    best = min(losses, key=lambda k: losses[k])
    found = torch.cdist(asked, x).topk(best, largest=False).indices
    return _decided(wanted[found].mean(1), problem)


def factors(problem: Problem) -> Tensor:
    """What the linear map leaves, as products of vectors of two names (alternating least squares, Koren et al. 2009).

    Raises ValueError where rows are not named by at least two things, or there are more than two classes.
    """
    if problem.train.names.shape[1] < 2 or problem.classes > 2:
        raise ValueError("rows are not named by two things")
    ours, checked = _split(len(problem.train))
    part = replace(
        problem, train=problem.train.of(ours), targets=problem.targets[ours], asked=problem.train.of(checked)
    )
    left = _Left.of(part)
    losses = [((left.answered(n) - problem.targets[checked]).square().mean(), n) for n in RANKS]
    if problem.late:
        raise ValueError("no time is left")
    found = _Left.of(problem).answered(min(losses)[1])
    return (found > 0.5).long() if problem.classes else found


@dataclass(frozen=True)
class _Left:
    """What the linear map leaves of the targets, and what it answers."""

    problem: Problem
    left: Tensor
    straight: Tensor

    @classmethod
    def of(cls, problem: Problem) -> _Left:
        """Fit the linear map."""
        values = replace(problem, targets=problem.targets.float(), classes=0)
        x, asked = prepared(values)
        weights = _line(x, values)
        return cls(problem, values.targets - _at(x, weights)[:, 0], _at(asked, weights)[:, 0])

    def answered(self, rank: int) -> Tensor:
        """The linear map's answers, and the products of vectors of a rank on top of them."""
        problem, kinds = self.problem, _kinds(self.problem)[:2]
        names, asked = (t.names[:, :2] % torch.tensor(kinds) for t in (problem.train, problem.asked))
        draw = torch.Generator().manual_seed(6)
        vectors = [torch.randn(n, rank, generator=draw) for n in kinds]
        for turn in range(2 * TURNS):
            one, other = turn % 2, 1 - turn % 2
            vectors[one] = _solved(vectors[other][names[:, other]], names[:, one], self.left, kinds[one])
        return self.straight + (vectors[0][asked[:, 0]] * vectors[1][asked[:, 1]]).sum(1)


def _solved(rows: Tensor, name: Tensor, wanted: Tensor, kinds: int) -> Tensor:
    """(kinds, rank) the ridge regression of each name's rows."""
    rank = rows.shape[1]
    squares = torch.zeros(kinds, rank, rank).index_add_(0, name, rows.unsqueeze(2) * rows.unsqueeze(1))
    sums = torch.zeros(kinds, rank).index_add_(0, name, rows * wanted.unsqueeze(1))
    return torch.linalg.solve(squares + SHRINK * torch.eye(rank), sums)


class Net(nn.Module):
    """Two hidden layers over the numbers, a vector for each name, and the products of these vectors."""

    def __init__(self, numbers: int, kinds: list[int], outputs: int) -> None:
        super().__init__()
        self.names = nn.ModuleList(nn.Embedding(n, FACTORS) for n in kinds)
        for table in self.names:
            nn.init.normal_(table.weight, std=0.3)  # type: ignore[arg-type]
        self.pairs = [(a, b) for a in range(len(kinds)) for b in range(a)]
        wide = numbers + FACTORS * (len(kinds) + len(self.pairs))
        self.layers = nn.Sequential(
            nn.Linear(wide, UNITS), nn.ReLU(), nn.Linear(UNITS, UNITS), nn.ReLU(), nn.Linear(UNITS, outputs)
        )
        self.straight = nn.Linear(wide, outputs)

    def forward(self, numbers: Tensor, names: Tensor) -> Tensor:
        """(rows, outputs)"""
        vectors = [table(column) for table, column in zip(self.names, names.T, strict=True)]
        products = [vectors[a] * vectors[b] for a, b in self.pairs]
        wide = torch.cat([numbers, *vectors, *products], 1)
        return self.layers(wide) + self.straight(wide)


def network(problem: Problem) -> Tensor:
    """A small network on standardised inputs, trained by Adam until its checked rows get no better."""
    kinds = _kinds(problem)
    bare = Problem(_bare(problem.train), problem.targets, _bare(problem.asked), problem.classes, problem.until)
    x, asked = prepared(bare)
    named = [t % torch.tensor(kinds) if kinds else t for t in (problem.train.names, problem.asked.names)]
    ours, checked = _split(len(x))
    net = Net(x.shape[1], kinds, problem.classes or 1)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-2)
    best, kept, waited = float("inf"), {k: v.clone() for k, v in net.state_dict().items()}, 0
    for _ in range(EPOCHS):
        with torch.enable_grad():
            for rows in ours[torch.randperm(len(ours))].split(BATCH):
                loss = _loss(net(x[rows], named[0][rows]), problem.targets[rows], problem)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        with torch.no_grad():
            now = float(_loss(net(x[checked], named[0][checked]), problem.targets[checked], problem))
        waited = 0 if now < best else waited + 1
        if now < best:
            best, kept = now, {k: v.clone() for k, v in net.state_dict().items()}
        if waited >= PATIENCE or problem.late:
            break
    net.load_state_dict(kept)
    with torch.no_grad():
        return _decided(net(asked, named[1]), problem)


def _bare(table: Table) -> Table:
    return Table(table.numbers, table.names[:, :0])


def boosting(problem: Problem) -> Tensor:
    """Histogram gradient boosting. Raises ImportError where scikit-learn is not installed."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits  # a requirement of scikit-learn

    x, asked = _components(problem)
    made = HistGradientBoostingClassifier if problem.classes else HistGradientBoostingRegressor
    rounds = max(20, min(120, TREES // max(1, problem.classes if problem.classes > 2 else 1)))
    model = made(max_iter=rounds, learning_rate=0.1, early_stopping="auto", random_state=0)
    with threadpool_limits(1):  # threads that wait for each other stand in the way of a rerun
        model.fit(x.numpy(), problem.targets.numpy())
        return torch.from_numpy(model.predict(asked.numpy()))


def _components(problem: Problem) -> tuple[Tensor, Tensor]:
    """Numbers and names as they are; of many numbers their principal components."""
    x, asked = problem.train.numbers, problem.asked.numbers
    if x.shape[1] > COLUMNS:
        x, asked = prepared(Problem(_bare(problem.train), problem.targets, _bare(problem.asked), 0, 0.0))
        _, _, axes = torch.svd_lowrank(x, COLUMNS, niter=2)
        x, asked = x @ axes, asked @ axes
    return torch.cat([x, problem.train.names], 1), torch.cat([asked, problem.asked.names], 1)


LEARNERS: dict[str, Learner] = {
    "a scaled linear map": linear,
    "nearest neighbours": neighbours,
    "a product of factors": factors,
    "a small network": network,
    "gradient boosting": boosting,
}
"""Cheapest first."""
