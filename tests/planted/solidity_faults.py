"""Faults of the contracts: `scripts/contract_review faults` plants each and sees a Foundry test turn red.

`test` is a file of contracts/test and, behind the colon, a regular expression of the tests that must see the fault.
"""

from __future__ import annotations

from planted.fault import Fault

REGISTRY, SLASHING, RECOVERY = "PeerRegistry", "Slashing", "Recovery"
VAULT, LEDGER, ARBITER, PAY, MARKET, WATCH = (
    "RewardVault",
    "RoundLedger",
    "RoundArbiter",
    "PayArbiter",
    "ModelMarket",
    "ModelWatch",
)
ADMISSION, JUDGE, REFUSALS, ASKED = "MemberAdmission", "DrawJudge", "Refusals", "RoundArbiterQuestions"
VERDICTS, QUESTIONS = "arbiter/Verdicts", "arbiter/Questions"
TREE, DRAWS, SETTINGS, RULE = "libraries/AddressTree", "libraries/Draws", "libraries/Settings", "libraries/PayRule"
QUORUM, SIGNED, SEALED = "libraries/Quorum", "libraries/QuorumSigned", "libraries/SealedKey"


def becomes(file: str, old: str, new: str, test: str) -> Fault:
    short, path = old.removesuffix(";"), f"contracts/src/{file}.sol"
    return Fault(f"{file}: {short} -> {new.removesuffix(';') or 'nothing'}", path, old, new, (test,))


def gone(file: str, old: str, test: str) -> Fault:
    """The statement is missing."""
    return becomes(file, old, "", test)


def unchecked(file: str, holds: str, test: str) -> Fault:
    """The condition of a require counts as true: `holds` is what stands between the bracket and the comma."""
    return becomes(file, f"require({holds},", "require(true,", test)


