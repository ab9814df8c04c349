"""What a finished diagnosis can never say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.whole import diagnosed
from unstuck.cli.outputs import code
from unstuck.diagnosis.experiment import Experiment, Replay, Request, Rerun, Run, Word
from unstuck.diagnosis.model import Diagnosis, Effect, Finding, Metric, Patch, proven
from unstuck.diagnosis.roles import state_of
from unstuck.diagnosis.sanity import LARGEST, sane, skill_of, unhurried
from unstuck.diagnosis.skill import SETTLED, STUCK
from unstuck.diagnosis.whole_runs import run_of
from unstuck.tape.model import Optimizer, Tape


def tape(kind: str = "SGD") -> Tape:
    return Tape(script="train.py", folder=".", torch="2", stopped="script ended", optimizers=(Optimizer(kind),))


def diagnosis(**more: object) -> Diagnosis:
    plain = Diagnosis("train.py", "2", "0", 400, "script ended", False, "does-not-learn")
    return msgspec.structs.replace(plain, **more)


@dataclass(frozen=True)
class Rate:
    """Stands for the remedy that sets a rate."""

    rate: float
    name: str = "set-rate"


def slow(rate: float) -> Diagnosis:
    cause = Finding("lr-too-low", "too low", remedies=(Rate(rate),), role="cause", severity="error", effect=proven("x"))
    return diagnosis(findings=(cause,), patch=Patch("likely", True, "diff", ("set-rate",)))


@pytest.mark.parametrize(("kind", "rate", "kept"), [
    ("SGD", 200.0, False), ("SGD", 10.0, True), ("Adam", 200.0, False), ("Adam", 3.0, False), ("Adam", 0.1, True),
])  # fmt: skip
def test_no_rate_that_nobody_uses_is_proven(kind: str, rate: float, kept: bool) -> None:
    done = sane(slow(rate), tape(kind))
    assert [f.role for f in done.findings] == ["cause" if kept else "suspect"]
    assert done.patch is not None
    assert done.patch.proven is kept and done.patch.trust == ("likely" if kept else "advice")


@pytest.mark.parametrize(("state", "learns", "known", "kept"), [
    ("unknown", None, "guessed", False), ("unknown", None, "observed", True),
    ("does-not-learn", False, "guessed", True),
])  # fmt: skip
def test_what_no_score_judges_is_not_proven_by_one(state: str, learns: bool | None, known: str, kept: bool) -> None:
    (cause,) = slow(0.1).findings
    found = (msgspec.structs.replace(cause, known=known),)
    done = sane(msgspec.structs.replace(slow(0.1), state=state, learns=learns, findings=found), tape())
    assert [f.role for f in done.findings] == ["cause" if kept else "hint"]
    assert (done.patch is not None) is kept
    assert kept or done.findings[0].effect.word == "undecided"


def test_no_difference_needs_runs() -> None:
    empty = Experiment(Request(Replay()), "no-difference", "median skill nan", lanes=0)
    done = sane(diagnosis(log=(empty, msgspec.structs.replace(empty, lanes=8))), tape())
    assert [e.word for e in done.log] == ["not-tried", "no-difference"]


@pytest.mark.parametrize(("state", "score", "after"), [
    ("does-not-learn", 1.0, "unknown"), ("does-not-learn", 0.5, "does-not-learn"), ("learns-well", 0.5, "unknown"),
    ("learns-well", 0.99, "learns-well"),
])  # fmt: skip
def test_the_state_is_never_denied_by_the_score_beside_it(state: str, score: float, after: str) -> None:
    suspect = Finding("dead-relu", "dead", role="suspect", severity="warning")
    done = sane(diagnosis(state=state, metric=Metric("accuracy", 0.5, score), findings=(suspect,)), tape())
    assert done.state == after
    assert (done.findings[0].role == "suspect") is (after == state)


@pytest.mark.parametrize("run", [
    Run(skill=0.0, passes=400, task="binary", flat=True), Run(skill=0.0, passes=400, task="unknown"),
    Run(skill=0.0, passes=400, task="classes", turns=True),
])  # fmt: skip
def test_a_run_that_no_score_can_judge_says_why(run: Run) -> None:
    assert state_of(run) == "unknown" and run.unjudged


LOOP = """
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
x = torch.randn(400, 6)
model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for step in range(60):
    b = x[torch.randint(0, 400, (32,))]
    {loss}
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(loss.item())
"""
UNJUDGED = {
    "one class": "loss = F.cross_entropy(model(b), torch.ones(32, dtype=torch.long))",
    "contrastive": "z = F.normalize(torch.cat([model(b), model(b + 0.1 * torch.randn_like(b))]), dim=1); "
    "s = (z @ z.T / 0.5).fill_diagonal_(-1e9); loss = F.cross_entropy(s, torch.arange(64).roll(32))",
    "physics": "b.requires_grad_(); u = model(b); "
    "d = torch.autograd.grad(u.sum(), b, create_graph=True)[0]; loss = (d.sum(1) + u.sum(1)).pow(2).mean()",
    "policy": "p = torch.distributions.Categorical(logits=model(b)); a = p.sample(); "
    "r = (a == b[:, :3].argmax(1)).float(); loss = -(p.log_prob(a) * (r - r.mean())).mean()",
}


@pytest.mark.net
@pytest.mark.parametrize("kind", UNJUDGED)
def test_tasks_without_a_score_are_not_called_sick(kind: str, tmp_path: Path) -> None:
    done = diagnosed(LOOP.format(loss=UNJUDGED[kind]), tmp_path / "work", prove=False).diagnosis
    assert (done.state, done.learns) == ("unknown", None)
    assert done.unjudged and not done.causes and not done.suspects


@pytest.mark.net
def test_a_loss_that_is_not_a_number_is_told(tmp_path: Path) -> None:
    loss = "loss = (model(b) * 0 / 0).mean() + F.mse_loss(model(b), b[:, :3])"
    done = diagnosed(LOOP.format(loss=loss), tmp_path / "work", prove=False).diagnosis
    assert done.broke and done.state == "does-not-learn"


SHOWN = st.one_of(st.none(), st.floats(-300, 1))


@given(
    st.sampled_from(["learns-well", "below-headroom", "does-not-learn", "too-early", "unknown"]),
    st.sampled_from([0.0, 0.5, 0.9]), SHOWN, st.sampled_from(["cause", "suspect", "hint"]),
    st.sampled_from(["guessed", "observed"]), st.floats(1e-6, 1e4), st.integers(0, 3),
)  # fmt: skip
def test_laws_of_every_diagnosis(
    state: str, constant: float, score: float | None, what: str, known: str, rate: float, lanes: int
) -> None:
    effect = proven("x") if what == "cause" else Effect()
    finding = Finding("lr-too-low", "slow", remedies=(Rate(rate),), role=what, known=known, effect=effect)
    metric = Metric("r2", constant, score) if score is not None else None
    log = (Experiment(Request(Replay()), "no-difference", "", lanes=lanes),)
    bare = diagnosis(state=state, learns=None, metric=metric, findings=(finding,), log=log)
    done = sane(bare, tape())
    skill = skill_of(done)
    if not done.causes and skill is not None:
        assert not (done.state == "does-not-learn" and skill >= SETTLED)
        assert not (done.state == "learns-well" and skill <= STUCK)
    assert all(f.remedies[0].rate <= LARGEST for f in done.causes)
    assert all(e.lanes for e in done.log if e.word == "no-difference")
    assert sane(done, tape()) == done


@pytest.mark.parametrize("losses", [(float("nan"),) * 5, (1.0, 0.5, float("inf")), (float("nan"), 1.0, float("nan"))])
def test_a_run_whose_last_loss_is_not_a_number_is_broken(losses: tuple[float, ...]) -> None:
    run = run_of(msgspec.structs.replace(tape(), losses=losses))
    assert run.broke and state_of(run) == "does-not-learn"
    assert not run_of(msgspec.structs.replace(tape(), losses=(float("nan"), 1.0))).broke


@pytest.mark.parametrize("broke", [True, False])
def test_a_broken_run_never_ends_with_exit_code_0(broke: bool) -> None:
    assert code(diagnosis(broke=broke)) == (1 if broke else 0)


RISING, LEVEL = tuple(n / 24 for n in range(24)), (0.5,) * 24


@pytest.mark.parametrize(
    ("run", "known", "role"),
    [
        (Run(skill=0.6, curve=RISING, cut=True), "guessed", "hint"),
        (Run(skill=0.6, curve=RISING, cut=True), "observed", "cause"),
        (Run(skill=0.6, curve=RISING), "guessed", "cause"),
        (Run(skill=0.5, curve=LEVEL, cut=True), "guessed", "cause"),
    ],
    ids=["a guess", "a fact", "not cut", "at rest"],
)
def test_no_guess_is_the_cause_of_a_run_that_was_cut_while_it_was_rising(run: Run, known: str, role: str) -> None:
    found = Finding(
        "excess-dropout", "p", remedies=(Rate(0.1, "set-dropout"),), role="cause", severity="error", known=known,
        effect=proven("it heals"),
    )  # fmt: skip
    patch = Patch("likely", True, "diff", ("set-dropout",))
    said = unhurried(diagnosis(learns=True, state="unknown", findings=(found,), patch=patch), run)
    assert [f.role for f in said.findings] == [role]
    assert (said.patch is None) == (role == "hint")
    assert unhurried(diagnosis(findings=(found,)), run).findings == (found,)


@pytest.mark.parametrize(("word", "role"), [("undecided", "hint"), ("helps", "cause"), ("heals", "cause")])
def test_a_guess_is_no_cause_where_the_patched_script_gains_nothing(word: Word, role: str) -> None:
    found = Finding("bad-init", "small", role="cause", severity="error", effect=proven("the first steps are better"))
    ran = Experiment(Request(Rerun()), word, "0.852 before, 0.858 after", run=Run(skill=0.46, ended=True))
    said = unhurried(diagnosis(learns=True, state="unknown", findings=(found,)), Run(skill=0.4, curve=LEVEL), ran)
    assert [f.role for f in said.findings] == [role]
