"""Which rings, grids and clips go together.

Everything here is decided before anything is sent: at configuration for the peers that are planned, and again when a
peer stands on the contracts, for those that are registered and for the model's size. A choice that could overflow is
refused with the nearest ones that cannot.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from peerage.rounds.aggregation import Grid
from peerage_crypto.errors import InputError
from peerage_crypto.fixedpoint import check_headroom, norm_limit

if TYPE_CHECKING:
    from peerage.config import Federation, MaskingSettings

LARGEST_DIRECTION = 2.0**31 - 1  # its artefact has 32 bits a coordinate; only the 64-bit ring has room for more
LEAST_DIRECTION = 8.0  # a shorter g is mostly its own rounding


def grid_of(masking: MaskingSettings, noise_bound: int = 0) -> Grid:
    """`noise_bound`: units that one peer's privacy noise may add to a coordinate."""
    return Grid(masking.ring_bits, masking.frac_bits, masking.clip, noise_bound, masking.clip_each)


def check_masking(federation: Federation) -> None:
    """InputError when a sum of the planned peers could wrap, or when scores have no room beside it."""
    _check_random_k(federation)
    if federation.exchange != "masked":
        return
    grid = grid_of(federation.masking)
    check_grid(grid, federation.peers)
    if federation.scores.openings == "round":
        check_scores(grid, 0)


def _check_random_k(federation: Federation) -> None:
    """InputError where a part of the update is not what the other setting was made for."""
    fraction = federation.masking.random_k
    if fraction == 1:
        return
    cases = (
        (federation.exchange == "plain", "plain exchange sends whole models", 'exchange = "masked"'),
        (
            federation.training.scaffold,
            "SCAFFOLD corrects by the mean of whole updates",
            "training.scaffold = false",
        ),
        (
            federation.privacy.noise > 0,
            "what a round leaves out goes with a later one, and no privacy cost was worked out for that",
            "privacy.noise = 0",
        ),
    )
    for there, why, nearest in cases:
        if there:
            raise InputError(f"masking.random_k = {fraction:g}: {why}: choose {nearest}, or random_k = 1")


def check_grid(grid: Grid, peers: int) -> None:
    """No sum of `peers` honest vectors may wrap, noise included."""
    check_headroom(peers, grid.frac_bits, grid.clip, grid.ring, each=grid.clip_each, noise=grid.noise_bound)


def check_scores(grid: Grid, parameters: int) -> None:
    """The opened numbers <q, g> must fit the ring with a g that still is a direction."""
    if _scored(grid, parameters):
        return
    lower = next((f for f in range(grid.frac_bits - 1, 0, -1) if _scored(replace(grid, frac_bits=f), parameters)), None)
    wider = next((b for b in (32, 64) if _scored(replace(grid, ring_bits=b), parameters)), None)
    remedies = [
        *([] if lower is None else [f"frac_bits = {lower}"]),
        *([] if wider is None else [f"ring_bits = {wider}"]),
        'scores.openings = "off"',
    ]
    what = f"of {parameters} parameters " if parameters else ""
    raise InputError(
        f"a ring of {grid.ring_bits} bits leaves no room for scores {what}at frac_bits = {grid.frac_bits} and clip = "
        f"{grid.clip:g}: choose {' or '.join(remedies)}"
    )


def _scored(grid: Grid, parameters: int) -> bool:
    return longest_direction(grid, parameters) >= LEAST_DIRECTION


def longest_direction(grid: Grid, parameters: int) -> float:
    """The length of g up to which no honest <q, g> leaves the ring's signed range: 2^(w-1) over the longest q."""
    room = (2.0 ** (grid.ring_bits - 1) - 1) / norm_limit(grid.frac_bits, grid.clip, parameters)
    return min(room * (1 - 2.0**-20), LARGEST_DIRECTION)  # a hair below: lengths are computed in double precision
