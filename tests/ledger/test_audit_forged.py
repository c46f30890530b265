"""Forgeries that need keys: peers who collude, sign what is false and put it on the chain. The audit names them.

A simulated federation (real engines, signatures and masks, no processes) is carried into a synthetic chain whose
transactions are really signed. Each test changes one thing and lets everybody involved sign it again.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

from peerage.audit.maths import RunMathematics
from peerage.rounds.merging import Merging
from peerage.rounds.optimisers import Optimiser
from peerage.rounds.scoring_step import direction_bytes
from peerage.rounds.settlement import decode_settlement
from peerage_crypto.digest import claim_proof, sha256
from peerage_crypto.identity import Account
from peerage_crypto.leaf_check import sum_root
from peerage_crypto.opening import values_digest
from peerage_crypto.secagg_judge import judge_session
from peerage_crypto.session import SessionTranscript
from peerage_crypto.statements import Opening, ResultAck, Signed, sign
from peerage_ledger import rawtx
from peerage_ledger.archive.reader import ArchivedTransaction, ChainArchive, Happened
from peerage_ledger.audit.contracts import Contracts
from peerage_ledger.audit.epochs import reward_root
from peerage_ledger.audit.findings import Check
from peerage_ledger.audit.journal import seal_digest
from peerage_ledger.audit.judge import Judgement, judge
from peerage_ledger.audit.pay import earnings
from peerage_ledger.audit.registry import Reverted
from peerage_ledger.audit.terms import CaseFile, Settled, Terms
from peerage_ledger.blueprint import DeployTerms, plan
from peerage_ledger.contracts import NAMES, contract
from peerage_ledger.deployment import Deployment
from peerage_ledger.records import packed
from peerage_ledger.transcript import NOTHING, RoundTranscript, decode_round, decode_session, encode, record_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from peerage_ledger.records import RewardRoot, RoundRecord

CHAIN, STAKE, POOL = 31337, 10**18, 10**21
ROUNDS = 3
OPERATOR = Account.from_secret(sha256(b"operator"))
FEDERATION_TERMS = DeployTerms(min_stake=STAKE)
PLACES = {name: at for name, at in plan(OPERATOR.address, 0, bytes(32), FEDERATION_TERMS).at.items() if name in NAMES}


def _simulator() -> ModuleType:
    path = Path(__file__).parents[1] / "node" / "simulator.py"
    spec = importlib.util.spec_from_file_location("audit_simulator", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["audit_simulator"] = module
    spec.loader.exec_module(module)
    return module


sim = _simulator()


class SimulatedMathematics(RunMathematics):
    """The simulator's stand-in for the path gradient."""

    def direction(self, parent: Any, judged: Any, applied: Any, /) -> tuple[np.ndarray, int] | None:
        base = sim_base(parent)
        path = (judged.standing.model.astype(np.float64) - base.astype(np.float64)).astype(np.float32)
        return sim.direction(base, path, tuple(applied))


def sim_base(parent: Any) -> np.ndarray:
    from peerage.rounds.aggregation import base_of

    return base_of(parent.model, parent.step, 0.9)


