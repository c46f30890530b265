"""Projections: what they are, how well they measure, what settings promise, and what they let anybody solve for."""

import json
from itertools import combinations
from math import exp, factorial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerage_crypto.errors import InputError
from peerage_crypto.fixedpoint import ring
from peerage_crypto.masking import expand
from peerage_crypto.sketch_terms import (
    FRAME_BYTES,
    Sketching,
    check_sketches,
    late_commitment,
    safe_length,
    screened_bytes,
    sketching,
    slack,
)
from peerage_crypto.sketches import CHUNK, Directions, Stated, project, screen, sketch_seed

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "sketches.json").read_text())


def terms(count=8, bound=(3, 1), longest=1000, skip=0):
    return Sketching(count, bound, longest, skip)


def directions(length, count=8, skip=0, seed=b"s" * 32):
    return Directions(seed, terms(count, skip=skip), length)


# -- directions --------------------------------------------------------------------------------------------------------


def test_directions_are_zero_half_of_the_time_and_signs_otherwise():
    u = directions(40_000, 4).vectors()

    assert set(np.unique(u)) == {-1, 0, 1}
    for row in u:
        assert abs(np.mean(row == 0) - 0.5) < 0.02
        assert abs(row.mean()) < 0.02
    assert np.abs(np.corrcoef(u) - np.eye(4)).max() < 0.03


def test_what_is_counted_ahead_of_the_parameters_is_not_projected():
    assert not directions(100, skip=5).vectors()[:, :5].any()
    assert np.array_equal(directions(100, skip=5).vectors()[:, 5:], directions(100).vectors()[:, 5:])


def test_directions_follow_from_certificate_and_all_randomness():
    seeds = {sketch_seed(b"u" * 32, lates) for lates in ([b"a" * 32, b"b" * 32], [b"b" * 32, b"a" * 32], [b"a" * 32])}
    seeds.add(sketch_seed(b"v" * 32, [b"a" * 32, b"b" * 32]))

    assert len(seeds) == 4
    assert len({Directions(s, terms(), 64).vectors().tobytes() for s in seeds}) == 4


@settings(derandomize=True, deadline=None, max_examples=25)
@given(st.sampled_from([16, 32, 64]), st.sampled_from([1, 7, 300, CHUNK - 1, CHUNK, CHUNK + 9]), st.integers(1, 5))
def test_projections_of_masks_and_vectors_are_the_plain_inner_products(bits, length, count):
    field, u = ring(bits), directions(length, count)
    keys = [b"a" * 32, b"b" * 32]
    top = np.iinfo(field.dtype).max
    vector = np.random.default_rng(length).integers(0, top, length, field.dtype, endpoint=True)
    rows = [*(expand(key, length, field) for key in keys), vector]

    def plain(x, row):
        return sum(int(a) * int(b) for a, b in zip(x, row, strict=True)) % 2**bits

    expected = [tuple(plain(x, row) for row in u.vectors()) for x in rows]
    assert project(keys, [vector], u, field) == expected


def test_the_largest_words_add_up_exactly():
    for bits in (32, 64):
        field = ring(bits)
        vector = np.full(2 * CHUNK, np.iinfo(field.dtype).max, field.dtype)
        u = directions(2 * CHUNK, 3)
        assert project([], [vector], u, field) == [tuple(int(-row.sum()) % 2**bits for row in u.vectors())]


def test_directions_and_commitments_with_fixed_seeds_keep_every_byte():
    u = Directions(bytes.fromhex(VECTORS["seed"]), terms(3, skip=2), 40)

    assert u.vectors().tolist() == VECTORS["directions"]
    assert sketch_seed(b"u" * 32, [b"a" * 32, b"b" * 32]).hex() == VECTORS["sketch_seed"]
    assert late_commitment(b"l" * 32).hex() == VECTORS["late_commitment"]


@settings(derandomize=True, deadline=None, max_examples=20)
@given(st.sampled_from([16, 32, 64]), st.integers(0, 4), st.integers(1, 6), st.randoms(use_true_random=False))
def test_stated_numbers_are_read_back_whole_and_never_in_another_length(bits, partners, count, draw):
    field, names = ring(bits), [bytes([i]) * 20 for i in range(partners)]
    row = lambda: tuple(draw.randrange(2**bits) for _ in range(count))  # noqa: E731 - one line says it
    stated = Stated(row(), row(), {name: row() for name in names})
    blob = stated.to_bytes(field)

    assert Stated.from_bytes(blob, names, count, field) == stated
    assert Stated.from_bytes(blob + b"\0", names, count, field) is None
    assert Stated.from_bytes(blob, [*names, b"x" * 20], count, field) is None


