"""Random pairs show the key of their mask, so that two peers cannot move score between them unseen (ADR 17).

Two peers who state the same wrong number of their common mask take from one what they give to the other, and their sum
stays right. So each member commits to the keys of all its pairs with its shares, before anybody knows g. Once the
numbers lie with the initiator, shared randomness that nobody knew before says which pairs are *audited*, and each end
of such a pair shows the key. A pair is *confirmed* when one end shows a key to which it had committed and which gives
the number that both state. Two honest ends are confirmed even if one of them is gone; two that lie are not: a wrong key
would have had to be committed to before g was known, and then its number is a coin toss.

What stays closed hides everybody: of n survivors who all share masks, the audited pairs are those outside of a Harary
graph of degree k >= c + 1 on a random order. That graph stays connected when any c members are taken out of it, which
is all that the proof asks of the graph of masks (docs/proof.md, step 10). Where numbers are along two directions, each
half has such a graph of its own, and c + 1 pairs without a common member stay closed between the halves.

An unconfirmed pair costs each of its ends what makes the attempt worth nothing: with q of such pairs closed for p that
are audited, a lie wins at most twice the median of the round in q of q + p rounds, and loses 2 q / p medians in the
others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np

from peerage_crypto.digest import merkle_proof, merkle_verify, tagged
from peerage_crypto.masking import inner_key
from peerage_crypto.secagg_member import RAND, mask_key
from peerage_crypto.session import Dealt, packet_leaves, pair_commitment, pairs_digest, share_commitment
from peerage_crypto.sharing import combine
from peerage_crypto.sketch_messages import SeedShare
from peerage_crypto.sketch_terms import late_commitment
from peerage_crypto.statements import Bytes20, Bytes32, ShareKeys, Signed
from peerage_crypto.thresholds import neighbours, opening_quorum

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from peerage_crypto.opening import Openings
    from peerage_crypto.secagg_judge import Proven
    from peerage_crypto.session import SessionTranscript

Pair = tuple[bytes, bytes]  # the lower address first


class Spoken(msgspec.Struct, frozen=True, tag="spoken"):
    """Initiator to all: these openings (`spoken_digest`), and no others, are the round's. Nobody knows the draw yet."""

    sid: Bytes32
    openings: Bytes32


class Late(msgspec.Struct, frozen=True, tag="late"):
    """Member to initiator, once the numbers are fixed: what stands behind its randomness, and its shares of others'."""

    sid: Bytes32
    late: Bytes32
    shares: tuple[SeedShare, ...]


class Drawn(msgspec.Struct, frozen=True, tag="drawn"):
    """Initiator to all: what stands behind the randomness of every survivor, in order."""

    sid: Bytes32
    lates: tuple[Bytes32, ...]


class Shown(msgspec.Struct, frozen=True, tag="shown"):
    """A member's word for its pairs, one entry for each partner in the roster: the key's root where the pair is
    audited, its commitment where not; under what the member signed with its shares.
    """

    sid: Bytes32
    signed: Signed[ShareKeys]
    proof: Annotated[tuple[Bytes32, ...], msgspec.Meta(max_length=8)]
    entries: tuple[Bytes32, ...]


class Unconfirmed(msgspec.Struct, frozen=True, array_like=True, order=True):
    """An audited pair whose number nobody has shown a key for."""

    a: Bytes20
    b: Bytes20


def closed_degree(colluders: int) -> int:
    """How many pairs of each survivor stay closed: c + 1, made even, and a ring at least."""
    return colluders + 1 + (colluders + 1) % 2


def auditable(proven: Proven) -> tuple[tuple[bytes, ...], ...]:
    """The groups of survivors in which pairs can be audited: all of a group share masks, and more than stay closed."""
    c, halves = proven.roster.limits.colluders, proven.halves
    if not proven.roster.plan.audited or (halves is not None and halves.too_small(c)):
        return ()
    groups = (g for g in proven.groups if len(g) > closed_degree(c) + 1)
    return tuple(g for g in groups if all(len(proven.partners(m)) == len(g) - 1 for m in g))


