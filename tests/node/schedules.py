"""Faulty schedules as functions of a seed: weather, kills in every step, slow peers, partitions, bad chains and disks.

Every one plays a whole federation, from the signatures to the chain. `play(family, seed)` gives the same schedule in
every process.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import simulator
from sim_chain import Bad
from simulator import Host, Weather

from peerage import messages as m
from peerage.rounds.optimisers import Optimiser
from peerage_crypto.opening import Openings, Pledge
from peerage_crypto.pair_audit import Drawn, Late, Shown, Spoken
from peerage_crypto.session import Ballot, Certificate, Dealt, Frozen, Manifest, Revealed, RosterMessage, Survivors
from peerage_crypto.thresholds import colluders, quorum, smallest_roster

STEPS = (
    m.Open, m.Join, RosterMessage, Dealt, Frozen, Manifest, Survivors, Ballot, Certificate, Revealed,
    m.Result, m.Ack, m.Direction, Pledge, Openings, Spoken, Late, Drawn, Shown, m.Closed,
    m.Settling, m.Proposal, m.RewardVote, m.Settled,
)  # fmt: skip
CALM_ROUNDS = 6
MOST = 60_000  # happenings; a schedule has one or two thousand
PATIENT = 1500.0  # virtual seconds
Simulation = partial(simulator.Simulation, whole=True)
Sim = simulator.Simulation


def kill_at(sim: Sim, kind: type, nth: int, back_after: float | None) -> None:
    """Kill whoever sends the nth message of this type, before it leaves; let it come back, or not."""
    seen = 0

    def watch(sim: Sim, host: Host, _to: bytes, message: m.Message) -> None:
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


def stormy(seed: int, draw: random.Random, peers: int) -> Sim:
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


def killed(seed: int, draw: random.Random, peers: int) -> Sim:
    """One peer dies in a step, in the middle of telling the others; where the rest may go on it may stay away."""
    sim = Simulation(peers, seed=seed, rounds=2)
    forever = spare(peers) >= 1 and draw.random() < 0.5
    kill_at(sim, STEPS[seed % len(STEPS)], draw.randint(1, 2 * peers), None if forever else draw.uniform(0.05, 20))
    return sim


def killed_twice(seed: int, draw: random.Random, peers: int) -> Sim:
    """Two die at once: for good where the rest may go on without them, else they return."""
    sim = Simulation(peers, seed=seed, rounds=2)
    first, second = draw.choice(STEPS[:15]), draw.choice(STEPS[:15])
    back = None if spare(peers) >= 2 and draw.random() < 0.5 else draw.uniform(0.5, 20)
    kill_at(sim, first, draw.randint(1, peers), back)
    kill_at(sim, second, draw.randint(1, peers), back)
    return sim


def slow(seed: int, draw: random.Random, peers: int) -> Sim:
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


def parted(seed: int, draw: random.Random, peers: int) -> Sim:
    """The network falls in two and heals."""
    sim = Simulation(peers, seed=seed, rounds=2, weather=Weather(delay=(0.001, draw.choice([0.005, 0.1]))))
    hosts = list(sim.hosts.values())
    draw.shuffle(hosts)
    at, cut = draw.uniform(0, 0.5), draw.randint(1, peers - 1)
    sim.at(at, lambda: sim.partition(hosts[:cut], hosts[cut:]))
    sim.at(at + draw.uniform(0.3, 30), sim.heal)
    return sim


def everything(seed: int, draw: random.Random, peers: int) -> Sim:
    """A storm, a kill and a partition together."""
    sim = stormy(seed, draw, peers)
    kill_at(sim, draw.choice(STEPS), draw.randint(1, peers), draw.uniform(0.5, 10))
    hosts = list(sim.hosts.values())
    at, cut = draw.uniform(0, 10), draw.randint(1, peers - 1)
    sim.at(at, lambda: sim.partition(hosts[:cut], hosts[cut:]))
    sim.at(at + draw.uniform(0.3, 10), sim.heal)
    return sim


def bad_chain(seed: int, draw: random.Random, peers: int) -> Sim:
    """A node that stalls, dies, forgets and lies about it, and a peer or two that die meanwhile."""
    at = draw.uniform(0.1, 3)
    bad = Bad(
        drop=draw.choice([0, 0, 0.3]),
        refuse=draw.choice([0, 0, 0.3]),
        unreachable=draw.choice([0, 0, 0.2]),
        uneven=draw.choice([0, 0.3]),
        shuffle=draw.random() < 0.5,
        stall=(at, at + draw.uniform(0.5, 6)) if draw.random() < 0.4 else None,
        down=(at + 0.3, at + draw.uniform(0.5, 6)) if draw.random() < 0.4 else None,
        fork=(draw.uniform(0.3, 4), draw.randint(1, 5)) if draw.random() < 0.6 else None,
        fork_keeps=draw.random() < 0.5,
    )
    sim = Simulation(peers, seed=seed, rounds=2, bad=bad)
    for victim in draw.sample(list(sim.hosts.values()), draw.choice([0, 1, 2])):
        strike(sim, victim, draw)
    return sim


def strike(sim: Sim, victim: Host, draw: random.Random, *, back: tuple[float, float] = (0.3, 12)) -> None:
    """It dies before some effect or in some step of its disk, by a kill or a power cut, and comes back."""
    victim.power = draw.random() < 0.5
    if draw.random() < 0.5:
        victim.kill_at = draw.randint(1, 120)
    else:
        assert hasattr(victim.home, "disk")
        victim.home.disk.crash_at = draw.randint(3, 160)
    victim.absence = draw.uniform(*back)
    if draw.random() < 0.2:  # and once more, soon after it is back
        sim.at(draw.uniform(1, 14), lambda: setattr(victim, "kill_at", victim.effects + draw.randint(1, 40)))


def struck(seed: int, draw: random.Random, peers: int) -> Sim:
    """One to three peers die at any effect or in any write."""
    weather = Weather(loss=draw.choice([0, 0, 0.02]), delay=(0.001, draw.choice([0.005, 0.1])))
    sim = Simulation(peers, seed=seed, rounds=2, weather=weather)
    for victim in draw.sample(list(sim.hosts.values()), draw.choice([1, 1, 2, 3])):
        strike(sim, victim, draw)
    return sim


def wiped(seed: int, draw: random.Random, peers: int) -> Sim:
    """A peer dies in a step and comes back with its keys and an empty disk; others may be killed too."""
    sim = Simulation(peers, seed=seed, rounds=3, weather=Weather(delay=(0.001, draw.choice([0.005, 0.1]))))
    seen, nth, kind = 0, draw.randint(1, 2 * peers), STEPS[seed % len(STEPS)]
    receiver = draw.random() < 0.5
    after = draw.choice([0.02, 0.3, 3, 20])

    def watch(sim: Sim, host: Host, to: bytes, message: m.Message) -> None:
        nonlocal seen
        if isinstance(message, kind):
            seen += 1
            if seen == nth:
                victim = sim.hosts[to] if receiver else host
                sim.at(0.0 if receiver else 0.01, lambda: lose(victim))
                if not receiver:
                    sim.crash(host)

    def lose(victim: Host) -> None:
        victim.absence = victim.absence or after + 1  # should it die of something else too
        sim.crash(victim)
        sim.at(after, lambda: sim.revive(victim, wiped=True))

    sim.watchers.append(watch)
    if draw.random() < 0.4:
        strike(sim, draw.choice(list(sim.hosts.values())), draw)
    return sim


def followers(seed: int, draw: random.Random, peers: int) -> Sim:
    """Whoever receives a message dies with it in its hand, or just after it has answered; it comes back."""
    sim = Simulation(peers, seed=seed, rounds=2, weather=Weather(delay=(0.001, draw.choice([0.005, 0.1]))))
    wanted = {(STEPS[seed % len(STEPS)], draw.randint(1, 2 * peers)), (draw.choice(STEPS), draw.randint(1, 3 * peers))}
    seen: Counter[type] = Counter()
    before, after, power = draw.random() < 0.5, draw.uniform(0.05, 15), draw.random() < 0.3

    def watch(sim: Sim, _host: Host, to: bytes, message: m.Message) -> None:
        seen[type(message)] += 1
        if (type(message), seen[type(message)]) in wanted:
            victim = sim.hosts[to]
            victim.absence, victim.power = after, power
            sim.at(0.0005 if before else 0.12, lambda: sim.crash(victim))

    sim.watchers.append(watch)
    return sim


def comings(seed: int, draw: random.Random, peers: int) -> Sim:
    """Some come late, some leave for a while, one for good where the rest may go on; keys are rotated meanwhile."""
    sim = Simulation(peers, seed=seed, rounds=3, weather=Weather(delay=(0.001, draw.choice([0.005, 0.05]))))
    hosts = list(sim.hosts.values())
    draw.shuffle(hosts)
    gone = [hosts.pop() for _ in range(min(spare(peers), 1)) if draw.random() < 0.5]
    for host in gone:
        at = draw.choice([0.0, draw.uniform(0.05, 2)])
        sim.at(at, lambda h=host: sim.crash(h))
    for host in hosts[: draw.choice([0, 1, 2])]:
        sim.at(0.0, lambda h=host: sim.crash(h))
        sim.at(draw.uniform(0.1, 40), lambda h=host: sim.revive(h))
    for host in hosts[2 : 2 + draw.choice([0, 1, 2])]:
        host.absence = draw.uniform(0.1, 30)
        sim.at(draw.uniform(0.05, 2), lambda h=host: sim.crash(h))
    for host in draw.sample(hosts, draw.choice([0, 1, 2])):
        key = draw.randbytes(32)
        sim.at(draw.uniform(0.05, 3), lambda h=host, k=key: sim.rotate(h, k))
    return sim


def halves(seed: int, draw: random.Random, _peers: int) -> Sim:
    """Half of 5 to 16 peers are cut off for up to a minute and come back."""
    peers = draw.choice([5, 5, 6, 6, 7, 8, 9, 10, 11, 12, 14, 16])
    sim = Simulation(peers, seed=seed, rounds=2)
    hosts = list(sim.hosts.values())
    draw.shuffle(hosts)
    at = draw.uniform(0.01, 0.5)
    sim.at(at, lambda: sim.partition(hosts[: peers // 2], hosts[peers // 2 :]))
    sim.at(at + draw.choice([1, 10, 30, 60]), sim.heal)
    return sim


def succession(seed: int, draw: random.Random, peers: int) -> Sim:
    """One initiator after the other dies in some step of its; they come back late, or only as many as must."""
    sim = Simulation(peers, seed=seed, rounds=2)
    kinds = [draw.choice([m.Open, RosterMessage, Frozen, Survivors, Certificate, m.Result, m.Direction, m.Closed])]
    kinds += [draw.choice([m.Open, Frozen, Certificate, m.Result, m.Direction, m.Closed]) for _ in range(2)]
    left, lasting, back = len(kinds), spare(peers), draw.uniform(5, 40)
    last = Counter[bytes]()

    def watch(sim: Sim, host: Host, _to: bytes, message: m.Message) -> None:
        nonlocal left, lasting
        if left and isinstance(message, kinds[-left]):
            last[host.account.address] += 1
            if last[host.account.address] >= 1 + seed % peers:
                left -= 1
                last.clear()
                host.absence = None if lasting > 0 and seed % 3 == 0 else back
                lasting -= host.absence is None
                sim.crash(host)

    sim.watchers.append(watch)
    return sim


def halved(seed: int, draw: random.Random, _peers: int) -> Sim:
    """Private validation: loss, kills around the path gradients and a partition; ten to twelve peers."""
    peers = draw.choice([10, 10, 11, 12])
    weather = Weather(
        loss=draw.choice([0, 0, 0.02]),
        repeat=draw.choice([0, 0.1]),
        delay=(0.001, draw.choice([0.005, 0.1])),
        fetch_loss=draw.choice([0, 0, 0.05]),
    )
    sim = Simulation(peers, seed=seed, rounds=2, weather=weather, private=True)
    steps = (m.Result, m.Ack, m.Gradient, m.Gradient, m.Direction, Pledge, Openings, m.Closed)
    for _ in range(draw.choice([0, 1, 1, 2])):
        kill_at(sim, draw.choice(steps), draw.randint(1, 3 * peers), draw.uniform(0.05, 20))
    if draw.random() < 0.2:
        hosts = list(sim.hosts.values())
        draw.shuffle(hosts)
        at, cut = draw.uniform(0, 0.5), draw.randint(1, peers - 1)
        sim.at(at, lambda: sim.partition(hosts[:cut], hosts[cut:]))
        sim.at(at + draw.uniform(0.3, 10), sim.heal)
    return sim


def calming(seed: int, draw: random.Random, peers: int) -> Sim:
    """A storm, kills, a partition and a bad chain, then calm: from there on all work must go into the rounds."""
    weather = Weather(loss=0.1, repeat=0.1, delay=(0.001, draw.choice([0.02, 0.3])), fetch_loss=0.1)
    bad = Bad(drop=0.2, refuse=0.2, unreachable=0.2, uneven=0.2, shuffle=True)
    sim = Simulation(peers, seed=seed, rounds=CALM_ROUNDS, weather=weather, bad=bad)
    hosts = list(sim.hosts.values())
    until = draw.uniform(0.05, 6)
    for victim in draw.sample(hosts, draw.choice([0, 1, 2])):
        strike(sim, victim, draw, back=(0.1, 5))
    if draw.random() < 0.5:
        draw.shuffle(hosts)
        sim.at(draw.uniform(0, until), lambda: sim.partition(hosts[: peers // 2], hosts[peers // 2 :]))
    sim.at(until, sim.calm)
    return sim


def epochs(seed: int, draw: random.Random, peers: int) -> Sim:
    """Any of these faults in a run whose pay is settled after each round, or after each two."""
    kinds = (everything, killed, parted, bad_chain, struck, wiped, followers, comings, halves, calming)
    sim = draw.choice(kinds)(seed, draw, peers)
    sim.rules = replace(sim.rules, epoch=draw.choice([1, 1, 2]))
    for host in sim.hosts.values():
        host.engine.rules = sim.rules
    return sim


def optimised(seed: int, draw: random.Random, peers: int) -> Sim:
    """Any of these faults in a run whose merge has another optimiser, most often one with a state."""
    kinds = (everything, killed, parted, struck, wiped, followers, comings, halves, calming, succession)
    sim = draw.choice(kinds)(seed, draw, peers)
    kind = draw.choice(["fedadam", "fedadam", "fedyogi", "momentum", "fedavg"])
    variates = kind in ("momentum", "fedavg")
    chosen = Optimiser(kind, draw.choice([0.0, 0.9]), 0.1, variates=variates, peers=len(sim.hosts))
    sim.rules = replace(sim.rules, optimiser=chosen)
    for host in sim.hosts.values():
        host.engine.rules = sim.rules
    return sim


def sampled(seed: int, draw: random.Random, _peers: int) -> Sim:
    """A quarter to a half of the coordinates a round, with loss, kills in any step and a partition; some private."""
    private = draw.random() < 0.2
    peers = draw.choice([10, 11]) if private else draw.choice([3, 4, 5, 6, 7, 8])
    weather = Weather(
        loss=draw.choice([0, 0, 0.02]), delay=(0.001, draw.choice([0.005, 0.1])), fetch_loss=draw.choice([0, 0, 0.05])
    )
    share = draw.choice([0.01, 0.25, 0.5])  # of 24 coordinates: 1, 6, 12
    sim = Simulation(peers, seed=seed, rounds=4, weather=weather, private=private, random_k=share)
    for _ in range(draw.choice([0, 1, 1, 2])):
        kill_at(sim, draw.choice(STEPS), draw.randint(1, 3 * peers), draw.uniform(0.05, 20))
    if draw.random() < 0.3:
        hosts = list(sim.hosts.values())
        draw.shuffle(hosts)
        at, cut = draw.uniform(0, 0.5), draw.randint(1, peers - 1)
        sim.at(at, lambda: sim.partition(hosts[:cut], hosts[cut:]))
        sim.at(at + draw.uniform(0.3, 10), sim.heal)
    return sim


FAMILIES: dict[str, Callable[[int, random.Random, int], Sim]] = {
    f.__name__: f
    for f in (
        stormy,
        killed,
        killed_twice,
        slow,
        parted,
        everything,
        bad_chain,
        struck,
        wiped,
        followers,
        comings,
        halves,
        succession,
        halved,
        calming,
        epochs,
        optimised,
        sampled,
    )
}


def play(family: str, seed: int, trace: Callable[[str], None] | None = None) -> Sim:
    """One schedule to its end; `trace` is told every happening."""
    draw = random.Random(f"{family}/{seed}")
    peers = draw.choice([3, 3, 4, 4, 5, 5, 6, 7, 8])
    sim = FAMILIES[family](seed, draw, peers)
    sim.trace = trace
    return sim.start().run(PATIENT, MOST)
