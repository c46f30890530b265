"""`peerage contrast` for real and short: one training in one place, one federation, and what is said of the two."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest
from launched import command

from peerage.contrast.contrast import Contrast

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]


def test_one_command_trains_both_ways_meters_both_and_decides_nothing_that_the_bands_leave_open(tmp_path: Path) -> None:
    options = ("--partition", "iid", "--optimiser", "fedavg", "--epochs", 2, "--peers", 3, "--rounds", 2)
    asked = (*options, "--target", 0.3, "--country", "FRA", "--ledger", "embedded", "--out", "o", "--json")
    done = command("contrast", *asked, folder=tmp_path, seconds=400)
    assert done.returncode == 0, done.stderr
    assert "1 of 2" in done.stderr
    assert "2 of 2" in done.stderr
    told = msgspec.json.decode(done.stdout, type=Contrast)
    assert json.loads((tmp_path / "o" / "contrast.json").read_text()) == json.loads(done.stdout)
    assert "<svg" in (tmp_path / "o" / "contrast.html").read_text()
    centre, run = told.sides
    assert centre.curve[0] == run.curve[0]  # one model, the same first weights, the same test rows
    for side in told.sides:
        used = side.metered
        assert 0 < used.energy_uj.low < used.energy_uj.mid < used.energy_uj.high
        assert 0 <= used.co2e_ug.low <= used.co2e_ug.mid < used.co2e_ug.high  # whole micrograms
        assert used.label in {"modelled", "attributed"}
        assert (used.place, side.findings) == ("FRA", 0)
        assert sum(used.by_phase_uj.values()) == used.energy_uj.mid
        assert used.energy_uj.mid < (side.host_uj or 0)
    assert (centre.bytes_out, centre.audit_ok, run.audit_ok) == (0, None, True)
    assert run.bytes_out > 0
    # more work on the same rows, with masks and a ledger; whether the bands show it is theirs to say
    more = [one for one in told.statements if one.claim.startswith("(b) federated emits more")]
    assert len(more) == 1
    assert more[0].common_known is (used.label == "modelled")
    assert {one.claim[:3] for one in told.orderings} == {"(a)", "(b)", "(c)", "(d)"}
