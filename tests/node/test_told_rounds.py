"""Which round a peer's line of metrics is about: one that catches up adopts several in one step."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from simulator import Simulation

from peerage import effects as fx
from peerage.accounts import round_of


def test_each_round_adopted_in_one_step_is_told_by_its_own_facts() -> None:
    """One peer is away for two rounds; when it is back, both come with one event."""
    sim = Simulation(5, seed=2, rounds=4)
    late = list(sim.hosts.values())[3]
    together: list[int] = []
    handle = type(late.engine).handle

    def watch(sim: Simulation, _host: object, _to: bytes, _message: object) -> None:
        if late.alive and not late.life and all(h.engine.head.round >= 1 for h in sim.hosts.values()):
            sim.crash(late)
            sim.at(40.0, back)

    def back() -> None:
        sim.revive(late)
        engine = late.engine

        def told(event: fx.Event) -> list[fx.Effect]:
            effects = handle(engine, event)
            done = [effect for effect in effects if isinstance(effect, fx.Progress)]
            together.append(len(done))
            for progress in done:
                judged = round_of(progress, engine.history)
                assert judged is not None
                assert judged.record.round == progress.round
                assert judged.proven.u3 == progress.members
            return effects

        engine.handle = told

    sim.watchers.append(watch)
    sim.start().run()
    assert max(together) > 1, "it caught up round by round: nothing was tried"


def test_a_round_left_for_another_branch_in_the_same_step_is_not_told() -> None:
    sim = Simulation(4, seed=1, rounds=2).start().run()
    host = next(iter(sim.hosts.values()))
    gone = fx.Progress(1, (), (), {}, bytes(32), 0)
    assert round_of(gone, host.engine.history) is None
    assert [round_of(p, host.engine.history).record.round for p in host.progress] == [1, 2]
