"""What the round engine asks its adapter to do, and what the adapter tells it happened.

The engine reads no clock, no randomness, no file and no socket. Effects are carried out in the order given: a journal
entry is on the disk before the message after it leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from peerage.messages import Message
    from peerage_ledger.records import RewardRoot, RoundRecord, Steps

    Vector = NDArray[np.float32]


# -- effects: engine to adapter ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Send one message to one peer."""

    to: bytes
    message: Message


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Send one message to every registered peer but me."""

    message: Message


@dataclass(frozen=True, slots=True)
class Journal:
    """Write one line and sync it; `kind` and `fields` as docs/round.md lists them."""

    kind: str
    round: int
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Store:
    """Keep an artefact (its id is the SHA-256 of its bytes) and serve it to peers."""

    blob: bytes


@dataclass(frozen=True, slots=True)
class FetchArtefact:
    """Get an artefact, from my own holdings or from its owner; answered by Fetched or Unfetched."""

    owner: bytes
    artefact: bytes
    limit: int


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Wake me with Timeout(name) after so many seconds; setting a name again replaces it."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Forget a timer."""

    name: str


@dataclass(frozen=True, slots=True)
class Train:
    """Fine-tune this model (as version `version`) and answer with Trained; `correction` is added to it on the way."""

    model: Vector
    version: int
    correction: Vector | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """Compute my own path gradient of this round on the rows that I hold back; answer with Measured.

    `base` is W0, `step` is D = W' - W0; `dither` the seed of its rounding; `slope` what the merge made of each
    coordinate, where it made more of some than of others; `kept` the coordinates (k,) that the round exchanged, and
    that the gradient is wanted of (None: all).
    """

    sid: bytes
    round: int
    base: Vector
    step: Vector
    dither: bytes
    slope: NDArray[np.float64] | None = None
    kept: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """Compute the direction g of a round's public path; answer with Scored.

    `base` is W0, `step` is D = W' - W0, `applied` what the last rounds told everybody, newest first; `slope` as in
    Measure, and `kept`. With `sums`, those of the halves' path gradients, g is made of them (two rows) and not of
    anybody's rows.
    """

    sid: bytes
    round: int
    base: Vector
    step: Vector
    applied: tuple[Vector, ...]
    seed: bytes
    sums: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
    slope: NDArray[np.float64] | None = None
    kept: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class Save:
    """Persist my private state (atomically): what a restart must not lose."""

    state: PrivateState


@dataclass(frozen=True, slots=True)
class Record:
    """Hand a round's record to the ledger's outbox; idempotent."""

    record: RoundRecord


@dataclass(frozen=True, slots=True)
class RecordLine:
    """Hand those of a line of records to the outbox that the chain lacks, the oldest first; idempotent."""

    records: tuple[RoundRecord, ...]


@dataclass(frozen=True, slots=True)
class CloseEmissions:
    """Close my emission record of this round (None: the last of the run); answer with EmissionsClosed."""

    round: int | None = None


@dataclass(frozen=True, slots=True)
class AwaitLedger:
    """Answer with Published once the chain has everything that I handed to the outbox."""


@dataclass(frozen=True, slots=True)
class Publish:
    """Publish a reward root with its signatures and claim for everybody; answered by Published.

    Without signatures the chain has the root. `final`: the run's last; the answer waits for everything in the outbox.
    """

    root: RewardRoot
    signatures: dict[bytes, bytes]
    totals: dict[bytes, int]
    steps: Steps
    final: bool = True


@dataclass(frozen=True, slots=True)
class Phase:
    """The meter's phase changes: wait, train, mask, exchange, unmask, score or ledger."""

    name: str


@dataclass(frozen=True, slots=True)
class Report:
    """Tell the person watching (and the log); `culprit` is the peer that it speaks of."""

    level: str
    sentence: str
    round: int
    culprit: bytes | None = None


@dataclass(frozen=True, slots=True)
class Clipped:
    """What the clips of a round took away, summed under the masks: of how many updates, of how many coordinates."""

    updates: int
    of: int
    coordinates: int

    def __str__(self) -> str:
        return f"clipped: {self.updates} of {self.of} updates, {self.coordinates} coordinates"