# -- how well they measure ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 4, 8, 16, 32, 64])
def test_the_slack_is_the_least_that_the_chernoff_bound_allows(count):
    def bound(t):
        return (t / count) ** (count / 2) * exp((count - t) / 2)

    assert bound(slack(count)) <= 2**-20 < bound(slack(count) - 1)


def test_even_moments_of_a_direction_stay_below_those_of_a_gaussian():
    """Scaled to variance 1 an entry is 0 or +-sqrt(2): the premise of Achlioptas' lemma."""
    for m in range(1, 40):
        assert 2 ** (m - 1) <= factorial(2 * m) // (2**m * factorial(m))


@pytest.mark.parametrize("shape", ["dense", "one coordinate", "two coordinates"])
def test_honest_updates_of_the_largest_length_stay_below_the_slack(shape):
    size, count, q = 64, 8, np.zeros(64)
    q[: {"dense": 64, "one coordinate": 1, "two coordinates": 2}[shape]] = 1.0
    q *= 1000 / np.linalg.norm(q)
    energies = []
    for i in range(2000):
        u = directions(size, count, seed=i.to_bytes(32, "little")).vectors()
        energies.append(2 * float(((u @ q) ** 2).sum()) / 1000**2)

    assert max(energies) < slack(count)
    assert abs(np.mean(energies) - count) < 0.4


def signs_only(size, seed):
    return np.where(np.random.default_rng(seed).random(size) < 0.5, -1, 1)


def test_half_of_the_ring_vanishes_under_signs_and_not_under_ours():
    """2^31 at an even number of coordinates: every vector of signs gives 0 mod 2^32, ours does so half of the time."""
    vector = np.zeros(64, np.uint32)
    vector[10:20] = 2**31
    assert {int(signs_only(64, s) @ vector.astype(np.int64)) % 2**32 for s in range(20)} == {0}
    seen = [v for i in range(20) for v in project([], [vector], directions(64, 8, seed=bytes([i]) * 32), ring(32))[0]]

    assert set(seen) == {0, 2**31}
    assert 50 < seen.count(2**31) < 110


# -- who passes --------------------------------------------------------------------------------------------------------

PEERS = [bytes([i]) * 20 for i in range(7)]


def said(projections, lies=()):
    """Words without masks; `lies` are (who, of whom, by how much)."""
    words = {}
    for i, row in zip(PEERS, projections, strict=True):
        pairs = {j: tuple(5 for _ in row) for j in PEERS if j != i}
        for who, of, by in lies:
            if who == i:
                pairs[of] = tuple(v + by for v in pairs[of])
        shared = sum(1 if j > i else -1 for j in pairs) * 5
        words[i] = Stated(tuple((v + 3 + shared) % 2**32 for v in row), tuple(3 for _ in row), pairs)
    return words


def verdict(rows, lies=(), false=(), colluders=1, silent=(), **how):
    words = {i: w for i, w in said(rows, lies).items() if i not in silent}
    return screen(terms(len(rows[0]), **how), ring(32), PEERS, words, frozenset(false), colluders)


HONEST = [[100, -100, 100, 100]] * 7


def test_equal_updates_all_pass_and_their_projections_are_read():
    found = verdict(HONEST)
    assert (found.failed, found.disputed) == ({}, ())
    assert found.projections[PEERS[0]] == (100, -100, 100, 100)
    assert found.energy(PEERS[0]) == 80_000


def test_whoever_is_silent_false_too_long_or_an_outlier_fails():
    rows = [[100, 100, 100, 100]] * 5 + [[301, 301, 301, 301], [4000, 4000, 4000, 4000]]
    found = verdict(rows, silent=PEERS[:1], false=PEERS[1:2])

    assert found.failed == {PEERS[0]: "silent", PEERS[1]: "false", PEERS[5]: "outlier", PEERS[6]: "too-long"}


def test_bounds_are_met_exactly():
    assert verdict([[100] * 4] * 6 + [[300] * 4]).failed == {}
    assert verdict([[100] * 4] * 6 + [[301] * 4]).failed == {PEERS[6]: "outlier"}
    assert verdict([[100] * 4] * 6 + [[251] * 4], bound=(5, 2)).failed == {PEERS[6]: "outlier"}
    edge = 42 * 1000**2 // 8  # slack(4) * longest^2 / (2 r)
    at = int(edge**0.5)
    assert verdict([[at] * 4] * 7).failed == {}
    assert set(verdict([[at + 1] * 4] * 7).failed.values()) == {"too-long"}


