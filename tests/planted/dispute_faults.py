"""Checks of who finds and proposes disputes, and of the auditor's reading of the pay arbiter."""

from __future__ import annotations

from planted.fault import Fault, unheeded

DISPUTES, PAY_COURT = "ledger/peerage_ledger/disputes/", "ledger/peerage_ledger/audit/pay_court.py"
FINDER, FOREST, PAY = DISPUTES + "finder.py", DISPUTES + "forest.py", DISPUTES + "pay_finder.py"
ANSWERS, DOCKET = DISPUTES + "answers.py", "node/peerage/disputes/docket.py"

RECORDS, QUESTIONS = ("tests/ledger/test_frauds_found.py",), ("tests/ledger/test_questions_found.py",)
WAGES = ("tests/ledger/test_pay_court.py",)

FAULTS = (
    # -- what is proposed
    Fault(
        "a document without the member is no alibi",
        FINDER,
        "for many in (0, 1, 2) if len(both) <= _LARGEST_PAIRS else (0, 1):",
        "for many in (1, 2):",
        RECORDS,
    ),
    Fault(
        "trees out of order are disputed",
        FOREST,
        "if disordered(rows) is not None and root_of(rows) == roots[tree]:",
        "if False:",
        RECORDS,
    ),
    Fault(
        "only a quorum for another model is brought",
        FINDER,
        "if len(acks) >= needed and acks[0].statement.model != record.aggregate:",
        "if len(acks) >= needed:",
        RECORDS,
    ),
    Fault(
        "what was convicted is not proposed again",
        FINDER,
        "done = {(peer, sid) for peer, sid, fault in docket.decided.convicted if fault == 1}",
        "done = set()",
        QUESTIONS,
    ),
    Fault(
        "what is known is not asked about",
        FOREST,
        "        if node in known:\n            continue\n",
        "",
        QUESTIONS,
    ),
    Fault(
        "an answer is followed downwards",
        FOREST,
        "ahead += [(left, (2 * turns, (right, *siblings))), (right, (2 * turns + 1, (left, *siblings)))]",
        "continue",
        QUESTIONS,
    ),
    Fault(
        "wrong pay is looked for behind a voided round",
        PAY,
        '"proveVoidedPaid", call, what, takes=0), paid',
        '"proveVoidedPaid", call, what, takes=0), None',
        WAGES,
    ),
    Fault(
        "scores out of order pay nobody",
        PAY,
        "dict(rows) if disordered(rows) is None else {}",
        "dict(rows)",
        WAGES,
    ),
    Fault(
        "a verdict about one record settles nothing about its twin",
        DOCKET,
        "all(decided.voided.get(name) for name in wrong)",
        "any(decided.voided.get(name) for name in wrong)",
        RECORDS,
    ),
    Fault(
        "acknowledgements of another model answer nothing",
        ANSWERS,
        "and acks[0].statement.model == record.aggregate:",
        "and acks:",
        QUESTIONS,
    ),
    # -- what the auditor asks of a call to the pay arbiter
    Fault(
        "a publication's lists are of one length",
        PAY_COURT,
        'need(len(records) == len(states), "ListsDiffer")',
        "pass",
        WAGES,
    ),
    unheeded("a right step convicts nobody", PAY_COURT, "not unpaid and paid.digest() != case.states[at]", WAGES),
    unheeded(
        "a right line convicts nobody", PAY_COURT, "at > 0 and tuple(record.parents) != (case.records[at - 1],)", WAGES
    ),
    unheeded("a right root convicts nobody", PAY_COURT, "(root, total) != (case.root.root, case.root.total)", WAGES),
    unheeded(
        "a step starts from what was signed",
        PAY_COURT,
        "state.digest() == (case.start if at == 0 else case.states[at - 1])",
        WAGES,
    ),
    unheeded("what can be claimed stands", PAY_COURT, "pending or digest in self.vault.voided", WAGES),
)
