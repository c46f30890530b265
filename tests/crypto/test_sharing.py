import json
from contextlib import suppress
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerage_crypto.sharing import PRIME, combine, split

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "sharing.json").read_text())
settled = settings(derandomize=True, deadline=None, max_examples=80)
secrets = st.binary(min_size=32, max_size=32)


def dealt(case):
    return split(bytes.fromhex(case["secret"]), case["xs"], case["threshold"], bytes.fromhex(case["rand"]))


def points_of(case):
    return {int(x): bytes.fromhex(share) for x, share in case["points"].items()}


def test_the_prime_is_the_declared_one_and_is_prime():
    assert str(PRIME) == VECTORS["prime"]
    odd, twos = PRIME - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in range(2, 42):  # Miller and Rabin
        powers = [pow(base, odd << i, PRIME) for i in range(twos)]
        assert powers[0] == 1 or PRIME - 1 in powers


def test_two_points_of_a_line_give_its_value_at_zero():
    case = VECTORS["by_hand"]

    assert combine(points_of(case)).hex() == case["secret"]


@pytest.mark.parametrize("case", VECTORS["splits"], ids=["counting", "all ones"])
def test_shares_keep_their_format_and_any_threshold_of_them_combine(case):
    shares = dealt(case)

    assert [share.hex() for share in shares] == case["shares"]
    for chosen in combinations(zip(case["xs"], shares, strict=True), case["threshold"]):
        assert combine(dict(chosen)).hex() == case["secret"]


@pytest.mark.parametrize("case", VECTORS["splits_refused"], ids=lambda c: c["why"])
def test_a_dealing_that_would_leak_or_fail_is_refused(case):
    with pytest.raises(ValueError):
        dealt(case)


@pytest.mark.parametrize("case", VECTORS["combines_refused"], ids=lambda c: c["why"])
def test_what_is_no_share_is_refused(case):
    with pytest.raises(ValueError):
        combine(points_of(case))


@settled
@given(secrets, secrets, st.data())
def test_any_threshold_or_more_shares_give_the_secret(secret, rand, data):
    xs = data.draw(st.lists(st.integers(1, 500), min_size=1, max_size=12, unique=True))
    threshold = data.draw(st.integers(1, len(xs)))
    chosen = data.draw(st.permutations(xs))[: data.draw(st.integers(threshold, len(xs)))]
    shares = dict(zip(xs, split(secret, xs, threshold, rand), strict=True))

    assert combine({x: shares[x] for x in chosen}) == secret


@settled
@given(secrets, secrets, st.data())
def test_one_share_too_few_fits_every_secret(secret, rand, data):
    threshold = data.draw(st.integers(2, 8))
    xs = list(range(1, threshold + 1))
    shares = dict(zip(xs, split(secret, xs, threshold, rand), strict=True))
    known = {x: shares[x] for x in xs[:-1]}

    # With the last share free, the value at zero runs through the whole field: none is ruled out.
    wanted = int.from_bytes(data.draw(secrets), "big")
    value_with_zero = _at_zero({**known, xs[-1]: bytes(33)})
    weight = (_at_zero({**known, xs[-1]: (1).to_bytes(33, "big")}) - value_with_zero) % PRIME
    last = (wanted - value_with_zero) * pow(weight, -1, PRIME) % PRIME
    assert combine({**known, xs[-1]: last.to_bytes(33, "big")}) == wanted.to_bytes(32, "big")


def _at_zero(points):
    """Lagrange by the book, one inversion for each factor."""
    total = 0
    for i, share in points.items():
        term = int.from_bytes(share, "big")
        for j in points:
            if j != i:
                term = term * j * pow(j - i, -1, PRIME) % PRIME
        total += term
    return total % PRIME


@settled
@given(secrets, secrets, st.integers(0, 4), st.integers(1, 2**256))
def test_a_forged_share_changes_the_result(secret, rand, forged, shift):
    xs = [1, 2, 3, 4, 5]
    shares = dict(zip(xs, split(secret, xs, 5, rand), strict=True))
    value = (int.from_bytes(shares[xs[forged]], "big") + shift) % PRIME
    with suppress(ValueError):
        assert combine({**shares, xs[forged]: value.to_bytes(33, "big")}) != secret


def test_one_randomness_under_two_secrets_does_not_show_their_difference():
    one, other = bytes(32), bytes(31) + b"\x01"
    shares = zip(split(one, [1, 2, 3], 2, bytes(32)), split(other, [1, 2, 3], 2, bytes(32)), strict=True)

    differences = {(int.from_bytes(b, "big") - int.from_bytes(a, "big")) % PRIME for a, b in shares}

    assert len(differences) == 3  # a shared polynomial would shift all by 1
