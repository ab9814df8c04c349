"""Ids that are nearly all alike are told where they should tell rows apart; padding, flags and rare ids are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import tape_of
from unstuck.diagnosis.model import NotApplicable
from unstuck.micro import one_id
from unstuck.micro.step import Recorded
from unstuck.rules import input_degenerate

PAIRS = """
import torch
from torch import nn

torch.manual_seed(0)
who, liked = torch.randint(0, 50, (600,)), torch.randint(0, 40, (600,))
disliked = {disliked}
users, things = nn.Embedding(50, 8), nn.Embedding(40, 8)
optimizer = torch.optim.Adam([*users.parameters(), *things.parameters()], lr=0.01)


def score(u, i):
    return (users(u) * things(i)).sum(1)


for rows in torch.randperm(600).split(50):
    loss = -nn.functional.logsigmoid(score(who[rows], liked[rows]) - score(who[rows], disliked[rows])).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
WORDS = """
import torch
from torch import nn

torch.manual_seed(0)
lengths = torch.randint(1, 4, (600,))
words = torch.randint(1, 40, (600, 40)) * (torch.arange(40) < lengths[:, None])
y, flag = words[:, 0] % 3, (torch.rand(600) > 0.97).long()
table, flags, layer = nn.Embedding(40, 8{padding}), nn.Embedding({flags}, 8), nn.Linear(8, 3)
optimizer = torch.optim.Adam([*table.parameters(), *flags.parameters(), *layer.parameters()], lr=0.01)
for rows in torch.randperm(600).split(50):
    loss = nn.functional.cross_entropy(layer(table({seen}[rows]).mean(1) + flags(flag[rows])), y[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


def told(folder: Path, text: str) -> list[str]:
    return [s.what for s in one_id.ask(Recorded(tape_of(text, folder))).statements]


def test_one_negative_for_every_row_is_told(tmp_path: Path) -> None:
    text = PAIRS.format(disliked="torch.full((600,), 7)")
    (statement,) = one_id.ask(Recorded(tape_of(text, tmp_path))).statements
    assert "all the ids that are looked up are 7" in statement.what
    assert "another lookup of the table gets 40 different ones" in statement.what
    assert statement.site is not None and "disliked" in text.splitlines()[statement.site.line - 1]


def test_negatives_that_differ_are_not_told(tmp_path: Path) -> None:
    assert told(tmp_path, PAIRS.format(disliked="torch.randint(0, 40, (600,))")) == []


@pytest.mark.parametrize("padding", ["", ", padding_idx=0"])
@pytest.mark.parametrize("seen", ["words", "words.flip(1)"])
def test_padding_is_not_counted(tmp_path: Path, padding: str, seen: str) -> None:
    assert told(tmp_path, WORDS.format(padding=padding, flags=2, seen=seen)) == []


@pytest.mark.parametrize("flags", [2, 9])
def test_a_flag_that_is_hardly_ever_set_is_not_told(tmp_path: Path, flags: int) -> None:
    assert told(tmp_path, WORDS.format(padding="", flags=flags, seen="words")) == []


def test_ids_that_are_all_alike_are_a_suspect_of_the_inputs(tmp_path: Path) -> None:
    tape = tape_of(WORDS.format(padding=", padding_idx=0", flags=9, seen="words.clamp(max=1)"), tmp_path)
    found = one_id.ask(Recorded(tape))
    (finding,) = input_degenerate.check(None, None, None, found, tape)
    assert finding.known == "observed"
    assert "all the ids that are looked up are 1, and 39 of the table's 40 rows are never looked up" in finding.message


def test_lookups_that_tell_rows_apart_are_no_suspect(tmp_path: Path) -> None:
    tape = tape_of(PAIRS.format(disliked="torch.full((600,), 7)"), tmp_path)
    assert not list(input_degenerate.check(None, None, None, one_id.ask(Recorded(tape)), tape))


def test_a_step_without_ids_is_none(tmp_path: Path) -> None:
    text = (
        WORDS.format(padding="", flags=2, seen="words")
        .replace("table(", "one_hot(")
        .replace("for rows", "one_hot = lambda w: nn.functional.one_hot(w, 8).float()\nfor rows", 1)
    )
    text = text.replace("one_hot(words[rows])", "one_hot(words[rows] % 8)").replace(
        "flags(flag[rows])", "flag[rows, None]"
    )
    with pytest.raises(NotApplicable):
        one_id.ask(Recorded(tape_of(text, tmp_path)))
