"""Opened sketches from the settings: what every session is bound to, and which settings cannot keep their promise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerage.rounds.aggregation import AUXILIARY
from peerage_crypto.errors import InputError
from peerage_crypto.fixedpoint import ring
from peerage_crypto.sketch_terms import check_sketches, sketching

if TYPE_CHECKING:
    from peerage.config import Federation
    from peerage_crypto.sketch_terms import Sketching


def sketching_of(federation: Federation, parameters: int) -> Sketching | None:
    """The terms of a session over so many parameters; None without sketches. InputError: projections leave the ring."""
    masking, robust = federation.masking, federation.robust
    lane = ring(masking.ring_bits, AUXILIARY).lane_words
    return sketching(
        robust.sketches,
        robust.length_bound,
        clip=masking.clip,
        frac_bits=masking.frac_bits,
        bits=masking.ring_bits,
        length=lane + parameters,
        skip=lane,
    )


def check_sketching(federation: Federation) -> None:
    """InputError where sketches cannot be opened as declared, with the nearest settings that can."""
    robust = federation.robust
    if robust.sketches and federation.exchange == "plain":
        raise InputError("robust.sketches are of masked updates: choose sketches = 0 with plain exchange")
    check_sketches(
        federation.peers,
        robust.sketches,
        bits=federation.masking.ring_bits,
        length_bound=robust.length_bound,
        noise=federation.privacy.noise,
        leaders=any(region.leader for region in federation.regions),
    )
