"""A page of many records works each cut out once: counted, not timed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

from peerage.emissions.factors import Factor
from peerage.emissions.labels import Label
from peerage.emissions.record import PHASES, EmissionRecord, Labels, PhaseUse, Power, complete
from peerage.estimate.calibration import Calibration, Energies, Prior
from peerage.report import Asked, energy, page
from peerage.report.amounts import co2e
from peerage.report.documents import csv_text, document
from peerage.report.reading import Told

MODELLED = Labels(cpu_dyn=Label.MODELLED, idle=Label.ASSUMED, ram=Label.MODELLED, gpu=Label.ASSUMED)
PEERS, ROUNDS = 3, 4
P = ParamSpec("P")
R = TypeVar("R")


def factor(country: str) -> Factor:
    return Factor(country=country, low_mg=30_000, mid_mg=50_000, high_mg=80_000, year=2023, source="a table",
                  label=Label.MODELLED)  # fmt: skip


def record(peer: int, number: int, country: str = "FRA") -> EmissionRecord:
    return complete(
        peer=bytes([peer]) * 20,
        host_id="0" * 16,
        session_us=1,
        index=number,
        round=number,
        start_us=number * 1_000_000,
        end_us=(number + 1) * 1_000_000,
        resolution_us=1,
        power=Power(milli_cores=2000, idle_mw=5000, rate_uw=5_000_000, reserved_ppm=100_000),
        labels=MODELLED,
        use=tuple(PhaseUse(phase=phase, wall_us=100_000 + peer, cpu_us=50_000, ram_bytes=10**8) for phase in PHASES),
        factor=factor(country),
    )


def told(root: Path, asked: Asked | None = None, countries: tuple[str, ...] = ("FRA", "DEU", "DEU")) -> Told:
    records = tuple(record(p, n, countries[p - 1]) for p in range(1, PEERS + 1) for n in range(ROUNDS))
    return Told(root, None, {}, records, (), None, (), asked or Asked())


def counted(function: Callable[P, R], calls: list[str], name: str) -> Callable[P, R]:
    def asked(*args: P.args, **kwargs: P.kwargs) -> R:
        calls.append(name)
        return function(*args, **kwargs)

    return asked


def test_each_cut_is_worked_out_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("_phase", "_of", "_by_component"):
        monkeypatch.setattr(energy, name, counted(getattr(energy, name), calls, name))
    run = told(tmp_path)
    page(run)
    csv_text(run)
    document(run)
    count = PEERS * ROUNDS
    assert calls.count("_phase") == count * len(PHASES)
    assert calls.count("_of") == 4 * count  # the whole, by peer, by place, by round
    assert calls.count("_by_component") == 1


def test_every_cut_adds_up_to_the_whole(tmp_path: Path) -> None:
    cuts = told(tmp_path).cuts
    whole = cuts.whole.energy
    for cut in (cuts.phases, cuts.peers, cuts.places, cuts.rounds):
        assert sum(amount.energy.mid for amount in cut.values()) == whole.mid


def test_offsets_change_no_other_figure(tmp_path: Path) -> None:
    bare = document(told(tmp_path))
    offset = document(told(tmp_path, Asked(offset_g=5.0, offset_source="registry 12")))
    assert (offset.pop("offset_g"), offset.pop("offset_source")) == (5.0, "registry 12")
    assert bare.pop("offset_g") is None
    assert bare.pop("offset_source") == ""
    assert offset == bare
    text = page(told(tmp_path, Asked(offset_g=5.0, offset_source="registry <12>")))
    assert "registry &lt;12&gt;; by whoever made this page, not checked" in text


def test_a_place_has_peers_and_both_accounts(tmp_path: Path) -> None:
    run = told(tmp_path, Asked(market_g_per_kwh=0.0, market_source="wind"))
    text = page(run)
    table = text.partition("By country or region</caption>")[2].partition("</table>")[0]
    rows = [row.replace("</th>", "").replace("</td>", "") for row in table.split("<tr>")]
    (french,) = [row for row in rows if ">FRA" in row]
    (german,) = [row for row in rows if ">DEU" in row]
    assert ">1<" in french
    assert ">2<" in german
    assert co2e(run.cuts.places["DEU"].co2e) in german
    assert "not given" in page(told(tmp_path)).partition("By country or region</caption>")[2].partition("</table>")[0]


def test_the_estimate_stands_beside_the_meter(tmp_path: Path) -> None:
    assert "No estimate is kept" in page(told(tmp_path))
    run = told(tmp_path)
    prior = Prior(source="an older run", energy_wh=1.0, low_wh=0.5, high_wh=2.0, error=-0.25)
    run = replace(run, estimate=calibration(error=0.031, prior=prior))
    text = page(run)
    assert "before the run, from an older run" in text
    assert "\N{MINUS SIGN}25.0\N{NO-BREAK SPACE}%" in text
    assert "+3.1\N{NO-BREAK SPACE}%" in text
    assert document(run)["estimate"]["before"]["error"] == -0.25
    short = page(replace(run, estimate=calibration(error=None, prior=None)))
    assert "too short to be predicted" in short
    assert "Nothing was estimated before" in short


def calibration(error: float | None, prior: Prior | None) -> Calibration:
    nothing = Energies(0, 0, 0)
    return Calibration(schema=1, source="run", cpu_model="a CPU", milli_cores=2000, same={}, peers=3, rounds=4,
                       epochs=1, phases={}, start=nothing, bytes_per_round=0, label=Label.MODELLED, first=3,
                       error=error, prior=prior)  # fmt: skip
