"""What an initiator and its friends can compute, over every strategy at small sizes and drawn ones at larger sizes.

docs/proof.md states the theorem; this is its test. Real members answer, `knowledge` solves for what follows.
"""

import os
import random
from itertools import chain, combinations, product

import pytest

from adversary import DIRECTIONS, LENGTH, Game, Seen, View
from cohort import Cohort
from knowledge import PRIMES, Knowledge, functional, spans, total
from peerage_crypto import opening, pair_audit, secagg_member, thresholds
from peerage_crypto.buckets import Grouping
from peerage_crypto.crossfit import gradient_key
from peerage_crypto.pair_audit import audited_pairs
from peerage_crypto.secagg_collector import Step
from peerage_crypto.secagg_member import pair_key, self_key
from peerage_crypto.thresholds import thresholds as limits_of

LONG = bool(os.environ.get("PEERAGE_LONG"))


def subsets(peers, most_missing: int, *, must: bytes) -> list[frozenset[bytes]]:
    """All of them less at most so many, with `must` in."""
    whole = frozenset(peers)
    missing = chain.from_iterable(combinations(sorted(whole - {must}), k) for k in range(most_missing + 1))
    return [whole - set(gone) for gone in missing]


def views_of(game: Game, member: bytes, directions: int = 1) -> list[View]:
    """Everything that a member could be shown without refusing at once."""
    lost = limits_of(len(game.addresses), len(game.addresses)).losses
    return [
        View(variant, u2, u3, direction)
        for variant in (0, 1)
        for u2 in subsets(game.addresses, lost, must=member)
        for u3 in subsets(u2, lost - (len(game.addresses) - len(u2)), must=member)
        for direction in range(directions)
    ]


def floor_of(game: Game) -> int:
    """n - D - c, with the initiator and its friends in the place of c where they are more (among three peers)."""
    limits = limits_of(len(game.addresses), len(game.addresses))
    return limits.roster - limits.losses - max(limits.colluders, len(game.friends))


def verdict(game: Game, seen: Seen) -> str:
    """Why the theorem does not hold for what was seen; empty when it does."""
    certified = set(seen.certified.values())
    if len(certified) > 1:
        return "two survivor sets were certified"
    directions = set(seen.opened.values())
    if len(directions) > 1:
        return "numbers left for two directions"
    inside = [m for m in next(iter(certified), ()) if m in game.honest]
    if certified and len(inside) < floor_of(game):
        return f"a sum of {len(inside)} honest updates"
    for prime in PRIMES:
        allowed = total(inside, LENGTH) if certified else []
        for direction in directions:
            allowed += [functional(m, DIRECTIONS[direction]) for m in inside]
        if not spans(allowed, seen.knowledge.derivable(prime), prime):
            return f"more than the sum and one number of each follows (mod {prime})"
    return ""


def strategies(game: Game, directions: int = 1):
    """Every way to show each honest member something, up to renaming the honest."""
    per_member = [views_of(game, h, directions) for h in game.honest]
    for choice in product(*per_member):
        yield dict(zip(game.honest, choice, strict=True))


# -- the theorem -------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(8))
def test_no_strategy_against_three_honest_of_four_learns_more_than_the_theorem_says(part):
    game, seen_sums = Game(4, 1), 0
    for number, views in enumerate(strategies(game)):
        if number % 8 != part:
            continue
        seen = game.play(views)
        assert not verdict(game, seen), views
        seen_sums += bool(seen.certified)
    assert part or seen_sums, "the honest strategy is among them"


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("count", "friends", "draws"), [(3, 1, 150), (5, 1, 400), (8, 2, 120)])
def test_drawn_strategies_learn_no_more_either(count, friends, draws):
    """Among three nobody is assumed to collude; against a bad initiator the other two still hide in their sum."""
    game, draw, sums = Game(count, friends), random.Random(count), 0
    everything = {h: views_of(game, h, 2) for h in game.honest}
    for _ in range(draws * (50 if LONG else 1)):
        common = draw.choice(everything[game.honest[0]])
        views = {}
        for h in game.honest:
            fits = [v for v in everything[h] if (v.roster, v.u2, v.u3) == (common.roster, common.u2, common.u3)]
            stay = fits and draw.random() < 0.85  # mostly one story, or nothing is ever certified
            views[h] = draw.choice(fits) if stay else draw.choice(everything[h])
        seen = game.play(views)
        assert not verdict(game, seen), views
        sums += bool(seen.certified)
    assert sums, "some of them end in a sum"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", [4, 5])
