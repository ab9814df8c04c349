"""Tapes of ranks are one tape where their steps are one step on all rows; else the first rank's stands for all."""

from __future__ import annotations

import msgspec
import pytest
import torch
from torch import Tensor

from unstuck.tape.model import Facts, Optimizer, Parameter, Pass, Rank, Tape, Update
from unstuck.tape.program import Call, Outside, Program, Value, Weight
from unstuck.tape.ranks import merged

STEPS = 6


def _program(reduction: str = "mean", loss: str = "mse_loss", rows: int | None = None) -> Program:
    linear = Call("torch.nn.functional.linear", (Outside(0), Weight("net.weight"), None), {}, (0,))
    flat = Call("torch.Tensor.view", (Value(0), -1 if rows is None else rows), {}, (1,))
    kwargs = {"reduction": reduction}
    return Program((linear, flat, Call(f"torch.nn.functional.{loss}", (Value(1), Outside(1)), kwargs, (2,))), 2, 2)


def _tape(rank: int, program: Program | None = None, rows: int = 4, seed: int | None = None, **changes: object) -> Tape:
    """A rank that ran STEPS steps of linear regression on rows of its own, without moving."""
    random = torch.Generator().manual_seed(rank if seed is None else seed)
    weight = torch.tensor([[1.0, -2.0, 0.5]])
    tensors: dict[str, Tensor] = {"w:net.weight": weight, "f:net.weight": weight + 1}
    passes = []
    for step in range(STEPS):
        x, y = torch.randn(rows, 3, generator=random), torch.randn(rows, generator=random)
        made = (x @ weight.T).squeeze(1)
        tensors |= {f"t:{step}x": x, f"t:{step}y": y, f"t:{step}o": made}
        passes.append(Pass(0, (f"t:{step}x", f"t:{step}y"), float(((made - y) ** 2).mean()), output=f"t:{step}o"))
    tape = Tape(
        script="train.py", folder="/f", torch="2", stopped="script ended", programs=(program or _program(),),
        parameters=(Parameter("net.weight", (1, 3), "float32", True, 0),), optimizers=(Optimizer("SGD"),),
        passes=tuple(passes), updates=tuple(Update(0, n + 1, (0.1,)) for n in range(STEPS)), steps=STEPS,
        losses=tuple(p.loss for p in passes), tensors=tensors, facts=Facts(rank=Rank(rank, 2), ended=10.0 + rank),
    )  # fmt: skip
    return msgspec.structs.replace(tape, **changes)


def test_the_batch_of_a_merged_step_is_the_rows_of_all_ranks_and_its_loss_their_mean() -> None:
    one, other = _tape(0), _tape(1)
    whole = merged(one, [other])
    assert whole.facts.ranks == (2, 2, 2)
    for step, joint in enumerate(whole.passes):
        x, y, made = (whole.tensors[key] for key in (*joint.outside, joint.output))
        assert torch.equal(x, torch.cat([one.tensors[f"t:{step}x"], other.tensors[f"t:{step}x"]]))
        assert torch.equal(y, torch.cat([one.tensors[f"t:{step}y"], other.tensors[f"t:{step}y"]]))
        assert joint.loss == pytest.approx(float(((made - y) ** 2).mean()))
        assert joint.loss == whole.losses[step]
    assert whole.programs[0].calls[0].shape == (8, 1)


def test_the_order_in_which_tapes_arrive_does_not_matter() -> None:
    first, second = merged(_tape(0), [_tape(1)]), merged(_tape(1), [_tape(0)])
    assert [p.loss for p in first.passes] == [p.loss for p in second.passes]
    assert first.facts.rank == second.facts.rank == (0, 2)


