"""Strategies beyond test_theorem: buckets, rosters smaller than the registry, messages twice and out of order."""

import random
from dataclasses import dataclass, replace

import msgspec
import pytest

from adversary import DIRECTIONS, LENGTH, Game, Seen, View
from cohort import DOMAIN, accounts, plan_of
from knowledge import PRIMES, functional, spans, total
from peerage_crypto import secagg_member as sm
from peerage_crypto.buckets import FLAT, Grouping, least_survivors, tolerated
from peerage_crypto.secagg_member import Member
from peerage_crypto.session import (
    Ballot,
    Certificate,
    Dealt,
    Frozen,
    Manifest,
    Revealed,
    Roster,
    RosterMessage,
    deliver,
)
from peerage_crypto.statements import MaskedUpdate, Vote, sign


class Wider(Game):
    """The same initiator over buckets, and with registered peers that do not join."""

    def __init__(self, count: int, friends: int, *, strangers: int = 0, grouping: Grouping = FLAT) -> None:
        self.people = {a.address: a for a in accounts(count)}
        self.addresses = sorted(self.people)
        self.plan = plan_of(accounts(count), length=LENGTH, strangers=strangers, grouping=grouping)
        self.friends, self.honest = self.addresses[:friends], self.addresses[friends:]
        self.rosters = [self._roster(variant) for variant in (0, 1)]

    def _forged(self, friend: bytes, view: View, u2_digest: bytes):
        roster, rand = self.rosters[view.roster], self.member(friend, view.roster).rand
        bucket = roster.bucket_of(friend)
        statement = MaskedUpdate(self.plan.sid, u2_digest, bucket, bytes(32), bytes(32), self.plan.vector_bytes, rand)
        return sign(statement, self.people[friend], DOMAIN)


def verdict(game: Wider, seen: Seen, views: dict[bytes, View]) -> str:
    """Why more is known than one sum for each bucket of one certificate and one number of each in them."""
    certified = {(views[h].roster, views[h].u2, u3) for h, u3 in seen.certified.items()}
    if len(certified) > 1:
        return "two survivor sets, or views, were certified"
    if len(set(seen.opened.values())) > 1:
        return "numbers left for two directions"
    groups: list[list[bytes]] = []
    for roster_at, _, u3 in certified:
        roster = game.rosters[roster_at]
        for bucket in roster.buckets:
            inside = [m for m in bucket if m in u3]
            honest = [m for m in inside if m in game.honest]
            if inside and len(roster.buckets) > 1 and len(inside) < least_survivors(len(bucket)):
                return f"a bucket of {len(bucket)} with {len(inside)} was unmasked"
            groups.append(honest)
        if sum(map(len, groups)) < len(roster.members) - roster.limits.losses - roster.limits.colluders:
            return "a smaller sum than promised"
    for prime in PRIMES:
        allowed = [row for group in groups for row in total(group, LENGTH)]
        for direction in set(seen.opened.values()):
            allowed += [functional(m, DIRECTIONS[direction]) for group in groups for m in group]
        if not spans(allowed, seen.knowledge.derivable(prime), prime):
            return f"more follows (mod {prime})"
    return ""


@dataclass
class Draw:
    """Random stories that an honest member might believe."""

    game: Wider
    random: random.Random

    def story(self, direction: int | None = None) -> View:
        game, draw = self.game, self.random
        at = draw.randrange(2)
        roster = game.rosters[at]
        losses = roster.limits.losses
        gone: set[bytes] = set()
        if len(roster.buckets) > 1 and draw.random() < 0.4:  # a whole bucket is void
            gone |= set(draw.choice(roster.buckets))
        else:
            for bucket in roster.buckets:
                most = tolerated(len(bucket)) if len(roster.buckets) > 1 else losses
                gone |= set(draw.sample(bucket, draw.randint(0, most)))
        gone = set(draw.sample(sorted(gone), min(len(gone), losses + draw.randint(0, 1))))
        late = {m for m in gone if draw.random() < 0.5}
        u2 = frozenset(game.addresses) - (gone - late)
        return View(at, u2, u2 - late, draw.randrange(2) if direction is None else direction)

    def views(self, stay: float) -> dict[bytes, View]:
        common = self.story()
        told = {}
        for h in self.game.honest:
            other = View(common.roster, common.u2, common.u3, self.random.randrange(2))
            told[h] = other if self.random.random() < stay else self.story()
        return told


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("game", "draws"),
    [
        (lambda: Wider(10, 2, grouping=Grouping(2)), 60),
        (lambda: Wider(15, 3, grouping=Grouping(3)), 25),
        (lambda: Wider(6, 2, strangers=2), 150),
    ],
    ids=["two buckets", "three buckets", "six of eight registered"],
)
def test_drawn_strategies_over_buckets_and_small_rosters_learn_no_more(game, draws):
    table, sums = game(), 0
    draw = Draw(table, random.Random(draws))
    for _ in range(draws):
        views = draw.views(draw.random.choice([1.0, 1.0, 0.9, 0.7]))
        seen = table.play(views)
        assert not verdict(table, seen, views), views
        sums += bool(seen.certified)
    assert sums > 3, "some of them end in a sum"


