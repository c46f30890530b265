"""The ledger as a peer knows it, whichever chain is behind: `MemoryLedger` in tests, `ChainLedger` otherwise.

Nothing here waits for a chain: wishes go to an outbox, what the chain says comes back as events.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from peerage_ledger.deployment import Deployment
    from peerage_ledger.events import LedgerEvent
    from peerage_ledger.records import RewardRoot, RoundRecord


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
    published: RewardRoot | None = None
    claimed: Mapping[bytes, int] = field(default_factory=dict[bytes, int])

    @property
    def epoch(self) -> int:
        return 0 if self.published is None else self.published.epoch


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

    def vault_state(self) -> VaultState: ...

    def register(self, transport_key: bytes, endpoint: str, stake: int) -> None:
        """Make it so that the registry says this of me: registers, or changes endpoint or key, or does nothing."""
        ...

    def submit_round(self, record: RoundRecord) -> None:
        """Idempotent: one record is on the chain once, whoever submits it how often."""
        ...

    def publish_rewards(self, reward: RewardRoot, signatures: Mapping[bytes, bytes]) -> None:
        """`signatures` maps signer -> 65 bytes over `reward.digest(...)`."""
        ...

    def claim_many(self, totals: Mapping[bytes, int]) -> None:
        """Pay out to everybody in `totals` (the whole table behind the published root: cumulative, by account)."""
        ...

    def poll(self) -> Sequence[LedgerEvent]:
        """What happened since the last call; each event of the chain once."""
        ...

    def pending(self) -> int:
        """Wishes that are not on the chain yet."""
        ...

    def close(self) -> None:
        """Stop; wishes still pending wait on disk for the next start."""
        ...
