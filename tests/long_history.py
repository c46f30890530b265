"""A run directory of many rounds, made in one process: real statements, masks, scores, journals and a real chain.

The engines of the simulator play the rounds on a model of 85 parameters; everything that an audit looks at is what a
run of processes would have left: artefacts, sealed journals, emission records, and the blocks of the embedded EVM with
every contract call executed. A thousand rounds of four peers take about half a minute.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent / "node"))

import simulator as sim

from peerage import effects as fx
from peerage.audit.maths import RunMathematics
from peerage.config import DataSettings, Federation, LedgerSettings, ModelSettings, RewardSettings, ScoreSettings
from peerage.config_toml import federation_hash, settings_artefact, to_toml
from peerage.emissions.attribution import equal_reservation
from peerage.emissions.factors import Factor
from peerage.emissions.labels import Label
from peerage.emissions.record import PHASES, Labels, PhaseUse, Power, complete
from peerage.learning.learner import rows_of, validation_blob
from peerage.learning.model import build, layout, layout_hash, to_vector
from peerage.learning.scoring import integer_direction, novel, path_gradient
from peerage.rounds import standing
from peerage.rounds.aggregation import canonical
from peerage.rounds.grid import grid_of
from peerage.rounds.merging import Merging
from peerage.rounds.optimisers import optimiser_of
from peerage.rounds.settlement import decode_settlement
from peerage_crypto.digest import claim_proof, sha256
from peerage_crypto.identity import Account
from peerage_ledger import rawtx
from peerage_ledger.archive.writer import ChainWriter
from peerage_ledger.audit.journal import seal_digest
from peerage_ledger.blueprint import DeployTerms, plan
from peerage_ledger.contracts import NAMES, contract
from peerage_ledger.deployment import Deployment
from peerage_ledger.devnets import follow
from peerage_ledger.devnets.evm import EmbeddedChain
from peerage_ledger.devnets.evm_rpc import Methods
from peerage_ledger.judgement import genesis, session_terms
from peerage_ledger.records import packed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CHAIN, STAKE, START = 31337, 10**18, 1_760_000_000
FACTOR = Factor(
    country="DEU", low_mg=100_000, mid_mg=300_000, high_mg=500_000, year=2025, source="a test", label=Label.ASSUMED
)
OPERATOR = Account.from_secret(sha256(b"operator of a long history"))


class Nowhere(list):  # type: ignore[type-arg]
    """What is said on the wire is of no interest here."""

    def append(self, _: object) -> None:
        pass


class Play(sim.Simulation):
    """The simulator with the product's own model, directions and emission records."""

    def __init__(self, federation: Federation, deployment: Deployment) -> None:
        super().__init__(federation.peers, rounds=federation.rounds, seed=federation.seed, stall=60.0)
        rows = rows_of(federation, 0, "honest")
        self.net = build(rows.own.input_shape, len(rows.own.classes), federation.seed, hidden=federation.model.hidden)
        self.rows, initial = rows.validation, to_vector(self.net)
        self.public = [b for b in (canonical(initial), validation_blob(self.rows), settings_artefact(federation)) if b]
        grid, record = grid_of(federation.masking, 0), federation_hash(federation)
        validation = sha256(validation_blob(self.rows))
        terms = session_terms(record, layout_hash(layout(self.net)), sha256(canonical(initial)), validation, bytes(32))
        self.federation = replace(
            self.federation,
            registry=deployment.registry,
            round_ledger=deployment.ledger,
            vault=deployment.vault,
            genesis=record,
            terms=terms,
            ring=grid.ring,
            length=grid.length(initial.size),
        )
        scores = federation.scores
        self.rules = replace(
            self.rules,
            grid=grid,
            optimiser=optimiser_of(federation.merge),
            novelty=scores.novelty,
            cap=scores.cap,
            window=scores.window,
            pool=int(federation.rewards.pool),
        )
        self.parameters = initial.size
        self.genesis = genesis(record, initial, sha256(canonical(initial)))
        self.maths = RunMathematics(Merging(grid, self.rules.optimiser), self.net, self.rows)
        self.wire, self._directions, self._closed = Nowhere(), {}, {a: [0, START * 10**6] for a in self.hosts}
        self.train = self._drift
        for at, host in enumerate(self.hosts.values()):
            host.engine = self._engine(host.account, at)

    def carry(self, host: Any, effect: fx.Effect) -> None:
        me, life = host.account.address, host.life
        match effect:
            case fx.Score(sid, _, base, step, applied, _):
                if sid not in self._directions:
                    gbar = novel(path_gradient(self.net, base, step, self.rows), applied)
                    self._directions[sid] = integer_direction(gbar, effect.seed, self.rules.grid)
                done = fx.Scored(sid, *self._directions[sid], self._emitted(host))
                self.at(0.001, lambda: host.life == life and self.event(host, done))
            case fx.CloseEmissions():
                record = self._emitted(host)
                self.at(0.001, lambda: self.event(host, fx.EmissionsClosed(record)))
            case _:
                super().carry(host, effect)
        del me

    def _drift(self, _: sim.Simulation, host: Any, effect: fx.Train) -> np.ndarray:
        """Towards a model that classifies, more or less; what is learned matters to nobody here."""
        seed = sha256(host.name.encode(), bytes([effect.version % 251]))[:8]
        draw = np.random.default_rng(int.from_bytes(seed, "big"))
        return (effect.model * np.float32(0.995) + 0.02 * draw.normal(size=self.parameters)).astype(np.float32)

    def _emitted(self, host: Any) -> bytes:
        """The next record of a host that uses the same power all the time."""
        state = self._closed[host.account.address]
        index, began = state
        state[0], state[1] = index + 1, began + 10**6
        use = tuple(PhaseUse(phase=phase, wall_us=10**6 if phase == "train" else 0) for phase in PHASES)
        made = complete(
            peer=host.account.address,
            host_id="00" * 8,
            session_us=START * 10**6,
            index=index,
            round=host.engine.head.round + 1,
            start_us=began,
            end_us=began + 10**6,
            resolution_us=0,
            power=Power(
                milli_cores=1000, idle_mw=1000, rate_uw=1_000_000, reserved_ppm=equal_reservation(len(self.hosts))
            ),
            labels=Labels(cpu_dyn=Label.MODELLED, idle=Label.MODELLED, ram=Label.MODELLED, gpu=Label.MODELLED),
            use=use,
            factor=FACTOR,
        ).encode()
        self.archive[sha256(made)] = made
        host.holdings[sha256(made)] = made
        return sha256(made)


