"""Shamir's secret sharing of 32 bytes: any `threshold` shares give the secret, fewer say nothing about it.

Over the prime just above 2^256, so that every 32-byte secret is a field element. Shares are not authenticated here:
the session commits to each, and checks what they combine to (Shamir 1979; big integers beat numpy at these sizes).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from peerage_crypto.agreement import derive

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PRIME = (1 << 256) + 297
SHARE_BYTES = 33  # big-endian
DRAW_BYTES = 48  # reduced mod the prime: less than 2^-127 from uniform


def split(secret: bytes, xs: Sequence[int], threshold: int, rand: bytes) -> list[bytes]:
    """One 33-byte share for each point of `xs` (distinct, not zero), in their order.

    `rand` is at least 32 secret bytes. The polynomial is drawn from rand *and* secret: dealing another secret with the
    same rand gives an unrelated polynomial, dealing the same one gives the same shares again.
    """
    if len(secret) != 32 or len(rand) < 32:
        raise ValueError(f"sharing takes a secret of 32 bytes and 32 random ones, not {len(secret)} and {len(rand)}")
    if not 1 <= threshold <= len(xs):
        raise ValueError(f"a threshold of {threshold} among {len(xs)} shares cannot be met")
    _check_points(xs)
    stream = Cipher(AES(derive(rand, secret, b"peerage/v1/shamir")), CTR(bytes(16))).encryptor()
    draws = stream.update(bytes(DRAW_BYTES * (threshold - 1)))
    polynomial = [int.from_bytes(draws[i : i + DRAW_BYTES], "big") % PRIME for i in range(0, len(draws), DRAW_BYTES)]
    polynomial.append(int.from_bytes(secret, "big"))  # highest power first
    return [_evaluate(polynomial, x).to_bytes(SHARE_BYTES, "big") for x in xs]


def combine(points: Mapping[int, bytes]) -> bytes:
    """The 32-byte secret at zero of the one polynomial through exactly these points.

    Too few points, or one forged, give another secret or a ValueError: check the result against a commitment.
    """
    if not points:
        raise ValueError("no share to combine")
    xs = tuple(sorted(points))
    _check_points(xs)
    value = sum(weight * _field_element(points[x]) for x, weight in zip(xs, _weights(xs), strict=True)) % PRIME
    if value >> 256:
        raise ValueError("the shares combine to no secret of 32 bytes")
    return value.to_bytes(32, "big")


def _check_points(xs: Sequence[int]) -> None:
    if len(set(xs)) != len(xs) or not all(0 < x < PRIME for x in xs):
        raise ValueError("the points of shares must be distinct, positive and below the prime")


def _field_element(share: bytes) -> int:
    value = int.from_bytes(share, "big")
    if len(share) != SHARE_BYTES or value >= PRIME:
        raise ValueError(f"a share is {SHARE_BYTES} bytes below the prime")
    return value


def _evaluate(polynomial: Sequence[int], x: int) -> int:
    value = 0
    for coefficient in polynomial:
        value = (value * x + coefficient) % PRIME
    return value


# All secrets of a session are opened at the same few point sets; points are public, so nothing secret is kept.
@lru_cache(maxsize=256)
def _weights(xs: tuple[int, ...]) -> tuple[int, ...]:
    """Lagrange's weights at zero: the product of x_j / (x_j - x_i) over j != i, with one inversion for all."""
    above, below = [1] * len(xs), [1] * len(xs)
    for i, xi in enumerate(xs):
        for j, xj in enumerate(xs):
            if i != j:
                above[i] = above[i] * xj % PRIME
                below[i] = below[i] * (xj - xi) % PRIME
    prefix = [1]
    for factor in below:
        prefix.append(prefix[-1] * factor % PRIME)
    inverse = pow(prefix[-1], -1, PRIME)
    weights = [0] * len(xs)
    for i in reversed(range(len(xs))):
        weights[i] = above[i] * inverse * prefix[i] % PRIME
        inverse = inverse * below[i] % PRIME
    return tuple(weights)
