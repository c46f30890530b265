"""Sessions that screen their survivors: who is too long is out and named, who lies is convicted, losses are borne."""

import msgspec
import numpy as np
import pytest

from cohort import DOMAIN, Cohort
from peerage_crypto.buckets import Grouping
from peerage_crypto.fixedpoint import into_ring, ring
from peerage_crypto.identity import Account
from peerage_crypto.masking import inner
from peerage_crypto.opening import open_numbers
from peerage_crypto.secagg_collector import Collector, Step, Summed
from peerage_crypto.secagg_judge import Fault, Proven, judge_session, judge_sum
from peerage_crypto.secagg_member import Member, Refuse, Stage
from peerage_crypto.session import Certificate, Revealed
from peerage_crypto.sketch_collector import SketchingCollector
from peerage_crypto.sketch_judge import LIES
from peerage_crypto.sketch_member import SketchingMember
from peerage_crypto.sketch_messages import Approval, Cleared, Screened, Seeded, SeedShares, Sketched
from peerage_crypto.sketch_terms import Sketching, late_commitment
from peerage_crypto.sketches import Stated, numbers_digest
from peerage_crypto.statements import Screening, Sketch, sign

change = msgspec.structs.replace
SIZE, SKIP, LENGTH = 300, 4, 1700
TERMS = Sketching(8, (3, 1), 2000, SKIP)


def updates(count, long=(), factor=100, size=SIZE, seed=0):
    """Counts ahead, then updates of about equal length; those of `long` are so many times as long."""
    draw, found = np.random.default_rng(seed), []
    for i in range(count):
        v = draw.normal(size=size) * 100 * (factor if i in long else 1)
        v[:SKIP] = 10**6 + i
        found.append(into_ring(np.rint(v).astype(np.int64), ring(32)))
    return found


def play(count=8, *, long=(), factor=100, vectors=None, terms=TERMS, run=True, **how):
    told = Cohort(count, length=SIZE, sketches=terms, vectors=vectors or updates(count, long, factor), **how)
    return told.run() if run else told


def names(told, *indices):
    return {told.addresses[i] for i in indices}


def in_sum(told):
    assert isinstance(told.proven, Proven), told.proven
    assert np.array_equal(told.summed.total, told.plain_sum(told.proven.u3)), "the exact sum of exactly those"
    assert judge_sum(told.proven, told.transcript, told.masked(), told.summed.total.tobytes()) == []
    return set(told.proven.u3)


def person(told, i) -> Account:
    return told.people[i]


def resign(told, i, message, edit):
    """A liar's own sketch with other numbers, properly signed."""
    member = told.members[told.addresses[i]]
    partners = [m for m in member.roster.partners(member.me) if m in member.u2]
    stated = edit(Stated.from_bytes(message.numbers, partners, told.plan.sketches.count, told.plan.ring))
    numbers = stated.to_bytes(told.plan.ring)
    statement = change(message.signed.statement, values=numbers_digest(numbers))
    return Sketched(message.sid, sign(statement, person(told, i), DOMAIN), numbers)


def lie(i, edit):
    """A cheat: member i states something else in its sketch, to all alike."""

    def cheat(told):
        def said(sender, _to, message):
            if sender == told.addresses[i] and isinstance(message, Sketched):
                return resign(told, i, message, lambda s: edit(told, s))
            return message

        return said

    return cheat


def liar(i, edit, count=8, **how):
    told = play(count, run=False, **how)
    told.cheat = lie(i, edit)(told)
    return told.run()


def minus_projections(told, i):
    """What a long update must add to its projections to look like nothing."""
    u = told.members[told.addresses[i]]._directions.vectors()
    return [int(-(u @ told.vectors[told.addresses[i]].view(np.int32).astype(np.int64))[k]) for k in range(len(u))]


def add(numbers, by):
    return tuple((v + b) % 2**32 for v, b in zip(numbers, by, strict=True))


