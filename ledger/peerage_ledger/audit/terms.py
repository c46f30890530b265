"""What an audit takes in: terms, artefacts, chain and journals as values. Reading them is somebody else's affair."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from peerage_crypto.fixedpoint import Ring
    from peerage_ledger.archive.reader import ChainArchive
    from peerage_ledger.deployment import Deployment
    from peerage_ledger.judgement import Judged, Standing
    from peerage_ledger.plain_judgement import Mean

    Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Terms:
    """The agreed numbers of a federation.

    `record` is the hash of its settings (the record before the first), `session` what every session is bound to,
    `initial` the first model; `auxiliary` counts the leading coordinates of a masked vector that are no parameters.
    """

    record: bytes
    session: bytes
    initial: Vector
    rounds: int
    ring: Ring
    frac_bits: int
    clip: float
    auxiliary: int
    novelty: int
    cap: int
    window: int
    pool: int


class Mathematics(Protocol):
    """What rounds compute with floating point: the merge, and the direction g of a round's public path."""

    def merge(self, model: Vector, step: Vector, total: NDArray[np.unsignedinteger], members: int, /) -> Vector | str:
        """The aggregate that follows from a sum, or why none does."""
        ...

    def direction(
        self, parent: Standing, judged: Judged, applied: Sequence[Vector], /
    ) -> tuple[NDArray[np.int64], int] | None:
        """(g, exponent) as the auditor finds it; `applied` newest first. None: it cannot be computed here."""
        ...


@dataclass(frozen=True)
class Prologue:
    """A round before the first that no chain keeps: its masked sum gives an artefact that the terms name.

    (Tables: the common scale of the columns.) `derive` computes the artefact's bytes from the sum.
    """

    terms: Terms
    maths: Mathematics
    artefact: bytes
    derive: Callable[[NDArray[np.unsignedinteger]], bytes]


@dataclass(frozen=True, slots=True)
class Settled:
    """A settlement document: what a quorum signed the root of. Lists as they stand in it."""

    artefact: bytes
    epoch: int
    record: bytes
    dues: tuple[tuple[bytes, int], ...]
    emissions: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True)
class CaseFile:
    """Everything an audit rests on. `store` gives artefacts whose bytes hash to their name, and no others.

    `journals`: name -> raw bytes; `accounts`: name -> the address it should be of, where somebody claims to know;
    `keep`: for how many rounds masked vectors are kept (None: for all); `pruned`: artefacts that somebody says were
    deleted after their time; `lost`: peers that ended unasked; `misnamed`: artefact ids whose file holds other bytes.
    """

    terms: Terms
    deployment: Deployment
    archive: ChainArchive
    store: Mapping[bytes, bytes]
    journals: Mapping[str, bytes]
    settlements: tuple[Settled, ...]
    accounts: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    keep: int | None = None
    pruned: frozenset[bytes] = frozenset()
    lost: frozenset[str] = frozenset()
    misnamed: frozenset[bytes] = frozenset()
    prologue: Prologue | None = None
    mean: Mean | None = None  # plain exchange: how models are averaged
