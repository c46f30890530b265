"""Two peers' common scale: the same bits on both sides, and nothing but statistics gets in."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from peerage.learning.data_csv import standardiser
from peerage.plain.scale import PlainScale
from peerage_crypto.errors import PeerError

A, B = b"\x01" * 20, b"\x02" * 20
STATISTICS = {A: np.array([3.0, 2.0, 0.1, 0.7, 1.3, 9.1]), B: np.array([5.0, 5.0, 0.2, 1 / 3, 2.7, 8.3])}


def scale(me: bytes) -> PlainScale:
    return PlainScale(me, frozenset({A, B}), {me: STATISTICS[me]})


def test_both_find_the_scale_of_all_rows() -> None:
    first, second = scale(A), scale(B)
    assert first.agreed() is None
    first.heard(B, second.frame())
    second.heard(A, first.frame())
    assert first.agreed() == second.agreed() == standardiser(STATISTICS[A] + STATISTICS[B])


@pytest.mark.parametrize("frame", [b"", b"\xc1", msgspec.msgpack.encode("no"), msgspec.msgpack.encode([1.0] * 5)])
def test_what_is_no_statistics_is_its_senders_fault(frame: bytes) -> None:
    with pytest.raises(PeerError):
        scale(A).heard(B, frame)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1.0])
def test_numbers_that_cannot_be(bad: float) -> None:
    with pytest.raises(PeerError):
        scale(A).heard(B, msgspec.msgpack.encode([bad, *STATISTICS[B][1:].tolist()]))


def test_the_first_word_counts() -> None:
    first = scale(A)
    first.heard(B, scale(B).frame())
    with pytest.raises(PeerError, match="changed"):
        first.heard(B, msgspec.msgpack.encode([9.0] * 6))
    assert first.agreed() == standardiser(STATISTICS[A] + STATISTICS[B])
