"""Sums and figures of the report."""

import pytest

from peerage.emissions.labels import Band, Label
from peerage.report.amounts import Amount, energy, energy_band, figure, percent, total


def test_many_small_parts_do_not_launder_the_label() -> None:
    """None of fifty parts is a tenth of the whole; together they are all of it."""
    part = Amount(Band(1, 2, 3), Band(1, 1, 1), Label.MODELLED, Label.ASSUMED)
    whole = total([part] * 50)
    assert (whole.label, whole.co2e_label) == (Label.MODELLED, Label.ASSUMED)
    assert whole.energy == Band(50, 100, 150)


def test_a_crumb_does_not_spoil_the_loaf() -> None:
    loaf, crumb = Amount(Band(90, 95, 99)), Amount(Band(1, 5, 9), label=Label.PARAMETRIC)
    assert total([loaf, crumb]).label is Label.MEASURED_COUNTER
    assert total([]).label is Label.ASSUMED


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (12345.6, "12\u202f346"), (0.012345, "0.0123"), (float("nan"), "unknown"), (float("inf"), "unknown")],
)
def test_figures_have_three_digits(value: float, shown: str) -> None:
    assert figure(value) == shown


def test_a_band_has_the_unit_of_its_middle() -> None:
    band = Band(1_800_000, 3_600_000, 7_200_000)
    assert energy(band) == "1.00\u00a0mWh"
    assert energy_band(band) == "0.500 to 2.00\u00a0mWh"
    assert percent(None) == percent(float("nan")) == "unknown"