@dataclass
class Forge:
    """The pieces of a case, to be changed and put together again."""

    simulation: Any
    accounts: dict[bytes, Account]
    store: dict[bytes, bytes]
    order: list[bytes]  # transcript ids, oldest first
    settlement: Settled
    journals: dict[str, bytes]
    calls: list[tuple[Account, str, str, tuple[object, ...]]] = field(default_factory=list)
    believed: set[int] = field(default_factory=set)  # calls whose receipt says done, whatever the rules say
    maths: Any = None

    # -- reading -------------------------------------------------------------------------------------------------------

    def transcript(self, at: int = -1) -> RoundTranscript:
        return decode_round(self.store[self.order[at]])

    def session(self, at: int = -1) -> SessionTranscript:
        return decode_session(self.store[self.transcript(at).session])

    def members(self, at: int = -1) -> tuple[bytes, ...]:
        return self.proven(at).u3

    def proven(self, at: int = -1) -> Any:
        session = self.session(at)
        plan = self.simulation.federation.plan(session.opened.statement)
        proven = judge_session(plan, session)
        assert not isinstance(proven, list)
        return proven

    def record(self, at: int = -1) -> RoundRecord:
        return record_of(self.transcript(at), self.order[at], self.proven(at), self.session(at))

    # -- changing ------------------------------------------------------------------------------------------------------

    def put(self, blob: bytes) -> bytes:
        self.store[sha256(blob)] = blob
        return sha256(blob)

    def change(self, at: int = -1, **fields: object) -> None:
        """Another transcript for a round (the last: nothing stands on it), and its record on the chain."""
        changed = RoundTranscript(
            **{**{f: getattr(self.transcript(at), f) for f in RoundTranscript.__struct_fields__}, **fields}
        )
        self.order[at] = self.put(encode(changed))

    def change_session(self, **fields: object) -> None:
        session = self.session()
        changed = SessionTranscript(
            **{**{f: getattr(session, f) for f in SessionTranscript.__struct_fields__}, **fields}
        )
        self.change(session=self.put(encode(changed)), sum_artefact=changed.sum_artefact)

    def acks(self, sum_artefact: bytes, aggregate: bytes) -> tuple[Signed[ResultAck], ...]:
        sid, domain = self.transcript().sid, self.simulation.federation.domain
        federation = self.simulation.federation
        root = sum_root(self.store[sum_artefact], federation.length * federation.ring.word_bytes)
        return tuple(sign(ResultAck(sid, root, aggregate), self.accounts[m], domain) for m in self.members())

    def chain(self, records: list[RoundRecord] | None = None) -> None:
        """The calls of an honest run with these records."""
        peers, initiators = (
            list(self.accounts.values()),
            [self.accounts[self.proven(i).roster.plan.initiator] for i in range(ROUNDS)],
        )
        self.calls = [(OPERATOR, "PeerageToken", "transfer", (p.address, STAKE)) for p in peers]
        self.calls += [
            (OPERATOR, "PeerageToken", "approve", (PLACES["RewardVault"], POOL)),
            (OPERATOR, "RewardVault", "fund", (POOL,)),
        ]
        for p in peers:
            self.calls.append((p, "PeerageToken", "approve", (PLACES["PeerRegistry"], STAKE)))
            self.calls.append((p, "PeerRegistry", "register", (sha256(p.address), "tcp://here", STAKE)))
        told = records or [self.record(i) for i in range(ROUNDS)]
        for who, record in zip(initiators, told, strict=True):
            self.calls.append((who, "RoundLedger", "recordRound", (record.as_tuple(),)))
        root = reward_root(self.settlement)
        self.calls.append((peers[0], "RewardVault", "publish", self.publication(root, peers)))
        dues = dict(self.settlement.dues)
        proofs = [claim_proof(dues, a) for a in dues]
        self.calls.append((peers[1], "RewardVault", "claimMany", (list(dues), list(dues.values()), proofs)))

    def publication(self, root: RewardRoot, signers: list[Account]) -> tuple[object, ...]:
        signed = [s.sign(root.digest(CHAIN, PLACES["RewardVault"])) for s in sorted(signers, key=lambda a: a.address)]
        steps = [list(self.steps.records), list(self.steps.states)]
        return root.epoch, root.root, root.total, root.emission_root, *steps, packed(signed)

    # -- judging -------------------------------------------------------------------------------------------------------

    def archive(self) -> ChainArchive:
        rules, nonces = Contracts(CHAIN, PLACES), dict[bytes, int]()
        made: list[ArchivedTransaction] = []
        planned = plan(OPERATOR.address, 0, self.simulation.federation.genesis, FEDERATION_TERMS)
        creations = [(name, planned.arguments(name)) for name in planned.names()]
        pieces: list[tuple[Account, bytes | None, bytes, bool]] = [
            (OPERATOR, None, contract(name).creation(*arguments), False) for name, arguments in creations
        ]
        pieces += [
            (who, PLACES[name], contract(name).call(function, *arguments), i in self.believed)
            for i, (who, name, function, arguments) in enumerate(self.calls)
        ]
        for block, (who, to, data, believed) in enumerate(pieces, 1):
            nonce = nonces.get(who.address, 0)
            nonces[who.address] = nonce + 1
            raw = rawtx.sign(who, chain_id=CHAIN, nonce=nonce, to=to, data=data, gas=10**6, max_fee=1, priority_fee=1)
            signed = rawtx.decode(raw)
            try:
                events, good = rules.execute(signed, 1000 + block), True
            except Reverted:
                events, good = [], believed
            name = next((n for n, at in PLACES.items() if at == to), "")
            called = contract(name).decode_call(data) if name else None
            made.append(
                ArchivedTransaction(
                    block,
                    block,
                    1000 + block,
                    signed,
                    name,
                    called.name if called else "constructor",
                    called.values if called else {},
                    good,
                    21_000,
                    tuple(Happened(block, block, signed.hash, name, event) for event in events),
                )
            )
        return ChainArchive(self.deployment, {}, tuple(made), len(made), len(made), 0, ())

    @property
    def deployment(self) -> Deployment:
        p = PLACES
        return Deployment(
            CHAIN,
            "memory:",
            self.simulation.federation.genesis,
            p,
            1,
            STAKE,
            POOL,
            {n: contract(n).code_hash(contract(n).runtime) for n in p},
        )

    def terms(self) -> Terms:
        rules, federation = self.simulation.rules, self.simulation.federation
        return Terms(
            record=federation.genesis,
            session=federation.terms,
            initial=self.simulation.genesis.model,
            rounds=ROUNDS,
            ring=federation.ring,
            frac_bits=rules.grid.frac_bits,
            clip=rules.grid.clip,
            novelty=rules.novelty,
            cap=rules.cap,
            window=rules.window,
            pool=rules.pool,
            audited=federation.audited,
        )

    def judge(self, **fields: object) -> Judgement:
        case = CaseFile(
            terms=self.terms(),
            deployment=self.deployment,
            archive=self.archive(),
            store=self.store,
            journals=self.journals,
            settlements=(self.settlement,),
        )
        maths = self.maths or SimulatedMathematics(Merging(self.simulation.rules.grid, Optimiser()), None, None)  # type: ignore[arg-type]
        return judge(replace(case, **fields), maths)