def test_a_bucket_full_of_friends_gives_its_one_honest_member_away():
    """What docs/round.md says of the worst draw, computed: c friends, and a sum of one."""
    game = Wider(20, 1, grouping=Grouping(4))
    bucket = next(b for b in game.rosters[0].buckets if game.plan.initiator not in b)
    *friends, victim = bucket
    game.friends = sorted([game.plan.initiator, *friends])
    game.honest = [a for a in game.addresses if a not in game.friends]
    assert len(game.friends) == game.rosters[0].limits.colluders
    everybody = frozenset(game.addresses)
    seen = game.play({h: View(0, everybody, everybody) for h in game.honest})

    assert spans(seen.knowledge.derivable(PRIMES[0]), total([victim], LENGTH), PRIMES[0])


def test_no_join_of_an_initiators_own_moves_anybody_into_another_bucket():
    """Were the draw to depend on the joins, the last to join would try until its friends surround a victim."""
    people = accounts(20)
    game = Wider(20, 5, grouping=Grouping(4))
    joins = list(game.rosters[0].joins)
    mine = game.rosters[0].members.index(game.plan.initiator)
    before = game.rosters[0].buckets

    for attempt in range(50):
        again = msgspec.structs.replace(joins[mine].statement, update=attempt.to_bytes(32, "big"))
        joins[mine] = sign(again, people[mine], DOMAIN)
        assert Roster.assemble(game.plan, tuple(joins)).buckets == before
    assert Roster.assemble(replace(game.plan, draw=b"1" * 32), tuple(joins)).buckets != before, "the round before draws"


# -- again, and out of order -------------------------------------------------------------------------------------------


def stories_for(game: Wider, h: bytes, view: View) -> list[object]:
    """Everything that one story sends to a member, up to the vote."""
    roster = game.rosters[view.roster]
    dealers = [m for m in roster.holders(h) if m in view.u2]
    deliveries = tuple(deliver(roster, game.dealt(m, view.roster), m, h) for m in dealers)
    return [RosterMessage(game.plan.sid, roster.joins), Frozen(game.plan.sid, roster.bitmap(view.u2), deliveries)]


def answer(member: Member, message: object) -> list[sm.Effect]:
    match message:
        case RosterMessage():
            return member.on_roster(message)
        case Frozen():
            return member.on_frozen(message)
        case Certificate():
            return member.on_certificate(message)
        case _:
            return member.on_survivors(message)


@pytest.mark.parametrize("seed", range(12))
def test_two_stories_shuffled_and_repeated_get_one_answer_to_each_step(seed):
    """Rosters, U2s, survivor sets and certificates of two stories, in any order and as often as the initiator likes."""
    game, draw = Wider(5, 1), random.Random(seed)
    everybody = frozenset(game.addresses)
    h = game.honest[0]
    gone = game.honest[-1]
    views = [View(0, everybody, everybody), View(0, everybody, everybody - {gone}), View(1, everybody, everybody)]
    others = {}
    for view in views:
        for peer in game.honest:
            other = game.member(peer)
            for message in stories_for(game, peer, view):
                for effect in answer(other, message):
                    if isinstance(effect, sm.TellAll):
                        others[peer, view.roster] = effect.message.signed
    survivors = []
    for view in views:
        manifests = {p: s for (p, at), s in others.items() if at == view.roster}
        member = game.member(h)
        for message in stories_for(game, h, view):
            answer(member, message)
        survivors.append(game._survivors(view, manifests, member))
    certificates = []
    for view, asked in zip(views, survivors, strict=True):
        roster = game.rosters[view.roster]
        digest = roster.survivors_digest(asked.u3, asked.manifests)
        votes = [sign(Vote(game.plan.sid, digest), game.people[a], DOMAIN) for a in game.addresses]  # all of them lie
        certificates.append(Certificate(game.plan.sid, asked.u3, digest, tuple(votes)))
    everything = [x for view in views for x in stories_for(game, h, view)] + survivors + certificates
    victim, said = game.member(h), {}
    for _ in range(4):
        draw.shuffle(everything)
        for message in everything:
            for effect in answer(victim, message):
                if isinstance(effect, sm.Tell | sm.TellAll):
                    said.setdefault(type(effect.message), set()).add(effect.message)
    assert all(len(messages) == 1 for messages in said.values()), "one answer to each step, the same each time"
    assert set(said) <= {Dealt, Manifest, Ballot, Revealed}
    if Revealed in said:
        voted = next(iter(said[Ballot])).signed.statement.survivors
        assert voted == victim.certificate.survivors
