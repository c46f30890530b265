"""Checks of private validation: halves, commitments, sums, directions."""

from __future__ import annotations

from planted.fault import Fault, without

CROSSFIT, GRADIENTS = "crypto/peerage_crypto/crossfit.py", "node/peerage/rounds/gradients.py"
OPENING, OPENINGS = "crypto/peerage_crypto/opening.py", "node/peerage/rounds/openings.py"
JUDGEMENT, NUMBERS = "ledger/peerage_ledger/judgement.py", "ledger/peerage_ledger/audit/numbers.py"
SETTINGS, LEARNER = "node/peerage/validation.py", "node/peerage/learning/learner.py"

AT_HALVES, AT_ROUNDS = ("tests/crypto/test_crossfit.py",), ("tests/node/test_gradients.py",)
AT_THEOREM, AT_SETTINGS = ("tests/crypto/test_theorem.py",), ("tests/node/test_private_validation.py",)
AT_AUDIT = ("tests/ledger/test_private_rounds.py",)

FAULTS = (
    without("a half large enough", CROSSFIT, "if min(sizes) >= least:", AT_HALVES),
    Fault(
        "honest members of a half",
        CROSSFIT,
        "LEAST_HALF, LEAST_HONEST = 4, 3",
        "LEAST_HALF, LEAST_HONEST = 4, 1",
        AT_HALVES,
    ),
    Fault(
        "the half in the keys of its gradients",
        CROSSFIT,
        "bytes([half]), *self.members[half])",
        "bytes([half]))",
        AT_HALVES,
    ),
    Fault(
        "keys of their own for gradients",
        CROSSFIT,
        "return derive(pair, halves.digest(halves.of(a)), info)",
        "return pair",
        AT_HALVES,
    ),
    Fault("a commitment is its owner's", CROSSFIT, 'v1", sid, owner, artefact)', 'v1", sid, artefact)', AT_HALVES),
    Fault("a gradient of its own half", CROSSFIT, "or s.half != halves.of(owner)", "", (*AT_HALVES, *AT_ROUNDS)),
    without("a gradient of the model's length", CROSSFIT, "if s.length != parameters * RING.word_bytes:", AT_HALVES),
    without("a half's sum within its bound", CROSSFIT, "if too_long(total, len(half)):", (*AT_HALVES, *AT_ROUNDS)),
    without("a half that says something", CROSSFIT, "if not total.any():", AT_HALVES),
    without(
        "recorded gradients by their survivors",
        CROSSFIT,
        "if not one.signed.is_by(owner, proven.roster.plan.domain):",
        AT_HALVES,
    ),
    without(
        "recorded gradients as committed",
        CROSSFIT,
        "if s.commitment != commitment(s.sid, owner, one.artefact):",
        AT_HALVES,
    ),
    without("recorded gradients of all", CROSSFIT, "if len(shown) != len(proven.u3):", AT_HALVES),
    without("recorded halves large enough", CROSSFIT, "    if small:", AT_HALVES),
    # -- among peers
    Fault(
        "nothing is shown before all have committed",
        GRADIENTS,
        " or len(gradients.committed) < len(gradients.survivors):",
        ":",
        AT_ROUNDS,
    ),
    without("halves that hide enough", GRADIENTS, "    if small:", AT_ROUNDS),
    without("gradients signed by their sender", GRADIENTS, "if not message.signed.is_by(sender, domain):", AT_ROUNDS),
    without(
        "gradients shown as committed to",
        GRADIENTS,
        "if statement.commitment != crossfit.commitment(message.sid, sender, message.artefact):",
        AT_ROUNDS,
    ),
    Fault(
        "vectors of the length that was signed",
        GRADIENTS,
        "if len(blob) == gradients.committed[owner].statement.length:",
        "if True:",
        AT_ROUNDS,
    ),
    without("no direction of sums that cannot be", GRADIENTS, "if isinstance(sums, str):", AT_ROUNDS),
    Fault(
        "exactly one's own direction",
        OPENINGS,
        "    elif candidate.proven.halves is not None:",
        "    elif False:",
        AT_ROUNDS,
    ),
    Fault(
        "one number of a pair within a half",
        CROSSFIT,
        "return tuple(sorted({self.of(a), self.of(b)}))",
        "return (0, 1)",
        AT_HALVES,
    ),
    # -- records and audit
    Fault(
        "a scored round has its gradients",
        JUDGEMENT,
        "    if not t.gradients and (t.direction == NOTHING or proven.halves is None):\n",
        "    if True:\n",
        AT_AUDIT,
    ),
    Fault(
        "audited directions bit for bit",
        NUMBERS,
        "if np.array_equal(mine, g) and exponent == t.exponent:",
        "if exponent == t.exponent:",
        AT_AUDIT,
    ),
    without("audited gradients of their length", NUMBERS, "if len(vector) != RING.word_bytes * size:", AT_AUDIT),
    # -- settings
    without("private validation under masks", SETTINGS, 'if federation.exchange == "plain":', AT_SETTINGS),
    without("no rows held back for nothing", SETTINGS, 'if federation.scores.openings == "off":', AT_SETTINGS),
    without("masks between all", SETTINGS, "if federation.regions or federation.robust.buckets > 1:", AT_SETTINGS),
    without("so many bytes of gradients", SETTINGS, "if wanted > MOST_BYTES:", AT_SETTINGS),
    Fault("peers that can be scored", SETTINGS, "    if possible(peers):", "    if True:", AT_SETTINGS),
    Fault("rows to hold back", LEARNER, "if private and len(held_out) < LEAST_HELD_OUT:", "if False:", AT_SETTINGS),
)