def journal_of(host: Any) -> bytes:
    """A peer's journal as its adapter writes it: sealed after each closed round and at the end."""
    raw: list[bytes] = []
    previous = bytes(32)

    def write(kind: str, round_: int, fields: Mapping[str, object]) -> None:
        nonlocal previous
        head = {"schema": 1, "seq": len(raw), "prev": previous.hex(), "peer": "0x" + host.account.address.hex()}
        raw.append(json.dumps({**head, "round": round_, "kind": kind, **fields}).encode())
        previous = sha256(raw[-1])

    for entry in host.journal:
        write(entry.kind, entry.round, entry.fields)
        if entry.kind == "closed":
            write("seal", entry.round, {"signature": host.account.sign(seal_digest(previous, end=False)).hex()})
    write("seal", ROUNDS, {"signature": host.account.sign(seal_digest(previous, end=True)).hex(), "end": True})
    return b"\n".join(raw) + b"\n"


def simulate(draws: int = 0, epoch: int = 0) -> Any:
    simulation = sim.Simulation(5, rounds=ROUNDS, seed=7, epoch=epoch)
    simulation._draws = draws
    simulation.federation = replace(
        simulation.federation,
        registry=PLACES["PeerRegistry"],
        round_ledger=PLACES["RoundLedger"],
        vault=PLACES["RewardVault"],
    )
    for at, host in enumerate(simulation.hosts.values()):
        host.engine = simulation._engine(host.account, at)
    simulation.start().run()
    assert all(host.finished for host in simulation.hosts.values())
    return simulation


