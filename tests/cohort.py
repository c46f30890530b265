"""A whole session in one process: real members, a real collector, real signatures; peers vanish, lie and are lied to.

Every message crosses the wire format once. A cheat is a function (sender, receiver, message) -> message, or None to
swallow it; what it returns is what arrives.
"""

from collections import deque
from collections.abc import Callable, Mapping

import msgspec
import numpy as np

from peerage_crypto import secagg_collector as sc
from peerage_crypto import secagg_member as sm
from peerage_crypto.buckets import FLAT, Grouping
from peerage_crypto.digest import sha256
from peerage_crypto.fixedpoint import ring
from peerage_crypto.identity import Account
from peerage_crypto.masking import total_of
from peerage_crypto.opening import Openings, pair_numbers, values_digest
from peerage_crypto.pair_audit import Shown, shown_by
from peerage_crypto.secagg_judge import judge_session
from peerage_crypto.session import Ballot, Dealt, Manifest, Plan, Revealed, SessionMessage
from peerage_crypto.sketch_collector import collector_of
from peerage_crypto.sketch_member import member_of
from peerage_crypto.sketch_messages import Approval, SeedShares, Sketched
from peerage_crypto.sketch_terms import Sketching
from peerage_crypto.statements import Opened, Opening, session_id, sign, signing_domain

CHAIN, REGISTRY, LEDGER = 31337, b"\x11" * 20, b"\x22" * 20
DOMAIN = signing_domain(CHAIN, LEDGER)
PARENT, PARAMS = sha256(b"parent"), sha256(b"params")
STEP_OF = {
    Dealt: sc.Step.SHARES,
    Manifest: sc.Step.VECTORS,
    Ballot: sc.Step.VOTES,
    SeedShares: sc.Step.SEEDS,
    Sketched: sc.Step.SKETCHES,
    Approval: sc.Step.SCREENINGS,
    Revealed: sc.Step.REVEALS,
}
ORDER = list(STEP_OF.values())
WIRE = msgspec.msgpack.Decoder(SessionMessage)

Cheat = Callable[[bytes, bytes | None, SessionMessage], "SessionMessage | None"]


def account(name: object) -> Account:
    return Account.from_secret(sha256(b"account", repr(name).encode()))


def accounts(count: int) -> list[Account]:
    """Sorted by address, as a roster is."""
    return sorted((account(i) for i in range(count)), key=lambda a: a.address)


def opened(initiator: bytes, *, nonce: bytes = b"\x33" * 32, round_: int = 1, parent: bytes = PARENT) -> Opened:
    sid = session_id(
        chain_id=CHAIN,
        registry=REGISTRY,
        round_=round_,
        initiator=initiator,
        parent=parent,
        params=PARAMS,
        nonce=nonce,
    )
    return Opened(sid, round_, initiator, parent, PARAMS, nonce)


def plan_of(
    people: list[Account],
    *,
    bits: int = 32,
    length: int = 7,
    lane: int = 0,
    strangers: int = 0,
    grouping: Grouping = FLAT,
    sketches: Sketching | None = None,
    crossfit: bool = False,
    audited: bool = False,
    **how,
) -> Plan:
    registered = frozenset(a.address for a in people) | {account(("stranger", i)).address for i in range(strangers)}
    start = opened(people[0].address, **how)
    return Plan(
        start, DOMAIN, registered, ring(bits, lane), length, grouping, sketches, crossfit=crossfit, audited=audited
    )


