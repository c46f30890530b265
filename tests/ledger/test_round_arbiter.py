"""The round arbiter on the embedded EVM, with evidence that the ledger's side makes of whole sessions.

What Solidity hashes is held against Python on random inputs here; contracts/test has the same faults from a third pen.
"""

import random
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from courtroom import (
    ANSWER,
    BUCKETS,
    FEDERATION,
    OTHER_MODEL,
    PEERS,
    SETTINGS,
    Court,
    Round,
    agreed,
)
from peerage.config import Federation as Settings
from peerage.config import RobustSettings
from peerage_crypto.buckets import Grouping
from peerage_crypto.digest import address_root, merkle_root, sha256
from peerage_crypto.equivocation import KINDS, evidence_of
from peerage_crypto.fixedpoint import into_ring, ring
from peerage_crypto.secagg_collector import Step
from peerage_crypto.sketch_terms import Sketching, late_commitment
from peerage_crypto.statements import JoinIntent, Vote, sign
from peerage_ledger.disputes import evidence as ev
from peerage_ledger.disputes import tables

change = msgspec.structs.replace


@pytest.fixture(scope="module")
def story():
    """Two honest rounds on the ledger, the first of which lost a member before its vector came."""
    court = Court()
    one = Round(court, 1, FEDERATION, FEDERATION, vanish={9: Step.VECTORS})
    court.record(one.record, 0)
    two = Round(court, 2, one.record.record_hash(), one.proven.seed())
    court.record(two.record, 1)
    return court, one, two


def told(found, name):
    return [e.values for e in found if e.name == name]


def condemned(court, record, fault, call, *arguments):
    """File it; the record is void and its poster (peer 2) a fifth poorer."""
    court.record(record, 2)
    before = court.stake(court.people[2].address)
    (said,) = told(court.file(call, *arguments), "RoundVoided")
    assert (said["record"], said["fault"]) == (record.record_hash(), fault)
    assert court.ask("RoundArbiter", "voided", record.record_hash())
    assert court.stake(court.people[2].address) == before - before // 5


# -- honest rounds -----------------------------------------------------------------------------------------------------


def test_no_evidence_against_honest_rounds_is_taken(story):
    court, one, two = story
    owner = two.proven.u3[4]
    for r, parent in ((one, None), (two, one.parent)):
        call = r.draw(r.tables.masked, r.manifest(owner), owner, r.record, parent)
        name, (bucket,) = court.refusal("proveWrongDraw", *call)
        assert (name, int.from_bytes(bucket, "big")) == ("HonestDraw", r.proven.roster.bucket_of(owner))
        acked = ev.other_result(r.record, r.opened, r.tables.joins, PEERS, r.acks, court.domain)
        assert court.refusal("proveOtherResult", *acked)[0] == "SameModel"
        for i, member in enumerate(r.proven.u3):
            reveal = ev.false_reveal(r.proven.roster, r.session.u2, member, r.session.manifests[i])
            assert court.refusal("proveFalseReveal", *reveal)[0] == "HonestReveal"
        # all that is not under the joins is not under the acknowledgements either
        others = {a: v for a, v in r.tables.joins.items() if a != owner}
        gap = ev.omission(r.record, r.opened, others, r.tables.acks, owner)
        assert court.refusal("proveOmission", *gap)[0] == "NotInTree"
    assert not any(court.ask("RoundArbiter", "voided", r.record.record_hash()) for r in (one, two))


