"""How much noise each peer adds, so that the smallest honest sum ever unmasked has what was promised.

Neighbouring inputs: one peer's whole update against no update (zeros). Its quantised update has length at most
Delta = 2^f * clip + sqrt(d) + 1 in units of the grid: the clipped vector is no longer than 2^f * clip, stochastic
rounding moves each of the d coordinates by less than one, and the last unit covers the rounding of doubles while
clipping. Of the sums that may be unmasked the smallest has h honest peers; each peer adds Skellam noise of variance
(z Delta)^2 / h, so every sum carries honest noise of at least z Delta, and what colluding peers know of their own
shares is not counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, isqrt
from typing import TYPE_CHECKING

from peerage_crypto.buckets import SMALLEST_BUCKET, least_survivors
from peerage_crypto.errors import InputError, OurError
from peerage_crypto.thresholds import smallest_roster, thresholds

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from peerage.config import Federation

RINGS = (16, 32, 64)


@dataclass(frozen=True, slots=True)
class Noise:
    """`variance` per peer and coordinate, `sensitivity` (Delta), `bound` in units of the grid; others count peers."""

    variance: int
    sensitivity: int
    bound: int  # the largest amount that is ever drawn for one coordinate
    honest: int  # in the smallest sum that a round may unmask
    least_roster: int  # a smaller one is refused: its sums could hold fewer honest peers
    colluders: int


def least_roster(peers: int) -> int:
    """With noise, a roster may miss as many peers as a full session may lose.

    Noise for the smallest roster that masks alone allow (three honest peers, whatever the federation's size) would cost
    more accuracy than anybody has to give.
    """
    return max(smallest_roster(peers), peers - thresholds(peers, peers).losses)


def smallest_honest_sum(peers: int, buckets: int = 1, regions: tuple[int, ...] = ()) -> int:
    """The fewest honest peers in any sum that a round with noise may unmask; all colluders may be in one bucket."""
    least = least_roster(peers)
    return min(_honest(peers, roster, buckets, regions) for roster in range(least, peers + 1))


def promised(federation: Federation) -> int | None:
    """The fewest honest peers in any sum of a round with everybody in it; None in plain exchange, which has no sums.

    With clusters 1: nobody knows how many train a version, and what one peer alone put there is in no other's sum.
    """
    if federation.exchange == "plain":
        return None
    if federation.model.clusters:
        return 1
    regions = tuple(len(region.peers) for region in federation.regions)
    return max(0, _honest(federation.peers, federation.peers, federation.robust.buckets, regions))


def _honest(peers: int, roster: int, buckets: int, regions: tuple[int, ...]) -> int:
    limits = thresholds(peers, roster)
    whole = limits.smallest_honest_sum
    if len(regions) > 1:
        size = max(SMALLEST_BUCKET, min(regions) - (peers - roster))  # smaller ones are summed with the next
        return min(whole, least_survivors(size) - limits.colluders)
    count = max(1, min(buckets, roster // SMALLEST_BUCKET))
    return whole if count == 1 else min(whole, least_survivors(roster // count) - limits.colluders)


def sensitivity(clip: float, frac_bits: int, parameters: int) -> int:
    """Delta in units of the grid; see the module's docstring."""
    return ceil(Fraction(clip) * (1 << frac_bits)) + isqrt(max(parameters - 1, 0)) + 2


def noise_of(federation: Federation, parameters: int) -> Noise | None:
    """The noise of a federation whose model has so many parameters; None without. InputError as from the checks."""
    if not federation.privacy.noise:
        return None
    check_privacy(federation)  # again, since nothing else stands between a wrong setting and a sum without cover
    check_noise(federation, parameters)
    return _noise(federation, parameters, federation.masking.frac_bits)


def noise_bound(federation: Federation, parameters: int) -> int:
    """Units that the noise may add to one coordinate of one peer: what headroom and bounds have to allow for."""
    noise = noise_of(federation, parameters)
    return noise.bound if noise else 0


def _noise(federation: Federation, parameters: int, frac_bits: int) -> Noise | None:
    """None: no table of so large a noise is kept."""
    from peerage_crypto import skellam  # noqa: PLC0415 - brings numpy, which reading a setting does not need

    regions = tuple(len(region.peers) for region in federation.regions)
    honest = smallest_honest_sum(federation.peers, federation.robust.buckets, regions)
    delta = sensitivity(federation.masking.clip, frac_bits, parameters)
    variance = ceil((Fraction(federation.privacy.noise) * delta) ** 2 / honest)
    if variance > skellam.LARGEST_VARIANCE:
        return None
    limits = thresholds(federation.peers, federation.peers)
    bound = skellam.noise_bound(variance)
    return Noise(variance, delta, bound, honest, least_roster(federation.peers), limits.colluders)


def check_noise(federation: Federation, parameters: int) -> None:
    """InputError, naming the nearest grid that works, when noise would wrap the ring or is too large to be drawn."""
    masking = federation.masking
    if _works(federation, parameters, masking.ring_bits, masking.frac_bits):
        return
    wider = (bits for bits in RINGS if bits > masking.ring_bits)
    ring = next((bits for bits in wider if _works(federation, parameters, bits, masking.frac_bits)), 0)
    coarser = range(masking.frac_bits - 1, 0, -1)
    frac = next((f for f in coarser if _works(federation, parameters, masking.ring_bits, f)), 0)
    choices = [f"ring_bits = {ring}"] * bool(ring) + [f"frac_bits = {frac}"] * bool(frac)
    if not choices:
        both = ((b, f) for b in RINGS if b > masking.ring_bits for f in coarser if _works(federation, parameters, b, f))
        choices = [f"ring_bits = {b} with frac_bits = {f}" for b, f in both][:1]
    large = _noise(federation, parameters, masking.frac_bits) is None
    why = "is finer than anything that is drawn" if large else f"would wrap a ring of {masking.ring_bits} bits"
    raise InputError(
        f"privacy.noise = {federation.privacy.noise:g} with clip = {masking.clip:g} at frac_bits = {masking.frac_bits} "
        f"{why}: choose {' or '.join(choices) or 'a smaller noise or clip'}"
    )


def _works(federation: Federation, parameters: int, ring_bits: int, frac_bits: int) -> bool:
    if frac_bits >= ring_bits:
        return False
    noise = _noise(federation, parameters, frac_bits)
    if noise is None:
        return False
    masking = federation.masking
    each = min(masking.clip, masking.clip_each or masking.clip)
    units = ceil(Fraction(each) * (1 << frac_bits)) + 1 + noise.bound
    return federation.peers * units < 1 << (ring_bits - 1)


def check_privacy(federation: Federation) -> None:
    """InputError unless the privacy settings can keep their promise; whether the noise fits is asked again when the
    model, and so its number of parameters, is known.
    """
    settings, robust = federation.privacy, federation.robust
    if federation.exchange == "plain":
        if settings.noise:
            raise InputError(
                f"privacy.noise = {settings.noise:g} with plain exchange: initiators see single updates there, which "
                'carry a share of the noise only: choose exchange = "masked", or noise = 0'
            )
        if settings.least_roster_change > 1:
            raise InputError(
                "privacy.least_roster_change speaks of sums, and plain exchange has none: "
                'choose exchange = "masked", or least_roster_change = 1'
            )
        return
    if not settings.noise:
        if settings.least_roster_change > 1 and (robust.buckets > 1 or federation.regions):
            raise InputError(
                f"privacy.least_roster_change = {settings.least_roster_change} looks at whole rosters, and buckets or "
                "regions unmask sums of parts, which may differ by less: choose buckets = 1 and no regions, noise, or "
                "least_roster_change = 1"
            )
        return
    if federation.scores.openings != "off":
        raise InputError(
            f'privacy.noise = {settings.noise:g} with scores.openings = "{federation.scores.openings}": an opened '
            'number of one update carries one share of the noise only: choose scores.openings = "off" (nobody is paid '
            "by score), or noise = 0"
        )
    if robust.sketches:
        raise InputError(
            f"privacy.noise = {settings.noise:g} with robust.sketches = {robust.sketches}: a sketch of one update "
            "carries one share of the noise only: choose sketches = 0, or noise = 0"
        )
    if federation.data.source.startswith("csv:"):
        raise InputError(
            f"privacy.noise = {settings.noise:g} with {federation.data.source}: the common scale of a table is a sum "
            "without noise: bring rows that are scaled by public bounds with data.source = module:factory, or noise = 0"
        )
    regions = tuple(len(region.peers) for region in federation.regions)
    honest = smallest_honest_sum(federation.peers, robust.buckets, regions)
    if honest < 1:
        raise InputError(_no_honest(federation, regions))
    check_noise(federation, 1)


def _no_honest(federation: Federation, regions: tuple[int, ...]) -> str:
    if regions:
        return (
            f"privacy.noise with a region of {min(regions)} peers: colluding peers could be all of its sum: "
            "choose larger regions or none, or noise = 0"
        )
    buckets = federation.robust.buckets
    fits = next(b for b in range(buckets - 1, 0, -1) if smallest_honest_sum(federation.peers, b) >= 1)
    return (
        f"privacy.noise with robust.buckets = {buckets}: colluding peers could be all of a bucket: "
        f"choose buckets = {fits}, or noise = 0"
    )


def with_noise(update: NDArray[np.int64], noise: Noise, key: bytes) -> NDArray[np.int64]:
    """A quantised update under its share of the noise; `key` is a fresh secret of 32 bytes.

    OurError when the update is longer than the sensitivity that the noise was made for.
    """
    from peerage_crypto import skellam  # noqa: PLC0415 - as above

    if sum(int(v) * int(v) for v in update[update != 0]) > noise.sensitivity**2:
        raise OurError("an update left clipping longer than its clip: no noise was made for it")
    return update + skellam.noise(key, len(update), noise.variance)
