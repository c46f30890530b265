"""Which rings, grids and clips go together, and that a real round runs in each ring."""

import sys
from pathlib import Path

import numpy as np
import pytest

from peerage.config import Federation, MaskingSettings, ScoreSettings
from peerage.config_toml import NARROW_RING, parse_federation, to_toml
from peerage.rounds.aggregation import Grid, split_sum
from peerage.rounds.grid import check_grid, check_masking, check_scores, grid_of, longest_direction
from peerage_crypto.errors import InputError

sys.path.insert(0, str(Path(__file__).parent))

import invariants
from simulator import Simulation

DIGITS = 64 * 64 + 64 + 64 * 10 + 10


def masked(peers: int = 12, openings: str = "round", **masking: object) -> Federation:
    return Federation(peers=peers, masking=MaskingSettings(**masking), scores=ScoreSettings(openings=openings))


@pytest.mark.parametrize("peers", [12, 24, 127])
def test_sixteen_bits_alone_are_a_legal_choice(peers: int) -> None:
    text = f"peers = {peers}\n[masking]\nring_bits = 16\n"
    federation = parse_federation(text, where="here", check=peers <= 32)  # 32: what one session may hold
    grid = grid_of(federation.masking)
    assert (grid.frac_bits, grid.clip) == (NARROW_RING["frac_bits"], NARROW_RING["clip"])
    check_masking(federation)
    check_scores(grid, DIGITS)
    assert parse_federation(to_toml(federation), where="here", check=False) == federation


def test_what_the_user_says_counts_and_other_rings_keep_their_defaults() -> None:
    said = parse_federation("[masking]\nring_bits = 16\nfrac_bits = 5\n", where="here").masking
    assert (said.frac_bits, said.clip) == (5, NARROW_RING["clip"])
    assert parse_federation("[masking]\nring_bits = 32\n", where="here").masking == MaskingSettings()
    assert parse_federation("[masking]\nring_bits = 64\n", where="here").masking == MaskingSettings(ring_bits=64)


@pytest.mark.parametrize(
    ("federation", "remedy"),
    [
        (
            masked(24, ring_bits=16, frac_bits=12, clip=1.0),
            "choose frac_bits = 10 or clip_each = 0.33 or ring_bits = 32",
        ),
        (masked(ring_bits=16, frac_bits=16, clip=8.0), "choose frac_bits = 8 or clip_each = 0.0416 or ring_bits = 32"),
        (masked(ring_bits=16, frac_bits=10, clip=4.0, clip_each=0.5), "room for scores .* frac_bits = 9"),
        (masked(ring_bits=32, frac_bits=28, clip=2.0, clip_each=0.1), "room for scores .* ring_bits = 64"),
    ],
)
def test_what_cannot_keep_its_promise_is_refused_with_what_can(federation: Federation, remedy: str) -> None:
    with pytest.raises(InputError, match=remedy):
        check_masking(federation)


def test_without_scores_or_without_masks_less_is_asked() -> None:
    check_masking(masked(ring_bits=16, frac_bits=10, clip=4.0, clip_each=0.5, openings="off"))
    check_masking(Federation(exchange="plain", masking=MaskingSettings(ring_bits=16)))


def test_a_large_model_leaves_less_room_for_scores() -> None:
    grid = Grid(16, 6, 4.0)
    assert longest_direction(grid, 0) > longest_direction(grid, DIGITS) > 100 > longest_direction(grid, 10**6) > 50
    with pytest.raises(
        InputError, match="of 100000000 parameters at frac_bits = 6 and clip = 4: choose ring_bits = 32"
    ):
        check_scores(grid, 10**8)
    assert longest_direction(Grid(64, 16, 8.0), DIGITS) < 2**31


@pytest.mark.parametrize("bits", [16, 32, 64])
def test_rounds_close_and_count_what_they_clipped_in_every_ring(bits: int) -> None:
    def wild(sim: Simulation, host: object, _: object) -> np.ndarray:
        long = host is next(iter(sim.hosts.values()))
        return sim.genesis.model + (1000 if long else 0.01) * np.ones(sim.parameters, np.float32)

    sim = Simulation(5, rounds=2, ring_bits=bits, train=wild).start().run()
    check_grid(sim.rules.grid, 5)
    invariants.check(sim)
    for host in sim.hosts.values():
        assert len(host.engine.history) == 2
        judged = host.engine.history[0]
        sums, _ = split_sum(judged.update_sum)
        assert (sums.peers, sums.shortened, sums.cut) == (5, 1, 0)
        assert all(number is not None for number in judged.transcript.numbers)
