"""Every message that one peer sends another. Decode into one of these classes or refuse the frame.

Who sent a frame is known from the CURVE key of its connection, never from its content; statements that must convince
a third party carry their own signatures.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from peerage.plain.messages import PlainNews
from peerage_crypto.errors import PeerError
from peerage_crypto.leaf_check import Piece
from peerage_crypto.opening import Openings, PairNumber, Pledge
from peerage_crypto.pair_audit import Drawn, Late, Shown, Spoken
from peerage_crypto.session import (
    Ballot,
    Certificate,
    Dealt,
    Frozen,
    Gathered,
    Manifest,
    Revealed,
    RosterMessage,
    Survivors,
)
from peerage_crypto.sketch_messages import Approval, Cleared, Screened, Seeded, SeedShares, Sketched
from peerage_crypto.statements import (
    Abstention,
    Bytes32,
    Bytes65,
    Count,
    JoinIntent,
    Opened,
    PathGradient,
    ResultAck,
    Signed,
)
from peerage_crypto.thresholds import COMPLETE_GRAPH_LIMIT, LARGEST_ROSTER

MAX_FRAME_BYTES = 200 << 10
MAX_LEAVES = 32  # with 32 paths of 32 siblings an answer stays below 70 kB
LeafIndex = Annotated[int, msgspec.Meta(ge=0, le=2**32)]
Sentence = Annotated[str, msgspec.Meta(max_length=300)]


class Fresh(msgspec.Struct, frozen=True, tag="fresh"):
    """I stand on this record and hold this free version, newer than what it contains (BrainTorrent's news)."""

    record: Bytes32
    round: Count
    transcript: Bytes32
    version: Count
    ready: bool


class Open(msgspec.Struct, frozen=True, tag="open"):
    """Initiator to all: a session is open."""

    signed: Signed[Opened]


class Join(msgspec.Struct, frozen=True, tag="join"):
    """To all: I take part with this version."""

    signed: Signed[JoinIntent]


class Refusal(msgspec.Struct, frozen=True, tag="refusal"):
    """Member to initiator: I go no further in this session, because of this."""

    sid: Bytes32
    sentence: Sentence


class Abandoned(msgspec.Struct, frozen=True, tag="abandoned"):
    """Initiator to all: this session will not complete."""

    sid: Bytes32
    sentence: Sentence


class Abstained(msgspec.Struct, frozen=True, tag="abstained"):
    """To all: I have not voted in this session and never will."""

    signed: Signed[Abstention]


class Result(msgspec.Struct, frozen=True, tag="result"):
    """Initiator to all: the proof of the sum, the sum, and the model that follows."""

    sid: Bytes32
    session: Bytes32
    session_bytes: Count
    sum_artefact: Bytes32
    model: Bytes32


class Ack(msgspec.Struct, frozen=True, tag="ack"):
    """To all: I recomputed the model."""

    signed: Signed[ResultAck]


class LeavesAsked(msgspec.Struct, frozen=True, tag="leaves?"):
    """To whoever may hold a masked vector: these leaves of it, please (`rounds/leaves.py`)."""

    artefact: Bytes32
    leaves: Annotated[tuple[LeafIndex, ...], msgspec.Meta(min_length=1, max_length=MAX_LEAVES)]


class LeavesTold(msgspec.Struct, frozen=True, tag="leaves"):
    """The answer: each leaf with its path, in the order asked."""

    artefact: Bytes32
    leaves: Annotated[tuple[LeafIndex, ...], msgspec.Meta(min_length=1, max_length=MAX_LEAVES)]
    pieces: Annotated[tuple[Piece, ...], msgspec.Meta(min_length=1, max_length=MAX_LEAVES)]


class Gradient(msgspec.Struct, frozen=True, tag="gradient"):
    """Survivor to all, where validation is private: my path gradient is masked; `artefact` once all have said so."""

    sid: Bytes32
    signed: Signed[PathGradient]
    artefact: Bytes32 | None


class GradientAsked(msgspec.Struct, frozen=True, tag="gradient?"):
    """To a survivor: yours has not reached me; say again what you have said."""

    sid: Bytes32


class NoGradient(msgspec.Struct, frozen=True, tag="no-gradient"):
    """Survivor to all: I shall deliver none in this session, because of this."""

    sid: Bytes32
    sentence: Sentence


class Direction(msgspec.Struct, frozen=True, tag="direction"):
    """Initiator to all: the direction g for which this session's numbers are opened.

    `gradients` are the statements that it rests on where validation is private: who heard another one of a survivor
    has the proof against it.
    """

    sid: Bytes32
    direction: Bytes32
    exponent: int
    gradients: Annotated[tuple[Signed[PathGradient], ...], msgspec.Meta(max_length=COMPLETE_GRAPH_LIMIT)] = ()


class Products(msgspec.Struct, frozen=True, tag="products"):
    """Leader to initiator: < y , g > mod 2^w of each vector that I gathered, in roster order."""

    sid: Bytes32
    direction: Bytes32
    numbers: Annotated[tuple[PairNumber, ...], msgspec.Meta(max_length=LARGEST_ROSTER)]


class Closed(msgspec.Struct, frozen=True, tag="closed"):
    """To all: the round's transcript; with it everybody stands on its record."""

    sid: Bytes32
    record: Bytes32
    round: Count
    transcript: Bytes32


class HeadRequest(msgspec.Struct, frozen=True, tag="head?"):
    """Where do you stand?"""


class Settling(msgspec.Struct, frozen=True, tag="settling"):
    """To all, after the last round: my final emission record."""

    record: Bytes32
    emissions: Bytes32


class Proposal(msgspec.Struct, frozen=True, tag="proposal"):
    """Proposer to all: the settlement of the epoch, as an artefact."""

    record: Bytes32
    settlement: Bytes32


class RewardVote(msgspec.Struct, frozen=True, tag="reward-vote"):
    """Peer to proposer: my signature under the reward root of that settlement."""

    settlement: Bytes32
    signature: Bytes65


class Settled(msgspec.Struct, frozen=True, tag="settled"):
    """Proposer to all, and anybody to whoever asks: published and claimed.

    With a quorum's signatures under the reward root, which the receiver computes from its own totals and `emissions`
    (the root of the last emission records). Without signatures it is its sender's word and no more.
    """

    record: Bytes32
    settlement: Bytes32
    emissions: Bytes32
    signatures: tuple[Bytes65, ...]


Message = (
    Fresh
    | Open
    | Join
    | RosterMessage
    | Dealt
    | Frozen
    | Manifest
    | Gathered
    | Survivors
    | Ballot
    | Certificate
    | Revealed
    | SeedShares
    | Seeded
    | Sketched
    | Screened
    | Approval
    | Cleared
    | Refusal
    | Abandoned
    | Abstained
    | Result
    | Ack
    | LeavesAsked
    | LeavesTold
    | Gradient
    | GradientAsked
    | NoGradient
    | Direction
    | Pledge
    | Openings
    | Products
    | Spoken
    | Late
    | Drawn
    | Shown
    | Closed
    | HeadRequest
    | Settling
    | Proposal
    | RewardVote
    | Settled
    | PlainNews
)

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """A frame of at most MAX_FRAME_BYTES."""
    return _encoder.encode(message)


def decode(sender: bytes, frame: bytes) -> Message:
    """The message in a frame; PeerError naming its sender when it holds anything else."""
    if len(frame) > MAX_FRAME_BYTES:
        raise PeerError(sender, f"a frame of {len(frame)} bytes is above the limit of {MAX_FRAME_BYTES}")
    try:
        return _decoder.decode(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PeerError(sender, f"a frame that is no message of ours: {error}") from error
