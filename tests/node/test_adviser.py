"""Regions, moves and windows: what follows from a table or a forecast, and what is refused instead of guessed."""

import json
import random
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest

from peerage.adviser import (
    Amount,
    JsonFile,
    Kind,
    Region,
    best_window,
    carbon_usage,
    catalogue,
    find,
    green_share,
    itue,
    move,
    moves,
    parse_table,
    parse_trace,
    regions,
    shipped,
    total,
    tue,
)
from peerage.adviser.facility import pue
from peerage.emissions.codecarbon_door import cloud_rows, national_factor
from peerage.emissions.labels import Band, Label
from peerage_crypto.errors import InputError

ROOT = Path(__file__).parents[2]
SYNTHETIC = ROOT / "examples" / "intensity_synthetic.json"
KWH = 3_600_000_000_000
ENERGY = Band(KWH // 2, KWH, 2 * KWH)
GOOGLE = "Google Cloud Region,Location,Google CFE,Grid carbon intensity (gCO2eq / kWh)\n"
OWN = "region,place,g_per_kwh,cfe,pue,tue,gec,year,source,licence\n"
DAY = datetime(2026, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def region(**changes):
    row = Region(region="here-1", place="Here", g_per_kwh=100.0, year=2024, source="test", licence="none")
    return msgspec.structs.replace(row, **changes)


# regions


def test_the_installed_table_has_googles_regions_with_source_and_licence_and_nothing_invented():
    rows = catalogue(*cloud_rows())
    assert len(rows) >= 40
    assert [row.g_per_kwh for row in rows] == sorted(row.g_per_kwh for row in rows)
    for row in rows:
        assert "cloud.google.com" in row.source
        assert row.licence
        assert (row.cfe, row.tue, row.gec, row.year) == (None, None, None, None)
        assert "average over the provider" in row.pue_source
    assert find("EUROPE-WEST9", rows).country == "FRA"


def test_the_shipped_table_says_whose_it_is_and_of_which_year():
    rows = {row.region: row for row in shipped()}
    assert len(rows) == 41
    assert (rows["europe-west9"].cfe, rows["europe-west9"].g_per_kwh) == (0.96, 16.3)
    assert {(row.year, row.licence, row.source) for row in rows.values()} == {
        (2024, "Apache-2.0, (c) Google", "Google region-carbon-info, 2024")
    }
    assert all(row.cfe is not None and row.pue == 1.1 and row.tue is None for row in rows.values())
    folder = Path(regions.__file__).parent / "data"
    assert "Apache License" in (folder / "LICENSE-Apache-2.0.txt").read_text()
    assert "google_regions_2024.csv" in (folder / "NOTICE.md").read_text()


def test_a_file_as_google_publishes_it_has_cfe_and_a_year():
    (row,) = parse_table(GOOGLE + "made-up1,Nowhere,0.40,123.5\n", "2031.csv", 2031)
    assert (row.region, row.cfe, row.g_per_kwh, row.year) == ("made-up1", 0.4, 123.5, 2031)
    assert row.licence.startswith("Apache-2.0")
    (absent,) = parse_table(GOOGLE + "made-up1,Nowhere,,123.5\n", "x", 2031)
    assert absent.cfe is None
    (cycle,) = parse_table(GOOGLE.replace("Grid", "Lifecycle grid") + "made-up1,Nowhere,0,1\n", "x", 2019)
    assert cycle.source.endswith("life cycle")


def test_a_table_of_ones_own_carries_every_ratio_with_its_source():
    (row,) = parse_table(OWN + "lab,Cellar,300,,1.4,1.6,0.2,2025,our meter,ours\n", "lab.csv")
    assert (row.pue, row.tue, row.gec, row.cfe) == (1.4, 1.6, 0.2, None)
    assert (row.pue_source, row.licence, row.year) == ("our meter", "ours", 2025)


@pytest.mark.parametrize(
    ("text", "year", "why"),
    [
        (GOOGLE + "a,b,0.4,100\n", None, "year"),
        (GOOGLE + "a,b,0.4,100\n", 1066, "year"),
        (GOOGLE + "a,b,1.4,100\n", 2024, "CFE"),
        (GOOGLE + "a,b,0.4,-100\n", 2024, "factor"),
        (GOOGLE + "a,b,0.4,nan\n", 2024, "factor"),
        (GOOGLE + "a,b,0.4,\n", 2024, "factor"),
        (GOOGLE + "a,b,0.4\n", 2024, "columns"),
        (GOOGLE + ",b,0.4,100\n", 2024, "names no region"),
        (GOOGLE + "a,b,0.4,100\nA,b,0.4,200\n", 2024, "twice"),
        (GOOGLE, 2024, "0 regions"),
        ("", 2024, "0 regions"),
        ("some,other,header\n1,2,3\n", 2024, "header"),
        (OWN + "lab,Cellar,300,,1.4,1.6,0.2,2025,,ours\n", None, "no source"),
        (OWN + "lab,Cellar,300,,1.4,1.6,0.2,2025,us,\n", None, "no licence"),
        (OWN + "lab,Cellar,300,,1.4,1.6,0.2,,us,ours\n", None, "no year"),
        (OWN + "lab,Cellar,300,,1.4,1.6,0.2,25,us,ours\n", None, "four digits"),
        (OWN + "lab,Cellar,300,,0.9,,,2025,us,ours\n", None, "PUE"),
        (OWN + "lab,Cellar,300,,1.4,1.2,,2025,us,ours\n", None, "TUE"),
        (OWN + "lab,Cellar,300,,,,7,2025,us,ours\n", None, "GEC"),
        (OWN + "lab,Cellar,300,,,,,2025,us,ours\n", 2024, "--year"),
        (GOOGLE + "a,b,0.4,100\n" * 5001, 2024, "5001 regions"),
    ],
)
def test_a_table_that_cannot_be_right_is_refused_with_the_reason(text, year, why):
    with pytest.raises(InputError, match=why):
        parse_table(text, "table.csv", year)


def test_an_unknown_region_is_refused_with_near_ones():
    with pytest.raises(InputError, match=r"europe-west99.*europe-west9"):
        find("europe-west99", catalogue(*cloud_rows()))


# ratios of a facility


def test_the_ratios_are_what_their_definitions_say():
    assert pue(150, 100) == 1.5
    assert itue(100, 80) == 1.25
    assert tue(1.25, 1.5) == 150 / 80  # facility over compute, through the equipment
    assert green_share(20, 80) == 0.25
    assert carbon_usage(1.5, 400) == 600


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: pue(90, 100),
        lambda: itue(100, 0),
        lambda: itue(float("inf"), 1),
        lambda: tue(0.9, 1.5),
        lambda: tue(1.2, float("nan")),
        lambda: green_share(81, 80),
        lambda: green_share(0, 0),
        lambda: carbon_usage(1.5, -1),
    ],
)
def test_ratios_that_no_facility_has_are_refused(wrong):
    with pytest.raises(InputError):
        wrong()


