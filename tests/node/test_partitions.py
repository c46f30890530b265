"""Every row goes to one peer, no peer is empty, and the skew is the one that was asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerage.learning.partitions import parse, partition
from peerage_crypto.errors import InputError

LABELS = np.repeat(np.arange(10), 130)
SPECS = ("iid", "dirichlet:0.5", "dirichlet:0.01", "dirichlet:100", "shards:2", "quantity:0.5", "quantity:0.05")


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SPECS), st.integers(1, 60), st.integers(0, 2**40))
def test_an_exact_cover_without_empty_peers(spec, peers, seed):
    parts = partition(LABELS, spec, peers, seed)
    assert len(parts) == peers
    assert min(map(len, parts)) >= min(8, len(LABELS) // (2 * peers))
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(LABELS)))


@pytest.mark.parametrize("spec", SPECS)
def test_the_seed_decides(spec):
    one, same, other = (partition(LABELS, spec, 8, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def skew(parts):
    """Mean share of a peer's commonest class: 0.1 where classes are even, 1.0 where each peer has one."""
    return np.mean([np.bincount(LABELS[part], minlength=10).max() / len(part) for part in parts])


def test_smaller_alpha_is_more_skew():
    skews = [skew(partition(LABELS, f"dirichlet:{alpha}", 10, 0)) for alpha in (100, 1, 0.1)]
    assert skews[0] < 0.2 < skews[1] < skews[2]


def test_shards_leave_few_classes_and_equal_sizes():
    parts = partition(LABELS, "shards:2", 10, 0)
    assert max(len(np.unique(LABELS[part])) for part in parts) <= 4
    assert {len(part) for part in parts} == {130}


def test_quantity_skews_sizes_not_classes():
    sizes = sorted(map(len, partition(LABELS, "quantity:0.3", 6, 1)))
    assert sizes[-1] > 4 * sizes[0]
    assert skew(partition(LABELS, "quantity:5", 6, 1)) < 0.25


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("dirchlet:0.5", "did you mean dirichlet"),
        ("dirichlet", "positive number"),
        ("dirichlet:-1", "positive number"),
        ("dirichlet:nan", "positive number"),
        ("shards:1.5", "whole number"),
        ("iid:2", "no number"),
        ("", "iid, dirichlet"),
    ],
)
def test_a_wrong_spec_is_one_sentence(spec, sentence):
    with pytest.raises(InputError, match=sentence):
        parse(spec)


def test_more_peers_than_rows_or_shards_than_rows():
    with pytest.raises(InputError, match="5 training rows cannot be shared among 6 peers"):
        partition(np.zeros(5, np.int64), "iid", 6, 0)
    with pytest.raises(InputError, match="needs 12 rows"):
        partition(np.zeros(5, np.int64), "shards:4", 3, 0)
