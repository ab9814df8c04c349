"""Causes that a command of the person's names: proven, refuted or left undecided by the patched script, as our own."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from tests.whole import record
from unstuck.diagnosis.asked import SAID, Best, Tried, in_turn
from unstuck.diagnosis.experiment import Experiment, OwnNumber, Request, Rerun, Run
from unstuck.diagnosis.model import Diagnosis
from unstuck.diagnosis.pipeline import Options, diagnose
from unstuck.diagnosis.question import Answer, NoAnswer, answers, asked
from unstuck.diagnosis.runners import Runners
from unstuck.tape.files import load
from unstuck.tape.model import Tape

TRAIN = """\
import torch
from torch import nn

torch.manual_seed(1)
x = torch.randn(512, 4)
y = x @ torch.tensor([[1.0], [-2.0], [0.5], [1.5]])
net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1))
optimizer = torch.optim.SGD(net.parameters(), lr=1e-6)
for epoch in range(12):
    for rows in torch.randperm(512).split(32):
        loss = nn.functional.mse_loss(net(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(loss.item())
"""


def diff(before: str, after: str) -> str:
    """Of one line of TRAIN."""
    at = 1 + next(n for n, line in enumerate(TRAIN.splitlines()) if line == before)
    return f"--- a/train.py\n+++ b/train.py\n@@ -{at},1 +{at},1 @@\n-{before}\n+{after}\n"


RATE = diff(*("optimizer = torch.optim.SGD(net.parameters(), lr=" + v for v in ("1e-6)", "0.05)")))
UPWARDS = diff("        loss.backward()", "        (-1e4 * loss).backward()")
SEED = diff("torch.manual_seed(1)", "torch.manual_seed(2)")
ELSEWHERE = "--- a/train.py\n+++ b/train.py\n@@ -1,1 +1,1 @@\n-import nothing\n+import torch\n"
Judge = Callable[..., Diagnosis]


@pytest.fixture(scope="module")
def tape_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("asked") / "script"
    folder.mkdir()
    (folder / "train.py").write_text(TRAIN)
    return record(folder)


@pytest.fixture(scope="module")
def known(tape_folder: Path) -> Diagnosis:
    return diagnose(tape_folder, Options(prove=False))


@pytest.fixture(scope="module")
def judge(tape_folder: Path, known: Diagnosis) -> Iterator[Judge]:
    tape: Tape = load(tape_folder)
    with closing(Runners(tape, lambda _: None)) as run:

        def judged(*said: dict[str, object], tried: bool = True) -> Diagnosis:
            return in_turn(known, tape, saying(json.dumps(said)), run if tried else None)

        yield judged


def saying(text: str) -> str:
    """A command that reads its stdin and prints a text."""
    return python(f"import sys; sys.stdin.read(); print({text!r})")


def python(program: str) -> str:
    return shlex.join([sys.executable, "-c", program])


def of_command(diagnosis: Diagnosis) -> dict[str, tuple[str, str]]:
    return {f.fault: (f.role, f.effect.word) for f in diagnosis.findings if f.origin == "asked"}


@pytest.mark.net
def test_a_patch_that_heals_makes_the_answer_a_cause(judge: Judge) -> None:
    told = judge({"cause": "lr-too-low", "file": "train.py", "line": 8, "patch": RATE, "why": "the rate is 1e-6"})
    (cause,) = [f for f in told.findings if f.origin == "asked"]
    assert (cause.role, cause.effect.word, cause.message) == (
        "cause",
        "proven",
        "the rate is 1e-6 (said by the command that was asked)",
    )
    assert cause.site is not None and (cause.site.file, cause.site.line) == ("train.py", 8)
    assert told.findings[0] == cause
    assert told.patch is not None and told.patch.proven and "lr=0.05" in told.patch.diff
    assert told.patch.files[0].before is not None
    assert any(r.name == "given-patch" for e in told.log for r in e.request.remedies)


@pytest.mark.net
def test_a_patch_that_does_not_help_is_no_cause(judge: Judge) -> None:
    wrong = {"cause": "target-shape", "patch": UPWARDS}
    told = judge({"cause": "not-shuffled", "patch": SEED}, wrong, {"cause": "dead-relu", "patch": ELSEWHERE})
    assert of_command(told)["target-shape"] == ("hint", "refuted")
    assert of_command(told)["not-shuffled"] == ("suspect", "undecided")
    assert of_command(told)["dead-relu"] == ("hint", "undecided")  # its own check found nothing
    assert told.patch is None or told.patch.remedies != ("given-patch",)


HALF = diff(*("optimizer = torch.optim.SGD(net.parameters(), lr=" + v for v in ("1e-6)", "0.0015)")))


@pytest.mark.net
def test_what_stays_far_behind_another_patch_is_no_cause(judge: Judge) -> None:
    told = judge({"cause": "lr-too-low", "patch": RATE}, {"cause": "bad-init", "patch": HALF})
    assert of_command(told)["lr-too-low"] == ("cause", "proven")
    assert of_command(told)["bad-init"] == ("hint", "undecided")
    assert of_command(judge({"cause": "bad-init", "patch": HALF}))["bad-init"] == ("cause", "proven")
    told = judge({"cause": "its rate is far too low", "patch": RATE}, {"cause": "its first weights", "patch": HALF})
    assert [s.proven for s in told.statements if SAID in s.what] == [True, False]


@pytest.mark.parametrize(("task", "word"), [("classes", "refuted"), ("unknown", "undecided")])
def test_a_run_without_a_score_of_its_own_refutes_nothing(task: str, word: str) -> None:
    harmed = Experiment(Request(Rerun()), "harms", "its loss is larger", run=Run(skill=0.1, task=task))
    assert Tried(Answer("wrong-loss", patch=RATE), (harmed,)).effect.word == word


@pytest.mark.parametrize(("task", "word"), [("classes", "proven"), ("unknown", "undecided")])
def test_a_smaller_loss_proves_nothing_where_the_loss_is_no_score(task: str, word: str) -> None:
    """A patch of a policy may change what its loss is."""
    lower = Experiment(Request(Rerun()), "heals", "its loss is smaller", run=Run(skill=0.95, task=task))
    assert Tried(Answer("wrong-loss", patch=RATE), (lower,)).effect.word == word


BETTER = OwnNumber("result mean iou", 0.107, 0.872, 0.765, True)


@pytest.mark.parametrize(("own", "seeded", "word"), [
    (BETTER, True, "proven"), (BETTER, False, "undecided"),
    (msgspec.structs.replace(BETTER, before=0.45, gain=0.422, heals=False), True, "undecided"),
    (msgspec.structs.replace(BETTER, heals=False), True, "proven"),
    (OwnNumber("final hr@10", 10.0, 35.0, 0.25, False), True, "undecided"),
    (OwnNumber("result mean iou", 0.107, 0.12, 0.013, False), True, "refuted"), (None, True, "refuted"),
    (OwnNumber("loss", 0.4, 0.4, 0.0, False, "the script prints distance 0.8 before, 0.02 after"), True, "undecided"),
])  # fmt: skip
def test_the_number_that_the_script_prints_counts_beside_its_score(
    own: OwnNumber | None, seeded: bool, word: str
) -> None:
    run = Run(skill=0.98, task="classes", seeded=seeded)
    same = Experiment(Request(Rerun()), "no-difference", "0.985 before, 0.985 after", run=run, own=own)
    effect = Tried(Answer("wrong-loss", patch=RATE), (same,)).effect
    assert effect.word == word
    assert word != "proven" or effect.because == "the script prints result mean iou 0.107 before, 0.872 after"


def test_a_proof_by_the_printed_number_is_not_behind_another_score() -> None:
    shown = Experiment(Request(Rerun()), "undecided", "unknown", run=Run(task="unknown"), own=BETTER)
    assert not Best(0.97).ahead_of(Tried(Answer("wrong-loss", patch=RATE), (shown,)))


def test_a_proof_by_the_printed_number_is_behind_a_larger_one() -> None:
    run = Run(skill=0.0, task="classes")
    part = msgspec.structs.replace(BETTER, after=0.4, gain=0.293, heals=False)
    whole, half = (Experiment(Request(Rerun()), "undecided", "", run=run, own=own) for own in (BETTER, part))
    best = Best.of([half, whole])
    tried = [Tried(Answer("a cause", patch=RATE), (e,)) for e in (whole, half)]
    assert [best.ahead_of(t) for t in tried] == ["", f"with another patch {BETTER}"]


def test_words_of_its_own_become_a_statement(judge: Judge) -> None:
    told = judge({"cause": "the moon is full"}, {"cause": "steps of a millionth", "patch": RATE})
    said = [s for s in told.statements if s.experiment == "asked"]
    assert [s.proven for s in said] == [False, True]
    assert said[0].what.startswith("the moon is full (said by the command that was asked; undecided")
    assert of_command(told) == {}


def test_without_experiments_no_answer_is_a_cause(judge: Judge, known: Diagnosis) -> None:
    told = judge({"cause": "lr-too-low", "patch": RATE}, tried=False)
    assert [(f.role, f.effect.word) for f in told.findings if f.fault == "lr-too-low"] == [("suspect", "undecided")]
    assert told.patch == known.patch and told.log == known.log


def test_no_answer_costs_a_note(tape_folder: Path, known: Diagnosis) -> None:
    tape = load(tape_folder)
    for command in (saying("I do not know"), python("raise SystemExit(3)"), saying("[]"), "no-such-command-here"):
        told = in_turn(known, tape, command, None)
        assert len(told.notes) == len(known.notes) + 1 and "the command that was asked" in told.notes[-1]
        assert told.findings == known.findings


def test_the_command_is_given_the_dossier_and_the_sources(tape_folder: Path) -> None:
    check = (
        "import json, sys; q = json.load(sys.stdin); assert q['format'] == 1 and q['dossier']['format'] == 1;"
        "print(json.dumps([{'cause': ' '.join([q['dossier']['run']['script'], str(len(q['sources'])),"
        "str('lr-too-low' in q['faults'])])}]))"
    )
    told = diagnose(tape_folder, Options(prove=False, ask=python(check)))
    assert any(s.what.startswith("train.py 1 True (said") for s in told.statements), told.notes


def test_answers_are_read_from_what_a_model_prints() -> None:
    fenced = 'Here:\n```json\n[{"cause": "a", "line": 3}, {"cause": 4}, 5, {"cause": " "}]\n```\nGood luck.'
    assert [(a.cause, a.line) for a in answers(fenced)] == [("a", 3)]
    assert [a.cause for a in answers('{"answers": [{"cause": "b", "line": true, "patch": 7}]}')] == ["b"]
    for text in ("", "null", "{}", "[" * 100_000, '"a"'):
        with pytest.raises(NoAnswer):
            answers(text)


def test_a_command_that_does_not_end_is_ended() -> None:
    with pytest.raises(NoAnswer, match="did not answer within"):
        asked(python("import time; time.sleep(60)"), "{}", seconds=0.3)
