"""`assert_learns` on twenty broken and twenty sound training functions: it fails on the broken ones and on no other.

Two of each run in the default suite, all of them in `make net`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.integrations.training import broken, sound
from unstuck.testing import DoesNotLearn, assert_learns

FOLDER = Path(broken.__file__).parent
CHEAP = (broken.no_step, broken.gradients_never_cleared, sound.two_moons_full_batch, sound.quasi_newton_with_closure)


def marked(functions: object) -> list[object]:
    """The functions as parameters: all but the cheap ones are marked."""
    chosen: list[Callable[[], object]] = list(functions)  # type: ignore[call-overload]
    return [pytest.param(f, id=f.__name__, marks=[] if f in CHEAP else [pytest.mark.net]) for f in chosen]


@pytest.mark.net
@pytest.mark.parametrize("train", marked(broken.BROKEN))
def test_it_fails_on_a_broken_one_and_names_the_fault(train: Callable[[], object]) -> None:
    torch.manual_seed(0)
    with pytest.raises(DoesNotLearn) as caught:
        assert_learns(train, folder=FOLDER)
    found = {f["fault"] for f in caught.value.report.diagnosis["findings"] if f["role"] in ("cause", "suspect")}
    assert found & broken.BROKEN[train], caught.value.verdict


@pytest.mark.net
@pytest.mark.parametrize("train", marked(sound.SOUND))
def test_it_passes_on_a_sound_one(train: Callable[[], object]) -> None:
    torch.manual_seed(0)
    assert_learns(train, folder=FOLDER)


def test_there_are_twenty_of_each() -> None:
    assert len(broken.BROKEN) == len(sound.SOUND) == 20
