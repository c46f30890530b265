"""`gas` and `gas-growth`: what a federation's transactions cost, on a real chain, and what becomes of it with size."""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from benchmarks.result import Result, at_most, say

if TYPE_CHECKING:
    import argparse

    from peerage_crypto.identity import Account
    from peerage_ledger.deploy import Deployer
    from peerage_ledger.deployment import Deployment

SNAPSHOT = Path(__file__).parents[2] / "contracts" / "snapshots" / "Gas.json"
RING = 256  # slots of RoundLedger: the first lap pays for storage, later ones overwrite it
CLAIMS_EVERY = 100
BATCHES = (2, 4, 8)  # rounds in one transaction
TRANSACTION = 21_000  # what any design pays in which each peer sends a transaction a round
ETHER = 10**18


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("gas", help="gas per peer and round, claims every 100 rounds")
    parser.add_argument("--peers", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=RING + 24, help=f"more than {RING} for the steady state")
    parser.add_argument("--engine", default="auto", help="auto, anvil, ganache or embedded")
    parser.set_defaults(measure=gas)
    parser = commands.add_parser("gas-growth", help="gas by peers, by rounds in a transaction and by history; in money")
    parser.add_argument("--peers", type=int, nargs="+", default=[4, 8, 16, 32, 64])
    parser.add_argument("--history", type=int, default=800, help="rounds, to see whether later ones cost more")
    parser.add_argument("--engine", default="auto", help="auto, anvil, ganache or embedded")
    parser.add_argument("--ether", type=float, default=3000.0, help="a stated price of one ether, in dollars")
    parser.set_defaults(measure=growth)


@dataclass(frozen=True)
class Cost:
    """Gas of one federation's transactions. `records` are whole transactions of one round each."""

    engine: str
    peers: int
    records: list[int]
    batched: dict[int, float]  # rounds in a transaction -> gas a round, steady
    joining: float
    set_up: int
    first: dict[str, int]
    later: dict[str, int]

    @property
    def steady(self) -> float:
        return fmean(self.records[RING:] or self.records[1:])

    def each(self, record_gas: float, paying: dict[str, int]) -> float:
        """Per peer and round, when everybody is paid every CLAIMS_EVERY rounds."""
        return (CLAIMS_EVERY * record_gas + sum(paying.values())) / (CLAIMS_EVERY * self.peers)

    def by_batch(self) -> dict[int, float]:
        return {size: self.each(gas, self.later) for size, gas in {1: self.steady, **self.batched}.items()}


def measure(peers: int, rounds: int, engine: str) -> Cost:
    from peerage_crypto.identity import Account
    from peerage_ledger.blueprint import DeployTerms
    from peerage_ledger.deploy import Deployer, deploy
    from peerage_ledger.devnets.devnet import start
    from peerage_ledger.rpc import connect

    accounts = sorted((Account.from_secret(digest("account", n)) for n in range(peers)), key=lambda a: a.address)
    owner = Account.from_secret(digest("owner", 0))
    funds = {one.address: 100 * ETHER for one in [owner, *accounts]}
    with tempfile.TemporaryDirectory() as folder, start(engine, Path(folder) / "chain", accounts=funds) as net:
        say(f"gas: {peers} peers and {rounds} records on {net.engine}")
        stakes = {one.address: ETHER for one in accounts}
        place, set_up = deploy(net.rpc_url, owner, digest("federation", 0), DeployTerms(pool=10**21), peers=stakes)
        rpc = connect(net.rpc_url, 31337)
        senders = [Deployer(rpc, account, 31337) for account in accounts]
        register(senders, place)
        joining = [sum(one.gas_used for one in sender.sent) for sender in senders]
        story = Story(senders, place)
        records: list[int] = []
        paid: list[dict[str, int]] = []
        while len(records) < rounds:
            records.append(story.record(1))
            if len(paid) < 2 and len(story.names) >= CLAIMS_EVERY * (len(paid) + 1):
                paid.append(pay(senders, accounts, place, story.names, len(paid) + 1))
        batched = {size: fmean(story.record(size) / size for _ in range(4)) for size in BATCHES}
        while len(paid) < 2:  # the vault pays what the ledger knows: rounds that are needed for that and not counted
            while len(story.names) < CLAIMS_EVERY * (len(paid) + 1):
                story.record(min(50, CLAIMS_EVERY * (len(paid) + 1) - len(story.names)))
            paid.append(pay(senders, accounts, place, story.names, len(paid) + 1))
        first, later = paid
    spent = sum(one.gas_used for one in set_up)
    return Cost(net.engine, peers, records, batched, fmean(joining), spent, first, later)


