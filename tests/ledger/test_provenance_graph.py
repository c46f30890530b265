"""The graph of models and its questions: answers equal what a search by hand finds, on forks, siblings and any DAG."""

from __future__ import annotations

import base64
import hashlib
import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerage_crypto.errors import InputError
from peerage_crypto.identity import Account
from peerage_ledger.events import RootPublished, RootVoided
from peerage_ledger.provenance import (
    Contribution,
    Exchange,
    ModelGraph,
    ModelNode,
    Place,
    Provenance,
    between,
    containing,
    envelope_of,
    find_model,
    find_peer,
    open_envelope,
    origin,
    paid_line,
    statement_of,
    svg_of,
    with_aggregate,
)
from peerage_ledger.provenance.evidence import Ground
from peerage_ledger.provenance.intoto import PAYLOAD_TYPE, PREDICATE_TYPE, payload_of
from peerage_ledger.provenance.queries import spans, split_version
from peerage_ledger.records import RewardRoot

PEERS = [bytes([i]) * 20 for i in (1, 2, 3)]
CODE, DATA = b"\xc0" * 32, b"\xda" * 32


def name(*what: object) -> bytes:
    return hashlib.sha256(repr(what).encode()).digest()


GENESIS = ModelNode(name("genesis"), 0, (), name("first"), bytes(32), 0, exchange=Exchange.GENESIS)
GROUND = Ground(31337, b"\x01" * 20, GENESIS.record, bytes(32), 3)


def node(word: str, round_: int, parents: tuple[ModelNode, ...], versions: dict[int, int], **more: object) -> ModelNode:
    made = tuple(Contribution(PEERS[i], v, name(word, i), DATA, CODE) for i, v in sorted(versions.items()))
    bare = ModelNode(
        name(word), round_, tuple(p.record for p in parents), name("model", word), name("t", word), len(made)
    )
    return replace(bare, exchange=Exchange.MASKED, contributions=made, initiator=PEERS[0], **more)


def told_of(*nodes: ModelNode) -> Provenance:
    names = {peer: f"peer-{i + 1:02}" for i, peer in enumerate(PEERS)}
    return Provenance(ModelGraph.of([GENESIS, *nodes]), GROUND, names, settled=True)


@pytest.fixture
def fork() -> SimpleNamespace:
    """first - a - b - d, and beside b a sibling c that another round e stands on."""
    a = node("a", 1, (GENESIS,), {0: 1, 1: 1, 2: 2}, paid=True)
    b = node("b", 2, (a,), {0: 2, 1: 3}, paid=True)
    c = node("c", 2, (a,), {0: 2, 2: 4})
    d = node("d", 3, (b,), {1: 4}, paid=True, voided=True)
    e = node("e", 3, (c,), {2: 5})
    return SimpleNamespace(a=a, b=b, c=c, d=d, e=e, told=told_of(a, b, c, d, e))


@st.composite
def dags(draw: st.DrawFn) -> list[ModelNode]:
    made = [GENESIS]
    for i in range(draw(st.integers(0, 12))):
        parents = tuple(draw(st.lists(st.sampled_from(made), min_size=1, max_size=3, unique_by=lambda n: n.record)))
        versions = draw(st.dictionaries(st.integers(0, 2), st.integers(1, 4), max_size=3))
        made.append(node(f"n{i}", 1 + max(p.round for p in parents), parents, versions))
    return made


def reaches(nodes: dict[bytes, ModelNode], start: bytes, goal: bytes) -> bool:
    return start == goal or any(reaches(nodes, p, goal) for p in nodes[start].parents)


@given(dags())
def test_ancestry_and_descent_are_what_a_search_by_hand_finds(nodes: list[ModelNode]) -> None:
    graph, by_name = ModelGraph.of(nodes), {n.record: n for n in nodes}
    for one in by_name:
        assert graph.ancestry(one) == {other for other in by_name if reaches(by_name, one, other)}
        assert graph.descent(one) == {other for other in by_name if reaches(by_name, other, one)}


@given(dags())
def test_parents_always_stand_before_their_children(nodes: list[ModelNode]) -> None:
    order = list(ModelGraph.of(reversed(nodes)).nodes)
    for n in nodes:
        assert all(order.index(p) < order.index(n.record) for p in n.parents)


