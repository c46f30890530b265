"""Buckets: separate sums under one roster, one vote and one certificate."""

from dataclasses import replace
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohort import Cohort
from peerage_crypto import secagg_collector as sc
from peerage_crypto.buckets import FLAT, Grouping, least_survivors, live, tolerated, void_members
from peerage_crypto.opening import open_numbers, products_of
from peerage_crypto.secagg_judge import judge_session, judge_sum
from peerage_crypto.secagg_sum import ring_bytes
from peerage_crypto.session import Manifest, Survivors
from peerage_crypto.statements import sign

change = msgspec.structs.replace


def names(count: int) -> tuple[bytes, ...]:
    return tuple(bytes([i]) * 20 for i in range(count))


def sums_of(told: Cohort) -> list[np.ndarray]:
    return list(told.summed.total.reshape(len(told.proven.groups), told.plan.length))


# -- who is in which ---------------------------------------------------------------------------------------------------


@given(st.integers(3, 128), st.integers(1, 30), st.binary(min_size=32, max_size=32))
def test_drawn_buckets_cover_everybody_once_with_five_or_more_in_each(count, wanted, seed):
    members = names(count)
    buckets = Grouping(wanted).split(members, seed)

    assert sorted(m for bucket in buckets for m in bucket) == list(members)
    assert len(buckets) == (1 if wanted == 1 else max(1, min(wanted, count // 5)))
    assert len(buckets) == 1 or min(map(len, buckets)) >= 5
    assert max(map(len, buckets)) - min(map(len, buckets)) <= 1
    assert all(list(bucket) == sorted(bucket) for bucket in buckets)


def test_the_draw_follows_the_roster_and_changes_with_it():
    members = names(20)
    assert Grouping(4).split(members, b"a" * 32) == Grouping(4).split(members, b"a" * 32)
    assert Grouping(4).split(members, b"a" * 32) != Grouping(4).split(members, b"b" * 32)


def test_regions_are_buckets_and_a_region_with_too_few_here_joins_the_next():
    m = names(17)
    regions = (frozenset(m[:6]), frozenset(m[6:11]), frozenset(m[11:]))
    assert Grouping(regions=regions).split(m, b"") == (m[:6], m[6:11], m[11:])
    here = m[:6] + m[8:]
    assert Grouping(regions=regions).split(here, b"") == (m[:6], m[8:])
    assert Grouping(regions=regions).split(m[:6] + m[6:9], b"") == (m[:9],), (
        "the last too small one joins the one before"
    )
    assert Grouping(regions=regions).split(m[:3], b"") == (m[:3],)


@pytest.mark.parametrize(("size", "lost", "least"), [(5, 1, 4), (7, 1, 6), (8, 1, 7), (16, 2, 14), (24, 3, 21)])
def test_a_bucket_tolerates_an_eighth_of_it(size, lost, least):
    assert (tolerated(size), least_survivors(size)) == (lost, least)


def test_who_stays_of_a_bucket_that_lost_too_many_is_void_and_of_a_single_one_never():
    m = names(10)
    buckets = (m[:5], m[5:])
    assert void_members(buckets, m[1:]) == frozenset()
    assert void_members(buckets, m[2:]) == frozenset(m[2:5])
    assert void_members((m,), m[8:]) == frozenset()
    assert (live(buckets, m[5:]), live(buckets, m)) == (1, 2)


# -- sums --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def twelve() -> Cohort:
    return Cohort(12, length=6, grouping=Grouping(2)).run()


def test_each_bucket_has_its_own_exact_sum_and_together_they_are_the_flat_one(twelve):
    flat = Cohort(12, length=6).run()

    assert [len(g) for g in twelve.proven.groups] == [6, 6]
    for group, total in zip(twelve.proven.groups, sums_of(twelve), strict=True):
        assert ring_bytes(total) == ring_bytes(twelve.plain_sum(group))
    assert ring_bytes(np.add.reduce(sums_of(twelve), dtype=np.uint32)) == ring_bytes(flat.summed.total)
    assert not judge_sum(twelve.proven, twelve.transcript, twelve.masked(), ring_bytes(twelve.summed.total))


def test_masks_stay_inside_a_bucket_and_shares_go_to_the_whole_roster(twelve):
    for group in twelve.proven.groups:
        for peer in group:
            assert set(twelve.members[peer].pair_keys) == set(group) - {peer}
            assert len(twelve.proven.roster.holders(peer)) == 11


def test_numbers_open_inside_buckets(twelve):
    g = np.array([1, 2, 3, 0, 0, 2**32 - 1], np.uint32)
    vectors = {p: np.frombuffer(blob, "<u4") for p, blob in twelve.masked().items()}
    stated = {p: twelve.openings(p, g).values for p in twelve.proven.u3}
    told = open_numbers(twelve.proven, twelve.transcript, products_of(vectors, g, twelve.proven), g, stated)

    assert told.numbers == {p: twelve.plain_number(p, g) for p in twelve.proven.u3}


def place(told: Cohort, bucket: int) -> list[int]:
    return [told.addresses.index(p) for p in told.proven.roster.buckets[bucket]]


def test_one_loss_in_a_bucket_is_borne(twelve):
    lost = place(twelve, 0)[1]
    told = Cohort(12, length=6, grouping=Grouping(2), vanish={lost: sc.Step.VECTORS}).run()

    assert sorted(len(g) for g in told.proven.groups) == [5, 6]
    for group, total in zip(told.proven.groups, sums_of(told), strict=True):
        assert ring_bytes(total) == ring_bytes(told.plain_sum(group))


def void_round(**how) -> Cohort:
    """Twenty-four in three buckets; two of one bucket are lost: it is void, and the others go on."""
    first = Cohort(24, length=3, grouping=Grouping(3)).run()
    lost = [i for i in place(first, 1) if i][:2]  # not the initiator
    return Cohort(24, length=3, grouping=Grouping(3), vanish=dict.fromkeys(lost, sc.Step.VECTORS), **how).run()


def test_a_bucket_that_lost_too_many_is_void_and_the_others_are_summed():
    told = void_round()
    bucket = told.proven.roster.buckets[1]

    assert len(told.proven.groups) == 2
    assert not set(bucket) & set(told.proven.u3)
    for group, total in zip(told.proven.groups, sums_of(told), strict=True):
        assert ring_bytes(total) == ring_bytes(told.plain_sum(group))
    assert {r.culprit for p, r in told.refusals.items()} == {None}, "its members are left out, and blame nobody"
    revealed = {p for p, _ in zip(told.proven.u3, told.transcript.self_seeds, strict=True)}
    assert not revealed & set(bucket), "no self seed of the void bucket is out: its vectors stay masked"


def test_a_rule_that_needs_more_buckets_than_are_left_ends_the_round():
    first = Cohort(24, length=3, grouping=Grouping(3, least=3)).run()
    assert first.summed
    lost = [i for i in place(first, 1) if i][:2]
    how = {"grouping": Grouping(3, least=3), "vanish": dict.fromkeys(lost, sc.Step.VECTORS)}
    assert "too few buckets" in Cohort(24, length=3, **how).run().abandoned


def test_a_roster_too_small_for_the_rules_buckets_is_refused():
    told = Cohort(12, length=3, grouping=Grouping(3, least=3)).run()
    assert "2 buckets where the rule needs 3" in told.abandoned


# -- a lying initiator -------------------------------------------------------------------------------------------------


def without(told: Cohort, message: Survivors, gone: set[bytes]) -> Survivors:
    roster = told.collector.roster
    left = [p for p in roster.select(message.u3) if p not in gone]
    kept = [m for p, m in zip(roster.select(message.u3), message.manifests, strict=True) if p in left]
    return change(message, u3=roster.bitmap(frozenset(left)), manifests=tuple(kept))


def lie(gone) -> Cohort:
    """The initiator leaves some out of the survivors; `gone` chooses them from the initiator's Cohort."""
    box = SimpleNamespace(told=None)

    def cheat(_sender, _receiver, message):
        return without(box.told, message, gone(box.told)) if isinstance(message, Survivors) else message

    box.told = Cohort(24, length=3, grouping=Grouping(3), cheat=cheat)
    return box.told.run()


def other_bucket(told: Cohort) -> tuple[bytes, ...]:
    roster = told.collector.roster
    return next(b for b in roster.buckets if told.plan.initiator not in b)


def test_a_whole_bucket_whose_vectors_can_be_had_is_not_voted_away():
    told = lie(lambda told: set(other_bucket(told)))

    assert told.summed is None
    assert sum("can be had" in r.sentence for r in told.refusals.values()) == 16


def test_a_bucket_below_its_floor_gets_no_vote():
    told = lie(lambda told: set(other_bucket(told)[:2]))

    assert told.summed is None
    assert sum("lost too many" in r.sentence for r in told.refusals.values()) == 22


def test_a_manifest_for_another_bucket_is_its_owners_fault():
    box = SimpleNamespace(told=None)

    def cheat(sender, _receiver, message):
        if not isinstance(message, Manifest) or sender != box.told.addresses[3]:
            return message
        s = change(message.signed.statement, bucket=1 - message.signed.statement.bucket)
        return change(message, signed=sign(s, box.told.people[3], box.told.plan.domain))

    box.told = Cohort(12, length=3, grouping=Grouping(2), cheat=cheat)
    box.told.run()
    assert {b.culprit for b in box.told.blames} == {box.told.addresses[3]}
    assert box.told.addresses[3] not in box.told.proven.u3


def test_an_auditor_refuses_a_transcript_with_a_bucket_below_its_floor():
    told = void_round()
    as_flat, strict = replace(told.plan, grouping=FLAT), replace(told.plan, grouping=Grouping(3, least=3))

    assert {f.code for f in judge_session(as_flat, told.transcript)} == {"manifest-view"}
    assert [f.code for f in judge_session(strict, told.transcript)] == ["session-bucket"]
