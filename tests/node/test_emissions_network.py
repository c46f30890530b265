"""Energy of moved bytes: published figures, each with its band, none of them a default."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerage.emissions.labels import Label
from peerage.emissions.network import LEAST, MOST, PRESETS
from peerage.estimate.presets import PRESETS as FOR_ESTIMATES

GIGABYTE, KWH_UJ = 10**9, 3_600_000_000_000


@pytest.mark.parametrize(
    ("name", "kwh_per_gb"),
    [
        ("ccf", 0.001),
        ("green-metrics-tool", 0.001875),
        ("tapp-2026", 0.01),
        ("swd-v4", 0.059),
        ("onebyte-wifi", 0.152),
        ("onebyte-wired", 0.429),
        ("onebyte-4g", 0.884),
    ],
)
def test_a_gigabyte_takes_what_was_published(name: str, kwh_per_gb: float) -> None:
    assert PRESETS[name].energy(GIGABYTE).mid == round(kwh_per_gb * KWH_UJ)
    assert FOR_ESTIMATES[name].mid == pytest.approx(kwh_per_gb), "an estimate uses the same figure"


def test_none_is_missing_and_every_one_says_what_it_is() -> None:
    assert FOR_ESTIMATES.keys() == PRESETS.keys()
    assert all(one.label is Label.ASSUMED and len(one.source) > 20 for one in PRESETS.values())
    rates = {one.nj_per_byte for one in PRESETS.values()}
    assert (LEAST.nj_per_byte, MOST.nj_per_byte) == (min(rates), max(rates))


@given(moved=st.integers(0, 2**50), more=st.integers(0, 2**40), name=st.sampled_from(sorted(PRESETS)))
def test_more_bytes_never_take_less_and_the_band_holds_the_middle(moved: int, more: int, name: str) -> None:
    one, other = PRESETS[name].energy(moved), PRESETS[name].energy(moved + more)
    assert one.low <= one.mid <= one.high
    assert one.mid <= other.mid
    assert one.high <= other.high


def test_bytes_that_were_never_moved_are_refused() -> None:
    with pytest.raises(ValueError, match="-1 bytes"):
        LEAST.energy(-1)