@pytest.fixture(scope="module")
def finished() -> Any:
    return simulate()


@pytest.fixture
def forge(finished: Any) -> Forge:
    hosts = finished.hosts
    store = {artefact: blob for host in hosts.values() for artefact, blob in host.holdings.items()}
    first = next(iter(hosts.values()))
    order = [judged.standing.transcript for judged in first.engine.history]
    named = next(e.fields["settlement"] for e in first.journal if e.kind == "settlement")
    document = decode_settlement(store[bytes.fromhex(named)])
    settled = Settled(
        bytes.fromhex(named),
        document.epoch,
        document.record,
        tuple((d.account, int(d.cumulative)) for d in document.dues),
        tuple((e.peer, e.emissions) for e in document.emissions),
        document.steps,
        document.voided,
    )
    journals = {host.name: journal_of(host) for host in hosts.values()}
    made = Forge(finished, {a: h.account for a, h in hosts.items()}, store, order, settled, journals)
    made.steps = first.engine.settlement.books.steps
    made.chain()
    return made


def codes(judged: Judgement) -> set[str]:
    return {finding.code for finding in judged.findings}


def blamed(judged: Judgement, code: str) -> set[tuple[int | None, bytes | None]]:
    return {(f.round, f.peer) for f in judged.findings if f.code == code}


def test_an_honest_run_has_no_findings(forge: Forge) -> None:
    judged = forge.judge()
    assert judged.findings == ()
    assert [(c.round, c.sum, c.direction, c.numbers) for c in judged.checks] == [
        (r, Check.PASSED, Check.PASSED, Check.PASSED) for r in (1, 2, 3)
    ]
    assert judged.accounts.due == dict(forge.settlement.dues)
    assert judged.history.registered == forge.simulation.federation.registered


def test_the_explanation_is_the_pay(forge: Forge) -> None:
    judged = forge.judge()
    for peer in forge.accounts:
        rows = earnings(judged.accounts, peer, cap=2)
        assert rows[-1].cumulative == judged.accounts.due.get(peer, 0)
        assert all(abs(row.pot * row.share - row.pay) <= 10**6 for row in rows)


def test_a_number_that_everybody_agreed_to_raise_is_found(forge: Forge) -> None:
    lucky = forge.members()[2]
    numbers = list(forge.transcript().numbers)
    numbers[2] = (numbers[2] or 0) + 10**6
    forge.change(numbers=tuple(numbers))
    forge.chain()
    assert blamed(forge.judge(), "number") == {(3, lucky)}


def test_a_sum_that_everybody_acknowledged_falsely_is_found(forge: Forge) -> None:
    t, session = forge.transcript(), forge.session()
    ring = forge.simulation.federation.ring
    total = np.frombuffer(forge.store[t.sum_artefact], ring.dtype).copy()
    total[-10] += 1000
    blob = total.tobytes()
    maths = SimulatedMathematics(Merging(forge.simulation.rules.grid, Optimiser()), None, None)  # type: ignore[arg-type]
    before = forge.judge().rounds.standings[forge.order[-2]]
    merged = maths.merge(before, [total], [len(forge.members())])
    assert not isinstance(merged, str)
    artefact, aggregate = forge.put(blob), sha256(merged.model.tobytes())
    changed = SessionTranscript(
        **{**{f: getattr(session, f) for f in session.__struct_fields__}, "sum_artefact": artefact}
    )
    forge.change(
        session=forge.put(encode(changed)),
        sum_artefact=artefact,
        aggregate=aggregate,
        acks=forge.acks(artefact, aggregate),
    )
    forge.chain()
    judged = forge.judge()
    assert {round_ for round_, _ in blamed(judged, "sum-wrong")} == {3}
    assert "equivocation" in codes(judged)  # the journals know what was acknowledged first