class Cohort:
    """`vanish` says before which step's message a peer is gone; `unfetchable` whose vectors cannot be had."""

    def __init__(
        self,
        count: int,
        *,
        bits: int = 32,
        length: int = 7,
        lane: int = 0,
        seed: int = 0,
        strangers: int = 0,
        sketches: Sketching | None = None,
        vanish: Mapping[bytes | int, sc.Step] | None = None,
        unfetchable: tuple[int, ...] = (),
        cheat: Cheat | None = None,
        vectors: list[np.ndarray] | None = None,
        grouping: Grouping = FLAT,
        crossfit: bool = False,
        audited: bool = False,
    ) -> None:
        self.people = accounts(count)
        self.plan = plan_of(
            self.people,
            bits=bits,
            length=length,
            lane=lane,
            strangers=strangers,
            grouping=grouping,
            sketches=sketches,
            crossfit=crossfit,
            audited=audited,
        )
        self.addresses = [a.address for a in self.people]
        draw = np.random.default_rng(seed)
        dtype = self.plan.ring.dtype
        top = np.iinfo(dtype).max
        drawn = vectors or [draw.integers(0, top, length, dtype, endpoint=True) for _ in self.people]
        self.vectors = dict(zip(self.addresses, drawn, strict=True))
        self.members = {
            a.address: member_of(self.plan, a.address, a.sign, sha256(b"root", a.address), self.vectors[a.address])
            for a in self.people
        }
        self.signed_open = sign(self.plan.opened, self.people[0], DOMAIN)
        self.collector = collector_of(self.plan, self.signed_open, frozenset(self.addresses))
        self.vanish = {self.addresses[p] if isinstance(p, int) else p: s for p, s in (vanish or {}).items()}
        self.unfetchable = {self.addresses[i] for i in unfetchable}
        self.cheat = cheat
        self.blobs: dict[bytes, bytes] = {}
        self.log: list[tuple[bytes, bytes | None, SessionMessage]] = []
        self.refusals: dict[bytes, sm.Refuse] = {}
        self.accused: dict[bytes, list[sm.Accuse]] = {}  # by who accuses
        self.blames: list[sc.Blame] = []
        self.abandoned = ""
        self.summed: sc.Summed | None = None
        self._queue: deque[tuple[bytes, bytes | None, SessionMessage]] = deque()

    # -- carrying --------------------------------------------------------------------------------------------------

    def join(self, cheat: Callable = lambda signed: signed) -> "Cohort":
        for peer, member in self.members.items():
            signed = cheat(
                member.join(version=1, update=sha256(peer), data_manifest=bytes(32), code_manifest=bytes(32))
            )
            for other in self.members.values():
                other.on_join(signed)
            self._collected(self.collector.on_join(signed))
        return self

    def run(self, **how) -> "Cohort":
        """To the end: whoever is silent is waited for until the deadline of the step."""
        self.join(**how)
        while True:
            while self._queue:
                self._carry(*self._queue.popleft())
            step = self.collector.step
            if step in (sc.Step.DONE, sc.Step.ABANDONED):
                return self
            self._collected(self.collector.on_deadline(step))

    def told(self, peer: bytes, effects: list[sm.Effect]) -> None:
        """Carry out what a member's machine wants."""
        for effect in effects:
            match effect:
                case sm.Tell(to, message):
                    self._queue.append((peer, to, message))
                case sm.TellAll(message):
                    self._queue.append((peer, None, message))
                case sm.Keep(blob):
                    self.blobs[sha256(blob)] = blob
                case sm.Probe(owner, artefact, _):
                    blob = self.blobs[artefact]
                    fetched = owner not in self.unfetchable
                    if owner in getattr(self.members[peer], "checking", ()):
                        self.told(peer, self.members[peer].on_checked(owner, blob if fetched else None))
                    else:
                        alive = fetched and self.members[peer].is_vector_of(owner, blob)
                        self.told(peer, self.members[peer].on_probe(owner, alive=alive))
                case sm.Accuse():
                    self.accused.setdefault(peer, []).append(effect)
                case sm.Refuse():
                    self.refusals[peer] = effect
                    self._collected(self.collector.on_refusal(peer))
                case sm.Sign():
                    pass

    def _collected(self, effects: list[sc.Effect]) -> None:
        for effect in effects:
            match effect:
                case sm.Tell(to, message):
                    self._queue.append((self.plan.initiator, to, message))
                case sm.TellAll(message):
                    self._queue.append((self.plan.initiator, None, message))
                case sc.Fetch(owner, artefact, _):
                    if owner in self.unfetchable:
                        self._collected(self.collector.on_lost_vector(owner))
                    else:
                        self._collected(self.collector.on_vector(owner, self.blobs[artefact]))
                case sc.Blame():
                    self.blames.append(effect)
                case sc.Abandon(sentence):
                    self.abandoned = sentence
                case sc.Summed():
                    self.summed = effect

    def _carry(self, sender: bytes, to: bytes | None, message: SessionMessage) -> None:
        step = STEP_OF.get(type(message))
        if step and sender in self.vanish and ORDER.index(self.vanish[sender]) <= ORDER.index(step):
            self._collected(self.collector.on_down(sender))
            return
        for receiver in self.addresses if to is None else [to]:
            said = self.cheat(sender, receiver, message) if self.cheat else message
            if said is not None:
                arrived = WIRE.decode(msgspec.msgpack.encode(said))
                self.log.append((sender, receiver, arrived))
                self._arrive(sender, receiver, arrived)

    def _arrive(self, sender: bytes, receiver: bytes, message: SessionMessage) -> None:
        member = self.members[receiver]
        by_kind = {
            "RosterMessage": member.on_roster,
            "Frozen": member.on_frozen,
            "Survivors": member.on_survivors,
            "Certificate": member.on_certificate,
        }
        if self.plan.sketches:
            by_kind |= {"Seeded": member.on_seeded, "Screened": member.on_screened, "Cleared": member.on_cleared}
        if type(message).__name__ in by_kind:
            self.told(receiver, by_kind[type(message).__name__](message))
        if isinstance(message, Manifest):
            member.on_manifest(message.signed)
        if isinstance(message, Sketched):
            member.on_sketched(sender, message)
        if receiver == self.plan.initiator:
            on = {
                Dealt: self.collector.on_dealt,
                Ballot: self.collector.on_ballot,
                Revealed: self.collector.on_revealed,
                Manifest: lambda peer, m: self.collector.on_manifest(peer, m.signed),
                SeedShares: getattr(self.collector, "on_seed_shares", None),
                Sketched: getattr(self.collector, "on_sketched", None),
                Approval: getattr(self.collector, "on_approval", None),
            }.get(type(message))
            if on:
                self._collected(on(sender, message))

    # -- audited pairs ---------------------------------------------------------------------------------------------

    def lates(self) -> tuple[bytes, ...]:
        """What stands behind the survivors' randomness."""
        return tuple(self.members[m].late for m in self.proven.u3)

    def shown(self, peer: bytes) -> Shown:
        """The keys that an honest survivor shows."""
        member = self.members[peer]
        return shown_by(self.proven, peer, member.pair_roots, member.dealt, self.lates())

    # -- what became of it -----------------------------------------------------------------------------------------

    def said(self, kind: type, sender: int | None = None) -> list[SessionMessage]:
        """The messages of one type that arrived (of one sender), each once."""
        who = None if sender is None else self.addresses[sender]
        found = [m for s, _, m in self.log if isinstance(m, kind) and who in (None, s)]
        return list(dict.fromkeys(found))

    @property
    def transcript(self):
        return self.summed.transcript

    @property
    def proven(self):
        return judge_session(self.plan, self.transcript)

    def masked(self) -> dict[bytes, bytes]:
        """The survivors' masked vectors, as bytes."""
        return {
            p: self.blobs[m.statement.artefact] for p, m in zip(self.proven.u3, self.transcript.manifests, strict=True)
        }

    def plain_sum(self, peers) -> np.ndarray:
        return total_of([self.vectors[p] for p in peers], self.plan.ring)

    def plain_number(self, peer: bytes, g: np.ndarray) -> int:
        """< q , g > in plain integers, then its representative in the ring's signed range."""
        half = self.plan.ring.modulus // 2
        exact = sum(int(q) * int(x) for q, x in zip(self.vectors[peer], g, strict=True))
        return (exact + half) % self.plan.ring.modulus - half

    def openings(self, peer: bytes, g: np.ndarray) -> Openings:
        """What an honest survivor sends for this direction."""
        values = pair_numbers(self.members[peer].pair_keys, peer, g, self.proven)
        statement = Opening(self.plan.sid, sha256(g.tobytes()), values_digest(values), bytes(32))
        signer = next(a for a in self.people if a.address == peer)
        return Openings(self.plan.sid, sign(statement, signer, DOMAIN), values)
