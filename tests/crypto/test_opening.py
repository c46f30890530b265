"""One number of each update, and never a second: openings with losses, silence, lies, and two directions at once."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohort import DOMAIN, Cohort, account
from peerage_crypto.digest import sha256
from peerage_crypto.opening import Gate, Openings, PairNumber, add_up, open_numbers, products_of, signed, values_digest
from peerage_crypto.secagg_collector import Step
from peerage_crypto.statements import Opening, sign
from peerage_crypto.thresholds import opening_quorum, thresholds

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "opening.json").read_text())
change = msgspec.structs.replace
LATE = [Step.SHARES, Step.VECTORS, Step.VOTES, Step.REVEALS]


def direction(told, seed=0):
    """A public vector of the ring; no auxiliary coordinates here."""
    small = np.random.default_rng(seed).integers(-1000, 1000, told.plan.length)
    return small.astype(told.plan.ring.dtype)


def opened_for(told, g, stated):
    vectors = {a: np.frombuffer(b, told.plan.ring.dtype) for a, b in told.masked().items()}
    return open_numbers(told.proven, told.transcript, products_of(vectors, g, told.proven), g, stated)


def words(told, g, speakers=None):
    return {a: told.openings(a, g).values for a in (told.proven.u3 if speakers is None else speakers)}


# -- every number is the plain one -------------------------------------------------------------------------------------


@st.composite
def openings(draw):
    n = draw(st.integers(3, 8))
    gone = draw(st.lists(st.integers(0, n - 1), max_size=thresholds(n, n).losses, unique=True))
    vanish = {peer: draw(st.sampled_from(LATE)) for peer in gone}
    return n, vanish, draw(st.sampled_from([16, 32, 64])), draw(st.integers(0, 2**32))


@settings(derandomize=True, deadline=None, max_examples=40)
@given(openings())
def test_each_opened_number_is_the_plain_inner_product(case):
    n, vanish, bits, seed = case
    told = Cohort(n, bits=bits, length=5, seed=seed, vanish=vanish).run()
    g = direction(told, seed)
    outcome = opened_for(told, g, words(told, g))

    assert outcome.numbers == {a: told.plain_number(a, g) for a in told.proven.u3}
    assert (outcome.liars, outcome.disputed) == ((), ())


@settings(derandomize=True, deadline=None, max_examples=15)
@given(openings(), st.data())
def test_one_silent_survivor_is_opened_by_the_others_words(case, data):
    n, vanish, bits, seed = case
    told = Cohort(n, bits=bits, length=5, seed=seed, vanish=vanish).run()
    g = direction(told, seed)
    silent = data.draw(st.sampled_from(told.proven.u3))
    outcome = opened_for(told, g, words(told, g, [a for a in told.proven.u3 if a != silent]))

    assert outcome.numbers == {a: told.plain_number(a, g) for a in told.proven.u3}


@settings(derandomize=True, deadline=None, max_examples=15)
@given(openings(), st.data())
def test_one_liar_is_named_and_the_others_words_count(case, data):
    n, vanish, bits, seed = case
    told = Cohort(n, bits=bits, length=5, seed=seed, vanish=vanish).run()
    g = direction(told, seed)
    liar = data.draw(st.sampled_from(told.proven.u3))
    stated = words(told, g)
    stated[liar] = tuple((v + 1) % told.plan.ring.modulus for v in stated[liar])
    outcome = opened_for(told, g, stated)

    assert outcome.liars == (liar,)
    assert outcome.numbers == {a: told.plain_number(a, g) for a in told.proven.u3}


@pytest.mark.parametrize("bits", [16, 32, 64])
def test_the_opened_numbers_add_up_to_what_the_sum_says(bits):
    told = Cohort(8, bits=bits, vanish={2: Step.VECTORS}).run()
    g = direction(told)
    numbers = tuple(opened_for(told, g, words(told, g)).numbers.values())

    exact = sum(int(s) * int(x) for s, x in zip(told.summed.total, g, strict=True))
    assert (sum(numbers) - exact) % 2**bits == 0
    assert add_up(numbers, told.summed.total, g)


def test_nobody_raises_a_number_in_a_record_alone():
    told = Cohort(5).run()
    g = direction(told)
    numbers = tuple(opened_for(told, g, words(told, g)).numbers.values())

    assert not add_up((numbers[0] + 1, *numbers[1:]), told.summed.total, g)
    assert add_up((numbers[0] + 1, numbers[1] - 1, *numbers[2:]), told.summed.total, g)  # the second will notice
    assert add_up((numbers[0] + 1, None, *numbers[2:]), told.summed.total, g)


# -- lies --------------------------------------------------------------------------------------------------------------


def test_a_contradiction_between_two_closes_both_and_nobody_else():
    told = Cohort(8).run()
    g, a, b = direction(told), told.addresses[1], told.addresses[4]
    stated = words(told, g)
    stated[a] = tuple(v + 7 if i == 3 else v for i, v in enumerate(stated[a]))  # its word for member 4
    outcome = opened_for(told, g, stated)

    assert outcome.disputed == ((a, b),)
    assert outcome.liars == ()
    assert {p for p, n in outcome.numbers.items() if n is None} == {a, b}


def test_colluders_that_contradict_everybody_cannot_make_an_honest_peer_a_liar():
    told = Cohort(8).run()
    g, colluders = direction(told), told.addresses[6:]
    stated = words(told, g)
    for c in colluders:
        stated[c] = tuple(v ^ 1 for v in stated[c])
    outcome = opened_for(told, g, stated)

    assert set(outcome.liars) == set(colluders)
    assert all(outcome.numbers[a] == told.plain_number(a, g) for a in told.addresses[:6])


def test_colluders_that_agree_on_a_lie_move_score_between_themselves_only():
    told = Cohort(8).run()
    g, (a, b) = direction(told), told.addresses[6:]
    stated = words(told, g)
    stated[a] = (*stated[a][:6], (stated[a][6] + 500) % 2**32)
    stated[b] = (*stated[b][:6], (stated[b][6] + 500) % 2**32)
    numbers = opened_for(told, g, stated).numbers

    assert all(numbers[p] == told.plain_number(p, g) for p in told.addresses[:6])
    assert numbers[a] - told.plain_number(a, g) == told.plain_number(b, g) - numbers[b]


def test_a_neighbour_of_a_silent_peer_can_take_score_from_it_and_the_silent_one_can_tell():
    """A limit, not a defence: a single word has no second one to contradict it."""
    told = Cohort(5).run()
    g, silent, thief = direction(told), told.addresses[0], told.addresses[4]
    stated = words(told, g, told.addresses[1:])
    stated[thief] = ((stated[thief][0] + 40) % 2**32, *stated[thief][1:])
    outcome = opened_for(told, g, stated)

    assert (outcome.liars, outcome.disputed) == ((), ())
    assert outcome.numbers[thief] == told.plain_number(thief, g) + 40
    assert outcome.numbers[silent] == told.plain_number(silent, g) - 40  # which is not its own: it says so


def test_a_word_counts_modulo_the_ring_however_large_it_is_written():
    told = Cohort(4).run()
    g = direction(told)
    stated = {a: tuple(v + 2**32 * (i + 1) for i, v in enumerate(values)) for a, values in words(told, g).items()}

    assert opened_for(told, g, stated).numbers == {a: told.plain_number(a, g) for a in told.addresses}


def test_who_did_not_survive_has_no_word():
    told = Cohort(8, vanish={2: Step.VECTORS}).run()
    g = direction(told)
    stated = words(told, g) | {told.addresses[2]: (1, 2, 3)}

    assert opened_for(told, g, stated).numbers == {a: told.plain_number(a, g) for a in told.proven.u3}


@pytest.mark.parametrize("value", [-1, 2**64, 2**300])
def test_a_number_beyond_64_bits_is_signed_by_nobody(value):
    with pytest.raises(ValueError):
        values_digest((1, value))
    if value < 0:
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(str(value), type=PairNumber)


@pytest.mark.parametrize(
    ("value", "bits", "expected"),
    [(2**31, 32, -(2**31)), (2**31 - 1, 32, 2**31 - 1), (-1, 16, -1), (2**64 + 5, 64, 5), (-(2**40), 16, 0)],
)
def test_a_number_is_read_in_the_signed_range_of_the_ring(value, bits, expected):
    assert signed(value, bits) == expected


# -- one direction for all ---------------------------------------------------------------------------------------------


def test_words_for_two_directions_at_once_would_open_one_peer_twice():
    """Why there is a gate: shown g alone, while the others are shown g + e_k, a peer would lose its coordinate k."""
    told = Cohort(8).run()
    g, victim = direction(told), told.addresses[3]
    other = g.copy()
    other[2] += 1
    own = opened_for(told, g, words(told, g, [victim])).numbers[victim]
    stated = words(told, other, [a for a in told.addresses if a != victim])
    others = opened_for(told, other, stated).numbers[victim]

    assert (others - own) % 2**32 == int(told.vectors[victim][2])


def gates(told, shown):
    """Everybody pledges the direction that it was shown; returns whose numbers left."""
    gate = {a: Gate(told.proven) for a in told.proven.u3}
    mine = {a: told.openings(a, g) for a, g in shown.items()}
    left = {a: gate[a].pledge(openings) for a, openings in mine.items()}
    for pledged in mine.values():
        for a in gate:
            left[a] = gate[a].on_pledge(pledged.signed) or left.get(a)
    return {a for a, openings in left.items() if openings is not None}


def test_pledges_of_one_direction_open_everybodys_gate():
    told = Cohort(8, vanish={1: Step.VECTORS}).run()
    g = direction(told)

    assert gates(told, dict.fromkeys(told.proven.u3, g)) == set(told.proven.u3)


@pytest.mark.parametrize("deceived", range(1, 8))
def test_however_two_directions_are_shown_numbers_leave_for_one_of_them_at_most(deceived):
    told = Cohort(8).run()
    g, other = direction(told, 1), direction(told, 2)
    shown = {a: other if i < deceived else g for i, a in enumerate(told.addresses)}
    left = gates(told, shown)

    assert len({shown[a].tobytes() for a in left}) <= 1
    assert len(left) in (0, 6, 7)


@pytest.mark.parametrize("deceived", range(1, 6))
def test_colluders_who_pledge_both_directions_open_one_of_them_at_most(deceived):
    told = Cohort(8).run()
    g, other = direction(told, 1), direction(told, 2)
    honest, colluders = told.addresses[:6], told.addresses[6:]
    left = set()
    for i, a in enumerate(honest):
        gate, mine = Gate(told.proven), other if i < deceived else g
        got = [gate.pledge(told.openings(a, mine))]
        got += [gate.on_pledge(told.openings(c, mine).signed) for c in colluders]
        got += [gate.on_pledge(told.openings(b, other if j < deceived else g).signed) for j, b in enumerate(honest)]
        left |= {mine.tobytes() for openings in got if openings}

    assert len(left) <= 1


def test_among_three_one_bad_initiator_cannot_open_two_directions_either():
    told = Cohort(3).run()
    g, other = direction(told, 1), direction(told, 2)
    bad, one, two = told.addresses
    left = []
    for me, them, mine, theirs in ((one, two, g, other), (two, one, other, g)):
        gate = Gate(told.proven)
        left += [gate.pledge(told.openings(me, mine)), gate.on_pledge(told.openings(bad, mine).signed)]
        left += [gate.on_pledge(told.openings(them, theirs).signed)]

    assert left == [None] * 6


def test_a_gate_counts_survivors_once_and_nobody_else():
    told = Cohort(5, vanish={4: Step.VECTORS}).run()
    g, me = direction(told), told.addresses[0]
    gate, mine = Gate(told.proven), told.openings(told.addresses[0], direction(told))
    statement = mine.signed.statement
    assert opening_quorum(4, 1) == gate.quorum == 3

    assert gate.pledge(mine) is None
    for nobody in (
        mine.signed,
        sign(statement, told.people[4], DOMAIN),
        sign(statement, account("outsider"), DOMAIN),
        change(mine.signed, signature=bytes(65)),
        sign(change(statement, sid=bytes(32)), told.people[1], DOMAIN),
        sign(change(statement, direction=sha256(b"another")), told.people[1], DOMAIN),
        sign(statement, told.people[1], DOMAIN),  # changed its mind: its first pledge counts
    ):
        assert gate.on_pledge(nobody) is None
    assert gate.on_pledge(sign(statement, told.people[2], DOMAIN)) is None
    assert gate.on_pledge(sign(statement, told.people[3], DOMAIN)) == mine
    assert gate.on_pledge(sign(statement, told.people[3], DOMAIN)) is None  # once
    assert me in told.proven.u3
    assert g.size == told.plan.length


def test_early_pledges_are_kept_until_my_own_numbers_are_ready():
    told = Cohort(4).run()
    g = direction(told)
    gate = Gate(told.proven)

    assert [gate.on_pledge(told.openings(a, g).signed) for a in told.addresses[1:]] == [None] * 3
    mine = told.openings(told.addresses[0], g)
    assert gate.pledge(mine) == mine


# -- known by heart ----------------------------------------------------------------------------------------------------


def test_an_opening_with_fixed_secrets_keeps_every_byte():
    case = VECTORS["opening"]
    g = np.array(case["direction"], np.int64).astype(np.uint32)
    told = Cohort(4, length=len(g), vectors=[np.array(v, np.uint32) for v in case["vectors"]]).run()
    stated = {a: told.openings(a, g) for a in told.proven.u3}

    assert [[str(v) for v in stated[a].values] for a in told.addresses] == case["pair_numbers"]
    assert [stated[a].signed.statement.values.hex() for a in told.addresses] == case["digests"]
    numbers = opened_for(told, g, {a: o.values for a, o in stated.items()}).numbers
    assert [numbers[a] for a in told.addresses] == case["numbers"]


@pytest.mark.parametrize("case", VECTORS["digests"], ids=lambda c: c["why"])
def test_pair_numbers_have_one_digest(case):
    assert values_digest(tuple(int(v) for v in case["values"])).hex() == case["digest"]


def test_openings_cross_the_wire_whole():
    told = Cohort(3, bits=64).run()
    mine = told.openings(told.addresses[0], direction(told))

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(mine), type=Openings) == mine
    assert msgspec.json.decode(msgspec.json.encode(mine), type=Openings) == mine
    assert isinstance(mine.signed.statement, Opening)
