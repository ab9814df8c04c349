"""What enters a call is told from the tape: by line, by name, and for rows and targets."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from tests.scripts import CLASSES
from tests.signals.test_tokens import CHARACTERS, ROWS, STOI
from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.at_call import at, matching, overview, rows


def test_the_overview_lists_inputs_targets_and_calls(record: Record) -> None:
    told = overview(record(CLASSES, steps=12))
    data, target = told["enters"]
    assert data["batch_shape"] == [200, 2] and not data["is_target"] and len(data["columns_mean_std_min_max"]) == 2
    assert target["is_target"] and set(target["values"]) == {"0.0", "1.0"}
    assert [c.split()[1] for c in told["calls"]] == [
        "linear", "relu", "linear", "sigmoid", "squeeze", "binary_cross_entropy",
    ]  # fmt: skip


def test_a_line_a_function_and_a_module_mean_the_same_call(record: Record) -> None:
    tape = record(CLASSES, steps=12)
    line = CLASSES.splitlines().index("        x = torch.relu(self.fc1(x))") + 1
    (program,) = tape.programs
    by_line = matching(program, f"train.py:{line}")
    assert [c.name for c in by_line] == ["linear", "relu"] and matching(program, str(line)) == by_line
    assert matching(program, "fc1") == by_line[:1] == matching(program, "net.fc1.weight")
    assert matching(program, "torch.relu") == by_line[1:]
    called = CLASSES.splitlines().index("    out = net(x)") + 1
    assert by_line[0] in matching(program, str(called)), "a line that leads to calls means them"


def test_statistics_are_those_of_the_values_at_both_ends_of_the_run(record: Record) -> None:
    tape = record(CLASSES, steps=12)
    told = at(tape, "fc1", 2)
    first, last = told["first_step"][0], told["last_step"][0]
    given = [g["tensor"] for g in first["given"]]
    assert given == ["0 <- input 0", "1 <- weight net.fc1.weight", "2 <- weight net.fc1.bias"]
    assert first["given"][1]["std"] == pytest.approx(float(tape.start("net.fc1.weight").std(correction=0)), rel=1e-3)
    assert last["given"][1]["std"] == pytest.approx(float(tape.tensors["f:net.fc1.weight"].std(correction=0)), rel=1e-3)
    assert len(first["made"][0]["sample"]) == 2 and first["made"][0]["shape"] == [200, 16]


def test_rows_come_with_target_and_answer(record: Record) -> None:
    tape = record(CLASSES, steps=12)
    told = rows(tape, 3)
    first = told["first_batch"][0]
    data, target = (tape.tensors[key] for key in tape.passes[0].outside)
    assert first["input 0"] == pytest.approx(data[0].tolist(), rel=1e-3) and first["target"] == [float(target[0])]
    assert 0 < first["answer"][0] < 1 and told["task"] == "binary"


def test_a_line_without_a_call_is_refused_with_the_lines_that_have_one(record: Record) -> None:
    with pytest.raises(NotApplicable, match=r"train\.py:\d+"):
        at(record(CLASSES, steps=4), "train.py:1", 1)


def test_rows_of_token_ids_are_told_as_text(record: Record) -> None:
    told = rows(record(CHARACTERS.format(**STOI, **ROWS)), 1)
    (row,) = told["last_batch_as_text"]["input 0"]
    assert row["given"].startswith("u i c k ␣ b") and row["target"].startswith("i c k ␣ b") and row["answer"]


BROKEN = CLASSES.replace("net(x)", "net(x / 0 - x / 0)").replace("BCELoss", "MSELoss")


def test_what_is_no_number_is_named(record: Record) -> None:
    told = rows(record(BROKEN, steps=4), 1)
    assert set(told["first_batch"][0]["input 0"]) == {"nan"}
