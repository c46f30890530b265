"""Merges of plain exchange as the auditor sees them: a clean history holds, and every tampering has a name."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from msgspec import structs

from peerage_crypto.digest import address_root, sha256
from peerage_crypto.fixedpoint import ring
from peerage_crypto.identity import Account, eip712_digest
from peerage_crypto.plain_statements import PLAIN_TYPES, PlainMerge, PlainUpdate
from peerage_crypto.statements import Signed, sign
from peerage_ledger.judgement import Federation
from peerage_ledger.memory import MemoryChain
from peerage_ledger.plain_judgement import (
    MAX_EXAMPLES,
    PlainHistory,
    final_aggregate,
    judge_plain_history,
    judge_statements,
)
from peerage_ledger.plain_record import (
    NO_SCORES,
    OLDEST_PARENT,
    PlainBody,
    PlainTranscript,
    decode_plain,
    encode_plain,
    exchange_of,
    genesis_link,
    record_of_merge,
)
from peerage_ledger.transcript import ParentLink, Versioned

if TYPE_CHECKING:
    from peerage_ledger.records import RoundRecord

PARAMETERS = 6
ACCOUNTS = sorted((Account.from_secret(bytes([i]) * 32) for i in (1, 2, 3)), key=lambda a: a.address)
GROUND = Federation(
    chain_id=31337,
    registry=b"\x01" * 20,
    round_ledger=b"\x02" * 20,
    vault=b"\x03" * 20,
    genesis=sha256(b"genesis"),
    terms=sha256(b"terms"),
    registered=frozenset(a.address for a in ACCOUNTS),
    ring=ring(32),
    length=PARAMETERS,
)
SID = exchange_of(GROUND)


def mean(models: list[np.ndarray], counts: list[int], own: int | None = None, merge: int = 0) -> np.ndarray:
    return np.average(np.stack(models).astype(np.float64), axis=0, weights=counts).astype(np.float32)


@dataclass
class Run:
    """Merges in the making: what would be stored, and what the chain would keep."""

    store: dict[bytes, bytes] = field(default_factory=dict)
    records: list[RoundRecord] = field(default_factory=list)
    heads: dict[bytes, ParentLink] = field(default_factory=dict)
    versions: dict[bytes, dict[bytes, int]] = field(default_factory=dict)
    merges: dict[bytes, int] = field(default_factory=dict)

    def head(self, who: Account) -> ParentLink:
        return self.heads.get(who.address, genesis_link(GROUND))

    def update(self, who: Account, version: int, weights: np.ndarray | None = None, **changes: object) -> Signed:
        if weights is None:
            weights = np.random.default_rng([version, who.address[0]]).normal(size=PARAMETERS)
        blob = weights.astype("<f4").tobytes()
        self.store[sha256(blob)] = blob
        head = self.head(who)
        plain = PlainUpdate(SID, version, sha256(blob), 10 + who.address[0], head.record, head.round)
        return sign(structs.replace(plain, **changes), who, GROUND.domain)

    def body(self, who: Account, updates: list[Signed]) -> PlainBody:
        updates = sorted(updates, key=lambda u: u.signer(GROUND.domain))
        links = {link.record: link for link in [self.head(who), *(self._base(u) for u in updates)]}
        models = [np.resize(np.frombuffer(self.store[u.statement.artefact], "<f4"), PARAMETERS) for u in updates]
        model = mean(models, [max(1, u.statement.examples) for u in updates]) if models else np.zeros(0, np.float32)
        self.store[sha256(model.tobytes())] = model.tobytes()
        taken = {u.signer(GROUND.domain): u.statement.version for u in updates}
        versions = {**self.versions.get(who.address, {}), **taken}
        return PlainBody(
            schema=1,
            sid=SID,
            initiator=who.address,
            merge=self.merges.get(who.address, 0) + 1,
            round=1 + max(link.round for link in links.values()),
            previous=self.head(who).record,
            parents=tuple(links[r] for r in sorted(links)),
            updates=tuple(updates),
            versions=tuple(Versioned(p, v) for p, v in sorted(versions.items())),
            aggregate=sha256(model.tobytes()),
            emissions=sha256(b"emissions", who.address),
        )

    def merge(self, who: Account, body: PlainBody, signer: Account | None = None) -> RoundRecord:
        signed = sign(PlainMerge(SID, body.merge, body.digest()), signer or who, GROUND.domain)
        blob = encode_plain(PlainTranscript(body, signed))
        self.store[sha256(blob)] = blob
        record = record_of_merge(GROUND, body, sha256(blob), signed)
        self.records.append(record)
        self.heads[who.address] = ParentLink(record.record_hash(), record.round, sha256(blob))
        self.versions[who.address] = {v.peer: v.version for v in body.versions}
        self.merges[who.address] = body.merge
        return record

    def _base(self, update: Signed) -> ParentLink:
        found = [h for h in self.heads.values() if h.record == update.statement.base]
        return found[0] if found else ParentLink(update.statement.base, update.statement.base_round, bytes(32))

    def judge(self) -> PlainHistory:
        return judge_plain_history(GROUND, self.records, self.store, mean, PARAMETERS)

    def codes(self) -> set[tuple[str, bytes | None]]:
        return {(fault.code, fault.culprit) for _, fault in self.judge().faults}


def lockstep(rounds: int = 2) -> Run:
    run = Run()
    for number in range(1, rounds + 1):
        updates = [run.update(a, number) for a in ACCOUNTS]
        bodies = [run.body(a, updates) for a in ACCOUNTS]
        for account, body in zip(ACCOUNTS, bodies, strict=True):
            run.merge(account, body)
    return run


def test_a_history_in_lockstep_holds_and_the_contract_takes_it() -> None:
    run = lockstep(3)
    history = run.judge()
    assert not history.faults
    assert not history.unsummed
    assert len(history.judged) == 9
    assert history.final == run.records[-1].aggregate
    chain = MemoryChain(GROUND.genesis)
    for i, account in enumerate(ACCOUNTS):
        chain.register(account.address, bytes([i]) * 32, f"tcp://127.0.0.1:{i + 1}/{i + 2}", 1)
    for record in run.records:
        chain.record(ACCOUNTS[0].address, record)  # whoever hands it in
    assert len(chain.view.records) == 9


def test_a_record_says_who_took_part_and_pays_nothing() -> None:
    run = lockstep(1)
    record = run.records[0]
    assert record.members == 3
    assert record.parents == (GROUND.genesis,)
    assert record.score_root == NO_SCORES == address_root({})
    assert record.emission_root == address_root({ACCOUNTS[0].address: sha256(b"emissions", ACCOUNTS[0].address)})


def test_statements_are_eip712() -> None:
    update = PlainUpdate(SID, 3, bytes(32), 7, GROUND.genesis, 0)
    values: list[bytes | int] = [SID, 3, bytes(32), 7, GROUND.genesis, 0]
    assert update.digest(GROUND.domain) == eip712_digest(GROUND.domain, PLAIN_TYPES["PlainUpdate"], list(values))


def test_an_old_parent_stays_in_the_transcript_only() -> None:
    """The contract forgets: a peer that was away for long must not have its record refused for its own past."""
    run = lockstep(1)
    first, second, _ = ACCOUNTS
    far = ParentLink(sha256(b"far"), OLDEST_PARENT + 5, sha256(b"far transcript"))
    run.heads[second.address] = far
    body = run.body(first, [run.update(first, 2), run.update(second, 9)])
    record = run.merge(first, body)
    assert len(body.parents) == 2
    assert record.parents == (far.record,)
    assert record.round == far.round + 1


def test_pruned_weights_are_never_called_passed() -> None:
    run = lockstep(2)
    update = decode_plain(run.store[run.records[-1].transcript]).body.updates[0]
    del run.store[update.statement.artefact]
    history = run.judge()
    assert not history.faults
    assert set(history.unsummed) == {r.record_hash() for r in run.records[-3:]}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"aggregate": sha256(b"another model")}, "aggregate"),
        ({"round": 7}, "merge-parents"),
        ({"previous": GROUND.genesis}, "merge-parents"),
        ({"merge": 5}, "merge-order"),
        ({"parents": ()}, "merge-parents"),
        ({"versions": ()}, "versions"),
        ({"updates": ()}, "merge-updates"),
        ({"schema": 2}, "merge-signature"),
        ({"sid": bytes(32)}, "merge-signature"),
    ],
)
def test_a_signed_lie_in_a_merge_is_its_initiators(changes: dict[str, object], code: str) -> None:
    run = lockstep(1)
    liar = ACCOUNTS[0]
    body = structs.replace(run.body(liar, [run.update(a, 2) for a in ACCOUNTS]), **changes)
    if not body.parents:
        transcript = PlainTranscript(body, sign(PlainMerge(SID, body.merge, body.digest()), liar, GROUND.domain))
        fault = judge_statements(GROUND, bytes(32), transcript)
        assert (fault.code, fault.culprit) == (code, liar.address)  # type: ignore[union-attr]
        return
    run.merge(liar, body)
    assert run.codes() == {(code, liar.address)}


def test_a_merge_in_anothers_name() -> None:
    run = lockstep(1)
    run.merge(ACCOUNTS[0], run.body(ACCOUNTS[0], [run.update(ACCOUNTS[0], 2)]), signer=ACCOUNTS[1])
    assert run.codes() == {("merge-signature", None)}


def test_a_version_goes_into_ones_model_once() -> None:
    run = lockstep(1)
    first, second, _ = ACCOUNTS
    run.merge(first, run.body(first, [run.update(first, 2), run.update(second, 1)]))
    assert ("version-reused", first.address) in run.codes()


@pytest.mark.parametrize("examples", [0, MAX_EXAMPLES + 1])
def test_a_count_that_cannot_be(examples: int) -> None:
    run = lockstep(1)
    first, second, _ = ACCOUNTS
    run.merge(first, run.body(first, [run.update(second, 2, examples=examples)]))
    assert run.codes() == {("update", first.address)}


def test_an_update_of_a_stranger() -> None:
    run = lockstep(1)
    stranger = Account.from_secret(b"\x09" * 32)
    run.merge(ACCOUNTS[0], run.body(ACCOUNTS[0], [run.update(stranger, 1)]))
    assert run.codes() == {("update", ACCOUNTS[0].address)}


@pytest.mark.parametrize(
    "weights", [np.full(PARAMETERS, np.nan), np.full(PARAMETERS, np.inf), np.zeros(PARAMETERS + 1)]
)
def test_weights_that_cannot_be_merged_blame_their_owner_and_who_merged_them(weights: np.ndarray) -> None:
    run = lockstep(1)
    first, second, _ = ACCOUNTS
    run.merge(first, run.body(first, [run.update(first, 2), run.update(second, 2, weights)]))
    assert run.codes() == {("weights", second.address), ("merge-weights", first.address)}


def test_a_model_on_another_peers_record() -> None:
    run = lockstep(1)
    first, second, third = ACCOUNTS
    head = run.head(third)
    update = run.update(second, 2, base=head.record, base_round=head.round)
    run.merge(first, run.body(first, [run.update(first, 2), update]))
    assert run.codes() == {("update", second.address)}


def test_two_models_under_one_version_are_equivocation() -> None:
    run = lockstep(1)
    first, second, third = ACCOUNTS
    for peer, other in ((first, np.ones(PARAMETERS)), (third, np.zeros(PARAMETERS))):
        run.merge(peer, run.body(peer, [run.update(peer, 2), run.update(second, 2, other)]))
    assert run.codes() == {("equivocation", second.address)}


def test_one_merge_told_in_two_ways_is_equivocation() -> None:
    run = lockstep(1)
    first, second, _ = ACCOUNTS
    one = run.body(first, [run.update(first, 2)])
    two = run.body(first, [run.update(first, 2), run.update(second, 2)])
    run.merge(first, one)
    run.merge(first, two)
    assert run.codes() == {("equivocation", first.address)}


def test_what_stands_on_a_bad_merge_is_not_bad_for_that() -> None:
    run = lockstep(1)
    first = ACCOUNTS[0]
    run.merge(first, structs.replace(run.body(first, [run.update(first, 2)]), aggregate=sha256(b"no")))
    run.merge(first, run.body(first, [run.update(first, 3)]))
    assert run.codes() == {("aggregate", first.address)}


@pytest.mark.parametrize("what", ["gone", "flipped", "spaced", "other record"])
def test_a_transcript_that_is_not_what_the_chain_names(what: str) -> None:
    run = lockstep(1)
    record = run.records[0]
    blob = run.store[record.transcript]
    if what == "gone":
        del run.store[record.transcript]
    elif what == "flipped":
        run.store[record.transcript] = blob.replace(b"1", b"2", 1)
    elif what == "spaced":
        spaced = msgspec.json.format(blob)
        run.store[sha256(spaced)] = spaced
        run.records[0] = replace(record, transcript=sha256(spaced))
    else:
        run.records[0] = replace(record, members=2)
    codes = {fault.code for _, fault in run.judge().faults}
    assert codes == {"merge-record" if what == "other record" else "merge-transcript"}


def test_the_models_name_is_the_most_shared_of_the_highest_merge() -> None:
    a, b, c = (bytes([i]) * 32 for i in (1, 2, 3))
    assert final_aggregate([]) == b""
    assert final_aggregate([(1, a), (1, a), (2, c)]) == c
    assert final_aggregate([(2, c), (2, b), (2, c), (1, a)]) == c
    assert final_aggregate([(2, c), (2, b)]) == b