def test_too_few_votes_or_acknowledgements(forge: Forge) -> None:
    forge.change(acks=forge.transcript().acks[:2])
    forge.chain()
    assert blamed(forge.judge(), "ack-quorum") == {(3, None)}


def test_survivors_without_a_certificate(forge: Forge) -> None:
    votes = forge.session().votes
    initiator = forge.proven().roster.plan.initiator
    records = [forge.record(i) for i in range(ROUNDS)]
    forge.change_session(votes=votes[:2])
    judged = _with_last_record_of(forge, records)
    assert (3, initiator) in blamed(judged, "session-votes")


def _with_last_record_of(forge: Forge, records: list[RoundRecord]) -> Judgement:
    """The chain names the changed transcript though no record can be computed for it."""
    named = replace(records[-1], transcript=forge.order[-1])
    calls = [c for c in forge.calls if c[2] != "recordRound" or c[3][0][0] != 3]
    at = next(i for i, c in enumerate(calls) if c[2] == "publish")
    calls.insert(at, (forge.accounts[min(forge.accounts)], "RoundLedger", "recordRound", (named.as_tuple(),)))
    forge.calls = calls
    return forge.judge()


def test_values_outside_their_range_are_findings_and_no_crash(forge: Forge) -> None:
    records = [forge.record(i) for i in range(ROUNDS)]
    numbers = (2**300, *forge.transcript().numbers[1:])
    forge.change(numbers=numbers)
    assert codes(_with_last_record_of(forge, records)) >= {"transcript-malformed"}


def test_a_bucket_that_no_statement_can_name(forge: Forge) -> None:
    records = [forge.record(i) for i in range(ROUNDS)]
    first = forge.session().manifests[0]
    bad = Signed(msgspec.structs.replace(first.statement, bucket=300), first.signature)
    forge.change_session(manifests=(bad, *forge.session().manifests[1:]))
    judged = _with_last_record_of(forge, records)
    assert {
        r for f in judged.findings if (r := f.round) == 3 and f.code in {"transcript-malformed", "manifest-signature"}
    }


def test_an_exponent_that_would_multiply_pay(forge: Forge) -> None:
    initiator = forge.proven().roster.plan.initiator
    forge.change(exponent=3)
    forge.chain()
    assert blamed(forge.judge(), "direction") == {(3, initiator)}


def test_a_direction_that_opens_one_coordinate(forge: Forge) -> None:
    """All members open for g = e_5: nothing is wrong with their numbers, but it is no g that the path gives."""
    t, domain = forge.transcript(), forge.simulation.federation.domain
    g = np.zeros(24, np.int64)
    g[5] = 1
    artefact = forge.put(direction_bytes(g))
    openings = []
    for opening in t.openings:
        s = opening.signed.statement
        signer = opening.signed.signer(domain)
        signed = sign(Opening(s.sid, artefact, s.values, s.emissions), forge.accounts[signer], domain)
        openings.append(msgspec.structs.replace(opening, signed=signed))
    forge.change(direction=artefact, openings=tuple(openings))
    forge.chain()
    judged = forge.judge()
    assert {r for r, _ in blamed(judged, "direction")} == {3}
    assert {p for _, p in blamed(judged, "equivocation")} == set(forge.members())


def test_a_direction_off_by_rounding_is_within_tolerance_and_one_off_by_more_is_not(forge: Forge) -> None:
    class Rounded(SimulatedMathematics):
        def direction(self, parent: Any, judged: Any, applied: Any, /) -> tuple[np.ndarray, int] | None:
            g, exponent = super().direction(parent, judged, applied) or (np.zeros(0), 0)
            return g + (np.arange(g.size) == 0), exponent

    forge.maths = Rounded(Merging(forge.simulation.rules.grid, Optimiser()), None, None)  # type: ignore[arg-type]
    short, long = replace(forge.terms(), clip=1e-3), replace(forge.terms(), clip=1e3)
    assert forge.judge(terms=short).findings == ()
    assert {c.direction for c in forge.judge(terms=short).checks} == {Check.CLOSE}
    assert {round_ for round_, _ in blamed(forge.judge(terms=long), "direction")} == {1, 2, 3}


