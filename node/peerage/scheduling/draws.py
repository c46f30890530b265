"""Seeded draws that everybody can repeat: SHA-256 of what they are for, without the bias of a remainder."""

from functools import lru_cache

from peerage_crypto.digest import tagged

_TAG = "peerage/schedule/v1"
_RANGE = 1 << 64


@lru_cache(maxsize=1 << 16)  # a battery is looked at again in each round
def draw_below(limit: int, seed: int, *purpose: str | int) -> int:
    """Uniform in 0..limit-1, for one purpose under one seed; limit at most 2^32."""
    if not 0 < limit <= 1 << 32:
        msg = f"a draw below {limit} is not one of 1 to 2^32 values"
        raise ValueError(msg)
    parts = [str(part).encode() for part in (seed, *purpose)]
    even = _RANGE - _RANGE % limit
    attempt = 0
    while True:
        value = int.from_bytes(tagged(_TAG, *parts, str(attempt).encode())[:8], "big")
        if value < even:  # else the lowest remainders would come a little more often
            return value % limit
        attempt += 1
