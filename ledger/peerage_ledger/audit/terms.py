"""What an audit takes in: terms, artefacts, chain and journals as values. Reading them is somebody else's affair."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from peerage_crypto.buckets import FLAT, Grouping

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from peerage_crypto.fixedpoint import Ring
    from peerage_crypto.sketch_terms import Sketching
    from peerage_ledger.archive.reader import ChainArchive
    from peerage_ledger.audit.told import Memory
    from peerage_ledger.deployment import Deployment
    from peerage_ledger.judgement import Judged, Merge, Near, Standing, Turns
    from peerage_ledger.plain_judgement import Mean

    Vector = NDArray[np.float32]


def no_turns(_: frozenset[bytes]) -> Turns | None:
    """Everybody takes part in each round."""
    return None


def no_graph(_: frozenset[bytes]) -> Near | None:
    """Everybody merges everybody."""
    return None


@dataclass(frozen=True, slots=True)
class Terms:
    """The agreed numbers of a federation.

    `record` is the hash of its settings (the record before the first), `session` what every session is bound to,
    `initial` the first model; of its coordinates a round exchanges `exchanged` (0: all).
    """

    record: bytes
    session: bytes
    initial: Vector
    rounds: int
    ring: Ring
    frac_bits: int
    clip: float
    novelty: int
    cap: int
    window: int
    pool: int
    epoch: int = 0  # rounds after which pay is settled; 0: once
    grouping: Grouping = FLAT
    sketches: Sketching | None = None
    crossfit: bool = False  # validation is private
    audited: bool = False  # random pairs show the keys of their masks
    turns: Callable[[frozenset[bytes]], Turns | None] = no_turns  # by round, of the registered peers
    whole: bool = False  # a round takes all registered peers or none
    exchanged: int = 0
    near: Callable[[frozenset[bytes]], Near | None] = no_graph  # plain exchange: whose models are merged

    @property
    def size(self) -> int:
        """Of an update, and of a direction."""
        return self.exchanged or int(self.initial.size)


class Mathematics(Protocol):
    """What rounds compute with floating point: the merge, and the direction g of a round's public path."""

    @property
    def merge(self) -> Merge:
        """The aggregate that follows from the sums of the buckets, or why none does."""
        ...

    @property
    def remembers(self) -> bool:
        """Whether the merge has a state that only the sums of all rounds before can tell."""
        ...

    def direction(
        self, parent: Standing, judged: Judged, applied: Sequence[Vector], /
    ) -> tuple[NDArray[np.int64], int] | None:
        """(g, exponent) as the auditor finds it; `applied` newest first. None: it cannot be computed here."""
        ...

    def cross_directions(
        self,
        parent: Standing,
        sums: tuple[NDArray[np.int64], NDArray[np.int64]],
        seed: bytes,
        applied: Sequence[Vector],
        /,
    ) -> tuple[NDArray[np.int64], int]:
        """The same where validation is private, from the sums of both halves' path gradients: two rows, exact."""
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
    steps: bytes = bytes(32)
    voided: tuple[bytes, ...] = ()


def silence(what: str, done: int, of: int, /) -> None:
    """Nobody wants to hear how far it is."""


@dataclass(frozen=True)
class CaseFile:
    """Everything an audit rests on. `store` gives artefacts whose bytes hash to their name, and no others.

    `journals`: name -> raw bytes; `accounts`: name -> the address it should be of, where somebody claims to know;
    `keep`: for how many rounds masked vectors are kept (None: for all); `pruned`: artefacts that somebody says were
    deleted after their time; `lost`: peers that ended unasked; `misnamed`: artefact ids whose file holds other bytes;
    `told` hears how far the audit is: of what, how many, out of how many.
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
    memory: Memory | None = None  # what an earlier audit found
    told: Callable[[str, int, int], None] = silence