def test_a_lie_in_one_pair_number_leaves_both_unpaid_and_a_paid_one_is_found(forge: Forge) -> None:
    """The initiator takes a liar's word against its neighbour's: both numbers must then be closed, and they are not."""
    t, domain = forge.transcript(), forge.simulation.federation.domain
    first = t.openings[0]
    liar = first.signed.signer(domain)
    values = (first.values[0] ^ 1, *first.values[1:])
    s = first.signed.statement
    signed = sign(Opening(s.sid, s.direction, values_digest(values), s.emissions), forge.accounts[liar], domain)
    forge.change(openings=(msgspec.structs.replace(first, signed=signed, values=values), *t.openings[1:]))
    forge.chain()
    judged = forge.judge()
    assert liar in {peer for _, peer in blamed(judged, "number")}
    assert blamed(judged, "equivocation") == {(3, liar)}


def test_a_liar_against_everybody_is_named(forge: Forge) -> None:
    t, domain = forge.transcript(), forge.simulation.federation.domain
    first = t.openings[0]
    liar = first.signed.signer(domain)
    values = tuple(v ^ 1 for v in first.values)
    s = first.signed.statement
    signed = sign(Opening(s.sid, s.direction, values_digest(values), s.emissions), forge.accounts[liar], domain)
    forge.change(openings=(msgspec.structs.replace(first, signed=signed, values=values), *t.openings[1:]))
    forge.chain()
    assert blamed(forge.judge(), "opening-lie") == {(3, liar)}


def test_versions_that_do_not_follow(forge: Forge) -> None:
    forge.change(versions=forge.transcript().versions[:-1])
    forge.chain()
    assert blamed(forge.judge(), "versions") == {(3, None)}


def test_a_record_with_another_root_names_who_recorded_it(forge: Forge) -> None:
    records = [forge.record(i) for i in range(ROUNDS)]
    records[2] = replace(records[2], emission_root=sha256(b"less"))
    forge.chain(records)
    judged = forge.judge()
    assert blamed(judged, "record") == {(3, forge.proven().roster.plan.initiator)}
    assert "emission_root" in next(f.sentence for f in judged.findings if f.code == "record")


def test_a_settlement_that_a_quorum_signed_falsely(forge: Forge) -> None:
    dues = dict(forge.settlement.dues)
    greedy, poor = list(dues)[:2]
    dues[greedy], dues[poor] = dues[greedy] + 5, dues[poor] - 5
    forge.settlement = replace(forge.settlement, dues=tuple(dues.items()))
    forge.chain()
    judged = forge.judge()
    assert {greedy, poor} == {peer for _, peer in blamed(judged, "settlement")}
    assert {greedy, poor} == {peer for _, peer in blamed(judged, "claim")}
    assert "reward-root" in codes(judged)


def test_a_root_that_a_node_took_without_a_quorum(forge: Forge) -> None:
    at = next(i for i, call in enumerate(forge.calls) if call[2] == "publish")
    who, name, function, arguments = forge.calls[at]
    forge.calls[at] = (who, name, function, (*arguments[:6], arguments[6][:64]))
    forge.believed = {at}
    assert (None, who.address) in blamed(forge.judge(), "chain-rule")


def test_a_record_by_somebody_who_left(forge: Forge) -> None:
    at = next(i for i, c in enumerate(forge.calls) if c[2] == "recordRound" and c[3][0][0] == 3)
    recorder = forge.calls[at][0]
    forge.calls.insert(at, (recorder, "PeerRegistry", "leave", ()))
    forge.believed = {at + 1}
    judged = forge.judge()
    assert blamed(judged, "chain-rule") == {(3, recorder.address)}
    assert {r for r, _ in blamed(judged, "unrecorded")} == {3}


