"""The units of inputs: offset, mix, spread, codes for missing values, outliers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from unstuck.signals.inputs import Input
from unstuck.signals.units import InputUnits
from unstuck.tape.program import Call


def units(rows: Tensor, normalised: bool = False) -> InputUnits:
    call = Call("torch.nn.functional.linear", ())
    return InputUnits(Input(0, call, -1, normalised, rows.double(), 0.0, tuple(rows.shape), (rows,)))


@pytest.mark.parametrize(
    ("padding", "found"), [(0, []), ((0, 0), []), ("valid", []), ((1, 1), ["far"]), ("same", ["far"]), (1, ["far"])]
)
def test_a_padded_convolution_keeps_an_offset_before_a_normalisation(padding: object, found: list[str]) -> None:
    rows = normal(1, 1, 1) + 50
    call = Call("torch.nn.functional.conv2d", (None, None, None, 1, padding))
    assert faults(InputUnits(Input(0, call, -3, True, rows.double(), 0.0, tuple(rows.shape), (rows,)))) == found


def normal(*columns: float) -> Tensor:
    """400 rows of standard normal numbers, each column times a factor."""
    return torch.randn(400, len(columns), generator=torch.Generator().manual_seed(0)) * torch.tensor(columns)


def faults(one: InputUnits) -> list[str]:
    return [name for name in ("far", "mixed", "scaled") if getattr(one, name)]


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (normal(1, 1, 1), []),
        (normal(1, 1, 1) + 50, ["far"]),
        (normal(1, 20, 900), ["mixed", "scaled"]),
        (normal(1, 1, 900) + torch.tensor([0.0, 9.0, 0.0]), ["far", "mixed"]),
        (normal(1, 1, 0.01), []),
        (normal(300, 300, 300), ["scaled"]),
        (normal(1e-3, 1e-3), ["scaled"]),
        (torch.ones(50, 3), []),
    ],
)
def test_each_fault_is_one_question(rows: Tensor, found: list[str]) -> None:
    assert faults(units(rows)) == found
    assert units(rows).wrong is bool(found)
    assert faults(units(rows, normalised=True)) == []


def test_columns_of_one_spread_around_other_means_are_each_centred() -> None:
    one = units(normal(1, 1, 1) + torch.tensor([270.0, -380.0, 1013.0]))
    mean, std = one.statistics
    assert mean == pytest.approx((270, -380, 1013), abs=0.2) and std == pytest.approx((1, 1, 1), abs=0.1)
    assert faults(one) == ["far"]


@pytest.mark.parametrize(("column", "code"), [((1, -999.0), -999.0), ((2, 0.0), 0.0)])
def test_missing_value_code_is_left_out_of_the_statistics(column: tuple[int, float], code: float) -> None:
    rows = normal(1, 1, 1, 1) + torch.tensor([0.0, 0.0, 90.0, 0.0])
    rows[::9, column[0]] = column[1]
    one = units(rows)
    assert one.missing == code
    assert max(one.statistics[1]) < 1.5
    assert not one.outliers.any()


@pytest.mark.parametrize("line", [lambda c: (c > 1).float() * 50, lambda c: c.exp() * 100])
def test_ordinary_columns_have_no_missing_value_code(line) -> None:  # type: ignore[no-untyped-def]
    rows = normal(1, 1, 1)
    rows[:, 1] = line(rows[:, 1])
    assert units(rows).missing is None
    assert not units(rows).outliers.any()


def test_outliers_are_left_out_of_the_statistics() -> None:
    rows = normal(1, 1, 1)
    rows[5, 1] = 4e5 + 0.5
    one = units(rows)
    assert int(one.outliers.sum()) == 1
    assert max(one.statistics[1]) < 1.5


def test_features_of_one_unit_share_their_statistics() -> None:
    mean, std = units(normal(*[1.0] * 20) * 40 + 128).statistics
    assert (len(mean), len(std)) == (1, 1)
