"""Frauds of signers, and questions: who asks about a record that nobody can show, who answers for one that is right."""

from dataclasses import replace

import pytest

from courtroom import ANSWER, BOND, FEDERATION, OTHER_MODEL, STAKE, Court, Round
from frauds import FIFTH, POSTER, balances, change, proposed, store
from peerage_crypto.digest import address_root, sha256
from peerage_crypto.equivocation import encode as encode_evidence
from peerage_crypto.equivocation import evidence_of
from peerage_crypto.plain_statements import PlainMerge
from peerage_crypto.secagg_collector import Step
from peerage_crypto.statements import Vote, sign
from peerage_ledger.disputes import evidence as ev
from peerage_ledger.disputes import tables
from peerage_ledger.disputes.answers import answer, answer_merge
from peerage_ledger.plain_record import PlainBody, PlainTranscript, encode_plain, record_of_merge
from peerage_ledger.transcript import ParentLink, encode


@pytest.fixture
def story():
    """An honest round on the ledger; the second one's record is the poster's to make."""
    court = Court()
    one = Round(court, 1, FEDERATION, FEDERATION, vanish={9: Step.VECTORS})
    court.record(one.record, 0)
    return court, one, Round(court, 2, one.record.record_hash(), one.proven.seed())


# -- signers -----------------------------------------------------------------------------------------------------------