@given(dags(), st.integers(0, 2), st.integers(1, 4))
def test_a_version_is_contained_where_it_went_in_and_above(nodes: list[ModelNode], peer: int, version: int) -> None:
    graph, by_name = ModelGraph.of(nodes), {n.record: n for n in nodes}
    direct = {n.record for n in nodes if any((c.peer, c.version) == (PEERS[peer], version) for c in n.contributions)}
    inside = {r for r in by_name if any(reaches(by_name, r, d) for d in direct)}
    if not direct:
        with pytest.raises(InputError, match="no model contains"):
            containing(graph, PEERS[peer], version)
        return
    found = containing(graph, PEERS[peer], version)
    assert {n.record for n in found.direct} == direct
    assert {n.record for n in found.later} == inside - direct


@given(dags(), st.data())
def test_what_is_between_two_models_leads_from_one_to_the_other(nodes: list[ModelNode], data: st.DataObject) -> None:
    graph, by_name = ModelGraph.of(nodes), {n.record: n for n in nodes}
    a, b = (data.draw(st.sampled_from(nodes)) for _ in range(2))
    found = between(graph, a, b)
    for x, y, got in ((a, b, found.ahead), (b, a, found.back)):
        expected = {r for r in by_name if reaches(by_name, y.record, r) and not reaches(by_name, x.record, r)}
        assert {n.record for n in got} == expected


@given(dags())
def test_every_graph_can_be_drawn(nodes: list[ModelNode]) -> None:
    drawing = svg_of(told_of(*nodes[1:]))
    spots = [(c.get("cx"), c.get("cy")) for c in ET.fromstring(drawing).iter() if c.tag.endswith("circle")]
    assert len(set(spots)) == len(spots)
    assert drawing == svg_of(told_of(*nodes[:0:-1]))


def test_a_cycle_and_a_record_that_is_there_twice_are_refused(fork: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match="not before it"):
        ModelGraph.of([GENESIS, replace(fork.a, parents=(fork.b.record,)), fork.b])
    with pytest.raises(ValueError, match="twice"):
        ModelGraph.of([GENESIS, fork.a, fork.a])


def test_a_missing_parent_is_named_and_not_walked(fork: SimpleNamespace) -> None:
    graph = ModelGraph.of([GENESIS, fork.a, fork.d])
    assert graph.absent == {fork.b.record}
    assert graph.ancestry(fork.d.record) == {fork.d.record}


def test_a_sibling_is_in_no_model_of_the_paid_line(fork: SimpleNamespace) -> None:
    found = containing(fork.told.graph, PEERS[2], 4)
    assert (found.direct, found.later) == ((fork.c,), (fork.e,))
    two = containing(fork.told.graph, PEERS[0], 2)
    assert {n.record for n in two.direct} == {fork.b.record, fork.c.record}


def test_between_two_branches_names_both_sides_and_what_changed(fork: SimpleNamespace) -> None:
    other = tuple(replace(c, code_manifest=name("new")) for c in fork.d.contributions)
    d = replace(fork.d, contributions=other)
    told = told_of(fork.a, fork.b, fork.c, d, fork.e)
    found = between(told.graph, fork.e, d)
    assert ([n.record for n in found.ahead], [n.record for n in found.back]) == (
        [fork.b.record, d.record],
        [fork.c.record, fork.e.record],
    )
    (change,) = found.changes
    assert (change.peer, change.what, change.node, change.before, change.after) == (
        PEERS[1],
        "code",
        d,
        CODE,
        name("new"),
    )


def test_an_unproven_model_is_never_said_not_to_contain_a_version(fork: SimpleNamespace) -> None:
    dark = replace(fork.e, contributions=(), unproven="its transcript is not in the store")
    told = told_of(fork.a, fork.b, fork.c, fork.d, dark)
    assert containing(told.graph, PEERS[2], 5).unproven == (dark,)
    assert containing(told.graph, PEERS[2], 5).direct == ()


def test_where_a_model_comes_from(fork: SimpleNamespace) -> None:
    found = origin(fork.told.graph, fork.d)
    assert [n.record for n in found.lineage] == [n.record for n in (GENESIS, fork.a, fork.b, fork.d)]
    assert found.versions == {PEERS[0]: (1, 2), PEERS[1]: (1, 3, 4), PEERS[2]: (2,)}
    assert with_aggregate(fork.told.graph, fork.d.aggregate) == (fork.d,)
    assert with_aggregate(fork.told.graph, bytes(32)) == ()


def test_models_are_found_by_round_hash_and_word(fork: SimpleNamespace) -> None:
    told = fork.told
    assert find_model(told, "genesis") == GENESIS
    assert find_model(told, "final") == fork.d
    assert find_model(told, "2") == fork.b  # the paid one of two
    assert find_model(told, fork.c.record.hex()[:8]) == fork.c
    assert find_model(told, "0x" + fork.c.aggregate.hex()) == fork.c


