"""A session's statements are verified when it arrives and when all its vectors are here, not at each vector."""

import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import invariants
from simulator import Simulation

from peerage.rounds import results


@pytest.mark.parametrize("peers", [4, 12])
def test_judging_a_session_takes_as_many_verifications_whatever_the_number_of_peers(
    peers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: Counter[bytes] = Counter()
    real = results.judge_result

    def counting(federation: object, head: object, session: object, *more: object) -> object:
        counted[session.opened.statement.sid] += 1
        return real(federation, head, session, *more)

    monkeypatch.setattr(results, "judge_result", counting)
    sim = Simulation(peers, seed=4, rounds=2).start().run()
    invariants.check(sim)
    assert len(counted) == 2
    assert all(number <= 2 * peers for number in counted.values())