def test_every_leaf_of_an_honest_round_is_answered_from_its_transcripts(story):
    court, _, two = story
    joins = dict(zip(two.proven.roster.members, two.proven.roster.joins, strict=True))
    owner = two.proven.u3[2]
    ack = next(a for a in two.acks if a.is_by(owner, court.domain))
    shown = (
        (ev.JOINS, two.tables.joins, joins[owner]),
        (ev.MASKED, two.tables.masked, two.manifest(owner)),
        (ev.ACKS, two.tables.acks, ack),
    )
    for tree, table, signed in shown:
        (asked,) = told(
            court.file("challengeNode", *ev.question(two.record, two.opened, tree, table, owner)), "QuestionAsked"
        )
        answer = ev.statement_answer(two.record, tree, owner, court.seats[owner], signed)
        assert told(court.file("answerLeaf", *answer), "QuestionAnswered")[0]["question"] == asked["question"]
    court.file("challengeAcknowledgements", two.record.as_tuple())
    answer = ev.acknowledgements(two.record, two.opened, two.acks, court.seats, court.domain)
    assert told(court.file("answerAcknowledgements", *answer), "QuestionAnswered")
    assert court.ask("PeerageToken", "balanceOf", court.at["RoundArbiter"]) == 0


# -- frauds ------------------------------------------------------------------------------------------------------------


def test_f1_two_votes(story):
    court, _, two = story
    liar = court.people[11]
    one, other = (sign(Vote(two.opened.sid, sha256(x)), liar, court.domain) for x in (b"one", b"other"))
    found = court.file("proveEquivocation", *ev.equivocation(evidence_of(court.domain, one, other)))
    assert told(found, "PeerConvicted")[0]["peer"] == liar.address
    assert court.stake(liar.address) == 0


def test_f2_an_acknowledger_who_is_missing_among_the_joins(story):
    court, _, two = story
    for missing in (two.proven.roster.members[i] for i in (0, 5, 9)):
        joins = {a: v for a, v in two.tables.joins.items() if a != missing}
        record = replace(two.record, join_root=address_root(joins))
        condemned(court, record, 2, "proveOmission", *ev.omission(record, two.opened, joins, two.tables.acks, missing))


def test_f2_a_tree_out_of_order(story):
    court, _, two = story
    rows = list(reversed(tables.entries(two.tables.acks)))
    record = replace(two.record, emission_root=tables_root(rows))
    condemned(court, record, 2, "proveDisorder", *ev.disorder(record, ev.EMISSIONS, rows))


def test_f3_silence(story):
    court, _, two = story
    owner = two.proven.u3[0]
    masked = two.tables.masked | {owner: sha256(b"made up")}
    record = replace(two.record, masked_root=address_root(masked))
    court.record(record, 3)
    asked = ev.question(record, two.opened, ev.MASKED, masked, owner)
    (question,) = (e["question"] for e in told(court.file("challengeNode", *asked), "QuestionAsked"))
    answer = ev.statement_answer(record, ev.MASKED, owner, court.seats[owner], two.manifest(owner))
    assert court.refusal("answerLeaf", *answer)[0] == "NotOpen"
    court.time += ANSWER
    assert told(court.file("expire", question), "RoundVoided")[0]["fault"] == 3


def test_f4_another_bucket_than_the_drawn_one(story):
    court, one, two = story
    owner = two.proven.u3[4]
    person = next(a for a in court.people if a.address == owner)
    honest = two.manifest(owner).statement
    moved = sign(change(honest, bucket=1 - honest.bucket), person, court.domain)
    masked = two.tables.masked | {owner: moved.statement.digest(court.domain)}
    record = replace(two.record, masked_root=address_root(masked))
    condemned(court, record, 4, "proveWrongDraw", *two.draw(masked, moved, owner, record, one.parent))


def test_f4_other_randomness_is_not_the_parents(story):
    court, one, two = story
    owner = two.proven.u3[4]
    rands = (*one.proven.rands[:-1], sha256(b"of my choice"))
    forged = ev.Parent(one.record, one.session, replace(one.proven, rands=rands))
    call = two.draw(two.tables.masked, two.manifest(owner), owner, two.record, forged)
    assert court.refusal("proveWrongDraw", *call)[0] == "NotCommitted"
    fewer = change(one.session, u2=one.session.u3)  # without the member that dealt and dropped
    forged = ev.Parent(one.record, fewer, replace(one.proven, rands=one.proven.rands[:-1]))
    call = two.draw(two.tables.masked, two.manifest(owner), owner, two.record, forged)
    assert court.refusal("proveWrongDraw", *call)[0] == "NotThisStatement"


