"""Energy as settings spell it: traces from files, batteries, grids. Impossible ones are refused, inventions say so."""

import json
from fractions import Fraction

import pytest
from eth_utils.address import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from typer.testing import CliRunner

from peerage.cli.main import app
from peerage.cli.run import opening
from peerage.config import Energy, Federation, Part, ScheduleSettings
from peerage.config_checks import check_federation
from peerage.config_toml import federation_hash
from peerage.launch.summary import Missing, parted
from peerage.launch.traces import read_trace, with_traces
from peerage.launch.turns import rests, told_of
from peerage.regions import with_addresses
from peerage.schedule import slots_of, turns_of
from peerage.scheduling import plan_budget
from peerage.scheduling.forms import MOST_NUMBERS, grid_of, is_synthetic, profile_of, text_of, words_of
from peerage_crypto.errors import InputError

ADDRESSES = {f"peer-{k + 1:02d}": bytes([k + 1]) * 20 for k in range(6)}


def scheduled(policy, *profiles, rounds=12, **settings):
    """Six peers; the last ones have these profiles."""
    first = 7 - len(profiles)
    energy = tuple(Energy(peer=f"peer-{first + k:02d}", profile=profile) for k, profile in enumerate(profiles))
    return Federation(peers=6, rounds=rounds, schedule=ScheduleSettings(policy=policy, **settings), energy=energy)


def csv(*rows, head="seconds,watts"):
    return "\n".join((head, *rows)) + "\n"


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (csv("0,10", "3600,0"), "measured"),
        (csv("0,10", "3600,0", head="# synthetic: drawn by hand\nseconds,watts"), "synthetic"),
        (json.dumps({"synthetic": False, "samples": [[0, 10], [3600, 0.0]]}), "measured"),
        (json.dumps({"synthetic": True, "samples": [[0, 10], [3600, 0]]}), "synthetic"),
    ],
)
def test_a_file_becomes_numbers_that_the_settings_hold(tmp_path, text, kind):
    path = tmp_path / "sun: a.txt"
    path.write_text(text)
    read = read_trace(f"trace:{path}:3600:30000:90000:40")
    assert read == f"joules:0:90000:30000:{kind}:36000,0"
    profile = profile_of(read, 0, 7)
    assert (profile.trace, profile.cost, profile.capacity, profile.start) == ((36000, 0), 30000, 90000, 0)
    assert profile.synthetic == (kind == "synthetic") == is_synthetic(read)
    assert text_of(profile) == read
    assert words_of(read) == f"joules:0:90000:30000:{kind}: 2 rounds"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (csv("0,1", "3600,1", "10800,1"), "has a gap"),
        (csv("0,1", "3600,-1"), "power that arrives is 0 or more"),
        (csv("0,1", "3600,41"), "gives 40 W at most"),
        (json.dumps({"synthetic": False, "samples": [[0, 1], [3600, 1], [10800, 1]]}), "has a gap"),
        (json.dumps({"synthetic": False, "samples": [[0, 1], [3600, -1]]}), "power that arrives is 0 or more"),
        (json.dumps({"synthetic": False, "samples": [[0, 1], [3600, 41]]}), "gives 40 W at most"),
        (json.dumps({"synthetic": False, "samples": [[3600, 1], [0, 1]]}), "the clock goes from 3600 to 0"),
        (json.dumps({"synthetic": False, "samples": [[0, 1]]}), "two are the least"),
        (json.dumps({"samples": [[0, 1], [3600, 1]]}), "is no JSON of samples"),  # it does not say where it is from
        ('{"synthetic": false, "samples": [[0, NaN], [3600, 1]]}', "is no JSON of samples"),
        ('{"synthetic": false, "samples": ' + "[" * 3000, "is no JSON of samples"),
        (json.dumps({"synthetic": False, "samples": [[0, 1], [3600, 1]], "watts": 3}), "is no JSON of samples"),
    ],
)
def test_what_no_source_gives_is_refused_before_anything_starts(tmp_path, text, sentence):
    path = tmp_path / "sun"
    path.write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_trace(f"trace:{path}:3600:100:1000:40")
    flags = ["--peers", "5", "--schedule", "best-effort", "--energy", f"peer-05=trace:{path}:3600:100:1000:40"]
    done = CliRunner().invoke(app, ["run", *flags, "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, InputError)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ("trace:nowhere.csv:3600:1:1:1", "cannot be read"),
        ("trace:nowhere.csv", "is no trace: use trace:FILE"),
        ("trace:nowhere.csv:1:1:1:-1", "is no trace: use trace:FILE"),
    ],
)
def test_a_trace_that_is_not_there_is_one_sentence(form, sentence):
    with pytest.raises(InputError, match=sentence):
        with_traces([{"peer": "peer-05", "profile": form}])


