"""What artefacts prove of a record: a real session bears it out, and no changed, missing or foreign artefact does."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from cohort import CHAIN, DOMAIN, PARAMS, PARENT, REGISTRY, Cohort, account
from peerage.provenance.sources import open_chain
from peerage_crypto.digest import address_root, sha256, tagged
from peerage_crypto.leaf_check import sum_root
from peerage_crypto.plain_statements import PlainMerge, PlainUpdate, exchange_id
from peerage_crypto.secagg_sum import ring_bytes
from peerage_crypto.statements import ResultAck, sign
from peerage_ledger.plain_record import PlainBody, PlainTranscript, encode_plain, merge_id
from peerage_ledger.provenance.evidence import Ground, binds, node_of
from peerage_ledger.provenance.model import Exchange
from peerage_ledger.records import RoundRecord
from peerage_ledger.transcript import NOTHING, ParentLink, RoundTranscript, Versioned, encode, record_of

change = msgspec.structs.replace
GROUND = Ground(CHAIN, REGISTRY, PARENT, DOMAIN, 5)
MODEL = sha256(b"model")


@pytest.fixture(scope="module")
def honest() -> SimpleNamespace:
    """A session of five, its transcript, its record, and a store with both artefacts."""
    told = Cohort(5, length=6, vectors=[np.arange(6, dtype=np.uint32)] * 5).run()
    session, root = told.transcript, sum_root(ring_bytes(told.summed.total), told.plan.vector_bytes)
    statement = ResultAck(told.plan.sid, root, MODEL)
    acks = tuple(sign(statement, a, DOMAIN) for a in told.people)
    transcript = RoundTranscript(
        schema=1,
        round=1,
        sid=told.plan.sid,
        parents=(ParentLink(PARENT, 0, NOTHING),),
        session=sha256(encode(session)),
        sum_artefact=session.sum_artefact,
        base=sha256(b"first"),
        aggregate=MODEL,
        versions=tuple(Versioned(a, 1) for a in told.proven.u3),
        acks=acks,
        direction=NOTHING,
        exponent=0,
        openings=(),
        numbers=(None,) * 5,
    )
    return SimpleNamespace(told=told, session=session, transcript=transcript, statement=statement)


def recorded(honest: SimpleNamespace, transcript=None, session=None, **more: object) -> tuple[RoundRecord, dict]:
    """The record as the round's own members would post it, and the store beside it."""
    t, s = transcript or honest.transcript, session or honest.session
    blob = encode(t)
    record = record_of(honest.transcript, sha256(blob), honest.told.proven, honest.session)
    roots = {"ack_root": address_root({a.signer(DOMAIN): tagged("peerage/ack/v1", a.signature) for a in t.acks})}
    record = RoundRecord(**{f: getattr(record, f) for f in RoundRecord.__slots__} | roots | more)
    return record, {sha256(blob): blob, sha256(encode(s)): encode(s)}


def test_a_real_session_bears_its_record_out(honest: SimpleNamespace) -> None:
    record, store = recorded(honest)
    node = node_of(record, GROUND, store)
    assert node.unproven == ""
    assert (node.exchange, node.record, node.members) == (Exchange.MASKED, record.record_hash(), 5)
    assert [c.peer for c in node.contributions] == sorted(a.address for a in honest.told.people)
    assert {c.version for c in node.contributions} == {1}
    assert (len(node.acknowledged), node.quorum, node.roster) == (5, 4, 5)
    assert binds(node, PARAMS, GROUND)
    assert not binds(node, sha256(b"other"), GROUND)


def test_what_is_missing_is_named(honest: SimpleNamespace) -> None:
    record, store = recorded(honest)
    without_session = {record.transcript: store[record.transcript]}
    assert node_of(record, GROUND, {}).unproven == "its transcript is not in the store"
    assert node_of(record, GROUND, without_session).unproven == "its session transcript is not in the store"


def test_a_store_that_lies_proves_nothing(honest: SimpleNamespace) -> None:
    record, store = recorded(honest)
    for artefact in store:
        other = {**store, artefact: store[artefact] + b" "}
        assert "other bytes than its name says" in node_of(record, GROUND, other).unproven


def test_an_artefact_of_no_kind_is_said_to_be_none(honest: SimpleNamespace) -> None:
    junk = b'{"junk":1}'
    record, store = recorded(honest)
    record = RoundRecord(**{f: getattr(record, f) for f in RoundRecord.__slots__} | {"transcript": sha256(junk)})
    assert node_of(record, GROUND, {**store, sha256(junk): junk}).unproven == "its transcript cannot be read"


ROOTS = {
    "join_root": "list of joins",
    "masked_root": "list of members",
    "ack_root": "list of acknowledgements",
    "aggregate": "transcript",
    "sid": "transcript",
}


@pytest.mark.parametrize(("field", "what"), ROOTS.items())
def test_a_record_with_another_root_is_not_borne_out(honest: SimpleNamespace, field: str, what: str) -> None:
    record, store = recorded(honest, **{field: sha256(b"forged")})
    node = node_of(record, GROUND, store)
    assert node.unproven == f"its {what} is not the one that the chain's record commits to"
    assert node.contributions == ()


def test_a_left_out_member_shows(honest: SimpleNamespace) -> None:
    record, store = recorded(honest, members=4)
    assert "list of members" in node_of(record, GROUND, store).unproven


