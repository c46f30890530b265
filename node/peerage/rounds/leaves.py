"""A sum that is too large to be added up again by everybody: each member adds up random leaves of it before it signs.

A member draws `masking.leaves` leaves of 1 KiB with secret randomness, and only once the initiator has signed the root
of the sum: the initiator cannot know which leaves must be right, nor change the sum afterwards. It asks each survivor
for its own leaf with the path to the root in that survivor's signed manifest, takes the masks off the sum of those
leaves, and compares with the sum that it fetched. All agree: it acknowledges. One does not: it acknowledges nothing,
keeps the evidence (`leaf_check`, an artefact named in its journal), and names who signed the wrong sum.

Liveness. What is asked is an artefact's leaves, and whoever has the artefact may answer, because the root is signed:
a lost message is asked for again at a third of a step; a survivor that is gone is replaced by the initiator, which had
to fetch every vector, and by whoever told of the result. The questions are in turn put to the owner and to those two.
Without the initiator's signature nothing is asked: its own acknowledgement is asked for first. When the initiator and a
survivor are both gone nothing can be checked, hence nothing signed; after some rounds of questions the member waits to
be told again, the session stalls and is left as any other, and nobody's training is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from peerage import messages as m
from peerage.effects import FetchArtefact, Send, SetTimer, Store
from peerage_crypto.digest import merkle_verify, sha256
from peerage_crypto.leaf_check import (
    Piece,
    encode,
    evidence_of,
    is_led,
    judge_leaf,
    leaf_of,
    leaves_of,
    pieces_of,
    right_leaf,
)
from peerage_crypto.secagg_judge import Fault
from peerage_crypto.statements import ResultAck

if TYPE_CHECKING:
    from peerage.rounds.results import Outcome
    from peerage.rounds.round_state import RoundState
    from peerage.rounds.scoring_step import Candidate
    from peerage_crypto.secagg_judge import Proven
    from peerage_crypto.session import SessionTranscript
    from peerage_crypto.statements import Signed

ASKS = 12  # times that one leaf check asks again before it waits to be told of the result again
WAITING = 64  # questions of others that one artefact may have while it is read from the disk


@dataclass(frozen=True, slots=True)
class Source:
    """A signed vector of which leaves are needed."""

    owner: bytes
    artefact: bytes
    leader: bytes  # of its bucket, who may hold it too; the owner where there is none
    root: bytes
    group: int


@dataclass
class LeafCheck:
    """One result's check. `drawn` are (group, leaf); `sources` are by owner, because two may have signed one vector;
    `found` is what has arrived, by owner and leaf.
    """

    proven: Proven
    session: SessionTranscript
    total: bytes
    claim: Signed[ResultAck]
    teller: bytes
    drawn: tuple[tuple[int, int], ...]
    sources: dict[bytes, Source]
    found: dict[bytes, dict[int, Piece]] = field(default_factory=dict)

    def owners(self, artefact: bytes) -> list[bytes]:
        """Who signed this vector."""
        return [owner for owner, source in self.sources.items() if source.artefact == artefact]

    def wanted(self, owner: bytes) -> tuple[int, ...]:
        """Which leaves of this owner's vector are still missing."""
        group, here = self.sources[owner].group, self.found.get(owner, {})
        return tuple(leaf for at, leaf in self.drawn if at == group and leaf not in here)


def draw_leaves(secret: bytes, count: int, groups: int, leaves: int) -> tuple[tuple[int, int], ...]:
    """`count` different leaves (or all) of `groups` sums of `leaves` leaves each; uniform for who knows no secret."""
    pool, drawn = groups * leaves, dict[int, int]()
    picked: list[int] = []
    for at in range(min(count, pool)):  # Fisher and Yates, holding only what was moved
        other = at + int.from_bytes(sha256(secret, at.to_bytes(4, "little")), "little") % (pool - at)
        picked.append(drawn.get(other, other))
        drawn[other] = drawn.get(at, at)
    return tuple(sorted(divmod(index, leaves) for index in picked))


def begin(s: RoundState, candidate: Candidate, total: bytes, teller: bytes) -> LeafCheck | None:
    """Draw and ask, once the initiator has signed exactly this sum; None: its signature is awaited."""
    proven, session = candidate.proven, candidate.session
    plan = proven.roster.plan
    claim = s.acks.get(plan.sid, {}).get(plan.initiator)
    s.out.append(SetTimer(f"leaves:{plan.sid.hex()}", s.rules.step_seconds / 3))
    if claim is None or claim.statement != ResultAck(plan.sid, candidate.sum_root, candidate.aggregate):
        return None
    drawn = draw_leaves(s.draw(), s.rules.leaves, len(proven.groups), leaves_of(plan.vector_bytes))
    check = LeafCheck(proven, session, total, claim, teller, drawn, _sources(proven, session))
    ask(s, check, 0)
    return check


def _sources(proven: Proven, session: SessionTranscript) -> dict[bytes, Source]:
    roster = proven.roster
    group_of = {member: at for at, group in enumerate(proven.groups) for member in group}
    found: dict[bytes, Source] = {}
    for member, signed in zip(proven.u3, session.manifests, strict=True):
        s, leader = signed.statement, roster.leader_of(roster.bucket_of(member))
        found[member] = Source(member, s.artefact, leader or member, s.masked_root, group_of[member])
    return found


