"""Prediction from a run's first rounds, and calibration: on runs whose energies are known to the microjoule."""

import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from peerage.cli.main import app
from peerage.cli.run import _keep_estimate, opening
from peerage.config import Energy, Federation, Part, ScheduleSettings
from peerage.config_toml import to_toml
from peerage.emissions import EmissionsCsv, Label
from peerage.emissions.factors import Factor
from peerage.emissions.labels import Band
from peerage.emissions.record import PHASES, Labels, PhaseUse, Power, complete
from peerage.estimate.amounts import Amount
from peerage.estimate.calibration import (
    Calibration,
    Energies,
    Prior,
    against,
    calibrate,
    decode,
    encode,
    foresee,
    settings_of,
)
from peerage.estimate.documents import Answer
from peerage.estimate.prediction import RoundUse, by_round, predict
from peerage.estimate.runs import keep, known_of, of_run
from peerage_crypto.errors import InputError

FRANCE = Factor(
    country="FRA", low_mg=31_000, mid_mg=56_000, high_mg=79_000, year=2023, source="test", label=Label.MODELLED
)
POWER = Power(milli_cores=2000, idle_mw=0, rate_uw=1_000_000, reserved_ppm=0)  # a CPU-second is a joule, all else free
LABELS = Labels(cpu_dyn=Label.MODELLED, idle=Label.MODELLED, ram=Label.MODELLED, gpu=Label.ASSUMED)
WORK = {"train": 300_000, "wait": 200_000, "mask": 400_000, "unmask": 100_000}  # CPU-microseconds: a joule a round


def record(peer, number, extra=0):
    use = tuple(
        PhaseUse(
            phase=phase,
            wall_us=10,
            cpu_us=WORK.get(phase, 0) + (extra if phase == "wait" else 0),
            bytes_out=1000 if phase == "mask" else 0,
        )
        for phase in PHASES
    )
    return complete(
        peer=bytes([peer] * 20),
        host_id="0" * 16,
        session_us=0,
        index=number - 1,
        round=number,
        start_us=number * 1000,
        end_us=number * 1000 + 1000,
        resolution_us=0,
        power=POWER,
        labels=LABELS,
        use=use,
        factor=FRANCE,
    )


def make(root, rounds=6, peers=4, metered=None, **settings):
    """A run in which each peer takes a joule a round, and four more in the first."""
    federation = Federation(peers=peers, rounds=rounds, **settings)
    (root / "store").mkdir(parents=True)
    (root / "federation.toml").write_text(to_toml(federation))
    for peer in range(1, peers + 1):
        folder = root / "peers" / f"peer-{peer:02d}"
        folder.mkdir(parents=True)
        with EmissionsCsv(folder / "emissions.csv") as log:
            for number in range(1, (metered or rounds) + 1):
                one = record(peer, number, 4_000_000 if number == 1 else 0)
                log.append(one)
                (root / "store" / one.digest().hex()).write_bytes(one.encode())
    return root


@pytest.fixture
def run(tmp_path):
    return make(tmp_path / "run")


