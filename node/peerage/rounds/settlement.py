"""After the last round: agree on what everybody has earned, sign it, publish it once, claim for all.

Every peer computes the totals itself from the rounds it stands on; it signs a proposal only when it finds its own
numbers in it. A quorum of signatures is what the vault asks for, so no single peer can pay anybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from peerage import messages as m
from peerage.effects import (
    Broadcast,
    CloseEmissions,
    Effect,
    EmissionsClosed,
    Event,
    FetchArtefact,
    Fetched,
    Finish,
    Journal,
    PeerDown,
    Phase,
    Publish,
    Published,
    Record,
    Report,
    Send,
    SetTimer,
    Store,
    Timeout,
)
from peerage_crypto.digest import address_root, claim_root, sha256
from peerage_crypto.identity import BadSignature, recover
from peerage_crypto.statements import Bytes20, Bytes32, Count
from peerage_crypto.thresholds import colluders, quorum
from peerage_ledger.records import RewardRoot, RoundRecord

if TYPE_CHECKING:
    from peerage.rounds.membership import Membership
    from peerage_crypto.identity import Account
    from peerage_ledger.judgement import Federation, Standing

EPOCH = 1  # one run is one epoch of the pool
MAX_SETTLEMENT_BYTES = 1 << 20


class Due(msgspec.Struct, frozen=True, array_like=True):
    """What an account has earned so far: an integer in smallest units, as a decimal string."""

    account: Bytes20
    cumulative: str


class LastEmissions(msgspec.Struct, frozen=True, array_like=True):
    """A peer's final emission record."""

    peer: Bytes20
    emissions: Bytes32


class SettlementDocument(msgspec.Struct, frozen=True):
    """What a quorum signs the root of; both lists are sorted by address."""

    schema: int
    epoch: Count
    record: Bytes32
    dues: tuple[Due, ...]
    emissions: tuple[LastEmissions, ...]

    def reward_root(self) -> RewardRoot:
        """The root that goes on chain; ValueError when an amount is no number."""
        totals = {d.account: int(d.cumulative) for d in self.dues}
        emissions = address_root({e.peer: e.emissions for e in self.emissions})
        return RewardRoot(self.epoch, claim_root(totals), sum(totals.values()), emissions)


def decode_settlement(blob: bytes) -> SettlementDocument:
    """A settlement from its canonical JSON; ValueError otherwise."""
    try:
        document = msgspec.json.decode(blob, type=SettlementDocument)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a settlement: {error}") from error
    if msgspec.json.encode(document, order="deterministic") != blob:
        raise ValueError("a settlement that is not in its canonical form")
    return document


