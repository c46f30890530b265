"""What a dispute is: a rule that was broken, by whom, and the call that proves it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from peerage_ledger.contracts import contract
from peerage_ledger.events import (
    PeerConvicted,
    PeerRegistered,
    PublicationProvenWrong,
    QuestionAnswered,
    QuestionAsked,
    QuestionExpired,
    RoundRecorded,
    RoundVoided,
    SignerConvicted,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from peerage_ledger.archive.reader import ChainArchive
    from peerage_ledger.audit.told import Told
    from peerage_ledger.deployment import Deployment
    from peerage_ledger.disputes.shelf import Shelf
    from peerage_ledger.judgement import Federation
    from peerage_ledger.records import RoundRecord
    from peerage_ledger.rewards import Rule

WHOLE, FIFTH = 10_000, 2_000


@dataclass(frozen=True, slots=True)
class Dispute:
    """One call that proves a fault, or asks about one.

    `accused` are those who lose `takes` basis points of their stake if it holds; `bonded`: a bond is put down, which
    comes back if nobody answers in time.
    """

    fault: str
    round: int | None
    record: bytes | None
    accused: tuple[bytes, ...]
    contract: str
    function: str
    arguments: tuple[Any, ...]
    sentence: str
    takes: int = FIFTH
    bonded: bool = False

    @property
    def data(self) -> bytes:
        """The calldata."""
        return contract(self.contract).call(self.function, *self.arguments)


@dataclass(frozen=True, slots=True)
class Undecided:
    """A finding that no contract decides, and why."""

    code: str
    round: int | None
    peer: bytes | None
    sentence: str
    why: str


@dataclass
class Decided:
    """What the chain has said already: signers, records and questions by what decides them once."""

    convicted: set[tuple[bytes, bytes, int]] = field(default_factory=set[tuple[bytes, bytes, int]])
    voided: dict[bytes, set[int]] = field(default_factory=dict[bytes, set[int]])
    questions: dict[bytes, QuestionAsked] = field(default_factory=dict[bytes, QuestionAsked])
    open: set[bytes] = field(default_factory=set[bytes])
    wrong: set[bytes] = field(default_factory=set[bytes])  # digests of publications
    signers: set[tuple[bytes, bytes]] = field(default_factory=set[tuple[bytes, bytes]])
    records: dict[bytes, RoundRecord] = field(default_factory=dict[bytes, "RoundRecord"])
    posters: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    seats: dict[bytes, int] = field(default_factory=dict[bytes, int])
    given: int = 0  # seats

    @classmethod
    def from_events(cls, told: Iterable[object]) -> Decided:
        decided = cls()
        for event in told:
            decided.hear(event)
        return decided

    def hear(self, event: object) -> None:
        match event:
            case PeerRegistered(address):
                self.given += 1
                self.seats[address] = self.given
            case RoundRecorded(record, name, poster):
                self.records[name], self.posters[name] = record, poster
            case PeerConvicted(peer, sid, _, fault):
                self.convicted.add((peer, sid, fault))
            case RoundVoided(record, _, _, fault):
                self.voided.setdefault(record, set()).add(fault)
            case QuestionAsked(question):
                self.questions[question] = event
                self.open.add(question)
            case QuestionAnswered(question) | QuestionExpired(question):
                self.open.discard(question)
            case PublicationProvenWrong(digest):
                self.wrong.add(digest)
            case SignerConvicted(digest, signer):
                self.signers.add((digest, signer))
            case _:
                pass


@dataclass(frozen=True)
class Docket:
    """What disputes are looked for in. `right` are the records that follow from their artefacts, `told` the masked ones
    among these with what was judged of them.

    `settings` is the text whose tagged hash the federation is; `rule` what pay follows from.
    """

    deployment: Deployment
    archive: ChainArchive
    store: Mapping[bytes, bytes]
    shelf: Shelf
    federation: Federation
    right: frozenset[bytes]
    told: Mapping[bytes, Told]
    rule: Rule
    settings: bytes
    decided: Decided
