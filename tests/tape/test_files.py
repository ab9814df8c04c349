"""A tape on disk: whole or one line of error, never code, and never written over anything but a tape."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tests.recorded import Record
from tests.styles import STYLES
from unstuck.replay.bench import Bench
from unstuck.tape.files import TapeError, load, save
from unstuck.tape.model import Facts, Graphs


@pytest.mark.parametrize("damage", ["truncate", "foreign", "missing", "empty", "other format", "hostile"])
def test_a_damaged_tape_raises_one_line(damage: str, record: Record, tmp_path: Path) -> None:
    record(STYLES["module"])
    folder = tmp_path / "tape"
    file, tensors = folder / "tape.json", folder / "tensors.safetensors"
    match damage:
        case "truncate":
            tensors.write_bytes(tensors.read_bytes()[:200])
        case "foreign":
            file.write_text('{"hello": 1}')
        case "missing":
            tensors.unlink()
        case "empty":
            file.write_text("")
        case "other format":
            file.write_text(file.read_text().replace('"unstuck_tape": 1', '"unstuck_tape": 99'))
        case "hostile":
            file.write_text(file.read_text().replace('"passes": [', '"passes": [7, '))
    with pytest.raises(TapeError) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_a_tape_can_only_name_torch_functions_that_compute(record: Record, tmp_path: Path) -> None:
    record(STYLES["module"])
    file = tmp_path / "tape" / "tape.json"
    file.write_text(file.read_text().replace("torch.nn.functional.linear", "torch.load"))
    bench = Bench(load(tmp_path / "tape"))
    assert "torch.load is not a torch function that can be replayed" in bench.why


def test_a_tape_never_replaces_anything_but_a_tape(record: Record, tmp_path: Path) -> None:
    tape = record(STYLES["module"])
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("precious")
    with pytest.raises(TapeError):
        save(tape, mine)
    assert (mine / "thesis.txt").read_text() == "precious"


def test_infinite_losses_survive_the_disk(record: Record) -> None:
    tape = record(STYLES["module"].replace("lr=0.01", "lr=float('inf')"))
    assert any(math.isnan(p.loss) for p in tape.passes)


def test_fields_that_an_older_tape_lacks_have_their_defaults(record: Record, tmp_path: Path) -> None:
    tape = record(STYLES["module"])
    file = tmp_path / "tape" / "tape.json"
    newer = json.loads(file.read_text())
    older = {key: newer[key] for key in ("unstuck_tape", "script", "folder", "torch", "stopped", "programs", "passes")}
    file.write_text(json.dumps(older))
    assert load(tmp_path / "tape").passes == tape.passes
    assert load(tmp_path / "tape").updates == ()


def test_facts_of_an_older_tape_are_read(record: Record, tmp_path: Path) -> None:
    record(STYLES["module"])
    file = tmp_path / "tape" / "tape.json"
    plain = json.loads(file.read_text())
    plain["facts"] = {"graphs": [2, 5], "late_rates": [[7, 0.1]], "clips": [[1.0, 0.5]], "optimizers_made_at": [0]}
    file.write_text(json.dumps(plain))
    assert load(tmp_path / "tape").facts == Facts(None, Graphs(2, 5), ((7, 0.1),))
