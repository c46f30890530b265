"""`peerage estimate`: what it prints, and what it refuses with one sentence."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from peerage.cli.main import app
from peerage_crypto.errors import InputError

CHAPTER = [
    "--factors",
    "ecometrica-2011",
    "--country",
    "FRA",
    "--device",
    "7.5W",
    "--seconds-per-epoch",
    "30.5",
    "--active",
    "5",
    "--epochs",
    "10",
    "--rounds",
    "10",
    "--network",
    "none",
]
SEVEN = [
    "--device",
    "vcpu",
    "--country",
    "FRA",
    "--data",
    "digits",
    "--rounds",
    "10",
    "--epochs",
    "2",
    "--active",
    "4",
    "--down",
    "100",
    "--up",
    "20",
]


def ask(*words):
    done = CliRunner().invoke(app, ["estimate", *map(str, words)], catch_exceptions=True)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def answer(*words):
    return json.loads(ask(*words, "--json"))


def test_the_chapters_example_by_a_command():
    text = ask(*CHAPTER)
    assert "2.51 (0.0985-25.1)" in text
    assert "Ecometrica 2011" in text
    assert "label: parametric" in text


def test_the_seven_inputs_of_the_chapters_calculator():
    (one,) = answer(*SEVEN, "--seconds-per-epoch", 0.5)["estimates"]
    assert one["model_bytes"] == 19_240
    assert one["local_epochs_in_all"] == 80
    assert one["energy_wh"]["low"] < one["energy_wh"]["mid"] < one["energy_wh"]["high"]
    assert one["label"] == "parametric"
    assert all(part["factor_source"] and part["device_source"] for part in one["parts"])


def test_a_row_for_each_device_and_country_that_is_named():
    rows = answer(*SEVEN, "--seconds-per-epoch", 1, "--country", "POL", "--device", "3W")["estimates"]
    assert [(row["parts"][0]["country"], row["parts"][0]["device"]) for row in rows] == [
        ("FRA", "vcpu"),
        ("FRA", "3W"),
        ("POL", "vcpu"),
        ("POL", "3W"),
    ]


def test_a_mixed_population_adds_up_by_device_and_by_country():
    words = [
        "--client",
        "3,7.5W,FRA,10",
        "--client",
        "2,vcpu,POL,4",
        "--rounds",
        "10",
        "--epochs",
        "1",
        "--active",
        "2",
        "--network",
        "none",
    ]
    (one,) = answer(*words)["estimates"]
    assert one["devices"] == 5
    for cut in ("by_device", "by_country"):
        for unit in ("energy_wh", "co2e_g"):
            for end in ("low", "mid", "high"):
                assert sum(part[unit][end] for part in one[cut]) == pytest.approx(one[unit][end], rel=1e-9)
    assert "by country  POL" in ask(*words)


def test_beside_a_data_centre_and_without_a_verdict_where_bands_overlap():
    words = [
        *CHAPTER,
        *[
            "--central-w",
            "300",
            "--central-hours",
            "0.1",
            "--central-country",
            "FRA",
            "--pue",
            "google",
            "--cooling",
            "0.05",
        ],
    ]
    told = answer(*words)["centralised"]
    assert told["pue"] == 1.11
    assert told["energy_wh"]["mid"] == pytest.approx(33.3)
    assert told["cooling_wh"]["mid"] == pytest.approx(0.05 * 33.3)
    assert "the bands overlap: these figures do not tell which emits less" in ask(*words)


def test_the_inverse_prints_what_each_country_and_device_would_need():
    words = "--factors ecometrica-2011 --country FRA --country USA --device 7.5W --active 5 --epochs 10 --rounds 10"
    text = ask(*words.split(), "--network", "none", "--target-g", "2.51")
    assert "30.5" in text
    assert "4.20" in text
    assert "do not prove" in text


def test_the_inverse_search_says_found_and_not_found():
    there = answer(*CHAPTER, "--country", "USA", "--seconds-per-epoch", "4.2", "--target-g", "2.51")["inverse"]
    assert there["tried"] == 4
    assert [(one["parts"][0]["country"], one["parts"][0]["seconds_per_epoch"]) for one in there["found"]] == [
        ("FRA", 30.5),
        ("USA", 4.2),
    ]
    gone = ask(*CHAPTER, "--target-g", "9.99")
    assert "0 of 1 configurations print as 9.99 g. The nearest:" in gone


def test_lists_of_devices_and_countries_name_sources():
    assert "client-3w: 3 W (assumed; Wu et al." in ask("--list", "devices")
    assert len(answer("--list", "countries")["countries"]) > 150
    assert [row["country"] for row in answer("--list", "countries", "--factors", "ecometrica-2011")["countries"]] == [
        "CHN",
        "FRA",
        "USA",
    ]
    with pytest.raises(InputError, match="devices, countries or networks"):
        ask("--list", "secrets")


# reference/carbon.md 2.3
@pytest.mark.parametrize(
    ("name", "kwh"),
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
def test_a_preset_of_the_network_has_its_published_figure_a_band_and_a_source(name, kwh):
    words = "--device 7.5W --country FRA --rounds 1 --epochs 1 --active 1 --model-mb 500 --seconds-per-epoch 0"
    (one,) = answer(*words.split(), "--network", name)["estimates"]
    wh = one["parts"][0]["communication_wh"]  # fetched and sent: one GB
    assert (wh["low"], wh["mid"], wh["high"]) == pytest.approx((100 * kwh, 1000 * kwh, 10_000 * kwh))
    assert one["network_source"] in ask("--list", "networks")


def test_the_presets_span_three_orders_of_magnitude_and_an_unknown_one_names_near_ones():
    mids = [one["mid"] for one in answer("--list", "networks")["networks"]]
    assert max(mids) / min(mids) > 800
    with pytest.raises(InputError, match="swd-v4"):
        ask(*SEVEN[: SEVEN.index("--down")], "--seconds-per-epoch", 1, "--network", "swd-v3")


def test_a_figure_of_ones_own_for_a_gigabyte():
    words = "--device 7.5W --country FRA --rounds 1 --epochs 1 --active 1 --model-mb 500 --seconds-per-epoch 0"
    (one,) = answer(*words.split(), "--network", "0.06")["estimates"]
    wh = one["parts"][0]["communication_wh"]
    assert (wh["low"], wh["mid"], wh["high"]) == (pytest.approx(6), pytest.approx(60), pytest.approx(600))


WITHOUT = [
    ("--device", 2),
    ("--country", 2),
    ("--data", 2),
    ("--rounds", 2),
    ("--epochs", 2),
    ("--active", 2),
    ("--down", 4),
]


@pytest.mark.parametrize(("name", "words"), WITHOUT)
def test_none_of_the_seven_inputs_is_assumed(name, words):
    at = SEVEN.index(name)
    with pytest.raises(InputError):
        ask(*SEVEN[:at], *SEVEN[at + words :], "--seconds-per-epoch", 1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--country ZZZ", "no emission factor"),
        ("--device toaster", "is not listed"),
        ("--factor-year 1999", "has no factor of 1999"),
        ("--active 0", "cannot be"),
        ("--total 3", "cannot be"),
        ("--down 0", "cannot be"),
        ("--up nan", "cannot be"),
        ("--model-mb 3", "both say how large"),
        ("--topology ring", "is not known"),
        ("--network carrier-pigeon", "are for --network router"),
        ("--network -1", "are for --network router"),
        ("--client 1,vcpu,FRA,1", "leave the single options out"),
        ("--router-w -1", "cannot be"),
        ("--pue 1.2", "none of these is assumed"),
        ("--central-w 300 --central-hours 1 --central-country FRA", "needs --pue or --tue"),
        ("--central-w 300 --central-hours 1 --central-country FRA --pue nowhere", "is not known"),
        ("--central-w -3 --central-hours 1 --central-country FRA --pue 1.2", "cannot be"),
        ("--target-g lots", "as they were printed"),
    ],
)
def test_what_cannot_be_is_one_sentence(words, said):
    with pytest.raises(InputError, match=said) as refused:
        ask(*SEVEN, "--seconds-per-epoch", 1, *words.split())
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["5,7.5W,FRA", "x,7.5W,FRA,1", "5,7.5W,FRA,1,2", "0,7.5W,FRA,1"])
def test_a_client_that_cannot_be_read_is_refused(text):
    with pytest.raises(InputError):
        ask("--client", text, *["--rounds", "1", "--epochs", "1", "--active", "1", "--network", "none"])


def test_from_the_shell_a_refusal_is_exit_code_2():
    done = subprocess.run(
        [sys.executable, "-m", "peerage", "estimate", *SEVEN, "--seconds-per-epoch", "1", "--country", "ZZZ"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "ZZZ" in done.stderr


@pytest.mark.parametrize("network", ["-1", "nan", "inf", "1e9", "carrier-pigeon", "", "router"])
def test_a_network_that_cannot_be_is_refused(network):
    with pytest.raises(InputError):
        ask(*SEVEN[: SEVEN.index("--down")], "--seconds-per-epoch", 1, "--network", network)
