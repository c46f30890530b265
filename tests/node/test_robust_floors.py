"""A rule that cannot keep its promise is refused, with the nearest configuration that can."""

import re

import pytest
from msgspec import structs

from peerage.config import DataSettings, Federation, Region, RobustSettings
from peerage.robust.floors import KNOWN, check_robust, check_rule, least_vectors, most_byzantine
from peerage_crypto.errors import InputError


def federation(peers=8, exchange="masked", regions=(), **robust):
    base = Federation(peers=peers, exchange=exchange, data=DataSettings(), regions=regions)
    return structs.replace(base, robust=structs.replace(RobustSettings(), **robust))


def region(name, peers):
    return Region(name=name, peers=tuple(f"{name}-{i}" for i in range(peers)))


def test_floors():
    assert [least_vectors("krum", f) for f in range(4)] == [3, 5, 7, 9]
    assert [least_vectors("multi-krum", f) for f in range(4)] == [3, 5, 7, 9]
    assert [least_vectors("median", f) for f in range(4)] == [1, 3, 5, 7]
    assert [most_byzantine("krum", m) for m in range(2, 8)] == [-1, 0, 0, 1, 1, 2]
    for rule in KNOWN:
        for m in range(1, 20):
            most = most_byzantine(rule, m)
            assert most < 0 or least_vectors(rule, most) <= m
            assert rule == "mean" or least_vectors(rule, most + 1) > m


def test_the_sentences():
    with pytest.raises(InputError) as refused:
        check_rule("krum", 4, 2)
    assert str(refused.value) == (
        "krum with f = 2 needs 7 buckets, there are 4: choose byzantine = 0 or buckets = 7 (needs 35 peers)"
    )
    with pytest.raises(InputError, match=r"needs 7 peers, there are 6: choose byzantine = 1 or peers = 7$"):
        check_rule("multi-krum", 6, 2, each=1, what="peers")
    with pytest.raises(InputError, match=r"choose byzantine = 0, or rule = \"median\" with buckets = 3"):
        check_rule("mean", 3, 1)
    with pytest.raises(InputError, match=r"trims nothing: choose byzantine = 1, or rule = \"mean\""):
        check_rule("trimmed-mean", 5, 0)
    with pytest.raises(InputError, match=r"choose buckets = 5 \(needs 25 peers\)$"):
        check_rule("trimmed-mean", 2, 2)


@pytest.mark.parametrize("rule", KNOWN)
@pytest.mark.parametrize("exchange", ["masked", "plain"])
@pytest.mark.parametrize("peers", [3, 7, 12, 24, 40])
def test_the_configuration_that_is_named_works(rule, exchange, peers):
    """Whatever is refused: do what the sentence says, at most three times, and it is taken."""
    for buckets in range(1, 9 if exchange == "masked" else 2):
        for byzantine in range(5):
            settings = {"peers": peers, "rule": rule, "buckets": buckets, "byzantine": byzantine}
            for _ in range(4):
                try:
                    check_robust(federation(exchange=exchange, **settings))
                except InputError as refused:
                    settings.update(advice(str(refused)))
                else:
                    break
            else:
                pytest.fail(f"never taken: {settings}")


def advice(sentence):
    """The last way out that a refusal names, as settings."""
    words = re.split(r", or | or ", sentence.split("choose ")[1])[-1]
    found = {name: int(value) for name, value in re.findall(r"(byzantine|buckets|peers) = (\d+)", words)}
    for peers in re.findall(r"needs (\d+) peers", words):
        found["peers"] = int(peers)
    for rule in re.findall(r'rule = "([a-z-]+)"', words):
        found |= {"rule": rule, "byzantine": 0} if rule == "mean" else {"rule": rule}
    return found


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"peers": 12, "rule": "median", "buckets": 3, "byzantine": 1}, r"needs 15 peers.*choose buckets = 2 with"),
        ({"peers": 12, "buckets": 3}, r"choose buckets = 2$"),
        ({"peers": 30, "rule": "krum", "buckets": 6, "byzantine": 2}, r"buckets = 7 \(needs 35 peers\)"),
        ({"peers": 30, "exchange": "plain", "rule": "median", "buckets": 3}, r"choose buckets = 1"),
        ({"peers": 8, "rule": "local-reference"}, r"which masks hide"),
    ],
)
def test_refused(settings, match):
    with pytest.raises(InputError, match=match):
        check_robust(federation(**settings))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"peers": 2, "exchange": "plain"},
        {"peers": 25, "rule": "krum", "buckets": 5, "byzantine": 1},
        {"peers": 10, "buckets": 2},
        {"peers": 7, "exchange": "plain", "rule": "multi-krum", "byzantine": 2},
        {"peers": 2, "exchange": "plain", "rule": "local-reference"},
    ],
)
def test_taken(settings):
    check_robust(federation(**settings))


def test_regions_are_buckets():
    three = tuple(region(name, 5) for name in ("north", "south", "west"))
    check_robust(federation(15, regions=three, rule="median", byzantine=1))
    check_robust(federation(15, regions=three, rule="median", byzantine=1, buckets=3))
    with pytest.raises(InputError, match="every region is a bucket, choose buckets = 3"):
        check_robust(federation(20, regions=three, rule="median", byzantine=1, buckets=4))
    with pytest.raises(InputError, match="region west has 4 peers"):
        check_robust(federation(14, regions=(*three[:2], region("west", 4)), rule="median", byzantine=1))
    with pytest.raises(InputError, match="needs 5 buckets, there are 3"):
        check_robust(federation(15, regions=three, rule="krum", byzantine=1))