class Settlement:
    """State of the last step; built when the peer stands on the last round's record."""

    def __init__(
        self,
        *,
        me: bytes,
        account: Account,
        federation: Federation,
        head: Standing,
        totals: dict[bytes, int],
        records: tuple[RoundRecord, ...],
        membership: Membership,
        patience: float,
        stagger: float,
        disputed: str = "",
    ) -> None:
        self.me, self.account, self.federation, self.head = me, account, federation, head
        self.totals, self.records, self.membership = totals, records, membership
        self._wait, self._rank = patience, stagger * membership.rank(head.record)
        self._disputed = disputed  # why I sign nothing: a number among those to be paid cannot be right
        self._mine: bytes | None = None
        self._emissions: dict[bytes, bytes] = {}
        self._proposed: tuple[bytes, SettlementDocument] | None = None
        self._votes: dict[bytes, bytes] = {}
        self._asked: dict[bytes, bytes] = {}  # settlement artefact -> its proposer
        self._publishing = False
        self._over = False

    @property
    def over(self) -> bool:
        """The rewards are published, or somebody said so."""
        return self._over

    def start(self) -> list[Effect]:
        return [CloseEmissions()]

    def handle(self, event: Event) -> list[Effect]:
        match event:
            case EmissionsClosed(emissions):
                self._mine = self._emissions[self.me] = emissions
                return [
                    Phase("ledger"),
                    Broadcast(m.Settling(self.head.record, emissions)),
                    SetTimer("settle:propose", self._wait + self._rank),
                    *self._maybe_propose(),
                ]
            case Fetched(artefact, blob) if artefact in self._asked:
                return self._vote_for(self._asked.pop(artefact), artefact, blob)
            case PeerDown():
                return self._maybe_propose()
            case Timeout("settle:propose") if not self._over and not self._publishing:
                return [*self._propose(), SetTimer("settle:propose", self._wait + self._rank)]
            case Published() if not self._over:
                return self._finish()
            case _:
                return []

    def receive(self, sender: bytes, message: m.Settling | m.Proposal | m.RewardVote | m.Settled) -> list[Effect]:
        match message:
            case m.Settling() | m.Proposal() if self._over:
                return [Send(sender, m.Settled(self.head.record, bytes(32)))]
            case m.Settling(record, emissions) if record == self.head.record:
                self._emissions.setdefault(sender, emissions)
                return self._maybe_propose()
            case m.Proposal(record, artefact) if record == self.head.record and not self._over:
                self._asked[artefact] = sender
                return [FetchArtefact(sender, artefact, MAX_SETTLEMENT_BYTES)]
            case m.RewardVote(artefact, signature):
                return self._on_vote(sender, artefact, signature)
            case m.Settled(record) if record == self.head.record and not self._over and not self._publishing:
                return self._finish()
            case _:
                return []

    def _maybe_propose(self) -> list[Effect]:
        live = self.membership.live()
        turn = self.membership.turn(self.head.record, live | {self.me})
        if self._proposed is None and turn == self.me and live <= self._emissions.keys():
            return self._propose()
        return []

    def _propose(self) -> list[Effect]:
        if self._mine is None or self._disputed:
            return []
        dues = tuple(Due(account, str(amount)) for account, amount in sorted(self.totals.items()))
        emissions = tuple(LastEmissions(p, e) for p, e in sorted(self._emissions.items()))
        document = SettlementDocument(1, EPOCH, self.head.record, dues, emissions)
        blob = msgspec.json.encode(document, order="deterministic")
        artefact = sha256(blob)
        if self._proposed is None or self._proposed[0] != artefact:
            self._votes = {}
        self._proposed = (artefact, document)
        fields = {"settlement": artefact.hex()}
        return [
            Store(blob),
            Journal("settlement", self.head.round, fields),
            Broadcast(m.Proposal(self.head.record, artefact)),
            *self._on_vote(self.me, artefact, self._signature(document)),
        ]

    def _vote_for(self, proposer: bytes, artefact: bytes, blob: bytes) -> list[Effect]:
        try:
            document = decode_settlement(blob)
            totals = {d.account: int(d.cumulative) for d in document.dues}
        except ValueError as error:
            return self._fault(proposer, f"it proposed a settlement that does not hold: {error}")
        emissions = {e.peer: e.emissions for e in document.emissions}
        if self._disputed:
            return self._fault(proposer, f"this peer signs no settlement of wrong numbers: {self._disputed}")
        if totals != self.totals or document.epoch != EPOCH or document.record != self.head.record:
            return self._fault(proposer, "it proposed a settlement with other totals than the rounds give")
        if emissions.get(self.me, self._mine) != self._mine:
            return self._fault(proposer, "it proposed a settlement with another emission record of mine")
        fields = {"settlement": artefact.hex()}
        return [
            Store(blob),
            Journal("settlement", self.head.round, fields),
            Send(proposer, m.RewardVote(artefact, self._signature(document))),
        ]

    def _on_vote(self, sender: bytes, artefact: bytes, signature: bytes) -> list[Effect]:
        if self._proposed is None or self._proposed[0] != artefact or self._publishing:
            return []
        document = self._proposed[1]
        digest = document.reward_root().digest(self.federation.chain_id, self.federation.vault)
        try:
            signer = recover(digest, signature)
        except BadSignature:
            return self._fault(sender, "its signature under the settlement is none")
        if signer != sender:
            return self._fault(sender, "its signature under the settlement is another's")
        self._votes[sender] = signature
        registered = len(self.federation.registered)
        if len(self._votes) < quorum(registered, colluders(registered)):
            return []
        self._publishing = True
        signatures = dict(sorted(self._votes.items()))
        return [*(Record(r) for r in self.records), Publish(document.reward_root(), signatures, self.totals)]

    def _signature(self, document: SettlementDocument) -> bytes:
        digest = document.reward_root().digest(self.federation.chain_id, self.federation.vault)
        return self.account.sign(digest)

    def _finish(self) -> list[Effect]:
        self._over = True
        effects: list[Effect] = []
        if self._publishing and self._proposed is not None:
            effects.append(Broadcast(m.Settled(self.head.record, self._proposed[0])))
        return [*effects, Finish()]

    def _fault(self, culprit: bytes, sentence: str) -> list[Effect]:
        fields = {"culprit": "0x" + culprit.hex(), "sentence": sentence}
        return [Journal("fault", self.head.round, fields), Report("warning", sentence, self.head.round, culprit)]
