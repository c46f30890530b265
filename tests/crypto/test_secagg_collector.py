"""The initiator's side: what sums come out, who is blamed for what, and when a round is given up."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohort import DOMAIN, Cohort, account
from peerage_crypto import secagg_collector as sc
from peerage_crypto.digest import sha256
from peerage_crypto.secagg_collector import Blame, Step
from peerage_crypto.session import Ballot, Dealt, Manifest, Revealed, RosterMessage, SessionTranscript
from peerage_crypto.statements import Vote, sign
from peerage_crypto.thresholds import thresholds

change = msgspec.structs.replace
STEPS = [Step.SHARES, Step.VECTORS, Step.VOTES, Step.REVEALS]
quick = settings(derandomize=True, deadline=None)


@st.composite
def losses(draw, most=8):
    """(n, who vanishes before which step), within the tolerance of n."""
    n = draw(st.integers(3, most))
    gone = draw(st.lists(st.integers(0, n - 1), max_size=thresholds(n, n).losses, unique=True))
    return n, {peer: draw(st.sampled_from(STEPS)) for peer in gone}


# -- sums --------------------------------------------------------------------------------------------------------------


@settings(quick, max_examples=40)
@given(losses(), st.sampled_from([16, 32, 64]), st.integers(0, 2**32))
def test_the_sum_is_that_of_the_survivors_whoever_vanishes_when(pattern, bits, seed):
    n, vanish = pattern
    told = Cohort(n, bits=bits, length=3, seed=seed, vanish=vanish).run()

    survivors = [a for i, a in enumerate(told.addresses) if vanish.get(i) not in (Step.SHARES, Step.VECTORS)]
    assert told.proven.u3 == tuple(survivors)
    assert (told.summed.total == told.plain_sum(survivors)).all()
    assert told.blames == []


@pytest.mark.parametrize("step", STEPS, ids=lambda s: s.value)
def test_beyond_the_tolerance_the_round_is_given_up_at_any_step(step):
    told = Cohort(8, vanish=dict.fromkeys((1, 2, 3), step)).run()

    assert told.summed is None
    assert told.abandoned.startswith("only")


def test_negative_updates_add_up_as_signed_numbers():
    ones = [np.full(4, -i, np.int64).astype(np.uint32) for i in range(1, 5)]
    told = Cohort(4, length=4, vectors=ones).run()

    assert told.summed.total.view(np.int32).tolist() == [-10] * 4


def test_a_masked_vector_says_nothing_of_its_update_without_the_masks():
    one = Cohort(3, length=64, vectors=[np.zeros(64, np.uint32)] * 3).run()

    for blob in one.masked().values():
        words = np.frombuffer(blob, "<u4")
        assert len(set(words.tolist())) == 64
        assert 2**30 < words.astype(np.float64).mean() < 3 * 2**30


# -- joins -------------------------------------------------------------------------------------------------------------


def test_a_join_that_fits_no_roster_counts_as_none():
    hostile = Cohort(5).addresses[4]

    def low_order(signed):
        if not signed.is_by(hostile, DOMAIN):
            return signed
        return sign(change(signed.statement, mask_key=bytes(32)), Cohort(5).people[4], DOMAIN)

    told = Cohort(5).run(cheat=low_order)

    assert hostile not in told.proven.roster.members
    assert (told.summed.total == told.plain_sum(told.addresses[:4])).all()


@pytest.mark.parametrize("fault", ["signature", "outsider", "round"])
def test_joins_of_nobody_do_not_crash_the_collector(fault):
    told = Cohort(4)
    join = told.members[told.addresses[1]].join(
        version=1, update=bytes(32), data_manifest=bytes(32), code_manifest=bytes(32)
    )
    hostile = {
        "signature": change(join, signature=b"\x07" * 65),
        "outsider": sign(join.statement, account("outsider"), DOMAIN),
        "round": sign(change(join.statement, round=2), told.people[1], DOMAIN),
    }[fault]

    assert told.collector.on_join(hostile) == []
    assert told.collector._joins == {}


def test_too_few_joins_give_the_round_up():
    told = Cohort(5)
    told.members = dict(list(told.members.items())[:3])
    told.run()

    assert "outside the legal 4 to 5" in told.abandoned


# -- garbage names its sender ------------------------------------------------------------------------------------------


def garbage(told):
    return {
        Dealt: lambda m: change(m, packets=m.packets[1:]),
        Manifest: lambda m: change(m, signed=change(m.signed, signature=bytes(65))),
        Ballot: lambda m: change(m, signed=sign(Vote(told.plan.sid, bytes(32)), told.people[2], DOMAIN)),
        Revealed: lambda m: change(m, shares=m.shares[:3]),
    }


@pytest.mark.parametrize("kind", [Dealt, Manifest, Ballot, Revealed], ids=lambda k: k.__name__)
def test_garbage_is_blamed_on_its_sender_and_the_round_goes_on_without_it(kind):
    told = Cohort(8)
    culprit = told.addresses[2]
    told.cheat = lambda s, to, m: garbage(told)[kind](m) if isinstance(m, kind) and s == culprit else m
    told.run()

    assert {b.culprit for b in told.blames} == {culprit}
    assert (told.summed.total == told.plain_sum(told.proven.u3)).all()


def test_another_vector_than_the_manifests_is_blamed_on_its_owner():
    told = Cohort(8)
    owner = told.addresses[6]

    def swap(sender, to, message):
        if isinstance(message, Manifest) and sender == owner:
            told.blobs[message.signed.statement.artefact] = bytes(told.plan.vector_bytes)
        return message

    told.cheat = swap
    told.run()

    assert told.blames == [Blame(owner, "its masked vector is not the one of its manifest")]
    assert owner not in told.proven.u3


def test_a_dealer_of_shares_that_open_something_else_is_named():
    told = Cohort(8).join()
    dealer = told.addresses[3]
    told.members[dealer].self_seed = sha256(b"not what the join committed to")
    told.run(cheat=lambda signed: signed)

    assert told.blames == [Blame(dealer, "the shares that it dealt combine to a secret that it did not commit to")]
    assert told.abandoned


def test_garbage_shares_of_more_than_can_be_missed_give_the_round_up_and_name_them_all():
    told = Cohort(8)
    liars = told.addresses[1:5]
    lie = lambda m: change(m, shares=tuple(change(s, self_seed=bytes(33)) for s in m.shares))  # noqa: E731
    told.cheat = lambda s, to, m: lie(m) if isinstance(m, Revealed) and s in liars else m
    told.run()

    assert {b.culprit for b in told.blames} == set(liars)
    assert "shares of one peer's secret were revealed" in told.abandoned


# -- patience ----------------------------------------------------------------------------------------------------------


def test_the_silent_are_reminded_with_the_same_bytes():
    told = Cohort(4).join()
    roster = told._queue[0][2]
    reminders = told.collector.remind()

    assert isinstance(roster, RosterMessage)
    assert [(r.to, r.message) for r in reminders] == [(a, roster) for a in told.addresses]


def test_the_deadline_of_an_earlier_step_means_nothing():
    told = Cohort(4).join()

    assert told.collector.step is Step.SHARES
    assert told.collector.on_deadline(Step.JOINS) == []
    assert told.collector.step is Step.SHARES


def test_messages_of_the_wrong_step_or_from_strangers_are_nothing():
    done = Cohort(4).run()
    told = Cohort(4)
    for sender, _, message in done.log:
        for claimed in (sender, account("outsider").address):
            assert told.collector.on_dealt(claimed, message) == [] if isinstance(message, Dealt) else True
            assert told.collector.on_ballot(claimed, message) == [] if isinstance(message, Ballot) else True
            assert told.collector.on_revealed(claimed, message) == [] if isinstance(message, Revealed) else True
    assert told.collector.on_vector(done.addresses[0], b"") == []
    assert told.collector.on_lost_vector(done.addresses[0]) == []


def test_a_transcript_lists_what_proves_the_sum_and_no_secret_of_the_other_kind():
    told = Cohort(8, vanish={2: Step.VECTORS}).run()
    t = told.transcript
    dropped = told.members[told.addresses[2]]

    assert isinstance(t, SessionTranscript)
    assert t.mask_secrets == (dropped.mask.secret,)
    assert dropped.self_seed not in t.self_seeds
    assert not {m.mask.secret for m in told.members.values() if m is not dropped} & set(t.mask_secrets)
    assert t.sum_artefact == sha256(sc.ring_bytes(told.summed.total))
