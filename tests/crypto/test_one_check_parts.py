"""Checks of the parts of a session behind which others stand: each is met alone, so that taking it out shows."""

from dataclasses import replace
from hashlib import sha256 as _sha

import msgspec
import numpy as np
import pytest

from cohort import DOMAIN, Cohort
from peerage_crypto import leaf_check, secagg_judge
from peerage_crypto.buckets import Grouping, least_survivors
from peerage_crypto.digest import NODE, merkle_root, merkle_verify, sha256
from peerage_crypto.equivocation import MAX_EVIDENCE_BYTES, Equivocation, decode, judge_equivocation
from peerage_crypto.fixedpoint import quantise
from peerage_crypto.leaf_check import LeafEvidence, NoEvidence, Piece
from peerage_crypto.plain_statements import exchange_id
from peerage_crypto.secagg_collector import Blame
from peerage_crypto.secagg_judge import Proven, judge_session
from peerage_crypto.secagg_leader import Leader
from peerage_crypto.secagg_sum import ring_bytes
from peerage_crypto.session import Dealt, deliver, gathered_root, is_delivery, share_commitment
from peerage_crypto.statements import BucketSum, ResultAck, seed_commitment, sign

change = msgspec.structs.replace


# -- what a hash is bound to


def test_a_commitment_to_a_share_is_of_one_dealing_to_one_holder():
    parts = (bytes(32), b"d" * 20, b"h" * 20, 1, b"share")
    others = (b"s" * 32, b"e" * 20, b"i" * 20, 2, b"other")
    changed = [share_commitment(*parts[:i], others[i], *parts[i + 1 :]) for i in range(5)]
    assert len({share_commitment(*parts), *changed}) == 6


def test_a_commitment_to_a_seed_is_of_one_owner_in_one_session():
    parts = (bytes(32), b"o" * 20, "rand", b"secret")
    others = (b"s" * 32, b"p" * 20, "self-seed", b"other")
    changed = [seed_commitment(*parts[:i], others[i], *parts[i + 1 :]) for i in range(4)]
    assert len({seed_commitment(*parts), *changed}) == 5


def test_a_plain_exchange_is_named_by_all_that_its_peers_agree_on():
    parts = {"chain_id": 1, "registry": b"r" * 20, "genesis": b"g" * 32, "terms": b"t" * 32}
    others = {"chain_id": 2, "registry": b"s" * 20, "genesis": b"h" * 32, "terms": b"u" * 32}
    names = [exchange_id(**parts), *(exchange_id(**{**parts, key: others[key]}) for key in parts)]
    assert len(set(names)) == 5


def test_siblings_in_a_proof_have_the_length_of_a_hash():
    """A root can be made so that a longer sibling leads to it; no tree of ours has such a root."""
    leaf, long = b"leaf", bytes(33)
    root = _sha(NODE + long + _sha(b"\x00" + leaf).digest()).digest()
    assert not merkle_verify(root, leaf, 1, 2, [long])


def test_a_nan_has_no_place_on_the_grid():
    with pytest.raises(ValueError, match="NaN"):
        quantise(np.array([0.0, np.nan]), 16, bytes(32))


def test_no_bucket_is_summed_with_fewer_than_four_survivors():
    assert [least_survivors(size) for size in (1, 3, 4, 5, 16)] == [4, 4, 4, 4, 14]


# -- evidence


def test_evidence_that_is_too_large_is_not_even_read():
    with pytest.raises(ValueError, match="larger than any legal one"):
        decode(b"[" * (MAX_EVIDENCE_BYTES + 1))


def test_two_joins_convict_nobody():
    told = Cohort(3).run()
    join = told.proven.roster.joins[0]
    other = sign(change(join.statement, version=2), told.people[0], DOMAIN)
    verdict = judge_equivocation(DOMAIN, Equivocation(1, "Vote", join, other))
    assert isinstance(verdict, str)


def test_a_packet_is_of_the_session_that_its_dealer_signed():
    told = Cohort(4).run()
    roster, dealer, holder = told.proven.roster, told.people[0], told.addresses[1]
    dealt = next(m for sender, _, m in told.log if isinstance(m, Dealt) and sender == dealer.address)
    assert is_delivery(roster, deliver(roster, dealt, dealer.address, holder), dealer.address, holder)
    other = sign(change(dealt.signed.statement, sid=bytes(32)), dealer, DOMAIN)
    wrong = deliver(roster, change(dealt, signed=other), dealer.address, holder)
    assert not is_delivery(roster, wrong, dealer.address, holder)


# -- a leaf of a sum


def evidence(told: Cohort, **fields: object) -> LeafEvidence:
    total, size = ring_bytes(told.summed.total), told.plan.vector_bytes
    root = leaf_check.sum_root(total, size)
    claim = sign(ResultAck(told.plan.sid, root, bytes(32)), told.people[0], DOMAIN)
    pieces = {}
    for member, signed in zip(told.proven.u3, told.transcript.manifests, strict=True):
        pieces[member] = leaf_check.piece_of(told.blobs[signed.statement.artefact], size, 0)
    found = leaf_check.evidence_of(told.proven, told.transcript, claim, 0, 0, total, pieces)
    return change(found, **fields)