@pytest.mark.parametrize("text", ["9", "xyz", "", "abc", "ffffffffffffffff", "-1", "1e3"])
def test_a_model_that_is_not_there_is_one_sentence(fork: SimpleNamespace, text: str) -> None:
    with pytest.raises(InputError):
        find_model(fork.told, text)


def test_two_unpaid_records_of_one_round_must_be_named_by_hash(fork: SimpleNamespace) -> None:
    unpaid = told_of(*(replace(n, paid=False) for n in (fork.a, fork.b, fork.c)))
    with pytest.raises(InputError, match="2 records beside each other"):
        find_model(unpaid, "2")


def test_peers_are_found_by_name_or_address(fork: SimpleNamespace) -> None:
    assert find_peer(fork.told, "peer-02") == PEERS[1]
    assert find_peer(fork.told, "0x" + PEERS[2].hex()) == PEERS[2]
    with pytest.raises(InputError, match="there are peer-01, peer-02, peer-03"):
        find_peer(fork.told, "peer-9")


@pytest.mark.parametrize("text", ["peer-01", ":3", "peer-01:", "peer-01:x", "peer-01:-3", "peer-01:" + "9" * 40])
def test_a_question_about_a_version_has_one_form(text: str) -> None:
    with pytest.raises(InputError, match="PEER:VERSION"):
        split_version(text)


def test_spans_are_short() -> None:
    assert spans([1, 2, 3, 5, 7, 8]) == "1-3, 5, 7-8"


def publication(epoch: int, *records: bytes) -> SimpleNamespace:
    event = RootPublished(RewardRoot(epoch, bytes(32), 0, bytes(32), bytes(32)))
    return SimpleNamespace(function="publish", arguments={"records": records}, events=(SimpleNamespace(event=event),))


def test_the_paid_line_follows_the_publications_that_stand() -> None:
    void = SimpleNamespace(function="prove", arguments={}, events=(SimpleNamespace(event=RootVoided(2, bytes(32))),))
    first, wrong, right = publication(1, b"a"), publication(2, b"b"), publication(2, b"c")
    assert paid_line(SimpleNamespace(transactions=[first, wrong])) == {b"a", b"b"}
    assert paid_line(SimpleNamespace(transactions=[first, wrong, void])) == {b"a"}
    assert paid_line(SimpleNamespace(transactions=[first, wrong, void, right])) == {b"a", b"c"}


# -- the picture -------------------------------------------------------------------------------------------------------


def test_the_picture_strikes_voided_records_and_thickens_the_paid_line(fork: SimpleNamespace) -> None:
    drawing = ET.fromstring(svg_of(fork.told))
    kinds = [g.get("class", "") for g in drawing if g.tag.endswith("}g") and "node" in g.get("class", "")]
    assert sorted(kinds) == sorted(["node genesis", "node paid", "node paid", "node", "node voided", "node"])
    assert sum(p.get("class") == "edge paid" for p in drawing) == 3
    assert sum(p.get("class") == "edge" for p in drawing) == 2


def test_the_picture_carries_nothing_from_elsewhere_and_no_mark_up_of_strangers(fork: SimpleNamespace) -> None:
    hostile = replace(fork.told, names={PEERS[0]: "</title><script>alert(1)</script>"})
    drawing = svg_of(hostile, "a < b & c")
    assert "<script" not in drawing
    assert "http" not in drawing.replace("http://www.w3.org/2000/svg", "")
    assert ET.fromstring(drawing).find("{http://www.w3.org/2000/svg}title").text == "a < b & c"


@pytest.mark.parametrize("rounds", [0, 3, 41, 200])
def test_the_picture_of_many_rounds_stays_on_a_page(rounds: int) -> None:
    line = [GENESIS]
    for k in range(1, rounds + 1):
        line.append(node(f"r{k}", k, (line[-1],), {0: k}, paid=True))
    drawing = ET.fromstring(svg_of(told_of(*line[1:])))
    width, height = float(drawing.get("width")), float(drawing.get("height"))
    assert (width <= 2000, height <= 1200) == (True, True)
    for circle in drawing.iter("{http://www.w3.org/2000/svg}circle"):
        assert 0 < float(circle.get("cx")) < width
        assert 0 < float(circle.get("cy")) < height


# -- in-toto -----------------------------------------------------------------------------------------------------------

DIGEST = {"type": dict, "keys": {"sha256"}}


