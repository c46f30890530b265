"""`peerage advise`: what it prints, what it refuses with one sentence, and that it asks no network."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from peerage.adviser.advice import Subject, document, separate, subject_of
from peerage.adviser.elsewhere import Spread
from peerage.adviser.regions import Region
from peerage.cli.main import app
from peerage.emissions import Band, EmissionsCsv, Label, equal_reservation
from peerage.emissions.codecarbon_door import probe_host
from peerage.emissions.meter import Meter
from peerage_crypto.errors import InputError

SYNTHETIC = Path(__file__).parents[2] / "examples" / "intensity_synthetic.json"


def advise(*words):
    done = CliRunner().invoke(app, ["advise", *map(str, words)], catch_exceptions=True)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


def answer(*words):
    return json.loads(advise(*words, "--json"))


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """The least that is a run: a summary's place, and one emission record by its name."""
    root = tmp_path_factory.mktemp("run")
    (root / "federation.toml").write_text("")
    (root / "store").mkdir()
    folder = root / "peers" / "peer-01"
    folder.mkdir(parents=True)
    meter = Meter(probe_host("DEU"), bytes(20), reserved_ppm=equal_reservation(1))
    sum(range(20_000_000))
    record = meter.close_round(1)
    (root / "store" / record.digest().hex()).write_bytes(record.encode())
    with EmissionsCsv(folder / "emissions.csv") as log:
        log.append(record)
    return root


def test_without_a_run_it_lists_regions_with_source_and_licence():
    text = advise()
    assert "europe-west9" in text
    assert "Licence: Apache-2.0" in text
    rows = answer()["regions"]
    assert len(rows) == 41
    assert all(row["source"] and row["licence"] and row["year"] == 2024 and 0 <= row["cfe"] <= 1 for row in rows)
    assert next(row for row in rows if row["region"] == "us-central1")["cfe"] == 0.87
    theirs = answer("--table", "codecarbon")["regions"]
    assert len(theirs) >= 40
    assert all(row["cfe"] is None and "CodeCarbon MIT" in row["licence"] for row in theirs)


def test_a_run_elsewhere_has_bands_and_labels_and_keeps_offsets_apart(run_dir):
    told = answer(run_dir, "--region", "europe-west3", "--region", "asia-south1", "--country", "POL")
    assert [one["where"] for one in told["elsewhere"]] == ["europe-west3", "POL", "asia-south1"]
    for one in told["elsewhere"]:
        assert one["co2e_g"]["low"] < one["co2e_g"]["mid"] < one["co2e_g"]["high"]
        assert one["label"] == "modelled"
        assert one["source"]
    assert (told["run"]["place"], told["run"]["gaps"]) == ("DEU", [])
    times = [one["times_here"] for one in told["elsewhere"]]
    assert times[0] < 1 < times[1]
    offset = answer(run_dir, "--region", "europe-west3", "--offset-g", 1000, "--rec-kwh", 1000)
    assert offset["elsewhere"] == told["elsewhere"][:1]
    assert offset["run"] == told["run"]
    assert [line["what"] for line in offset["separate"]] == ["certificates", "offsets"]
    text = advise(run_dir, "--region", "europe-west3")
    assert "Location-based" in text
    assert "modelled" in text


def test_the_best_hours_of_the_synthetic_day():
    (window,) = answer("--forecast", SYNTHETIC, "--location", "synthetic", "--length", "3h")["windows"]
    assert (window["start"], window["end"]) == ("2026-06-01T11:00:00Z", "2026-06-01T14:00:00Z")
    assert window["synthetic"] is True
    assert window["label"] == "parametric"
    text = advise("--forecast", SYNTHETIC, "--location", "synthetic", "--length", "3h", "--energy-wh", 100)
    assert "synthetic: it is of no grid" in text
    by_nine = ("--before", "2026-06-01T09:00Z", "--from", "2026-06-01T04:00+02:00")
    (early,) = answer("--forecast", SYNTHETIC, "--location", "synthetic", *by_nine)["windows"]
    assert (early["start"], early["earliest_start"]) == ("2026-06-01T08:00:00Z", "2026-06-01T02:00:00Z")