def audited_pairs(proven: Proven, lates: tuple[bytes, ...]) -> frozenset[Pair]:
    """The drawn pairs; `lates` of all survivors, in their order (checked by `lates_fault`)."""
    seed, c = tagged("peerage/pair-audit/v1", proven.roster.plan.sid, *lates), proven.roster.limits.colluders
    pairs, closed = set[Pair](), set[Pair]()
    for group in auditable(proven):
        pairs |= {(a, b) for a in group for b in group if a < b}
        order = sorted(group, key=lambda member: tagged("peerage/pair-order/v1", seed, member))
        parts = [[m for m in order if m in part] for part in _parts(proven, group)]
        for part in parts:
            closed |= _ring(part, closed_degree(c))
        if len(parts) == 2:
            closed |= {_pair(a, b) for a, b in zip(parts[0][: c + 1], parts[1], strict=False)}
    return frozenset(pairs - closed)


def _parts(proven: Proven, group: tuple[bytes, ...]) -> tuple[tuple[bytes, ...], ...]:
    """What must hold together by itself: the group, or each half of it where numbers are along two directions."""
    return proven.halves.members if proven.halves is not None else (group,)


def _ring(order: list[bytes], k: int) -> set[Pair]:
    """The pairs of H(k, m) over this order; all of them where there are no more."""
    k = min(k, len(order) - 1)
    return {_pair(member, order[i]) for at, member in enumerate(order) for i in neighbours(at, len(order), k)}


def odds(proven: Proven, a: bytes, b: bytes) -> tuple[int, int]:
    """Of pairs such as this one so many stay closed for each that are audited (counts)."""
    c, group = proven.roster.limits.colluders, next(g for g in proven.groups if a in g)
    parts = _parts(proven, group)
    part = next(p for p in parts if a in p)
    if b in part:
        closed = min(closed_degree(c), len(part) - 1)
        return closed, len(part) - 1 - closed
    return c + 1, len(parts[0]) * len(parts[1]) - c - 1


def spoken_digest(openings: Iterable[Openings]) -> bytes:
    """What fixes the numbers of a round before its pairs are drawn; openings in the order of their signers."""
    words = (one.signed.signature + one.signed.statement.values for one in openings)
    return tagged("peerage/spoken/v1", *words)


def enough(proven: Proven, shown: int) -> bool:
    """Whether so many survivors have shown their keys that silence says something: else the network is to blame.

    As many as must have pledged; two may always be silent, for two are enough to lie.
    """
    survivors = len(proven.u3)
    return shown >= min(opening_quorum(survivors, proven.roster.limits.colluders), survivors - 2)


def lates_fault(proven: Proven, lates: tuple[bytes, ...]) -> str:
    """Why these are not what the survivors' manifests commit to; empty when they are."""
    if len(lates) != len(proven.u3):
        return f"{len(lates)} random values where {len(proven.u3)} survived"
    put_in = dict(zip(proven.u2, proven.rands, strict=True))
    if any(late_commitment(late) != put_in[m] for m, late in zip(proven.u3, lates, strict=True)):
        return "the randomness of the audit is not what stands behind the manifests"
    return ""


# -- one member --------------------------------------------------------------------------------------------------------


def shown_by(proven: Proven, me: bytes, roots: Mapping[bytes, bytes], dealt: Dealt, lates: tuple[bytes, ...]) -> Shown:
    """What I show of my pairs; `dealt` is my own dealing, `roots` the roots of my pair keys by partner."""
    roster, drawn = proven.roster, audited_pairs(proven, lates)
    entries = tuple(
        roots[other] if _pair(me, other) in drawn else pair_commitment(roster.plan.sid, me, other, roots[other])
        for other in roster.partners(me)
    )
    leaves = packet_leaves(dealt.packets, dealt.pairs)
    return Shown(roster.plan.sid, dealt.signed, merkle_proof(leaves, len(leaves) - 1), entries)