def test_f1_two_votes_in_one_session_cost_the_whole_stake(story):
    court, one, two = story
    court.record(two.record, POSTER)
    liar = court.people[11]
    votes = [sign(Vote(two.opened.sid, sha256(text)), liar, court.domain) for text in (b"one", b"other")]
    told = encode_evidence(evidence_of(court.domain, *votes))
    documents = one.documents | two.documents
    (dispute,) = proposed(court, documents | store(told), one, two)
    assert (dispute.fault, dispute.function, dispute.accused) == ("F1", "proveEquivocation", (liar.address,))
    stakes, purse, pool = balances(court)
    assert court.prosecute(dispute) == ["PeerConvicted"]
    stakes[11] = 0
    assert balances(court) == (stakes, purse + STAKE // 10, pool + STAKE - STAKE // 10)
    assert proposed(court, documents | store(told), one, two) == []
    assert not court.ask("RoundArbiter", "voided", two.record.record_hash())
    # one statement sent twice contradicts nothing
    kind, first, signature, *_ = dispute.arguments
    assert court.refusal("proveEquivocation", kind, first, signature, first, signature)[0] == "SameStatement"


def test_f10_a_false_secret_costs_its_signer_a_fifth_and_voids_the_record(story):
    court, one, two = story
    owner = two.proven.u3[3]
    place = next(i for i, p in enumerate(court.people) if p.address == owner)
    honest = two.manifest(owner)
    lie = sign(change(honest.statement, rand=sha256(b"afterwards")), court.people[place], court.domain)
    shown = tuple(lie if m == honest else m for m in two.session.manifests)
    masked = two.tables.masked | {owner: lie.statement.digest(court.domain)}
    record = replace(two.record, masked_root=address_root(masked))
    court.record(record, POSTER)
    documents = one.documents | store(encode(change(two.session, manifests=shown)), encode(two.transcript))
    convicts, voids = proposed(court, documents, one)
    assert [(d.fault, d.function, d.accused) for d in (convicts, voids)] == [
        ("F10", "proveFalseReveal", (owner,)),
        ("F10", "voidFalseReveal", ()),
    ]
    honest_call = ev.false_reveal(two.proven.roster, two.session.u2, owner, honest)
    assert court.refusal("proveFalseReveal", *honest_call)[0] == "HonestReveal"
    stakes, purse, pool = balances(court)
    assert court.prosecute(convicts) == ["PeerConvicted"]
    stakes[place] -= FIFTH
    assert balances(court) == (stakes, purse + FIFTH // 10, pool + FIFTH - FIFTH // 10)
    honest_leaf = ev.recorded_reveal(two.record, two.tables.masked, owner)
    assert court.refusal("voidFalseReveal", *honest_leaf)[0] == "HonestReveal"
    assert proposed(court, documents, one) == [voids]
    assert court.prosecute(voids) == ["RoundVoided"]
    assert proposed(court, documents, one) == []
    assert balances(court)[0] == stakes  # its poster could not know


# -- questions ---------------------------------------------------------------------------------------------------------


def silence(court, question, poster=POSTER):
    """Nobody answers in time: the bond comes back, and the poster loses a fifth."""
    assert court.refusal("expire", question)[0] == "TooEarly"
    stakes, purse, pool = balances(court)
    court.time += ANSWER
    assert [e.name for e in court.file("expire", question)] == ["QuestionExpired", "RoundVoided"]
    stakes[poster] -= FIFTH
    assert balances(court) == (stakes, purse + BOND + FIFTH // 10, pool + FIFTH - FIFTH // 10)


def asked(court, dispute):
    """File a question; its name."""
    purse = court.purse(court.hunter)
    (event,) = court.file(dispute.function, *dispute.arguments)
    assert event.name == "QuestionAsked"
    assert court.purse(court.hunter) == purse - BOND
    return event.values["question"]


def test_f5_a_result_that_nobody_acknowledged_is_asked_about(story):
    court, one, two = story
    made_up = replace(two.record, sid=sha256(b"no session"), aggregate=OTHER_MODEL)
    court.record(made_up, POSTER)
    (dispute,) = proposed(court, one.documents, one)
    assert (dispute.fault, dispute.function, dispute.bonded) == ("F5", "challengeAcknowledgements", True)
    question = asked(court, dispute)
    assert proposed(court, one.documents, one) == []
    silence(court, question)
    assert proposed(court, one.documents, one) == []


def test_f3_a_leaf_that_nobody_signed_is_asked_for_node_by_node(story):
    """The poster answers as far as it can: every answer shows two nodes, of which the finder asks about the unknown."""
    court, one, two = story
    owner = two.proven.u3[4]
    masked = two.tables.masked | {owner: sha256(b"made up")}
    record = replace(two.record, masked_root=address_root(masked))
    court.record(record, POSTER)
    documents = one.documents | two.documents
    level = [tables.leaf_hash(account, value) for account, value in tables.entries(masked)]
    ends = {}
    while len(level) > 1:
        pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
        ends |= {tables.node_hash(*pair): tuple(pair) for pair in pairs if len(pair) > 1}
        level = [tables.node_hash(*pair) if len(pair) > 1 else pair[0] for pair in pairs]
    steps = 0
    while True:
        (dispute,) = proposed(court, documents, one)
        assert (dispute.fault, dispute.function, dispute.bonded) == ("F3", "challengeNode", True)
        assert court.refusal("challengeNode", two.record.as_tuple(), *dispute.arguments[1:])[0] == "NotInTree"
        question, node = asked(court, dispute), dispute.arguments[3]
        assert proposed(court, documents, one) == []
        if node not in ends:
            break
        court.do(court.people[POSTER], "RoundArbiter", "answerNode", record.record_hash(), ev.MASKED, *ends[node])
        steps += 1
    assert steps == 4  # ten leaves
    assert node == tables.leaf_hash(owner, masked[owner])
    silence(court, question)
    assert proposed(court, documents, one) == []


def test_f3_nodes_of_an_honest_tree_lead_to_no_further_question(story):
    """Who asks without a reason: the whole tree is known, whatever was asked and answered."""
    court, one, two = story
    court.record(two.record, POSTER)
    documents = one.documents | two.documents
    root = two.record.masked_root
    court.file("challengeNode", two.record.as_tuple(), ev.name_of(two.opened), ev.MASKED, root, (0, []))
    shelf, decided = court.docket(documents).shelf, court.docket(documents).decided
    (question,) = decided.questions.values()
    name, arguments = answer(question, two.record, shelf, decided.seats)
    assert name == "answerNode"
    court.file(name, *arguments)
    assert proposed(court, documents) == []


def test_every_question_about_an_honest_round_is_answered_from_its_documents(story):
    """As a node does it; what is not there answers nothing, and nothing answers for a false record."""
    court, one, two = story
    court.record(two.record, POSTER)
    documents = one.documents | two.documents
    for tree, table in ((ev.JOINS, two.tables.joins), (ev.MASKED, two.tables.masked), (ev.ACKS, two.tables.acks)):
        court.file("challengeNode", *ev.question(two.record, two.opened, tree, table, two.proven.u3[1]))
    court.file("challengeAcknowledgements", two.record.as_tuple())
    docket = court.docket(documents)
    empty = court.docket({}).shelf
    calls = []
    for question in docket.decided.questions.values():
        assert answer(question, two.record, empty, docket.decided.seats) is None
        call = answer(question, two.record, docket.shelf, docket.decided.seats)
        calls.append(call[0])
        assert court.refusal(call[0], one.record.as_tuple(), *call[1][1:])[0]
        assert [e.name for e in court.file(call[0], *call[1])] == ["QuestionAnswered"]
        assert court.refusal(call[0], *call[1])[0] == "NotOpen"
    assert calls == ["answerLeaf", "answerLeaf", "answerLeaf", "answerAcknowledgements"]
    false = replace(two.record, aggregate=OTHER_MODEL)
    assert answer(question, false, docket.shelf, docket.decided.seats) is None


def merged(court, one, maker=3):
    """A merge of plain exchange on the first round's record: its record, and its documents."""
    exchange, who = sha256(b"exchange"), court.people[maker]
    parents = (ParentLink(one.record.record_hash(), 1, bytes(32)),)
    given = (parents, (), (), OTHER_MODEL, bytes(32))
    body = PlainBody(1, exchange, who.address, 1, 2, parents[0].record, *given)
    signed = sign(PlainMerge(exchange, 1, body.digest()), who, court.domain)
    blob = encode_plain(PlainTranscript(body, signed))
    return record_of_merge(court.docket({}).federation, body, sha256(blob), signed), store(blob), blob


def test_the_maker_of_a_merge_answers_for_it(story):
    court, one, _ = story
    record, documents, blob = merged(court, one)
    court.record(record, POSTER)
    assert proposed(court, documents | one.documents, one) == []  # the audit names a false one: asking costs the bond
    (dispute,) = proposed(court, one.documents, one)
    assert (dispute.fault, dispute.function) == ("F5", "challengeAcknowledgements")
    asked(court, dispute)
    seats, pool = court.seats, court.pool()
    for other in (replace(record, sid=sha256(b"other")), replace(record, ack_root=sha256(b"other"))):
        assert answer_merge(other, blob, court.domain, seats) is None
    assert answer_merge(record, b"{}", court.domain, seats) is None
    assert answer_merge(record, blob, court.domain, {}) is None
    name, call = answer_merge(record, blob, court.domain, seats)
    assert court.refusal(name, one.record.as_tuple(), *call[1:])[0] == "OtherSession"
    assert [e.name for e in court.file(name, *call)] == ["QuestionAnswered"]
    assert court.pool() == pool + BOND
    assert proposed(court, one.documents, one) == []