def test_marginal_grams_stand_alone(tmp_path):
    file = tmp_path / "marginal.json"
    file.write_text(SYNTHETIC.read_text().replace('"Kind": "average"', '"Kind": "marginal"'))
    told = answer("--forecast", file, "--location", "synthetic", "--energy-wh", 100, "--region", "europe-west9")
    assert told["windows"][0]["kind"] == "marginal"
    without = answer("--energy-wh", 100, "--region", "europe-west9")
    assert told["elsewhere"] == without["elsewhere"]
    words = advise("--forecast", file, "--location", "synthetic", "--energy-wh", 100)
    assert "enters no sum" in words


def test_a_table_given_shows_cfe_beside(tmp_path):
    table = tmp_path / "2031.csv"
    table.write_text(
        "Google Cloud Region,Location,Google CFE,Grid carbon intensity (gCO2eq / kWh)\nmade-up1,Nowhere,0.75,200\n"
    )
    (row,) = answer("--table", table, "--year", 2031, "--energy-wh", 1000)["elsewhere"]
    assert (row["co2e_g"]["mid"], row["market_view_g"], row["cfe"], row["year"]) == (200, 50, 0.75, 2031)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--region", "mars-1"), "not in the table"),
        (("--country", "XXX"), "no emission factor"),
        (("--year", "2020"), "--table"),
        (("--table", "codecarbon", "--year", "2020"), "--table FILE"),
        (("--table", "missing.csv"), "cannot be read"),
        (("--energy-wh", "-1"), "no energy"),
        (("--energy-wh", "nan"), "no energy"),
        (("--offset-g", "-1"), "no amount"),
        (("--rec-kwh", "inf"), "no amount"),
        (("/nowhere",), "no run directory"),
        (("/nowhere", "--energy-wh", "1"), "not both"),
        (("--location", "x"), "--forecast"),
        (("--forecast", SYNTHETIC), "--location"),
        (("--forecast", SYNTHETIC, "--location", "mars"), "says nothing"),
        (("--forecast", SYNTHETIC, "--location", "synthetic", "--kind", "mean"), "neither"),
        (("--forecast", SYNTHETIC, "--location", "synthetic", "--kind", "marginal"), "average, and --kind"),
        (("--forecast", SYNTHETIC, "--location", "synthetic", "--length", "0h"), "no length"),
        (("--forecast", SYNTHETIC, "--location", "synthetic", "--length", "9d"), "do not fit"),
        (("--forecast", SYNTHETIC, "--location", "synthetic", "--before", "tomorrow"), "no time"),
        (("--forecast", SYNTHETIC, "--location", "synthetic", "--before", "2026-06-01"), "zone"),
        (("--forecast", SYNTHETIC, "--location", "synthetic", "--before", "1999-01-01T00:00Z"), "only"),
    ],
)
def test_bad_input_is_one_sentence(words, why):
    with pytest.raises(InputError, match=why) as caught:
        advise(*words)
    assert "\n" not in str(caught.value)


def test_energy_that_cannot_be_read_is_said_to_be_missing(run_dir, tmp_path):
    shutil.copytree(run_dir, tmp_path / "run")
    (tmp_path / "run" / "peers" / "peer-02").mkdir()
    gaps = answer(tmp_path / "run", "--region", "europe-west9")["run"]["gaps"]
    assert len(gaps) == 1
    assert "peer-02" in gaps[0]
    assert gaps[0] in advise(tmp_path / "run", "--region", "europe-west9")


def test_a_run_without_energy_is_refused(tmp_path):
    (tmp_path / "federation.toml").write_text("")
    with pytest.raises(InputError, match="no readable emission record"):
        subject_of(tmp_path, None)


def test_a_run_whose_place_emitted_nothing_is_compared_with_nothing():
    zero = Spread(0, 0, 0)
    run = Subject(
        name="x", energy_wh=zero, label=Label.MODELLED, place="x", co2e_g=zero, energy_uj=Band(0, 10**9, 10**9)
    )
    row = Region(region="a", place="", g_per_kwh=1, source="s", licence="l")
    (one,) = document(run, [row], [], separate(None, None, None), []).elsewhere
    assert one.times_here is None


def test_it_opens_no_socket():
    script = f"""
import sys
NAME = "socket.gethostname"
def refuse(name, args):
    if name.startswith("socket.") and name != NAME: raise SystemExit("a socket was opened: " + name)
sys.addaudithook(refuse)
from peerage.cli.main import app
app(["advise", "--energy-wh", "1", "--country", "FRA", "--forecast", {str(SYNTHETIC)!r}, "--location", "synthetic"])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    assert "synthetic" in done.stdout