# -- everybody is honest -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [16, 32, 64])
def test_everybody_passes_and_all_projections_are_the_plain_ones(bits):
    vectors = [(v.view(np.int32) // (8 if bits == 16 else 1)).astype(ring(bits).dtype) for v in updates(6)]
    told = play(6, vectors=vectors, bits=bits)
    assert in_sum(told) == set(told.addresses)
    screening = told.proven.screening
    u = screening.directions.vectors()

    for peer, found in screening.verdict.projections.items():
        q = told.vectors[peer].view(f"i{bits // 8}").astype(np.int64)
        assert found == tuple(int(row @ q) for row in u)
    assert screening.failed == {}
    assert (told.refusals, told.blames, told.accused) == ({}, [], {})


def test_counts_ahead_of_the_update_change_no_projection():
    other = updates(5)
    for i, v in enumerate(other):
        v[:SKIP] = 7 + i
    projections = [play(5, vectors=v).proven.screening for v in (updates(5), other)]
    squares = [[sum(s * s for s in p.verdict.projections[a]) for a in p.case.u3] for p in projections]

    assert projections[0].directions.seed != projections[1].directions.seed  # other vectors, another seed
    assert max(squares[0] + squares[1]) < 8 * 3 * LENGTH**2  # a count of 10^6 would show


STEPS = [Step.SHARES, Step.VECTORS, Step.VOTES, Step.SEEDS, Step.SKETCHES, Step.SCREENINGS, Step.REVEALS]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("who", [0, 3])
def test_whoever_vanishes_at_any_step_the_others_sum_is_exact(step, who):
    told = play(8, vanish={who: step})
    if step in (Step.SCREENINGS, Step.REVEALS):  # its update passed: it is in
        assert in_sum(told) == set(told.addresses)
    else:
        assert in_sum(told) == set(told.addresses) - names(told, who)
    assert all(a == told.addresses[who] and r.culprit is None for a, r in told.refusals.items())


def test_without_a_quorum_of_approvals_no_second_certificate_is_shown():
    told = play(8, vanish=dict.fromkeys((2, 3, 4), Step.SCREENINGS))
    assert told.abandoned == "only 5 of the 6 votes that a screening needs"
    assert not told.said(Cleared)


@pytest.mark.parametrize("step", STEPS)
def test_beyond_the_tolerance_the_session_is_given_up_at_any_step(step):
    told = play(8, vanish=dict.fromkeys((2, 3, 4), step))
    assert told.abandoned
    assert told.summed is None


def test_losses_and_a_long_update_together():
    told = play(12, long=(5,), vanish={2: Step.VECTORS, 9: Step.SKETCHES})
    assert in_sum(told) == set(told.addresses) - names(told, 2, 5, 9)
    assert told.proven.screening.failed == {told.addresses[5]: "too-long"}


def test_the_one_number_of_each_survivor_is_opened_as_ever():
    told = play(8, long=(5,))
    g = np.arange(SIZE, dtype=np.uint32)
    products = {a: inner(np.frombuffer(b, np.uint32), g, told.plan.ring) for a, b in told.masked().items()}
    stated = {a: told.openings(a, g).values for a in told.proven.u3}
    numbers = open_numbers(told.proven, told.transcript, products, g, stated).numbers

    assert numbers == {a: told.plain_number(a, g) for a in told.proven.u3}
    assert told.members[told.proven.u3[0]].may_open(b"g" * 32, is_mine=True) == ""


def test_a_repeated_request_gets_the_same_bytes_and_no_second_projection():
    told = play(5)
    for peer, member in told.members.items():
        (seeded,), (screened,), (cleared,) = (told.said(k) for k in (Seeded, Screened, Cleared))
        (mine,) = told.said(Sketched, told.addresses.index(peer))
        assert [e.message for e in member.on_seeded(seeded)] == [mine]
        assert member.on_seeded(change(seeded, lates=tuple(reversed(seeded.lates)))) == []
        assert [type(e.message) for e in member.on_screened(screened)] == [Approval]
        assert [type(e.message) for e in member.on_cleared(cleared)] == [Revealed]
        assert member.on_cleared(change(cleared, votes=())) == []


@pytest.mark.parametrize("step", [Step.SEEDS, Step.SKETCHES, Step.SCREENINGS])
def test_the_silent_are_reminded_and_then_answer(step):
    kinds = {Step.SEEDS: SeedShares, Step.SKETCHES: Sketched, Step.SCREENINGS: Approval}
    told, lost = play(5, run=False), []

    def once_lost(sender, to, message):
        if isinstance(message, kinds[step]) and sender == told.addresses[3] and (sender, to) not in lost:
            lost.append((sender, to))
            return None
        return message

    told.cheat = once_lost
    told.join()
    while told._queue:
        told._carry(*told._queue.popleft())
    assert told.collector.step is step
    told._collected(told.collector.remind())
    while told._queue:
        told._carry(*told._queue.popleft())

    assert in_sum(told) == set(told.addresses)


# -- long updates ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", [0, 3, 7])
def test_a_huge_update_is_left_out_and_named_and_the_others_sum_is_exact(who):
    told = play(8, long=(who,))
    villain = told.addresses[who]
    assert in_sum(told) == set(told.addresses) - {villain}
    assert told.proven.screening.failed == {villain: "too-long"}
    assert [b.culprit for b in told.blames] == [villain]
    others = set(told.addresses) - {villain}
    assert {a for a, found in told.accused.items() if [x.culprit for x in found] == [villain]} == others
    assert told.refusals[villain].culprit is None


def test_an_outlier_within_the_clip_is_left_out_by_the_median():
    told = play(8, long=(3,), factor=6, terms=Sketching(32, (3, 1), 200_000, SKIP))
    assert told.proven.screening.failed == {told.addresses[3]: "outlier"}


@pytest.mark.parametrize("kind", ["uniform", "half of the ring", "quarter of the ring", "one huge coordinate"])
def test_garbage_under_the_masks_is_left_out(kind):
    draw, vectors = np.random.default_rng(4), updates(6)
    garbage = np.zeros(SIZE, np.uint32)
    match kind:
        case "uniform":
            garbage = draw.integers(0, 2**32, SIZE, np.uint32)
        case "half of the ring":
            garbage[50:60] = 2**31
        case "quarter of the ring":
            garbage[50:60] = 2**30
        case "one huge coordinate":
            garbage[50] = 2**29
    vectors[4] = garbage
    told = play(6, vectors=vectors, terms=Sketching(16, (3, 1), 2000, SKIP))

    assert in_sum(told) == set(told.addresses) - names(told, 4)


def test_a_turned_update_shows_in_the_cosines():
    common, draw = np.random.default_rng(8).normal(size=SIZE) * 100, np.random.default_rng(9)
    vectors = [into_ring(np.rint(common + draw.normal(size=SIZE) * 30).astype(np.int64), ring(32)) for _ in range(8)]
    vectors[5] = (0 - vectors[5].astype(np.int64)).astype(np.uint32)
    told = play(8, vectors=vectors, terms=Sketching(32, (3, 1), 20_000, SKIP))
    rows = np.array([told.proven.screening.verdict.projections[a] for a in told.addresses], float)
    rows /= np.linalg.norm(rows, axis=1)[:, None]
    cosines = rows @ np.median(rows, axis=0)

    assert cosines[5] < -0.5
    assert (np.delete(cosines, 5) > 0.5).all()


def test_three_peers_cannot_lose_one_so_the_session_names_it_and_ends():
    told = play(3, long=(2,))
    assert "passed the screening where 3 are needed" in told.abandoned
    assert [b.culprit for b in told.blames] == [told.addresses[2]]
    assert not told.said(Revealed)


def test_in_buckets_the_others_of_each_bucket_are_summed_exactly():
    grouping = Grouping(buckets=2)
    told = play(16, grouping=grouping)
    assert set(in_sum_of_buckets(told)) == set(told.addresses)
    first = told.collector.roster.buckets[0]
    one, two = (told.addresses.index(m) for m in first[:2])

    assert set(in_sum_of_buckets(play(16, long=(one,), grouping=grouping))) == set(told.addresses) - {first[0]}
    both = play(16, long=(one, two), grouping=grouping)  # the bucket may lose one of its eight: now it is void
    assert "8 of 16 members passed the screening" in both.abandoned


def in_sum_of_buckets(told):
    assert isinstance(told.proven, Proven), told.proven
    sums = told.summed.total.reshape(-1, SIZE)
    for group, total in zip(told.proven.groups, sums, strict=True):
        assert np.array_equal(total, told.plain_sum(group))
    return told.proven.u3


# -- lying members -----------------------------------------------------------------------------------------------------


def test_a_lie_about_the_own_mask_hides_a_huge_update_once_and_convicts():
    told = liar(3, lambda t, s: Stated(s.vector, add(s.own, [-v for v in minus_projections(t, 3)]), s.pairs), long=(3,))

    assert told.summed is not None
    assert judge_session(told.plan, told.transcript) == [Fault("sketch-self", told.addresses[3], LIES["sketch-self"])]


def test_a_lie_about_a_mask_with_a_dropped_peer_convicts():
    def edit(told, s):
        gone = told.addresses[5]
        return Stated(s.vector, s.own, {**s.pairs, gone: add(s.pairs[gone], [7] * 8)})

    told = liar(3, edit, vanish={5: Step.VECTORS})
    assert judge_session(told.plan, told.transcript) == [Fault("sketch-pair", told.addresses[3], LIES["sketch-pair"])]


def test_a_lie_about_a_mask_with_a_peer_that_was_left_out_convicts():
    def edit(told, s):
        out = told.addresses[5]
        return Stated(s.vector, s.own, {**s.pairs, out: add(s.pairs[out], [7] * 8)})

    told = liar(3, edit, long=(5,))
    assert judge_session(told.plan, told.transcript) == [Fault("sketch-pair", told.addresses[3], LIES["sketch-pair"])]


def test_lies_of_who_is_left_out_anyway_are_named_and_void_nothing():
    def edit(told, s):
        gone = told.addresses[5]
        return Stated(s.vector, s.own, {**s.pairs, gone: add(s.pairs[gone], [7] * 8)})

    told = liar(3, edit, count=12, long=(3,), vanish={5: Step.VECTORS})
    assert in_sum(told) == set(told.addresses) - names(told, 3, 5)
    assert told.proven.screening.liars == {told.addresses[3]: "sketch-pair"}
    assert told.proven.screening.failed == {told.addresses[3]: "sketch-pair"}


def test_a_lie_about_the_masked_vector_is_seen_by_the_initiator_and_checked_by_all():
    told = liar(3, lambda t, s: Stated(add(s.vector, minus_projections(t, 3)), s.own, s.pairs), long=(3,))

    assert in_sum(told) == set(told.addresses) - names(told, 3)
    assert told.proven.screening.failed == {told.addresses[3]: "false"}
    wronged = [a for a, found in told.accused.items() if [x.culprit for x in found] == [told.addresses[3]]]
    assert len(wronged) == 7


def test_contradicting_everybody_names_one_liar_and_shifts_nobody():
    told = liar(3, lambda _t, s: Stated(s.vector, s.own, {j: add(z, [9**8] * 8) for j, z in s.pairs.items()}))

    assert in_sum(told) == set(told.addresses) - names(told, 3)
    assert told.proven.screening.failed == {told.addresses[3]: "contradicted"}


def test_contradicting_one_peer_excludes_neither_and_both_names_are_written_down():
    def edit(told, s):
        victim = told.addresses[6]
        return Stated(s.vector, s.own, {**s.pairs, victim: add(s.pairs[victim], [9**8] * 8)})

    honest = liar(3, edit)
    assert in_sum(honest) >= names(honest, 6)
    victim, villain = honest.addresses[6], honest.addresses[3]
    assert honest.proven.screening.verdict.disputed == (tuple(sorted((victim, villain))),)
    assert villain in {x.culprit for x in honest.accused[victim]}
    by_others = {x.culprit for a, found in honest.accused.items() if a not in (victim, villain) for x in found}
    assert by_others <= {None, villain}


def test_two_sketches_of_one_peer_are_seen_and_one_counts():
    told = play(8, run=False)

    def two(sender, to, message):
        if sender == told.addresses[3] and isinstance(message, Sketched) and to == told.addresses[6]:
            return resign(told, 3, message, lambda s: Stated(s.vector, add(s.own, [1] * 8), s.pairs))
        return message

    told.cheat = two
    told.run()
    assert in_sum(told) == set(told.addresses)
    assert [(x.culprit, x.sentence) for x in told.accused[told.addresses[6]]] == [
        (told.addresses[3], "it signed two different sketches of one session")
    ]


@pytest.mark.parametrize(
    "what", ["short", "unsigned", "another's", "other survivors", "other session", "other numbers"]
)
def test_a_sketch_that_nobody_signed_for_this_counts_as_none(what):
    told = play(8, run=False)

    def bad(sender, _to, message):
        if sender != told.addresses[3] or not isinstance(message, Sketched):
            return message
        s, me = message.signed.statement, person(told, 3)
        match what:
            case "short":
                numbers = message.numbers[:-4]
                return Sketched(message.sid, sign(change(s, values=numbers_digest(numbers)), me, DOMAIN), numbers)
            case "unsigned":
                return change(message, signed=change(message.signed, signature=bytes(65)))
            case "another's":
                return change(message, signed=sign(s, person(told, 4), DOMAIN))
            case "other survivors":
                return change(message, signed=sign(change(s, survivors=bytes(32)), me, DOMAIN))
            case "other session":
                return change(message, signed=sign(change(s, sid=bytes(32)), me, DOMAIN))
            case _:
                return change(message, numbers=bytes(len(message.numbers)))

    told.cheat = bad
    told.run()
    assert in_sum(told) == set(told.addresses) - names(told, 3)
    assert [b.culprit for b in told.blames] == [told.addresses[3]]


@pytest.mark.parametrize("what", ["late", "share", "fewer"])
def test_who_reveals_another_seed_than_it_committed_to_is_named_and_changes_nothing(what):
    told = play(8, run=False)

    def bad(sender, _to, message):
        if sender != told.addresses[3] or not isinstance(message, SeedShares):
            return message
        match what:
            case "late":
                return change(message, late=bytes(32))
            case "share":
                return change(message, shares=(change(message.shares[0], share=bytes(33)), *message.shares[1:]))
            case _:
                return change(message, shares=message.shares[1:])

    told.cheat = bad
    told.run()
    assert in_sum(told) == set(told.addresses)
    assert told.proven.screening.directions == play(8).proven.screening.directions
    assert [b.culprit for b in told.blames] == [told.addresses[3]]


def test_nobody_changes_the_seed_by_going_silent():
    seeds = [play(8, vanish=v).proven.screening.directions.seed for v in ({}, {3: Step.SEEDS}, {5: Step.SKETCHES})]
    assert len(set(seeds)) == 1


def test_the_seed_stands_in_no_message_before_the_first_certificate():
    told = play(5)
    lates = [told.members[a].late for a in told.addresses]
    before = []
    for _, _, message in told.log:
        if isinstance(message, Certificate):
            break
        before.append(msgspec.msgpack.encode(message))

    assert not any(late in blob for late in lates for blob in before)
    assert {late_commitment(late) for late in lates} == {m.statement.rand for m in told.transcript.manifests}
    shown = [i for i, (_, _, m) in enumerate(told.log) if isinstance(m, SeedShares)]
    assert shown


# -- lying initiators --------------------------------------------------------------------------------------------------


def against(edit, count=8, **how):
    """A run whose initiator changes what it sends; it does not change what it tells its own member."""
    told = play(count, run=False, **how)

    def cheat(sender, to, message):
        return edit(told, to, message) if sender == told.addresses[0] != to else message

    told.cheat = cheat
    told.run()
    return told


def refused(told, words):
    """Who refused and blamed the initiator with these words."""
    return {a for a, r in told.refusals.items() if r.culprit == told.addresses[0] and words in r.sentence}


def nothing_shown(told):
    assert told.summed is None
    assert not [m for s, _, m in told.log if isinstance(m, Revealed) and s != told.addresses[0]]


def test_a_screening_that_leaves_out_a_good_peer_is_refused_by_all():
    def without(told, _to, m):
        u4 = set(told.addresses) - names(told, 4)
        return change(m, u4=told.collector.roster.bitmap(frozenset(u4))) if isinstance(m, Screened) else m

    told = against(without)
    assert refused(told, "leaves out a peer that passes") == set(told.addresses[1:]) - names(told, 4)
    assert refused(told, "leaves me out, and I pass it") == names(told, 4)
    nothing_shown(told)


def test_a_screening_without_a_sketch_that_was_heard_is_refused():
    def without(told, _to, m):
        if not isinstance(m, Screened):
            return m
        u4 = frozenset(told.addresses) - names(told, 4)
        kept = tuple(s for s in m.sketches if not s.signed.is_by(told.addresses[4], DOMAIN))
        return change(m, u4=told.collector.roster.bitmap(u4), sketches=kept)

    told = against(without)
    assert refused(told, "leaves out a sketch that I hold") == set(told.addresses[1:])
    nothing_shown(told)


def test_a_screening_that_keeps_a_huge_update_is_refused():
    def keep(told, _to, m):
        everybody = told.collector.roster.bitmap(frozenset(told.addresses)) if told.collector.roster else b""
        return change(m, u4=everybody) if isinstance(m, Screened) else m

    told = against(keep, long=(4,))
    assert refused(told, "keeps a peer that fails") == set(told.addresses[1:])
    nothing_shown(told)


def test_a_true_sketch_cannot_be_called_false():
    def accuse(told, _to, m):
        if not isinstance(m, Screened):
            return m
        roster, victim = told.collector.roster, frozenset(names(told, 4))
        return change(m, u4=roster.bitmap(frozenset(told.addresses) - victim), false=roster.bitmap(victim))

    told = against(accuse)
    assert len(refused(told, "calls a true sketch false")) == 6
    nothing_shown(told)


def friends(told, m):
    """The initiator covers a member whose sketch is not of its vector."""
    return change(m, false=bytes(len(m.false)), u4=told.collector.roster.bitmap(frozenset(told.addresses)))


def test_an_initiator_that_covers_a_false_sketch_is_refused_where_members_read_the_vectors():
    told = play(8, run=False, long=(3,))
    lies = lie(3, lambda t, s: Stated(add(s.vector, minus_projections(t, 3)), s.own, s.pairs))(told)
    told.cheat = lambda a, to, m: lies(a, to, friends(told, m) if isinstance(m, Screened) else m)
    told.run()

    assert refused(told, "keeps a peer whose sketch is not of its vector") >= set(told.addresses[1:]) - names(told, 3)
    assert told.summed is None


def test_for_large_models_a_covered_false_sketch_convicts_afterwards(monkeypatch):
    monkeypatch.setattr("peerage_crypto.sketch_member.READ_ALL_BYTES", 0)
    told = play(8, run=False, long=(3,))
    told.cheat = lie(3, lambda t, s: Stated(add(s.vector, minus_projections(t, 3)), s.own, s.pairs))(told)
    monkeypatch.setattr("peerage_crypto.screening.Screen.false_among", lambda *_: frozenset())
    told.run()
    monkeypatch.undo()

    faults = judge_sum(told.proven, told.transcript, told.masked(), told.summed.total.tobytes())
    assert faults == [Fault("sketch-vector", told.addresses[3], LIES["sketch-vector"])]


def test_two_screenings_are_never_both_certified():
    def two(told, to, m):
        if isinstance(m, Screened) and to > told.addresses[3]:
            return change(m, sketches=m.sketches[1:], u4=told.collector.roster.bitmap(frozenset(told.addresses[1:])))
        return m

    told = against(two)
    votes = {v.signed.statement.survivors for v in told.said(Approval)}
    assert len(votes) <= 1
    nothing_shown(told)


@pytest.mark.parametrize("what", ["few", "copies", "none", "firsts", "another"])
def test_a_forged_second_certificate_opens_no_share(what):
    def forged(told, _to, m):
        if not isinstance(m, Cleared):
            return m
        if what == "another":
            return change(m, u4=told.collector.roster.bitmap(frozenset(told.addresses[:-1])))
        votes = {"few": m.votes[:3], "copies": m.votes[:1] * 8, "none": ()}.get(what)
        return change(m, votes=(*m.votes[:-1], change(m.votes[-1], signature=bytes(65))) if votes is None else votes)

    told = against(forged)
    assert len(refused(told, "second certificate")) == 7
    nothing_shown(told)


def test_the_first_certificate_alone_opens_no_share():
    told = play(6)
    order = [type(m).__name__ for s, _, m in told.log if s == told.addresses[2]]
    assert order.index("SeedShares") < order.index("Sketched") < order.index("Approval") < order.index("Revealed")
    me = told.addresses[2]
    member = SketchingMember(told.plan, me, person(told, 2).sign, b"r" * 32, told.vectors[me])
    assert member.on_cleared(told.said(Cleared)[0]) == []
    assert member.on_seeded(told.said(Seeded)[0]) == []
    assert member.stage is Stage.JOINED


@pytest.mark.parametrize("what", ["other", "swapped", "fewer", "cut", "more", "none"])
def test_a_forged_seed_projects_nothing(what):
    def forged(_told, _to, m):
        if not isinstance(m, Seeded):
            return m
        lates = {
            "other": (bytes(32), *m.lates[1:]),
            "swapped": m.lates[::-1],
            "fewer": m.lates[1:],
            "cut": m.lates[:-1],
            "more": (*m.lates, bytes(32)),
            "none": (),
        }
        return change(m, lates=lates[what])

    told = against(forged)
    assert len(refused(told, "late randomness")) == 7
    assert not [m for s, _, m in told.log if isinstance(m, Sketched) and s != told.addresses[0]]


def test_a_screening_that_rests_on_two_sketches_of_one_peer_is_refused():
    def twice(_told, _to, m):
        return change(m, sketches=(*m.sketches[:1], *m.sketches)) if isinstance(m, Screened) else m

    assert len(refused(against(twice), "two of one peer")) == 7
    swapped = lambda _t, _to, m: change(m, sketches=m.sketches[::-1]) if isinstance(m, Screened) else m  # noqa: E731
    assert len(refused(against(swapped), "not sorted")) == 7


def test_a_screening_below_the_tolerance_is_refused():
    """Even when by their own words too few pass: a smaller sum would be theirs to see."""
    told = play(8, run=False, long=(3, 4, 5))
    told.collector._abandon = lambda _: []
    wrong = Collector._abandon

    def proposes(sentence):
        if "passed the screening" not in sentence:
            return wrong(told.collector, sentence)
        case = told.collector._screen_case()
        verdict = case.verdict(told.collector._words, frozenset())
        u4 = case.passing(verdict)
        roster = told.collector.roster
        sketches = tuple(told.collector._sketches[m] for m in case.u3)
        message = Screened(told.plan.sid, roster.bitmap(frozenset(u4)), roster.bitmap(frozenset()), sketches)
        told.collector.step = Step.ABANDONED
        return [type(told.collector._asked[0])(message)]

    told.collector._abandon = proposes
    told.run()
    assert len(refused(told, "passed the screening where")) == 5
    assert not told.said(Approval)


# -- what a transcript proves ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def record():
    told = play(8, long=(5,), vanish={2: Step.SKETCHES})
    assert in_sum(told) == set(told.addresses) - names(told, 2, 5)
    return told


def forge(told, **fields):
    return change(told.transcript, screening=change(told.transcript.screening, **fields))


def zeros(sketch):
    """Other numbers under the same signature."""
    return change(sketch, numbers=bytes(len(sketch.numbers)))


def second(told, sketch):
    """A second sketch of the first peer, properly signed: the same U4 on other words."""
    return resign(told, 0, sketch, lambda s: Stated(s.vector, add(s.own, [1] * 8), s.pairs))


def quorum(told, statement):
    """The votes of seven liars."""
    return tuple(sign(statement, p, DOMAIN) for p in told.people[:7])


@pytest.mark.parametrize(
    ("code", "edit"),
    [
        ("screening-missing", lambda t, _s: change(t.transcript, screening=None)),
        ("screening-shape", lambda t, _s: forge(t, u3=t.transcript.u3)),
        ("screening-shape", lambda t, _s: forge(t, u3=b"\xff\xff\xff")),
        ("screening-shape", lambda t, s: forge(t, lates=s.lates[1:])),
        ("screening-shape", lambda t, s: forge(t, left_out=s.left_out[1:])),
        ("manifest-signature", lambda t, s: forge(t, left_out=s.left_out[::-1])),
        ("session-votes", lambda t, _s: change(t.transcript, votes=t.transcript.votes[:3])),
        ("screening-seed", lambda t, s: forge(t, lates=(bytes(32), *s.lates[1:]))),
        ("screening-sketches", lambda t, s: forge(t, sketches=(*s.sketches[:1], *s.sketches))),
        ("screening-sketches", lambda t, s: forge(t, sketches=s.sketches[::-1])),
        ("screening-sketches", lambda t, s: forge(t, sketches=(change(s.sketches[0], numbers=b"x"), *s.sketches[1:]))),
        ("screening-sketches", lambda t, s: forge(t, sketches=(zeros(s.sketches[0]), *s.sketches[1:]))),
        ("screening-votes", lambda t, s: forge(t, sketches=(second(t, s.sketches[0]), *s.sketches[1:]))),
        ("screening-verdict", lambda t, s: forge(t, sketches=s.sketches[1:])),
        ("screening-verdict", lambda t, _s: forge(t, false=t.transcript.u3)),
        ("screening-votes", lambda t, s: forge(t, votes=s.votes[:3])),
        ("screening-votes", lambda t, _s: forge(t, votes=quorum(t, Screening(t.plan.sid, bytes(32))))),
    ],
)
def test_a_lie_in_the_record_of_a_screening_is_found_and_blames_who_wrote_it(record, code, edit):
    faults = judge_session(record.plan, edit(record, record.transcript.screening))
    assert [(f.code, f.culprit) for f in faults] == [(code, record.plan.initiator)]


def test_a_screening_where_none_was_agreed_is_no_transcript(record):
    plain = Cohort(4).run()
    faults = judge_session(plain.plan, change(plain.transcript, screening=record.transcript.screening))
    assert [f.code for f in faults] == ["screening-missing"]


def test_the_record_crosses_the_wire_and_the_store_whole(record):
    kind = type(record.transcript)
    assert msgspec.json.decode(msgspec.json.encode(record.transcript), type=kind) == record.transcript
    for message in [*record.said(Screened), *record.said(Cleared), *record.said(SeedShares)]:
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=type(message)) == message


def test_the_transcript_holds_no_second_secret_of_anybody(record):
    gone = [m for m in record.proven.u2 if m not in record.proven.u3]
    assert (len(record.transcript.self_seeds), len(record.transcript.mask_secrets)) == (6, 2)
    for _, _, message in record.log:
        if isinstance(message, Revealed):
            assert all((s.self_seed is None) == (s.owner in gone) for s in message.shares)


# -- without sketches --------------------------------------------------------------------------------------------------


def test_without_sketches_nothing_is_different():
    told = Cohort(5).run()
    blob = msgspec.json.encode(told.transcript)

    assert {type(m) for m in told.members.values()} == {Member}
    assert type(told.collector) is Collector
    assert b"screening" not in blob
    assert not {SeedShares, Seeded, Sketched, Screened, Approval, Cleared} & {type(m) for _, _, m in told.log}
    assert told.transcript.manifests[0].statement.rand == told.members[told.addresses[0]].rand
    assert isinstance(play(4, run=False).collector, SketchingCollector)


def test_statements_of_a_screening_are_signed_once_each():
    told = play(6, long=(4,))
    signed = [type(e).__name__ for e in (Sketch, Screening)]
    assert signed
    for i, peer in enumerate(told.addresses):
        mine = told.said(Sketched, i)
        assert len(mine) == 1
        assert len(told.said(Approval, i)) == (0 if i == 4 else 1)
        assert isinstance(told.refusals.get(peer), Refuse | None)
    assert isinstance(told.summed, Summed)
