"""The table, its three acceptance statements with their numbers, and what the numbers rest on."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import numpy as np

from schedule_table.play import CAP, HALF_LIFE, POLICIES, RATE, STEPS, WORDS, Course, play
from schedule_table.world import PERIODS, world

LEVELS = (0.5, 0.7, 0.8, 0.86)
KINDS = ("skew", "iid")
NOTES = (
    "every trace here is synthetic: energy arrives by a rule or from a seed, intensities are invented",
    "accuracies are means over the seeds on an even test set; final is the mean of the last tenth of the rounds",
    "full participation and the carbon budget have mains power; the others have the same energy, Bernoulli on average",
)


@dataclass(frozen=True)
class Size:
    data: str = "synthetic"
    peers: int = 40
    rounds: int = 200
    seeds: int = 3
    skew: float = 0.85


def courses(size: Size) -> dict[str, dict[str, list[Course]]]:
    """One course for each kind of rows, policy and seed; says on stderr how far it is."""
    found: dict[str, dict[str, list[Course]]] = {}
    total, done, began = len(KINDS) * len(POLICIES) * size.seeds, 0, time.monotonic()
    for kind in KINDS:
        skew = size.skew if kind == "skew" else 0.0
        worlds = [world(size.data, size.peers, seed, skew=skew) for seed in range(size.seeds)]
        for policy in POLICIES:
            runs = []
            for seed, rows in enumerate(worlds):
                runs.append(play(rows, policy, rounds=size.rounds, seed=seed))
                done += 1
                if time.monotonic() - began > 1:
                    print(f"schedules: {done} of {total} runs, {kind}, {policy}", file=sys.stderr, flush=True)
            found.setdefault(kind, {})[policy] = runs
    return found


def mean_course(runs: list[Course]) -> Course:
    return Course(
        [float(a) for a in np.mean([run.accuracy for run in runs], axis=0)],
        [float(g) for g in np.mean([run.groups for run in runs], axis=0)],
        round(float(np.mean([run.sent for run in runs]))),
        round(float(np.mean([run.grams for run in runs]))),
    )


def row(runs: list[Course]) -> dict[str, object]:
    mean = mean_course(runs)
    return {
        "rounds_to": {f"{100 * level:.0f}": mean.reaches(level) for level in LEVELS},
        "accuracy_at_5": _points(mean.accuracy[min(4, len(mean.accuracy) - 1)]),
        "accuracy_at_20": _points(mean.accuracy[min(19, len(mean.accuracy) - 1)]),
        "final": _points(mean.final),
        "final_sd": _points(float(np.std([run.final for run in runs]))),
        "groups": [_points(group) for group in mean.groups],
        "updates": mean.sent,
        "synthetic_grams": mean.grams,
    }


def statements(table: dict[str, dict[str, dict[str, object]]]) -> list[dict[str, object]]:
    """What is to be reproduced, its numbers, and whether it was."""

    def final(kind: str, policy: str) -> float:
        return float(str(table[kind][policy]["final"]))

    reached = {p: table["skew"][p]["rounds_to"]["50"] for p in ("biased", "scaled", "wait")}  # type: ignore[index]
    first, second, last = (10**9 if reached[p] is None else reached[p] for p in reached)
    gaps = {kind: round(final(kind, "scaled") - final(kind, "biased"), 2) for kind in KINDS}
    misses = {kind: round(final(kind, "scaled") - final(kind, "full"), 2) for kind in KINDS}
    return [
        {
            "what": "(i) under skew best effort reaches 50 % no later than the scaled schedule, wait for all last",
            "numbers": reached,
            "reproduced": first <= second < last,
        },
        {
            "what": "(ii) scaled ends 5 points or more above best effort under skew, at most 2 apart with IID labels",
            "numbers": gaps,
            "reproduced": gaps["skew"] >= 5 and abs(gaps["iid"]) <= 2,
        },
        {
            "what": "(iii) the scaled schedule ends within 1 point of full participation",
            "numbers": misses,
            "reproduced": all(abs(miss) <= 1 for miss in misses.values()),
        },
    ]


def document(size: Size, found: dict[str, dict[str, list[Course]]]) -> dict[str, object]:
    table = {kind: {policy: row(runs) for policy, runs in rows.items()} for kind, rows in found.items()}
    return {
        "schema": 1,
        "settings": {
            "data": size.data,
            "peers": size.peers,
            "periods": PERIODS,
            "rounds": size.rounds,
            "seeds": size.seeds,
            "skew": size.skew,
            "local_steps": STEPS,
            "learning_rate": RATE,
            "half_life": HALF_LIFE,
            "cap": CAP,
        },
        "policies": WORDS,
        "table": table,
        "statements": statements(table),
        "synthetic": True,
        "notes": NOTES,
    }


def in_words(made: dict[str, object]) -> str:
    """The same document for people."""
    lines: list[str] = []
    for kind, rows in made["table"].items():  # type: ignore[attr-defined]
        settings = made["settings"]
        share = f"{100 * settings['skew']:.0f} % of the labels by energy group" if kind == "skew" else "IID labels"  # type: ignore[index]
        lines += [
            f"{settings['peers']} virtual peers, {settings['data']}, {share}",  # type: ignore[index]
            f"{'policy':38}{'to 50':>6}{'70':>6}{'80':>6}{'86 %':>6}{'@5':>7}{'@20':>7}{'final':>7}  groups",
        ]
        for policy, r in rows.items():
            to = "".join(f"{'never' if t is None else t:>6}" for t in r["rounds_to"].values())
            groups = " ".join(f"{g:.0f}" for g in r["groups"])
            numbers = f"{r['accuracy_at_5']:7.1f}{r['accuracy_at_20']:7.1f}{r['final']:7.1f}"
            lines.append(f"{WORDS[policy]:38}{to}{numbers}  {groups}")
        lines.append("")
    for s in made["statements"]:  # type: ignore[attr-defined]
        numbers = ", ".join(f"{name} {'never' if n is None else n}" for name, n in s["numbers"].items())
        lines.append(f"{'reproduced' if s['reproduced'] else 'NOT reproduced'}: {s['what']} ({numbers})")
    return "\n".join([*lines, *(f"note: {note}" for note in NOTES)])


def _points(share: float) -> float:
    return round(100 * share, 2)
