"""Checks of audited pairs: the draw, what is shown, who is believed, what a lie costs."""

from __future__ import annotations

from planted.fault import Fault, without

AUDIT, MEMBER = "crypto/peerage_crypto/pair_audit.py", "crypto/peerage_crypto/secagg_member.py"
JUDGEMENT, ROUND = "ledger/peerage_ledger/judgement.py", "node/peerage/rounds/pair_audits.py"
STANDING, OPENINGS = "node/peerage/rounds/standing.py", "node/peerage/rounds/openings.py"
HERE, WHOLE = ("tests/crypto/test_pair_audit.py",), ("tests/node/test_pair_audits.py",)
THEOREM = ("tests/crypto/test_pair_audit.py", "tests/crypto/test_theorem.py")

FAULTS = (
    Fault("enough closed pairs", AUDIT, "    return colluders + 1 + (colluders + 1) % 2\n", "    return 2\n", THEOREM),
    Fault(
        "halves that hold together by themselves",
        AUDIT,
        "return proven.halves.members if proven.halves is not None else (group,)",
        "return (group,)",
        ("tests/crypto/test_theorem.py",),
    ),
    Fault("pairs between the halves", AUDIT, "if len(parts) == 2:", "if False:", ("tests/crypto/test_theorem.py",)),
    Fault("a complete graph only", AUDIT, "if all(len(proven.partners(m)) == len(g) - 1 for m in g)", "if True", HERE),
    Fault(
        "a late behind each manifest",
        AUDIT,
        "if any(late_commitment(late) != put_in[m] for m, late in zip(proven.u3, lates, strict=True)):",
        "if False:",
        HERE,
    ),
    without("a member's own late", AUDIT, "if late_commitment(message.late) != put_in[sender]:", HERE),
    without("a share as it was dealt", AUDIT, "if not self._is_dealt(sender, one):", HERE),
    without("a key as it was committed to", AUDIT, "if not is_committed(proven, owner, one, drawn):", HERE),
    without(
        "keys of this session",
        AUDIT,
        "if shown.sid != roster.plan.sid or s.sid != roster.plan.sid or s.roster != roster.digest:",
        HERE,
    ),
    without("one word of each survivor", AUDIT, "if owner in found or owner not in proven.u3:", HERE),
    without(
        "unconfirmed pairs among the drawn",
        AUDIT,
        "if named != sorted(set(named)) or not drawn.issuperset(named):",
        HERE,
    ),
    without(
        "a pair without a key is unconfirmed",
        AUDIT,
        "if any(a not in owners and b not in owners and (a, b) not in named for a, b in drawn):",
        HERE,
    ),
    Fault("the number that both stated", AUDIT, "ring) == number for k", "ring) is not None for k", HERE),
    Fault("enough who have shown their keys", AUDIT, "return shown >= min(", "return shown >= 0 * min(", HERE),
    Fault("a charge that outweighs a lie", AUDIT, "-(-2 * closed * median //", "-(-1 * closed * median //", HERE),
    Fault("a charge within the ring", AUDIT, "max(min(number, -owed), -half)", "min(number, -owed)", HERE),
    Fault(
        "randomness that is not shown before its time",
        MEMBER,
        "self.rand = late_commitment(self.late) if plan.sketches or plan.audited else self.late",
        "self.rand = late_commitment(self.late) if plan.sketches else self.late",
        HERE,
    ),
    Fault(
        "roots of their own for path gradients",
        MEMBER,
        'u2_digest, b"peerage/v1/gradient-root" + min(a, b) + max(a, b))',
        'b"", b"peerage/v1/pair-root" + min(a, b) + max(a, b))',
        ("tests/crypto/test_pair_audit.py",),
    ),
    Fault(
        "the audit of a record",
        JUDGEMENT,
        "fault = audit_fault(proven, t.lates, t.shown, t.unconfirmed) or _charge_fault(proven, t)",
        'fault = ""',
        WHOLE,
    ),
    Fault(
        "a draw of the initiator's making",
        ROUND,
        "fault = lates_fault(candidate.proven, message.lates)",
        'fault = ""',
        WHOLE,
    ),
    Fault(
        "numbers fixed before the draw",
        OPENINGS,
        "    if s.scoring.audit and s.scoring.audit.spoken:\n        return  # too late",
        "    if False:\n        return  # too late",
        WHOLE,
    ),
    Fault(
        "numbers as they were fixed",
        STANDING,
        "if not wrong and pair_audits.was_refixed(s, judged):",
        "if False:",
        WHOLE,
    ),
    without("one set of numbers", ROUND, "if s.spoken is not None and s.spoken != message:", WHOLE),
    Fault(
        "nothing said of the draw before numbers are fixed",
        ROUND,
        "if s.spoken is None or not s.let_go or member is None:",
        "if not s.let_go or member is None:",
        WHOLE,
    ),
    Fault(
        "my own pair in a record",
        STANDING,
        "if pair_audits.wrongs_me(s, judged):",
        "if False:",
        WHOLE,
    ),
    Fault(
        "keys are waited for",
        OPENINGS,
        "not audit.go_on(s, scoring.openings)",
        "(audit.go_on(s, scoring.openings), audit.drawn)[1] is None",
        WHOLE,
    ),
)
