"""The attack lab in small: what it says of the worst and the best rule, and that its attacks are what they say."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(scope="module")
def lab():
    """scripts/benchmarks/attacks.py and attack_kinds.py."""
    import torch

    sys.path.insert(0, str(SCRIPTS))
    try:
        from benchmarks import attack_kinds, attacks
    finally:
        sys.path.remove(str(SCRIPTS))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield attacks, attack_kinds
    torch.set_num_threads(before)


def played(lab, **setup):
    attacks, _ = lab
    plain = setup.get("exchange") == "plain"
    sizes = {"peers": 7, "bad": 2} if plain else {"peers": 15, "buckets": 3, "bad": 1}
    return attacks.play(attacks.Setup(**(sizes | {"rounds": 5} | setup)), 0)


def known(lab, peers=12, bad=3):
    _, kinds = lab
    random = np.random.default_rng(2)
    honest = [random.normal(1.0, 0.5, 40) for _ in range(peers - bad)]
    return kinds.Knowledge(random.normal(1.0, 0.5, 40), honest, peers, bad, 8.0, 80.0)


def test_attacks_are_what_they_say(lab):
    _, kinds = lab
    view = known(lab)
    mean = np.mean(view.honest, axis=0)
    total = sum(view.honest)
    assert kinds.crafted("sign-flip", view) @ view.own < 0
    assert np.linalg.norm(kinds.crafted("sign-flip", view)) == pytest.approx(8.0)
    alie = kinds.crafted("alie", view)
    assert (np.abs(alie - mean) < 1.5 * np.std(view.honest, axis=0)).all(), "it hides among the honest"
    wide = kinds.Knowledge(view.own, view.honest, 12, 3, 1e9, 1e9)
    assert (total + 3 * kinds.crafted("ipm", wide)) @ mean < 0, "the sum is turned round"
    assert np.linalg.norm(kinds.crafted("ipm", view)) <= 8.0 + 1e-9
    assert not kinds.crafted("free-rider", view).any()
    assert np.isnan(kinds.crafted("nan", view)).all()
    assert np.linalg.norm(kinds.crafted("oversize", view)) == pytest.approx(80.0)
    one, other = (kinds.crafted("selfish", view, to) for to in (1, 2))
    assert not np.array_equal(one, other)


def test_masked_oversize_ruins_the_mean_and_not_the_median(lab):
    honest = played(lab, rule="median")
    ruined, kept = played(lab, attack="oversize"), played(lab, attack="oversize", rule="median")
    assert ruined.accuracy < 0.5
    assert kept.accuracy > honest.accuracy - 0.1 > 0.7


def test_plain_ipm_ruins_the_mean_and_not_multi_krum(lab):
    ruined = played(lab, exchange="plain", attack="ipm")
    kept = played(lab, exchange="plain", attack="ipm", rule="multi-krum")
    assert ruined.accuracy < 0.5
    assert kept.accuracy > 0.8


@pytest.mark.parametrize("exchange", ["masked", "plain"])
def test_a_nan_is_refused_and_its_sender_named(lab, exchange):
    found = played(lab, attack="nan", exchange=exchange)
    assert found.named["refused"] == set(range(2 if exchange == "plain" else 1))
    assert found.accuracy > 0.8


def test_huge_values_void_a_masked_round_and_name_nobody(lab):
    found = played(lab, attack="huge")
    assert found.void == 5
    assert not set().union(*found.named.values())


def test_a_free_rider_is_not_paid_and_an_honest_peer_is(lab):
    found = played(lab, attack="free-rider", rounds=8)
    assert 0 in found.named["unpaid"]
    assert len(found.named["unpaid"]) < 4


def test_selfish_peers_are_convicted_after_one_round(lab):
    convicted = played(lab, exchange="plain", attack="selfish")
    unseen = played(lab, exchange="plain", attack="selfish-unseen")
    assert convicted.named["convicted"] == {0, 1}
    assert "convicted" not in unseen.named
    assert convicted.accuracy > unseen.accuracy + 0.05


def test_a_screen_leaves_out_whom_it_names(lab, monkeypatch):
    """Where checks on single updates come in: opened sketches."""
    attacks, _ = lab

    def longer(units, grid):
        limit = 3 * np.median([np.linalg.norm(u) for u in units.values()])
        return frozenset(seat for seat, u in units.items() if np.linalg.norm(u) > limit)

    monkeypatch.setitem(attacks.SCREENS, "length", longer)
    found = played(lab, attack="oversize", screens=("length",))
    assert found.named["length"] == {0}
    assert found.accuracy > 0.8


def test_the_same_seed_gives_the_same_table(lab):
    one, other = (played(lab, exchange="plain", attack="alie", rule="krum", rounds=2) for _ in range(2))
    assert one == other


def test_the_command(monkeypatch, capsys, lab):
    """Once as a table, once as JSON."""
    sys.path.insert(0, str(SCRIPTS))
    from benchmarks import attack_table

    sys.path.remove(str(SCRIPTS))
    command = (
        "attack_lab --seeds 1 --rounds 2 --partitions iid --attacks none selfish --rules mean median --processes 1"
    )
    sizes = "--peers 15 --buckets 3 --bad 1 --plain-peers 5 --plain-bad 1"
    monkeypatch.setattr(sys, "argv", f"{command} {sizes}".split())
    assert attack_table.main("") == 0
    table = capsys.readouterr().out
    assert "| attack | mean | median | named by |" in table
    assert "convicted 1.0/1" in table
    monkeypatch.setattr(sys, "argv", f"{command} {sizes} --json".split())
    assert attack_table.main("") == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert len(rows) == 2 + 4
    assert all(0 <= row["accuracy"] <= 1 for row in rows)


def test_the_cost_of_a_rule(monkeypatch, capsys, lab):
    sys.path.insert(0, str(SCRIPTS))
    from benchmarks import attack_table

    sys.path.remove(str(SCRIPTS))
    monkeypatch.setattr(sys, "argv", ["attack_lab", "--cost", "1000"])
    assert attack_table.main("") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1000 parameters, 7 buckets"
    assert len(lines) == 7


def test_a_rule_that_cannot_hold_is_refused():
    command = [sys.executable, SCRIPTS / "attack_lab", "--buckets", "4", "--rules", "krum"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "krum with f = 2 needs 7 vectors, there are 4" in done.stderr
