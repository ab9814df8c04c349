"""Which printed number is compared, and on which scale."""

from __future__ import annotations

import math

import pytest

from tests.recorded import tape_of
from unstuck.signals.own_number import alike, own_number, scale, shared
from unstuck.signals.printed import Printed

OUTPUT = "epoch 0 loss 2.1 acc 0.3\nepoch 1 loss {loss} acc {acc}\nsaved model_{n}.pt in {n} s\n"


def printed(loss: float, acc: float, n: int) -> Printed:
    """A program's output."""
    return Printed.of(OUTPUT.format(loss=loss, acc=acc, n=n))


def test_the_last_number_whose_words_say_which_way_is_better() -> None:
    label = shared(printed(1.0, 0.5, 3), printed(0.5, 0.9, 4))
    assert label is not None
    assert (label.words.split()[-1], label.better, label.value(printed(0.5, 0.9, 4))) == ("acc", 1, 0.9)


def test_a_number_that_only_one_program_prints_is_not_compared() -> None:
    one, other = Printed.of("loss 1.0\nfinal accuracy 0.4\n"), Printed.of("loss 0.5\nextra f1 0.2\n")
    label = shared(one, other)
    assert label is not None and label.words == "loss" and label.better == -1
    assert shared(Printed.of("a 1\n"), Printed.of("b 1\n")) is None


def test_the_last_line_counts_where_no_word_says_anything() -> None:
    label = shared(Printed.of("return 10\nreturn 20\n"), Printed.of("return 30\n"))
    assert label is not None and label.better == 0 and label.value(Printed.of("return 10\nreturn 20\n")) == 20


def test_scales_make_higher_better_and_bound_what_is_no_number() -> None:
    assert scale(1, [0.3, 0.9]).score(0.9) == 0.9
    assert scale(1, [30, 90]).score(90) == 0.9
    loss = scale(-1, [2.0, 1.0])
    assert math.isclose(loss.score(1.0) - loss.score(1.05), math.log(1.05))
    assert loss.score(math.nan) < loss.score(1e20)
    assert scale(1, [-144.0, -2.0]).score(-144.0) == -1.0
    reward = scale(1, [150.0, 400.0])
    assert reward.score(200.0) == 0.5 and reward.score(math.nan) <= reward.score(-1e9)
    assert scale(-1, [-3.0, -5.0]).score(-5.0) > scale(-1, [-3.0, -5.0]).score(-3.0)


def test_half_of_the_way_to_perfection_heals() -> None:
    assert scale(1, [0.5]).healed(0.5, 0.8) and not scale(1, [0.5]).healed(0.5, 0.7)
    loss = scale(-1, [2.0])
    assert loss.healed(loss.score(2.0), loss.score(0.9)) and not loss.healed(loss.score(2.0), loss.score(1.5))


def test_programs_are_alike_only_where_seeds_move_them() -> None:
    a, b = printed(1.0, 0.5, 3), printed(0.9, 0.6, 3)
    moved = Printed.of("another line 3\n" + OUTPUT.format(loss=1.0, acc=0.5, n=9))
    assert alike([(a, moved), (b, b)])
    assert not alike([(a, a), (a, a)])
    assert not alike([(a, b), (b, b)])


RUN = """
import torch

torch.manual_seed(0)
model = torch.nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(4):
    optimizer.zero_grad()
    model(torch.ones(4, 2)).mean().backward()
    optimizer.step()
print("RESULT mean_iou", {number})
"""


def test_what_two_runs_print_in_the_end_is_compared(tmp_path_factory: pytest.TempPathFactory) -> None:
    low, high, none = (
        tape_of(RUN.format(number=n), tmp_path_factory.mktemp("run")) for n in ("0.107", "0.872", "'unknown'")
    )
    found = own_number(low, high)
    assert found is not None and (found.before, found.after, found.heals) == (0.107, 0.872, True)
    assert own_number(high, low) != found and own_number(low, none) is None


def test_a_later_number_without_a_direction_is_told_where_it_moves(tmp_path_factory: pytest.TempPathFactory) -> None:
    far, near, nearer = (
        tape_of(RUN.format(number=f"0.5, 'distance', {n}"), tmp_path_factory.mktemp("run")) for n in (0.8, 0.03, 0.028)
    )
    found, same = own_number(far, near), own_number(near, nearer)
    assert found is not None and found.moved == "the script prints distance 0.8 before, 0.03 after"
    assert (found.words, found.gain) == ("result mean iou", 0.0) and same is not None and not same.moved


@pytest.mark.parametrize("name", ["HR@10", "mAP@0.5", "P@1", "recall@20"])
def test_the_cutoff_of_a_ranking_metric_is_a_part_of_its_name(name: str) -> None:
    text = "epoch 3 loss {loss}\nfinal {name}: {value}\n"
    before, after = (Printed.of(text.format(loss=a, name=name, value=b)) for a, b in ((0.01, 0.1), (0.4, 0.35)))
    label = shared(before, after)
    assert label is not None and label.better == 1
    assert (label.value(before), label.value(after)) == (0.1, 0.35)