@dataclass(frozen=True, slots=True)
class Progress:
    """A round was closed: who was in it, who was missing, what everybody has earned so far."""

    round: int
    members: tuple[bytes, ...]
    missing: tuple[bytes, ...]
    earned: dict[bytes, int]
    aggregate: bytes
    train_accuracy_ppm: int
    clipped: Clipped | None = None  # plain exchange clips nothing


@dataclass(frozen=True, slots=True)
class Finish:
    """Everything that this peer had to do is done."""


Effect = (
    Send
    | Broadcast
    | Journal
    | Store
    | FetchArtefact
    | SetTimer
    | CancelTimer
    | Train
    | Measure
    | Score
    | Save
    | Record
    | RecordLine
    | CloseEmissions
    | AwaitLedger
    | Publish
    | Phase
    | Report
    | Progress
    | Finish
)


# -- events: adapter to engine -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PrivateState:
    """What only this peer knows and must survive kill -9: its model, its versions, and which session holds them.

    `status` is free, locked or spent; `sid` is the last session it was locked for, `head` the record it stood on;
    `acked` is the encoded Result that it acknowledged on that head (empty: none), `been_in`
    the sessions that it joined there; `usual` how its updates move a model, where SCAFFOLD asks for it.
    """

    version: int
    status: str
    sid: bytes
    head: bytes
    head_transcript: bytes
    head_round: int
    local: Vector
    base: Vector
    metrics: tuple[int, int, int]
    acked: bytes = b""
    been_in: tuple[bytes, ...] = ()
    usual: Vector | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """The adapter is ready; `saved` is the private state of an earlier life.

    `lost` says that there was an earlier life and its state is gone (the registry knows this peer, its disk does not).
    """

    saved: PrivateState | None
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Trained:
    """Fine-tuning is done."""

    model: Vector
    version: int
    examples: int
    correct: int
    mean_loss: float


@dataclass(frozen=True, slots=True)
class Received:
    """A decoded message from a peer (the transport vouches for the sender)."""

    sender: bytes
    message: Message


@dataclass(frozen=True, slots=True)
class Fetched:
    """An artefact is here, its hash checked."""

    artefact: bytes
    blob: bytes


@dataclass(frozen=True, slots=True)
class Unfetched:
    """An artefact could not be had from that owner."""

    owner: bytes
    artefact: bytes


@dataclass(frozen=True, slots=True)
class PeerUp:
    peer: bytes


@dataclass(frozen=True, slots=True)
class PeerDown:
    peer: bytes


@dataclass(frozen=True, slots=True)
class Timeout:
    name: str


@dataclass(frozen=True, slots=True)
class Measured:
    """My path gradient in units of its grid (one per parameter); None: there is none, training gave no numbers."""

    sid: bytes
    units: NDArray[np.int64] | None


@dataclass(frozen=True, slots=True)
class Scored:
    """The direction of a round: g as integers (one per parameter, or two rows of them, one for the members of each
    half), its exponent, and my emission record so far.
    """

    sid: bytes
    direction: NDArray[np.int64]
    exponent: int
    emissions: bytes


@dataclass(frozen=True, slots=True)
class EmissionsClosed:
    """The id of my final emission record."""

    emissions: bytes


@dataclass(frozen=True, slots=True)
class Published:
    """The reward root is on chain and everything is claimed; `epoch` 0: that of the run's last one, and all else."""

    epoch: int = 0


@dataclass(frozen=True, slots=True)
class RoundVoided:
    """The chain says that a recorded round was proven wrong: it pays nothing."""

    record: bytes


@dataclass(frozen=True, slots=True)
class RootVoided:
    """The reward root on the chain was proven wrong before anybody could claim from it."""


@dataclass(frozen=True, slots=True)
class RootsStand:
    """The reward roots that stand on the chain, the oldest first."""

    roots: tuple[RewardRoot, ...]


Event = (
    Started
    | Trained
    | Received
    | Fetched
    | Unfetched
    | PeerUp
    | PeerDown
    | Timeout
    | Measured
    | Scored
    | EmissionsClosed
    | Published
    | RoundVoided
    | RootVoided
    | RootsStand
)
