"""Weights that are loaded and gradients that are clipped are on the tape, and torch's functions are as they were."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.recorded import Findings, Record
from tests.scripts import edited
from unstuck.source.text import Sources

HEAD = """
import torch
from torch import nn

torch.manual_seed(0)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8)), nn.Linear(8, 2)

    def forward(self, x):
        return self.head(self.body(x))


x, y = torch.randn(80, 6), torch.randint(0, 2, (80,))
model, other = Model(), Model()
"""
LOOP = """
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for rows in torch.randperm(80).split(20):
    {before}
    loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
    optimizer.zero_grad()
    loss.backward()
    {between}
    optimizer.step()
    {after}
"""
TRAINED = LOOP.format(before="pass", between="pass", after="pass")
AGAIN = """
{trained}
stored = model.state_dict()
model = Model()
model.load_state_dict(stored)
{after}
"""
INIT = "[nn.init.kaiming_normal_(weight) for weight in {of}.parameters() if weight.dim() > 1]"


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ("", INIT.format(of="model"), True),
        ("", INIT.format(of="model.head"), False),
        (INIT.format(of="model"), "", False),
        (TRAINED, INIT.format(of="model"), True),
        (TRAINED, INIT.format(of="model.head"), False),
    ],
    ids=["all again", "a new head", "before the load", "all again, after another fit", "a new head, after another fit"],
)
def test_loaded_weights_that_are_initialised_again_are_told(
    record: Record, findings: Findings, before: str, after: str, found: bool
) -> None:
    text = HEAD + AGAIN.format(trained=before, after=after) + TRAINED
    told = findings(record(text), "checkpoint-mismatch")
    assert bool(told) is found
    assert all("initialised again" in f.message and f.site is not None for f in told)


PREFIXED = '{f"module.{k}": v for k, v in other.state_dict().items()}'
BODY = '{k: v for k, v in other.state_dict().items() if "head" not in k}'


@pytest.mark.parametrize(
    ("load", "found"),
    [
        ("model.load_state_dict(other.state_dict())", False),
        (f"model.load_state_dict({BODY}, strict=False)", False),
        (f"model.load_state_dict({PREFIXED}, strict=False)", True),
        ("model.load_state_dict({'state': other.state_dict(), 'epoch': 3}, strict=False)", True),
        (f"own = model.state_dict()\nown.update({{k: v for k, v in {PREFIXED}.items() if k in own}})\n"
         "model.load_state_dict(own)", True),
        ("model.body.load_state_dict(other.body.state_dict())", False),
        ("model.load_state_dict({k: v for k, v in other.state_dict().items() if 'body.2' in k}, strict=False)", False),
    ],
)  # fmt: skip
def test_weights_that_find_no_name_are_told(record: Record, findings: Findings, load: str, found: bool) -> None:
    tape = record(HEAD + load + TRAINED)
    assert len(tape.facts.loads) == 1
    told = findings(tape, "checkpoint-mismatch")
    assert bool(told) == found
    lines = (HEAD + load).splitlines()
    assert all(f.site is not None and "load_state_dict" in lines[f.site.line - 1] for f in told)


def test_a_head_of_another_shape_is_meant(record: Record, findings: Findings) -> None:
    text = HEAD + "old = Model()\nold.classifier, old.head = nn.Linear(8, 5), nn.Identity()\n"
    tape = record(f"{text}model.load_state_dict(old.state_dict(), strict=False){TRAINED}")
    assert tape.facts.loads[0].missing and tape.facts.loads[0].unexpected
    assert not findings(tape, "checkpoint-mismatch")


def test_a_reload_of_the_own_state_after_training_is_no_mismatch(record: Record, findings: Findings) -> None:
    tape = record(f"{HEAD}{TRAINED}\nmodel.load_state_dict(model.state_dict())")
    assert tape.facts.loads[0].after == 4 and not findings(tape, "checkpoint-mismatch")


@pytest.mark.parametrize(("place", "late"), [("before", True), ("between", False), ("after", True)])
def test_clips_are_seen_with_their_place(record: Record, place: str, late: bool) -> None:
    lines = dict.fromkeys(("before", "between", "after"), "pass")
    lines[place] = "nn.utils.clip_grad_norm_(model.parameters(), 0.25)"
    tape = record(HEAD + LOOP.format(**lines))
    assert [(c.name, c.bound, c.late) for c in tape.facts.clippings] == [("clip_grad_norm_", 0.25, late)] * 4
    assert all(c.site is not None and c.norm is not None for c in tape.facts.clippings)


def test_a_clip_behind_the_step_is_moved_before_it(record: Record, findings: Findings) -> None:
    clip = "nn.utils.clip_grad_norm_(model.parameters(), 0.25)"
    text = HEAD + LOOP.format(before="pass", between="pass", after=clip).replace("split(20)", "split(8)")
    tape = record(text)
    (found,) = findings(tape, "clip-misuse")
    (remedy,) = found.remedies
    changed = remedy.edit(Sources(dict(tape.sources), "train.py")).files["train.py"]
    lines = [line.strip() for line in changed.splitlines()]
    assert lines.count(clip) == 1 and lines.index(clip) + 1 == lines.index("optimizer.step()")
    assert not findings(record(changed), "clip-misuse")


def test_adam_does_not_mind_a_small_bound(record: Record, findings: Findings) -> None:
    clip = "nn.utils.clip_grad_norm_(model.parameters(), 1e-4)"
    text = HEAD + LOOP.format(before="pass", between=clip, after="pass").replace("split(20)", "split(8)")
    assert findings(record(text), "clip-misuse")
    assert not findings(record(text.replace("optim.SGD", "optim.Adam")), "clip-misuse")


def test_torch_is_as_it_was(record: Record) -> None:
    held = nn.Module.load_state_dict, nn.utils.clip_grad_norm_, torch.nn.utils.clip_grad.clip_grad_value_
    record(HEAD + TRAINED)
    assert held == (nn.Module.load_state_dict, nn.utils.clip_grad_norm_, torch.nn.utils.clip_grad.clip_grad_value_)


def test_a_new_head_of_the_same_shape_is_meant(record: Record, findings: Findings) -> None:
    state = "{k.replace('head.', 'old.'): v for k, v in other.state_dict().items()}"
    tape = record(f"{HEAD}model.load_state_dict({state}, strict=False){TRAINED}")
    assert tape.facts.loads[0].missing and tape.facts.loads[0].unexpected
    assert not findings(tape, "checkpoint-mismatch")


SCALER = """
scaler = torch.amp.GradScaler("cpu", init_scale=4096.0)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(6):
    for rows in torch.randperm(80).split(20):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        scaler.scale(loss).backward()
        {before}nn.utils.clip_grad_norm_(model.parameters(), {bound})
        scaler.step(optimizer)
        scaler.update()
"""
UNSCALED = "scaler.unscale_(optimizer)\n        "


def test_a_clip_of_scaled_gradients_is_told_and_mended(record: Record, findings: Findings) -> None:
    text = HEAD + SCALER.format(before="", bound=0.5)
    (found,) = findings(record(text), "clip-misuse")
    assert "the scaler's factor of 4096 is in them" in found.message
    mended = edited(found.remedies[0], text)
    assert UNSCALED + "nn.utils.clip" in mended
    assert not findings(record(mended), "clip-misuse")


@pytest.mark.parametrize(("before", "bound"), [(UNSCALED, 0.5), ("", 1e6)])
def test_a_clip_of_unscaled_gradients_and_one_that_never_bites_are_not(
    record: Record, findings: Findings, before: str, bound: float
) -> None:
    assert not findings(record(HEAD + SCALER.format(before=before, bound=bound)), "clip-misuse")