def check_resource(resource: dict) -> None:
    """ResourceDescriptor of in-toto attestation v1: a name and a digest set, annotations if any."""
    assert resource.keys() <= {"name", "digest", "annotations", "uri"}
    assert resource["digest"].keys() == {"sha256"}
    assert len(bytes.fromhex(resource["digest"]["sha256"])) == 32


def check_statement(statement: dict) -> None:
    """The Statement layer of in-toto attestation v1 and, inside, the fields of SLSA Provenance v1."""
    assert statement.keys() == {"_type", "subject", "predicateType", "predicate"}
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == PREDICATE_TYPE
    assert statement["subject"]
    for subject in statement["subject"]:
        check_resource(subject)
    predicate = statement["predicate"]
    build, run = predicate["buildDefinition"], predicate["runDetails"]
    assert (
        {"buildType", "externalParameters"}
        <= build.keys()
        <= {
            "buildType",
            "externalParameters",
            "internalParameters",
            "resolvedDependencies",
        }
    )
    assert {"builder"} <= run.keys() <= {"builder", "metadata", "byproducts"}
    assert ":" in build["buildType"]
    assert ":" in run["builder"]["id"]
    assert run["metadata"].keys() <= {"invocationId", "startedOn", "finishedOn"}
    for resource in [*build["resolvedDependencies"], *run["byproducts"]]:
        check_resource(resource)


def test_a_statement_has_the_published_shape_and_names_its_model(fork: SimpleNamespace) -> None:
    placed = replace(fork.b, place=Place(7, 1_700_000_000, name("tx"), PEERS[0]), versions=((PEERS[0], 2),))
    told = told_of(fork.a, placed, fork.c, fork.d, fork.e)
    statement = statement_of(told, placed)
    check_statement(statement)
    check_statement(statement_of(told, GENESIS))
    assert statement["subject"][0]["digest"]["sha256"] == fork.b.aggregate.hex()
    build = statement["predicate"]["buildDefinition"]
    assert {d["digest"]["sha256"] for d in build["resolvedDependencies"]} == {
        fork.a.aggregate.hex(),
        CODE.hex(),
        DATA.hex(),
    }
    assert statement["predicate"]["runDetails"]["metadata"]["finishedOn"] == "2023-11-14T22:13:20Z"
    ours = statement["predicate"]["peerage"]
    assert [(m["name"], m["version"]) for m in ours["members"]] == [("peer-01", 2), ("peer-02", 3)]
    assert (ours["record"], ours["paidLine"], ours["voided"]) == (fork.b.record.hex(), True, False)


def test_plain_updates_are_materials_by_their_own_digest(fork: SimpleNamespace) -> None:
    plain = replace(fork.b, exchange=Exchange.PLAIN)
    statement = statement_of(told_of(fork.a, plain), plain)
    check_statement(statement)
    named = {d["digest"]["sha256"] for d in statement["predicate"]["buildDefinition"]["resolvedDependencies"]}
    assert {c.update.hex() for c in plain.contributions} <= named


def test_an_envelope_is_dsse_and_says_who_signed_it(fork: SimpleNamespace) -> None:
    account = Account.from_secret(b"\x05" * 32)
    statement = statement_of(fork.told, fork.a)
    envelope = json.loads(envelope_of(statement, account))
    assert envelope.keys() == {"payload", "payloadType", "signatures"}
    assert envelope["payloadType"] == PAYLOAD_TYPE == "application/vnd.in-toto+json"
    assert base64.b64decode(envelope["payload"]) == payload_of(statement)
    assert [s.keys() for s in envelope["signatures"]] == [{"keyid", "sig"}]
    told, signers = open_envelope(envelope_of(statement, account))
    assert (told, signers) == (statement, (account.address,))


def test_a_changed_envelope_is_refused(fork: SimpleNamespace) -> None:
    account = Account.from_secret(b"\x05" * 32)
    envelope = json.loads(envelope_of(statement_of(fork.told, fork.a), account))
    other = base64.b64encode(payload_of(statement_of(fork.told, fork.b))).decode()
    cut = {**envelope["signatures"][0], "sig": envelope["signatures"][0]["sig"][:40]}
    for change in ({"payload": other}, {"payloadType": "text/plain"}, {"signatures": []}, {"signatures": [cut]}):
        with pytest.raises(ValueError, match=r"signature|envelope"):
            open_envelope(json.dumps({**envelope, **change}).encode())
    for junk in (b"", b"[]", b"{}", b"[" * 9999, b"x" * (5 << 20)):
        with pytest.raises(ValueError, match="envelope"):
            open_envelope(junk)
