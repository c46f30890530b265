"""After an epoch's last round: agree on what everybody has earned, sign it, publish it once, claim for all.

An epoch that ends before the run does is settled beside the training; after the last one the peer is done.

Every peer computes the totals itself from the rounds it stands on; it signs a proposal only when it finds its own
numbers in it. A quorum of signatures is what the vault asks for, so no single peer can pay anybody.

Nobody ends on one peer's word. `Settled` carries the quorum's signatures: who has checked them hands root and claims to
its own ledger too, and ends when the chain has them (which costs nothing where the sender told the truth, and pays
everybody where it did not). Without such signatures, or without a chain, it takes the word of more peers than can lie.
"""

from __future__ import annotations

import contextlib
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
    RecordLine,
    Report,
    RootVoided,
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
from peerage_ledger.transcript import NOTHING

if TYPE_CHECKING:
    from peerage.rounds.epochs import Books
    from peerage.rounds.membership import Membership
    from peerage_crypto.identity import Account
    from peerage_ledger.judgement import Federation, Standing

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
    """What a quorum signs the root of; its lists are sorted.

    `steps` is the digest of the pay states (`records.Steps`), `voided` the records that they leave unpaid.
    """

    schema: int
    epoch: Count
    record: Bytes32
    dues: tuple[Due, ...]
    emissions: tuple[LastEmissions, ...]
    steps: Bytes32
    voided: tuple[Bytes32, ...]

    def reward_root(self) -> RewardRoot:
        """The root that goes on chain; ValueError when an amount is no number."""
        totals = {d.account: int(d.cumulative) for d in self.dues}
        emissions = address_root({e.peer: e.emissions for e in self.emissions})
        return RewardRoot(self.epoch, claim_root(totals), sum(totals.values()), emissions, self.steps)


def decode_settlement(blob: bytes) -> SettlementDocument:
    """A settlement from its canonical JSON; ValueError otherwise."""
    try:
        document = msgspec.json.decode(blob, type=SettlementDocument)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not a settlement: {error}") from error
    if msgspec.json.encode(document, order="deterministic") != blob:
        raise ValueError("a settlement that is not in its canonical form")
    return document