def test_what_all_ranks_share_is_not_doubled() -> None:
    shared = Program(
        (
            *_program("none").calls,
            Call("torch.mul", (Value(2), Outside(2)), {}, (3,)),
            Call("torch.Tensor.mean", (Value(3),), {}, (4,)),
        ), 4, 3,
    )  # fmt: skip
    tapes = []
    for rank in range(2):
        tape = _tape(rank, shared)
        tape.tensors["t:c"] = torch.tensor([2.0])
        passes = [msgspec.structs.replace(p, outside=(*p.outside, "t:c"), loss=2 * p.loss) for p in tape.passes]
        tapes.append(msgspec.structs.replace(tape, passes=tuple(passes)))
    whole = merged(tapes[0], tapes[1:])
    assert whole.facts.ranks.merged == 2
    assert whole.tensors[whole.passes[0].outside[2]].shape == (1,)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"program": _program("sum")}, "not the mean"),
        ({"program": _program(rows=4)}, "cannot take the rows of all"),
        ({"facts": Facts(rank=Rank(1, 2), sharded="DTensor")}, "a part of the weights"),
        ({"program": _program(loss="l1_loss")}, "different steps"),
    ],
)
def test_steps_that_are_not_one_step_leave_the_first_rank_alone(change: dict, why: str) -> None:
    both = change.get("program") if "different" not in why else None
    one, other = _tape(0, both), _tape(1, **change)
    whole = merged(one, [other])
    assert whole.facts.ranks == (2, 1, 2)
    assert whole.passes == one.passes
    assert any(why in note for note in whole.facts.processes)


def test_ranks_that_begin_apart_are_not_merged() -> None:
    other = _tape(1)
    other.tensors["w:net.weight"] = torch.zeros(1, 3)
    whole = merged(_tape(0), [other])
    assert whole.facts.ranks.merged == 1
    assert any("begin with different weights" in note for note in whole.facts.processes)


def test_gradients_that_are_not_averaged_are_said() -> None:
    other = _tape(1)
    other.tensors["f:net.weight"] = torch.zeros(1, 3)
    assert any("gradients are not averaged" in note for note in merged(_tape(0), [other]).facts.processes)
    assert not any("averaged" in note for note in merged(_tape(0), [_tape(1)]).facts.processes)


def test_the_same_rows_on_all_ranks_are_said_and_not_counted_twice() -> None:
    whole = merged(_tape(0, seed=5), [_tape(1, seed=5)])
    assert any("the same rows in each of 6 steps" in note for note in whole.facts.processes)
    assert whole.tensors[whole.passes[0].outside[0]].shape == (4, 3)
    assert whole.facts.ranks == (2, 1, 2)


def test_the_rank_that_failed_first_says_why_unless_all_were_asked_to_stop() -> None:
    error = {"type": "ValueError", "message": "bad row"}
    cause = _tape(1, stopped="script failed: ValueError: bad row", error=error)
    late = Facts(rank=Rank(0, 2), ended=12.0)
    effect = _tape(0, stopped="script failed: RuntimeError: peer", error={"type": "RuntimeError"}, facts=late)
    assert merged(effect, [cause]).stopped == "script failed: ValueError: bad row (rank 1)"
    assert merged(effect, [cause]).error == error
    assert merged(effect, [cause], stopped=True).stopped == "budget"
    assert merged(effect, [cause], stopped=True).error is None


def test_a_launcher_that_does_not_train_gives_way_to_the_ranks_it_started() -> None:
    launcher = Tape(script="torch.distributed.run", folder="/elsewhere", torch="2", stopped="script ended")
    whole = merged(launcher, [_tape(1), _tape(0)])
    assert (whole.script, whole.folder, whole.steps) == ("train.py", "/f", STEPS)
    assert whole.facts.ranks.merged == 2


def test_processes_that_train_each_for_itself_are_not_mixed() -> None:
    launcher = Tape(script="train.py", folder="/f", torch="2", stopped="script ended")
    longer = _tape(0, facts=Facts(), steps=9)
    whole = merged(launcher, [_tape(1, facts=Facts()), longer])
    assert whole.passes == longer.passes
    assert any("1 more process" in note for note in whole.facts.processes)