def test_where_most_send_nothing_no_length_is_an_outlier():
    assert verdict([[0] * 4] * 4 + [[100] * 4] * 3).failed == {}


def test_who_contradicts_more_than_can_collude_fails_alone():
    lies = [(PEERS[2], j, 1) for j in (PEERS[0], PEERS[1])]
    assert verdict(HONEST, lies).failed == {PEERS[2]: "contradicted"}
    assert verdict(HONEST, lies, colluders=2).failed == {}
    assert verdict(HONEST, lies, colluders=0).failed == {PEERS[2]: "contradicted"}
    assert verdict(HONEST, lies[:1], colluders=0).failed == {}


def test_no_coalition_within_the_bound_makes_an_honest_peer_fail():
    """Each end of a disputed pair is judged by its own word."""
    lies = [(liar, j, 10**6) for liar in PEERS[5:] for j in PEERS[:5]]
    found = verdict(HONEST, lies, colluders=2)

    assert set(found.failed) == set(PEERS[5:])
    assert all(found.projections[i] == (100, -100, 100, 100) for i in PEERS[:5])


def test_one_false_pair_hides_a_long_update_and_names_two():
    """A limit, not a defence: nobody else knows that mask. Docs and record name the pair."""
    rows = [*HONEST[:6], [4000] * 4]
    liar, victim = PEERS[6], PEERS[0]
    hidden = verdict(rows, [(liar, victim, -4000)])

    assert hidden.failed == {}
    assert hidden.disputed == ((victim, liar),)


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peers", "sketches", "how", "told"),
    [
        (8, 4, {}, "sketches = 5 or length_bound = 3.25"),
        (8, 8, {"length_bound": 1.5}, "length_bound = 2.53"),
        (64, 32, {}, "choose sketches = 17"),
        (128, 8, {}, "fewer peers"),
        (32, 64, {"bits": 64}, "choose sketches = 22"),
        (8, 8, {"noise": 1.0}, "noise = 0"),
        (8, 8, {"leaders": True}, "without leaders"),
    ],
)
def test_settings_that_cannot_keep_their_promise_name_the_nearest_that_can(peers, sketches, how, told):
    with pytest.raises(InputError, match=told):
        check_sketches(peers, sketches, **how)


@pytest.mark.parametrize(("peers", "sketches"), [(3, 5), (8, 8), (32, 32), (64, 17), (128, 0)])
def test_settings_that_can_are_accepted(peers, sketches):
    check_sketches(peers, sketches)
    assert screened_bytes(peers, sketches) <= FRAME_BYTES


def test_what_is_declared_becomes_integers():
    made = sketching(8, 2.5, clip=4.0, frac_bits=16, bits=32, length=1000, skip=4)

    assert made == Sketching(8, (5, 2), (4 << 16) + 32, 4)
    assert sketching(0, 2.5, clip=4.0, frac_bits=16, bits=32, length=1000, skip=4) is None
    with pytest.raises(InputError, match="overflow 16 bits"):
        sketching(8, 3.0, clip=4.0, frac_bits=12, bits=16, length=1000, skip=4)


def test_lengths_that_are_safe_grow_with_the_number_of_projections():
    safe = [round(safe_length(r, (3, 1)), 2) for r in (5, 8, 16, 32, 64)]
    assert safe == [1.01, 1.19, 1.47, 1.74, 2.0]


# -- what may be solved for --------------------------------------------------------------------------------------------

PRIME = (1 << 31) - 1


def rank(rows):
    """Over the integers mod a prime, which for these small matrices is that over the rationals."""
    rows, found = [[v % PRIME for v in row] for row in rows], 0
    for column in range(len(rows[0]) if rows else 0):
        pivot = next((i for i in range(found, len(rows)) if rows[i][column]), None)
        if pivot is None:
            continue
        rows[found], rows[pivot] = rows[pivot], rows[found]
        inverse = pow(rows[found][column], -1, PRIME)
        rows[found] = [v * inverse % PRIME for v in rows[found]]
        for i in range(len(rows)):
            if i != found and rows[i][column]:
                factor = rows[i][column]
                rows[i] = [(a - factor * b) % PRIME for a, b in zip(rows[i], rows[found], strict=True)]
        found += 1
    return found