def test_a_root_of_another_session_convicts_nobody():
    told = Cohort(4).run()
    assert leaf_check.judge_leaf(told.plan, evidence(told)) is None
    root = evidence(told).claim.statement.sum_root
    claim = sign(ResultAck(b"s" * 32, root, bytes(32)), told.people[0], DOMAIN)
    with pytest.raises(NoEvidence, match="not signed by the session's initiator"):
        leaf_check.judge_leaf(told.plan, evidence(told, claim=claim))


@pytest.mark.parametrize("where", [{"group": 1}, {"leaf": 1}])
def test_a_leaf_that_the_sum_has_not_convicts_nobody(where):
    told = Cohort(4).run()
    with pytest.raises(NoEvidence, match="no such leaf"):
        leaf_check.judge_leaf(told.plan, evidence(told, **where))


def test_a_leaf_of_another_length_is_none_though_its_owner_signed_a_root_over_it():
    told = Cohort(4).run()
    long = bytes(told.plan.vector_bytes + 4)
    with pytest.raises(NoEvidence):
        leaf_check._check(Piece(long, ()), merkle_root([long]), 0, 1, told.plan, 0)


# -- buckets and their leaders


def regional() -> tuple[Cohort, bytes]:
    """Twelve in two regions, of which the second has a leader; its word is made below."""
    addresses = Cohort(12, length=3).addresses
    regions = (frozenset(addresses[:6]), frozenset(addresses[6:]))
    told = Cohort(12, length=3, grouping=Grouping(regions=regions)).run()
    told.plan = replace(told.plan, grouping=Grouping(regions=regions, leaders=frozenset({addresses[8]})))
    return told, addresses[8]


def word(told: Cohort, by: bytes, **fields: object):
    """What the leader of the second region would say of all its vectors."""
    roster = told.proven.roster
    manifests = dict(zip(told.proven.u3, told.transcript.manifests, strict=True))
    members = [m for m in roster.buckets[1] if m in manifests]
    statement = BucketSum(
        sid=told.plan.sid,
        bucket=1,
        members=roster.bitmap(frozenset(members)).ljust(32, b"\0"),
        masked_root=gathered_root(roster, [manifests[m] for m in members]),
        artefact=sha256(b"its sum"),
    )
    who = next(a for a in told.people if a.address == by)
    return sign(change(statement, **fields), who, DOMAIN)


def found_with(told: Cohort, *gathered: object) -> set[str]:
    judged = judge_session(told.plan, change(told.transcript, gathered=gathered))
    return set() if isinstance(judged, Proven) else {f.code for f in judged}


def test_a_leaders_word_in_a_proof_is_its_own_for_this_session_and_these_vectors():
    told, leader = regional()
    assert not found_with(told, word(told, leader))
    assert found_with(told, word(told, told.addresses[7])) == {"session-gathered"}
    assert found_with(told, word(told, leader, sid=bytes(32))) == {"session-gathered"}
    assert found_with(told, word(told, leader, masked_root=bytes(32))) == {"session-gathered"}
    assert found_with(told, *[word(told, leader)] * 3) == {"session-gathered"}, "more words than buckets"


def test_a_proof_with_a_bucket_below_its_floor_does_not_hold():
    told = Cohort(24, length=3, grouping=Grouping(3)).run()
    roster = told.proven.roster
    u3 = tuple(m for m in roster.members if m not in roster.buckets[1][:2])
    (fault,) = secagg_judge._counts(roster, roster.members, u3, told.transcript)
    assert "a bucket that has lost too many" in fault.sentence


def gathering() -> tuple[Cohort, Leader, dict]:
    told, address = regional()
    me = next(a for a in told.people if a.address == address)
    leader = Leader(told.proven.roster, told.proven.u2, address, me.sign)
    return told, leader, dict(zip(told.proven.u3, told.transcript.manifests, strict=True))


def test_a_leader_takes_no_manifest_that_does_not_hold():
    told, leader, manifests = gathering()
    owner = told.addresses[7]
    wrong = sign(change(manifests[owner].statement, rand=bytes(32)), told.people[7], DOMAIN)
    assert [e.culprit for e in leader.on_manifest(owner, wrong) if isinstance(e, Blame)] == [owner]


@pytest.mark.parametrize("field", ["artefact", "masked_root"])
def test_a_leader_takes_no_vector_but_that_of_its_manifest(field):
    told, leader, manifests = gathering()
    owner = told.addresses[7]
    blob = told.blobs[manifests[owner].statement.artefact]
    signed = sign(change(manifests[owner].statement, **{field: sha256(b"another")}), told.people[7], DOMAIN)
    leader.on_manifest(owner, signed)
    assert [e.culprit for e in leader.on_vector(owner, blob) if isinstance(e, Blame)] == [owner]
    assert not leader.vectors
