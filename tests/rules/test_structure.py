"""The rules about data, targets, loss and structure: each fault in several styles, and silence on what is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import tape_of
from tests.scripts import edited
from tests.structure_scripts import FOUND, RIGHT, net, script
from unstuck.diagnosis.examine import Readings, examine
from unstuck.diagnosis.model import Finding
from unstuck.remedies.recode_targets import RecodeTargets
from unstuck.replay.bench import Bench
from unstuck.rules.catalogue import catalogue
from unstuck.tape.model import Tape

RULES = (
    *("double-activation", "missing-activation", "softmax-dim", "output-range", "wrong-loss", "loss-sign"),
    *("target-scale", "target-shape", "label-range", "input-nonfinite", "input-degenerate", "class-imbalance"),
    *("label-misaligned", "no-nonlinearity", "overfitting"),
)
SURE = {"label-range", "missing-activation", "input-nonfinite"}


def findings(fault: str, tape: Tape) -> list[Finding]:
    """What a rule says about a tape; nothing where it does not apply."""
    found, _ = examine(Readings(tape), {fault: catalogue()[fault]})
    return found


@pytest.mark.parametrize("number", range(len(FOUND)), ids=[f"{f}-{i}" for i, (f, _, _) in enumerate(FOUND)])
def test_found_in_any_style(number: int, tmp_path: Path) -> None:
    fault, body, remedy = FOUND[number]
    found = findings(fault, tape_of(script(body), tmp_path))
    assert len(found) == 1
    assert found[0].fault == fault
    assert found[0].site is not None
    assert [r.name for r in found[0].remedies[:1]] == ([remedy] if remedy else [])


@pytest.mark.parametrize("number", range(len(RIGHT)))
def test_quiet_on_what_is_right(number: int, tmp_path: Path) -> None:
    tape = tape_of(script(RIGHT[number]), tmp_path)
    assert tape.error is None
    assert [f.fault for rule in RULES for f in findings(rule, tape)] == []


def test_an_optimizer_that_maximises(tmp_path: Path) -> None:
    body = net(3, "F.cross_entropy(out, ids[rows])")
    found = findings("loss-sign", tape_of(script(body, optimizer="SGD(weights, lr=0.1, maximize=True)"), tmp_path))
    assert [f.remedies[0].name for f in found] == ["flip-sign"]
    negated = net(3, "-F.cross_entropy(out, ids[rows])")
    assert not findings(
        "loss-sign", tape_of(script(negated, optimizer="SGD(weights, lr=0.1, maximize=True)"), tmp_path)
    )


def test_a_log_softmax_taken_twice_is_said_to_do_no_harm(tmp_path: Path) -> None:
    body = net(3, "F.cross_entropy(out.log_softmax(1), ids[rows])")
    found = findings("double-activation", tape_of(script(body), tmp_path))
    assert "no harm" in found[0].message
    assert found[0].effect.word == "undecided"


def test_the_frequent_class_of_three(tmp_path: Path) -> None:
    rare = "ids = torch.zeros(N, dtype=torch.long)\nids[:3], ids[3:6] = 1, 2\nmix = torch.randperm(N)\nids = ids[mix]\n"
    found = findings("class-imbalance", tape_of(script(rare + net(3, "F.cross_entropy(out, ids[rows])")), tmp_path))
    assert [r.name for f in found for r in f.remedies] == ["weight-classes"]
    assert len(found[0].remedies[0].weights) == 3


def test_recoded_targets_are_what_the_outputs_are_scored_against(tmp_path: Path) -> None:
    body = net(1, "F.binary_cross_entropy_with_logits(out[:, 0], 1 + yes[rows])")
    tape = tape_of(script(body, epochs=12), tmp_path)
    remedy = findings("label-range", tape)[0].remedies[0]
    assert isinstance(remedy, RecodeTargets)
    bench = Bench(tape)
    assert float(bench.treat([remedy]).skill().median()) > 0.5


def test_labels_without_any_relation_to_their_rows(tmp_path: Path) -> None:
    loose = "ids = torch.randint(0, 3, (N,))\nmlp = lambda out: nn.Sequential(nn.Linear(6, 128), nn.ReLU(), nn.Linear(128, out))\n"  # noqa: E501
    tape = tape_of(script(loose + net(3, "F.cross_entropy(out, ids[rows])"), epochs=25), tmp_path, seconds=300)
    if why := Bench(tape).why:
        pytest.skip(f"this machine is too busy for an experiment: {why}")
    found = findings("label-misaligned", tape)
    assert len(found) == 1
    assert found[0].settles == ("halves",)


def test_a_relation_that_no_line_shows_is_a_relation(tmp_path: Path) -> None:
    ring = "N = 160\nx = torch.randn(N, 2)\nids = (x.norm(dim=1) > 1.2).long()\nmlp = lambda out: nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, out))\n"  # noqa: E501
    tape = tape_of(script(ring + net(2, "F.cross_entropy(out, ids[rows])"), epochs=3), tmp_path)
    assert not findings("label-misaligned", tape)


@pytest.mark.parametrize("fault", sorted(RULES))
def test_a_tape_without_steps_is_no_trouble(fault: str) -> None:
    assert findings(fault, Tape(script="a.py", folder=".", torch="", stopped="script ended")) == []


def test_the_longer_side_of_a_reflected_difference_is_squeezed(tmp_path: Path) -> None:
    body = net(3, "-(out.log_softmax(1)[:, 0] * (value[rows] - mlp(1)(x[rows]).detach())).mean()")
    (found,) = findings("target-shape", tape_of(script(body), tmp_path))
    assert "(value[rows] - mlp(1)(x[rows]).detach().squeeze(-1))" in edited(found.remedies[0], script(body))