def test_a_trace_longer_than_settings_is_refused(tmp_path):
    path = tmp_path / "sun.csv"
    path.write_text(csv(*(f"{k},1" for k in range(MOST_NUMBERS + 1))))
    with pytest.raises(InputError, match="more than the 10000"):
        read_trace(f"trace:{path}:1:1:1:40")


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ("trace:sun.csv:1:1:1:1", "names a file"),  # on a machine that does not start the run
        ("joules:0:10:5:measured:1,-2", "is no trace"),
        ("joules:0:10:5:guessed:1,2", "is no trace"),
        ("joules:0:10:5:measured:", "is no trace"),
        ("joules:0:4:5:measured:1", "never holds the 5 J"),
        ("joules:11:10:5:measured:1", "more than the battery's"),
        ("joules:0:10:5:measured:9999999999999", "is no trace"),
        ("battery:0:4:5:1:1", "never holds the 5 J"),
        ("battery:11:10:5:1:1", "more than the battery's"),
        ("battery:5:10:5:1:0", "is not known"),
        ("battery:5:10:5:1", "is not known"),
        ("grid:measured:300", "is not known"),
    ],
)
def test_a_profile_that_cannot_be_is_refused(form, sentence):
    with pytest.raises(InputError, match=sentence):
        check_federation(scheduled("best-effort", form))


def test_a_battery_is_drained_by_what_a_round_costs():
    """Before each round: 10, 8, 3, 6, 1, 4, 4, 7, 2, 5, 0, 3 joules, of which a round takes 5."""
    federation = scheduled("best-effort", "battery:10:10:5:3:2")
    found = rests(with_addresses(federation, ADDRESSES), accounts())
    assert sorted(set(range(1, 13)) - found[accounts()["peer-06"]]) == [1, 2, 4, 8, 10]


# -- what people are told ----------------------------------------------------------------------------------------------


def accounts():
    return {name: str(to_checksum_address(address)) for name, address in ADDRESSES.items()}


def test_only_what_was_measured_is_not_synthetic():
    made_up = [
        "every:3",
        "solar:24:100",
        "chance:1/3",
        "battery:1:2:1:1:1",
        "joules:0:9:1:synthetic:1",
        "grid:synthetic:1",
    ]
    assert all(map(is_synthetic, made_up))
    assert not any(map(is_synthetic, ["always", "joules:0:9:1:measured:1", "grid:measured:1"]))


def test_a_run_says_before_it_starts_whose_energy_is_made_up(tmp_path):
    said = opening(scheduled("best-effort", "joules:0:9:1:measured:1", "every:3"), tmp_path)
    assert [line for line in said if line.startswith("SYNTHETIC")] == [
        "SYNTHETIC: the energy of peer-06 (every:3) is made up, not measured."
    ]
    told = told_of(with_addresses(scheduled("best-effort", "every:3"), ADDRESSES))
    assert [(p.peer, p.profile, p.synthetic) for p in told.profiles] == [(accounts()["peer-06"], "every:3", True)]
    assert told_of(Federation(peers=6)) is None


def test_who_rests_is_not_missing():
    federation = with_addresses(scheduled("windows", "every:3"), ADDRESSES)
    found = rests(federation, accounts())
    solar = accounts()["peer-06"]
    assert len(found[solar]) == 9
    assert not any(found[address] for name, address in accounts().items() if name != "peer-06")
    turn = min(set(range(1, 13)) - found[solar])
    rest = min(found[solar])
    absent = tuple(Missing(round=n, peer="peer-06", address=solar) for n in (rest, turn))
    absent += (Missing(round=rest, peer="peer-01", address=accounts()["peer-01"]),)
    assert parted(absent, found) == (absent[1:], absent[:1])
    assert parted(absent, {}) == (absent, ())


# -- wait for all, carbon ----------------------------------------------------------------------------------------------


def test_waiting_for_all_skips_the_slots_that_somebody_cannot_pay():
    federation = scheduled("wait-for-all", "every:2", "every:3", rounds=3)
    check_federation(federation)
    assert slots_of(federation) == (3, 6, 9)
    assert slots_of(scheduled("wait-for-all", rounds=3)) == (1, 2, 3)
    assert slots_of(scheduled("best-effort", "every:3")) == ()
    assert rests(with_addresses(federation, ADDRESSES), accounts()) == dict.fromkeys(accounts().values(), frozenset())
    with pytest.raises(InputError, match="never goes on without it"):
        check_federation(replace(federation, cast=(Part(peer="peer-02", kill_in_round=2),)))
    check_federation(replace(federation, cast=(Part(peer="peer-02", kill_in_round=2, return_in_round=3),)))
    with pytest.raises(InputError, match="all can pay in 1 of"):
        check_federation(scheduled("wait-for-all", "battery:5:10:5:0:1", rounds=3))


