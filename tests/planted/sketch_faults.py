"""One fault for each check of a screening; `scripts/planted` runs them with the others."""

from __future__ import annotations

from planted.fault import Fault

MEMBER = "crypto/peerage_crypto/sketch_member.py"
COLLECTOR = "crypto/peerage_crypto/sketch_collector.py"
JUDGE = "crypto/peerage_crypto/sketch_judge.py"
SCREENING = "crypto/peerage_crypto/screening.py"
SKETCHES = "crypto/peerage_crypto/sketches.py"
TERMS = "crypto/peerage_crypto/sketch_terms.py"
SUMS = "crypto/peerage_crypto/secagg_judge.py"
BASE = "crypto/peerage_crypto/secagg_collector.py"
SCREENED = "node/peerage/rounds/screened.py"

ALONE = ("tests/crypto/test_sketches.py",)
SESSIONS = ("tests/crypto/test_sketch_sessions.py",)
ROUNDS = ("tests/node/test_sketch_rounds.py",)

FAULTS = (
    # -- seeds and directions
    Fault("the seed covers all late randomness", SKETCHES, ", survivors, *lates)", ", survivors, *lates[:1])", ALONE),
    Fault("the seed covers the certificate", SKETCHES, ", survivors, *lates)", ", *lates)", ALONE),
    Fault("directions have zeros", SKETCHES, "(0, 0, 1, -1)", "(1, -1, 1, -1)", ALONE),
    Fault("counts are not projected", SKETCHES, "rows[:, : max(0, self.terms.skip - start)] = 0", "", ALONE),
    Fault(
        "a manifest hides the late randomness",
        "crypto/peerage_crypto/secagg_member.py",
        "if plan.sketches or plan.audited else self.late",
        "if plan.audited else self.late",
        SESSIONS,
    ),
    Fault(
        "a member compares the seed with the manifests",
        MEMBER,
        "if len(message.lates) != len(case.u3) or not all(map(case.is_late, case.u3, message.lates)):",
        "if len(message.lates) != len(case.u3):",
        SESSIONS,
    ),
    Fault(
        "as many late values as survivors",
        MEMBER,
        "if len(message.lates) != len(case.u3) or not all(map(",
        "if not all(map(",
        SESSIONS,
    ),
    Fault(
        "the initiator compares late values", COLLECTOR, " or not case.is_late(sender, message.late):", ":", SESSIONS
    ),
    Fault("a seed share is the one that was dealt", COLLECTOR, " == promised", " != b''", SESSIONS),
    Fault(
        "the silent are opened from shares",
        COLLECTOR,
        "self._lates[m] if m in self._lates else self._late_of(m)",
        "self._lates.get(m, bytes(32))",
        SESSIONS,
    ),
    # -- who passes
    Fault("too long fails", SKETCHES, "failed[i] = TOO_LONG", "pass", ALONE),
    Fault("outliers fail", SKETCHES, "failed[i] = OUTLIER", "pass", ALONE),
    Fault("the contradicted fail", SKETCHES, "contradicted[i] > max(colluders, 1)", "contradicted[i] > 99", ALONE),
    Fault("c liars cannot make one fail", SKETCHES, "contradicted[i] > max(", "contradicted[i] >= max(", ALONE),
    Fault("false sketches fail", SKETCHES, "failed |= {i: FALSE for i in u3 if i in false}", "", ALONE),
    Fault("the silent fail", SKETCHES, "{i: SILENT for i in u3 if i not in stated}", "{}", ALONE),
    Fault("no outlier of a median of nothing", SKETCHES, "elif median and below", "elif below", ALONE),
    Fault("the slack of the bound", TERMS, ">= -2 * log(WRONGLY)", ">= -log(WRONGLY)", ALONE),
    # -- what a sketch must be
    Fault("a sketch is for this session", SCREENING, "s.sid != plan.sid or ", "", SESSIONS),
    Fault("a sketch is for these survivors", SCREENING, " or s.survivors != self.survivors:", ":", SESSIONS),
    Fault(
        "numbers are those that were signed",
        SCREENING,
        "if s.values != numbers_digest(message.numbers):",
        "if False:",
        SESSIONS,
    ),
    Fault(
        "a sketch is its sender's", COLLECTOR, "if found is None or found[0] != sender:", "if found is None:", SESSIONS
    ),
    # -- the second vote
    Fault("U4 is who passes", MEMBER, "if set(u4) != set(passing):", "if False:", SESSIONS),
    Fault("nobody is kept who fails", MEMBER, "if set(u4) != set(passing):", "if set(passing) - set(u4):", SESSIONS),
    Fault("a sketch that was heard counts", MEMBER, "if not heard <= self._words.keys():", "if False:", SESSIONS),
    Fault("one sketch of each", MEMBER, "if found is None or found[0] in self._words:", "if found is None:", SESSIONS),
    Fault(
        "U4 is large enough",
        MEMBER,
        "if case.too_few(u4):\n            return self",
        "if False:\n            return self",
        SESSIONS,
    ),
    Fault("a false accusation is checked", MEMBER, "if called_false and not lies:", "if False:", SESSIONS),
    Fault("a covered lie is checked", MEMBER, "if lies and not called_false:", "if False:", SESSIONS),
    Fault(
        "the second certificate is a quorum",
        MEMBER,
        "if not is_certificate(case.roster, approved, message.votes):",
        "if False:",
        SESSIONS,
    ),
    Fault(
        "the second certificate is of my vote",
        MEMBER,
        "if (message.u4, message.screening) != (proposed.u4, approved):",
        "if False:",
        SESSIONS,
    ),
    Fault(
        "a screening needs a quorum",
        COLLECTOR,
        "if len(self._approvals) < roster.limits.quorum:",
        "if False:",
        SESSIONS,
    ),
    Fault("shares follow the second certificate", MEMBER, "self.stage is not Stage.SCREENED or ", "", SESSIONS),
    Fault(
        "the vote covers the sketches",
        SCREENING,
        ", *(s.signed.statement.digest(domain) for s in sketches)",
        "",
        SESSIONS,
    ),
    Fault("two sketches are seen", MEMBER, "mine[m].signed.statement != shown[m].signed.statement", "False", SESSIONS),
    # -- the judgement
    Fault(
        "a lie about the own mask convicts", SCREENING, 'key, "sketch-self"))', 'key, "")) if False else None', SESSIONS
    ),
    Fault("lies in the sum void it", JUDGE, "if in_sum:", "if False:", SESSIONS),
    Fault("lies outside the sum void nothing", JUDGE, " if who in u4]", "]", SESSIONS),
    Fault("a lie about the vector convicts", SUMS, "    if proven.screening:\n", "    if False:\n", SESSIONS),
    Fault(
        "the record has the first certificate",
        JUDGE,
        "if not is_certificate(roster, survivors, t.votes):",
        "if False:",
        SESSIONS,
    ),
    Fault(
        "the record has the second certificate",
        JUDGE,
        "if not is_certificate(roster, case.digest(t.u3, record.false, record.sketches), record.votes):",
        "if False:",
        SESSIONS,
    ),
    Fault("the record's seed", JUDGE, "if not all(map(case.is_late, u3, record.lates)):", "if False:", SESSIONS),
    Fault("the record's verdict", JUDGE, "if case.passing(verdict) != u4:", "if False:", SESSIONS),
    Fault(
        "a dropped peer's late randomness",
        BASE,
        "late_commitment(secret) if roster.plan.sketches or roster.plan.audited else secret",
        "late_commitment(secret) if roster.plan.audited else secret",
        SESSIONS,
    ),
    # -- the peers
    Fault("who failed sits out", SCREENED, "if next_round <= last)", "if False)", ROUNDS),
    Fault(
        "liars are in no later session", SCREENED, "[*sorted(s.convicted), *sorted(pauses", "[*sorted(pauses", ROUNDS
    ),
    Fault("an open contradiction sits out", SCREENED, "s.suspected |= run.member.disputed", "pass", ROUNDS),
    Fault("what failed is dropped", SCREENED, "s.own = s.own.dropped()", "s.own = s.own.released()", ROUNDS),
)