def gas(args: argparse.Namespace) -> Result:
    cost = measure(args.peers, args.rounds, args.engine)
    by_batch = cost.by_batch()
    ours = {
        "gas_per_peer_round": by_batch[1],
        **{f"gas_per_peer_round_{size}_in_a_transaction": by_batch[size] for size in BATCHES},
        "gas_per_peer_round_first_hundred": cost.each(fmean(cost.records[:CLAIMS_EVERY]), cost.first),
        "record_steady": cost.steady,
        "record_first_lap": fmean(cost.records[1:RING]),
        "publish": cost.later["publish"],
        "claim_many": cost.later["claim_many"],
        "claim_many_first": cost.first["claim_many"],
        "register_with_allowance": cost.joining,
        "deploy_all": cost.set_up,
    }
    published = {"2CP (its paper's runs)": [120_000, 825_000], "BlockFLow, n = 16 (its paper)": 8_230_000}
    snapshot = json.loads(SNAPSHOT.read_text()) if SNAPSHOT.exists() else {}
    return Result(
        "gas",
        {
            "peers": args.peers,
            "rounds": args.rounds,
            "engine": cost.engine,
            "claims_every": CLAIMS_EVERY,
            "steady": args.rounds > RING,
        },
        ours,
        {"one transaction per peer and round, at least": TRANSACTION, "published": published, "snapshot": snapshot},
        {
            "one transaction each / ours": TRANSACTION / by_batch[1],
            "ours / one transaction each": by_batch[1] / TRANSACTION,
            "one transaction each / ours, four rounds in a transaction": TRANSACTION / by_batch[4],
        },
        (
            at_most("gas per peer and round, four rounds in a transaction", by_batch[4], 3000),
            at_most("gas per peer and round, each round in its own", by_batch[1], 3000),
        ),
        () if args.rounds > RING else (f"Up to {RING} rounds every record pays for new storage: no steady state.",),
    )


def growth(args: argparse.Namespace) -> Result:
    """The record does not know how many peers there are; publishing and paying do."""
    costs = {peers: measure(peers, 12, args.engine) for peers in args.peers}
    long = measure(16, args.history, args.engine)
    steady = {size: gas for size, gas in {1: long.steady, **long.batched}.items() if size in {1, 4}}
    table = {peers: {size: cost.each(gas, cost.later) for size, gas in steady.items()} for peers, cost in costs.items()}
    lap = RING * 2
    halves = {"first_lap": fmean(long.records[1:RING]), "second_lap": fmean(long.records[RING:lap])}
    if args.history > lap:
        halves["later"] = fmean(long.records[lap:])
    whole = table[16][4] * 16 if 16 in table else 0.0  # a federation of sixteen, a round
    money = {
        f"{what}, {gwei:g} gwei": whole * gwei * 1e-9 * args.ether
        for what, gwei in (("L1", 1.0), ("L1", 10.0), ("L1", 50.0), ("L2", 0.01), ("L2", 0.1))
    }
    return Result(
        "gas-growth",
        {"engine": long.engine, "history": args.history, "claims_every": CLAIMS_EVERY, "dollars_per_ether": args.ether},
        {
            "gas_per_peer_round": {
                str(n): {f"{s} in a transaction": g for s, g in t.items()} for n, t in table.items()
            },
            "record_by_history": halves,
            "dollars_a_round_of_sixteen_peers": money,
            "dollars_a_round_and_peer": {name: value / 16 for name, value in money.items()},
        },
        {"one transaction per peer and round, at least": TRANSACTION},
        {f"one transaction each / ours, n = {n}": TRANSACTION / t[4] for n, t in table.items()},
        notes=("Prices of gas and ether are stated, not measured; an L2 charges for its data besides.",),
    )


