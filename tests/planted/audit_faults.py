"""Checks of the auditor: journals, rounds, numbers, pay, and the contracts' rules that it executes again."""

from __future__ import annotations

from planted.fault import Fault, without

AUDIT = "ledger/peerage_ledger/audit/"
JUDGE, NUMBERS, ROUNDS, COMPARE = AUDIT + "judge.py", AUDIT + "numbers.py", AUDIT + "rounds.py", AUDIT + "compare.py"
PAY, CHAIN, CONTRACTS, REGISTRY = AUDIT + "pay.py", AUDIT + "chain.py", AUDIT + "contracts.py", AUDIT + "registry.py"
EPOCHS = AUDIT + "epochs.py"
JOURNAL, PROLOGUE, PLAIN = AUDIT + "journal.py", AUDIT + "prologue.py", AUDIT + "plain.py"

ALONE = "tests/ledger/test_one_check_ledger.py"
BY_EPOCHS = ("tests/ledger/test_audit_epochs.py",)
FORGED = ("tests/ledger/test_audit_forged.py", ALONE)
RULES = ("tests/ledger/test_audit_contracts.py", ALONE)


def rule(name: str, file: str, required: str) -> Fault:
    """A rule of a contract that the auditor no longer asks for."""
    return Fault(name, file, required, "pass", RULES)


TOLD, ARCHIVES = AUDIT + "told.py", "ledger/peerage_ledger/archive/compare.py"
RECALLED, COMPARED = ("tests/ledger/test_audit_recall.py",), ("tests/ledger/test_audit_archives.py",)

