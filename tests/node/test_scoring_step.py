"""Agreeing on a direction, opening for it, and collecting what was opened."""

import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from peerage.rounds.scoring_step import Scoring, agree, direction_bytes, direction_from, my_openings, ring_direction
from peerage_crypto.opening import Openings
from peerage_crypto.statements import sign

sys.path.insert(0, str(Path(__file__).parent))

from simulator import Simulation

G = np.arange(-12, 12, dtype=np.int64)


def adopted() -> tuple[Simulation, list]:
    """Four peers at the moment when all have adopted the first round and computed their direction."""
    sim = Simulation(4, rounds=1).start()
    while not all(h.engine.scored for h in sim.hosts.values()):
        sim.run(sim.now + 0.001)
    return sim, [sim.hosts[a].engine for a in sorted(sim.hosts)]


def test_a_direction_survives_its_bytes_and_no_other_length_passes() -> None:
    assert np.array_equal(direction_from(direction_bytes(G), 24), G)
    with pytest.raises(ValueError, match="96 bytes"):
        direction_from(direction_bytes(G), 25)


def test_agreement_is_a_cosine_of_at_least_99_hundredths() -> None:
    other = G.copy()
    other[0] += 1
    assert agree(G, G * 3)
    assert agree(G, other)
    assert not agree(G, -G)
    assert not agree(G, np.eye(1, 24, 3, dtype=np.int64)[0])
    assert not agree(G, np.zeros(24, np.int64)), "nothing agrees with nothing"


def test_nothing_is_opened_of_the_hidden_counts() -> None:
    _, engines = adopted()
    whole, lane = ring_direction(G, engines[0].candidate.proven), engines[0].federation.ring.lane_words
    assert lane == 12
    assert not whole[:lane].any()
    assert np.array_equal(whole[lane:].view(np.int32), G)


def test_the_initiator_takes_only_what_is_signed_for_its_direction() -> None:
    sim, engines = adopted()
    one = engines[0]
    candidate, direction = one.candidate, one.scored.direction
    scoring = Scoring(candidate, {}, direction, 10, set(candidate.proven.u3))
    _, good = my_openings(candidate, one.me, one.closing.member.pair_keys, direction, bytes(32), one.account.sign)
    _, other = my_openings(candidate, one.me, one.closing.member.pair_keys, -direction, bytes(32), one.account.sign)
    forged = msgspec.structs.replace(good, values=(*good.values[:-1], good.values[-1] ^ 1))
    short = Openings(good.sid, good.signed, good.values[1:])
    stolen = Openings(good.sid, sign(good.signed.statement, engines[1].account, sim.federation.domain), good.values)
    for bad in (other, forged, short, stolen):
        assert "not what it signed" in scoring.on_openings(one.me, bad)
    scoring.expected.add(one.me)
    assert not scoring.on_openings(one.me, good)
    assert one.me not in scoring.expected
    assert scoring.openings == {one.me: good}


def test_a_stranger_to_the_round_is_ignored() -> None:
    _, engines = adopted()
    one = engines[0]
    scoring = Scoring(one.candidate, {}, G, 10, {one.me})
    _, message = my_openings(one.candidate, one.me, one.closing.member.pair_keys, G, bytes(32), one.account.sign)
    assert not scoring.on_openings(b"x" * 20, message)
    assert not scoring.complete
