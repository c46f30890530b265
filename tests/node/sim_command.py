"""`scripts/simulate`: play one schedule again, or many."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import invariants
import sim_runner
from schedules import FAMILIES


def main() -> int:
    """0 when everything held, 1 when an invariant broke."""
    parser = argparse.ArgumentParser(prog="scripts/simulate", description="Deterministic runs of whole federations.")
    parser.add_argument("family", nargs="?", choices=sorted(FAMILIES), metavar="FAMILY")
    parser.add_argument("seed", nargs="?", type=int, metavar="SEED")
    parser.add_argument("--trace", action="store_true", help="tell the schedule as a story")
    parser.add_argument("--all", type=int, metavar="N", help="play N schedules over all families")
    parser.add_argument("--jobs", type=int, help="processes (default: one for each core)")
    parser.add_argument("--list", action="store_true", help="the families and what they do")
    asked = parser.parse_args()
    if asked.list:
        for name, family in FAMILIES.items():
            print(f"{name:14} {(family.__doc__ or '').splitlines()[0]}")
        return 0
    if asked.all:
        return min(1, sim_runner.everything(asked.all, asked.jobs))
    if asked.family is None or asked.seed is None:
        parser.error("give a family and a seed, --all N or --list")
    sim = sim_runner.story(asked.family, asked.seed, trace=asked.trace)
    rounds = max(host.engine.head.round for host in sim.hosts.values())
    print(f"{asked.family} {asked.seed}: {len(sim.hosts)} peers, {rounds} rounds, {sim.now:.3f} s, {sim.fingerprint()}")
    try:
        invariants.check(sim, everybody=False)
    except AssertionError as error:
        print(f"broken: {error}")
        return 1
    print("every invariant holds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