def test_f4_with_sketches_a_dropped_member_has_put_in_what_stands_behind_its_rand():
    rules = Settings(peers=PEERS, robust=RobustSettings(rule="median", buckets=BUCKETS, sketches=8))
    settings, federation = agreed(rules)
    court, noise = Court(federation), np.random.default_rng(3)
    vectors = [into_ring(np.rint(noise.normal(size=300) * 100).astype(np.int64), ring(32)) for _ in range(10)]
    terms = Sketching(8, (3, 1), 2000, 0)
    one = Round(court, 1, federation, federation, {9: Step.VECTORS}, sketches=terms, length=300, vectors=vectors)
    two = Round(court, 2, one.record.record_hash(), one.proven.seed())
    owner = two.proven.u3[4]
    call = two.draw(two.tables.masked, two.manifest(owner), owner, two.record, one.parent, settings)
    name, (bucket,) = court.refusal("proveWrongDraw", *call)
    assert (name, int.from_bytes(bucket, "big")) == ("HonestDraw", two.proven.roster.bucket_of(owner))
    assert len(one.proven.dropped) == 1
    put_in = zip(one.proven.u2, one.proven.rands, strict=True)
    shown = tuple(late_commitment(r) if m in one.proven.dropped else r for m, r in put_in)
    forged = ev.Parent(one.record, one.session, replace(one.proven, rands=shown))
    call = two.draw(two.tables.masked, two.manifest(owner), owner, two.record, forged, settings)
    assert court.refusal("proveWrongDraw", *call)[0] == "NotCommitted"


def test_f5_a_quorum_for_another_model(story):
    court, _, two = story
    record = replace(two.record, aggregate=OTHER_MODEL)
    needed = court.ask("RoundArbiter", "accusers", 10, PEERS)
    few = ev.other_result(record, two.opened, two.tables.joins, PEERS, two.acks[: needed - 1], court.domain)
    assert court.refusal("proveOtherResult", *few)[0] == "QuorumMissing"
    call = ev.other_result(record, two.opened, two.tables.joins, PEERS, two.acks[:needed], court.domain)
    condemned(court, record, 5, "proveOtherResult", *call)


def test_f10_a_reveal_that_was_not_committed_to(story):
    court, _, two = story
    owner = two.proven.u3[3]
    person = next(a for a in court.people if a.address == owner)
    lie = sign(change(two.manifest(owner).statement, rand=sha256(b"afterwards")), person, court.domain)
    before = court.stake(owner)
    found = court.file("proveFalseReveal", *ev.false_reveal(two.proven.roster, two.session.u2, owner, lie))
    assert [(e["peer"], e["fault"]) for e in told(found, "PeerConvicted")] == [(owner, 10)]
    assert court.stake(owner) == before - before // 5
    masked = two.tables.masked | {owner: lie.statement.digest(court.domain)}
    record = replace(two.record, masked_root=address_root(masked))
    court.record(record, 4)
    assert told(court.file("voidFalseReveal", *ev.recorded_reveal(record, masked, owner)), "RoundVoided")


# -- Solidity against Python -------------------------------------------------------------------------------------------


