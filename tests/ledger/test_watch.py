"""The watch on the EVM, and read by the auditor: a model drifts, recovers, and is replaced after exactly k periods."""

from dataclasses import astuple, replace

import numpy as np
import pytest

from market_twin import CHAIN, PERIOD, Twin
from peerage.watching.session import Counts, check, masked_sum, plan_of
from peerage_crypto.digest import sha256
from peerage_crypto.errors import InputError, OurError
from peerage_ledger.market.statements import Performance, Watch, task_name

ROWS = 200  # fresh rows of each watcher in each period


@pytest.fixture
def twin():
    return Twin()


class Ground:
    """What `plan_of` takes from a deployment."""

    def __init__(self, twin):
        self.chain_id, self.registry, self.ledger = CHAIN, twin.at["PeerRegistry"], twin.at["RoundLedger"]


def opened(twin, **other):
    watch = Watch(**{"record": twin.record.record_hash(), "round": 1} | _rule() | other)
    digest = watch.digest(CHAIN, twin.at["ModelWatch"])
    assert twin.refusal(twin.buyer, "ModelWatch", "open", astuple(watch), twin.signed(digest)) == ""
    return digest


def _rule():
    return {"threshold": 8000, "recovery": 8500, "periods": 3, "watchers": 3}


def report(twin, sums, wait=PERIOD, signers=3):
    signatures = twin.signed(sums.digest(CHAIN, twin.at["ModelWatch"]), signers)
    return twin.refusal(twin.buyer, "ModelWatch", "report", astuple(sums), signatures, wait=wait)


def drifting(twin, name, period, chance):
    """Every watcher's own rows: a feature decides the label, and has moved so that the model is right with `chance`."""
    draw = np.random.default_rng([period, 7])
    own = {}
    for peer in twin.peers:
        truth = draw.random(ROWS) < 0.5
        answers = np.where(draw.random(ROWS) < chance, truth, ~truth)
        own[peer.address] = Counts(1, int((answers == truth).sum()), ROWS)
    accounts = {peer.address: peer for peer in twin.peers}
    plan = plan_of(Ground(twin), frozenset(accounts), min(accounts), name, period, sha256(bytes([period])))
    evidence = masked_sum(plan, accounts, own, sha256(b"root", bytes([period])))
    check(plan, evidence)
    found = evidence.counts
    assert found == Counts(4, sum(c.correct for c in own.values()), 4 * ROWS)
    return Performance(name, period, found.correct, found.total, found.watchers)


def test_drifting_data_open_a_task_after_exactly_k_bad_periods_and_recovery_sets_them_back(twin):
    name = opened(twin)
    # the chance of a right answer, and the bad periods that must stand after it
    story = [(0.92, 0), (0.74, 1), (0.70, 2), (0.825, 2), (0.90, 0), (0.75, 1), (0.71, 2), (0.82, 2), (0.66, 3)]
    for period, (chance, bad) in enumerate(story, 1):
        standing = twin.view("ModelWatch", "standingOf", name)
        assert not any(standing[4])  # not before
        assert report(twin, drifting(twin, name, period, chance)) == ""
        assert twin.view("ModelWatch", "standingOf", name)[3] == bad
    task = task_name(name, len(story))
    assert twin.view("ModelWatch", "standingOf", name)[4] == task
    assert twin.view("ModelWatch", "predecessorOf", task) == twin.record.record_hash()
    assert report(twin, Performance(name, len(story) + 1, 1, 1, 3)) == "WatchOver"


def test_gaps_replays_haste_and_impossible_counts_are_refused_by_name(twin):
    name = opened(twin)
    first = Performance(name, 1, 90, 100, 3)
    assert report(twin, first, wait=0) == "TooSoon"
    assert report(twin, first, signers=2) == "QuorumMissing"
    assert report(twin, first) == ""
    assert report(twin, first) == "StalePeriod"
    assert report(twin, replace(first, period=3)) == "PeriodGap"
    second = replace(first, period=2)
    for change, error in [
        ({"correct": 101}, "BadCounts"),
        ({"total": 0, "correct": 0}, "BadCounts"),
        ({"total": 1 << 128, "correct": 0}, "BadCounts"),
        ({"watchers": 2}, "TooFewWatchers"),
        ({"watch": b"n" * 32}, "UnknownWatch"),
    ]:
        assert report(twin, replace(second, **change)) == error
    assert report(twin, replace(second, total=(1 << 128) - 1, correct=(1 << 128) - 1)) == ""


@pytest.mark.parametrize(
    "change", [{"threshold": 0}, {"threshold": 8501}, {"recovery": 10_001}, {"periods": 0}, {"watchers": 2}]
)
def test_terms_that_make_no_sense_are_refused(twin, change):
    watch = Watch(**{"record": twin.record.record_hash(), "round": 1} | _rule() | change)
    digest = watch.digest(CHAIN, twin.at["ModelWatch"])
    assert twin.refusal(twin.buyer, "ModelWatch", "open", astuple(watch), twin.signed(digest)) == "BadTerms"


def test_a_watch_is_of_a_recorded_model_and_comes_once(twin):
    opened(twin)
    for watch, error in (
        (Watch(twin.record.record_hash(), 1, **_rule()), "AlreadyWatched"),
        (Watch(b"n" * 32, 1, **_rule()), "UnknownRecord"),
    ):
        digest = watch.digest(CHAIN, twin.at["ModelWatch"])
        assert twin.refusal(twin.buyer, "ModelWatch", "open", astuple(watch), twin.signed(digest)) == error
    opened(twin, serial=1)


# -- the masked sum


def session(twin, counts, count=4, nonce=b"n" * 32):
    accounts = {peer.address: peer for peer in twin.peers[:count]}
    plan = plan_of(Ground(twin), frozenset(p.address for p in twin.peers), min(accounts), b"w" * 32, 1, nonce)
    own = dict(zip(accounts, counts, strict=False))
    return plan, masked_sum(plan, accounts, own, b"r" * 32)


def test_only_the_sum_is_in_the_evidence(twin):
    counts = [Counts(1, 11 * i, 100 + i) for i in range(4)]
    _, evidence = session(twin, counts)
    assert evidence.counts == Counts(4, 66, 406)
    for peer, one in zip(evidence.vectors, counts, strict=True):
        masked = np.frombuffer(evidence.vectors[peer], "<u8")
        assert not set(masked.tolist()) & {one.correct, one.total}


def test_a_sum_that_was_changed_does_not_hold(twin):
    plan, evidence = session(twin, [Counts(1, 1, 2)] * 4)
    check(plan, evidence)
    with pytest.raises(OurError, match="does not hold"):
        check(plan, replace(evidence, counts=Counts(4, 5, 8)))
    other = plan_of(Ground(twin), plan.registered, plan.initiator, b"w" * 32, 2, b"n" * 32)
    with pytest.raises(OurError, match="does not hold"):
        check(other, evidence)  # of another period
    first = next(iter(evidence.vectors))
    with pytest.raises(OurError, match="does not hold"):
        check(plan, replace(evidence, vectors=evidence.vectors | {first: bytes(24)}))


def test_too_few_watchers_and_impossible_counts_make_no_sum(twin):
    with pytest.raises(InputError, match="under masks"):
        session(twin, [Counts(1, 1, 2)] * 3, count=3)  # of four registered: below the smallest roster
    with pytest.raises(InputError, match="count again"):
        session(twin, [Counts(1, 3, 2)] * 4)