FAULTS = (
    # who is a peer, and what a verdict takes
    unchecked(REGISTRY, "msg.sender == _roundArbiter || msg.sender == _payArbiter", f"{SLASHING}:both_arbiters"),
    becomes(REGISTRY, "_roundArbiter || msg.sender == _payArbiter", "_roundArbiter", f"{SLASHING}:both_arbiters"),
    unchecked(REGISTRY, "basisPoints <= _WHOLE", f"{SLASHING}:more_than_everything"),
    gone(REGISTRY, "convicted.barred = true;", f"{SLASHING}:whole_stake_ends"),
    gone(REGISTRY, "if (convicted.seat != 0) _deactivate(convicted);", f"{SLASHING}:whole_stake_ends"),
    becomes(REGISTRY, "basisPoints == _WHOLE) {", "basisPoints == _WHOLE && stake > 0) {", f"{SLASHING}:who_left"),
    becomes(REGISTRY, "_BOUNTY_PART = 10;", "_BOUNTY_PART = 20;", f"{SLASHING}:a_tenth_goes"),
    gone(REGISTRY, "convicted.stake = SafeCast.toUint128(stake - amount);", f"{SLASHING}:second_verdict"),
    gone(REGISTRY, "if (basisPoints == _WHOLE) emit PeerSlashed(peer, challenger, 0, 0);", f"{SLASHING}:who_left"),
    unchecked(REGISTRY, "!known.barred", f"{SLASHING}:whole_stake_ends"),
    unchecked(REGISTRY, "known.seat == 0", f"{REGISTRY}:registering_again"),
    unchecked(REGISTRY, "known.stake == 0", f"{REGISTRY}:stake_comes_back"),
    becomes(REGISTRY, "stake >= _minStake", "stake > _minStake", f"{REGISTRY}:registering_again"),
    unchecked(REGISTRY, "stake >= _minStake", f"{REGISTRY}:too_small_a_stake"),
    becomes(REGISTRY, "timestamp >= peer.withdrawableAt", "timestamp > peer.withdrawableAt", f"{REGISTRY}:comes_back"),
    gone(REGISTRY, "if (peer.barred) _peers[account].barred = true;", f"{RECOVERY}:test_"),
    unchecked(REGISTRY, "_lastSeat < type(uint16).max", f"{SLASHING}:last_seat"),
    becomes(REGISTRY, "seat = ++_lastSeat;", "seat = uint16(_activeCount) + 1;", f"{SLASHING}:seats_count_up"),
    unchecked(REGISTRY, "owner == address(0) || owner == msg.sender", f"{REGISTRY}:key_belongs"),
    gone(REGISTRY, "--_activeCount;", f"{SLASHING}:whole_stake_ends"),
    becomes(REGISTRY, "length > 0 && length <= _MAX", "length <= _MAX", f"{REGISTRY}:odd_endpoints"),
    # admission
    becomes(ADMISSION, "block.timestamp > deadline", "block.timestamp >= deadline", f"{ADMISSION}:its_deadline"),
    becomes(ADMISSION, "signer <= previous || ", "", f"{ADMISSION}:too_few_or_repeated"),
    becomes(ADMISSION, " || !_registry.isActive(signer)", "", f"{ADMISSION}:too_few_or_repeated"),
    becomes(ADMISSION, "invitation.length - 1 < Quorum", "invitation.length < Quorum", f"{ADMISSION}:too_few"),
    becomes(QUORUM, "peers / 4, 2) + 1;", "peers / 4, 2);", f"{MARKET}:a_quorum_of_peers"),
    becomes(SIGNED, "signer > previous", "signer >= previous", f"{MARKET}:a_quorum_of_peers"),
    unchecked(SIGNED, "registry.isActive(signer)", f"{MARKET}:a_quorum_of_peers"),
    # records
    unchecked(LEDGER, "seat != 0", f"{LEDGER}:strangers"),
    becomes(LEDGER, "round.round == newest + 1", "round.round > newest", f"{LEDGER}:parents_of_different"),
    becomes(LEDGER, "if (parentRound > newest) newest", "newest", f"{LEDGER}:parents_of_different"),
    gone(LEDGER, "if (_roundOf(entry) != round) return (false, 0);", f"{LEDGER}:ring_has_overtaken|forgotten"),
    becomes(LEDGER, " || _siblings[record].round != 0", "", f"{LEDGER}:same_record_again|sibling|skipped"),
    becomes(LEDGER, "Place(round, seat);", "Place(round, 1);", f"{LEDGER}:poster_is_known"),
    becomes(LEDGER, "iszero(shr(16, calldataload(add(round, 0x160))))", "1", f"{LEDGER}:dirty_members"),
    becomes(LEDGER, "count > 0 && count ==", "count ==", f"{LEDGER}:no_parents"),
    # pay
    unchecked(VAULT, "epoch == _epoch + 1", f"{VAULT}:epochs_have"),
    unchecked(VAULT, "block.timestamp >= _activeAt", f"{VAULT}:a_root_waits"),
    unchecked(VAULT, "total >= _total", f"{VAULT}:totals_stay"),
    unchecked(VAULT, "total <= _funded", f"{VAULT}:totals_stay"),
    unchecked(VAULT, "!_voided[digest]", f"{VAULT}:only_the_pay_arbiter"),
    unchecked(VAULT, "msg.sender == _payArbiter", f"{VAULT}:only_the_pay_arbiter"),
    becomes(VAULT, "signer > previous", "signer >= previous", f"{VAULT}:one_signer"),
    unchecked(VAULT, "_registry.isActive(signer)", f"{VAULT}:former_peers"),
    becomes(VAULT, "/ _SIGNATURE >= needed", "/ _SIGNATURE >= needed - 1", f"{VAULT}:too_few"),
    gone(VAULT, "_claimedBy[account] = cumulative;", f"{VAULT}:a_quorum_publishes"),
    becomes(
        VAULT, "timestamp >= _activeAt ? _root : _rootBefore", "timestamp >= 0 ? _root : _root", f"{VAULT}:a_later_root"
    ),
    unchecked(VAULT, "sum <= total", f"{VAULT}:leaves_beyond"),
    becomes(VAULT, "_activeAt ? _total : _totalBefore", "_activeAt ? _total : _total", f"{VAULT}:claims_while"),
    gone(VAULT, "_root = _rootBefore;", f"{VAULT}:only_the_pay_arbiter"),
    becomes(VAULT, "peers / 4, 2) + 1", "peers / 4, 2)", f"{VAULT}:the_quorum_is"),
    becomes(
        VAULT,
        "_book(amount);\n        _token.safeTransfer(_registry.payeeOf(account), amount);",
        "_book(amount);\n        _token.safeTransfer(account, amount);",
        f"{VAULT}:recovered_account",
    ),
    becomes(RULE, "done >= terms.planned", "done > terms.planned", "PayRule:pots"),
    becomes(RULE, "cumulative += upTo - given", "cumulative += upTo", f"{PAY}:test"),
    becomes(RULE, " || count != members", "", "PayRule:fewer_lines"),
    becomes(RULE, "(found - 1) / 2", "found / 2", "PayRule:median"),
    becomes(RULE, "list[i] <= list[j]", "list[i] >= list[j]", f"{PAY}:test"),
    gone(RULE, "level = _sorted(level, count);", f"{PAY}:test"),
    becomes(RULE, "values.length + 1 > window ?", "values.length > window ?", f"{PAY}:keeps_no_more"),
    unchecked(PAY, "p.records.length == p.states.length", f"{PAY}:where_the_records_end"),
    unchecked(PAY, "case_.pending || _vault.wasVoided(case_.digest)", f"{PAY}:can_be_claimed_from"),
    becomes(PAY, "timestamp < last.activeAt", "timestamp <= last.activeAt", f"{PAY}:can_be_claimed_from"),
    gone(PAY, "if (_convicted[digest][signer]) continue;", f"{PAY}:first_with_a_proof"),
    unchecked(PAY, "_wrong[digest]", f"{PAY}:test"),
    becomes(PAY, "require(!unpaid && ", "require(", f"{PAY}:voided_after"),
    unchecked(PAY, "_roundArbiter.voided(record)", f"{PAY}:no_step"),
    unchecked(PAY, "case_.pending", f"{PAY}:no_step"),
    becomes(PAY, "root != publication.root || ", "", f"{PAY}:claim_tree"),
    # proofs about rounds
    unchecked(ARBITER, "one != other", f"{ARBITER}:honest_evidence"),
    gone(ARBITER, "_requireSid(second, sid);", f"{ARBITER}:signs_twice"),
    gone(ARBITER, "_requireSigner(other, secondSignature, signer);", f"{ARBITER}:a_statement_each"),
    becomes(ARBITER, "kind != Statements.Kind.JoinIntent && ", "", f"{ARBITER}:signs_twice"),
    gone(ARBITER, "_requireSession(round, name);\n        AddressTree.requireLeaf", f"{ARBITER}:no_session"),
    unchecked(ARBITER, "left.account >= right.account", f"{ARBITER}:honest_evidence"),
    becomes(ARBITER, "seats == type(uint16).max || ", "true || ", f"{ARBITER}:given_later"),
    unchecked(ARBITER, "signatures.length >= needed", f"{ARBITER}:another_model"),
    becomes(ARBITER, "require(at++ <", "require(at <", f"{ARBITER}:another_model"),
    unchecked(ARBITER, "Statements.word(ack, _ACK_MODEL) != round.aggregate", f"{ARBITER}:honest_evidence"),
    unchecked(VERDICTS, "!_decided[verdict]", f"{ARBITER}:convicted_once"),
    gone(VERDICTS, "if (punished) _decided[verdict] = true;", f"{ARBITER}:falls_once"),
    becomes(VERDICTS, "_F_EQUIVOCATION ? _WHOLE : _FIFTH", "_F_EQUIVOCATION ? _FIFTH : _FIFTH", f"{ARBITER}:each_kind"),
    becomes(VERDICTS, "colluders, 2) + 1", "colluders, 2)", f"{ARBITER}:quorums_bound"),
    becomes(VERDICTS, "Math.min(members - 3, seats / 4)", "seats / 4", f"{ARBITER}:quorums_bound"),
    unchecked(VERDICTS, "_registry.peerAt(seat) == account", f"{ASKED}:answers_need"),
    gone(QUESTIONS, "        asked.settled = true;", f"{ASKED}:test_"),
    becomes(QUESTIONS, "else _challenges[question].settled = true;", "", f"{ASKED}:test_"),
    unchecked(QUESTIONS, "block.timestamp >= asked.deadline", f"{ASKED}:nobody_signed"),
    gone(QUESTIONS, "if (poster == address(0)) delete _challenges[question];\n        else", "Review:asks_itself"),
    becomes(QUESTIONS, "signer > previous", "signer >= previous", f"{ASKED}:fewer_do_not"),
    becomes(QUESTIONS, "poster: _posterOf(round, record)", "poster: address(0)", f"{ASKED}:without_acknowledgements"),
    unchecked(QUESTIONS, "root == round.ackRoot", f"{REFUSALS}:somebody_else"),
    unchecked(QUESTIONS, "tree == Tree.Acks", f"{ASKED}:can_be_asked_for"),
    unchecked(JUDGE, "said == sid", f"{REFUSALS}:another_session"),
    becomes(JUDGE, "!= drawn", "== drawn", f"{ARBITER}:honest_evidence"),
    becomes(JUDGE, "buckets > 1 && ", "", f"{REFUSALS}:single_bucket"),
    becomes(DRAWS, "members[i]) < own", "members[i]) > own", f"{ARBITER}:was_not_drawn|honest_evidence"),
    becomes(DRAWS, "sketched && dropped", "sketched", f"{REFUSALS}:who_dropped"),
    becomes(DRAWS, "dealt == shown.rands.length && ", "", f"{REFUSALS}:randomness_is_all"),
    becomes(
        TREE,
        "whole = height <= _MAX_HEIGHT && path.turns >> height == 0",
        "whole = height <= 256",
        f"{REFUSALS}:beside",
    ),
    becomes(TREE, " && root != bytes32(0)", "", f"{REFUSALS}:beside"),
    becomes(TREE, "x & (2 * below + 1) == below", "true", f"{REFUSALS}:neighbours_are"),
    becomes(TREE, "y & ((uint256(1) << b) - 1) == uint256(1) << (b - 1)", "true", f"{REFUSALS}:neighbours_are"),
    becomes(TREE, "accounts[i] > accounts[i - 1]", "accounts[i] >= accounts[i - 1]", f"{REFUSALS}:sorted_and_whole"),
    becomes(TREE, "end.account ? 0 : last", "end.account ? last : 0", f"{REFUSALS}:absent"),
    becomes(TREE, "around[0].account < account", "around[0].account <= account", f"{REFUSALS}:absent"),
    gone(SETTINGS, "if (_hasRegions(text)) buckets = 1;", f"{REFUSALS}:regions|as_they_are"),
    # what is sold and watched
    unchecked(MARKET, "made.state == State.None", f"{MARKET}:same_purchase"),
    unchecked(MARKET, "made.state == state", f"{MARKET}:test_"),
    unchecked(MARKET, "msg.sender == made.buyer", f"{MARKET}:buyers_word"),
    gone(MARKET, "made.state = State.Settled;", f"{MARKET}:test_"),
    gone(MARKET, "made.state = State.Refunded;", f"{MARKET}:money_back_once"),
    gone(MARKET, "_collected[listing][account] = due;", f"{MARKET}:price_is_split"),
    unchecked(MARKET, "sum <= offer.revenue", f"{MARKET}:no_other_listings_money"),
    becomes(
        MARKET, "!= _offers[made.listing].listing.key", "== _offers[made.listing].listing.key", f"{MARKET}:right_key"
    ),
    unchecked(MARKET, "SealedKey.isSecret(secret, made.buyerKey)", f"{MARKET}:another_secret"),
    unchecked(MARKET, "_registry.isActive(msg.sender)", f"{MARKET}:only_peers_deliver"),
    becomes(MARKET, "offer.total > 0 && !offer.delisted", "offer.total > 0", f"{MARKET}:comes_once|lists_and_delists"),
    unchecked(MARKET, "terms.epoch == epoch", f"{MARKET}:stale_or_pending"),
    becomes(SEALED, "point != address(0) && ", "", "SealedKey:secret_of_no_point"),
    unchecked(WATCH, "sums.period == last + 1", f"{WATCH}:gaps_replays"),
    becomes(WATCH, "timestamp >= notBefore", "timestamp > notBefore", f"{WATCH}:test"),
    becomes(WATCH, "bad < standing.terms.periods", "bad <= standing.terms.periods", f"{WATCH}:exactly_k"),
    becomes(WATCH, "right < standing.terms.threshold", "right <= standing.terms.threshold", f"{WATCH}:test"),
    becomes(WATCH, "right >= standing.terms.recovery", "right > standing.terms.recovery", f"{WATCH}:test"),
    unchecked(WATCH, "sums.watchers >= least", f"{WATCH}:cannot_be"),
)