class Settlement:
    """State of an epoch's last step; built when the peer stands on the record `head` that ends it."""

    def __init__(
        self,
        *,
        me: bytes,
        account: Account,
        federation: Federation,
        head: Standing,
        books: Books,
        records: tuple[RoundRecord, ...],
        membership: Membership,
        patience: float,
        stagger: float,
        hold: float = 30.0,
        disputed: str = "",
        epoch: int = 1,
        final: bool = True,
    ) -> None:
        self.me, self.account, self.federation, self.head = me, account, federation, head
        self.epoch, self.final = epoch, final  # only the final one stands beside everybody's last emission record
        self.books, self.records, self.membership = books, records, membership
        self._newest = books  # what the next root is signed for, should this one be void
        self._wait, self._rank = patience, stagger * membership.rank(head.record)
        self._hold = hold  # seconds for which my signature keeps me on this branch
        self._held = self.holding = False
        self._disputed = disputed  # why I sign nothing: a number among those to be paid cannot be right
        self._mine: bytes | None = None
        self._emissions: dict[bytes, bytes] = {}
        self._proposed: tuple[bytes, SettlementDocument] | None = None
        self._votes: dict[bytes, bytes] = {}
        self._asked: dict[bytes, bytes] = {}  # settlement artefact -> its proposer
        self._publishing = False
        self._shown: tuple[RewardRoot, Books] | None = None  # the chain has it, and my rounds give it
        self._proof: m.Settled | None = None  # a quorum's signatures, which I gathered or checked
        self._told: set[bytes] = set()  # who says that it is over
        self._over = False

    @property
    def totals(self) -> dict[bytes, int]:
        """Cumulative pay by account, as my own rounds give it."""
        return self.books.totals

    @property
    def over(self) -> bool:
        """The chain has the rewards and the claims, or more peers than can lie say so."""
        return self._over

    @property
    def answer(self) -> m.Settled:
        """To whoever asks once it is over."""
        return self._proof or m.Settled(self.head.record, bytes(32), bytes(32), ())

    def start(self) -> list[Effect]:
        return [CloseEmissions()] if self.final else self._say(NOTHING)

    def _say(self, emissions: bytes) -> list[Effect]:
        self._mine = self._emissions[self.me] = emissions
        said = [Broadcast(m.Settling(self.head.record, emissions)), self._timer(), *self._maybe_propose()]
        return [Phase("ledger"), *said] if self.final else said

    def _timer(self) -> SetTimer:
        return SetTimer(f"settle:propose:{self.epoch}", self._wait + self._rank)

    def handle(self, event: Event) -> list[Effect]:
        match event:
            case EmissionsClosed(emissions) if self.final:
                return self._say(emissions)
            case Fetched(artefact, blob) if artefact in self._asked:
                return self._vote_for(self._asked.pop(artefact), artefact, blob)
            case PeerDown():
                return self._maybe_propose()
            case Timeout(name) if name == self._timer().name and not self._over:
                asked = [Broadcast(m.Settling(self.head.record, self._mine))] if self._publishing and self._mine else []
                said = asked if self._publishing else self._propose()
                return [*said, self._timer()]
            case Timeout(name) if name == f"settle:claim:{self.epoch}":
                return self._claim_shown()
            case Timeout(name) if name == f"settle:hold:{self.epoch}":
                self.holding = self._publishing
                return []
            case Published(epoch) if not self._over and epoch == (0 if self.final else self.epoch):
                return self._finish()
            case RootVoided() if not self._over:
                return self._begin_again()
            case _:
                return []

    def receive(self, sender: bytes, message: m.Settling | m.Proposal | m.RewardVote | m.Settled) -> list[Effect]:
        match message:
            case m.Settling() | m.Proposal() if self._over:
                return [Send(sender, self.answer)]
            case m.Settling(record, emissions) if record == self.head.record:
                self._emissions[sender] = emissions  # the newest: of a peer that lost its disk the first is void
                return self._maybe_propose()
            case m.Proposal(record, artefact) if record == self.head.record and not self._over:
                self._asked[artefact] = sender
                return [FetchArtefact(sender, artefact, MAX_SETTLEMENT_BYTES)]
            case m.RewardVote(artefact, signature):
                return self._on_vote(sender, artefact, signature)
            case m.Settled(record) if record == self.head.record and not self._over:
                return self._on_settled(sender, message)
            case _:
                return []

    def rebook(self, books: Books) -> list[Effect]:
        """A round was voided: what I sign from now on leaves it unpaid.

        A root that a quorum has signed runs its course: if it pays that round, anybody can have it voided.
        """
        if books == self._newest:
            return []
        self._newest = books
        return [] if self._publishing else self._begin_again()

    def shown(self, root: RewardRoot, books: Books) -> list[Effect]:
        """The chain has this epoch's root already, and my rounds give it with these books.

        Whoever published it claims for all, and tells me; if nobody does in time, I claim.
        """
        if self._over or self._publishing or (self._shown and self._shown[0] == root):
            return []
        self._shown = root, books
        return [SetTimer(f"settle:claim:{self.epoch}", self._wait + self._rank)]

    def _claim_shown(self) -> list[Effect]:
        if self._shown is None or self._publishing or self._over:
            return []
        root, self.books = self._shown
        return self._publish(root, {})

    def _begin_again(self) -> list[Effect]:
        """The pay that was proposed or published is void: gather signatures under what my books say now."""
        self.books, self._shown = self._newest, None
        self._publishing = False
        self._proposed, self._votes, self._proof, self._told = None, {}, None, set()
        return self._maybe_propose() if self._mine is not None else []

    def _on_settled(self, sender: bytes, message: m.Settled) -> list[Effect]:
        self._told.add(sender)
        registered = len(self.federation.registered)
        if len(self._told) > max(1, colluders(registered)):  # even where nobody is thought to collude, one may lie
            return self._finish()
        if self._publishing or not message.signatures:
            return []
        root = self.books.root(self.epoch, message.emissions)
        signatures = self._signers(root, message.signatures)
        if len(signatures) < quorum(registered, colluders(registered)):
            return self._fault(sender, "it says that the rewards are settled, without a quorum's signatures under them")
        self._proof = message
        if self._disputed:
            return self._finish()  # this peer takes no part in that pay, and holds up nobody
        return self._publish(root, signatures)

    def _signers(self, root: RewardRoot, signatures: tuple[bytes, ...]) -> dict[bytes, bytes]:
        """The signatures of registered peers under a root, one of each, by signer."""
        digest, found = root.digest(self.federation.chain_id, self.federation.vault), dict[bytes, bytes]()
        for signature in signatures[: len(self.federation.registered)]:
            with contextlib.suppress(BadSignature):
                signer = recover(digest, signature)
                if signer in self.federation.registered:
                    found[signer] = signature
        return dict(sorted(found.items()))

    def _publish(self, root: RewardRoot, signatures: dict[bytes, bytes]) -> list[Effect]:
        self._publishing = self.holding = True  # a quorum has signed on this branch
        return [RecordLine(self.records), Publish(root, signatures, self.totals, self.books.steps, self.final)]

    def _maybe_propose(self) -> list[Effect]:
        if self._publishing:
            return []
        live = self.membership.live()
        turn = self.membership.turn(self.head.record, live | {self.me})
        if self._proposed is None and turn == self.me and live <= self._emissions.keys():
            return self._propose()
        return []

    def _propose(self) -> list[Effect]:
        if self._mine is None or self._disputed:
            return []
        dues = tuple(Due(account, str(amount)) for account, amount in sorted(self.totals.items()))
        last = sorted(self._emissions.items()) if self.final else ()
        emissions = tuple(LastEmissions(p, e) for p, e in last)
        steps, voided = self.books.steps.digest(), tuple(sorted(self.books.voided))
        document = SettlementDocument(1, self.epoch, self.head.record, dues, emissions, steps, voided)
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
            *self._holds(),
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
            return self._fault(None, f"this peer signs no settlement of wrong numbers: {self._disputed}")
        if document.record == self.head.record and frozenset(document.voided) != self.books.voided:
            return []  # one of us has not heard yet what the chain says of a round: no fault, and no signature
        if totals != self.totals or document.epoch != self.epoch or document.record != self.head.record:
            return self._fault(proposer, "it proposed a settlement with other totals than the rounds give")
        if document.steps != self.books.steps.digest():
            return self._fault(proposer, "it proposed a settlement with other steps than the rounds give")
        if emissions.get(self.me, self._mine) != self._mine or (emissions and not self.final):
            return self._fault(proposer, "it proposed a settlement with another emission record of mine")
        fields = {"settlement": artefact.hex()}
        return [
            Store(blob),
            Journal("settlement", self.head.round, fields),
            *self._holds(),
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
        root, signatures = document.reward_root(), dict(sorted(self._votes.items()))
        self._proof = m.Settled(self.head.record, artefact, root.emission_root, tuple(signatures.values()))
        return self._publish(root, signatures)

    def _holds(self) -> list[Effect]:
        """My signature is out: a quorum of such may be on its way to the chain, which takes one root only."""
        if self._held:
            return []  # once: where no quorum can be had on this branch, the better one must win in the end
        self._held = self.holding = True
        return [SetTimer(f"settle:hold:{self.epoch}", self._hold)]

    def _signature(self, document: SettlementDocument) -> bytes:
        digest = document.reward_root().digest(self.federation.chain_id, self.federation.vault)
        return self.account.sign(digest)

    def _finish(self) -> list[Effect]:
        self._over = True
        effects: list[Effect] = []
        if self._proof is not None and self._proposed is not None and self._proof.settlement == self._proposed[0]:
            effects.append(Broadcast(self._proof))  # whoever was told by another answers those who ask
        return [*effects, Finish()] if self.final else effects

    def _fault(self, culprit: bytes | None, sentence: str) -> list[Effect]:
        fields = {"culprit": "0x" + culprit.hex() if culprit else "", "sentence": sentence}
        return [Journal("fault", self.head.round, fields), Report("warning", sentence, self.head.round, culprit)]
