"""Path gradients in two halves: who is in which, what a half's sum needs, what a commitment binds, what is opened."""

import dataclasses

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohort import DOMAIN, Cohort, account
from peerage_crypto import crossfit
from peerage_crypto.crossfit import (
    FRAC_BITS,
    LENGTH,
    RING,
    Halves,
    ShownGradient,
    commitment,
    draw,
    least_half,
    mask,
    possible,
    shown_fault,
    statement_fault,
    statement_of,
    sum_of,
    sums_of,
    too_long,
    words_of,
)
from peerage_crypto.digest import sha256
from peerage_crypto.fixedpoint import norm_limit, on_grid
from peerage_crypto.opening import open_numbers, products_of, slots
from peerage_crypto.secagg_collector import Step
from peerage_crypto.statements import sign

change = msgspec.structs.replace
SIZE = 40


def survivors(count: int) -> list[bytes]:
    return sorted(account(i).address for i in range(count))


def gradient(owner: bytes, size: int = SIZE) -> np.ndarray:
    """An honest one: of length one, on the grid."""
    drawn = np.random.default_rng(list(owner)).normal(size=size)
    return on_grid(drawn / (np.linalg.norm(drawn) * (1 + 1e-12)), FRAC_BITS, LENGTH, 0.0, owner)


def masked(told: Cohort, halves: Halves) -> dict[bytes, bytes]:
    return {p: mask(gradient(p), p, told.members[p].pair_keys, halves) for p in told.proven.u3}


# -- halves ------------------------------------------------------------------------------------------------------------


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.integers(2, 32), st.binary(min_size=32, max_size=32))
def test_halves_are_disjoint_and_differ_by_one_at_most(count, seed):
    peers = survivors(count)
    one, other = draw(seed, bytes(32), peers, peers).members
    assert sorted(one + other) == peers
    assert 0 <= len(one) - len(other) <= 1
    assert (list(one), list(other)) == (sorted(one), sorted(other))


def test_the_sessions_randomness_draws_the_halves_and_nothing_else_does():
    peers = survivors(12)
    drawn = {draw(sha256(bytes([i])), bytes(32), peers, peers).members for i in range(50)}
    assert len(drawn) > 45
    assert draw(b"s" * 32, bytes(32), peers, peers) == draw(b"s" * 32, bytes(32), set(peers), peers[::-1])


def test_who_is_lost_changes_nobody_elses_half():
    peers = survivors(12)
    whole = draw(b"s" * 32, bytes(32), peers, peers)
    for gone in peers:
        fewer = draw(b"s" * 32, bytes(32), peers, [p for p in peers if p != gone])
        assert all(fewer.of(p) == whole.of(p) for p in peers if p != gone)


def test_the_first_rounds_randomness_draws_the_halves_of_all_rounds():
    told = Cohort(10, crossfit=True).run()
    first = told.proven.halves
    assert first == draw(told.proven.seed(), told.plan.sid, told.plan.registered, told.proven.u3)
    later = dataclasses.replace(told.plan, halving=b"h" * 32)
    roster = dataclasses.replace(told.proven.roster, plan=later)
    assert dataclasses.replace(told.proven, roster=roster).halves == draw(
        b"h" * 32, told.plan.sid, told.plan.registered, told.proven.u3
    )


def test_a_half_needs_four_members_and_three_that_do_not_collude():
    assert [least_half(c) for c in range(5)] == [4, 4, 5, 6, 7]
    halves = draw(bytes(32), bytes(32), survivors(11), survivors(11))
    assert halves.too_small(2) == ""
    assert halves.too_small(3) == "halves of 6 and 5 survivors where each needs 6 with 3 colluding"


def test_the_federations_that_can_be_scored_at_all():
    assert [n for n in range(40) if possible(n)] == list(range(10, 33))


# -- masks and sums ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vanish", [{}, {2: Step.VECTORS}, {1: Step.SHARES, 6: Step.REVEALS}])
def test_the_sums_of_the_halves_are_exact(vanish):
    told = Cohort(10, crossfit=True, vanish=vanish).run()
    halves = told.proven.halves
    sums = sums_of(halves, masked(told, halves))
    for total, half in zip(sums, halves.members, strict=True):
        assert np.array_equal(total, sum(gradient(p) for p in half))


