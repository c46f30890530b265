"""The ledger as a peer knows it, whichever chain is behind: `MemoryLedger` in tests, `ChainLedger` otherwise.

Nothing here waits for a chain: wishes go to an outbox, what the chain says comes back as events.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from peerage_ledger.deployment import Deployment
    from peerage_ledger.events import LedgerEvent, QuestionAsked
    from peerage_ledger.records import RewardRoot, RoundRecord, Steps


@dataclass(frozen=True, slots=True)
class Registration:
    """A row of the registry; `active` is false from leaving on. Transport key 32 bytes, stake in smallest units."""

    address: bytes
    transport_key: bytes
    endpoint: str
    stake: int
    active: bool = True


@dataclass(frozen=True, slots=True)
class VaultState:
    """The reward vault as its events tell it; `claimed` is cumulative by account."""

    funded: int = 0
    roots: tuple[RewardRoot, ...] = ()  # those that stand, the oldest first
    claimed: Mapping[bytes, int] = field(default_factory=dict[bytes, int])

    @property
    def published(self) -> RewardRoot | None:
        return self.roots[-1] if self.roots else None

    @property
    def epoch(self) -> int:
        return 0 if self.published is None else self.published.epoch


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """A bonded question about a recorded round; silence makes its poster lose. `seats`: the newest by address."""

    asked: QuestionAsked
    record: RoundRecord
    poster: bytes
    seats: Mapping[bytes, int]


class Ledger(Protocol):
    @property
    def deployment(self) -> Deployment: ...

    @property
    def address(self) -> bytes:
        """Whose ledger this is."""
        ...

    def registrations(self) -> tuple[Registration, ...]:
        """Everybody who ever registered and has not withdrawn, by address; from memory."""
        ...

    def records(self) -> Mapping[bytes, RoundRecord]:
        """Every recorded round by its record hash, in the order of the chain; from memory."""
        ...

    def voided(self) -> frozenset[bytes]:
        """The records of rounds that were proven to break a rule, and pay nothing; from memory."""
        ...

    def questions(self) -> tuple[OpenQuestion, ...]:
        """Those about recorded rounds that nobody has answered yet; from memory."""
        ...

    def vault_state(self) -> VaultState: ...

    def register(self, transport_key: bytes, endpoint: str, stake: int, invitation: Sequence[bytes] = ()) -> None:
        """Make it so that the registry says this of me: registers, or changes endpoint or key, or does nothing.

        `invitation` as `invitations.Invitation.blobs` gives it, where the federation admits by invitation.
        """
        ...

    def submit_round(self, record: RoundRecord) -> None:
        """Idempotent: one record is on the chain once, whoever submits it how often."""
        ...

    def submit_rounds(self, records: Sequence[RoundRecord]) -> None:
        """Those of a line that the chain lacks, the oldest first, in as few transactions as may be."""
        ...

    def publish_rewards(self, reward: RewardRoot, steps: Steps, signatures: Mapping[bytes, bytes]) -> None:
        """`signatures` maps signer -> 65 bytes over `reward.digest(...)`; `steps` is what `reward.steps` is of."""
        ...

    def claim_many(self, totals: Mapping[bytes, int], reward: RewardRoot | None = None) -> None:
        """Pay out to everybody in `totals` (the whole table behind the published root: cumulative, by account).

        With `reward` it is given up when the chain has voided that root.
        """
        ...

    def answer(self, question: bytes, data: bytes) -> None:
        """Send this call to the round arbiter unless somebody else has answered by then."""
        ...

    def poll(self) -> Sequence[LedgerEvent]:
        """What happened since the last call; each event of the chain once."""
        ...

    def pending(self, about: RewardRoot | None = None) -> int:
        """Wishes that are not on the chain yet; with `about` those to publish that root and to claim from it.

        A claim is done when the root can be voided no more, even if it pays nobody anything new.
        """
        ...

    def close(self) -> None:
        """Stop; wishes still pending wait on disk for the next start."""
        ...
