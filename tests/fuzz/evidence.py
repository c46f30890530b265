"""Proofs against a peer as anybody may write them: two statements, or one leaf of a sum. All signers were honest."""

from __future__ import annotations

import msgspec

from cohort import DOMAIN, Cohort, accounts, opened
from fuzz.builder import tree
from fuzz.draw import Draw, edited
from fuzz.target import target
from peerage_crypto import equivocation, leaf_check
from peerage_crypto.digest import sha256
from peerage_crypto.secagg_sum import ring_bytes
from peerage_crypto.statements import ResultAck, Vote, sign

SHAPES = [bytes([n * 3, n, 5, n * 11 % 256, 1]) for n in range(20)]
ME, OTHER = accounts(2)
SID = opened(ME.address).sid
VOTES = [sign(Vote(SID, sha256(bytes([n]))), ME, DOMAIN) for n in range(2)]
TWICE = equivocation.evidence_of(DOMAIN, *VOTES)


@target("evidence.equivocation", allowed=(ValueError,), seeds=lambda: [equivocation.encode(TWICE)])
def contradiction(data: bytes) -> None:
    found = equivocation.decode(data)
    assert equivocation.encode(found) == data
    assert isinstance(equivocation.judge_equivocation(DOMAIN, found), bytes | str)


@target("evidence.equivocation-judged", allowed=(ValueError,), seeds=lambda: SHAPES)
def contradiction_judged(data: bytes) -> None:
    """What is spoilt convicts the one who signed twice or nobody: a signature of another sentence is of a stranger."""
    found = equivocation.decode(msgspec.json.encode(edited(tree(TWICE), Draw(data))))
    judged = equivocation.judge_equivocation(DOMAIN, found)
    assert judged != OTHER.address
    if judged == ME.address:
        assert {found.first, found.second} == set(VOTES)


COHORT = Cohort(5, length=650, lane=6).run()


def brought(leaf: int) -> leaf_check.LeafEvidence:
    """The initiator added up rightly, and so has nothing to fear from its own claim."""
    plan, total = COHORT.plan, ring_bytes(COHORT.summed.total)
    initiator = next(a for a in COHORT.people if a.address == plan.initiator)
    ack = ResultAck(plan.sid, leaf_check.sum_root(total, plan.vector_bytes), sha256(b"model"))
    pieces = {m: leaf_check.piece_of(v, plan.vector_bytes, leaf) for m, v in COHORT.masked().items()}
    claim = sign(ack, initiator, DOMAIN)
    return leaf_check.evidence_of(COHORT.proven, COHORT.transcript, claim, 0, leaf, total, pieces)


LEAVES = [brought(leaf) for leaf in range(3)]


@target(
    "evidence.leaf",
    allowed=(ValueError,),  # NoEvidence is one
    seeds=lambda: [leaf_check.encode(one) for one in LEAVES],
)
def leaf_of_a_sum(data: bytes) -> None:
    found = leaf_check.decode(data)
    assert leaf_check.encode(found) == data
    assert leaf_check.judge_leaf(COHORT.plan, found) is None


@target("evidence.leaf-judged", allowed=(ValueError,), seeds=lambda: SHAPES)
def leaf_judged(data: bytes) -> None:
    """However it is spoilt, an initiator that added rightly is convicted of nothing."""
    draw = Draw(data)
    leaf_of_a_sum(msgspec.json.encode(edited(tree(draw.pick(LEAVES)), draw)))