# -- the initiator -----------------------------------------------------------------------------------------------------


@dataclass
class Lates:
    """Collects what stands behind the survivors' randomness, from themselves or from shares of it."""

    proven: Proven
    dealings: Mapping[bytes, Dealt]
    told: dict[bytes, bytes] = field(default_factory=dict)
    _shares: dict[bytes, dict[int, bytes]] = field(default_factory=dict)

    def on_late(self, sender: bytes, message: Late) -> str:
        """Take one member's word; returns what is wrong with it."""
        proven, roster = self.proven, self.proven.roster
        if sender not in proven.u3 or sender in self.told:
            return ""
        put_in = dict(zip(proven.u2, proven.rands, strict=True))
        if late_commitment(message.late) != put_in[sender]:
            return "what it says stands behind its randomness does not"
        self.told[sender] = message.late
        for one in message.shares:
            if not self._is_dealt(sender, one):
                return "a share that it gives was not dealt to it"
            self._shares.setdefault(one.owner, {})[roster.members.index(sender) + 1] = one.share
        return ""

    def _is_dealt(self, holder: bytes, one: SeedShare) -> bool:
        roster = self.proven.roster
        if one.owner not in self.dealings or one.owner not in roster.holders(holder):
            return False
        promised = self.dealings[one.owner].packets[roster.place(one.owner, holder)].commitments[RAND]
        return share_commitment(roster.plan.sid, one.owner, holder, RAND, one.share) == promised

    def all(self) -> tuple[bytes, ...] | None:
        """Every survivor's, in order; None while one is missing."""
        found = [self.told.get(m) or self._combined(m) for m in self.proven.u3]
        lates = tuple(late for late in found if late is not None)
        return lates if len(lates) == len(found) and not lates_fault(self.proven, lates) else None

    def _combined(self, owner: bytes) -> bytes | None:
        given, t = self._shares.get(owner, {}), self.proven.roster.limits.shares
        if len(given) < t:
            return None
        try:
            return combine(dict(sorted(given.items())[:t]))
        except ValueError:
            return None


# -- judging -----------------------------------------------------------------------------------------------------------


def shown_fault(proven: Proven, owner: bytes, shown: Shown) -> str:
    """Why this is not what a survivor committed to, for the pairs that were drawn; empty when it is.

    (Which entries are roots depends on the draw: a root in the place of a closed pair is no commitment of it.)
    """
    roster, s = proven.roster, shown.signed.statement
    if shown.sid != roster.plan.sid or s.sid != roster.plan.sid or s.roster != roster.digest:
        return "its keys are of another session"
    if len(shown.entries) != len(roster.partners(owner)) or not shown.signed.is_by(owner, roster.plan.domain):
        return "its keys are not signed by it for this roster"
    return ""


def is_committed(proven: Proven, owner: bytes, shown: Shown, drawn: frozenset[Pair]) -> bool:
    """Whether what a survivor shows is what it had signed with its shares."""
    roster, sid = proven.roster, proven.roster.plan.sid
    commitments = tuple(
        pair_commitment(sid, owner, other, entry) if _pair(owner, other) in drawn else entry
        for other, entry in zip(roster.partners(owner), shown.entries, strict=True)
    )
    at = len(roster.holders(owner))
    leaf = pairs_digest(sid, owner, commitments)
    return merkle_verify(shown.signed.statement.packets, leaf, at, at + 1, shown.proof)