def test_whatever_directions_are_shown_at_most_one_is_opened(count):
    """One honest story up to the certificate, then every choice of directions."""
    game, opened = Game(count, 1), set()
    everybody = frozenset(game.addresses)
    for directions in product((0, 1), repeat=len(game.honest)):
        views = {h: View(0, everybody, everybody, d) for h, d in zip(game.honest, directions, strict=True)}
        seen = game.play(views)
        assert not verdict(game, seen), directions
        assert set(seen.certified) == set(game.honest)
        opened |= set(seen.opened.values())
    assert opened == {0, 1}


def test_an_honest_round_gives_exactly_the_sum_and_one_number_of_each():
    """The bound is reached: nothing is hidden that the theorem says is revealed."""
    game = Game(5, 1)
    everybody = frozenset(game.addresses)
    seen = game.play({h: View(0, everybody, everybody, 1) for h in game.honest})
    basis = seen.knowledge.derivable(PRIMES[0])

    assert spans(basis, total(game.honest, LENGTH), PRIMES[0])
    assert all(spans(basis, [functional(h, DIRECTIONS[1])], PRIMES[0]) for h in game.honest)
    assert len(basis) == LENGTH + len(game.honest) - 1  # the numbers add up to that of the sum


# -- what a finished session leaves public, by its graph ---------------------------------------------------------------


def audited_keys(told: Cohort) -> set[bytes]:
    """The mask keys of the pairs that were drawn: everybody has them."""
    if not told.plan.audited:
        return set()
    return {told.members[a].pair_keys[b] for a, b in audited_pairs(told.proven, told.lates())}


def observed(told: Cohort, friends: set[bytes]) -> Knowledge:
    """All masked vectors, all revealed secrets, and everything that the friends hold."""
    t, roster, proven = told.transcript, told.proven.roster, told.proven
    digest, bits = roster.u2_digest(t.u2), roster.plan.ring.bits
    known = {self_key(seed, digest, m, bits) for m, seed in zip(proven.u3, t.self_seeds, strict=True)}
    known |= {key for f in friends for key in told.members[f].pair_keys.values()} | audited_keys(told)
    for gone, secret in zip(proven.dropped, t.mask_secrets, strict=True):
        known |= {pair_key(secret, roster.join_of(m).mask_key, digest, gone, m, bits) for m in roster.partners(gone)}
    knowledge = Knowledge(1, known)
    for m in proven.u2:
        if m not in friends:
            member = told.members[m]
            signs = {self_key(member.self_seed, digest, m, bits): 1}
            signs |= {key: 1 if other > m else -1 for other, key in member.pair_keys.items()}
            knowledge.masked(m, signs)
    return knowledge


def only_sums_of(told: Cohort, friends: set[bytes]) -> None:
    """Exactly one sum for each bucket follows, over its honest survivors."""
    groups = [[m for m in group if m not in friends] for group in told.proven.groups]
    wanted = [row for group in groups for row in total(group, 1)]
    for prime in PRIMES:
        derived = observed(told, friends).derivable(prime)
        assert spans(wanted, derived, prime), "no more than the sums"
        assert spans(derived, wanted, prime), "the sums"


