"""Axes that people can read: whole numbers where something is counted, no share beyond all of it."""

import re

import pytest

from peerage.report import charts


def axis(points: list[tuple[float, float]], *, counted: bool = False) -> tuple[list[float], list[float]]:
    """What stands along x and along y."""
    drawn = str(charts.lines("t", "a", "round", "%", points, counted=counted))
    said = re.findall(r'<text[^>]*text-anchor="(\w+)"[^>]*>([-\d.e+]+)</text>', drawn)
    return [float(n) for side, n in said if side == "middle"], [float(n) for side, n in said if side == "end"]


@pytest.mark.parametrize("rounds", [2, 3, 5, 10, 37, 1000])
def test_rounds_are_counted_in_whole_numbers(rounds: int) -> None:
    x, _ = axis([(float(n), 50.0 + n / rounds) for n in range(1, rounds + 1)], counted=True)
    assert all(tick == int(tick) for tick in x)
    assert x[0] <= 1
    assert x[-1] >= rounds
    assert 2 <= len(x) <= 7


@pytest.mark.parametrize("shares", [(70.0, 70.0), (33.0, 99.5), (0.0, 100.0), (98.0, 98.5), (100.0, 100.0)])
def test_no_share_goes_beyond_all_of_it(shares: tuple[float, float]) -> None:
    _, y = axis([(1.0, shares[0]), (2.0, shares[1])])
    assert y[-1] <= 100
    assert y[0] <= min(shares)
    assert y[-1] >= max(shares)