def audit_fault(
    proven: Proven, lates: tuple[bytes, ...], shown: tuple[Shown, ...], unconfirmed: tuple[Unconfirmed, ...]
) -> str:
    """What is wrong with the audit in a transcript, as far as it shows without any number; empty when nothing is."""
    if not auditable(proven):
        return "pairs are audited where none can be" if lates or shown or unconfirmed else ""
    fault = lates_fault(proven, lates)
    if fault:
        return fault
    if not enough(proven, len(shown)):
        return f"{len(shown)} of {len(proven.u3)} survivors have shown their keys: too few to charge anybody"
    drawn, owners = audited_pairs(proven, lates), owners_of(proven, shown)
    if owners is None or list(owners) != sorted(owners):
        return "the keys of audited pairs are not sorted by distinct survivors"
    for owner, one in owners.items():
        fault = shown_fault(proven, owner, one)
        if fault:
            return fault
        if not is_committed(proven, owner, one, drawn):
            return "a key of an audited pair is not the one that its owner had committed to"
    named = [(pair.a, pair.b) for pair in unconfirmed]
    if named != sorted(set(named)) or not drawn.issuperset(named):
        return "the unconfirmed pairs are not among those that were drawn"
    if any(a not in owners and b not in owners and (a, b) not in named for a, b in drawn):
        return "a pair of which nobody has shown the key is not called unconfirmed"
    return ""


def owners_of(proven: Proven, shown: tuple[Shown, ...]) -> dict[bytes, Shown] | None:
    """By whom each was signed; None when that is nobody, nobody who survived, or one peer twice."""
    found: dict[bytes, Shown] = {}
    for one in shown:
        try:
            owner = one.signed.signer(proven.roster.plan.domain)
        except ValueError:
            return None
        if owner in found or owner not in proven.u3:
            return None
        found[owner] = one
    return found


def unconfirmed_pairs(
    proven: Proven,
    transcript: SessionTranscript,
    lates: tuple[bytes, ...],
    shown: Mapping[bytes, Shown],
    agreed: Mapping[Pair, Mapping[int, int]],
    g: NDArray[np.unsignedinteger],
) -> tuple[Unconfirmed, ...]:
    """The audited pairs for whose agreed numbers neither end shows a key.

    Of a pair without agreed numbers any key will do: neither of its ends has a number in this round.
    """
    roster, ring, rows = proven.roster, proven.roster.plan.ring, np.atleast_2d(g)
    u2_digest = roster.u2_digest(transcript.u2)

    def gives(end: bytes, a: bytes, b: bytes, numbers: Mapping[int, int]) -> bool:
        if end not in shown:
            return False
        root = shown[end].entries[roster.partners(end).index(b if end == a else a)]
        key = mask_key(root, u2_digest, a, b, ring.bits)
        return all(inner_key(key, rows[k], ring) == number for k, number in numbers.items())

    def confirmed(a: bytes, b: bytes) -> bool:
        if (a, b) not in agreed:
            return a in shown or b in shown
        return any(gives(end, a, b, agreed[a, b]) for end in (a, b))

    return tuple(Unconfirmed(a, b) for a, b in sorted(audited_pairs(proven, lates)) if not confirmed(a, b))


def charged(
    proven: Proven, numbers: Mapping[bytes, int | None], unconfirmed: tuple[Unconfirmed, ...]
) -> dict[bytes, int | None]:
    """The numbers that count: each end of an unconfirmed pair has at most minus 2 q / p medians of the positive ones.

    Integers; rounded away from zero; never outside the ring. A number that stayed closed stays closed.
    """
    if not unconfirmed:
        return dict(numbers)
    half, counted = proven.roster.plan.ring.modulus // 2, dict(numbers)
    for pair in unconfirmed:
        owed = charge(numbers.values(), *odds(proven, pair.a, pair.b))
        for end in (pair.a, pair.b):
            number = counted[end]
            counted[end] = None if number is None else max(min(number, -owed), -half)
    return counted


def charge(numbers: Iterable[int | None], closed: int, audited: int) -> int:
    """2 q / p medians of the positive numbers, where q of such pairs stay closed for p that are audited; rounded up."""
    positive = sorted(n for n in numbers if n is not None and n > 0)
    median = positive[(len(positive) - 1) // 2] if positive else 0
    return -(-2 * closed * median // audited)


def _pair(a: bytes, b: bytes) -> Pair:
    return (a, b) if a < b else (b, a)