# the same run elsewhere


def test_a_move_is_energy_times_factor_with_the_band_of_both():
    there = move(ENERGY, Label.MODELLED, region(), here_ug=50_000_000)
    assert (there.co2e_g.low, there.co2e_g.mid, there.co2e_g.high) == (27.5, 100.0, 340.0)
    assert there.times_here == 2.0
    assert (there.facility_g, there.market_view_g, there.label) == (None, None, Label.MODELLED)


def test_what_is_around_the_metered_energy_counts_once_and_tue_before_pue():
    plain = move(ENERGY, Label.MODELLED, region())
    by_pue = move(ENERGY, Label.MODELLED, region(pue=1.5, pue_source="test"))
    by_tue = move(ENERGY, Label.MODELLED, region(pue=1.5, tue=1.8, pue_source="test"))
    assert by_pue.co2e_g == by_tue.co2e_g == plain.co2e_g
    assert (by_pue.facility_g.mid, by_tue.facility_g.mid) == (pytest.approx(150), pytest.approx(180))
    assert "chassis" in by_pue.overhead


def test_purchases_and_offsets_never_lower_the_location_based_figure():
    bare = move(ENERGY, Label.MODELLED, region())
    bought = move(ENERGY, Label.MODELLED, region(cfe=0.9, gec=0.9, offset_ratio=100.0))
    assert bought.co2e_g == bare.co2e_g
    assert bought.market_view_g == pytest.approx(10)


