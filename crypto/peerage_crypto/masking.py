"""Masks: the AES-256-CTR keystream of a 32-byte key, read as words of the ring, added and taken away.

A key is used once: the same key under two vectors would show their difference. The counter starts at zero, so any part
of a mask can be made without the rest (an auditor checks one leaf). Everything runs chunk by chunk: a chunk of the
vector stays in the cache while all masks pass over it (measured: within twice the time of the keystreams alone).

The lane at the head of a vector (`fixedpoint.Ring`) is under the same keystream; its sums carry from 64 to 64 bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.ciphers import CipherContext
    from numpy.typing import NDArray

    from peerage_crypto.fixedpoint import Ring

    Words = NDArray[np.unsignedinteger[Any]]

CHUNK_BYTES = 1 << 18
BLOCK_BYTES = 16
ZEROS = bytes(CHUNK_BYTES)


class _Pad:
    """One small buffer through which all keystreams of a call pass."""

    def __init__(self, ring: Ring) -> None:
        self._bytes = bytearray(CHUNK_BYTES + BLOCK_BYTES - 1)  # update_into asks for the slack
        self._zeros = memoryview(ZEROS)
        self._words: Words = np.frombuffer(self._bytes, f"<u{ring.word_bytes}", CHUNK_BYTES // ring.word_bytes)
        self._word_bytes = ring.word_bytes
        self.length = CHUNK_BYTES // ring.word_bytes  # of a chunk, in elements

    def next(self, stream: CipherContext, count: int) -> Words:
        """The next `count` words of a stream, valid until the next call."""
        stream.update_into(self._zeros[: count * self._word_bytes], self._bytes)
        return self._words[:count]


def _stream(key: bytes, first_block: int = 0) -> CipherContext:
    if len(key) != 32:
        raise ValueError(f"a mask key has 32 bytes, not {len(key)}")
    return Cipher(AES(key), CTR(first_block.to_bytes(BLOCK_BYTES, "big"))).encryptor()


def expand(key: bytes, count: int, ring: Ring, offset: int = 0) -> Words:
    """Elements offset to offset + count of a key's mask, in the ring's dtype."""
    if count < 0 or offset < 0:
        raise ValueError(f"no {count} elements from {offset} of a mask")
    block, skipped = divmod(offset * ring.word_bytes, BLOCK_BYTES)
    stream = _stream(key, block)
    stream.update(bytes(skipped))
    words = np.frombuffer(stream.update(bytes(count * ring.word_bytes)), f"<u{ring.word_bytes}")
    return words.astype(ring.dtype)


def apply_masks(
    vector: Words, plus: Sequence[bytes], minus: Sequence[bytes], ring: Ring, *, first_byte: int = 0
) -> Words:
    """The vector + sum of the masks of `plus` - sum of the masks of `minus`, mod 2^w; a new array.

    For a part of a longer vector `first_byte` says where it starts (a multiple of 16), and `ring.lane` what of the lane
    lies in it.
    """
    _check(vector, ring)
    block, rest = divmod(first_byte, BLOCK_BYTES)
    if rest:
        raise ValueError(f"a mask is started at a multiple of {BLOCK_BYTES} bytes, not at {first_byte}")
    out = vector.astype(ring.dtype)
    adding, taking = [_stream(key, block) for key in plus], [_stream(key, block) for key in minus]
    pad = _Pad(ring)
    for start in range(0, len(out), pad.length):
        part = out[start : start + pad.length]
        cut = min(max(ring.lane_words - start, 0), len(part))
        for stream in adding:
            _combine(np.add, part, pad.next(stream, len(part)), cut)
        for stream in taking:
            _combine(np.subtract, part, pad.next(stream, len(part)), cut)
    return out


def add(total: Words, vector: Words, ring: Ring) -> None:
    """The vector onto the total, in place: lane words mod 2^64, the rest mod 2^w."""
    _check(total, ring)
    _check(vector, ring)
    if total.shape != vector.shape:
        raise ValueError(f"no sum of {len(total)} and {len(vector)} elements")
    _combine(np.add, total, vector, ring.lane_words)


def total_of(vectors: Sequence[Words], ring: Ring) -> Words:
    """The sum of vectors (at least one), a new array."""
    total = np.zeros(len(vectors[0]), ring.dtype)
    for vector in vectors:
        add(total, vector, ring)
    return total


def _combine(how: np.ufunc, part: Words, other: Words, cut: int) -> None:
    """Part := how(part, other), its first `cut` words as 64-bit words of a lane."""
    if cut:
        lane = part[:cut].view("<u8")
        how(lane, other[:cut].view("<u8"), out=lane)
    how(part[cut:], other[cut:], out=part[cut:])


def inner(vector: Words, g: Words, ring: Ring) -> int:
    """< vector, g > mod 2^w, as a Python integer in [0, 2^w); g is zero on the lane."""
    _check(vector, ring)
    _check_direction(g, ring)
    if vector.shape != g.shape:
        raise ValueError(f"no inner product of {len(vector)} and {len(g)} elements")
    return int(np.dot(vector, g))  # words of one width wrap as the ring does


def inner_key(key: bytes, g: Words, ring: Ring) -> int:
    """< mask of the key, g > mod 2^w; the mask is never held whole."""
    _check_direction(g, ring)
    stream, pad, total = _stream(key), _Pad(ring), 0
    for start in range(0, len(g), pad.length):
        part = g[start : start + pad.length]
        total += int(np.dot(pad.next(stream, len(part)), part))
    return total % ring.modulus


def _check_direction(g: Words, ring: Ring) -> None:
    _check(g, ring)
    if g[: ring.lane_words].any():
        raise ValueError("nothing of a lane is opened: g must be zero there")


def _check(vector: Words, ring: Ring) -> None:
    if vector.ndim != 1 or vector.dtype.kind != "u" or vector.dtype.itemsize != ring.word_bytes:
        raise ValueError(f"a vector of the ring is one row of {ring.dtype}, not {vector.dtype}{vector.shape}")
