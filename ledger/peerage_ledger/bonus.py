"""The green bonus: what peers that emit less for the same pay get on top, from a pool of its own. Integers only.

It looks at pay that is settled and changes none: neither a weight in a sum, nor a share of a pot, nor a state that a
contract could judge. With e_i what peer i earned, c_i its CO2e, and c_m / e_m the (lower) median of
c / e over those that take part:

    bonus_i = floor(cap / 10000 * e_i * max(0, 1 - (c_i / e_i) / (c_m / e_m)))

and where these are more than the pool, each times pool / sum, floored. So no bonus exceeds the cap of what was earned,
whatever a peer reports; who earned nothing gets nothing; and a minority that lies does not move the median far.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from peerage_crypto.digest import tagged

if TYPE_CHECKING:
    from collections.abc import Mapping

WHOLE = 10_000  # basis points
A_MICROGRAM = 3_600_000_000
MOST = 2_000  # of them: a bonus of more than a fifth would be a second wage for an unproven number


@dataclass(frozen=True, slots=True)
class BonusRule:
    """`pool` in the smallest unit, `cap` in basis points of what a peer earned."""

    pool: int
    cap: int


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a peer earned (smallest unit), and by its records emitted meanwhile: microjoules times the milligrams of its
    factor per kWh, middles, as a microgram is too coarse for a short run (`A_MICROGRAM` of these are one).
    """

    earned: int
    emitted: int


def bonuses(peers: Mapping[bytes, Footprint], rule: BonusRule) -> dict[bytes, int]:
    """By ascending address, zeros included. Those that earned nothing are left out, and count for no median."""
    paid = {peer: one for peer, one in sorted(peers.items()) if one.earned > 0}
    if not paid:
        return {}
    ranked = sorted(paid.values(), key=lambda one: Fraction(one.emitted, one.earned))
    middle = ranked[(len(ranked) - 1) // 2]
    scale = WHOLE * middle.emitted
    if scale == 0:  # half of them or more say that they emitted nothing: no comparison is left
        return dict.fromkeys(paid, 0)
    wanted = {
        peer: rule.cap * max(0, one.earned * middle.emitted - one.emitted * middle.earned) // scale
        for peer, one in paid.items()
    }
    total = sum(wanted.values())
    if total <= rule.pool:
        return wanted
    return {peer: amount * rule.pool // total for peer, amount in wanted.items()}


def payment_tag(federation: bytes, record: bytes, rule: BonusRule, amounts: Mapping[bytes, int]) -> bytes:
    """32 bytes behind each transfer that pays this bonus: whose, for which rounds, by which rule, and who gets what."""
    lines = [peer + amount.to_bytes(32, "big") for peer, amount in sorted(amounts.items())]
    terms = rule.pool.to_bytes(32, "big") + rule.cap.to_bytes(32, "big")
    return tagged("peerage/green-bonus/1", federation, record, terms, *lines)
