"""Noise settings: what is calibrated, what is refused, and with which remedy."""

from fractions import Fraction

import numpy as np
import pytest
from msgspec.structs import replace

from peerage.config import (
    DataSettings,
    Federation,
    MaskingSettings,
    PrivacySettings,
    Region,
    RobustSettings,
    ScoreSettings,
)
from peerage.privacy.noise import (
    check_noise,
    check_privacy,
    least_roster,
    noise_bound,
    noise_of,
    sensitivity,
    smallest_honest_sum,
    with_noise,
)
from peerage_crypto.errors import InputError, OurError
from peerage_crypto.fixedpoint import clip_norm, quantise
from peerage_crypto.thresholds import thresholds

KEY = bytes(range(32))
NOISY = Federation(
    peers=12,
    privacy=PrivacySettings(noise=1.0),
    scores=ScoreSettings(openings="off"),
    masking=MaskingSettings(clip=1.0, frac_bits=12),
)


@pytest.mark.parametrize("peers", [3, 4, 5, 8, 10, 12, 16, 24, 32])
def test_no_legal_round_unmasks_fewer_honest_peers_than_the_noise_is_made_for(peers):
    """Every roster that noise admits, every number of losses it tolerates."""
    promised = smallest_honest_sum(peers)
    assert promised >= 1
    for roster in range(least_roster(peers), peers + 1):
        limits = thresholds(peers, roster)
        for survivors in range(roster - limits.losses, roster + 1):
            assert survivors - limits.colluders >= promised


def test_the_smallest_honest_sum_has_the_promised_noise():
    noise = noise_of(NOISY, 4810)
    assert noise.honest == 4
    assert noise.honest * noise.variance >= (Fraction(NOISY.privacy.noise) * noise.sensitivity) ** 2
    assert (noise.variance - 1) * noise.honest < (Fraction(NOISY.privacy.noise) * noise.sensitivity) ** 2


@pytest.mark.parametrize("seed", range(20))
def test_no_quantised_update_is_longer_than_the_sensitivity(seed):
    draw = np.random.default_rng(seed)
    d, clip, f = int(draw.integers(1, 3000)), float(draw.choice([0.3, 1.0, 8.0])), int(draw.integers(1, 16))
    delta = draw.normal(size=d) * draw.choice([1e-3, 1, 1e3])
    clipped, _ = clip_norm(delta, clip)
    quantised = quantise(clipped, f, bytes([seed]))
    assert int((quantised.astype(object) ** 2).sum()) <= sensitivity(clip, f, d) ** 2


def test_an_update_gets_its_share_and_only_that():
    noise, update = noise_of(NOISY, 5000), np.zeros(5000, np.int64)
    noisy = with_noise(update, noise, KEY)
    assert abs(noisy.var() / noise.variance - 1) < 0.15
    assert np.abs(noisy).max() <= noise.bound
    assert np.array_equal(with_noise(update + 7, noise, KEY), noisy + 7)
    assert not np.array_equal(with_noise(update, noise, bytes(32)), noisy)


def test_an_update_beyond_the_clip_gets_no_noise():
    noise = noise_of(NOISY, 2)
    with pytest.raises(OurError, match="longer than its clip"):
        with_noise(np.array([noise.sensitivity, 1], np.int64), noise, KEY)


def test_without_noise_nothing_is_added_or_bounded():
    calm = replace(NOISY, privacy=PrivacySettings())
    check_privacy(calm)
    assert noise_of(calm, 4810) is None
    assert noise_bound(calm, 4810) == 0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"scores": ScoreSettings()}, 'choose scores.openings = "off"'),
        ({"robust": RobustSettings(sketches=4)}, "choose sketches = 0"),
        ({"exchange": "plain"}, 'choose exchange = "masked"'),
        ({"data": DataSettings(source="csv:a.csv", label="b")}, "scaled by public bounds"),
        ({"peers": 24, "robust": RobustSettings(buckets=4)}, "choose buckets = "),
        ({"masking": MaskingSettings(clip=1.0, frac_bits=16)}, "choose frac_bits = 15$"),
        ({"masking": MaskingSettings(clip=1.0, frac_bits=12, ring_bits=16)}, "choose ring_bits = 32 or frac_bits = 8$"),
        ({"masking": MaskingSettings(clip=1e6, frac_bits=2, ring_bits=16)}, "choose a smaller noise or clip"),
    ],
)
def test_what_cannot_be_promised_is_refused_with_what_can(change, sentence):
    check_privacy(NOISY)
    with pytest.raises(InputError, match=sentence):
        check_privacy(replace(NOISY, **change))
    with pytest.raises(InputError, match=sentence.removesuffix("$")):
        noise_of(replace(NOISY, **change), 2)  # a peer asks again before it adds any


def test_regions_that_could_be_all_colluders_are_refused():
    names = [f"peer-{i + 1:02d}" for i in range(24)]
    regions = tuple(Region(name=f"r{i}", peers=tuple(names[6 * i : 6 * i + 6])) for i in range(4))
    with pytest.raises(InputError, match="region of 6 peers"):
        check_privacy(replace(NOISY, peers=24, regions=regions))


def on_grid(ring_bits: int, frac_bits: int) -> Federation:
    bits = min(frac_bits, ring_bits - 1)
    return replace(NOISY, masking=MaskingSettings(clip=1.0, frac_bits=bits, ring_bits=ring_bits))


@pytest.mark.parametrize("ring_bits", [16, 32])
def test_the_remedy_that_is_named_works_and_the_next_finer_one_does_not(ring_bits):
    with pytest.raises(InputError) as refused:
        check_noise(on_grid(ring_bits, 22), 4810)
    named = int(str(refused.value).rpartition("frac_bits = ")[2])
    check_noise(on_grid(ring_bits, named), 4810)
    with pytest.raises(InputError, match=f"frac_bits = {named}$"):
        check_noise(on_grid(ring_bits, named + 1), 4810)


def test_the_largest_sum_with_noise_stays_in_the_ring():
    """All peers at the clip in one coordinate, all noise at its bound."""
    masking = MaskingSettings(clip=1.0, frac_bits=7, ring_bits=16)
    federation = replace(NOISY, masking=masking)
    noise = noise_of(federation, 4810)
    assert federation.peers * ((1 << 7) + 1 + noise.bound) < 1 << 15


def test_a_plain_exchange_has_no_rosters_to_compare():
    with pytest.raises(InputError, match="least_roster_change = 1"):
        check_privacy(replace(NOISY, exchange="plain", privacy=PrivacySettings(least_roster_change=3)))