class InProcess:
    """The embedded chain, asked without a socket."""

    url = "memory:"

    def __init__(self, methods: Methods) -> None:
        self.methods = methods

    def call(self, method: str, *parameters: object) -> Any:
        return self.methods.answer(method, parameters)

    def batch(self, calls: list[tuple[str, tuple[object, ...]]]) -> list[Any]:
        return [self.call(method, *parameters) for method, parameters in calls]


@dataclass
class Chain:
    """Signed transactions into blocks, one each."""

    evm: EmbeddedChain
    nonces: dict[bytes, int] = field(default_factory=dict)
    start: int = START  # when its first block was made

    def send(self, who: Account, to: bytes | None, data: bytes, gas: int = 8_000_000) -> None:
        nonce = self.nonces.get(who.address, 0)
        self.nonces[who.address] = nonce + 1
        raw = rawtx.sign(who, chain_id=CHAIN, nonce=nonce, to=to, data=data, gas=gas, max_fee=10**10, priority_fee=0)
        mined = self.evm.mine(raw, self.start + len(self.evm.blocks))
        assert mined.status == 1, (to, data[:4].hex())


@dataclass(frozen=True)
class Planned:
    """Where the contracts will stand, before there is a chain."""

    deployment: Deployment
    arguments: Mapping[str, tuple[object, ...]]


def planned(federation: Federation) -> Planned:
    pool, scores = int(federation.rewards.pool), federation.scores
    terms = DeployTerms(
        min_stake=STAKE, pool=pool, planned_rounds=federation.rounds, cap=scores.cap, window=scores.window
    )
    made = plan(OPERATOR.address, 0, federation_hash(federation), terms)
    places = {name: made.at[name] for name in made.names()}
    hashes = {name: contract(name).code_hash(contract(name).runtime) for name in places}
    deployment = Deployment(CHAIN, "memory:", federation_hash(federation), places, 1, STAKE, pool, hashes)
    return Planned(deployment, {name: made.arguments(name) for name in made.names()})


def chain_of(play: Play, plan_: Planned, pool: int) -> Chain:
    """All that an honest run writes on its chain: contracts, stakes, records, one reward root, claims."""
    accounts = [host.account for host in play.hosts.values()]
    funds = {a.address: 1000 * 10**18 for a in [OPERATOR, *accounts]}
    chain, at = Chain(EmbeddedChain(CHAIN, START, funds)), plan_.deployment.places
    token, vault = contract("PeerageToken"), contract("RewardVault")
    for name in NAMES:
        chain.send(OPERATOR, None, contract(name).creation(*plan_.arguments[name]))
    for peer in accounts:
        chain.send(OPERATOR, at["PeerageToken"], token.call("transfer", peer.address, STAKE))
    chain.send(OPERATOR, at["PeerageToken"], token.call("approve", at["RewardVault"], pool))
    chain.send(OPERATOR, at["RewardVault"], vault.call("fund", pool))
    for peer in accounts:
        chain.send(peer, at["PeerageToken"], token.call("approve", at["PeerRegistry"], STAKE))
        register = contract("PeerRegistry").call("register", sha256(peer.address), "tcp://127.0.0.1:5000", STAKE)
        chain.send(peer, at["PeerRegistry"], register)
    first = next(iter(play.hosts.values()))
    for judged in first.engine.history:
        initiator = play.hosts[judged.proven.roster.plan.initiator].account
        chain.send(initiator, at["RoundLedger"], contract("RoundLedger").call("recordRound", judged.record.as_tuple()))
    _pay(chain, play, accounts, at)
    return chain


