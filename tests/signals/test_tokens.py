"""Rows of token ids are told as the script's own texts, along the axis of the batch, beside targets and answers."""

from __future__ import annotations

from tests.recorded import Record
from unstuck.signals.looks import looks

CHARACTERS = """
import torch
from torch import nn

text = "the quick brown fox jumps over the lazy dog\\n" * 8
{vocabulary}
data = torch.tensor([{code} for c in text])
table, read, out = nn.Embedding({size}, 8), nn.GRU(8, 8, batch_first={first}), nn.Linear(8, {size})
optimizer = torch.optim.SGD([*table.parameters(), *read.parameters(), *out.parameters()], lr=0.1)
for step in range(6):
    rows = torch.stack([data[n:n + 13] for n in range(step, 40, 8)]){turned}
    x, y = {halves}
    loss = nn.functional.cross_entropy(out(read(table(x))[0]).reshape(-1, {size}), y.reshape(-1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
ROWS = {"turned": "", "first": True, "halves": "rows[:, :-1], rows[:, 1:]"}
COLUMNS = {"turned": ".T.contiguous()", "first": False, "halves": "rows[:-1], rows[1:]"}
STOI = {"vocabulary": "stoi = {c: n for n, c in enumerate(sorted(set(text)))}", "code": "stoi[c]", "size": 28}
HELD = {
    "vocabulary": "class Data: pass\nheld = Data()\nheld.letters = sorted(set(text))",
    "code": "held.letters.index(c)",
    "size": 28,
}
CODES = {"vocabulary": "", "code": "ord(c)", "size": 128}
NOWHERE = {"vocabulary": "", "code": "ord(c) % 100", "size": 100}


def test_a_dict_of_the_script_gives_the_texts_of_ids_targets_and_answers(record: Record) -> None:
    (entering,) = looks(record(CHARACTERS.format(**STOI, **ROWS))).entering
    first = entering.tokens[0]
    assert (entering.kind, entering.named, entering.shape, len(entering.tokens)) == ("identities", "stoi", (5, 12), 5)
    assert "".join(first.given) == "uick␣brown␣f" and "".join(first.wanted) == "ick␣brown␣fo"
    assert len(first.answered) == 12 and set("".join(first.answered)) <= set("abcdefghijklmnopqrstuvwxyz␣⏎")


def test_rows_run_along_the_axis_that_the_network_reads_as_the_batch(record: Record) -> None:
    (entering,) = looks(record(CHARACTERS.format(**STOI, **COLUMNS))).entering
    assert entering.shape == (12, 5) and "".join(entering.tokens[0].given) == "uick␣brown␣f"
    assert "".join(entering.tokens[0].wanted) == "ick␣brown␣fo"


def test_a_list_that_an_object_holds_names_them_too(record: Record) -> None:
    (entering,) = looks(record(CHARACTERS.format(**HELD, **ROWS))).entering
    assert entering.named == "held.letters" and "".join(entering.tokens[0].given) == "uick␣brown␣f"


def test_codes_of_characters_are_characters_and_other_ids_stay_numbers(record: Record) -> None:
    (codes,) = looks(record(CHARACTERS.format(**CODES, **ROWS))).entering
    assert codes.named == "character codes" and "".join(codes.tokens[0].given) == "uick␣brown␣f"
    (numbers,) = looks(record(CHARACTERS.format(**NOWHERE, **ROWS))).entering
    assert not numbers.named and numbers.tokens[0].given[:3] == ("17", "5", "99")


def test_two_names_of_one_size_that_disagree_name_nothing(record: Record) -> None:
    script = CHARACTERS.format(**STOI, **ROWS).replace("data =", "other = sorted(stoi, reverse=True)\ndata =")
    (entering,) = looks(record(script)).entering
    assert not entering.named and all(text.isdigit() for text in entering.tokens[0].given)


TABLE = """
import torch

words = ["none", "good", "bad", "film", "plot"]
ids = torch.tensor([[3, 1], [4, 2], [4, 1], [3, 2]])
target = torch.tensor([1.0, 0.0, 1.0, 0.0])
table = torch.zeros(5, 2, requires_grad=True)
for step in range(4):
    loss = ((table[ids].sum((1, 2)) - target) ** 2).mean()
    loss.backward()
    with torch.no_grad():
        table -= 0.1 * table.grad
        table.grad = None
"""


def test_a_table_that_is_indexed_by_hand_is_a_lookup(record: Record) -> None:
    (entering,) = looks(record(TABLE)).entering
    assert [row.given for row in entering.tokens][:2] == [("film", "good"), ("plot", "bad")]
    assert [row.wanted for row in entering.tokens][:2] == [("1",), ("0",)]
    assert entering.tokens[0].answered


BAGS = """
import torch
from torch import nn

ids, starts = torch.tensor([3, 1, 4, 2, 2, 0]), torch.tensor([0, 2, 5])
table, head = nn.EmbeddingBag(5, 4, include_last_offset={last}), nn.Linear(4, 2)
optimizer = torch.optim.SGD([*table.parameters(), *head.parameters()], lr=0.1)
for step in range(4):
    loss = nn.functional.cross_entropy(head(table(ids, {starts})), torch.tensor([1, 0, 1]))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


def test_bags_are_rows(record: Record) -> None:
    for last, given in ((False, "starts"), (True, "torch.cat([starts, torch.tensor([6])])")):
        (entering,) = looks(record(BAGS.format(last=last, starts=given))).entering
        assert [row.given for row in entering.tokens] == [("3", "1"), ("4", "2", "2"), ("0",)]
        assert [row.wanted for row in entering.tokens] == [("1",), ("0",), ("1",)]
