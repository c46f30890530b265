"""Devnets and federations for the ledger's tests: the same story on each engine."""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from peerage_crypto.identity import Account
from peerage_ledger.blueprint import DeployTerms
from peerage_ledger.chain import ChainLedger
from peerage_ledger.deploy import deploy
from peerage_ledger.deployment import Deployment
from peerage_ledger.devnets import devnet, engines
from peerage_ledger.records import RoundRecord

ETHER = 10**18
FEDERATION = b"\x01" * 32


def digest(*what: object) -> bytes:
    return hashlib.sha256(repr(what).encode()).digest()


def account(name: str) -> Account:
    return Account.from_secret(digest("account", name))


def record(number: int, parent: RoundRecord | None, name: str = "") -> RoundRecord:
    return RoundRecord(
        round=number,
        sid=digest("sid", number, name),
        parent_rounds=(0 if parent is None else parent.round,),
        parents=(FEDERATION if parent is None else parent.record_hash(),),
        aggregate=digest("model", number),
        join_root=digest("join"),
        masked_root=digest("masked"),
        ack_root=digest("ack"),
        score_root=digest("score"),
        emission_root=digest("emission"),
        transcript=digest("transcript"),
        members=3,
    )


def lineage(count: int) -> list[RoundRecord]:
    made: list[RoundRecord] = []
    for number in range(1, count + 1):
        made.append(record(number, made[-1] if made else None))
    return made


@dataclass
class Federation:
    devnet: devnet.Devnet
    deployment: Deployment
    operator: Account
    peers: list[Account]
    folder: Path
    open_ledgers: list[ChainLedger] = field(default_factory=list)

    def ledger(self, peer: int, **options: object) -> ChainLedger:
        path = self.folder / f"outbox-{peer}.jsonl"
        made = ChainLedger(self.deployment, self.peers[peer], path, **options)
        self.open_ledgers.append(made)
        return made

    def ledgers(self) -> list[ChainLedger]:
        """One for each peer, all registered."""
        made = [self.ledger(i) for i in range(len(self.peers))]
        for i, one in enumerate(made):
            one.register(digest("key", i), f"tcp://127.0.0.1:{5000 + i}", ETHER)
        assert all(one.wait_for(lambda x: len(x.registrations()) == len(self.peers), 20) for one in made)
        assert all(one.settle(20) for one in made)
        return made

    def close(self) -> None:
        for one in self.open_ledgers:
            one.close()
        self.devnet.stop()


@pytest.fixture(params=list(engines.Engine), ids=str)
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine in turn; without Node.js the real ones are skipped, but not where CI demands them."""
    kind = engines.Engine(request.param)
    if engines.find(kind) is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{kind} is not installed: run scripts/test once with Node.js")
        pytest.skip(f"{kind} is not installed: run scripts/test once with Node.js")
    return kind.value


@pytest.fixture
def start_federation(tmp_path: Path):
    """A factory: engine and number of peers to a Federation, closed at the end whatever happens."""
    made: list[Federation] = []

    def start(engine: str, peers: int = 3, revive_seconds: float | None = 1.0) -> Federation:
        operator, members = account("operator"), [account(f"peer-{i}") for i in range(peers)]
        funds = {a.address: 100 * ETHER for a in [operator, *members]}
        chain = devnet.start(engine, tmp_path / "chain", accounts=funds, revive_seconds=revive_seconds)
        try:
            stakes = {m.address: ETHER for m in members}
            deployment, _ = deploy(chain.rpc_url, operator, FEDERATION, DeployTerms(pool=1000 * ETHER), peers=stakes)
            chain.keep()
        except BaseException:
            chain.stop()
            raise
        made.append(Federation(chain, deployment, operator, members, tmp_path))
        return made[-1]

    yield start
    for federation in made:
        federation.close()


@pytest.fixture
def story():
    """The words of these tests: digest, account, record, lineage."""
    return SimpleNamespace(digest=digest, account=account, record=record, lineage=lineage)
