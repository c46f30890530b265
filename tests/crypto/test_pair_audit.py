"""Audited pairs: who is drawn, what is shown, who is believed, and what a lie costs."""

import itertools
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from cohort import DOMAIN, Cohort, account
from peerage_crypto import pair_audit
from peerage_crypto.buckets import Grouping
from peerage_crypto.digest import sha256
from peerage_crypto.opening import open_numbers, products_of
from peerage_crypto.pair_audit import (
    Late,
    Lates,
    Unconfirmed,
    audit_fault,
    auditable,
    audited_pairs,
    charged,
    closed_degree,
    is_committed,
    lates_fault,
    odds,
    unconfirmed_pairs,
)
from peerage_crypto.secagg_collector import Step
from peerage_crypto.sketch_messages import SeedShare
from peerage_crypto.statements import sign
from peerage_crypto.thresholds import colluders

G = np.array([3, 1, 4, 1, 5, 9, 2], np.uint32)


@pytest.fixture(scope="module")
def eight() -> Cohort:
    return Cohort(8, audited=True).run()


def stated_by(told: Cohort) -> dict[bytes, tuple[int, ...]]:
    return {m: told.openings(m, G).values for m in told.proven.u3}


def agreed(told: Cohort, stated: dict[bytes, tuple[int, ...]]):
    vectors = {m: np.frombuffer(b, "<u4") for m, b in told.masked().items()}
    return open_numbers(told.proven, told.transcript, products_of(vectors, G, told.proven), G, stated)


def judged(told: Cohort, stated: dict[bytes, tuple[int, ...]], silent: frozenset[bytes] = frozenset()):
    shown = {m: told.shown(m) for m in told.proven.u3 if m not in silent}
    found = agreed(told, stated).agreed
    return unconfirmed_pairs(told.proven, told.transcript, told.lates(), shown, found, G)


def lying(told: Cohort, a: bytes, b: bytes, by: int = 1000) -> dict[bytes, tuple[int, ...]]:
    """Both ends of a pair state the same wrong number: the first has so much more, the second so much less."""
    stated = {m: list(values) for m, values in stated_by(told).items()}
    for me, other in ((a, b), (b, a)):
        stated[me][told.proven.partners(me).index(other)] -= by * (1 if a < b else -1)
    return {m: tuple(v % 2**32 for v in values) for m, values in stated.items()}


# -- the draw ----------------------------------------------------------------------------------------------------------


def connected(members: set[bytes], edges: set[frozenset[bytes]]) -> bool:
    seen, todo = set[bytes](), [min(members)]
    while todo:
        one = todo.pop()
        if one not in seen:
            seen.add(one)
            todo += [other for other in members if frozenset({one, other}) in edges]
    return seen == members


@pytest.mark.parametrize("peers", [4, 5, 6, 8, 11, 12])
def test_whoever_colludes_the_closed_pairs_of_the_honest_hold_together(peers):
    told = Cohort(peers, length=1, audited=True).run()
    drawn = audited_pairs(told.proven, told.lates())
    everybody = set(told.proven.u3)
    closed = {frozenset(p) for p in itertools.combinations(sorted(everybody), 2) if p not in drawn}
    assert drawn
    for friends in itertools.combinations(sorted(everybody), colluders(peers)):
        assert connected(everybody - set(friends), closed)
    assert len(drawn) == peers * (peers - 1 - closed_degree(colluders(peers))) // 2


@pytest.mark.parametrize("peers", [10, 12])
def test_with_two_directions_each_half_holds_together_by_itself_and_with_the_other(peers):
    told = Cohort(peers, length=1, audited=True, crossfit=True).run()
    drawn, everybody = audited_pairs(told.proven, told.lates()), set(told.proven.u3)
    closed = {frozenset(p) for p in itertools.combinations(sorted(everybody), 2) if p not in drawn}
    for friends in itertools.combinations(sorted(everybody), colluders(peers)):
        for part in (everybody, *map(set, told.proven.halves.members)):
            assert connected(part - set(friends), closed)
    kinds = [odds(told.proven, a, b) for a, b in itertools.combinations(sorted(everybody), 2)]
    assert sum(audited / (closed_ + audited) for closed_, audited in kinds) == pytest.approx(len(drawn))


def test_what_cannot_be_audited_is_not():
    assert not auditable(Cohort(3, length=1, audited=True).run().proven), "three close a ring"
    assert not auditable(Cohort(8, length=1).run().proven), "it is a setting"
    assert not auditable(Cohort(36, length=1, audited=True).run().proven), "a sparse graph has no pair to spare"
    buckets = Cohort(15, length=1, audited=True, grouping=Grouping(3)).run()
    for a, b in audited_pairs(buckets.proven, buckets.lates()):
        assert buckets.proven.roster.bucket_of(a) == buckets.proven.roster.bucket_of(b)