def test_without_one_vector_a_half_is_noise_and_the_other_is_not():
    told = Cohort(8, crossfit=True).run()
    halves = told.proven.halves
    blobs = masked(told, halves)
    few = [words_of(blobs[p]) for p in halves.members[0][1:]]
    assert too_long(sum_of(few), len(few))
    assert not too_long(sum_of([words_of(blobs[p]) for p in halves.members[1]]), len(halves.members[1]))


def test_masks_of_another_half_do_not_cancel():
    """Who believes in other halves adds noise: the keys are bound to who is in."""
    told = Cohort(8, crossfit=True).run()
    halves = told.proven.halves
    first, second = halves.members
    swapped = Halves(halves.sid, (tuple(sorted((*first[1:], second[0]))), tuple(sorted((*second[1:], first[0])))))
    blobs = masked(told, halves)
    blobs[first[1]] = mask(gradient(first[1]), first[1], told.members[first[1]].pair_keys, swapped)
    assert "add up to more" in sums_of(halves, blobs)
    (a, b), pair = first[1:3], b"p" * 32
    assert crossfit.gradient_key(pair, halves, a, b) != crossfit.gradient_key(pair, swapped, a, b)


def test_a_gradient_is_masked_with_other_keys_than_the_update():
    told = Cohort(8, crossfit=True).run()
    halves, (a, b) = told.proven.halves, told.proven.halves.members[0][:2]
    keys = {crossfit.gradient_key(told.members[x].pair_keys[y], halves, x, y) for x, y in ((a, b), (b, a))}
    assert len(keys) == 1
    assert keys != {told.members[a].pair_keys[b]}


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(1, 16), st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=30))
def test_the_bound_of_a_sum_is_exact_in_integers(members, values):
    exact = sum(v * v for v in values)
    bound = int(members * norm_limit(FRAC_BITS, LENGTH, len(values))) ** 2
    assert too_long(np.array(values, np.int64), members) is (exact > bound)


def test_as_many_equal_gradients_as_there_are_members_are_not_too_long():
    one = on_grid(np.full(SIZE, SIZE**-0.5) * (1 - 1e-12), FRAC_BITS, LENGTH, 0.0, b"x")
    assert not too_long(5 * one, 5)
    assert too_long(6 * one, 5)


def test_a_half_that_says_nothing_gives_no_direction():
    told = Cohort(8, crossfit=True).run()
    halves = told.proven.halves
    zero = {p: mask(np.zeros(SIZE, np.int64), p, told.members[p].pair_keys, halves) for p in told.proven.u3}
    assert "add up to nothing" in sums_of(halves, zero)


# -- statements --------------------------------------------------------------------------------------------------------


def shown(told: Cohort, blobs: dict[bytes, bytes]) -> list[ShownGradient]:
    people = {a.address: a for a in told.people}
    halves = told.proven.halves
    return [ShownGradient(sign(statement_of(halves, p, b), people[p], DOMAIN), sha256(b)) for p, b in blobs.items()]


def test_what_all_survivors_have_shown_holds_in_their_order_only():
    told = Cohort(10, crossfit=True, strangers=0).run()
    good = shown(told, masked(told, told.proven.halves))
    assert shown_fault(told.proven, SIZE, good) == ""
    assert "9 path gradients where 10 survived" in shown_fault(told.proven, SIZE, good[1:])
    assert "not signed by its survivor" in shown_fault(told.proven, SIZE, [good[1], good[0], *good[2:]])
    assert "has 160 bytes where" in shown_fault(told.proven, SIZE + 1, good)
    other = change(good[0], artefact=sha256(b"mine"))
    assert "not the one that its owner committed to" in shown_fault(told.proven, SIZE, [other, *good[1:]])


def test_halves_that_are_too_small_are_no_scored_round():
    told = Cohort(8, crossfit=True).run()
    good = shown(told, masked(told, told.proven.halves))
    assert "halves of 4 and 4 survivors where each needs 5" in shown_fault(told.proven, SIZE, good)


