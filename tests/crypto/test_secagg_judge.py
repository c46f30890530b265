"""What a transcript proves to somebody who was not there, and whom each lie in it convicts."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from cohort import DOMAIN, Cohort, account
from peerage_crypto.digest import sha256
from peerage_crypto.secagg_collector import Step
from peerage_crypto.secagg_judge import Proven, judge_session, judge_sum
from peerage_crypto.secagg_sum import ring_bytes
from peerage_crypto.statements import sign

change = msgspec.structs.replace
TOLD = Cohort(8, vanish={3: Step.VECTORS, 5: Step.SHARES}).run()
PLAN, T, PEOPLE = TOLD.plan, TOLD.transcript, TOLD.people
INITIATOR, LAST = TOLD.addresses[0], TOLD.proven.u3[-1]


def judged(transcript):
    """(code, culprit) of every fault; an empty list for a session that is proven."""
    outcome = judge_session(PLAN, transcript)
    return [] if isinstance(outcome, Proven) else [(f.code, f.culprit) for f in outcome]


def last_manifest(**fields):
    return (*T.manifests[:-1], sign(change(T.manifests[-1].statement, **fields), PEOPLE[-1], DOMAIN))


def test_an_honest_transcript_is_proven():
    proven = judge_session(PLAN, T)

    assert proven.u3 == tuple(a for i, a in enumerate(TOLD.addresses) if i not in (3, 5))
    assert proven.dropped == (TOLD.addresses[3],)


def test_the_shared_randomness_is_that_of_everybody_in_u2():
    rands = [TOLD.members[a].rand for a in TOLD.proven.u2]

    assert TOLD.proven.seed() == sha256(PLAN.sid, *rands)
    assert TOLD.proven.rands[3] == TOLD.members[TOLD.addresses[3]].rand


@pytest.mark.parametrize(
    ("code", "culprit", "edit"),
    [
        ("session-schema", None, {"schema": 2}),
        ("session-open", INITIATOR, {"opened": sign(T.opened.statement, PEOPLE[1], DOMAIN)}),
        ("session-open", INITIATOR, {"opened": sign(change(T.opened.statement, nonce=bytes(32)), PEOPLE[0], DOMAIN)}),
        ("session-open", INITIATOR, {"opened": change(T.opened, signature=bytes(65))}),
        ("session-roster", INITIATOR, {"joins": T.joins[1:]}),
        ("session-roster", INITIATOR, {"joins": (change(T.joins[0], signature=bytes(65)), *T.joins[1:])}),
        ("session-roster", INITIATOR, {"joins": T.joins * 10}),
        ("session-roster", INITIATOR, {"u2": b"\x00\x00"}),
        ("session-survivors", INITIATOR, {"u3": b"\xff"}),
        ("session-survivors", INITIATOR, {"u3": b"\x07"}),
        ("session-shape", INITIATOR, {"manifests": T.manifests[1:]}),
        ("session-shape", INITIATOR, {"self_seeds": T.self_seeds * 2}),
        ("session-shape", INITIATOR, {"mask_secrets": ()}),
        ("session-shape", INITIATOR, {"rands": ()}),
        ("session-votes", INITIATOR, {"votes": T.votes[:5]}),
        ("session-votes", INITIATOR, {"votes": (*T.votes[:5], T.votes[0])}),
        ("session-votes", INITIATOR, {"votes": (*T.votes[:5], sign(T.votes[0].statement, account("x"), DOMAIN))}),
        ("session-secret", INITIATOR, {"self_seeds": (bytes(32), *T.self_seeds[1:])}),
        ("session-secret", INITIATOR, {"mask_secrets": (bytes(32),)}),
        ("session-secret", INITIATOR, {"rands": (bytes(32),)}),
    ],
)
def test_a_lie_in_a_transcript_is_found_and_blames_who_wrote_it(code, culprit, edit):
    assert (code, culprit) in judged(change(T, **edit))


@pytest.mark.parametrize(
    ("code", "culprit", "manifests"),
    [
        ("manifest-rand", LAST, last_manifest(rand=bytes(32))),
        ("manifest-view", INITIATOR, last_manifest(u2=bytes(32))),
        ("manifest-view", INITIATOR, last_manifest(length=4)),
        ("manifest-signature", INITIATOR, (*T.manifests[:-1], change(T.manifests[-1], signature=bytes(65)))),
        ("manifest-signature", INITIATOR, (*T.manifests[1:], T.manifests[0])),
    ],
)
def test_a_manifest_convicts_its_owner_only_of_what_he_signed(code, culprit, manifests):
    assert (code, culprit) in judged(change(T, manifests=manifests))


def test_a_session_of_another_federation_or_size_is_not_this_one():
    assert isinstance(judge_session(replace(PLAN, domain=sha256(b"other")), T), list)
    assert isinstance(judge_session(replace(PLAN, length=8), T), list)
    assert isinstance(judge_session(replace(PLAN, registered=frozenset(TOLD.addresses[:7])), T), list)


# -- the sum -----------------------------------------------------------------------------------------------------------


def sum_faults(blobs=None, transcript=T, total=None):
    total = ring_bytes(TOLD.summed.total) if total is None else total
    return [(f.code, f.culprit) for f in judge_sum(TOLD.proven, transcript, blobs or TOLD.masked(), total)]


def test_the_sum_is_added_again_bit_for_bit():
    assert sum_faults() == []


def test_a_wrong_sum_with_its_own_hash_convicts_the_initiator():
    wrong = np.array(TOLD.summed.total)
    wrong[0] += 1
    blob = ring_bytes(wrong)

    assert sum_faults(transcript=change(T, sum_artefact=sha256(blob)), total=blob) == [("sum-wrong", INITIATOR)]
    assert sum_faults(total=blob) == [("sum-artefact", None)]


def test_a_changed_vector_convicts_nobody_since_anybody_may_have_kept_it():
    assert sum_faults(TOLD.masked() | {LAST: bytes(PLAN.vector_bytes)}) == [("masked-vector", None)]


def test_a_merkle_root_that_is_not_its_vectors_convicts_who_signed_it():
    lying = change(T, manifests=last_manifest(masked_root=bytes(32)))

    assert sum_faults(transcript=lying) == [("masked-root", LAST)]
