"""What a member does when everybody else may lie: initiators that split, withhold, invent and replay."""

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohort import DOMAIN, WIRE, Cohort, account, opened
from peerage_crypto.agreement import seal
from peerage_crypto.digest import sha256
from peerage_crypto.secagg_collector import Step
from peerage_crypto.secagg_member import Member, Refuse, Sign, Stage, is_certificate
from peerage_crypto.session import (
    Ballot,
    Certificate,
    Dealt,
    Frozen,
    Manifest,
    Packet,
    Revealed,
    RosterMessage,
    Survivors,
    deliver,
    packets_digest,
)
from peerage_crypto.statements import ShareKeys, Vote, sign

change = msgspec.structs.replace


def only(kind, edit, receivers=None):
    """A cheat on messages of one kind: edit(sender, receiver, message)."""
    return lambda sender, to, m: edit(sender, to, m) if isinstance(m, kind) and to in (receivers or [to]) else m


def revealed_kinds(told):
    """For every owner the kinds of its shares that any honest member gave away."""
    kinds = {}
    for message in told.said(Revealed):
        for share in message.shares:
            kinds.setdefault(share.owner, set()).add("self" if share.self_seed else "mask")
    return kinds


# -- joining and dealing -----------------------------------------------------------------------------------------------


def test_a_roster_without_a_join_that_was_seen_is_refused():
    def drop_one(sender, to, message):
        return change(message, joins=message.joins[:-1])

    told = Cohort(8, cheat=only(RosterMessage, drop_one)).run()

    assert {r.culprit for r in told.refusals.values()} == {told.plan.initiator, None}  # None: the one left out
    assert not told.said(Dealt)


def test_a_join_that_fits_no_roster_is_not_asked_for():
    told = Cohort(5)
    alien = told.members[told.addresses[4]].join(
        version=1, update=bytes(32), data_manifest=bytes(32), code_manifest=bytes(32)
    )
    member = told.members[told.addresses[0]]

    for hostile in (
        change(alien, signature=bytes(65)),
        sign(change(alien.statement, mask_key=bytes(32)), told.people[4], DOMAIN),
        sign(alien.statement, account("outsider"), DOMAIN),
        sign(change(alien.statement, sid=bytes(32)), told.people[4], DOMAIN),
    ):
        member.on_join(hostile)

    assert member._seen_joins == {}


def test_one_roster_is_answered_once_and_asked_again_with_the_same_bytes():
    told = Cohort(5).join()
    first, second = told.addresses[:2]
    roster = told._queue[0][2]
    member = told.members[first]
    answer = member.on_roster(roster)

    assert isinstance(answer[0], Sign)
    assert member.on_roster(roster) == answer[1:]
    assert member.on_roster(change(roster, joins=roster.joins[:-1])) == []
    assert told.members[second].stage is Stage.JOINED


def test_a_roster_that_shows_other_keys_of_mine_is_refused():
    told = Cohort(5).join()
    roster, mine = told._queue[0][2], told.people[2]
    forged = sign(change(roster.joins[2].statement, channel_key=roster.joins[1].statement.channel_key), mine, DOMAIN)
    (refusal,) = told.members[mine.address].on_roster(
        change(roster, joins=(*roster.joins[:2], forged, *roster.joins[3:]))
    )

    assert refusal == Refuse(told.plan.initiator, "the roster shows another join of mine")


# -- U2 ----------------------------------------------------------------------------------------------------------------


def test_withheld_packets_stop_the_member_before_it_masks():
    told = Cohort(8, cheat=only(Frozen, lambda s, to, m: change(m, deliveries=m.deliveries[1:]))).run()

    assert {r.sentence for r in told.refusals.values()} == {"the initiator withheld share packets"}
    assert not told.said(Manifest)


def test_more_lost_than_tolerated_stops_the_member_before_it_masks():
    def shrink(sender, to, message):
        return change(message, u2=b"\x1f", deliveries=message.deliveries[:4])

    told = Cohort(8, cheat=only(Frozen, shrink)).run()

    assert all("more lost than tolerated" in r.sentence or r.culprit is None for r in told.refusals.values())
    assert len(told.refusals) == 8
    assert not told.said(Manifest)


@pytest.mark.parametrize("hostile", [b"\xff\xff", b"\x80\x01", b"\x00"])
def test_a_u2_that_fits_no_roster_stops_the_member(hostile):
    told = Cohort(8, cheat=only(Frozen, lambda s, to, m: change(m, u2=hostile))).run()

    assert len(told.refusals) == 8
    assert not told.said(Manifest)


