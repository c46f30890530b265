"""One masked sum of a few counts in this process: every watcher's own machine and keys, carried by hand.

The machines are those of a training round (`secagg_member`, `secagg_collector`), and so is the proof: whoever has the
transcript and the masked vectors checks the sum again (`check`). What the watchers counted themselves is in neither.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from peerage_crypto import secagg_collector as sc
from peerage_crypto import secagg_member as sm
from peerage_crypto.digest import sha256, tagged
from peerage_crypto.errors import InputError, OurError
from peerage_crypto.fixedpoint import ring
from peerage_crypto.secagg_gathering import Fetch
from peerage_crypto.secagg_judge import judge_session, judge_sum
from peerage_crypto.secagg_sum import ring_bytes
from peerage_crypto.session import (
    Ballot,
    Certificate,
    Dealt,
    Frozen,
    Manifest,
    Plan,
    Revealed,
    RosterMessage,
    SessionMessage,
    SessionTranscript,
    Survivors,
)
from peerage_crypto.statements import Opened, session_id, sign, signing_domain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from peerage_crypto.identity import Account
    from peerage_ledger.deployment import Deployment

RING_BITS = 64
COUNTS = 3  # watchers, right answers, answers
LARGEST = 1 << 40  # of one count: a thousand watchers stay far inside the ring


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one watcher before the sum (`watchers` is 1, or 0 without fresh rows), of all after it."""

    watchers: int
    correct: int
    total: int

    def vector(self) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
        """(3,) what goes under the masks; InputError for counts that cannot be."""
        if not 0 <= self.correct <= self.total <= LARGEST:
            raise InputError(f"{self.correct} right answers of {self.total} cannot be: count again")
        return np.array([self.watchers, self.correct, self.total], "<u8")


@dataclass(frozen=True, slots=True)
class Evidence:
    """A sum and what proves it: the transcript, and the masked vectors by member."""

    counts: Counts
    transcript: SessionTranscript
    vectors: dict[bytes, bytes]


def plan_of(
    deployment: Deployment, registered: frozenset[bytes], initiator: bytes, watch: bytes, period: int, nonce: bytes
) -> Plan:
    """The session's ground; its parent is the watch, so it can be taken for no round of training."""
    params = tagged("peerage/watch/terms/v1", watch, period.to_bytes(8, "little"))
    sid = session_id(
        chain_id=deployment.chain_id,
        registry=deployment.registry,
        round_=period,
        initiator=initiator,
        parent=watch,
        params=params,
        nonce=nonce,
    )
    domain = signing_domain(deployment.chain_id, deployment.ledger)
    opened = Opened(sid, period, initiator, watch, params, nonce)
    return Plan(opened, domain, registered, ring(RING_BITS), COUNTS)


def masked_sum(plan: Plan, accounts: Mapping[bytes, Account], own: Mapping[bytes, Counts], root: bytes) -> Evidence:
    """`root` is 32 random bytes that every member's secrets of this one session derive from (each apart).

    InputError where too few take part: the rule is that of a training round.
    """
    return _Carried(plan, accounts, own, root).run()


def check(plan: Plan, evidence: Evidence) -> None:
    """Everything again from signatures and masked vectors; OurError when it does not give these counts."""
    proven = judge_session(plan, evidence.transcript)
    if isinstance(proven, list):
        raise OurError(f"the masked sum does not hold: {proven[0].sentence}")
    faults = judge_sum(proven, evidence.transcript, evidence.vectors, ring_bytes(_vector(evidence.counts)))
    if faults:
        raise OurError(f"the masked sum does not hold: {faults[0].sentence}")


class _Carried:
    """The post between machines."""

    def __init__(self, plan: Plan, accounts: Mapping[bytes, Account], own: Mapping[bytes, Counts], root: bytes) -> None:
        self._plan, self._blobs = plan, dict[bytes, bytes]()
        self._members = {
            peer: sm.Member(
                plan, peer, accounts[peer].sign, tagged("peerage/watch/root/v1", root, peer), own[peer].vector()
            )
            for peer in sorted(own)
        }
        opened = sign(plan.opened, accounts[plan.initiator], plan.domain)
        self._collector = sc.Collector(plan, opened, frozenset(own))
        self._queue: deque[tuple[bytes, bytes, SessionMessage]] = deque()
        self._summed: sc.Summed | None = None

    def run(self) -> Evidence:
        for peer, member in self._members.items():
            joined = member.join(version=1, update=sha256(peer), data_manifest=bytes(32), code_manifest=bytes(32))
            for other in self._members.values():
                other.on_join(joined)
            self._collected(self._collector.on_join(joined))
        while self._queue:
            sender, receiver, message = self._queue.popleft()
            self._arrive(sender, receiver, message)
        summed = self._summed
        if summed is None:
            raise OurError(f"the masked sum stopped at {self._collector.step.value}")
        watchers, correct, total = (int(count) for count in summed.total)
        u3 = dict.fromkeys(sorted(self._members))
        vectors = {
            peer: self._blobs[signed.statement.artefact]
            for peer, signed in zip(u3, summed.transcript.manifests, strict=True)
        }
        return Evidence(Counts(watchers, correct, total), summed.transcript, vectors)

    def _told(self, peer: bytes, effects: Iterable[sm.Effect]) -> None:
        for effect in effects:
            match effect:
                case sm.Tell(to, message):
                    self._queue.append((peer, to, message))
                case sm.TellAll(message):
                    self._queue.extend((peer, to, message) for to in self._members)
                case sm.Keep(blob):
                    self._blobs[sha256(blob)] = blob
                case sm.Refuse(_, sentence) | sm.Accuse(_, sentence):
                    raise OurError(f"0x{peer.hex()} refused the masked sum: {sentence}")
                case sm.Sign() | sm.Probe():
                    pass

    def _collected(self, effects: Iterable[sc.Effect]) -> None:
        for effect in effects:
            match effect:
                case sm.Tell(to, message):
                    self._queue.append((self._plan.initiator, to, message))
                case sm.TellAll(message):
                    self._queue.extend((self._plan.initiator, to, message) for to in self._members)
                case Fetch(owner, artefact, _):
                    self._collected(self._collector.on_vector(owner, self._blobs[artefact]))
                case sc.Summed():
                    self._summed = effect
                case sc.Abandon(sentence):
                    raise InputError(f"the counts cannot be added up under masks: {sentence}")
                case sc.Blame(_, sentence):
                    raise OurError(f"the masked sum: {sentence}")

    def _arrive(self, sender: bytes, receiver: bytes, message: SessionMessage) -> None:
        member, collector = self._members[receiver], self._collector
        match message:
            case RosterMessage():
                self._told(receiver, member.on_roster(message))
            case Frozen():
                self._told(receiver, member.on_frozen(message))
            case Manifest():
                member.on_manifest(message.signed)
                if receiver == self._plan.initiator:
                    self._collected(collector.on_manifest(sender, message.signed))
            case Survivors():
                self._told(receiver, member.on_survivors(message))
            case Certificate():
                self._told(receiver, member.on_certificate(message))
            case Dealt():
                self._collected(collector.on_dealt(sender, message))
            case Ballot():
                self._collected(collector.on_ballot(sender, message))
            case Revealed():
                self._collected(collector.on_revealed(sender, message))
            case _:
                raise OurError(f"{type(message).__name__} has no place in a sum of counts")


def _vector(counts: Counts) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.array([counts.watchers, counts.correct, counts.total], "<u8")


def encoded(evidence: Evidence) -> bytes:
    """The transcript as an artefact: MessagePack, as transcripts of rounds are."""
    return msgspec.msgpack.encode(evidence.transcript)