def test_a_transaction_that_was_left_out_leaves_a_hole_in_the_nonces(forge: Forge) -> None:
    archive = forge.archive()
    publisher = next(t.signed.sender for t in archive.transactions if t.function == "publish")
    gone = next(t for t in archive.transactions if t.function == "register" and t.signed.sender == publisher)
    rest = tuple(t for t in archive.transactions if t is not gone)
    assert (None, gone.signed.sender) in blamed(forge.judge(archive=replace(archive, transactions=rest)), "chain-nonce")


def test_events_that_a_node_made_up(forge: Forge) -> None:
    archive = forge.archive()
    claim = archive.transactions[-1]
    first = claim.events[0]
    event = replace(first.event, amount=first.event.amount + 1)  # type: ignore[union-attr]
    changed = replace(claim, events=(replace(first, event=event), *claim.events[1:]))
    judged = forge.judge(archive=replace(archive, transactions=(*archive.transactions[:-1], changed)))
    assert blamed(judged, "chain-events") == {(None, claim.signed.sender)}


def test_two_children_of_one_parent_convict_those_who_acknowledged_both(forge: Forge) -> None:
    other = simulate(draws=1000)
    for host in other.hosts.values():
        forge.store |= host.holdings
    history = next(iter(other.hosts.values())).engine.history
    record = history[0].record
    assert record.record_hash() != forge.record(0).record_hash()
    at = next(i for i, c in enumerate(forge.calls) if c[2] == "publish")
    forge.calls.insert(at, (next(iter(forge.accounts.values())), "RoundLedger", "recordRound", (record.as_tuple(),)))
    judged = forge.judge()
    assert {peer for _, peer in blamed(judged, "fork")} == set(forge.members(0))
    assert {peer for _, peer in blamed(judged, "version-twice")} == set(forge.members(0))
    assert {peer for _, peer in blamed(judged, "unjournalled")} == set(forge.members(0))


def test_an_unscored_closing_is_said_and_pays_nobody(forge: Forge) -> None:
    forge.change(
        direction=NOTHING, exponent=0, openings=(), lates=(), shown=(), numbers=tuple(None for _ in forge.members())
    )
    forge.chain()
    judged = forge.judge()
    check = next(c for c in judged.checks if c.direction is Check.UNSCORED)
    assert check.round == 3
    assert "round 3 was closed without scores" in judged.book.notes


def test_artefacts_that_nobody_has(forge: Forge) -> None:
    del forge.store[forge.transcript(1).session]
    judged = forge.judge()
    assert blamed(judged, "artefact-missing") == {(2, None)}
    assert any("round 3 is not judged" in note for note in judged.book.notes)


def test_terms_other_than_those_of_the_contracts(forge: Forge) -> None:
    assert "terms" in codes(forge.judge(terms=replace(forge.terms(), record=sha256(b"other"))))


def test_pruning_is_no_pass(forge: Forge) -> None:
    gone = {m.statement.artefact for m in forge.session(0).manifests}
    store = {a: b for a, b in forge.store.items() if a not in gone}
    judged = forge.judge(store=store, keep=2)
    assert judged.findings == ()
    assert [c.sum for c in judged.checks] == [Check.PRUNED, Check.PASSED, Check.PASSED]
    assert {p for _, p in blamed(forge.judge(store=store, keep=3), "vector-missing")} == set(forge.members(0))


def test_blocks_that_no_header_proves_are_on_the_operators_word(forge: Forge) -> None:
    unproven = replace(forge.archive(), blocks_proved=0)
    assert any("inclusion on the operator's word (0 of" in note for note in forge.judge(archive=unproven).book.notes)
    assert not any("operator's word" in note for note in forge.judge().book.notes)
