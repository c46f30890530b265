"""Checks of rounds, merges and audits behind which others stand: each is met alone, so that taking it out shows."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import test_judgement as rounds_of
import test_transcript as transcripts
from test_audit_forged import Forge, blamed, codes, finished, forge
from test_plain_record import ACCOUNTS, GROUND, SID, Run, lockstep

from peerage_crypto.digest import address_root, sha256
from peerage_crypto.identity import Account
from peerage_crypto.opening import values_digest
from peerage_crypto.plain_statements import PlainMerge
from peerage_crypto.secagg_judge import Fault
from peerage_crypto.statements import sign
from peerage_ledger.audit import compare, epochs, journal, numbers, pay
from peerage_ledger.audit import rounds as audit_rounds
from peerage_ledger.audit.contracts import Rounds as LedgerRounds
from peerage_ledger.audit.contracts import Vault, created_address
from peerage_ledger.audit.findings import Check, Notebook
from peerage_ledger.audit.journal import FIRST_PREV, Entry, Journal, Signatures, read_journal, seal_digest
from peerage_ledger.audit.registry import Registry, Reverted, Token
from peerage_ledger.audit.terms import Settled
from peerage_ledger.events import RewardClaimed
from peerage_ledger.judgement import Evidence, judge_round
from peerage_ledger.plain_judgement import judge_statements
from peerage_ledger.plain_record import PlainBody, PlainTranscript, decode_plain
from peerage_ledger.records import RewardRoot, Steps, packed
from peerage_ledger.transcript import MAX_TRANSCRIPT_BYTES, decode_round, encode

change = msgspec.structs.replace
FIRST, SECOND, THIRD = ACCOUNTS
STRANGER = Account.from_secret(b"\x09" * 32)
__all__ = ["finished", "forge"]  # fixtures


# -- rounds ------------------------------------------------------------------------------------------------------------


def test_the_session_of_the_evidence_is_the_one_that_the_round_names():
    r = rounds_of.ROUND
    t = r.transcript()
    evidence = Evidence(sha256(encode(t)), t, bytes(32), r.session, r.sum_blob)
    found = judge_round(r.federation, rounds_of.START, evidence, rounds_of.merge)
    assert [f.code for f in found] == ["round-session"]


def test_an_opening_has_a_number_for_each_partner_though_its_owner_signed_fewer():
    r = rounds_of.ROUND
    last = r.openings[rounds_of.U3[-1]]
    owner = next(a for a in r.told.people if a.address == rounds_of.U3[-1])
    short = last.values[:2]
    signed = sign(change(last.signed.statement, values=values_digest(short)), owner, rounds_of.DOMAIN)
    openings = (*r.transcript().openings[:-1], change(last, signed=signed, values=short))
    assert [code for code, _ in r.faults(r.transcript(openings=openings))] == ["opening-values"]


@pytest.mark.parametrize("decode", [decode_round, decode_plain])
def test_a_transcript_that_is_too_large_is_not_even_read(decode):
    with pytest.raises(ValueError, match="larger than any legal one"):
        decode(b"[" * (MAX_TRANSCRIPT_BYTES + 1))


def test_a_record_names_every_join():
    roster = transcripts.TOLD.proven.roster
    joins = {a: j.statement.digest(roster.plan.domain) for a, j in zip(roster.members, roster.joins, strict=True)}
    assert transcripts.record().join_root == address_root(joins)


# -- plain exchange ----------------------------------------------------------------------------------------------------


def stated(body: PlainBody, who: Account = FIRST, digest: bytes | None = None) -> str:
    """What is wrong with a merge by itself."""
    signed = sign(PlainMerge(SID, body.merge, digest or body.digest()), who, GROUND.domain)
    found = judge_statements(GROUND, bytes(32), PlainTranscript(body, signed))
    return f"{found.code}: {found.sentence}" if isinstance(found, Fault) else ""


def test_an_update_of_another_exchange_is_not_merged():
    run = lockstep(1)
    update = run.update(SECOND, 2, sid=bytes(32))
    assert stated(run.body(FIRST, [update])).startswith("update:")


def test_an_update_without_a_version_is_not_merged():
    run = lockstep(1)
    assert stated(run.body(FIRST, [run.update(SECOND, 0)])).startswith("update:")


def test_a_strangers_merge_is_none():
    run = lockstep(1)
    body = run.body(STRANGER, [run.update(SECOND, 2)])
    assert stated(body, STRANGER).startswith("merge-signature:")


def test_a_signature_is_under_this_merge():
    run = lockstep(1)
    body = run.body(FIRST, [run.update(SECOND, 2)])
    assert not stated(body)
    assert stated(body, digest=sha256(b"another body")).startswith("merge-signature:")


def test_parents_stand_in_the_order_of_their_hashes():
    run = lockstep(1)
    body = run.body(FIRST, [run.update(a, 2) for a in ACCOUNTS])
    assert "in the order of their hashes" in stated(change(body, parents=body.parents[::-1]))


def test_only_the_genesis_stands_at_round_0():
    run = lockstep(1)
    body = run.body(FIRST, [run.update(SECOND, 2)])
    parents = tuple(change(p, round=0) if p.record == body.previous else p for p in body.parents)
    assert "genesis stands at round 0" in stated(change(body, parents=parents))


def test_only_a_first_merge_stands_on_the_genesis():
    run = Run()
    body = run.body(FIRST, [run.update(FIRST, 1)])
    assert not stated(body)
    assert "stands on the genesis" in stated(change(body, merge=2))


def test_a_parent_that_the_chain_does_not_have_is_missed():
    run = lockstep(2)
    gone = run.records.pop(1)
    assert gone.parents
    assert {code for code, _ in run.codes()} == {"merge-parent-missing"}


def test_a_parent_is_named_with_its_own_transcript():
    run = lockstep(1)
    body = run.body(FIRST, [run.update(SECOND, 2)])
    wrong = change(body.parents[0], transcript=bytes(32))
    run.merge(FIRST, change(body, parents=(wrong, *body.parents[1:])))
    assert run.codes() == {("merge-parents", FIRST.address)}


# -- journals ----------------------------------------------------------------------------------------------------------


def lines(who: Account, *changes: dict[str, object], seal: Account | None = None) -> bytes:
    """A journal of its owner with so many lines and a seal, hash-chained, each changed as told."""
    prev, raw = FIRST_PREV, b""
    for seq, told in enumerate([*changes, {}]):
        line = {"schema": 1, "seq": seq, "prev": prev, "peer": "0x" + who.address.hex(), "round": 0, "kind": "started"}
        if seq == len(changes):
            signed = (seal or who).sign(seal_digest(bytes.fromhex(prev), end=True))
            line |= {"kind": "seal", "end": True, "signature": "0x" + signed.hex()}
        blob = json.dumps(line | told).encode()
        raw, prev = raw + blob + b"\n", sha256(blob).hex()
    return raw


@pytest.mark.parametrize(
    ("code", "raw"),
    [
        ("", lines(FIRST, {}, {})),
        ("journal-peer", lines(FIRST, {}, {"peer": "0x" + SECOND.address.hex()})),
        ("journal-chain", lines(FIRST, {}, {"seq": 7})),
        ("journal-chain", lines(FIRST, {}, {"schema": 2})),
        ("journal-chain", lines(FIRST, {}, {"prev": "11" * 32})),
        ("journal-seal", lines(FIRST, {}, seal=SECOND)),
        ("journal-line", lines(FIRST, {}) + b"{"),
    ],
    ids=["sound", "another peer", "number", "schema", "not following", "another's seal", "torn"],
)
def test_a_journal_with_one_thing_wrong(code, raw):
    book = Notebook()
    read_journal("peer", raw, book, FIRST.address)
    assert [f.code for f in book.findings] == ([code] if code else [])


def test_a_vote_beside_the_word_never_to_vote_is_found():
    book, found = Notebook(), Signatures()
    for kind in ("Vote", "Abstention"):
        found.add(FIRST.address, bytes(32), kind, sha256(kind.encode()), 1)
    found.check(book)
    assert [(f.code, f.peer) for f in book.findings] == [("equivocation", FIRST.address)]


@pytest.mark.parametrize(("lost", "found"), [(frozenset(), 1), (frozenset({"peer"}), 0)])
def test_a_finished_journal_has_a_sealed_end(lost, found):
    book = Notebook()
    journal.check_ends([Journal("peer", FIRST.address)], lost, finished=True, book=book)
    assert len(book.findings) == found


def closed(**told: str) -> Journal:
    return Journal("peer", FIRST.address, [Entry(1, 1, "closed", told)])


def test_a_journals_word_of_a_round_is_that_of_its_artefacts():
    name, record, model = (sha256(word) for word in (b"transcript", b"record", b"model"))
    told = SimpleNamespace(record_hash=record, aggregate=model, round=1)
    rounds = SimpleNamespace(judged={name: told}, broken={})
    for told, found in (
        ({"record": record, "transcript": name, "aggregate": model}, []),
        ({"record": record, "transcript": name, "aggregate": name}, ["journal-closed"]),
        ({"record": record, "transcript": model, "aggregate": model}, ["journal-closed"]),
    ):
        book = Notebook()
        compare.compare_closed(rounds, [closed(**{k: v.hex() for k, v in told.items()})], book)
        assert [f.code for f in book.findings] == found


# -- the audit ---------------------------------------------------------------------------------------------------------


def sentences(judged) -> str:
    return " / ".join(f.sentence for f in judged.findings)


def test_journals_and_files_that_do_not_belong(forge: Forge) -> None:
    name, raw = next(iter(forge.journals.items()))
    stranger = forge.judge(journals=forge.journals | {"peer-99": lines(STRANGER, {})})
    assert "who is not registered" in sentences(stranger)
    assert "are journals of one peer" in sentences(forge.judge(journals=forge.journals | {"twin": raw}))
    missing = forge.judge(accounts={"peer-99": STRANGER.address})
    assert blamed(missing, "journal-missing") == {(None, STRANGER.address)}
    assert "store-misnamed" in codes(forge.judge(misnamed=frozenset({sha256(b"changed")})))
    assert name


def test_a_pool_that_the_vault_was_never_to_hold_is_found(forge: Forge) -> None:
    terms = forge.terms()
    judged = forge.judge(terms=replace(terms, pool=2 * terms.pool))
    assert "the settings promise" in sentences(judged)
    assert "the vault was funded with" in sentences(judged)


def test_the_settlement_is_the_one_behind_the_root(forge: Forge) -> None:
    other = replace(forge.settlement, dues=forge.settlement.dues[:1])
    assert forge.judge(settlements=(other, forge.settlement)).findings == ()


def epoch_of(document: Settled) -> epochs.Epoch:
    return epochs.Epoch(epochs.reward_root(document), 3, document)


def test_a_settlement_on_no_record_is_found(forge: Forge) -> None:
    book = Notebook()
    rounds = SimpleNamespace(by_record=dict, broken={})
    due = dict(forge.settlement.dues)
    epochs._check_document(epoch_of(forge.settlement), forge.settlement, due, rounds, book)
    assert [f.code for f in book.findings] == ["settlement"]


def test_lists_of_a_settlement_are_sorted(forge: Forge) -> None:
    book = Notebook()
    told = SimpleNamespace(round=3)
    rounds = SimpleNamespace(by_record=lambda: {forge.settlement.record: told}, broken={})
    turned = replace(forge.settlement, dues=forge.settlement.dues[::-1])
    epochs._check_document(epoch_of(turned), turned, dict(forge.settlement.dues), rounds, book)
    assert "not sorted" in sentences(book)


def test_a_claim_leads_from_what_was_paid_to_what_was_due() -> None:
    book = Notebook()
    history = SimpleNamespace(claims=[RewardClaimed(FIRST.address, 5, 5), RewardClaimed(FIRST.address, 1, 7)])
    pay._claims(history, book)
    assert [(f.code, f.peer) for f in book.findings] == [("claim", FIRST.address)]


def test_a_settlement_that_a_peer_signed_is_in_the_store(forge: Forge) -> None:
    book = Notebook()
    said = Journal("peer", FIRST.address, [Entry(1, 1, "settlement", {"settlement": "11" * 32})])
    pay._check_documents(SimpleNamespace(settlements=()), [said], book)
    assert [f.code for f in book.findings] == ["settlement-missing"]


def test_a_direction_has_the_length_of_the_layout(forge: Forge) -> None:
    t, book = forge.transcript(), Notebook()
    judged = SimpleNamespace(transcript=t, proven=forge.proven())
    case = SimpleNamespace(store={t.direction: forge.store[t.direction][:-4]}, terms=forge.terms())
    assert numbers._direction(case, None, None, judged, None, book) == (Check.FAILED, None)
    assert np.array([f.code for f in book.findings]).tolist() == ["direction-missing"]


def test_a_round_without_a_parent_stands_on_nothing() -> None:
    nothing = SimpleNamespace(judged={}, broken={})
    orphan = change(transcripts.ROUND, parents=())
    assert audit_rounds._parent_of(nothing, orphan) is None


def test_a_round_on_one_that_nobody_knows_is_found() -> None:
    rounds, book = SimpleNamespace(judged={}, broken={}), Notebook()
    link = change(transcripts.ROUND.parents[0], transcript=sha256(b"unknown"))
    case = SimpleNamespace(store={bytes(32): encode(change(transcripts.ROUND, parents=(link,)))})
    audit_rounds._judge_one(case, rounds, bytes(32), 1, None, book)
    assert [f.code for f in book.findings] == ["round-parent"]


# -- the chain ---------------------------------------------------------------------------------------------------------


def test_what_the_archive_says_is_wrong_is_a_finding(forge: Forge) -> None:
    problem = SimpleNamespace(line=3, sentence="a block is missing")
    judged = forge.judge(archive=replace(forge.archive(), problems=(problem,)))
    assert "line 3: a block is missing" in sentences(judged)


def test_an_archive_of_other_contracts_is_found(forge: Forge) -> None:
    other = replace(forge.deployment, pool=forge.deployment.pool + 1)
    assert "for other contracts" in sentences(forge.judge(archive=replace(forge.archive(), deployment=other)))


def test_a_reverted_transaction_that_the_rules_take_is_found(forge: Forge) -> None:
    archive = forge.archive()
    last = replace(archive.transactions[-1], succeeded=False, events=(), gas_used=0)
    judged = forge.judge(archive=replace(archive, transactions=(*archive.transactions[:-1], last)))
    assert "chain-receipt" in codes(judged)


def test_a_contract_that_was_never_created_is_found(forge: Forge) -> None:
    archive = forge.archive()
    made = [t.signed.to is None and created_address(t.signed.sender, t.signed.nonce) for t in archive.transactions]
    built = [t for t, at in zip(archive.transactions, made, strict=True) if at != forge.deployment.vault]
    judged = forge.judge(archive=replace(archive, transactions=tuple(built)))
    assert "does not create RewardVault" in sentences(judged)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ({"federation": sha256(b"another")}, "built for another federation"),
        ({"code_hashes": {}}, "names another code"),
        ({"min_stake": 10**30}, "another least stake"),
    ],
)
def test_a_deployment_file_that_says_otherwise_is_found(forge: Forge, edit: dict, words: str) -> None:
    assert words in sentences(forge.judge(deployment=replace(forge.deployment, **edit)))


# -- rules of the contracts that the recorded story never breaks -------------------------------------------------------


def registry() -> Registry:
    token = Token(b"t" * 20, 1)
    found = Registry(b"r" * 20, token, min_stake=10, unbonding=100)
    for who in ACCOUNTS:
        token.balances[who.address] = 1000
        token.approve(who.address, found.address, 1000)
        found.call(who.address, "register", registration(who), 0)
    return found


def registration(who: Account) -> dict[str, object]:
    return {"transportKey": sha256(who.address), "endpoint": "tcp://127.0.0.1:1/2", "stake": 10}


def refuses(error: str, contract: object, sender: Account, name: str, v: dict[str, object], now: int = 0) -> None:
    with pytest.raises(Reverted, match=f"^{error}$"):
        contract.call(sender.address, name, v, now)


def test_a_peer_registers_once_and_its_stake_is_locked_for_a_while() -> None:
    r = registry()
    refuses("AlreadyRegistered", r, FIRST, "register", registration(FIRST))
    r.call(FIRST.address, "leave", {}, 0)
    refuses("StakeLocked", r, FIRST, "register", registration(FIRST))
    refuses("StakeLocked", r, FIRST, "withdraw", {}, 99)
    assert r.call(FIRST.address, "withdraw", {}, 100)


def test_nobody_moves_more_than_it_has() -> None:
    token = registry().token
    refuses("ERC20InsufficientBalance", token, FIRST, "transfer", {"to": SECOND.address, "value": 10**6})


def test_a_record_is_recorded_once() -> None:
    rounds = LedgerRounds(b"l" * 20, registry(), GROUND.genesis)
    record = lockstep(1).records[0]
    told = {"round": tuple(getattr(record, f) for f in record.__dataclass_fields__)}
    assert rounds.call(FIRST.address, "recordRound", told, 0)
    refuses("AlreadyRecorded", rounds, FIRST, "recordRound", told)


def test_a_root_needs_its_quorum_and_waits_for_the_one_before() -> None:
    r = registry()
    vault = Vault(b"v" * 20, r.token, r, activation_delay=50, chain_id=1)

    def publish(epoch: int, *signers: Account) -> dict[str, object]:
        root = RewardRoot(epoch, bytes(32), 0, bytes(32), Steps().digest())
        signed = [a.sign(root.digest(1, vault.address)) for a in sorted(signers, key=lambda a: a.address)]
        told = {"epoch": epoch, "root": bytes(32), "total": 0, "emissionRoot": bytes(32)}
        return {**told, "records": [], "states": [], "signatures": packed(signed)}

    refuses("QuorumMissing", vault, FIRST, "publish", publish(1, FIRST))
    assert vault.call(FIRST.address, "publish", publish(1, *ACCOUNTS), 0)
    refuses("PreviousRootPending", vault, FIRST, "publish", publish(2, *ACCOUNTS), 49)
    assert vault.call(FIRST.address, "publish", publish(2, *ACCOUNTS), 50)
