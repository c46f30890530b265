"""Wrong pay on the embedded EVM: a quorum with real keys publishes it, the finder proposes what convicts them.

Every call goes to the contract and to the auditor's reading of it (`courtroom`): both take it, with the same events, or
both refuse it, and then the chain is as it was.
"""

from dataclasses import replace

import pytest

from courtroom import ANSWER, FEDERATION, PEERS, STAKE, Court, Round
from frauds import FIFTH, balances, change, proposed, store, swapped
from peerage_crypto.digest import address_root, claim_root, merkle_root, sha256
from peerage_ledger.audit.pay_court import after
from peerage_ledger.disputes.forest import score_rows
from peerage_ledger.disputes.pay_finder import _tuple as told_state
from peerage_ledger.records import RewardRoot, Steps, packed
from peerage_ledger.rewards import PayState, Rule
from peerage_ledger.transcript import encode, score_leaf

POOL, PLANNED, DELAY = 10**9, 4, 1000
RULE = Rule(POOL, PLANNED, 2, 12)
NOTHING = bytes(32)
SIGNERS = range(PEERS - 3)  # more than two thirds


class Pay:
    """A federation with two honest rounds on the ledger, and what they pay."""

    def __init__(self) -> None:
        terms = {"pool": POOL, "planned_rounds": PLANNED, "activation_delay": DELAY}
        self.court = Court(FEDERATION, unbonding_seconds=2 * DELAY, **terms)
        self.court.do(self.court.operator, "PeerageToken", "approve", self.court.at["RewardVault"], POOL)
        self.court.do(self.court.operator, "RewardVault", "fund", POOL)
        self.one = Round(self.court, 1, FEDERATION, FEDERATION)
        self.two = Round(self.court, 2, self.one.record.record_hash(), self.one.proven.seed())
        for r in (self.one, self.two):
            self.court.record(r.record, 0)
        self.documents = self.one.documents | self.two.documents
        shelf = self.court.docket(self.documents).shelf
        self.states = [PayState(0, FEDERATION)]
        for r in (self.one, self.two):
            self.states.append(after(self.states[-1], r.record, dict(score_rows(shelf, r.record)), RULE))

    def told(self, *, records=None, states=None, root=None, total=None, epoch=1):
        """An honest publication of both rounds but for what is given."""
        due = self.states[-1].totals()
        records = [r.record.record_hash() for r in (self.one, self.two)] if records is None else records
        states = [s.digest() for s in self.states[1:]] if states is None else states
        return (
            epoch,
            claim_root(due) if root is None else root,
            sum(due.values()) if total is None else total,
            NOTHING,
            list(records),
            list(states),
        )

    def sign(self, told, who=SIGNERS):
        epoch, root, total, emissions, records, states = told
        signed = RewardRoot(epoch, root, total, emissions, Steps(tuple(records), tuple(states)).digest())
        self.digest = signed.digest(self.court.model.chain_id, self.court.at["RewardVault"])
        return packed([self.court.people[i].sign(self.digest) for i in who])

    def publish(self, told):
        signatures = self.sign(told)
        self.court.do(self.court.people[0], "RewardVault", "publish", *told, signatures)
        return signatures

    def refused(self, function, *arguments):
        return self.court.refusal(function, *arguments, to="PayArbiter")[0]

    def step(self, told, at, record, table, signatures, before=None):
        state = told_state(self.states[at] if before is None else before)
        return (told, at, state, record.as_tuple(), [a for a, _ in table], [v for _, v in table], signatures)

    def rows(self, r):
        return score_rows(self.court.docket(self.documents).shelf, r.record)

    def void(self, r):
        """A question about it that nobody answers: all who have its documents are away."""
        self.court.file("challengeAcknowledgements", r.record.as_tuple())
        question = self.court.ask("RoundArbiter", "acknowledgementsQuestion", r.record.record_hash())
        self.court.time += ANSWER
        self.court.file("expire", question)


@pytest.fixture
def pay():
    return Pay()


