"""`rings`: what 16 bits cost against 32: accuracy, noise of the scores, bytes. Digits, one process, no masks."""

from __future__ import annotations

from statistics import fmean, pstdev
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.result import Result, at_most, say

if TYPE_CHECKING:
    import argparse

    from scores.plays import Setup

    from peerage.rounds.aggregation import Grid

WIDE = (16, 8.0, 0.0)  # frac_bits, clip, clip_each of the 32-bit ring: the defaults
TRIED = ((8, 2.0, 0.0), (8, 4.0, 0.0), (7, 4.0, 0.0), (6, 4.0, 0.0), (6, 8.0, 0.0), (5, 4.0, 0.0), (8, 4.0, 0.25))


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("rings", help="accuracy, scores and bytes with 16-bit words against 32-bit ones")
    parser.add_argument("--peers", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    parser.set_defaults(measure=rings)


def rings(args: argparse.Namespace) -> Result:
    """Whole federations under each grid; and the numbers that each grid opens, on one and the same 32-bit run."""
    from scores.plays import Setup, play

    from peerage.rounds.aggregation import AUXILIARY

    base = Setup(peers=args.peers, rounds=args.rounds)
    names = {grid: f"f={grid[0]} clip={grid[1]:g}" + (f" each={grid[2]:g}" if grid[2] else "") for grid in TRIED}
    noise: dict[tuple[int, float, float], list[float]] = {grid: [] for grid in TRIED}
    wide: list[float] = []
    narrow: dict[tuple[int, float, float], list[float]] = {grid: [] for grid in TRIED}
    for seed in range(args.seeds):
        say(f"rings: seed {seed}")
        wide.append(play(base, seed, watch=lambda *round_: _compare(noise, *round_)).accuracy)
        for grid in TRIED:
            narrow[grid].append(play(_with(base, grid), seed).accuracy)
    parameters = 64 * 64 + 64 + 64 * 10 + 10
    ratio = (8 * AUXILIARY + 2 * parameters) / (4 * parameters)
    ours = {
        names[grid]: {
            "accuracy": fmean(narrow[grid]),
            "accuracy_sd": pstdev(narrow[grid]),
            "score_noise": fmean(noise[grid]),
            "score_noise_worst_round": max(noise[grid]),
        }
        for grid in TRIED
    }
    chosen = names[_chosen()]
    lost = fmean(wide) - ours[chosen]["accuracy"]
    return Result(
        "rings",
        {"peers": args.peers, "rounds": args.rounds, "seeds": args.seeds},
        {**ours, "vector_bytes_per_4_bytes_of_a_parameter": ratio},
        {"32 bits": {"accuracy": fmean(wide), "accuracy_sd": pstdev(wide)}},
        {"accuracy lost with 16 bits": lost, "score noise with 16 bits": ours[chosen]["score_noise"]},
        (
            at_most("accuracy lost with 16 bits", lost, 0.01),
            at_most("vector bytes over 4 B x parameters, ring 16", ratio, 0.52),
        ),
        (
            f"The defaults for 16 bits are {chosen}. Score noise: the length of the difference between a round's",
            "scores under the 16-bit and the 32-bit grid over the length of the latter; mean of rounds and seeds.",
        ),
    )


def _chosen() -> tuple[int, float, float]:
    from peerage.config_toml import NARROW_RING

    wanted = (NARROW_RING["frac_bits"], NARROW_RING["clip"], NARROW_RING.get("clip_each", 0.0))
    return next(grid for grid in TRIED if grid == wanted)


def _with(setup: Setup, grid: tuple[int, float, float]) -> Setup:
    from dataclasses import replace

    frac_bits, clip, each = grid
    return replace(setup, ring_bits=16, frac_bits=frac_bits, clip=clip, clip_each=each)


def _grid(ring_bits: int, tried: tuple[int, float, float]) -> Grid:
    from peerage.rounds.aggregation import Grid

    frac_bits, clip, each = tried
    return Grid(ring_bits, frac_bits, clip, clip_each=each)


def _compare(
    noise: dict[tuple[int, float, float], list[float]], deltas: list[np.ndarray], gbar: np.ndarray, seed: bytes
) -> None:
    exact = _scores(deltas, gbar, seed, _grid(32, WIDE))
    length = float(np.linalg.norm(exact))
    for grid, found in noise.items():
        if length:
            found.append(float(np.linalg.norm(_scores(deltas, gbar, seed, _grid(16, grid)) - exact)) / length)


def _scores(deltas: list[np.ndarray], gbar: np.ndarray, seed: bytes, grid: Grid) -> np.ndarray:
    from peerage.learning.scoring import integer_direction
    from peerage.rounds.aggregation import update_of

    g, exponent = integer_direction(gbar, seed, grid)
    zero = np.zeros_like(deltas[0])
    opened = [int(update_of(d, zero, grid, seed + bytes([i])).units @ g) for i, d in enumerate(deltas)]
    return np.array(opened) * 2.0 ** -(exponent + grid.frac_bits)