def test_digests_agree(story):
    court, _, two = story
    draw = random.Random(5)
    for name, kind in KINDS.items():
        for _ in range(3):
            values = {f: draw.randbytes(32) for f in kind.__struct_fields__}
            small = {"bucket": draw.randrange(256), "half": draw.randrange(256), "length": draw.randrange(2**32)}
            values |= {name_: number for name_, number in small.items() if name_ in values}
            signed = sign(kind(**values), court.people[0], court.domain)
            shown = ev.fields(signed.statement), signed.signature
            refusal = court.refusal("proveEquivocation", ev.KINDS.index(name), *shown, *shown)
            assert refusal == ("SameStatement", (signed.statement.digest(court.domain),)), name
    numbers = {"round": 7, "version": 2**40}
    join = JoinIntent(**{f: numbers.get(f, draw.randbytes(32)) for f in JoinIntent.__struct_fields__})
    (reveal,) = ev.false_reveal(two.proven.roster, two.session.u2, two.proven.u3[0], two.session.manifests[0])
    sid, roster, place, _, update, signature = reveal
    join = change(join, sid=sid)
    name, (got, _) = court.refusal("proveFalseReveal", (sid, roster, place, ev.fields(join), update, signature))
    assert (name, got) == ("NotThisStatement", join.digest(court.domain))


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 7, 12, 13, 31, 100])
def test_trees_agree_and_no_two_leaves_are_neighbours_but_those_that_are(story, count):
    court, _, two = story
    draw = random.Random(count)
    table = {draw.randbytes(20): draw.randbytes(32) for _ in range(count)}
    rows = tables.entries(table)
    record = replace(two.record, emission_root=address_root(table), ack_root=address_root(table))
    for _ in range(4):
        i, j = draw.randrange(count), draw.randrange(count)
        one, other = tables.leaf_at(rows, i), tables.leaf_at(rows, j)
        name, _ = court.refusal("proveDisorder", record.as_tuple(), ev.EMISSIONS, one, other)
        assert name == ("NotAGap" if j == i + 1 else "NotNeighbours")
    if count > 1:
        i = draw.randrange(count - 1)
        name, _ = court.refusal(
            "proveDisorder", record.as_tuple(), ev.EMISSIONS, tables.leaf_at(rows, i), tables.leaf_at(rows, i + 1)
        )
        assert name == "NotAGap"
    # an address that is in no table is missing from every one of them, wherever it would stand
    stranger, present = draw.randbytes(20), rows[draw.randrange(count)][0]
    joins = two.tables.joins | {stranger: bytes(32)}
    both = replace(record, ack_root=address_root(joins), join_root=address_root(table))
    assert court.refusal("proveOmission", *ev.omission(both, two.opened, table, joins, stranger)) == ("", ())
    acks = replace(record, join_root=address_root(table))
    gap = (tables.leaf_of(table, present), tables.around({a: v for a, v in rows if a != present}, present))
    assert court.refusal("proveOmission", acks.as_tuple(), ev.name_of(two.opened), *gap)[0] in {
        "NotInTree",
        "NotAGap",
        "NotNeighbours",
    }


@pytest.mark.parametrize("count", [1, 4, 5, 9, 10, 14, 64])
def test_draws_agree(story, count):
    court, one, _ = story
    draw = random.Random(count)
    members = tuple(sorted(draw.randbytes(20) for _ in range(count)))
    joins = {m: draw.randbytes(32) for m in members}
    buckets = Grouping(buckets=BUCKETS).split(members, FEDERATION)
    statement = one.session.manifests[0].statement
    for owner in draw.sample(members, min(count, 3)):
        right = next(i for i, bucket in enumerate(buckets) if owner in bucket)
        for said in (right, right + 1):
            update = sign(change(statement, bucket=said), court.people[0], court.domain)
            masked = {owner: update.statement.digest(court.domain)}
            record = replace(one.record, join_root=address_root(joins), masked_root=address_root(masked))
            call = ev.wrong_draw(record, one.opened, joins, masked, update, owner, SETTINGS, None)
            name, values = court.refusal("proveWrongDraw", *call)
            assert (name, *(int.from_bytes(v, "big") for v in values)) == (
                ("HonestDraw", right) if said == right else ("",)
            )


def test_settings_that_draw_nothing_or_are_not_ours_decide_nothing(story):
    court, one, _ = story
    owner = one.proven.u3[4]
    call = one.draw(one.tables.masked, one.manifest(owner), owner, one.record, None)
    for settings in (SETTINGS.replace(b"buckets = 2", b"buckets = 3"), SETTINGS + b"\n", b"\n[robust]\n"):
        record, name, draw = call
        forged = (settings, settings.index(ev.ROBUST), *draw[2:])
        assert court.refusal("proveWrongDraw", record, name, forged)[0] == "NotTheSettings"


def tables_root(rows):
    return merkle_root([account + value for account, value in rows])