def convicted(pay, dispute, function, fault):
    """Filed: the root is taken back, a fifth of everybody's who signed is gone, and there is nothing more."""
    court = pay.court
    everybody = tuple(court.people[i].address for i in SIGNERS)
    assert (dispute.contract, dispute.function, dispute.fault, dispute.accused) == (
        "PayArbiter",
        function,
        fault,
        everybody,
    )
    stakes, purse, pool = balances(court)
    named = ["RootTakenBack", "PublicationProvenWrong", *["SignerConvicted"] * len(everybody)]
    assert court.prosecute(dispute) == named
    for i in SIGNERS:
        stakes[i] -= FIFTH
    assert balances(court) == (
        stakes,
        purse + len(everybody) * (FIFTH // 10),
        pool + len(everybody) * (FIFTH - FIFTH // 10),
    )
    assert court.ask("RewardVault", "published") == 0
    assert proposed(court, pay.documents, pay.one, pay.two) == []


# -- right pay ---------------------------------------------------------------------------------------------------------


def test_right_pay_cannot_be_convicted_by_any_call(pay):
    told = pay.told()
    signatures = pay.publish(told)
    assert proposed(pay.court, pay.documents, pay.one, pay.two) == []
    digest = pay.digest
    for at, r in enumerate((pay.one, pay.two)):
        call = pay.step(told, at, r.record, pay.rows(r), signatures)
        assert pay.refused("proveWrongStep", *call) == "HonestStep"
        assert pay.refused("proveWrongLine", told, at, r.record.as_tuple(), signatures) == "HonestStep"
        assert pay.refused("proveVoidedPaid", told, at, told_state(pay.states[at])) == "NotVoided"
    assert pay.refused("proveWrongRoot", told, told_state(pay.states[-1]), signatures) == "HonestRoot"
    assert pay.refused("convict", digest, signatures) == "NotProvenWrong"


def test_evidence_that_is_of_something_else_is_refused(pay):
    told = pay.told()
    signatures = pay.publish(told)
    one, two, state = pay.one.record, pay.two.record, told_state(pay.states[0])
    rows = pay.rows(pay.one)
    wrong_step = pay.step(told, 0, one, rows, signatures)
    assert pay.refused("proveWrongStep", *pay.step(told, 1, one, rows, signatures)) == "NotThisRecord"
    assert pay.refused("proveWrongStep", *pay.step(told, 0, two, rows, signatures)) == "NotThisRecord"
    assert pay.refused("proveWrongStep", *pay.step(told, 2, two, rows, signatures)) == "NoSuchStep"
    assert pay.refused("proveWrongStep", *pay.step(told, 3, two, rows, signatures, pay.states[0])) == "NoSuchStep"
    assert pay.refused("proveWrongStep", *pay.step(told, 0, one, rows[1:], signatures)) == "NotTheScores"
    assert pay.refused("proveWrongStep", *pay.step(told, 0, one, swapped(rows), signatures)) == "NotTheScores"
    assert pay.refused("proveWrongStep", *wrong_step[:5], wrong_step[5][1:], signatures)
    moved = pay.step(told, 0, one, rows, signatures, pay.states[1])
    assert pay.refused("proveWrongStep", *moved) == "NotThisState"
    assert pay.refused("proveWrongRoot", told, state, signatures) == "NotThisState"
    assert pay.refused("proveWrongLine", told, 2, two.as_tuple(), signatures) == "NoSuchStep"
    other = pay.told(total=1)
    assert pay.refused("proveWrongRoot", other, told_state(pay.states[-1]), signatures) == "NotDisputable"
    pay.court.time += DELAY
    pay.court.do(pay.court.operator, "PeerageToken", "transfer", pay.court.hunter.address, 1)  # a block later
    assert pay.refused("proveWrongStep", *wrong_step) == "NotDisputable"


def test_lists_of_unequal_length_are_another_publication(pay):
    """One hash is over both lists: where the first one ends, it does not say."""
    told = pay.told()
    signatures = pay.publish(told)
    epoch, root, total, emissions, records, states = told
    shifted = (epoch, root, total, emissions, [*records, states[0]], states[1:])
    assert Steps(tuple(shifted[4]), tuple(shifted[5])).digest() == Steps(tuple(records), tuple(states)).digest()
    state = told_state(pay.states[0])
    assert pay.refused("proveWrongRoot", shifted, state, signatures) == "ListsDiffer"
    assert pay.refused("proveWrongLine", shifted, 1, pay.two.record.as_tuple(), signatures) == "ListsDiffer"
    assert pay.refused("proveVoidedPaid", shifted, 0, state) == "ListsDiffer"
    step = pay.step(shifted, 0, pay.one.record, pay.rows(pay.one), signatures)
    assert pay.refused("proveWrongStep", *step) == "ListsDiffer"


# -- wrong pay ---------------------------------------------------------------------------------------------------------


def test_f6_a_step_that_pays_a_friend(pay):
    honest = pay.states[1]
    earners = (replace(honest.earners[0], cumulative=honest.earners[0].cumulative + 7), *honest.earners[1:])
    forged = replace(honest, earners=earners).digest()
    pay.publish(pay.told(states=[forged, pay.states[2].digest()]))
    (dispute,) = proposed(pay.court, pay.documents, pay.one, pay.two)
    assert dispute.record == pay.one.record.record_hash()
    convicted(pay, dispute, "proveWrongStep", "F6")


def test_f6_a_line_of_records_that_do_not_stand_on_each_other(pay):
    """A second round on a sibling of the first one, paid behind the first one."""
    sibling = replace(pay.one.record, sid=sha256(b"sibling"))
    pay.court.record(sibling, 3)
    cousin = replace(pay.two.record, parents=(sibling.record_hash(),))
    pay.court.record(cousin, 3)
    pay.publish(pay.told(records=[pay.one.record.record_hash(), cousin.record_hash()]))
    (dispute,) = [d for d in proposed(pay.court, pay.documents, pay.one, pay.two) if d.contract == "PayArbiter"]
    assert (dispute.fault, dispute.function) == ("F6", "proveWrongStep")
    assert pay.court.prosecute(dispute)[0] == "RootTakenBack"


def test_f6_a_line_over_a_record_that_never_was(pay):
    invented = sha256(b"no record")
    told = pay.told(records=[invented, pay.two.record.record_hash()])
    pay.publish(told)
    (dispute,) = proposed(pay.court, pay.documents, pay.one, pay.two)
    convicted(pay, dispute, "proveWrongLine", "F6")


def test_f7_a_claim_tree_of_ones_own(pay):
    due = pay.states[-1].totals()
    most = max(due, key=lambda account: due[account])
    friend = pay.court.people[11].address
    moved = {account: amount for account, amount in due.items() if account != most} | {friend: due[most]}
    pay.publish(pay.told(root=claim_root(moved)))
    (dispute,) = proposed(pay.court, pay.documents, pay.one, pay.two)
    convicted(pay, dispute, "proveWrongRoot", "F7")


def test_f8_more_than_was_earned(pay):
    due = pay.states[-1].totals() | {pay.court.people[11].address: 5}
    pay.publish(pay.told(root=claim_root(due), total=sum(due.values())))
    (dispute,) = proposed(pay.court, pay.documents, pay.one, pay.two)
    convicted(pay, dispute, "proveWrongRoot", "F8")


def test_scores_out_of_order_pay_nobody_and_a_step_that_pays_by_them_is_wrong(pay):
    """The table under the root is as the documents have it: its order is part of what the rule reads."""
    court, two = pay.court, pay.two
    order = swapped(range(len(two.proven.u3)))
    numbers = tuple(two.transcript.numbers[i] for i in order)
    table = [(two.proven.u3[i], score_leaf(n, two.transcript.exponent)) for i, n in zip(order, numbers, strict=True)]
    root = merkle_root([a + v for a, v in table])
    record = replace(two.record, score_root=root, sid=two.record.sid)
    court.record(record, 3)
    session = change(two.session, manifests=swapped(two.session.manifests))
    pay.documents |= store(encode(session), encode(change(two.transcript, numbers=numbers)))
    generous = after(pay.states[1], record, dict(table), RULE)
    due = generous.totals()
    records = [pay.one.record.record_hash(), record.record_hash()]
    states = [pay.states[1].digest(), generous.digest()]
    pay.publish(pay.told(records=records, states=states, root=claim_root(due), total=sum(due.values())))
    disputes = [d for d in proposed(court, pay.documents, pay.one, pay.two) if d.contract == "PayArbiter"]
    assert [(d.fault, d.function) for d in disputes] == [("F6", "proveWrongStep")]
    assert court.prosecute(disputes[0])[0] == "RootTakenBack"


# -- voided rounds -----------------------------------------------------------------------------------------------------


def test_a_voided_round_that_is_paid_takes_the_root_back_and_blames_nobody(pay):
    court = pay.court
    told = pay.told()
    pay.publish(told)
    pay.void(pay.two)
    (dispute,) = proposed(court, pay.documents, pay.one, pay.two)
    assert (dispute.function, dispute.accused, dispute.takes) == ("proveVoidedPaid", (), 0)
    before = balances(court)
    assert court.prosecute(dispute) == ["RootTakenBack"]
    assert balances(court) == before
    assert proposed(court, pay.documents, pay.one, pay.two) == []
    # paid anew without it, nothing is wrong; paying it again would be
    unpaid = replace(pay.states[1], rounds=2, record=pay.two.record.record_hash())
    due = unpaid.totals()
    again = pay.told(states=[pay.states[1].digest(), unpaid.digest()], root=claim_root(due), total=sum(due.values()))
    signatures = pay.publish(again)
    assert proposed(court, pay.documents, pay.one, pay.two) == []
    assert pay.refused("proveVoidedPaid", again, 1, told_state(pay.states[1])) == "HonestStep"
    step = pay.step(again, 1, pay.two.record, pay.rows(pay.two), signatures)
    assert pay.refused("proveWrongStep", *step) == "HonestStep"


def test_wrong_pay_is_found_behind_a_voided_round_that_is_paid(pay):
    """Whether the voided round's pay can still be taken back or not."""
    court = pay.court
    due = pay.states[-1].totals() | {court.people[11].address: 5}
    pay.publish(pay.told(root=claim_root(due), total=sum(due.values())))
    pay.void(pay.one)
    voided, wrong = proposed(court, pay.documents, pay.one, pay.two)
    assert (voided.function, wrong.function) == ("proveVoidedPaid", "proveWrongRoot")
    assert court.prosecute(voided) == ["RootTakenBack"]
    assert proposed(court, pay.documents, pay.one, pay.two) == [wrong]
    named = ["PublicationProvenWrong", *["SignerConvicted"] * len(SIGNERS)]
    assert court.prosecute(wrong) == named
    assert proposed(court, pay.documents, pay.one, pay.two) == []


# -- who was not named at first ----------------------------------------------------------------------------------------


def test_signers_that_a_proof_did_not_bring_are_convicted_afterwards(pay):
    court = pay.court
    due = pay.states[-1].totals() | {court.people[11].address: 5}
    told = pay.told(root=claim_root(due), total=sum(due.values()))
    pay.publish(told)
    some = pay.sign(told, [1, 2])
    court.file("proveWrongRoot", told, told_state(pay.states[-1]), some, to="PayArbiter")
    (dispute,) = proposed(court, pay.documents, pay.one, pay.two)
    left = tuple(court.people[i].address for i in SIGNERS if i not in (1, 2))
    assert (dispute.function, dispute.accused) == ("convict", left)
    assert court.prosecute(dispute) == ["SignerConvicted"] * len(left)
    assert [court.stake(court.people[i].address) for i in SIGNERS] == [STAKE - FIFTH] * len(SIGNERS)
    assert court.prosecute(dispute) == []  # once each
    assert pay.refused("convict", pay.digest, b"\1" * 63) == "BadSignatures"
    stranger = packed([court.hunter.sign(pay.digest)])
    assert [e.name for e in court.file("convict", pay.digest, stranger, to="PayArbiter")] == ["SignerConvicted"]
    assert proposed(court, pay.documents, pay.one, pay.two) == []


def test_the_table_of_a_record_is_the_pay_rules(pay):
    assert address_root(dict(pay.rows(pay.one))) == pay.one.record.score_root