GRIDS = [f"grid:synthetic:{','.join(map(str, [g] * 12))}" for g in (50, 60, 70, 80)]
DIRTY = ["grid:synthetic:900,100,900", "grid:measured:800,800,90"]


def test_a_carbon_budget_keeps_every_round_possible_and_waits_for_clean_ones():
    federation = scheduled("carbon-budget", *GRIDS, *DIRTY, percent=33, slack=2, final=2)
    check_federation(federation)
    found = rests(with_addresses(federation, ADDRESSES), accounts())
    here = {name: set(range(1, 13)) - found[address] for name, address in accounts().items()}
    assert all({11, 12} <= rounds for rounds in here.values())  # the final window has all
    assert all(sum(n in rounds for rounds in here.values()) >= 4 for n in range(1, 13))
    assert here["peer-05"] == {2, 5, 8, 11, 12}  # its clean rounds, and the window
    assert here["peer-06"] == {3, 6, 9, 11, 12}
    table = turns_of(with_addresses(federation, ADDRESSES), frozenset(ADDRESSES.values()))
    assert {table[n - 1][ADDRESSES["peer-05"]] for n in (2, 5, 8)} == {Fraction(10, 3)}
    assert table[11][ADDRESSES["peer-05"]] == 1
    spent = sum(grid_of(e.profile).over(12)[n - 1] for e in federation.energy for n in here[e.peer])
    whole = sum(sum(grid_of(e.profile).over(12)) for e in federation.energy)
    assert spent <= whole * 33 // 100


@pytest.mark.parametrize(
    ("federation", "sentence"),
    [
        (scheduled("carbon-budget", *GRIDS, *DIRTY, percent=20), "more than the carbon budget"),
        (scheduled("carbon-budget", *GRIDS, DIRTY[0]), "needs the grid of each of the 6 peers"),
        (scheduled("carbon-budget", *GRIDS, DIRTY[0], "every:3"), "is no grid"),
        (scheduled("carbon-budget", *GRIDS, DIRTY[0], "grid:measured:5001"), "5001 g/kWh is not possible"),
        (scheduled("carbon-budget", *GRIDS, DIRTY[0], "grid:measured:-1"), "is no grid"),
        (scheduled("carbon-budget", *GRIDS, DIRTY[0], "grid:guessed:1"), "is no grid"),
        (scheduled("carbon-budget", *GRIDS, *DIRTY, percent=60, slack=11), "leaves no round to choose"),
        (scheduled("carbon-budget", *GRIDS, *DIRTY, percent=60, alpha="2/1"), "alpha = 2 is not"),
        (scheduled("carbon-budget", *GRIDS, *DIRTY, percent=60, slack=2, cap=2), "raise the cap"),
        (scheduled("fedau", "every:3", cap=8), "choose a cutoff"),
    ],
)
def test_settings_that_cannot_work_are_refused(federation, sentence):
    with pytest.raises(InputError, match=sentence):
        check_federation(federation)


GRAMS = st.lists(st.integers(0, 900), min_size=8, max_size=8).map(tuple)


@given(st.lists(GRAMS, min_size=5, max_size=6), st.integers(0, 4), st.integers(1, 100), st.integers(0, 3))
def test_a_plan_keeps_its_budget_and_its_rounds(grids, least, percent, final):
    intensities = {f"peer-{k}": grams for k, grams in enumerate(grids)}
    early, budget = 8 - final, sum(map(sum, grids)) * percent // 100
    rounds = list(zip(*grids, strict=True))
    needed = sum(sum(sorted(grams)[:least]) for grams in rounds[:early]) + sum(map(sum, rounds[early:]))
    settings = {"budget": budget, "alpha": Fraction(1, 2), "slack": 1, "final": final, "least": least}
    if needed > budget:
        with pytest.raises(InputError, match="more than the carbon budget"):
            plan_budget(intensities, **settings)
        return
    plan = plan_budget(intensities, **settings)
    assert all(sum(t in taken for _, taken in plan.plan) >= least for t in range(early))
    spent = sum(intensities[peer][t] for peer, taken in plan.plan for t in (*taken, *range(early, 8)))
    assert spent == plan.spent <= budget
    assert all(taken <= frozenset(range(early)) for _, taken in plan.plan)


def test_a_plan_that_would_take_minutes_is_refused():
    energy = tuple(Energy(peer=f"peer-{k + 1:02d}", profile="grid:measured:1") for k in range(50))
    settings = ScheduleSettings(policy="carbon-budget")
    with pytest.raises(InputError, match="larger than the 20000 turns"):
        check_federation(Federation(peers=50, rounds=401, schedule=settings, energy=energy))


def test_new_settings_are_part_of_what_is_agreed():
    one = scheduled("fedau", "every:3")
    other = replace(one, schedule=replace(one.schedule, cutoff=31))
    assert federation_hash(one) != federation_hash(other)