def test_a_packet_changed_on_its_way_is_the_initiators_fault_not_its_dealers():
    def tamper(sender, to, message):
        first, *rest = message.deliveries
        packet = change(first.packet, sealed=bytes(115))
        return change(message, deliveries=(change(first, packet=packet), *rest))

    victim = Cohort(8).addresses[3]
    told = Cohort(8, cheat=only(Frozen, tamper, [victim])).run()

    assert told.refusals[victim].culprit == told.plan.initiator
    assert (told.summed.total == told.plain_sum(told.proven.u3)).all()  # the others go on without the victim


def bad_dealing(told, dealer, message, *, seal_it):
    """The dealer's packet for member 3 holds garbage, signed and (with seal_it) sealed as it should be."""
    roster = told.members[dealer].roster
    holder = told.addresses[3]
    at = roster.place(dealer, holder)
    garbage = bytes(115)
    if seal_it:
        key = told.members[dealer]._channel_key(roster, dealer, holder, roster.join_of(holder).channel_key)
        garbage = seal(key, bytes(12), bytes(99), told.plan.sid)
    packets = tuple(Packet(garbage, p.commitments) if i == at else p for i, p in enumerate(message.packets))
    account_ = next(a for a in told.people if a.address == dealer)
    statement = ShareKeys(told.plan.sid, roster.digest, packets_digest(packets, message.pairs))
    return Dealt(told.plan.sid, sign(statement, account_, DOMAIN), packets, message.pairs)


@pytest.mark.parametrize("seal_it", [False, True], ids=["does not open", "opens to other shares than committed"])
def test_a_bad_packet_that_its_dealer_signed_is_its_dealers_fault(seal_it):
    told = Cohort(8)
    dealer = told.addresses[5]
    told.cheat = only(Dealt, lambda s, to, m: bad_dealing(told, s, m, seal_it=seal_it) if s == dealer else m)
    told.run()

    assert told.refusals[told.addresses[3]] == Refuse(dealer, "a share packet does not open or breaks its commitment")
    assert (told.summed.total == told.plain_sum(told.proven.u3)).all()


def test_two_rosters_shown_at_once_blame_the_initiator_and_no_dealer():
    told = Cohort(8)
    others = told.addresses[6:]
    again = told.people[4]

    def two_versions(sender, to, message):
        twin = sign(change(message.joins[4].statement, version=7), again, DOMAIN)  # member 4 colludes
        return change(message, joins=(*message.joins[:4], twin, *message.joins[5:]))

    def deal_anyway(sender, to, message):  # an initiator that forwards what an honest one would refuse
        deliveries = tuple(
            deliver(told.members[to].roster, dealt[d], d, to) for d in told.addresses if d != to and d in dealt
        )
        return change(message, u2=b"\xff", deliveries=deliveries)

    dealt = {}

    def cheat(sender, to, message):
        if isinstance(message, RosterMessage) and to in others:
            return two_versions(sender, to, message)
        if isinstance(message, Dealt):
            dealt[sender] = message
        return deal_anyway(sender, to, message) if isinstance(message, Frozen) else message

    told.cheat = cheat
    told.run()

    assert {r.culprit for r in told.refusals.values()} <= {told.plan.initiator, None}
    assert {r.sentence for r in told.refusals.values()} >= {
        "a share packet is not what its dealer signed for this roster"
    }
    assert not told.said(Revealed)


def test_peers_that_were_shown_different_u2_never_certify_anything():
    told = Cohort(8)
    half = told.addresses[4:]

    def split(sender, to, message):  # half of them are told that members 0 and 1 dealt nothing
        return change(message, u2=b"\xfc", deliveries=message.deliveries[2:])

    told.cheat = only(Frozen, split, half)
    told.run()

    assert told.summed is None
    assert not told.said(Revealed)


# -- the vote ----------------------------------------------------------------------------------------------------------


def leave_out(told, index):
    def edit(sender, to, message):
        kept = [(a, m) for a, m in zip(told.collector.u3, message.manifests, strict=True) if a != told.addresses[index]]
        roster = told.collector.roster
        return change(message, u3=roster.bitmap(frozenset(a for a, _ in kept)), manifests=tuple(m for _, m in kept))

    return edit


