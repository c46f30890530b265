"""Our rules beside byzfl's on random vectors (LPD-EPFL/byzfl 0.0.11; scripts/setup installs it without its needs).

byzfl counts m - f - 1 nearest others in Krum where Blanchard et al. have m - f - 2: its Krum for f + 1 is ours for f.
Its geometric median starts from zero, ours from the mean: both are given vectors around their mean.
"""

import importlib.util
import sys
import types
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerage.robust.exact import rows_of
from peerage.robust.rules import WEISZFELD_STEPS, combine, geometric_median, mean_of, ranked


def _aggregators():
    """byzfl's aggregators alone: the package itself imports torchvision and plots."""
    spec = importlib.util.find_spec("byzfl")
    if spec is None:
        pytest.skip("byzfl is not installed: .venv/bin/pip install --no-deps byzfl==0.0.11", allow_module_level=True)
    package = types.ModuleType("byzfl")
    package.__path__ = [str(Path(spec.origin).parent)]
    sys.modules["byzfl"] = package
    try:
        return importlib.import_module("byzfl.aggregators.aggregators")
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "byzfl"]:
            del sys.modules[name]


byzfl = _aggregators()


@st.composite
def buckets(draw, least, most_f=3):
    """(sums, counts, f) with at least `least`(f) buckets of five to nine updates each."""
    f = draw(st.integers(0, most_f))
    m = draw(st.integers(least(f), least(f) + 5))
    d = draw(st.integers(1, 40))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    scale = draw(st.sampled_from([2**4, 2**16, 2**28, 2**40]))
    counts = [int(c) for c in random.integers(5, 10, m)]
    return [random.integers(-scale * c, scale * c, d) for c in counts], counts, f


def means(sums, counts):
    return [s / c for s, c in zip(sums, counts, strict=True)]


def close(ours, theirs, sums):
    size = max(1.0, *(float(np.abs(s).max()) for s in sums))
    return np.abs(ours - np.asarray(theirs)).max() <= 1e-12 * size


@settings(max_examples=60, deadline=None)
@given(buckets(lambda f: 2 * f + 1))
def test_mean_median_and_trimmed_mean(case):
    sums, counts, f = case
    vectors = means(sums, counts)
    assert close(combine("median", sums, counts, f), byzfl.Median()(vectors), sums)
    assert close(combine("trimmed-mean", sums, counts, f), byzfl.TrMean(f)(vectors), sums)
    equal = [5] * len(sums)  # byzfl's average has no counts
    assert close(combine("mean", sums, equal, 0), byzfl.Average()(means(sums, equal)), sums)


@settings(max_examples=60, deadline=None)
@given(buckets(lambda f: 2 * f + 3))
def test_krum(case):
    sums, counts, f = case
    if len(sums) - f - 2 == 1:  # the two nearest to each other tie, and byzfl takes the first of them
        sums, counts = [*sums, sums[0] + 1], [*counts, counts[0]]
    assert close(combine("krum", sums, counts, f), byzfl.Krum(f + 1)(means(sums, counts)), sums)


@settings(max_examples=60, deadline=None)
@given(buckets(lambda f: 2 * f + 3))
def test_multi_krum(case):
    """byzfl keeps one vector more than it counts neighbours; ours as many as it counts."""
    sums, counts, f = case
    rows, m = rows_of(sums, counts), len(sums)
    theirs = byzfl.MultiKrum(f)(means(sums, counts))
    assert close(mean_of(rows, ranked(rows, m - f - 1)[: m - f]), theirs, sums)
    ours = combine("multi-krum", sums, counts, f)
    assert close(ours, mean_of(rows, ranked(rows, m - f - 2)[: m - f - 2]), sums)


@settings(max_examples=60, deadline=None)
@given(buckets(lambda f: 2 * f + 1))
def test_geometric_median(case):
    sums, counts, f = case
    vectors = np.array(means(sums, counts))
    centre = vectors.mean(axis=0)
    for steps in (1, 3, WEISZFELD_STEPS):
        theirs = centre + byzfl.GeometricMedian(nu=1.0, T=steps + 1)(vectors - centre)
        ours = geometric_median(rows_of(sums, counts), steps=steps + 1)
        size = max(1.0, float(np.abs(vectors).max()))
        assert np.abs(ours - theirs).max() <= 1e-9 * size
    assert np.array_equal(combine("geometric-median", sums, counts, f), geometric_median(rows_of(sums, counts)))


@pytest.mark.parametrize("seed", range(20))
def test_krum_by_fractions(seed):
    """The definition, in exact arithmetic and without our tricks."""
    random = np.random.default_rng(seed)
    f, m = 2, 7 + seed % 3
    counts = [int(c) for c in random.integers(5, 10, m)]
    sums = [random.integers(-(2**40), 2**40, 6) for _ in range(m)]
    x = [[Fraction(int(v), c) for v in s] for s, c in zip(sums, counts, strict=True)]
    apart = [[sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) for other in x] for one in x]
    score = [sum(sorted(row[:i] + row[i + 1 :])[: m - f - 2]) for i, row in enumerate(apart)]
    best = min(range(m), key=score.__getitem__)
    assert np.array_equal(combine("krum", sums, counts, f), sums[best] / counts[best])
