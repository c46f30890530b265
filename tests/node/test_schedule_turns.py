"""Turns in real engines: who rests trains and joins nothing, scaled updates add up to the mean over all, and a round
with a peer out of turn is refused by whoever judges it."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from simulator import Simulation
from typer.testing import CliRunner

from peerage.cli.main import app
from peerage.config import Energy, Federation, ScheduleSettings
from peerage.config_checks import check_federation
from peerage.config_toml import federation_hash, parse_federation, settings_artefact, to_toml
from peerage.regions import with_addresses
from peerage.rounds.aggregation import Grid, update_of
from peerage.rounds.merging import Merging
from peerage.rounds.optimisers import FEDAVG
from peerage.schedule import over_all, turns_of
from peerage.scheduling.forms import profile_of
from peerage_crypto.errors import InputError
from peerage_ledger.judgement import Evidence, genesis, judge_round

GRID = Grid(32, 16, 8.0)
ADDRESSES = {f"peer-{k + 1:02d}": bytes([k + 1]) * 20 for k in range(6)}
EVERYBODY = frozenset(ADDRESSES.values())


def scheduled(policy="windows", energy=(("peer-06", "every:3"),), **settings):
    listed = tuple(Energy(peer=peer, profile=profile) for peer, profile in energy)
    count = settings.pop("count", 0)
    cap = settings.pop("cap", 32)
    made = Federation(peers=6, rounds=12, schedule=ScheduleSettings(policy=policy, count=count, cap=cap), energy=listed)
    return replace_struct(made, settings)


def replace_struct(made, settings):
    from msgspec.structs import replace as changed

    return changed(made, **settings)


def turns(federation):
    return turns_of(with_addresses(federation, ADDRESSES), EVERYBODY)


# -- settings ----------------------------------------------------------------------------------------------------------


def test_without_a_schedule_nothing_changes():
    assert turns(Federation(peers=6)) is None
    assert b"schedule" not in settings_artefact(Federation(peers=6))  # and so the genesis is the one it was
    assert federation_hash(scheduled()) != federation_hash(scheduled(cap=31))
    assert over_all(Federation(peers=6)) == 0


def test_turns_are_one_a_window_with_the_windows_length_as_scale():
    table = turns(scheduled())
    mine = [t for t, scales in enumerate(table) if ADDRESSES["peer-06"] in scales]
    assert [t // 3 for t in mine] == [1, 2, 3]  # the battery is empty in the first window
    assert {table[t][ADDRESSES["peer-06"]] for t in mine} == {Fraction(3)}
    assert all(scales[ADDRESSES["peer-01"]] == 1 for scales in table)
    assert over_all(scheduled()) == 6


def test_the_settings_come_back_from_their_file():
    assert parse_federation(to_toml(scheduled()), where="x") == scheduled()


def test_selection_draws_so_many_of_the_registered():
    table = turns(scheduled("selection", (), count=4))
    assert {len(scales) for scales in table} == {4}
    assert len({frozenset(scales) for scales in table}) > 3
    assert over_all(scheduled("selection", (), count=4)) == 0


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"policy": "none"}, "profiles without a schedule do nothing"),
        ({"rounds": 1001}, "more than the 1000"),
        ({"exchange": "plain"}, "have not been tried together"),
        ({"energy": (("peer-06", "every:3"), ("peer-06", "always"))}, "listed twice"),
        ({"energy": (("peer-09", "every:3"),)}, "neither a peer's name"),
        ({"energy": tuple((f"peer-0{k}", "every:3") for k in (4, 5, 6))}, "round 1 would have 3 peers"),
        ({"energy": (("peer-06", "every:0"),)}, "is not known: use always"),
        ({"energy": (("peer-06", "wind:3"),)}, "is not known: use always"),
        ({"energy": (("peer-06", "chance:3/2"),)}, "at most 1"),
        ({"energy": (("peer-06", "chance:1/3"),)}, "no certain window"),
        ({"energy": (("peer-06", "every:10"),), "cap": 4}, "raise the cap"),
        ({"policy": "selection"}, "asks for no energy"),
        ({"policy": "selection", "energy": (), "count": 2}, "takes 4 to 6"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, sentence):
    with pytest.raises(InputError, match=sentence) as error:
        check_federation(scheduled(**settings))
    assert error.value.exit_code == 2


def test_a_bad_flag_is_one_sentence_and_exit_code_2():
    for flags in (["--energy", "peer-05"], ["--schedule", "windows", "--energy", "peer-05=wind:3"]):
        done = CliRunner().invoke(app, ["run", "--peers", "5", *flags])
        assert isinstance(done.exception, InputError)
        assert done.exception.exit_code == 2


def test_a_name_and_its_address_have_the_same_turns():
    profile = profile_of("solar:4:30", 0, 1)
    assert profile == profile_of("solar:4:30", 0, 1)
    assert profile.synthetic
    check_federation(with_addresses(scheduled(), ADDRESSES))


# -- arithmetic --------------------------------------------------------------------------------------------------------


def test_a_scale_comes_before_the_clip():
    base = np.zeros(4, np.float32)
    small, large = np.full(4, 0.5, np.float32), np.full(4, 3.0, np.float32)
    thrice = update_of(small, base, GRID, bytes(32), Fraction(3))
    assert np.allclose(thrice.units / 2**16, 1.5, atol=1e-4)
    assert not thrice.shortened
    beyond = update_of(large, base, GRID, bytes(32), Fraction(3))
    assert beyond.shortened
    assert np.linalg.norm(beyond.units / 2**16) <= 8.001
    assert (np.abs(beyond.units) <= GRID.largest).all()


def test_a_scaled_sum_is_divided_by_all():
    start = genesis(b"", np.zeros(3, np.float32), b"")
    counts = np.array([2, 2, 2, 0, 0, 0], "<u8")
    words = np.full(3, 3 * 2**16, np.uint32)
    total = np.concatenate([counts.view(np.uint32), words])
    present = Merging(GRID, FEDAVG).merge(start, [total], [2])
    over_six = Merging(GRID, FEDAVG, over=6).merge(start, [total], [2])
    assert np.array_equal(present.model, np.full(3, 1.5, np.float32))
    assert np.array_equal(over_six.model, np.full(3, 0.5, np.float32))


# -- engines -----------------------------------------------------------------------------------------------------------


def simulated(table_of, *, rounds=4, deaf=False):
    """Six engines; the last one has the turns of `table_of`. `deaf`: it does not know of them."""
    sim = Simulation(6, rounds=rounds, seed=3)
    hosts = list(sim.hosts.values())
    last = list(sim.hosts.values())[-1].account.address
    others = dict.fromkeys((h.account.address for h in hosts[:-1]), Fraction(1))
    table = tuple(others | ({last: table_of[t]} if t in table_of else {}) for t in range(1, rounds + 1))
    trained = []
    for host in sim.hosts.values():
        if not (deaf and host is list(sim.hosts.values())[-1]):
            host.engine.federation = replace(host.engine.federation, turns=table)
        host.engine.rules = replace(host.engine.rules, over=6)
    honest = sim.train

    def counted(simulation, host, task):
        trained.append((host.name, task.version))
        return honest(simulation, host, task)

    sim.train = counted
    sim.start().run()
    return sim, last, table, trained


def attended(sim, peer):
    return [j.transcript.round for j in next(iter(sim.hosts.values())).engine.history if peer in j.proven.u3]


def test_who_rests_trains_nothing_and_stands_on_the_same_model():
    sim, last, _, trained = simulated({3: Fraction(3)})
    assert attended(sim, last) == [3]
    assert [version for name, version in trained if name == list(sim.hosts.values())[-1].name] == [1]
    assert len({host.engine.head.record for host in sim.hosts.values()}) == 1
    assert list(sim.hosts.values())[-1].engine.head.round == 4
    assert all(host.finished for host in sim.hosts.values())


def test_what_goes_under_the_mask_is_scaled():
    """The same run with scale 1 and with scale 3: the update in round 3, shorter than the clip both times."""
    units = []
    for scale in (Fraction(1), Fraction(3)):
        sim, last, _, _ = simulated({3: scale})
        third = next(iter(sim.hosts.values())).engine.history[2]
        words = sim.plain[third.transcript.sid, last][-sim.parameters :].astype(np.int64)
        units.append((words + 2**31) % 2**32 - 2**31)
    assert np.linalg.norm(units[1]) < 0.9 * 4.0 * 2**16  # the clip of simulated peers
    assert np.abs(units[1] - 3 * units[0]).max() <= 4  # each is rounded by itself
    assert np.abs(units[0]).max() > 1000


def test_the_model_is_the_scaled_sum_over_all():
    """From the updates under the masks: W' = W0 + sum / (2^f * 6), though five took part."""
    sim, _, _, _ = simulated({3: Fraction(3)})
    first = next(iter(sim.hosts.values())).engine.history[0]
    units = sum(
        sim.plain[first.transcript.sid, peer].astype(np.int64) for peer in first.proven.u3
    )  # one lane of counts, then the update
    parameters = units[-sim.parameters :]
    signed = (parameters + 2**31) % 2**32 - 2**31
    expected = next(iter(sim.hosts.values())).engine.genesis.model + signed / (2.0**16 * 6)
    assert np.allclose(first.standing.model, expected, atol=1e-6)


def test_a_peer_that_does_not_know_its_turns_gets_into_no_roster():
    sim, last, _, _ = simulated({3: Fraction(3)}, deaf=True)
    assert set(attended(sim, last)) <= {3}
    assert next(iter(sim.hosts.values())).engine.head.round == 4


def test_a_round_with_a_peer_out_of_turn_does_not_hold():
    sim, last, table, _ = simulated(dict.fromkeys(range(1, 5), Fraction(1)))
    host, first = next(iter(sim.hosts.values())), next(iter(sim.hosts.values())).engine.history[0]
    assert last in first.proven.u3
    t = first.transcript
    evidence = Evidence(first.standing.transcript, t, t.session, first.session, sim.archive[t.sum_artefact])
    ground, start, merge = host.engine.federation, host.engine.genesis, host.engine.merge
    assert not isinstance(judge_round(ground, start, evidence, merge), list)
    resting = tuple({p: s for p, s in scales.items() if p != last} for scales in table)
    faults = judge_round(replace(ground, turns=resting), start, evidence, merge)
    assert [(f.code, f.culprit) for f in faults] == [("out-of-turn", last)]
