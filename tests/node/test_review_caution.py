"""What a careful peer remembers, and what talks it out of its care."""

import msgspec
import pytest

from cohort import Cohort
from peerage import effects as fx
from peerage.config import Federation, PrivacySettings, Region, RobustSettings
from peerage.privacy.caution import Caution
from peerage.privacy.noise import check_privacy
from peerage.rounds.session_run import SessionRun
from peerage_crypto.buckets import Grouping
from peerage_crypto.digest import sha256
from peerage_crypto.errors import InputError
from peerage_crypto.secagg_member import Member, Stage
from peerage_crypto.session import Ballot, Frozen, Manifest, RosterMessage, Survivors


def masked_run(told: Cohort, me: bytes) -> SessionRun:
    """One member of a finished session, again, up to its masked vector; it has heard of everybody's."""
    person = next(a for a in told.people if a.address == me)
    member = Member(told.plan, me, person.sign, sha256(b"root", me), told.vectors[me])
    run = SessionRun(told.plan, me, member, None, 5.0)
    for kind in (RosterMessage, Frozen, Manifest):
        for sender, to, message in told.log:
            if to == me and isinstance(message, kind):
                run.receive(sender, message)
    assert member.stage is Stage.MASKED
    return run


def test_a_second_survivor_set_shown_during_a_probe_is_not_the_one_remembered():
    """The vote is for the first; whoever remembers the second lets their difference be unmasked later."""
    told = Cohort(6).run()
    me, gone = told.addresses[3], told.addresses[5]
    run, everybody = masked_run(told, me), told.said(Survivors)[0]
    roster = run.member.roster
    without = msgspec.structs.replace(
        everybody,
        u3=roster.bitmap(frozenset(roster.members) - {gone}),
        manifests=tuple(m for p, m in zip(roster.members, everybody.manifests, strict=True) if p != gone),
    )
    probes = [e for e in run.receive(told.plan.initiator, without) if isinstance(e, fx.FetchArtefact)]
    assert [p.owner for p in probes] == [gone]
    run.receive(told.plan.initiator, everybody)
    effects = run.unfetched(gone, probes[0].artefact)

    ballots = [e.message for e in effects if isinstance(e, fx.Send) and isinstance(e.message, Ballot)]
    voted = roster.survivors_digest(without.u3, without.manifests)
    assert [b.signed.statement.survivors for b in ballots] == [voted]
    assert run.asked_for == (roster.members, tuple(m for m in roster.members if m != gone))


def test_equal_rosters_with_other_buckets_differ_by_less_than_was_agreed():
    """Why the rule and buckets do not go together: it looks at whole rosters, and sums are those of buckets."""
    peers = tuple(bytes([i]) * 20 for i in range(15))
    careful = Caution.after(peers[0], [(peers, peers)], least_change=6, least_roster=0)
    drawn = [Grouping(3).split(peers, sha256(bytes([nonce]))) for nonce in range(200)]
    first = next(set(b) for b in drawn[0] if peers[0] in b)
    closest = min(len(first ^ set(b)) for d in drawn[1:] for b in d if peers[0] in b and set(b) != first)

    assert not careful.of_roster(peers)
    assert not careful.of_survivors(peers)
    assert closest == 2, "two sums differ by one peer for another, in less than two hundred draws"


def regions() -> tuple[Region, ...]:
    return tuple(
        Region(name=n, peers=tuple(f"peer-{i:02d}" for i in range(first, first + 6)), leader="")
        for n, first in (("north", 1), ("south", 7))
    )


@pytest.mark.parametrize(
    "how", [{"robust": RobustSettings(buckets=3), "peers": 15}, {"regions": regions(), "peers": 12}]
)
def test_least_roster_change_with_sums_of_parts_of_a_roster_is_refused(how):
    with pytest.raises(InputError, match="least_roster_change"):
        check_privacy(Federation(privacy=PrivacySettings(least_roster_change=3), **how))


def test_one_member_that_withholds_its_vector_refuses_every_round_of_a_careful_federation():
    """ADR 11 says it of a leaver; a member can do so on purpose, and nobody is named: the price of the rule."""
    peers = tuple(bytes([i]) * 20 for i in range(8))
    careful = Caution.after(peers[0], [(peers, peers)], least_change=3, least_roster=0)
    assert careful.of_survivors(peers[:-1])
    assert careful.of_survivors(peers[:-2])
    assert not careful.of_survivors(peers[:-3])