def ask(s: RoundState, check: LeafCheck, turn: int) -> None:
    """Ask for what is missing: its owner first, then in turn the initiator, a leader and whoever told of the result."""
    for owner, source in check.sources.items():
        wanted, artefact = check.wanted(owner), source.artefact
        if not wanted:
            continue
        holders = (source.owner, check.proven.roster.plan.initiator, source.leader, check.teller)
        holder = s.me if source.owner == s.me else holders[turn % len(holders)]
        if holder == s.me:
            s.out.append(FetchArtefact(s.me, artefact, s.vector_bytes))
        else:
            s.out.append(Send(holder, m.LeavesAsked(artefact, wanted)))


def on_timer(s: RoundState, result: m.Result, outcome: Outcome) -> None:
    """A third of a step is over: ask again, for leaves or for the initiator's signature."""
    if outcome.asked >= ASKS or outcome.candidate is None:
        return
    outcome.asked += 1
    if outcome.leaves is None:
        s.out.append(Send(outcome.candidate.proven.roster.plan.initiator, result))
    elif verdict_pending(outcome.leaves):
        ask(s, outcome.leaves, outcome.asked)
    else:
        return
    s.out.append(SetTimer(f"leaves:{result.sid.hex()}", s.rules.step_seconds / 3))


def verdict_pending(check: LeafCheck) -> bool:
    """Whether leaves are still missing."""
    return any(check.wanted(owner) for owner in check.sources)


def on_asked(s: RoundState, sender: bytes, message: m.LeavesAsked) -> None:
    """Somebody wants leaves of an artefact that I may hold: read it, then answer."""
    waiting = s.leaf_questions.setdefault(message.artefact, {})
    if len(waiting) < WAITING:
        waiting[sender] = message.leaves
        s.out.append(FetchArtefact(s.me, message.artefact, s.vector_bytes))


def on_fetched(s: RoundState, artefact: bytes, blob: bytes) -> bool:
    """An artefact was read: answer those who asked for leaves of it; True when I was one of them."""
    mine = False
    for sender, leaves in s.leaf_questions.pop(artefact, {}).items():
        pieces = _pieces(blob, leaves)
        if pieces:
            s.out.append(Send(sender, m.LeavesTold(artefact, leaves, pieces)))
    for outcome in s.outcomes.values():
        check = outcome.leaves
        if check is None:
            continue
        for owner in check.owners(artefact):
            wanted = check.wanted(owner)
            pieces = _pieces(blob, wanted)
            mine |= bool(pieces) and _take(check, owner, wanted, pieces)
    return mine


def on_unfetched(s: RoundState, artefact: bytes) -> None:
    """I do not have it: who asked will ask somebody else."""
    s.leaf_questions.pop(artefact, None)


def _pieces(blob: bytes, leaves: tuple[int, ...]) -> tuple[Piece, ...]:
    if not all(leaf < leaves_of(len(blob)) for leaf in leaves):
        return ()  # whoever asks so wants something else than this
    return pieces_of(blob, leaves)


def on_told(s: RoundState, sender: bytes, message: m.LeavesTold) -> None:
    """Leaves with their paths; a wrong one is no answer, and its sender's fault."""
    for outcome in s.outcomes.values():
        check = outcome.leaves
        owners = check.owners(message.artefact) if check else []
        if not check or not owners or len(message.leaves) != len(message.pieces):
            continue
        right = [_take(check, owner, message.leaves, message.pieces) for owner in owners]  # each takes its own
        if not any(right):
            s.fault(sender, "it sent a leaf that does not stand under the root that its owner signed")


def _take(check: LeafCheck, owner: bytes, leaves: tuple[int, ...], pieces: tuple[Piece, ...]) -> bool:
    count = leaves_of(check.proven.roster.plan.vector_bytes)
    root, here, wanted = check.sources[owner].root, check.found.setdefault(owner, {}), check.wanted(owner)
    good = True
    for leaf, piece in zip(leaves, pieces, strict=True):
        if not merkle_verify(root, piece.leaf, leaf, count, piece.path):
            good = False
        elif leaf in wanted:
            here[leaf] = piece
    return good


def verdict(s: RoundState, check: LeafCheck) -> Fault | bool:
    """True: every drawn leaf is right; False: leaves are missing yet; a Fault with its evidence stored."""
    if verdict_pending(check):
        return False
    size, session = check.proven.roster.plan.vector_bytes, check.session
    for group, leaf in check.drawn:
        pieces = {member: check.found[member][leaf] for member in check.proven.groups[group]}
        right = right_leaf(check.proven, session, group, leaf, [p.leaf for p in pieces.values()])
        if right == leaf_of(check.total, size, group, leaf):
            continue
        return _convict(s, check, group, leaf, pieces)
    return True


def _convict(s: RoundState, check: LeafCheck, group: int, leaf: int, pieces: dict[bytes, Piece]) -> Fault:
    plan = check.proven.roster.plan
    if is_led(check.proven, check.session, group):
        return Fault("leaf-led", None, f"leaf {leaf} of the sum is wrong: its bucket's leader or the initiator")
    evidence = evidence_of(check.proven, check.session, check.claim, group, leaf, check.total, pieces)
    fault = judge_leaf(plan, evidence)
    if fault is None:
        raise AssertionError("a leaf that differs is found right")
    blob = encode(evidence)
    s.out.append(Store(blob))
    culprit = "0x" + (fault.culprit or b"").hex()
    s.journal("leaf-evidence", sid=plan.sid.hex(), artefact=sha256(blob).hex(), culprit=culprit)
    return fault