class View:
    """All linear equations that an adversary holds, over unknown updates, self masks and pair masks of n peers."""

    def __init__(self, n, size):
        self.n, self.size = n, size
        pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
        names = [("q", i) for i in range(n)] + [("b", i) for i in range(n)] + [("s", *p) for p in pairs]
        self.at = {name: k * size for k, name in enumerate(names)}
        self.width = len(names) * size
        self.rows = []

    def learn(self, *parts):
        """One equation: each part is (name, functional over its coordinates)."""
        row = [0] * self.width
        for name, functional in parts:
            for c, v in enumerate(functional):
                row[self.at[name] + c] += int(v)
        self.rows.append(row)

    def whole(self, *names):
        for c in range(self.size):
            unit = [int(c == k) for k in range(self.size)]
            self.learn(*[(name, [sign * v for v in unit]) for sign, name in names])

    def masked(self, i):
        terms = [(1, ("q", i)), (1, ("b", i))]
        terms += [(1, ("s", i, j)) for j in range(i + 1, self.n)]
        terms += [(-1, ("s", j, i)) for j in range(i)]
        self.whole(*terms)

    def determined(self):
        """How many functionals of the updates alone follow."""
        masks = [row[self.n * self.size :] for row in self.rows]
        return rank(self.rows) - rank(masks)

    def knows(self, *parts):
        before = rank(self.rows)
        self.learn(*parts)
        after = rank(self.rows)
        self.rows.pop()
        return before == after


def adversary(n, size, *, excluded=(), dropped=(), corrupt=(), u, g, seeds=2):
    """What the initiator and the corrupt see of a session with sketches; `seeds` > 1 shows projections twice."""
    view = View(n, size)
    u3 = [i for i in range(n) if i not in dropped]
    u4 = [i for i in u3 if i not in excluded]
    for i in range(n):
        view.masked(i)
    for i in u4:
        view.whole((1, ("b", i)))
    for i, j in combinations(range(n), 2):
        if {i, j} & {*excluded, *dropped, *corrupt}:
            view.whole((1, ("s", i, j)))
        for row in u[:seeds]:
            if i in u3 or j in u3:
                view.learn((("s", i, j), row))
        if i in u4 and j in u4:
            view.learn((("s", i, j), g))
    for i in u3:
        for row in u[:seeds]:
            view.learn((("b", i), row))
    for i in corrupt:
        view.whole((1, ("q", i)))
        view.whole((1, ("b", i)))
    return view, u4


@pytest.mark.parametrize(
    ("n", "excluded", "dropped", "corrupt"),
    [
        (4, (), (), ()),
        (5, (1,), (), ()),
        (5, (), (2,), ()),
        (5, (), (), (0,)),
        (6, (1,), (2,), (0,)),
        (6, (0,), (), (0,)),
    ],
)
def test_sum_one_number_and_the_projections_are_all_that_can_be_solved_for(n, excluded, dropped, corrupt):
    size, r = 6, 2
    u = directions(size, r, seed=b"r" * 32).vectors()
    g = [3, 1, -4, 1, 5, -9]
    assert rank([*u.tolist(), g]) == r + 1
    view, u4 = adversary(n, size, excluded=excluded, dropped=dropped, corrupt=corrupt, u=u, g=g)
    honest = [i for i in u4 if i not in corrupt]
    out = [i for i in excluded if i not in corrupt]

    for i in [*honest, *out]:
        for row in u:
            assert view.knows((("q", i), row))
    for i in honest:
        assert view.knows((("q", i), g))
    for c in range(size):
        assert view.knows(*[(("q", i), [int(c == k) for k in range(size)]) for i in honest])
    sum_and_numbers = size + (len(honest) - 1) * (r + 1)
    assert view.determined() == sum_and_numbers + r * len(out) + size * len(corrupt)


def test_projections_for_two_seeds_would_be_a_second_functional():
    """Why the seed is unique: the same count finds r more functionals of every peer."""
    size, g = 7, [3, 1, -4, 1, 5, -9, 2]
    u = directions(size, 4, seed=b"t" * 32).vectors()
    one, _ = adversary(4, size, u=u, g=g, seeds=2)
    two, _ = adversary(4, size, u=u, g=g, seeds=4)

    assert (one.determined(), two.determined()) == (size + 3 * 3, size + 3 * 5)


def test_whoever_knew_the_directions_could_send_any_length_unseen():
    """Why the seed comes after the vectors: a vector orthogonal to all of them, of a thousand times the length."""
    u = directions(64, 4).vectors().astype(float)
    long = np.random.default_rng(3).normal(size=64)
    long -= np.linalg.pinv(u) @ (u @ long)
    long *= 1e6 / np.linalg.norm(long)
    rows = [*HONEST[:6], [round(float(row @ long)) for row in u]]

    assert verdict(rows).failed == {}
    fresh = directions(64, 4, seed=b"f" * 32).vectors().astype(float)
    assert set(verdict([*HONEST[:6], [round(float(row @ long)) for row in fresh]]).failed) == {PEERS[6]}