def test_moves_are_ranked_and_carry_the_worst_label():
    ranked = moves(ENERGY, Label.ASSUMED, [region(region="b", g_per_kwh=300.0), region(region="a")])
    assert [one.where for one in ranked] == ["a", "b"]
    assert {one.label for one in ranked} == {Label.ASSUMED}


def test_an_unknown_country_is_refused():
    assert national_factor("fra").country == "FRA"
    with pytest.raises(InputError, match="FRX"):
        national_factor("FRX")


# intensity over time


def rows(*ratings, start=DAY, length="01:00:00", **more):
    return [
        {"Location": "x", "Time": (start + i * HOUR).isoformat(), "Rating": rating, "Duration": length, **more}
        for i, rating in enumerate(ratings)
    ]


def trace(*ratings, **options):
    return parse_trace(json.dumps(rows(*ratings)), "x", "test", options.get("kind", Kind.AVERAGE))


def test_both_shapes_of_the_sdks_files_are_read():
    flat = parse_trace(json.dumps(rows(1, 2)), "X", "f.json", Kind.MARGINAL)
    lower = [{key.lower(): value for key, value in row.items()} for row in rows(1, "2")]
    whole = parse_trace(json.dumps({"Date": "now", "Emissions": lower}), "x", "f.json", Kind.MARGINAL)
    assert flat.samples == whole.samples
    assert flat.kind is Kind.MARGINAL
    short = parse_trace(json.dumps(rows(1, length="01:00")), "x", "f", Kind.AVERAGE)
    assert short.samples[0].end - short.samples[0].start == HOUR
    day = parse_trace(json.dumps(rows(1, length="1.02:00:00")), "x", "f", Kind.AVERAGE)
    assert day.samples[0].end - day.samples[0].start == 26 * HOUR
    zone = parse_trace(json.dumps(rows(1)).replace("00:00:00+00:00", "02:00:00+02:00"), "x", "f", Kind.AVERAGE)
    assert zone.samples[0].start == DAY


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("no json", "JSON"),
        ("[" * 100_000, "JSON"),
        (json.dumps({"Date": "x"}), "list of emissions"),
        (json.dumps([1]), "no object"),
        (json.dumps([]), "no locations"),
        (json.dumps(rows(-1)), "Rating"),
        (json.dumps(rows(10**9)), "Rating"),
        (json.dumps(rows(True)), "Rating"),
        (json.dumps(rows(None)), "Rating"),
        (json.dumps(rows(1)).replace("1, ", "NaN, "), "Rating"),
        (json.dumps(rows(1, length="")), "Duration"),
        (json.dumps(rows(1, length="00:00:00")), "Duration"),
        (json.dumps(rows(1, length="-01:00:00")), "Duration"),
        (json.dumps(rows(1, length="02:00:00") + rows(2, start=DAY + HOUR)), "two ratings"),
        (json.dumps(rows(1)).replace("+00:00", ""), "zone"),
        (json.dumps(rows(1)).replace("2026-06-01", "2026-06-31"), "no time"),
        (json.dumps(rows(1, start=datetime(9999, 12, 31, 23, tzinfo=UTC), length="9.00:00:00")), "calendar"),
        (json.dumps(rows(1, Kind="average") + rows(1, start=DAY + HOUR, Kind="marginal")), "mixes"),
        (json.dumps(rows(1, Kind="marginal")), "marginal, and --kind average"),
        (json.dumps(rows(1, Kind="mean")), "kind 'mean'"),
    ],
)
def test_a_forecast_that_cannot_be_right_is_refused(document, why):
    with pytest.raises(InputError, match=why):
        parse_trace(document, "x", "f.json", Kind.AVERAGE)