FAULTS = (
    # -- what an earlier audit judged, and what other peers saw
    without(
        "a recalled round stands on one that holds", TOLD, "if link != NOTHING and link not in standing:", RECALLED
    ),
    Fault(
        "a recalled round has its artefacts",
        TOLD,
        "or not all(artefact in store for artefact in kept.used):",
        "or not kept.used:",
        RECALLED,
    ),
    Fault(
        "no fault is remembered as none",
        TOLD,
        "if book.findings or told.check is None",
        "if told.check is None",
        RECALLED,
    ),
    Fault(
        "code that judged is part of the key",
        TOLD,
        '"peerage/audit/context/1", memory.code, ',
        '"peerage/audit/context/1", ',
        RECALLED,
    ),
    without("archives of other contracts", ARCHIVES, "if len(groups) > 1:", COMPARED),
    without("blocks that peers saw differently", ARCHIVES, "if len(sides) > 1:", COMPARED),
    without("blocks that a node has no more", ARCHIVES, "if one.witness.live:", COMPARED),
    without(
        "records that were taken back",
        ARCHIVES,
        "if record.record_hash() not in one.records.get(record.round, {}):",
        COMPARED,
    ),
    # -- terms and journals
    without("the contracts' terms", JUDGE, "if case.terms.record != case.deployment.federation:", FORGED),
    without("the promised pool", JUDGE, "if case.terms.pool > case.deployment.pool:", FORGED),
    without("a journal that is missing", JUDGE, "if name not in case.journals:", FORGED),
    without("a journal of a stranger", JUDGE, "if journal.peer not in history.registered:", FORGED),
    without("two journals of one peer", JUDGE, "if journal.peer in owners:", FORGED),
    without("a torn journal", JOURNAL, "if body.pop():", FORGED),
    without("a line for another peer", JOURNAL, "if peer != journal.peer:", FORGED),
    without("lines counted", JOURNAL, "if head.schema != SCHEMA or head.seq != number - 1:", FORGED),
    without("lines that follow each other", JOURNAL, "if head.prev != prev:", FORGED),
    without("seals by their owner", JOURNAL, "if signer != journal.peer:", FORGED),
    without("no statement twice in a session", JOURNAL, "if kind in ONCE and len(digests) > 1:", FORGED),
    without(
        "no vote beside an abstention",
        JOURNAL,
        'if kind == "Vote" and (peer, sid, "Abstention") in self.digests:',
        FORGED,
    ),
    without(
        "what was signed is in the journal", JOURNAL, "if digest not in own.digests.get((peer, sid, kind), {}):", FORGED
    ),
    without("a journal's sealed end", JOURNAL, "if finished and journal.name not in lost:", FORGED),
    Fault(
        "artefacts that are not what they are named",
        JUDGE,
        "for artefact in sorted(case.misnamed):",
        "for artefact in ():",
        FORGED,
    ),
    # -- rounds
    without("one parent of an audited round", ROUNDS, "if len(transcript.parents) != 1:", FORGED),
    without(
        "a round on a known one",
        ROUNDS,
        "if not any(link.transcript in rounds.broken for link in transcript.parents):",
        FORGED,
    ),
    Fault("judged rounds", ROUNDS, "        book.faults(judged, round_)\n", "", FORGED),
    Fault(
        "a record that its artefacts do not give",
        COMPARE,
        'book.find("record", sentence',
        'book.note(sentence) if True else book.find("record", sentence',
        FORGED,
    ),
    Fault(
        "a round that is not on the chain",
        COMPARE,
        'book.find("unrecorded", sentence',
        'book.note(sentence) if True else book.find("unrecorded", sentence',
        FORGED,
    ),
    without(
        "a journal's word of a round",
        COMPARE,
        'if (told["record"], told["aggregate"]) != (judged.record_hash.hex(), judged.aggregate.hex()):',
        FORGED,
    ),
    without(
        "a closed round without transcript",
        COMPARE,
        'if told["transcript"] not in broken:',
        FORGED,
    ),
    without(
        "a version in one sum",
        COMPARE,
        "if joined.setdefault((member, version), told.sid) != told.sid:",
        FORGED,
    ),
    Fault("one result on one parent", COMPARE, "if count > 1)", "if count > 99)", FORGED),
    # -- numbers
    Fault("masked vectors added again", NUMBERS, "        book.faults(faults, t.round)\n", "", FORGED),
    without("vectors that are due", NUMBERS, "elif due and artefact not in case.pruned:", FORGED),
    Fault("a direction of the layout", NUMBERS, " or len(blob) != 4 * size:", ":", FORGED),
    without("the audited scale of the direction", NUMBERS, "if mine[1] != t.exponent:", FORGED),
    Fault(
        "the direction of the public path",
        NUMBERS,
        "        if worst <= allowed:\n",
        "        if worst >= 0 <= allowed:\n",
        FORGED,
    ),
    without("numbers as their vectors give them", NUMBERS, "if opened.numbers[member] != number:", FORGED),
    Fault("liars against all", NUMBERS, "for liar in opened.liars:", "for liar in ():", FORGED),
    # -- pay
    Fault("a settlement behind the root", EPOCHS, "        if root not in documents:\n", "        if False:\n", FORGED),
    without("claims that add up", PAY, "if claim.cumulative != claimed.get(claim.account, 0) + claim.amount:", FORGED),
    without(
        "the root that the rounds give",
        EPOCHS,
        "if not rounds.broken and (root.root, root.total) != (claim_root(due), sum(due.values())):",
        FORGED,
    ),
    without("claims of what is due", PAY, "if amount not in {0, *(due.get(account, 0) for due in totals)}:", FORGED),
    Fault("a settlement on a record", EPOCHS, "        if not rounds.broken:\n", "        if False:\n", FORGED),
    without(
        "an epoch that ends where it should", EPOCHS, "if told_of.round != epoch.end and not rounds.broken:", FORGED
    ),
    without(
        "a settlement's sorted lists",
        EPOCHS,
        "if list(settled.dues) != sorted(told.items()) or list(settled.emissions) "
        "!= sorted(dict(settled.emissions).items()):",
        FORGED,
    ),
    without("a settlement of what is due", EPOCHS, "if told.get(account, 0) != due.get(account, 0):", FORGED),
    without(
        "a signed settlement that is there", PAY, 'if str(entry.fields.get("settlement", "")) not in known:', FORGED
    ),
    without("a funded pool", PAY, "if history.funded < case.terms.pool:", FORGED),
    # -- the chain
    Fault("what the archive says is wrong", CHAIN, "for problem in archive.problems:", "for problem in ():", FORGED),
    Fault(
        "contracts of this deployment",
        CHAIN,
        "if archive.deployment is not None and _core",
        "if False and _core",
        FORGED,
    ),
    Fault(
        "what the rules refuse",
        CHAIN,
        'book.find("chain-rule", sentence',
        'book.note(sentence) if True else book.find("chain-rule", sentence',
        FORGED,
    ),
    without("what the rules take", CHAIN, "if not tx.succeeded and tx.contract:", FORGED),
    without("events by the rules", CHAIN, "elif [happened.event for happened in tx.events] != events:", FORGED),
    without("no hole in the nonces", CHAIN, "if nonce != expected:", FORGED),
    without("all four contracts", CHAIN, "if not contracts.complete:", FORGED),
    without("the ledger's federation", CHAIN, "if rounds.federation != deployment.federation:", FORGED),
    Fault("the code of the contracts", CHAIN, "    if other:\n", "    if False:\n", FORGED),
    without("the least stake", CHAIN, "if registry.min_stake != deployment.min_stake:", FORGED),
    # -- the contracts' rules, each against the compiled contract
    rule("rounds by active peers", CONTRACTS, 'require(self.registry.is_active(sender), "NotAPeer")'),
    rule(
        "as many parents as rounds",
        CONTRACTS,
        'require(0 < len(record.parents) == len(record.parent_rounds), "ParentsMismatch")',
    ),
    rule("parents that are recorded", CONTRACTS, 'require(self.is_recorded(at, parent), "UnknownParent")'),
    rule(
        "a round above its parents, on the chain",
        CONTRACTS,
        'require(record.round == max(record.parent_rounds) + 1, "WrongRound")',
    ),
    rule("a record once", CONTRACTS, 'require(bool(events), "AlreadyRecorded")'),
    rule("the next epoch", CONTRACTS, 'require(root.epoch == self.published.epoch + 1, "WrongEpoch")'),
    rule("no root while one waits", CONTRACTS, 'require(now >= self.active_at, "PreviousRootPending")'),
    rule("totals that grow", CONTRACTS, 'require(root.total >= self.published.total, "TotalBelowPrevious")'),
    rule("totals that are funded", CONTRACTS, 'require(root.total <= self.funded, "TotalAboveFunded")'),
    rule(
        "a quorum under a root",
        CONTRACTS,
        'require(len(signatures) >= quorum(self.registry.active_count()), "QuorumMissing")',
    ),
    rule("signers ascending", CONTRACTS, 'require(signer > previous, "SignersNotAscending")'),
    rule("signers are active", CONTRACTS, 'require(self.registry.is_active(signer), "NotAPeer")'),
    rule(
        "a proof of a claim",
        CONTRACTS,
        'require(root != bytes(32) and proves(proof, root, claim_leaf(account, cumulative)), "BadProof")',
    ),
    rule("something to claim", CONTRACTS, 'require(bool(due), "NothingToClaim")'),
    rule("lists of claims of one length", CONTRACTS, 'require(fits, "LengthMismatch")'),
    rule(
        "claims within the total",
        CONTRACTS,
        'require(self.claimed + total <= limit, "ClaimsAboveTotal")',
    ),
    rule("registered once", REGISTRY, 'require(known is None or not known.active, "AlreadyRegistered")'),
    rule("a stake that is still locked", REGISTRY, 'require(known is None or known.stake == 0, "StakeLocked")'),
    rule("enough stake", REGISTRY, 'require(v["stake"] >= self.min_stake, "StakeTooLow")'),
    rule(
        "an endpoint of a sane length",
        REGISTRY,
        'require(0 < len(endpoint.encode()) <= MAX_ENDPOINT, "EndpointLength")',
    ),
    rule("a transport key", REGISTRY, 'require(key != bytes(32), "TransportKeyMissing")'),
    rule(
        "a transport key of one's own",
        REGISTRY,
        'require(self.key_owners.get(key, sender) == sender, "TransportKeyTaken")',
    ),
    rule("who is active withdraws nothing", REGISTRY, 'require(peer is None or not peer.active, "AlreadyRegistered")'),
    rule("verdicts by arbiters", REGISTRY, 'require(arbiter in self.arbiters, "NotAnArbiter")'),
    rule("no more than the stake", REGISTRY, 'require(basis_points <= WHOLE, "BasisPointsTooHigh")'),
    rule("a challenger that is somebody", REGISTRY, 'require(challenger != NOBODY, "ERC20InvalidReceiver")'),
    rule("out for good", REGISTRY, 'require(sender not in self.barred, "AccountBarred")'),
    rule("admission", REGISTRY, 'require(admitted, "NotAdmitted")'),
    rule("a recovered account takes nothing", REGISTRY, 'require(sender not in self.payees, "AccountBarred")'),
    rule("recovery by its address", REGISTRY, 'require(self.recoveries.get(account) == sender, "NotRecovery")'),
    rule("a recovered stake to its address", REGISTRY, 'require(self.payees.get(v["peer"]) == sender, "NotRecovery")'),
    rule("a recovery address for good", REGISTRY, 'require(sender not in self.recoveries, "RecoveryFixed")'),
    rule("unbonding", REGISTRY, 'require(now >= peer.withdrawable_at, "StakeLocked")'),
    rule("a balance", REGISTRY, 'require(self.balances[owner] >= amount, "ERC20InsufficientBalance")'),
    rule(
        "an allowance",
        REGISTRY,
        'require(self.allowances.get((owner, spender), 0) >= amount, "ERC20InsufficientAllowance")',
    ),
    rule("a permit's deadline", REGISTRY, 'require(now <= v["deadline"], "ERC2612ExpiredSignature")'),
    rule("a permit's signer", REGISTRY, 'require(signer == owner, "ERC2612InvalidSigner")'),
)