def digest(what: str, number: int) -> bytes:
    return hashlib.sha256(f"{what}/{number}".encode()).digest()


def register(senders: list[Deployer], place: Deployment) -> None:
    from peerage_ledger.contracts import contract

    for number, sender in enumerate(senders):
        allow = contract("PeerageToken").call("approve", place.registry, ETHER)
        join = contract("PeerRegistry").call(
            "register", digest("key", number), f"tcp://127.0.0.1:{40000 + number}", ETHER
        )
        sender.send_all([("allowance", place.token, allow)])
        sender.send_all([("register", place.registry, join)])


class Story:
    """Rounds one after the other, peers taking turns; roots are random, so no byte of them is cheap."""

    def __init__(self, senders: list[Deployer], place: Deployment) -> None:
        self._senders, self._place, self._number, self._parent = senders, place, 0, place.federation
        self.names: list[bytes] = []  # of all records so far

    def record(self, count: int) -> int:
        """Gas of the transaction that records the next `count` rounds."""
        from peerage_ledger.contracts import contract

        made = [self._next() for _ in range(count)]
        ledger = contract("RoundLedger")
        call = ledger.call("recordRound", made[0]) if count == 1 else ledger.call("recordRounds", made)
        sender = self._senders[self._number % len(self._senders)]
        sender.send_all([("record", self._place.ledger, call)])
        return sender.sent[-1].gas_used

    def _next(self) -> tuple[object, ...]:
        from peerage_ledger.records import RoundRecord

        self._number += 1
        number = self._number
        roots = [digest(f"root {place}", number) for place in range(8)]
        made = RoundRecord(number, roots[0], (number - 1,), (self._parent,), *roots[1:], members=len(self._senders))
        self._parent = made.record_hash()
        self.names.append(self._parent)
        return made.as_tuple()


def pay(
    senders: list[Deployer], accounts: list[Account], place: Deployment, names: list[bytes], epoch: int
) -> dict[str, int]:
    """Gas of publishing a root with a quorum's signatures and of paying everybody in one transaction."""
    from peerage_crypto.digest import claim_proof, claim_root
    from peerage_ledger.contracts import contract
    from peerage_ledger.records import RewardRoot, Steps, packed

    totals = {one.address: epoch * 10**18 + number for number, one in enumerate(accounts)}
    line = names[CLAIMS_EVERY * (epoch - 1) : CLAIMS_EVERY * epoch]
    steps = Steps(tuple(line), tuple(digest(f"state {epoch}", i) for i in range(CLAIMS_EVERY)))
    root = RewardRoot(epoch, claim_root(totals), sum(totals.values()), digest("emissions", epoch), steps.digest())
    signed = root.digest(place.chain_id, place.vault)
    signatures = [one.sign(signed) for one in accounts[: quorum(len(accounts))]]
    vault = contract("RewardVault")
    publish = vault.call(
        "publish",
        epoch,
        root.root,
        root.total,
        root.emission_root,
        list(steps.records),
        list(steps.states),
        packed(signatures),
    )
    proofs = [claim_proof(totals, account) for account in totals]
    claim = vault.call("claimMany", list(totals), list(totals.values()), proofs)
    senders[0].send_all([("publish", place.vault, publish)])
    senders[0].send_all([("claimMany", place.vault, claim)])
    return {"publish": senders[0].sent[-2].gas_used, "claim_many": senders[0].sent[-1].gas_used}


def quorum(peers: int) -> int:
    """As RewardVault counts it."""
    return min(peers, 3) if peers <= 4 else -(-(peers + peers // 4) // 2) + 1