def test_a_live_peer_cannot_be_voted_away():
    told = Cohort(8)
    told.cheat = only(Survivors, leave_out(told, 5))
    told.run()

    culprits = {r.culprit for a, r in told.refusals.items() if a != told.addresses[5]}
    assert culprits == {told.plan.initiator}
    assert not told.said(Ballot)


def test_a_peer_whose_vector_cannot_be_had_is_voted_away_after_asking():
    told = Cohort(8, unfetchable=(5,)).run()

    assert told.addresses[5] not in told.proven.u3
    assert (told.summed.total == told.plain_sum(told.proven.u3)).all()


def test_a_manifest_for_another_view_does_not_hold_the_vote_up():
    told = Cohort(8)
    liar = told.people[6]

    def other_view(sender, to, message):
        if sender != liar.address:
            return message
        return Manifest(told.plan.sid, sign(change(message.signed.statement, u2=bytes(32)), liar, DOMAIN))

    told.cheat = only(Manifest, other_view)
    told.run()

    assert [b.culprit for b in told.blames] == [liar.address]
    assert liar.address not in told.proven.u3


def test_a_manifest_of_a_giant_vector_is_never_fetched():
    told = Cohort(8).join()
    roster = told._queue[0][2]
    member, liar = told.members[told.addresses[0]], told.people[6]
    member.on_roster(roster)
    honest = Cohort(8).run().said(Manifest, 6)[0].signed

    member.on_manifest(sign(change(honest.statement, length=2**32 - 1), liar, DOMAIN))
    member.on_manifest(change(honest, signature=bytes(65)))

    assert member._manifests == {}


@pytest.mark.parametrize("edit", ["rand", "u2", "signature", "too few", "missing"])
def test_a_survivor_set_that_does_not_hold_gets_no_vote(edit):
    told = Cohort(8)

    def tamper(sender, to, message):
        last = message.manifests[-1]
        match edit:
            case "rand" | "u2":
                lie = sign(change(last.statement, **{edit: bytes(32)}), told.people[7], DOMAIN)
                return change(message, manifests=(*message.manifests[:-1], lie))
            case "signature":
                return change(message, manifests=(*message.manifests[:-1], change(last, signature=bytes(65))))
            case "too few":
                return change(message, u3=b"\x1f", manifests=message.manifests[:5])
            case _:
                return change(message, manifests=message.manifests[:-1])

    told.cheat = only(Survivors, tamper)
    told.run()

    assert len(told.refusals) == 8
    assert not told.said(Ballot)


def test_two_survivor_sets_at_once_never_open_both_secrets_of_anybody():
    told = Cohort(8, unfetchable=(5, 6))
    other = told.addresses[1:4]

    def second_set(sender, to, message):  # 5 is shown as a survivor to some, and as dropped to the others
        manifests = dict(zip(told.collector.u3, message.manifests, strict=True))
        manifests[told.addresses[5]] = told.said(Manifest, 5)[0].signed
        bitmap = told.collector.roster.bitmap(frozenset(manifests))
        return change(message, u3=bitmap, manifests=tuple(manifests[a] for a in sorted(manifests)))

    told.cheat = only(Survivors, second_set, other)
    told.run()

    assert told.summed is None
    assert all(len(kinds) == 1 for kinds in revealed_kinds(told).values())


# -- the certificate ---------------------------------------------------------------------------------------------------


def voted():
    """A member that has voted, and the certificate that would let it reveal."""
    told = Cohort(8, cheat=lambda s, to, m: None if isinstance(m, Certificate) else m).run()
    certificate = Certificate(
        told.plan.sid,
        told.collector._bitmaps[1],
        told.collector._survivors,
        tuple(told.collector._votes[a] for a in sorted(told.collector._votes)),
    )
    return told, told.members[told.addresses[2]], certificate


@pytest.mark.parametrize(
    "forge",
    [
        lambda told, votes: votes[:5],
        lambda told, votes: votes[:5] + votes[:1],
        lambda told, votes: votes * 40,
        lambda told, votes: (*votes[:5], sign(votes[0].statement, account("outsider"), DOMAIN)),
        lambda told, votes: (*votes[:7], change(votes[7], signature=bytes(65))),
        lambda told, votes: tuple(sign(Vote(told.plan.sid, bytes(32)), a, DOMAIN) for a in told.people),
        lambda told, votes: tuple(sign(Vote(bytes(32), votes[0].statement.survivors), a, DOMAIN) for a in told.people),
    ],
    ids=["too few", "one twice", "very many", "outsider", "signature", "other survivors", "another session"],
)
def test_without_a_quorum_nothing_is_revealed(forge):
    told, member, certificate = voted()
    (refusal,) = member.on_certificate(change(certificate, votes=forge(told, certificate.votes)))

    assert refusal == Refuse(told.plan.initiator, "the certificate has too few valid votes")
    assert member.on_certificate(certificate) == []
    assert member._shares == {}