@pytest.mark.parametrize("victim", [0, 17])
def test_above_thirty_two_peers_the_hardest_losses_and_friends_leave_the_sum_only(victim):
    """All but one of a peer's neighbours are lost or collude."""
    limits = limits_of(36, 36)
    around = [(victim + step) % 36 for step in (*range(1, limits.degree // 2 + 1), *range(-limits.degree // 2, 0))]
    assert limits.losses + limits.colluders == limits.degree - 1
    lost = [p for p in around if p][: limits.losses]  # the first by address is the initiator
    friends = [p for p in around if p not in lost][: limits.colluders]
    told = Cohort(36, length=1, vanish=dict.fromkeys(lost, Step.VECTORS)).run()

    only_sums_of(told, {told.addresses[p] for p in friends})


@pytest.mark.parametrize("peers", [4, 5, 8, 12])
def test_audited_pairs_leave_the_sum_only_whoever_colludes(peers):
    """All sets of as many friends as may collude: the sum, and with the pair numbers one of each besides."""
    told = Cohort(peers, length=LENGTH, audited=True, vanish={peers - 1: Step.VECTORS} if peers > 5 else {}).run()
    proven, draw = told.proven, random.Random(peers)
    assert audited_pairs(proven, told.lates())
    every = list(combinations(proven.u3, proven.roster.limits.colluders))
    for friends in map(set, draw.sample(every, min(len(every), 20))):
        only_sums_of(told, friends)
        numbers = with_numbers(told, friends)
        honest = [m for m in proven.u3 if m not in friends]
        allowed = total(honest, LENGTH) + [functional(m, DIRECTIONS[0]) for m in honest]
        assert spans(allowed, numbers.derivable(PRIMES[0]), PRIMES[0])


def test_one_pair_too_few_closed_and_the_test_sees_the_leak(monkeypatch):
    """With one pair less of each peer closed than may collude, its friends and the audit strip somebody bare."""
    monkeypatch.setattr(pair_audit, "closed_degree", lambda colluders: colluders - colluders % 2)
    told = Cohort(12, length=1, audited=True).run()
    drawn = audited_pairs(told.proven, told.lates())
    victim = told.proven.u3[0]
    closed = [m for m in told.proven.u3 if m != victim and (min(m, victim), max(m, victim)) not in drawn]
    assert len(closed) <= told.proven.roster.limits.colluders
    with pytest.raises(AssertionError, match="no more than the sums"):
        only_sums_of(told, set(closed))


def with_numbers(told: Cohort, friends: set[bytes]) -> Knowledge:
    """What `observed` has, over whole vectors, with every pair number along one direction."""
    seen = observed(told, friends)
    knowledge = Knowledge(LENGTH, seen.known)
    t, proven = told.transcript, told.proven
    digest, bits = proven.roster.u2_digest(t.u2), proven.roster.plan.ring.bits
    for m in (m for m in proven.u3 if m not in friends):
        member = told.members[m]
        signs = {self_key(member.self_seed, digest, m, bits): 1}
        signs |= {key: 1 if other > m else -1 for other, key in member.pair_keys.items()}
        knowledge.masked(m, signs)
        for other in proven.partners(m):
            knowledge.pair_number(member.pair_keys[other], DIRECTIONS[0])
    return knowledge


@pytest.mark.parametrize("seed", range(3))
def test_buckets_reveal_one_sum_each(seed):
    draw = random.Random(seed)
    told = Cohort(15, length=1, grouping=Grouping(3), vanish={draw.randrange(1, 15): Step.VECTORS}).run()

    only_sums_of(told, set(draw.sample(told.addresses, 2)))


# -- private validation ------------------------------------------------------------------------------------------------


def with_halves(told: Cohort, friends: set[bytes], *, both_always: bool = False, silent: bytes | None = None):
    """A finished session with two directions: its masked vectors, all pair numbers, all masked path gradients."""
    proven, halves = told.proven, told.proven.halves
    t, roster = told.transcript, proven.roster
    digest, bits = roster.u2_digest(t.u2), roster.plan.ring.bits
    pairs = {(a, b): told.members[a].pair_keys[b] for a in proven.u3 for b in proven.u3 if a != b}
    known = {self_key(seed, digest, m, bits) for m, seed in zip(proven.u3, t.self_seeds, strict=True)}
    roots = {(a, b): told.members[a].gradient_keys[b] for a, b in pairs}
    known |= {key for (a, _), key in pairs.items() if a in friends} | audited_keys(told)
    known |= {gradient_key(k, halves, a, b) for (a, b), k in roots.items() if a in friends and one_half(halves, a, b)}
    for gone, secret in zip(proven.dropped, t.mask_secrets, strict=True):
        known |= {pair_key(secret, roster.join_of(m).mask_key, digest, gone, m, bits) for m in proven.u3}
    knowledge = Knowledge(LENGTH, known)
    for m in (m for m in proven.u3 if m not in friends):
        signs = {self_key(told.members[m].self_seed, digest, m, bits): 1}
        signs |= {key: 1 if other > m else -1 for other, key in told.members[m].pair_keys.items()}
        knowledge.masked(m, signs)
        for other in (p for p in proven.u3 if p != m):
            for k in (0, 1) if both_always else halves.both_ways(m, other):
                knowledge.pair_number(pairs[m, other], DIRECTIONS[k])
        if m != silent:
            same = [p for p in halves.members[halves.of(m)] if p != m]
            own = {gradient_key(roots[m, p], halves, m, p): 1 if p > m else -1 for p in same}
            knowledge.masked(m, own, "p")
    return knowledge


def one_half(halves, a: bytes, b: bytes) -> bool:
    return halves.of(a) == halves.of(b)


def allowed_with(told: Cohort, friends: set[bytes]):
    """One sum and one number of each honest update, and the sum of each half's path gradients."""
    halves, honest = told.proven.halves, [m for m in told.proven.u3 if m not in friends]
    rows = total(honest, LENGTH) + [functional(m, DIRECTIONS[halves.of(m)]) for m in honest]
    for half in halves.members:
        rows += total([m for m in half if m not in friends], LENGTH, "p")
    return rows


@pytest.mark.parametrize("friends", [0, 1, 2])
@pytest.mark.parametrize("lost", [0, 1])
def test_private_validation_opens_one_number_of_each_and_the_sums_of_the_halves_and_nothing_else(friends, lost):
    """The numbers of pairs across the halves, stated along both directions, give away nothing more."""
    vanish = {3: Step.VECTORS} if lost else {}
    told = Cohort(8, length=LENGTH, crossfit=True, vanish=vanish).run()
    bad = set(told.proven.u3[1 : 1 + friends])
    wanted = allowed_with(told, bad)
    for prime in PRIMES:
        derived = with_halves(told, bad).derivable(prime)
        assert spans(wanted, derived, prime), "no more than the statement says"
        assert spans(derived, wanted, prime), "all that it says"


@pytest.mark.parametrize(("peers", "friends"), [(10, 0), (10, 2), (12, 1), (12, 3)])
def test_audited_pairs_change_nothing_of_what_private_validation_opens(peers, friends):
    told = Cohort(peers, length=LENGTH, crossfit=True, audited=True).run()
    drawn = audited_pairs(told.proven, told.lates())
    bad = set(random.Random(peers + friends).sample(told.proven.u3, friends))
    wanted = allowed_with(told, bad)
    assert drawn
    for prime in PRIMES:
        derived = with_halves(told, bad).derivable(prime)
        assert spans(wanted, derived, prime), "no more than the statement says"
        assert spans(derived, wanted, prime), "all that it says"


def test_a_half_of_which_one_member_shows_nothing_tells_nothing_of_anybodys_gradient():
    told = Cohort(8, length=LENGTH, crossfit=True).run()
    silent = told.proven.halves.members[0][1]
    for prime in PRIMES:
        derived = with_halves(told, set(), silent=silent).derivable(prime)
        wanted = [row for row in allowed_with(told, set()) if not any(c[:2] == ("p", silent) for c in row)]
        assert spans(wanted, derived, prime)


def test_a_second_number_within_a_half_would_open_a_second_functional():
    told = Cohort(8, length=LENGTH, crossfit=True).run()
    derived = with_halves(told, set(), both_always=True).derivable(PRIMES[0])
    assert not spans(allowed_with(told, set()), derived, PRIMES[0])


# -- the checker can see a leak ----------------------------------------------------------------------------------------


def leaks(game: Game, views: dict[bytes, View]) -> str:
    return verdict(game, game.play(views))


def full(game: Game, **how) -> View:
    everybody = frozenset(game.addresses)
    return View(0, everybody, how.pop("u3", everybody), **how)


def test_with_a_lower_quorum_two_survivor_sets_open_one_peer(monkeypatch):
    monkeypatch.setattr(thresholds, "quorum", lambda n, c: n // 2 + 1)
    game = Game(5, 2)
    a, b, victim = game.honest
    without = frozenset(game.addresses) - {victim}
    monkeypatch.setattr(secagg_member.Member, "_survivors_fault", lambda *_: "")
    told = leaks(game, {a: full(game), b: full(game, u3=without), victim: full(game)})
    assert told == "two survivor sets were certified"


def test_without_the_gate_two_directions_open_two_functionals_of_a_peer(monkeypatch):
    monkeypatch.setattr(opening, "opening_quorum", lambda *_: 1)
    game = Game(5, 1)
    views = {h: full(game, direction=i % 2) for i, h in enumerate(game.honest)}
    assert leaks(game, views) == "numbers left for two directions"


def test_without_the_limit_of_losses_a_sum_of_one_is_certified(monkeypatch):
    """A quorum of two, and so three losses allowed: the victim is certified alone with the initiator."""
    monkeypatch.setattr(thresholds, "quorum", lambda *_: 2)
    game = Game(5, 1)
    everybody, victim = frozenset(game.addresses), game.honest[0]
    pair = frozenset({victim, *game.friends})
    views = {h: full(game) for h in game.honest} | {victim: View(0, everybody, pair)}
    seen = game.play(views)

    assert verdict(game, seen) == "two survivor sets were certified"
    assert spans(seen.knowledge.derivable(PRIMES[0]), [functional(victim, (1, 0, 0))], PRIMES[0])


def test_a_second_vote_would_open_both_secrets():
    """By hand: a member that answers two certificates gives away what one hides."""
    game = Game(4, 1)
    everybody, victim = frozenset(game.addresses), game.honest[0]
    seen = game.play({h: full(game) for h in game.honest})
    both = Knowledge(LENGTH, seen.knowledge.known)
    both.rows = list(seen.knowledge.rows)
    both.known |= {key for h in game.honest if h != victim for key in _pair_keys(game, victim, h, everybody)}
    both.rows = [{c: v for c, v in row.items() if c[0] not in both.known} for row in both.rows]
    assert spans(both.derivable(PRIMES[0]), [functional(victim, (1, 0, 0))], PRIMES[0])


def _pair_keys(game: Game, a: bytes, b: bytes, u2: frozenset[bytes]) -> list[bytes]:
    roster = game.rosters[0]
    digest = roster.u2_digest(roster.bitmap(u2))
    return [pair_key(game.member(a).mask, roster.join_of(b).mask_key, digest, a, b, 32)]
