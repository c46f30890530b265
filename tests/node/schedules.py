"""Faulty schedules as functions of a seed: weather, kills in every step, slow peers, partitions that heal."""

import random
from collections.abc import Callable

from simulator import Host, Simulation, Weather

from peerage import messages as m
from peerage_crypto.opening import Openings, Pledge
from peerage_crypto.session import Ballot, Certificate, Dealt, Frozen, Manifest, Revealed, RosterMessage, Survivors
from peerage_crypto.thresholds import colluders, quorum, smallest_roster

STEPS = (
    m.Open, m.Join, RosterMessage, Dealt, Frozen, Manifest, Survivors, Ballot, Certificate, Revealed,
    m.Result, m.Ack, m.Direction, Pledge, Openings, m.Closed, m.Settling, m.Proposal, m.RewardVote, m.Settled,
)  # fmt: skip
PATIENT = 1500.0  # virtual seconds


def kill_at(sim: Simulation, kind: type, nth: int, back_after: float | None) -> None:
    """Kill whoever sends the nth message of this type, before it leaves; let it come back, or not."""
    seen = 0

    def watch(sim: Simulation, host: Host, _to: bytes, message: m.Message) -> None:
        nonlocal seen
        if isinstance(message, kind):
            seen += 1
            if seen == nth:
                sim.crash(host)
                if back_after is not None:
                    sim.at(back_after, lambda: sim.revive(host))

    sim.watchers.append(watch)


def spare(peers: int) -> int:
    """How many may be gone for good, so that the others may still open rounds and sign the rewards."""
    return peers - max(smallest_roster(peers), quorum(peers, colluders(peers)))


def stormy(seed: int, draw: random.Random, peers: int) -> Simulation:
    """Loss, repetition, delay (and so reordering); up to two crashes with return."""
    weather = Weather(
        loss=draw.choice([0, 0.01, 0.05]),
        repeat=draw.choice([0, 0.1]),
        delay=(0.001, draw.choice([0.005, 0.3])),
        fetch_loss=draw.choice([0, 0.05]),
    )
    sim = Simulation(peers, seed=seed, rounds=2, weather=weather)
    for victim in draw.sample(list(sim.hosts.values()), draw.choice([0, 1, 2])):
        at = draw.uniform(0, 1.2)
        sim.at(at, lambda v=victim: sim.crash(v))
        sim.at(at + draw.uniform(0.5, 8), lambda v=victim: sim.revive(v))
    return sim


def killed(seed: int, draw: random.Random, peers: int) -> Simulation:
    """One peer dies in a step, in the middle of telling the others; where the rest may go on it may stay away."""
    sim = Simulation(peers, seed=seed, rounds=2)
    forever = spare(peers) >= 1 and draw.random() < 0.5
    kill_at(sim, STEPS[seed % len(STEPS)], draw.randint(1, 2 * peers), None if forever else draw.uniform(0.05, 20))
    return sim


def killed_twice(seed: int, draw: random.Random, peers: int) -> Simulation:
    """Two die at once: for good where the rest may go on without them, else they return."""
    sim = Simulation(peers, seed=seed, rounds=2)
    first, second = draw.choice(STEPS[:15]), draw.choice(STEPS[:15])
    back = None if spare(peers) >= 2 and draw.random() < 0.5 else draw.uniform(0.5, 20)
    kill_at(sim, first, draw.randint(1, peers), back)
    kill_at(sim, second, draw.randint(1, peers), back)
    return sim


def slow(seed: int, draw: random.Random, peers: int) -> Simulation:
    """One or two peers train ten to two hundred times longer than the rest."""
    names = set(draw.sample([f"peer-{i + 1:02}" for i in range(peers)], draw.choice([1, 2])))
    factor = draw.choice([10, 60, 200])
    weather = Weather(delay=(0.001, draw.choice([0.005, 0.1])))
    return Simulation(
        peers,
        seed=seed,
        rounds=3,
        weather=weather,
        train_seconds=lambda h: 0.05 * (factor if h.name in names else 1),
    )


def parted(seed: int, draw: random.Random, peers: int) -> Simulation:
    """The network falls in two and heals."""
    sim = Simulation(peers, seed=seed, rounds=2, weather=Weather(delay=(0.001, draw.choice([0.005, 0.1]))))
    hosts = list(sim.hosts.values())
    draw.shuffle(hosts)
    at, cut = draw.uniform(0, 0.5), draw.randint(1, peers - 1)
    sim.at(at, lambda: sim.partition(hosts[:cut], hosts[cut:]))
    sim.at(at + draw.uniform(0.3, 30), sim.heal)
    return sim


def everything(seed: int, draw: random.Random, peers: int) -> Simulation:
    """A storm, a kill and a partition together."""
    sim = stormy(seed, draw, peers)
    kill_at(sim, draw.choice(STEPS), draw.randint(1, peers), draw.uniform(0.5, 10))
    hosts = list(sim.hosts.values())
    at, cut = draw.uniform(0, 10), draw.randint(1, peers - 1)
    sim.at(at, lambda: sim.partition(hosts[:cut], hosts[cut:]))
    sim.at(at + draw.uniform(0.3, 10), sim.heal)
    return sim


FAMILIES: dict[str, Callable[[int, random.Random, int], Simulation]] = {
    f.__name__: f for f in (stormy, killed, killed_twice, slow, parted, everything)
}


def play(family: str, seed: int) -> Simulation:
    """One schedule to its end."""
    draw = random.Random(f"{family}/{seed}")
    peers = draw.choice([3, 3, 4, 4, 5, 5, 6, 7, 8])
    return FAMILIES[family](seed, draw, peers).start().run(PATIENT)
