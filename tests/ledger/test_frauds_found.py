"""Frauds of rounds, really built: a poster with real keys and a quorum's real signatures records what is not so.

Of each: the finder proposes exactly it, filing it convicts and moves the right stakes, and the same history without it
gives nothing to dispute; the same call about the honest record is refused.
"""

from dataclasses import replace

import pytest

from courtroom import FEDERATION, Court, Round
from frauds import FIFTH, POSTER, PROVEN, balances, proposed
from peerage.disputes.docket import find, settled, undecided
from peerage_crypto.secagg_collector import Step
from peerage_ledger.audit.findings import Finding


@pytest.fixture
def story():
    """An honest round on the ledger; the second one's record is the poster's to make."""
    court = Court()
    one = Round(court, 1, FEDERATION, FEDERATION, vanish={9: Step.VECTORS})
    court.record(one.record, 0)
    return court, one, Round(court, 2, one.record.record_hash(), one.proven.seed())


@pytest.mark.parametrize("fraud", PROVEN, ids=lambda f: f.build.__name__)
def test_a_false_record_is_found_filed_and_costs_its_poster_a_fifth(story, fraud):
    court, one, two = story
    record, documents = fraud.build(court, two)
    court.record(record, POSTER)
    documents |= one.documents
    dispute, *more = proposed(court, documents, one)
    assert tuple(other.fault for other in more) == fraud.also
    poster = court.people[POSTER].address
    assert (dispute.fault, dispute.function, dispute.accused) == (fraud.fault, fraud.call, (poster,))
    assert (dispute.round, dispute.record, dispute.bonded) == (2, record.record_hash(), False)
    # the same words about the round as it was are refused
    assert court.refusal(dispute.function, two.record.as_tuple(), *dispute.arguments[1:])[0]
    stakes, purse, pool = balances(court)
    assert court.prosecute(dispute) == ["RoundVoided"]
    stakes[POSTER] -= FIFTH
    assert balances(court) == (stakes, purse + FIFTH // 10, pool + FIFTH - FIFTH // 10)
    assert court.ask("RoundArbiter", "voided", record.record_hash())
    assert not court.ask("RoundArbiter", "voided", one.record.record_hash())
    assert proposed(court, documents, one) == more
    assert court.refusal(dispute.function, *dispute.arguments)[0] == "AlreadyDecided"


def test_an_honest_history_has_nothing_to_dispute(story):
    """Neither when its rounds were judged, nor when a stranger has only their documents."""
    court, one, two = story
    court.record(two.record, POSTER)
    documents = one.documents | two.documents
    assert proposed(court, documents, one, two) == []
    assert proposed(court, documents, one) == []
    assert proposed(court, documents) == []


def test_a_verdict_settles_what_the_audit_found_about_that_record_and_nothing_else(story):
    court, one, two = story
    record, documents = PROVEN[1].build(court, two)
    court.record(record, POSTER)
    documents |= one.documents
    found = [
        Finding("record", 2, court.people[POSTER].address, "it is not the one that its artefacts give"),
        Finding("session-roster", 2, None, "a roster breaks a rule"),
        Finding("journal-line", 2, None, "a torn line"),
        Finding("record", 1, None, "another round"),
    ]
    docket = court.docket(documents, [one])
    assert settled(found, find(docket), docket) == {}
    (dispute,) = find(docket)
    court.prosecute(dispute)
    docket = court.docket(documents, [one])
    assert list(settled(found, find(docket), docket)) == found[:2]
    assert [one.code for one in undecided(found, [], docket)] == ["journal-line", "record"]
    court.record(replace(record, transcript=bytes(32)), POSTER)  # its twin is not void
    docket = court.docket(documents, [one])
    assert settled(found, find(docket), docket) == {}
