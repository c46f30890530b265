"""The strongest initiator that a session allows: it shows each honest member what it likes, and has friends.

Real members with real keys answer it; it controls the network, so nothing gossips past it. `play` follows one strategy
to the end and returns what initiator and colluders know then. A strategy gives each honest member a `View`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import msgspec
import numpy as np

from cohort import DOMAIN, accounts, plan_of
from knowledge import Knowledge
from peerage_crypto import secagg_member as sm
from peerage_crypto.agreement import BadKey
from peerage_crypto.digest import sha256
from peerage_crypto.opening import Gate, Openings, values_digest
from peerage_crypto.secagg_collector import opens_commitment
from peerage_crypto.secagg_judge import Proven
from peerage_crypto.secagg_member import MASK_KEY, SELF_SEED, Member, pair_key, self_key
from peerage_crypto.session import (
    Certificate,
    Frozen,
    Roster,
    RosterMessage,
    Survivors,
    deliver,
)
from peerage_crypto.sharing import combine
from peerage_crypto.statements import MaskedUpdate, Opening, Vote, sign

LENGTH = 3
DIRECTIONS = (np.array([1, 2, 5], np.uint32), np.array([7, 1, 3], np.uint32))


@dataclass(frozen=True)
class View:
    """What one honest member is shown: which roster (a variant of the initiator's own join), U2, U3, and directions."""

    roster: int
    u2: frozenset[bytes]
    u3: frozenset[bytes]
    direction: int = 0


@dataclass
class Seen:
    """What came of a strategy."""

    knowledge: Knowledge
    certified: dict[bytes, tuple[bytes, ...]] = field(default_factory=dict)  # honest member -> the U3 it revealed for
    opened: dict[bytes, int] = field(default_factory=dict)  # honest member -> the direction its numbers left for
    refused: dict[bytes, str] = field(default_factory=dict)


class Game:
    """One cohort: the first `friends` by address collude, the very first is the initiator."""

    def __init__(self, count: int, friends: int) -> None:
        self.people = {a.address: a for a in accounts(count)}
        self.addresses = sorted(self.people)
        self.plan = plan_of(accounts(count), length=LENGTH)
        self.friends, self.honest = self.addresses[:friends], self.addresses[friends:]
        self.rosters = [self._roster(variant) for variant in (0, 1)]

    def member(self, peer: bytes, variant: int = 0) -> Member:
        salt = bytes([variant]) if peer == self.plan.initiator else b""
        vector = np.frombuffer(sha256(b"q", peer)[: 4 * LENGTH], np.uint32)
        return Member(self.plan, peer, self.people[peer].sign, sha256(b"root", peer, salt), vector)

    def _roster(self, variant: int) -> Roster:
        joins = tuple(
            self.member(a, variant).join(version=1, update=sha256(a), data_manifest=bytes(32), code_manifest=bytes(32))
            for a in self.addresses
        )
        return Roster.assemble(self.plan, joins)

    @lru_cache(maxsize=256)  # noqa: B019 - a game lives as long as its tests
    def dealt(self, peer: bytes, variant: int) -> sm.Tell:
        effects = self.member(peer, variant).on_roster(RosterMessage(self.plan.sid, self.rosters[variant].joins))
        return next(e.message for e in effects if isinstance(e, sm.Tell))

    def friend_shares(self, variant: int) -> dict[bytes, list[tuple[bytes, tuple[bytes, bytes, bytes]]]]:
        """Of each honest dealer what the colluders hold: (holder, shares). They open their packets with their keys."""
        roster, held = self.rosters[variant], {}
        for friend in self.friends:
            me = self.member(friend, variant)
            for dealer in self.honest:
                delivery = deliver(roster, self.dealt(dealer, variant), dealer, friend)
                shares = me._unsealed(roster, dealer, delivery.packet)
                held.setdefault(dealer, []).append((friend, shares))
        return held

    # -- one strategy --------------------------------------------------------------------------------------------------

    def play(self, views: dict[bytes, View]) -> Seen:
        members = {h: self.member(h) for h in self.honest}
        seen = Seen(Knowledge(LENGTH, ()))
        manifests: dict[bytes, object] = {}
        for h, view in views.items():
            roster = self.rosters[view.roster]
            self._take(seen, h, members[h].on_roster(RosterMessage(self.plan.sid, roster.joins)))
            dealers = [m for m in roster.holders(h) if m in view.u2]
            variant = {m: views[m].roster if m in views else view.roster for m in dealers}  # what they really dealt for
            deliveries = tuple(deliver(self.rosters[variant[m]], self.dealt(m, variant[m]), m, h) for m in dealers)
            frozen = Frozen(self.plan.sid, roster.bitmap(view.u2), deliveries)
            for effect in self._take(seen, h, members[h].on_frozen(frozen)):
                if isinstance(effect, sm.TellAll):
                    manifests[h] = effect.message.signed
        votes: dict[bytes, dict[bytes, object]] = {}
        asked: dict[bytes, Survivors] = {}
        for h, view in views.items():
            survivors = self._survivors(view, manifests, members[h])
            if survivors is None:
                continue
            for effect in self._take(seen, h, members[h].on_survivors(survivors)):
                if isinstance(effect, sm.Tell):
                    votes.setdefault(effect.message.signed.statement.survivors, {})[h] = effect.message.signed
                    asked[h] = survivors
        shares = self._friends_hold(views)
        for h, survivors in asked.items():
            roster = self.rosters[views[h].roster]
            digest = roster.survivors_digest(survivors.u3, survivors.manifests)
            friends = {a: sign(Vote(self.plan.sid, digest), self.people[a], DOMAIN) for a in self.friends}
            given = tuple(v for _, v in sorted((votes[digest] | friends).items()))
            certificate = Certificate(self.plan.sid, survivors.u3, digest, given)
            for effect in self._take(seen, h, members[h].on_certificate(certificate)):
                if isinstance(effect, sm.Tell):
                    seen.certified[h] = roster.select(survivors.u3)
                    for share in effect.message.shares:
                        for kind, value in ((SELF_SEED, share.self_seed), (MASK_KEY, share.mask_key)):
                            if value is not None:
                                shares.setdefault((share.owner, views[h].roster, kind), {})[h] = value
        self._know(seen, views, members, shares)
        return seen

    def _take(self, seen: Seen, peer: bytes, effects: list) -> list:
        for effect in effects:
            if isinstance(effect, sm.Refuse):
                seen.refused[peer] = effect.sentence
        return effects

    def _survivors(self, view: View, manifests: dict, member: Member) -> Survivors | None:
        """The survivor set with its manifests: real ones of the honest, any that fit of the colluders."""
        roster = self.rosters[view.roster]
        if member.stage is not sm.Stage.MASKED:
            return None
        told = []
        for peer in roster.select(roster.bitmap(view.u3)):
            if peer in self.friends:
                told.append(self._forged(peer, view, roster.u2_digest(roster.bitmap(view.u2))))
            elif peer in manifests:
                told.append(manifests[peer])
            else:
                return None
        return Survivors(self.plan.sid, roster.bitmap(view.u3), tuple(told))

    def _forged(self, friend: bytes, view: View, u2_digest: bytes):
        rand = self.member(friend, view.roster).rand
        statement = MaskedUpdate(self.plan.sid, u2_digest, 0, bytes(32), bytes(32), self.plan.vector_bytes, rand)
        return sign(statement, self.people[friend], DOMAIN)

    def _friends_hold(self, views: dict[bytes, View]) -> dict[tuple[bytes, int, int], dict[bytes, bytes]]:
        shares: dict[tuple[bytes, int, int], dict[bytes, bytes]] = {}
        for variant in (0, 1):
            for dealer, held in self.friend_shares(variant).items():
                if views[dealer].roster == variant:  # it deals for the one roster that it accepts
                    for holder, of in held:
                        for kind in (SELF_SEED, MASK_KEY):
                            shares.setdefault((dealer, variant, kind), {})[holder] = of[kind]
        return shares

    # -- what follows --------------------------------------------------------------------------------------------------

    def _know(self, seen: Seen, views: dict[bytes, View], members: dict[bytes, Member], shares: dict) -> None:
        known = self._keys(views, members, shares)
        seen.knowledge.known |= known
        for h, member in members.items():
            if member.u2:
                digest = self._u2_digest(views[h])
                signs = {self_key(member.self_seed, digest, h, 32): 1}
                signs |= {key: 1 if other > h else -1 for other, key in member.pair_keys.items()}
                seen.knowledge.masked(h, signs)
        for h, direction in self._let_go(seen, views, members).items():
            seen.opened[h] = direction
            for other in seen.certified[h]:
                if other in members[h].pair_keys:
                    seen.knowledge.pair_number(members[h].pair_keys[other], DIRECTIONS[direction])

    def _u2_digest(self, view: View) -> bytes:
        roster = self.rosters[view.roster]
        return roster.u2_digest(roster.bitmap(view.u2))

    def _keys(self, views: dict[bytes, View], members: dict[bytes, Member], shares: dict) -> set[bytes]:
        """Every mask key that initiator and friends can derive: with their own secrets, and with reconstructed ones."""
        contexts = {(v.roster, v.u2) for v in views.values()}
        known: set[bytes] = set()
        for roster_at, u2 in contexts:
            roster = self.rosters[roster_at]
            digest = roster.u2_digest(roster.bitmap(u2))
            secrets = {a: self.member(a, roster_at).mask for a in self.friends}
            for owner in self.honest:
                for variant in (0, 1):
                    for kind in (SELF_SEED, MASK_KEY):
                        secret = self._reconstructed(owner, variant, kind, shares)
                        if secret is None:
                            continue
                        if kind == SELF_SEED:
                            known.add(self_key(secret, digest, owner, 32))
                        else:
                            secrets[owner] = secret
            for owner, secret in secrets.items():
                for other in self.honest:
                    if other != owner:
                        try:
                            key = pair_key(secret, roster.join_of(other).mask_key, digest, owner, other, 32)
                        except BadKey:
                            continue
                        known.add(key)
        return known

    def _reconstructed(self, owner: bytes, variant: int, kind: int, shares: dict) -> bytes | None:
        roster, held = self.rosters[variant], shares.get((owner, variant, kind), {})
        if len(held) < roster.limits.shares:
            return None
        points = {roster.members.index(h) + 1: v for h, v in sorted(held.items())[: roster.limits.shares]}
        secret = combine(points)
        return secret if opens_commitment(roster, owner, kind, secret) else None

    def _let_go(self, seen: Seen, views: dict[bytes, View], members: dict[bytes, Member]) -> dict[bytes, int]:
        """Whose pair numbers leave, for which direction: real gates, and friends that pledge every direction."""
        gates, mine = {}, {}
        for h, u3 in seen.certified.items():
            view, roster = views[h], self.rosters[views[h].roster]
            proven = Proven(roster, tuple(sorted(view.u2)), u3, tuple(bytes(32) for _ in view.u2))
            direction = sha256(DIRECTIONS[view.direction].tobytes())
            if members[h].may_open(direction, is_mine=True):
                continue
            values = tuple(0 for _ in proven.partners(h))
            signed = sign(Opening(self.plan.sid, direction, values_digest(values), bytes(32)), self.people[h], DOMAIN)
            gates[h], mine[h] = Gate(proven), Openings(self.plan.sid, signed, values)
        out: dict[bytes, int] = {}
        for h, gate in gates.items():
            left = [gate.pledge(mine[h])]
            left += [gate.on_pledge(mine[other].signed) for other in mine if other != h]
            for friend in self.friends:
                pledge = msgspec.structs.replace(mine[h].signed.statement, values=bytes(32))
                left.append(gate.on_pledge(sign(pledge, self.people[friend], DOMAIN)))
            if any(left):
                out[h] = views[h].direction
        return out