def test_a_forecast_must_say_whether_it_is_average_or_marginal():
    with pytest.raises(InputError, match="--kind"):
        parse_trace(json.dumps(rows(1)), "x", "f.json")
    assert parse_trace(json.dumps({"Kind": "Marginal", "Emissions": rows(1)}), "x", "f").kind is Kind.MARGINAL


def test_the_best_window_is_the_least_mean_before_the_deadline():
    one = trace(300, 200, 100, 50, 400)
    best = best_window(one, 2 * HOUR, DAY, DAY + 5 * HOUR)
    assert (best.start, best.mean) == (DAY + 2 * HOUR, 75)
    assert (best.earliest_start, best.earliest_mean, best.worst_mean) == (DAY, 250, 250)
    assert best.saved_share == pytest.approx(0.7)
    sooner = best_window(one, 2 * HOUR, DAY, DAY + 3 * HOUR)
    assert (sooner.start, sooner.mean) == (DAY + HOUR, 150)
    part = best_window(one, HOUR / 2, DAY + HOUR / 4, DAY + HOUR * 3 / 4)
    assert (part.start, part.mean) == (DAY + HOUR / 4, 300)


def test_equal_windows_are_answered_by_the_earliest():
    assert best_window(trace(100, 100, 100), HOUR, DAY, DAY + 3 * HOUR).start == DAY


def test_no_window_reaches_into_a_gap():
    holed = parse_trace(json.dumps(rows(10, 10) + rows(90, 90, 90, start=DAY + 3 * HOUR)), "x", "f", Kind.AVERAGE)
    best = best_window(holed, 3 * HOUR, DAY, DAY + 9 * HOUR)
    assert (best.start, best.mean, best.gaps) == (DAY + 3 * HOUR, 90, 1)
    with pytest.raises(InputError, match="without a gap"):
        best_window(holed, 4 * HOUR, DAY, DAY + 9 * HOUR)
    with pytest.raises(InputError, match="do not fit"):
        best_window(holed, 4 * HOUR, DAY, DAY + 3 * HOUR)


@pytest.mark.parametrize("seed", range(8))
def test_no_start_at_any_minute_beats_it(seed):
    draw = random.Random(seed)
    ratings = [draw.randrange(10, 500) for _ in range(12)]
    minutes = draw.randrange(20, 300)
    best = best_window(trace(*ratings), timedelta(minutes=minutes), DAY, DAY + 12 * HOUR)
    by_minute = [rating for rating in ratings for _ in range(60)]
    means = [Fraction(sum(by_minute[i : i + minutes]), minutes) for i in range(len(by_minute) - minutes + 1)]
    assert best.mean == pytest.approx(float(min(means)), rel=1e-12)
    assert best.worst_mean == pytest.approx(float(max(means)), rel=1e-12)
    assert best.earliest_mean == pytest.approx(float(means[0]), rel=1e-12)


def test_average_and_marginal_grams_have_no_sum():
    assert total([Amount(1, Kind.AVERAGE), Amount(2, Kind.AVERAGE)]) == Amount(3, Kind.AVERAGE)
    with pytest.raises(InputError, match="different quantities"):
        total([Amount(1, Kind.AVERAGE), Amount(2, Kind.MARGINAL)])


def test_a_file_is_the_source_that_needs_no_network(tmp_path):
    whole = JsonFile(SYNTHETIC).read("synthetic")
    assert whole.synthetic
    assert whole.gaps == ()
    assert len(whole.samples) == 48
    part = JsonFile(SYNTHETIC).forecast("synthetic", DAY, DAY + 3 * HOUR)
    assert len(part.samples) == 3
    with pytest.raises(InputError, match="only"):
        JsonFile(SYNTHETIC).forecast("synthetic", DAY + 900 * HOUR, DAY + 901 * HOUR)
    with pytest.raises(InputError, match="cannot be read"):
        JsonFile(tmp_path / "none.json").read("x")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="no text"):
        JsonFile(tmp_path / "bytes.json").read("x")