def ask(*words):
    done = CliRunner().invoke(app, ["estimate", *map(str, words)], catch_exceptions=True)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def joules(*mids, peers=4):
    return tuple(
        RoundUse(round=n, peers=peers, amount=Amount(Band(mid // 2, mid, 2 * mid), Band(0, mid // 10, mid)))
        for n, mid in enumerate(mids, 1)
    )


def test_a_steady_run_is_predicted_exactly_once_its_start_is_set_apart(run):
    told = of_run(run).predict(3)
    start_up, flat = told.forms
    assert (start_up.form, flat.form) == ("start-up", "flat")
    assert start_up.error == 0
    assert start_up.energy_wh.mid == told.metered_wh.mid == (4 * 6 + 4 * 4) / 3600
    assert flat.error == pytest.approx((7 / 3) / (40 / 24) - 1)
    assert told.within
    assert told.peers == 4
    assert told.label == "parametric"
    assert told.metered_label == "modelled"


def test_a_run_that_turns_is_told_to_be_outside_the_spread_of_rounds():
    told = predict(joules(50, 10, 10, 30, 30, 30), 3, 6)
    assert told.forms[0].error < 0
    assert told.within is False


def test_beyond_what_is_metered_there_is_no_error_to_tell(run):
    told = of_run(run).predict(2, 100)
    assert told.metered_wh is None
    assert [form.error for form in told.forms] == [None, None]
    assert told.forms[0].energy_wh.mid == (4 * 100 + 4 * 4) / 3600


def test_a_run_under_way_is_predicted_to_the_rounds_of_its_settings(tmp_path):
    told = of_run(make(tmp_path / "run", rounds=50, metered=3)).predict(3)
    assert (told.rounds, told.metered_wh) == (50, None)


@pytest.mark.parametrize(("first", "rounds"), [(0, 6), (7, 6), (-1, 6), (4, 3)])
def test_first_rounds_that_are_not_there_are_refused(first, rounds):
    with pytest.raises(InputError, match=r"cannot be|metered already"):
        predict(joules(*[5] * 6), first, rounds)


def test_a_round_without_records_is_a_gap_and_none_at_all_is_nothing():
    with pytest.raises(InputError, match="of round 2"):
        by_round([record(1, 1), record(1, 3)])
    with pytest.raises(InputError, match="no readable emission record"):
        by_round([])


ROUNDS = st.lists(st.integers(0, 10**9), min_size=1, max_size=12)


@given(ROUNDS, st.integers(1, 12), st.integers(0, 50), st.integers(0, 50))
def test_a_prediction_is_a_band_and_more_rounds_are_never_less(mids, first, ahead, more):
    rounds = joules(*mids)
    first = min(first, len(rounds))
    fewer, longer = predict(rounds, first, first + ahead), predict(rounds, first, first + ahead + more)
    for one in (fewer, longer):
        for band in (one.expected_wh, *(form.energy_wh for form in one.forms), *(form.co2e_g for form in one.forms)):
            assert band.low <= band.mid <= band.high
    for small, large in zip(fewer.forms, longer.forms, strict=True):
        assert small.energy_wh.mid <= large.energy_wh.mid
        assert small.co2e_g.high <= large.co2e_g.high


def test_the_same_settings_again_are_what_was_metered(run):
    used = of_run(run)
    told = against(foresee(used.settings, calibrate(used), FRANCE), used)
    assert told.error == pytest.approx(0, abs=1e-6)
    assert told.energy_wh.mid == pytest.approx(40 / 3600)
    assert told.bytes_moved == 6 * 4 * 1000
    assert told.differs == ()
    assert math.isclose(told.co2e_g.mid, 40 / 3600 * 56 / 1000, rel_tol=1e-3)


def test_phases_are_scaled_each_by_its_power_and_the_sentence_says_so(run):
    known = calibrate(of_run(run))
    told = foresee(Federation(peers=8, rounds=6), known, FRANCE)
    assert told.phases_wh["mask"].mid * 3600 == pytest.approx(6 * 4 * 0.4 * 4)  # four times for twice the peers
    assert told.phases_wh["wait"].mid * 3600 == pytest.approx(6 * 4 * 0.2 * 2)
    assert told.phases_wh["start"].mid * 3600 == pytest.approx(16 * 2)
    assert told.differs == ("peers 8, calibrated with 4",)
    assert told.bytes_moved == 6 * 4 * 4 * 1000
    more = msgspec.structs.replace(
        Federation(peers=4, rounds=6), training=msgspec.structs.replace(Federation().training, epochs=6)
    )
    train = foresee(more, known, FRANCE).phases_wh["train"]
    assert train.mid * 3600 == pytest.approx(6 * 4 * 0.3 * 3)
    assert train.low * 3600 == pytest.approx(6 * 4 * 0.3 / 2)  # if nothing of it grew with epochs


CALIBRATION = st.builds(
    Calibration,
    schema=st.just(1),
    source=st.just("run"),
    cpu_model=st.just("cpu"),
    milli_cores=st.just(2000),
    same=st.just(settings_of(Federation())),
    peers=st.integers(1, 50),
    rounds=st.integers(1, 50),
    epochs=st.integers(1, 20),
    phases=st.fixed_dictionaries(
        {
            phase: st.lists(st.integers(0, 10**9), min_size=3, max_size=3).map(lambda ends: Energies(*sorted(ends)))
            for phase in PHASES
        }
    ),
    start=st.lists(st.integers(0, 10**9), min_size=3, max_size=3).map(lambda ends: Energies(*sorted(ends))),
    bytes_per_round=st.integers(0, 10**9),
    label=st.just(Label.MODELLED),
    first=st.just(3),
    error=st.none() | st.floats(-0.99, 10),
)


@given(CALIBRATION, st.integers(3, 100), st.integers(1, 1000), st.integers(1, 100))
def test_any_calibration_gives_a_band_that_grows_with_rounds_and_adds_up(known, peers, rounds, more):
    less, much = (foresee(Federation(peers=peers, rounds=n), known, FRANCE) for n in (rounds, rounds + more))
    for one in (less, much):
        for band in (one.energy_wh, one.co2e_g, *one.phases_wh.values()):
            assert 0 <= band.low <= band.mid <= band.high
        for end in ("low", "mid", "high"):
            parts = sum(getattr(part, end) for part in one.phases_wh.values())
            assert getattr(one.energy_wh, end) == pytest.approx(parts)
    assert less.energy_wh.low <= much.energy_wh.low
    assert less.energy_wh.mid <= much.energy_wh.mid
    assert less.energy_wh.high <= much.energy_wh.high
    assert decode(encode(known), "x") == known


def test_an_error_is_what_was_estimated_over_what_was_metered(run):
    used = of_run(run)
    known = calibrate(used)
    double = {name: Energies(*(2 * end for end in (x.low, x.mid, x.high))) for name, x in known.phases.items()}
    told = against(foresee(used.settings, msgspec.structs.replace(known, phases=double), FRANCE), used)
    assert told.error == pytest.approx((2 * 24 + 16) / 40 - 1)


def test_a_larger_stored_error_is_a_wider_band(run):
    known = calibrate(of_run(run))
    assert known.error == 0
    sure, unsure = (
        foresee(Federation(peers=4, rounds=6), msgspec.structs.replace(known, error=error), FRANCE).energy_wh
        for error in (0.0, -0.5)
    )
    assert (unsure.low, unsure.mid, unsure.high) == (
        pytest.approx(sure.low / 1.5),
        pytest.approx(sure.mid),
        pytest.approx(sure.high * 1.5),
    )


def test_of_its_two_errors_a_calibration_takes_the_larger(run):
    known = calibrate(of_run(run))
    prior = Prior(source="x", energy_wh=1.0, low_wh=0.5, high_wh=2.0, error=-0.4)
    assert (known.worst_error, msgspec.structs.replace(known, prior=prior).worst_error) == (0, -0.4)
    assert msgspec.structs.replace(known, error=None).worst_error is None
    wide = foresee(Federation(peers=4, rounds=6), msgspec.structs.replace(known, prior=prior), FRANCE)
    assert wide.energy_wh.high == pytest.approx(
        1.4 * foresee(Federation(peers=4, rounds=6), known, FRANCE).energy_wh.high
    )
    assert wide.calibration_error == -0.4


def test_a_setting_that_cannot_be_scaled_is_refused_by_its_name(run):
    known = calibrate(of_run(run))
    with pytest.raises(InputError, match="exchange is 'plain' here and 'masked'"):
        foresee(Federation(peers=4, exchange="plain"), known, FRANCE)
    with pytest.raises(InputError, match="cast is 1 here and 0"):
        foresee(Federation(peers=4, cast=(Part(peer="peer-01", slow=3),)), known, FRANCE)
    drawn = ScheduleSettings(policy="selection", count=2)
    with pytest.raises(InputError, match="schedule is 'policy=selection, cap=32, count=2"):
        foresee(Federation(peers=4, schedule=drawn), known, FRANCE)
    with pytest.raises(InputError, match="energy is 'peer-01=every:5' here"):
        foresee(Federation(peers=4, energy=(Energy(peer="peer-01", profile="every:5"),)), known, FRANCE)


def test_half_a_run_and_one_with_lost_energy_calibrate_nothing(tmp_path):
    half = make(tmp_path / "half", metered=3)
    with pytest.raises(InputError, match="3 of 6 rounds"):
        keep(half)
    lost = make(tmp_path / "lost")
    next((lost / "store").iterdir()).unlink()
    with pytest.raises(InputError, match="1 of 24 emission records"):
        keep(lost)
    assert not (half / "estimate.json").exists()
    assert not (lost / "estimate.json").exists()


def test_a_run_of_few_rounds_has_no_error_to_store(tmp_path):
    known, path = keep(make(tmp_path / "run", rounds=2))
    assert known.error is None
    assert known_of(path) == known_of(tmp_path / "run") == known
    assert "too few" in ask("--calibrate", tmp_path / "run")


def test_what_was_said_before_is_kept_with_its_error(run, tmp_path):
    other = make(tmp_path / "other", rounds=12)
    prior = foresee(of_run(other).settings, known_of(run), FRANCE)
    known, _ = keep(other, prior=prior)
    assert known.prior.error == pytest.approx(0, abs=1e-6)
    assert known.prior.source.startswith("run, ")
    with pytest.raises(InputError, match="the estimate is for 4, 12 and 2"):
        keep(run, prior=prior)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"peers": 0},
        {"error": -1.0},
        {"surprise": 1},
        {"start": {"low": 3, "mid": 2, "high": 5}},
        {"phases": {"dream": {"low": 0, "mid": 0, "high": 0}}},
        {"phases": {"train": {"low": -1, "mid": 0, "high": 0}}},
    ],
)
def test_a_file_that_no_run_wrote_is_refused(run, change):
    _, path = keep(run)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(InputError, match=r"calibration|low to high"):
        known_of(run)