def test_an_acknowledgement_of_another_model_counts_for_nothing(honest: SimpleNamespace) -> None:
    lie = sign(change(honest.statement, model=sha256(b"worse")), honest.told.people[0], DOMAIN)
    record, store = recorded(honest, change(honest.transcript, acks=(lie, *honest.transcript.acks[1:])))
    assert "acknowledgements" in node_of(record, GROUND, store).unproven


def test_an_acknowledgement_of_a_stranger_counts_for_nothing(honest: SimpleNamespace) -> None:
    alien = sign(honest.statement, account("stranger"), DOMAIN)
    record, store = recorded(honest, change(honest.transcript, acks=(*honest.transcript.acks, alien)))
    assert "acknowledgements" in node_of(record, GROUND, store).unproven


def test_too_few_acknowledgements_are_counted_honestly(honest: SimpleNamespace) -> None:
    record, store = recorded(honest, change(honest.transcript, acks=honest.transcript.acks[:2]))
    node = node_of(record, GROUND, store)
    assert (node.unproven, len(node.acknowledged), node.quorum) == ("", 2, 4)


def test_signatures_of_another_federation_prove_nothing(honest: SimpleNamespace) -> None:
    record, store = recorded(honest)
    elsewhere = Ground(CHAIN, REGISTRY, PARENT, sha256(b"another contract"), 5)
    assert node_of(record, elsewhere, store).unproven
    assert "cannot be" in node_of(record, Ground(CHAIN, REGISTRY, PARENT, DOMAIN, 2), store).unproven


def merged(**edit: object) -> tuple[RoundRecord, dict]:
    """A first merge of plain exchange by one of two peers."""
    a, b = sorted((account("a"), account("b")), key=lambda one: one.address)
    sid = exchange_id(chain_id=CHAIN, registry=REGISTRY, genesis=PARENT, terms=PARAMS)
    updates = tuple(
        sign(PlainUpdate(sid, 3, sha256(bytes([i])), 9, PARENT, 0), p, DOMAIN) for i, p in enumerate((a, b))
    )
    body = PlainBody(
        schema=1,
        sid=sid,
        initiator=a.address,
        merge=1,
        round=1,
        previous=PARENT,
        parents=(ParentLink(PARENT, 0, NOTHING),),
        updates=updates,
        versions=(Versioned(a.address, 3), Versioned(b.address, 3)),
        aggregate=MODEL,
        emissions=NOTHING,
    )
    signed = sign(PlainMerge(sid, 1, body.digest()), a, DOMAIN)
    blob = encode_plain(PlainTranscript(body, signed))
    fields = {
        "round": 1,
        "sid": merge_id(sid, a.address, 1),
        "parent_rounds": (0,),
        "parents": (PARENT,),
        "aggregate": MODEL,
        "join_root": address_root({u.signer(DOMAIN): u.statement.digest(DOMAIN) for u in updates}),
        "masked_root": address_root({u.signer(DOMAIN): u.statement.artefact for u in updates}),
        "ack_root": address_root({a.address: tagged("peerage/ack/v1", signed.signature)}),
        "score_root": bytes(32),
        "emission_root": bytes(32),
        "transcript": sha256(blob),
        "members": 2,
    }
    return RoundRecord(**(fields | edit)), {sha256(blob): blob}


def test_a_merge_of_plain_exchange_is_borne_out_by_its_signatures() -> None:
    record, store = merged()
    node = node_of(record, GROUND, store)
    assert (node.unproven, node.exchange, node.quorum) == ("", Exchange.PLAIN, 1)
    assert [(c.version, c.update) for c in node.contributions] == [(3, sha256(b"\0")), (3, sha256(b"\1"))]
    assert node.contributions[0].code_manifest is None
    assert binds(node, PARAMS, GROUND)
    assert not binds(node, sha256(b"other"), GROUND)


@pytest.mark.parametrize("field", ["sid", "aggregate", "join_root", "masked_root", "ack_root", "parents"])
def test_a_merge_with_another_record_is_not_borne_out(field: str) -> None:
    forged = (sha256(b"forged"),) if field == "parents" else sha256(b"forged")
    record, store = merged(**{field: forged})
    assert "is not the one that the chain's record commits to" in node_of(record, GROUND, store).unproven


def test_a_chain_behind_a_node_gives_the_graph_without_anybodys_folder(start_federation, story, tmp_path) -> None:
    """Records, siblings and places from the chain alone; who is in them needs a store."""
    running = start_federation("embedded")
    ledgers = running.ledgers()
    first = story.record(1, None)
    second, sibling = story.record(2, first), story.record(2, first, "beside")
    for record in (first, second, sibling):
        ledgers[0].submit_round(record)
        assert ledgers[0].settle(20)
    path = tmp_path / "deployment.json"
    running.deployment.write(path)

    opened = open_chain(path, running.devnet.rpc_url, None)

    graph = opened.told.graph
    assert opened.told.findings == ()
    assert set(graph.nodes) == {running.deployment.federation, *(r.record_hash() for r in (first, second, sibling))}
    assert graph.ancestry(sibling.record_hash()) == {
        running.deployment.federation,
        first.record_hash(),
        sibling.record_hash(),
    }
    assert {n.unproven for n in graph.nodes.values() if not n.is_genesis} == {"its transcript is not in the store"}
    assert graph[first.record_hash()].place.recorder == running.peers[0].address
    assert not any(n.paid for n in graph.nodes.values())