def test_the_draw_follows_from_everybodys_randomness_and_from_nothing_else(eight):
    lates = eight.lates()
    assert audited_pairs(eight.proven, lates) == audited_pairs(eight.proven, lates)
    draws = {audited_pairs(eight.proven, (sha256(bytes([i])), *lates[1:])) for i in range(20)}
    assert len(draws) > 15
    assert lates_fault(eight.proven, lates) == ""
    assert "does not" not in lates_fault(eight.proven, lates)
    assert "stands behind" in lates_fault(eight.proven, (bytes(32), *lates[1:]))
    assert "7 random values where 8" in lates_fault(eight.proven, lates[1:])


def test_nobody_knows_the_draw_from_what_the_manifests_show(eight):
    shown = {m.statement.rand for m in eight.transcript.manifests}
    assert not shown & set(eight.lates())


# -- what stands behind the randomness ---------------------------------------------------------------------------------


def word(told: Cohort, member: bytes) -> Late:
    return Late(told.plan.sid, told.members[member].late, told.members[member].late_shares)


def test_a_survivor_that_says_nothing_is_opened_by_the_others():
    told = Cohort(8, audited=True, vanish={7: Step.REVEALS}).run()
    gone = told.addresses[7]
    assert gone in told.proven.u3
    lates = Lates(told.proven, told.collector.dealings)
    for member in told.proven.u3:
        if member != gone:
            assert lates.all() is None or len(lates.told) >= told.proven.roster.limits.shares
            assert lates.on_late(member, word(told, member)) == ""
    assert lates.all() == told.lates()


def test_wrong_randomness_and_wrong_shares_are_their_senders_fault(eight):
    lates = Lates(eight.proven, eight.collector.dealings)
    a, b = eight.proven.u3[:2]
    assert "does not" in lates.on_late(a, msgspec.structs.replace(word(eight, a), late=bytes(32)))
    forged = (SeedShare(b, bytes(33)),)
    assert "not dealt" in lates.on_late(a, msgspec.structs.replace(word(eight, a), shares=forged))
    assert lates.on_late(b"x" * 20, word(eight, a)) == ""
    assert set(lates.told) == {a}


@pytest.mark.parametrize(("peers", "silent"), [(4, 2), (5, 2), (6, 2), (8, 2), (12, 4)])
def test_two_may_always_be_silent_and_more_where_a_quorum_is_left(peers, silent):
    proven = Cohort(peers, length=1, audited=True).run().proven
    assert pair_audit.enough(proven, peers - silent)
    assert not pair_audit.enough(proven, peers - silent - 1)


# -- what is shown -----------------------------------------------------------------------------------------------------


def test_honest_pairs_are_confirmed_by_either_end(eight):
    stated = stated_by(eight)
    assert judged(eight, stated) == ()
    assert judged(eight, stated, silent=frozenset({eight.proven.u3[2]})) == ()


def test_two_that_state_one_wrong_number_are_unconfirmed_when_they_are_drawn(eight):
    drawn = audited_pairs(eight.proven, eight.lates())
    for a, b in itertools.combinations(eight.proven.u3, 2):
        found = judged(eight, lying(eight, a, b))
        assert found == ((Unconfirmed(a, b),) if (a, b) in drawn else ())


def test_two_honest_ends_that_are_both_silent_are_unconfirmed_too(eight):
    """Nobody can tell them from two that lie: the page of scores says what it costs them."""
    a, b = min(audited_pairs(eight.proven, eight.lates()))
    assert judged(eight, stated_by(eight), silent=frozenset({a, b})) == (Unconfirmed(a, b),)


def test_a_key_committed_to_before_the_direction_gives_a_number_that_nobody_can_choose():
    """Two that commit to a made-up key show it, and are confirmed for whatever number it gives."""
    told = Cohort(8, audited=True)
    a, b = told.addresses[2], told.addresses[5]
    honest = {m: told.members[m]._pairs for m in (a, b)}

    def made_up(me, other):
        def pairs(roster):
            honest[me](roster)
            told.members[me].pair_roots[other] = sha256(b"made up")
            roots = told.members[me].pair_roots
            sid = told.plan.sid
            words = tuple(pair_audit.pair_commitment(sid, me, o, r) for o, r in roots.items())
            return pair_audit.pairs_digest(sid, me, words)

        return pairs

    told.members[a]._pairs, told.members[b]._pairs = made_up(a, b), made_up(b, a)
    told.run()  # their masks are made of that key: they cancel all the same, and so does their number
    assert judged(told, stated_by(told)) == ()
    assert agreed(told, stated_by(told)).numbers[a] == told.plain_number(a, G)