def test_no_gradient_belongs_to_a_round_with_shared_validation():
    told, private = Cohort(10).run(), Cohort(10, crossfit=True).run()
    good = shown(private, masked(private, private.proven.halves))
    assert told.proven.halves is None
    assert shown_fault(told.proven, SIZE, good)


def test_a_statement_is_for_its_owners_half_and_length():
    halves = draw(bytes(32), b"s" * 32, survivors(10), survivors(10))
    owner = halves.members[1][0]
    good = statement_of(halves, owner, bytes(4 * SIZE))
    assert statement_fault(halves, SIZE, good, owner) == ""
    assert "another half" in statement_fault(halves, SIZE, change(good, half=0), owner)
    assert "another half" in statement_fault(halves, SIZE, change(good, sid=bytes(32)), owner)
    assert "bytes where" in statement_fault(halves, SIZE, change(good, length=4), owner)


def test_a_commitment_is_its_owners_and_its_sessions():
    named = {commitment(s, o, a) for s in (b"s" * 32, b"t" * 32) for o in survivors(2) for a in (b"a" * 32, b"b" * 32)}
    assert len(named) == 8


# -- numbers along two directions --------------------------------------------------------------------------------------


def rows(told: Cohort, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).integers(-1000, 1000, (2, told.plan.length))
    return drawn.astype(told.plan.ring.dtype)


def opened(told: Cohort, g: np.ndarray, stated: dict[bytes, tuple[int, ...]]):
    vectors = {a: np.frombuffer(b, told.plan.ring.dtype) for a, b in told.masked().items()}
    return open_numbers(told.proven, told.transcript, products_of(vectors, g, told.proven), g, stated)


@pytest.mark.parametrize("bits", [16, 32, 64])
@pytest.mark.parametrize("vanish", [{}, {3: Step.VECTORS}, {2: Step.VOTES, 5: Step.SHARES}])
def test_each_number_is_along_the_direction_of_its_own_half(bits, vanish):
    told = Cohort(10, bits=bits, crossfit=True, vanish=vanish).run()
    g, halves = rows(told), told.proven.halves
    outcome = opened(told, g, {p: told.openings(p, g).values for p in told.proven.u3})
    assert outcome.numbers == {p: told.plain_number(p, g[halves.of(p)]) for p in told.proven.u3}
    assert (outcome.liars, outcome.disputed) == ((), ())


def test_a_pair_across_the_halves_states_two_numbers_and_a_pair_of_one_half_one():
    told = Cohort(10, crossfit=True).run()
    halves = told.proven.halves
    for p in told.proven.u3:
        own, other = len(halves.members[halves.of(p)]), len(halves.members[1 - halves.of(p)])
        assert len(slots(told.proven, p)) == own - 1 + 2 * other


def test_a_silent_survivor_is_opened_by_the_others_and_a_lie_along_one_direction_is_a_lie():
    told = Cohort(12, crossfit=True).run()
    g, halves = rows(told), told.proven.halves
    stated = {p: told.openings(p, g).values for p in told.proven.u3}
    silent, liar = halves.members[0][0], halves.members[1][0]
    del stated[silent]
    stated[liar] = tuple(v + (k == 0) for v, (_, k) in zip(stated[liar], slots(told.proven, liar), strict=True))
    outcome = opened(told, g, stated)
    assert outcome.liars == (liar,)
    closed = {silent, liar}  # a liar's word does not count, and the silent has none: that pair's mask stays on both
    assert outcome.numbers == {
        p: None if p in closed else told.plain_number(p, g[halves.of(p)]) for p in told.proven.u3
    }


def test_words_of_nobody_who_survived_are_not_read():
    told = Cohort(10, crossfit=True, vanish={4: Step.VECTORS}).run()
    g = rows(told)
    stated = {p: told.openings(p, g).values for p in told.proven.u3} | {told.addresses[4]: (1, 2, 3)}
    assert opened(told, g, stated).numbers == {
        p: told.plain_number(p, g[told.proven.halves.of(p)]) for p in told.proven.u3
    }


def test_vectors_of_the_ring_are_words_of_four_bytes():
    assert RING.word_bytes == 4
    with pytest.raises(ValueError, match="buffer size"):
        words_of(bytes(5))
