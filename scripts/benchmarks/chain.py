"""`gas`: what a federation's transactions cost, on a real chain."""

from __future__ import annotations

import hashlib
import json
import tempfile
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
TRANSACTION = 21_000  # what any design pays in which each peer sends a transaction a round
ETHER = 10**18


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("gas", help="gas per peer and round, claims every 100 rounds")
    parser.add_argument("--peers", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=RING + 20, help=f"more than {RING} for the steady state")
    parser.add_argument("--engine", default="auto", help="auto, anvil, ganache or embedded")
    parser.set_defaults(measure=gas)


def gas(args: argparse.Namespace) -> Result:
    from peerage_crypto.identity import Account
    from peerage_ledger.deploy import Deployer, deploy
    from peerage_ledger.devnets.devnet import start
    from peerage_ledger.rpc import connect

    accounts = sorted((Account.from_secret(digest("account", n)) for n in range(args.peers)), key=lambda a: a.address)
    owner = Account.from_secret(digest("owner", 0))
    funds = {one.address: 100 * ETHER for one in [owner, *accounts]}
    with tempfile.TemporaryDirectory() as folder, start(args.engine, Path(folder) / "chain", accounts=funds) as net:
        say(f"gas: {args.peers} peers and {args.rounds} records on {net.engine}")
        stakes = {one.address: ETHER for one in accounts}
        place, set_up = deploy(net.rpc_url, owner, digest("federation", 0), peers=stakes, pool=10**21)
        rpc = connect(net.rpc_url, 31337)
        senders = [Deployer(rpc, account, 31337) for account in accounts]
        register(senders, place)
        joining = [sum(one.gas_used for one in sender.sent) for sender in senders]
        records = record(senders, place, args.rounds)
        first, later = (pay(senders, accounts, place, epoch) for epoch in (1, 2))
    steady = records[RING:] or records[1:]

    def each(record_gas: float, paying: dict[str, int]) -> float:
        return (CLAIMS_EVERY * record_gas + sum(paying.values())) / (CLAIMS_EVERY * args.peers)

    ours = {
        "gas_per_peer_round": each(fmean(steady), later),
        "gas_per_peer_round_first_hundred": each(fmean(records[:CLAIMS_EVERY]), first),
        "record_steady": fmean(steady),
        "record_first_lap": fmean(records[1:RING]),
        "publish": later["publish"],
        "claim_many": later["claim_many"],
        "claim_many_first": first["claim_many"],
        "register_with_allowance": fmean(joining),
        "deploy_all": sum(one.gas_used for one in set_up),
    }
    published = {"2CP (its paper's runs)": [120_000, 825_000], "BlockFLow, n = 16 (its paper)": 8_230_000}
    snapshot = json.loads(SNAPSHOT.read_text()) if SNAPSHOT.exists() else {}
    return Result(
        "gas",
        {
            "peers": args.peers,
            "rounds": args.rounds,
            "engine": net.engine,
            "claims_every": CLAIMS_EVERY,
            "steady": args.rounds > RING,
        },
        ours,
        {"one transaction per peer and round, at least": TRANSACTION, "published": published, "snapshot": snapshot},
        {
            "one transaction each / ours": TRANSACTION / ours["gas_per_peer_round"],
            "ours / one transaction each": ours["gas_per_peer_round"] / TRANSACTION,
        },
        (at_most("gas per peer and round, claims every 100 rounds", ours["gas_per_peer_round"], 3000),),
        () if args.rounds > RING else (f"Up to {RING} rounds every record pays for new storage: no steady state.",),
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


def record(senders: list[Deployer], place: Deployment, rounds: int) -> list[int]:
    """Gas of each round's record, peers taking turns; roots are random, so no byte of them is cheap."""
    from peerage_ledger.contracts import contract
    from peerage_ledger.records import RoundRecord

    used, parent = [], place.federation
    for number in range(1, rounds + 1):
        roots = [digest(f"root {place_}", number) for place_ in range(8)]
        made = RoundRecord(number, roots[0], (number - 1,), (parent,), *roots[1:], members=len(senders))
        sender = senders[number % len(senders)]
        sender.send_all([("record", place.ledger, contract("RoundLedger").call("recordRound", made.as_tuple()))])
        used.append(sender.sent[-1].gas_used)
        parent = made.record_hash()
    return used


def pay(senders: list[Deployer], accounts: list[Account], place: Deployment, epoch: int) -> dict[str, int]:
    """Gas of publishing a root with a quorum's signatures and of paying everybody in one transaction."""
    from peerage_crypto.digest import claim_proof, claim_root
    from peerage_ledger.contracts import contract
    from peerage_ledger.records import RewardRoot

    totals = {one.address: epoch * 10**18 + number for number, one in enumerate(accounts)}
    root = RewardRoot(epoch, claim_root(totals), sum(totals.values()), digest("emissions", epoch))
    signed = root.digest(place.chain_id, place.vault)
    signatures = [one.sign(signed) for one in accounts[: quorum(len(accounts))]]
    vault = contract("RewardVault")
    publish = vault.call("publish", epoch, root.root, root.total, root.emission_root, signatures)
    proofs = [claim_proof(totals, account) for account in totals]
    claim = vault.call("claimMany", list(totals), list(totals.values()), proofs)
    senders[0].send_all([("publish", place.vault, publish)])
    senders[0].send_all([("claimMany", place.vault, claim)])
    return {"publish": senders[0].sent[-2].gas_used, "claim_many": senders[0].sent[-1].gas_used}


def quorum(peers: int) -> int:
    """As RewardVault counts it."""
    return min(peers, 3) if peers <= 4 else -(-(peers + peers // 4) // 2) + 1