def test_another_key_than_the_one_committed_to_is_nobodys(eight):
    proven, lates = eight.proven, eight.lates()
    drawn = audited_pairs(proven, lates)
    a, b = min(drawn)
    shown = eight.shown(a)
    at = proven.roster.partners(a).index(b)
    entries = (*shown.entries[:at], sha256(b"another"), *shown.entries[at + 1 :])
    forged = msgspec.structs.replace(shown, entries=entries)
    assert is_committed(proven, a, shown, drawn)
    assert not is_committed(proven, a, forged, drawn)
    closed = next(m for m in proven.u3 if m != a and (min(a, m), max(a, m)) not in drawn)
    at = proven.roster.partners(a).index(closed)
    told_all = (*shown.entries[:at], eight.members[a].pair_roots[closed], *shown.entries[at + 1 :])
    assert not is_committed(proven, a, msgspec.structs.replace(shown, entries=told_all), drawn), (
        "nor the key of a closed one"
    )
    assert eight.members[a].pair_roots[closed] not in shown.entries


def test_what_masks_path_gradients_follows_from_nothing_that_a_pair_shows():
    told = Cohort(8, length=1, audited=True, crossfit=True).run()
    for member in told.members.values():
        assert not set(member.gradient_keys.values()) & {*member.pair_roots.values(), *member.pair_keys.values()}
        assert all(told.members[o].gradient_keys[member.me] == key for o, key in member.gradient_keys.items())


# -- a transcript ------------------------------------------------------------------------------------------------------


def test_the_audit_of_a_transcript_holds_or_says_why_not(eight):
    proven, lates = eight.proven, eight.lates()
    shown = tuple(eight.shown(m) for m in proven.u3)
    a, b = min(audited_pairs(proven, lates))
    pair, both = Unconfirmed(a, b), {a, b}
    without = tuple(eight.shown(m) for m in proven.u3 if m not in both)
    closed = next(p for p in itertools.combinations(proven.u3, 2) if p not in audited_pairs(proven, lates))
    stranger = sign(shown[0].signed.statement, account("stranger"), DOMAIN)
    assert audit_fault(proven, lates, shown, ()) == ""
    assert audit_fault(proven, lates, without, (pair,)) == ""
    assert "0 random values" in audit_fault(proven, (), (), ())
    assert "not called unconfirmed" in audit_fault(proven, lates, without, ())
    assert "not sorted" in audit_fault(proven, lates, shown[::-1], ())
    assert "not sorted" in audit_fault(proven, lates, (shown[0], *shown), ())
    assert "not sorted" in audit_fault(proven, lates, (msgspec.structs.replace(shown[0], signed=stranger), *shown), ())
    assert "not among those" in audit_fault(proven, lates, shown, (Unconfirmed(*closed),))
    assert "not among those" in audit_fault(proven, lates, shown, (pair, pair))
    assert "5 of 8 survivors" in audit_fault(proven, lates, shown[:5], ())
    swapped = (msgspec.structs.replace(shown[0], entries=shown[1].entries), *shown[1:])
    assert "had committed to" in audit_fault(proven, lates, swapped, ())
    other = (msgspec.structs.replace(shown[0], sid=bytes(32)), *shown[1:])
    assert "another session" in audit_fault(proven, lates, other, ())
    off = replace(proven, roster=replace(proven.roster, plan=replace(proven.roster.plan, audited=False)))
    assert "where none can be" in audit_fault(off, lates, shown, ())
    assert audit_fault(off, (), (), ()) == ""


def test_words_of_an_audit_cross_the_wire_whole(eight):
    for said in (word(eight, eight.addresses[0]), eight.shown(eight.addresses[0])):
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(said), type=type(said)) == said
        assert msgspec.json.decode(msgspec.json.encode(said), type=type(said)) == said


# -- the charge --------------------------------------------------------------------------------------------------------


def test_both_ends_are_charged_and_nobody_else(eight):
    a, b, c, *rest = eight.proven.u3
    numbers = {a: 900, b: -800, c: None} | dict.fromkeys(rest, 100)
    left = charged(eight.proven, numbers, (Unconfirmed(a, b),))
    assert closed_degree(2) == 4
    assert left == numbers | {a: -267, b: -800}, "2 * 4 / 3 medians of 100, away from zero; who has less keeps it"
    assert charged(eight.proven, numbers, ()) == numbers
    assert charged(eight.proven, numbers, (Unconfirmed(a, c),))[c] is None
    nobody = dict.fromkeys(eight.proven.u3, -5)
    assert charged(eight.proven, nobody, (Unconfirmed(a, b),)) == nobody


def test_a_charge_never_leaves_the_ring(eight):
    a, b, *rest = eight.proven.u3
    most = dict.fromkeys((a, b, *rest), 2**31 - 1)
    assert charged(eight.proven, most, (Unconfirmed(a, b),))[a] == -(2**31)


@pytest.mark.parametrize("peers", [4, 5, 8, 12, 16, 24, 32])
def test_a_lie_is_worth_nothing_at_any_size(peers):
    """At the cap of twice the median in the rounds in which the pair stays closed, the charge in the others."""
    closed = closed_degree(colluders(peers))
    audited = peers - 1 - closed
    median = 1000
    charge = -(-2 * closed * median // audited)
    assert audited > 0
    assert closed * 2 * median - audited * charge <= 0