@pytest.mark.parametrize("raw", [b"", b"[]", b"\xff", b"{" * 5000, b"[" * 200_000])
def test_bytes_that_are_no_calibration_are_refused(raw):
    with pytest.raises(InputError, match="no calibration"):
        decode(raw, "x")


def test_a_file_that_is_gone_or_too_long_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        known_of(tmp_path / "none.json")
    (tmp_path / "long.json").write_bytes(b" " * ((1 << 20) + 1))
    with pytest.raises(InputError, match="longer than"):
        known_of(tmp_path / "long.json")


def test_the_commands_on_a_run(run, tmp_path):
    assert "error +0.0 %" in ask("--from", run)
    assert json.loads(ask("--from", run, "--first", 1, "--rounds", 9, "--json"))["prediction"]["rounds"] == 9
    assert "predicted +0.0 % off" in ask("--calibrate", run, "--out", tmp_path / "kept.json")
    settings = run / "federation.toml"
    words = (settings, "--calibration", tmp_path / "kept.json", "--country", "POL")
    text = ask(*words, "--against", run)
    assert "error +0.0 %" in text or "error -0.0 %" in text
    raw = ask(*words, "--json")
    assert msgspec.json.decode(raw, type=Answer).federation is not None  # the document has the form that it declares
    told = json.loads(raw)["federation"]
    assert (told["country"], told["label"]) == ("POL", "parametric")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["TOML"], "neither seconds nor watts"),
        (["TOML", "--calibration", "RUN"], "names no emissions.country"),
        (["--calibration", "RUN"], "name a FEDERATION.toml"),
        (["TOML", "--calibration", "RUN", "--country", "ZZZ"], "no emission factor"),
        (["TOML", "--calibration", "RUN", "--country", "FRA", "--country", "POL"], "once"),
        (["gone.toml", "--calibration", "RUN", "--country", "FRA"], "gone.toml"),
        (["--from", "nowhere"], "no run directory"),
        (["--from", "RUN", "--first", "9"], "records of 6 rounds"),
        (["--from", "RUN", "--first", "3", "--rounds", "2"], "metered already"),
    ],
)
def test_what_a_run_cannot_answer_is_one_sentence(run, words, said):
    names = {"TOML": run / "federation.toml", "RUN": run}
    with pytest.raises(InputError, match=said):
        ask(*(names.get(word, word) for word in words))


class Screen:
    def __init__(self):
        self.said = []

    def say(self, sentence):
        self.said.append(sentence)


def test_a_run_keeps_what_it_learnt_and_says_it(run):
    screen = Screen()
    _keep_estimate(run, None, screen)
    assert "predicted +0.0 % off" in screen.said[0]
    assert known_of(run / "estimate.json").error == 0


def test_a_run_survives_an_estimate_that_cannot_be_written(tmp_path):
    screen = Screen()
    _keep_estimate(tmp_path, None, screen)
    assert f"peerage estimate --calibrate {tmp_path}" in screen.said[0]


def test_a_run_says_before_it_starts_what_it_may_take(run):
    federation = Federation(peers=4, rounds=6)
    said = opening(federation, run, foresee(federation, known_of(run), FRANCE))
    assert said[-1].startswith("Estimate: 4 peers, 6 rounds of 2 epochs: 11.1 (")
    assert "(parametric)" in said[-1]