def test_a_certificate_for_other_survivors_than_the_vote_is_refused():
    told, member, certificate = voted()
    (refusal,) = member.on_certificate(change(certificate, u3=b"\x7f"))

    assert refusal.culprit == told.plan.initiator


def test_shares_are_given_once_and_the_same_bytes_again():
    _, member, certificate = voted()
    answer = member.on_certificate(certificate)

    assert member.stage is Stage.REVEALED
    assert member._shares == {}
    assert member.on_certificate(certificate) == answer
    assert member.on_certificate(change(certificate, votes=certificate.votes[:6])) == []


def test_of_a_survivor_the_self_seed_and_of_the_dropped_the_mask_key_is_revealed():
    told = Cohort(8, vanish={3: Step.VECTORS, 5: Step.SHARES}).run()
    gone, never = told.addresses[3], told.addresses[5]

    assert revealed_kinds(told) == {a: {"mask" if a == gone else "self"} for a in told.addresses if a != never}


def test_who_has_voted_never_abstains_and_who_has_abstained_never_votes():
    _, member, _ = voted()
    assert member.abstain() == []

    fresh = Cohort(8, cheat=lambda s, to, m: None if isinstance(m, Survivors) else m).run()
    abstaining = fresh.members[fresh.addresses[1]]
    statement = abstaining.abstain()
    u3, manifests = fresh.collector._bitmaps[1], tuple(fresh.collector._manifests[a] for a in fresh.collector.u3)

    assert statement.is_by(fresh.addresses[1], DOMAIN)
    assert abstaining.on_survivors(Survivors(fresh.plan.sid, u3, manifests)) == []


# -- opening -----------------------------------------------------------------------------------------------------------


def test_a_member_opens_for_its_own_direction_once_and_only_under_a_certificate():
    told = Cohort(5).run()
    member = told.members[told.addresses[1]]
    stranger = Cohort(5).join().members[told.addresses[1]]

    assert "certificate" in stranger.may_open(b"g", is_mine=True)
    assert "public path" in member.may_open(b"chosen", is_mine=False)
    assert member.may_open(b"g", is_mine=True) == ""
    assert member.may_open(b"g", is_mine=True) == ""
    assert "another direction" in member.may_open(b"h", is_mine=True)


# -- anything at all ---------------------------------------------------------------------------------------------------


def test_what_was_said_in_another_session_moves_nobody():
    old = Cohort(5).run()
    told = Cohort(5)
    told.plan = replace(told.plan, opened=opened(told.addresses[0], nonce=b"\x44" * 32))
    member = Member(told.plan, told.addresses[1], told.people[1].sign, sha256(b"new"), told.vectors[told.addresses[1]])

    for _, to, message in old.log:
        if to == told.addresses[1]:
            effects = {
                RosterMessage: member.on_roster,
                Frozen: member.on_frozen,
                Survivors: member.on_survivors,
                Certificate: member.on_certificate,
            }.get(type(message), lambda _: [])(message)
            assert all(isinstance(e, Refuse) for e in effects)
    assert not is_certificate(old.proven.roster, bytes(32), old.transcript.votes)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32),
    st.sampled_from([RosterMessage, Dealt, Frozen, Manifest, Survivors, Ballot, Certificate, Revealed]),
)
def test_no_flipped_byte_crashes_anybody_or_changes_a_sum(seed, kind):
    def flip(sender, to, message):
        raw = bytearray(msgspec.msgpack.encode(message))
        at = (seed * 2654435761 + len(raw)) % len(raw)
        raw[at] ^= 1 << seed % 8
        try:
            return WIRE.decode(bytes(raw))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None

    told = Cohort(4, length=2)
    told.cheat = only(kind, flip)
    told.run()

    if told.summed:
        assert (told.summed.total == told.plain_sum(told.proven.u3)).all()
    else:
        assert told.abandoned
