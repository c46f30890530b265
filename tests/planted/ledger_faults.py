"""Checks of what is kept: a round's judgement, its record, pay, the outbox; and of plain exchange's records."""

from __future__ import annotations

from planted.fault import Fault, unheeded, without

LEDGER = "ledger/peerage_ledger/"
JUDGEMENT, TRANSCRIPT, REWARDS = LEDGER + "judgement.py", LEDGER + "transcript.py", LEDGER + "rewards.py"
PLAIN, OUTBOX, RECORDS = LEDGER + "plain_judgement.py", LEDGER + "outbox.py", LEDGER + "records.py"
PLAIN_RECORD, MEMORY = LEDGER + "plain_record.py", LEDGER + "memory.py"
T = "tests/ledger/test_"
ALONE = T + "one_check_ledger.py"
AT_JUDGEMENT, AT_TRANSCRIPT, AT_REWARDS = (T + "judgement.py", ALONE), (T + "transcript.py", ALONE), (T + "rewards.py",)
AT_PLAIN, AT_OUTBOX, AT_RECORDS, AT_MEMORY = (
    (T + "plain_record.py", ALONE),
    (T + "outbox.py",),
    (T + "records.py",),
    (T + "memory.py",),
)

FAULTS = (
    # -- a round
    Fault(
        "fresh versions only",
        JUDGEMENT,
        "if j.statement.version <= parent.versions.get(m, 0)",
        "if False",
        AT_JUDGEMENT,
    ),
    Fault("a session named by its parts", JUDGEMENT, "if opened.sid != expected or ", "if ", AT_JUDGEMENT),
    Fault("a session under our terms", JUDGEMENT, " or opened.params != self.terms or", " or", AT_JUDGEMENT),
    Fault("a registered initiator", JUDGEMENT, " or opened.initiator not in self.registered:", ":", AT_JUDGEMENT),
    without(
        "a session on its parent",
        JUDGEMENT,
        "if opened.parent != parent.record or opened.round != parent.round + 1:",
        AT_JUDGEMENT,
    ),
    without(
        "a sum as named and as long",
        JUDGEMENT,
        "if sha256(sum_blob) != session.sum_artefact or len(sum_blob) != plan.vector_bytes * len(counts):",
        AT_JUDGEMENT,
    ),
    without("the bounds of a judged sum", JUDGEMENT, "if isinstance(merged, str):", AT_JUDGEMENT),
    without("a round of a known schema", JUDGEMENT, "if t.schema != SCHEMA:", AT_JUDGEMENT),
    Fault("the session that a round names", JUDGEMENT, "if evidence.session != t.session or ", "if ", AT_JUDGEMENT),
    Fault(
        "the sum that a round names",
        JUDGEMENT,
        " or evidence.session_transcript.sum_artefact != t.sum_artefact:",
        ":",
        AT_JUDGEMENT,
    ),
    Fault("the parent that a round names", JUDGEMENT, "if t.parents != (parent.link,) or ", "if ", AT_JUDGEMENT),
    Fault("the base that a round names", JUDGEMENT, " or t.base != parent.aggregate or", " or", AT_JUDGEMENT),
    Fault("the number of a round", JUDGEMENT, " or t.round != parent.round + 1:", ":", AT_JUDGEMENT),
    without("the session's name in a round", JUDGEMENT, "if t.sid != proven.roster.plan.sid:", AT_JUDGEMENT),
    without("the model follows from the sum", JUDGEMENT, "if aggregate != t.aggregate:", AT_JUDGEMENT),
    without(
        "the joined version vector",
        JUDGEMENT,
        "if t.versions != tuple(Versioned(p, v) for p, v in sorted(versions.items())):",
        AT_JUDGEMENT,
    ),
    without("acknowledgements of members", JUDGEMENT, "if signer not in proven.roster.members:", AT_JUDGEMENT),
    without(
        "acknowledgements of this model",
        JUDGEMENT,
        "if (s.sid, s.sum_root, s.model) != (t.sid, root, t.aggregate):",
        AT_JUDGEMENT,
    ),
    Fault(
        "a quorum of acknowledgements",
        JUDGEMENT,
        "if len(signers) < proven.roster.limits.quorum or len",
        "if len",
        AT_JUDGEMENT,
    ),
    Fault("nobody acknowledges twice", JUDGEMENT, " or len(signers) != len(t.acks):", ":", AT_JUDGEMENT),
    Fault(
        "a number for each survivor",
        JUDGEMENT,
        "if len(t.numbers) != len(proven.u3) or not all(",
        "if not all(",
        AT_JUDGEMENT,
    ),
    Fault(
        "numbers within the ring",
        JUDGEMENT,
        "n is None or -half <= n < half for n",
        "n is None or n < 10**99 for n",
        AT_JUDGEMENT,
    ),
    Fault(
        "no numbers without a direction",
        JUDGEMENT,
        "return [] if unscored else [",
        "return [] if True else [",
        AT_JUDGEMENT,
    ),
    Fault(
        "openings of survivors",
        JUDGEMENT,
        "if signer not in proven.u3 or signer in seen:",
        "if signer in seen:",
        AT_JUDGEMENT,
    ),
    Fault(
        "one opening of each",
        JUDGEMENT,
        "if signer not in proven.u3 or signer in seen:",
        "if signer not in proven.u3:",
        AT_JUDGEMENT,
    ),
    Fault("openings for this direction", JUDGEMENT, " or s.direction != t.direction or", " or", AT_JUDGEMENT),
    Fault("openings of this session", JUDGEMENT, "if s.sid != t.sid or s.direction", "if s.direction", AT_JUDGEMENT),
    Fault(
        "a pair number for each partner",
        JUDGEMENT,
        "if len(opening.values) != len(slots(proven, signer)) or not",
        "if not",
        AT_JUDGEMENT,
    ),
    Fault("pair numbers as signed", JUDGEMENT, " or not _are_signed(opening):", ":", AT_JUDGEMENT),
    # -- transcripts and records
    without("transcripts of a sane size", TRANSCRIPT, "if len(blob) > MAX_TRANSCRIPT_BYTES:", AT_TRANSCRIPT),
    without(
        "transcripts in their one form",
        TRANSCRIPT,
        'if msgspec.json.encode(value, order="deterministic") != blob:',
        AT_TRANSCRIPT,
    ),
    Fault(
        "joins in a record", TRANSCRIPT, "join_root=address_root(joins)", "join_root=address_root({})", AT_TRANSCRIPT
    ),
    Fault(
        "masked vectors in a record",
        TRANSCRIPT,
        "masked_root=address_root(masked)",
        "masked_root=address_root({})",
        AT_TRANSCRIPT,
    ),
    Fault(
        "acknowledgements in a record",
        TRANSCRIPT,
        "ack_root=address_root(acks)",
        "ack_root=address_root({})",
        AT_TRANSCRIPT,
    ),
    Fault(
        "scores in a record",
        TRANSCRIPT,
        "score_root=address_root(scores)",
        "score_root=address_root({})",
        AT_TRANSCRIPT,
    ),
    Fault(
        "emissions in a record",
        TRANSCRIPT,
        "emission_root=address_root(emissions)",
        "emission_root=address_root({})",
        AT_TRANSCRIPT,
    ),
    Fault("the exponent in a score", TRANSCRIPT, "exponent.to_bytes(8,", "(0 * exponent).to_bytes(8,", AT_TRANSCRIPT),
    Fault(
        "the vault in a reward root",
        RECORDS,
        '"PeerageVault", "1", chain_id, vault',
        '"PeerageVault", "1", chain_id, bytes(20)',
        AT_RECORDS,
    ),
    Fault(
        "the emissions in a reward root",
        RECORDS,
        "self.total, self.emission_root, self.steps]",
        "self.total, self.root, self.steps]",
        AT_RECORDS,
    ),
    Fault(
        "the steps in a reward root",
        RECORDS,
        "self.total, self.emission_root, self.steps]",
        "self.total, self.emission_root, self.root]",
        AT_RECORDS,
    ),
    # -- pay
    without(
        "exponents within their range", REWARDS, "if not -EXPONENT_RANGE <= exponent <= EXPONENT_RANGE:", AT_REWARDS
    ),
    Fault("numbers in one unit", REWARDS, "return number << (EXPONENT_RANGE - exponent)", "return number", AT_REWARDS),
    Fault("the cap", REWARDS, "min(value, limit)", "value", AT_REWARDS),
    Fault("the median of the positive", REWARDS, "positive[(len(positive) - 1) // 2]", "positive[-1]", AT_REWARDS),
    Fault("no pay below zero", REWARDS, "max(0, weights[peer])", "weights[peer]", AT_REWARDS),
    Fault("the window", REWARDS, "value)[-rule.window :]", "value)", AT_REWARDS),
    Fault("a mean over rounds attended", REWARDS, "// len(self.values)", "// 12", AT_REWARDS),
    without("planned rounds share the pool", REWARDS, "if done >= self.planned:", AT_REWARDS),
    Fault(
        "voided rounds pay nothing", REWARDS, "if voided or not scores.numbers:", "if not scores.numbers:", AT_REWARDS
    ),
    Fault("states in address order", REWARDS, "for peer in sorted(earners))", "for peer in earners)", AT_REWARDS),
    Fault("closed numbers have a leaf", TRANSCRIPT, "return CLOSED_LEAF\n", "return bytes(32)\n", AT_TRANSCRIPT),
    Fault(
        "leaves within their range",
        TRANSCRIPT,
        "if not (-(2**63) <= number",
        "if False and not (0 <= number",
        AT_TRANSCRIPT,
    ),
    without("a table of every member", TRANSCRIPT, "if len(table) != members or len(exponents) > 1:", AT_TRANSCRIPT),
    # -- the outbox
    Fault("a wish once", OUTBOX, "if wish.key not in self.outbox.wishes:", "if True:", AT_OUTBOX),
    Fault(
        "nonces never twice", OUTBOX, "[on_chain, *(nonce + 1 for nonce in self._attempts)]", "[on_chain]", AT_OUTBOX
    ),
    Fault("a reverted wish is wanted again", OUTBOX, 'lines.append(Voided(wish.key, "reverted"))', "pass", AT_OUTBOX),
    without(
        "a nonce that another transaction used",
        OUTBOX,
        "if wish.nonce < on_chain and all(name in receipts for name in wish.hashes):",
        AT_OUTBOX,
    ),
    Fault(
        "what the chain forgot is sent again",
        OUTBOX,
        "for wish in self._settled_by_us() if wish.nonce >= on_chain]",
        "for wish in []]",
        AT_OUTBOX,
    ),
    without("another account's outbox", OUTBOX, "if isinstance(value, Header) and value != header:", AT_OUTBOX),
    Fault("a torn line is cut off", OUTBOX, "self._file.truncate(good)", "", AT_OUTBOX),
    # -- plain exchange
    without("updates of registered peers", PLAIN, "if peer not in federation.registered:", AT_PLAIN),
    Fault(
        "updates signed by their owners",
        PLAIN,
        "if not signed.is_by(peer, federation.domain) or update.sid",
        "if update.sid",
        (*AT_PLAIN, "tests/node/test_plain.py"),
    ),
    Fault("updates of this exchange", PLAIN, " or update.sid != exchange_of(federation):", ":", AT_PLAIN),
    without("sample counts that can be", PLAIN, "if not 0 < update.examples <= MAX_EXAMPLES:", AT_PLAIN),
    without(
        "versions and bases that can be",
        PLAIN,
        "if update.version == 0 or (update.base_round == 0) != (update.base == federation.genesis):",
        AT_PLAIN,
    ),
    without("weights of the layout", PLAIN, "if len(blob) != 4 * parameters:", AT_PLAIN),
    without("finite weights", PLAIN, "if not np.isfinite(weights).all():", AT_PLAIN),
    Fault(
        "merges of registered peers",
        PLAIN,
        "if who not in federation.registered or not signed",
        "if not signed",
        AT_PLAIN,
    ),
    Fault("merges signed by their makers", PLAIN, " or not signed.is_by(who, federation.domain):", ":", AT_PLAIN),
    Fault("the merge under a signature", PLAIN, "if signed.statement != statement or body", "if body", AT_PLAIN),
    without("one update of each peer", PLAIN, "if not peers or peers != sorted(set(peers)):", AT_PLAIN),
    without("parents in their order", PLAIN, "if [p.record for p in body.parents] != sorted(rounds):", AT_PLAIN),
    without(
        "parents are what the models stand on",
        PLAIN,
        "if rounds.keys() != {body.previous, *(base for base, _ in bases)} or any(rounds[b] != r for b, r in bases):",
        AT_PLAIN,
    ),
    without("a round above its parents", PLAIN, "if body.round != 1 + max(rounds.values()):", AT_PLAIN),
    without(
        "only the genesis at round 0",
        PLAIN,
        "if any((p.round == 0) != (p == genesis_link(federation)) for p in body.parents):",
        AT_PLAIN,
    ),
    without(
        "only a first merge on the genesis",
        PLAIN,
        "if (body.merge == 1) != (body.previous == federation.genesis):",
        AT_PLAIN,
    ),
    without(
        "the model is the mean",
        PLAIN,
        'if sha256(model.astype("<f4", copy=False).tobytes()) != body.aggregate:',
        AT_PLAIN,
    ),
    without("parents that can be found", PLAIN, "if known is None:", AT_PLAIN),
    without("parents as they are", PLAIN, "elif known.link != parent:", AT_PLAIN),
    without(
        "one's own merge before",
        PLAIN,
        "if previous is not None and (previous.body.initiator != who or previous.body.merge + 1 != body.merge):",
        AT_PLAIN,
    ),
    without("a base of one's own", PLAIN, "if base is not None and base.body.initiator != peer:", AT_PLAIN),
    without("a version goes in once", PLAIN, "if update.version <= before.get(peer, 0):", AT_PLAIN),
    without(
        "a merge's version vector",
        PLAIN,
        "if judged.body.versions != versions_after(before, judged.participants):",
        AT_PLAIN,
    ),
    Fault(
        "the transcript that the chain names",
        PLAIN,
        "if blob is None or sha256(blob) != record.transcript:",
        "if blob is None:",
        AT_PLAIN,
    ),
    without("the chain's record of a merge", PLAIN, "if stated.record != record:", AT_PLAIN),
    without("one statement a version", PLAIN, "if first.setdefault(key, digest) != digest:", AT_PLAIN),
    Fault(
        "a merge by the federation's rule",
        PLAIN,
        "    except InputError as error:\n        return [",
        "    except InputError as error:\n        return judged if error else [",
        ("tests/node/test_robust_plain.py",),
    ),
    without(
        "a merge's transcript of a sane size",
        PLAIN_RECORD,
        "if len(blob) > MAX_TRANSCRIPT_BYTES:",
        AT_PLAIN,
    ),
    without("a merge's transcript in its one form", PLAIN_RECORD, "if encode_plain(transcript) != blob:", AT_PLAIN),
    unheeded("old parents stay in the transcript", PLAIN_RECORD, "newest - p.round <= OLDEST_PARENT", AT_PLAIN),
)
