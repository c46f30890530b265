"""Checks behind which others stand: each is met alone, so that taking it out shows."""

import msgspec
import pytest

from cohort import DOMAIN, Cohort
from peerage_crypto import secagg_member as sm
from peerage_crypto.digest import sha256
from peerage_crypto.secagg_collector import Step
from peerage_crypto.session import Dealt, Manifest, Survivors
from peerage_crypto.statements import sign

change = msgspec.structs.replace


def keeping(told: Cohort, message: Survivors, kept: list[bytes]) -> Survivors:
    """The same call for votes with these survivors only."""
    roster = told.collector.roster
    manifests = dict(zip(roster.select(message.u3), message.manifests, strict=True))
    left = [p for p in roster.select(message.u3) if p in kept]
    return change(message, u3=roster.bitmap(frozenset(left)), manifests=tuple(manifests[p] for p in left))


def test_too_few_survivors_get_no_vote_though_nobody_left_out_was_ever_heard_of():
    box = {}

    def cheat(_sender, receiver, message):
        if isinstance(message, Manifest) and receiver != box["told"].plan.initiator:
            return None
        return keeping(box["told"], message, box["told"].addresses[:4]) if isinstance(message, Survivors) else message

    box["told"] = told = Cohort(6, cheat=cheat)
    told.run()

    sentences = {told.addresses.index(p): r.sentence for p, r in told.refusals.items()}
    assert all("4 of 6 members: more lost than tolerated" in sentences[i] for i in range(4))


def test_a_survivor_from_outside_u2_gets_no_vote():
    """A friend of the initiator that dealt no shares signs a manifest for their view."""
    box = {}

    def cheat(_sender, _receiver, message):
        told = box["told"]
        if not isinstance(message, Survivors):
            return message
        outsider, roster = told.people[4], told.collector.roster
        s = change(message.manifests[0].statement, rand=told.members[outsider.address].rand)
        forged = sign(s, outsider, DOMAIN)
        inside = roster.select(message.u3)
        everybody = [*inside, outsider.address]
        manifests = dict(zip(inside, message.manifests, strict=True)) | {outsider.address: forged}
        return change(
            message,
            u3=roster.bitmap(frozenset(everybody)),
            manifests=tuple(manifests[p] for p in sorted(everybody)),
        )

    box["told"] = told = Cohort(5, cheat=cheat, vanish={4: Step.SHARES})
    told.run()

    assert told.summed is None
    assert {r.sentence for p, r in told.refusals.items() if p != told.addresses[4]} == {
        "the survivor set has 5 of 5 members: more lost than tolerated"
    }


def test_who_is_left_out_leaves_and_blames_nobody():
    told = Cohort(5, vanish={3: Step.VECTORS})
    told.run()
    left = told.refusals[told.addresses[3]]

    assert left.culprit is None
    assert "leaves me out" in left.sentence


def test_a_second_call_for_votes_gets_no_second_vote():
    told = Cohort(6).run()
    first = told.said(Survivors)[0]
    fewer = keeping(told, first, told.addresses[:5])
    fresh = Cohort(6)
    fresh.cheat = lambda _s, _r, m: None if isinstance(m, Survivors) else m
    fresh.run()
    member = fresh.members[fresh.addresses[1]]
    member._unreachable.add(fresh.addresses[5])

    votes = [e for message in (first, fewer) for e in member.on_survivors(message) if isinstance(e, sm.Sign)]
    assert len(votes) == 1
    assert member.voted


def test_packets_that_are_not_those_of_the_dealing_are_its_dealers_fault_at_the_collector():
    box = {}

    def cheat(sender, _receiver, message):
        if not isinstance(message, Dealt) or sender != box["told"].addresses[2]:
            return message
        return change(message, packets=tuple(reversed(message.packets)))

    box["told"] = told = Cohort(5, cheat=cheat)
    told.run()

    assert [(b.culprit, b.sentence) for b in told.blames] == [
        (told.addresses[2], "its share packets are not what it signed for this roster")
    ]
    assert told.addresses[2] not in told.proven.u2


@pytest.mark.parametrize("field", ["masked_root", "artefact"])
def test_a_manifest_must_name_its_vector_in_both_ways(field):
    box = {}

    def cheat(sender, _receiver, message):
        told = box["told"]
        if not isinstance(message, Manifest) or sender != told.addresses[3]:
            return message
        wrong = change(message.signed.statement, **{field: sha256(b"another")})
        if field == "artefact":
            told.blobs[wrong.artefact] = told.blobs[message.signed.statement.artefact]
        return change(message, signed=sign(wrong, told.people[3], DOMAIN))

    box["told"] = told = Cohort(5, cheat=cheat)
    told.run()

    assert {(b.culprit, b.sentence) for b in told.blames} == {
        (told.addresses[3], "its masked vector is not the one of its manifest")
    }
    assert told.addresses[3] not in told.proven.u3
