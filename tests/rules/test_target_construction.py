"""A term of the loss that reads the target in another format than the output has."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.diagnosis.model import Finding, NotApplicable
from unstuck.micro import best_output, laid, one_target
from unstuck.micro.best_output import FIRES, QUIET
from unstuck.micro.step import Recorded
from unstuck.rules.target_construction import check


def found(text: str, record: Record) -> list[Finding]:
    return list(check(None, best_output.ask(Recorded(record(text, steps=6))), None, None))


def test_a_term_that_leads_away_from_the_target_is_reported_at_its_line(record: Record) -> None:
    (finding,) = found(FIRES, record)
    assert finding.known == "observed" and finding.site is not None
    assert "overlap(" in FIRES.splitlines()[finding.site.line - 1]


@pytest.mark.parametrize(
    "term",
    [
        "nn.functional.mse_loss(found, boxes[rows])",
        "0.05 * found.abs().mean()",  # a penalty, which no target takes part in
        "0.2 * (found[:, 1:] - found[:, :-1]).square().mean()",
        "nn.functional.smooth_l1_loss(found.exp(), boxes[rows].exp())",
        "(1 - nn.functional.cosine_similarity(found, boxes[rows])).mean()",
    ],
)
def test_terms_that_are_smallest_near_the_target_are_left_alone(term: str, record: Record) -> None:
    text = QUIET.replace("(1 - overlap(corners(found), corners(boxes[rows]))).mean()", term)
    assert text != QUIET and found(text, record) == []


def test_targets_of_other_places_are_proven_and_leave_nothing_to_learn(record: Record) -> None:
    (finding,) = check(None, None, laid.ask(Recorded(record(laid.FIRES))), None)
    assert finding.effect.word == "proven" and finding.leaves_nothing and finding.site is not None
    with pytest.raises(NotApplicable, match="learns"):
        laid.ask(Recorded(record(laid.QUIET)))


def test_labels_of_a_masked_input_are_proven(record: Record) -> None:
    (finding,) = check(None, None, None, one_target.ask(Recorded(record(one_target.FIRES))))
    assert finding.effect.word == "proven" and "masked input" in finding.message
    assert list(check(None, None, None, one_target.ask(Recorded(record(one_target.QUIET))))) == []
