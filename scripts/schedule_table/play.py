"""One federation of virtual peers under one policy: each peer decides by itself, and the deltas it sends are scaled."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from peerage import scheduling as sc
from peerage.scheduling.draws import draw_below
from schedule_table.world import PERIODS, World, accuracy, group_accuracy, updates

STEPS = 20  # local, a round
RATE = 0.1  # eta_0
HALF_LIFE = 100  # eta_t = eta_0 / (1 + t / HALF_LIFE)
CAP = 32
FINAL_SHARE = 10  # "final" is the mean of the last tenth of the rounds, so that one lucky round does not count


@dataclass(frozen=True)
class Course:
    """What one policy did: accuracy after each round, of each group at the end, updates sent, grams spent."""

    accuracy: list[float]
    groups: list[float]
    sent: int
    grams: int

    @property
    def final(self) -> float:
        return float(np.mean(self.accuracy[-max(1, len(self.accuracy) // FINAL_SHARE) :]))

    def reaches(self, level: float) -> int | None:
        """The first round, from 1, whose model has this accuracy."""
        return next((t for t, a in enumerate(self.accuracy, 1) if a >= level), None)


POLICIES = ("full", "biased", "scaled", "bernoulli", "fedau", "wait", "random", "carbon")
WORDS = {
    "full": "full participation (no energy limit)",
    "biased": "best effort (biased)",
    "scaled": "randomised scaled, windows",
    "bernoulli": "randomised scaled, Bernoulli",
    "fedau": "FedAU",
    "wait": "wait for all",
    "random": "random selection, 10 of 40",
    "carbon": "alpha-fair carbon budget",
}


def intensities(names: tuple[str, ...], rounds: int, seed: int) -> dict[str, tuple[int, ...]]:
    """Synthetic g/kWh: a sunny dip once in 24 rounds and noise; each group's grid is dirtier than the one before."""
    grams = {}
    for k, name in enumerate(names):
        level = 100 + 150 * (k * len(PERIODS) // len(names))
        dip = [level * (100 - 50 * (abs(t % 24 - 12) < 4)) // 100 for t in range(rounds)]
        grams[name] = tuple(g + draw_below(40, seed, "wind", name, t) for t, g in enumerate(dip))
    return grams


def scene(policy: str, names: tuple[str, ...], rounds: int, seed: int) -> tuple[sc.Policy, list[sc.Profile]]:
    """The policy's settings and each peer's energy; batteries are empty at the start."""
    periods = [PERIODS[k * len(PERIODS) // len(names)] for k in range(len(names))]
    timed = [sc.periodic(name, every) for name, every in zip(names, periods, strict=True)]
    mains = [sc.always_on(name) for name in names]
    match policy:
        case "full":
            return sc.BestEffort(), mains
        case "biased":
            return sc.BestEffort(), timed
        case "scaled":
            return sc.Windows(CAP), timed
        case "bernoulli":
            chances = [Fraction(1, every) for every in periods]
            return sc.Bernoulli(CAP), [sc.random_arrivals(n, c, seed) for n, c in zip(names, chances, strict=True)]
        case "fedau":
            return sc.FedAU(CAP), timed
        case "wait":
            return sc.WaitForAll(tuple(timed)), timed
        case "random":
            return sc.RandomSelection(names, max(1, len(names) // 4)), timed
        case _:
            grams = intensities(names, rounds, seed)
            final = max(1, rounds // 20)
            everything = sum(map(sum, grams.values()))
            plan = sc.plan_budget(
                grams, budget=everything * 3 // 10, alpha=Fraction(1, 10), slack=rounds // 4, final=final
            )
            return sc.CarbonBudget(plan, CAP), mains


def decisions(
    policy: sc.Policy, profiles: list[sc.Profile], rounds: int, seed: int
) -> list[list[tuple[int, Fraction]]]:
    """For each round (peer, scale) of those who take part; each decides alone, from its own history."""
    histories: list[list[int]] = [[] for _ in profiles]
    table = []
    for t in range(rounds):
        present = []
        for k, profile in enumerate(profiles):
            due = sc.decide(policy, profile, t, seed, histories[k])
            if due.participate:
                present.append((k, due.scale))
                histories[k].append(t)
        table.append(present)
    return table


def play(world: World, policy: str, *, rounds: int, seed: int) -> Course:
    names = tuple(f"peer-{k + 1:02d}" for k in range(world.peers))
    rule, profiles = scene(policy, names, rounds, seed)
    grams = intensities(names, rounds, seed)
    model = np.zeros((world.x.shape[2], world.y.shape[2]))
    course, sent, spent = [], 0, 0
    for t, present in enumerate(decisions(rule, profiles, rounds, seed)):
        if present:
            who = np.array([k for k, _ in present])
            scales = np.array([float(scale) for _, scale in present])
            deltas = updates(world, model, who, steps=STEPS, rate=RATE / (1 + t / HALF_LIFE))
            over = len(who) if rule.over == "present" else world.peers
            model = model + np.tensordot(scales, deltas, axes=1) / over
            sent += len(who)
            spent += sum(grams[names[k]][t] for k in who)
        course.append(accuracy(world, model))
    return Course(course, group_accuracy(world, model), sent, spent)