def _pay(chain: Chain, play: Play, accounts: list[Account], at: Mapping[str, bytes]) -> None:
    first = next(iter(play.hosts.values()))
    named = bytes.fromhex(next(e.fields["settlement"] for e in first.journal if e.kind == "settlement"))
    document = decode_settlement(play.archive[named])
    root, _, totals = play.published[0]
    assert {d.account: int(d.cumulative) for d in document.dues} == totals
    steps = first.engine.settlement.books.steps
    signed = [a.sign(root.digest(CHAIN, at["RewardVault"])) for a in sorted(accounts, key=lambda a: a.address)]
    arguments = (root.epoch, root.root, root.total, root.emission_root, list(steps.records), list(steps.states))
    vault = contract("RewardVault")
    chain.send(accounts[0], at["RewardVault"], vault.call("publish", *arguments, packed(signed)), gas=25_000_000)
    proofs = [claim_proof(totals, a) for a in totals]
    chain.send(accounts[1], at["RewardVault"], vault.call("claimMany", list(totals), list(totals.values()), proofs))


def journal_of(host: Any, rounds: int) -> bytes:
    """A peer's journal as its adapter writes it: sealed after each closed round and at the end."""
    raw: list[bytes] = []
    previous = bytes(32)

    def write(kind: str, round_: int, fields: Mapping[str, object]) -> None:
        nonlocal previous
        head = {"schema": 1, "seq": len(raw), "prev": previous.hex(), "peer": "0x" + host.account.address.hex()}
        raw.append(json.dumps({**head, "round": round_, "kind": kind, **fields}, separators=(",", ":")).encode())
        previous = sha256(raw[-1])

    for entry in host.journal:
        write(entry.kind, entry.round, entry.fields)
        if entry.kind == "closed":
            write("seal", entry.round, {"signature": host.account.sign(seal_digest(previous, end=False)).hex()})
    write("seal", rounds, {"signature": host.account.sign(seal_digest(previous, end=True)).hex(), "end": True})
    return b"\n".join(raw) + b"\n"


@dataclass(frozen=True)
class History:
    """A finished run directory, and the keys of everybody in it (for forgers)."""

    path: Path
    federation: Federation
    accounts: Mapping[str, Account]


def settings(rounds: int, peers: int, seed: int) -> Federation:
    return Federation(
        name="long history",
        peers=peers,
        rounds=rounds,
        seed=seed,
        data=DataSettings(partition="iid"),
        model=ModelSettings(hidden=1),
        scores=ScoreSettings(),
        rewards=RewardSettings(),
        ledger=LedgerSettings(engine="embedded"),
    )


@contextmanager
def quickly() -> Iterator[None]:
    """One thread, and no peer counts after each round what it has earned in all rounds so far."""
    threads, told = torch.get_num_threads(), standing._progress
    torch.set_num_threads(1)
    standing._progress = lambda _state, _judged: None
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        standing._progress = told


def make_history(folder: Path, *, rounds: int = 1000, peers: int = 4, seed: int = 7) -> History:
    """Play, record, write."""
    federation = settings(rounds, peers, seed)
    plan_ = planned(federation)
    play = Play(federation, plan_.deployment)
    with quickly():
        play.start().run(until=1e9)
    assert all(host.finished for host in play.hosts.values())
    chain = chain_of(play, plan_, int(federation.rewards.pool))
    folder.mkdir(parents=True)
    (folder / "federation.toml").write_text(to_toml(federation))
    plan_.deployment.write(folder / "deployment.json")
    (folder / "store").mkdir()
    for blob in (*play.public, *play.archive.values()):
        (folder / "store" / sha256(blob).hex()).write_bytes(blob)
    for host in play.hosts.values():
        (folder / "peers" / host.name).mkdir(parents=True)
        (folder / "peers" / host.name / "journal.jsonl").write_bytes(journal_of(host, rounds))
    _write_chain(folder / "chain" / "chain.jsonl", plan_.deployment, chain)
    return History(folder, federation, {host.name: host.account for host in play.hosts.values()})


def _write_chain(path: Path, deployment: Deployment, chain: Chain) -> None:
    rpc = InProcess(Methods(chain.evm, None))
    writer = ChainWriter(deployment, path)
    for name, address in deployment.addresses().items():
        writer.code(name, address, chain.evm.code(address))
    last = len(chain.evm.blocks) - 1
    while writer.next <= last:
        for block in follow.blocks(rpc, writer.next, last, receipts=True):  # type: ignore[arg-type]
            writer.block(block)
    writer.seal()
