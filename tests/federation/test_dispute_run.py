"""Frauds planted with the peers' real keys in a real federation, settled by `peerage dispute` alone, to the last unit.

A chain of its own outlives the run, as a public one would. The challenger is the account that deployed: it is no peer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from launched import command, require, run, toml, wait_until

from peerage.keys import create_with_random_password, load_keys, password_file, read_password
from peerage_crypto import equivocation
from peerage_crypto.digest import claim_root, sha256
from peerage_crypto.statements import Vote, sign, signing_domain
from peerage_ledger.contracts import contract
from peerage_ledger.deploy import Deployer
from peerage_ledger.deployment import Deployment
from peerage_ledger.devnets import devnet
from peerage_ledger.records import RewardRoot, RoundRecord, Steps, packed
from peerage_ledger.rpc import Rpc, connect

if TYPE_CHECKING:
    from pathlib import Path

    from peerage_crypto.identity import Account

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]
PEERS, ROUNDS = 4, 2
DELAY, ANSWER, BOND = 500, 60, 7 * 10**17
STAKE = 10**18
NAMES = [f"peer-0{n + 1}" for n in range(PEERS)]


@dataclass
class Story:
    """A finished run, its chain still there, and the challenger's keystore."""

    folder: Path
    out: Path
    place: Deployment
    rpc: Rpc
    challenger: Account
    secrets: Path

    def ask(self, name: str, function: str, *arguments: object) -> Any:
        call = {
            "to": "0x" + self.place.places[name].hex(),
            "data": "0x" + contract(name).call(function, *arguments).hex(),
        }
        return contract(name).result(function, bytes.fromhex(self.rpc.call("eth_call", call, "latest")[2:]))[0]

    def send(self, who: Account, name: str, function: str, *arguments: object) -> None:
        call = contract(name).call(function, *arguments)
        Deployer(self.rpc, who, self.place.chain_id).send_all([(function, self.place.places[name], call)])

    def peer(self, name: str) -> Account:
        secrets = self.out / "secrets"
        return load_keys(secrets, name, read_password(password_file(secrets, name))).account

    def stake(self, name: str) -> int:
        address = self.peer(name).address
        data = contract("PeerRegistry").call("peerOf", address)
        call = {"to": "0x" + self.place.registry.hex(), "data": "0x" + data.hex()}
        return contract("PeerRegistry").result("peerOf", bytes.fromhex(self.rpc.call("eth_call", call, "latest")[2:]))[
            1
        ]

    def purse(self) -> int:
        return self.ask("PeerageToken", "balanceOf", self.challenger.address)

    def pool(self) -> int:
        return self.ask("RewardVault", "funded")

    def later(self, seconds: int) -> None:
        """A little more than that: the blocks of a burst run ahead of the clock."""
        self.rpc.call("evm_increaseTime", seconds + 30)
        self.rpc.call("evm_mine")

    def dispute(self, *more: str) -> tuple[int, dict[str, Any]]:
        """`peerage dispute --json` from afar, with the challenger's keystore."""
        where = ["--deployment", self.out / "deployment.json", "--rpc", self.place.rpc]
        where += ["--store", (self.out / "store").as_uri(), "--settings", self.out / "federation.toml"]
        keys = ["--keystore", self.secrets / "challenger.json", "--password-file", self.secrets / "challenger.password"]
        done = command("dispute", *where, *keys, "--json", *more, folder=self.folder)
        assert done.returncode in {0, 1}, done.stderr
        return done.returncode, json.loads(done.stdout)

    def audit(self) -> dict[str, Any]:
        done = command("audit", self.out, "--no-cache", "--json", folder=self.folder)
        assert done.returncode in {0, 1}, done.stderr
        return json.loads(done.stdout)

    def records(self) -> list[tuple[bytes, RoundRecord]]:
        ledger = contract("RoundLedger")
        query = {
            "address": "0x" + self.place.ledger.hex(),
            "fromBlock": hex(self.place.start_block),
            "toBlock": "latest",
            "topics": ["0x" + ledger.topic("RoundRecorded").hex()],
        }
        told = [
            ledger.decode_event([bytes.fromhex(t[2:]) for t in log["topics"]], bytes.fromhex(log["data"][2:])).values
            for log in self.rpc.call("eth_getLogs", query)
        ]
        return [(v["record"], RoundRecord(*v["data"])) for v in told]

    def settled(self, *codes: str) -> list[str]:
        """`peerage audit` from afar: nothing is left, and what was decided stands there; the events' names."""
        where = ["--deployment", self.out / "deployment.json", "--rpc", self.place.rpc]
        where += ["--store", (self.out / "store").as_uri()]
        done = command("audit", *where, "--json", folder=self.folder)
        told = json.loads(done.stdout)
        assert (done.returncode, told["findings"], told["decidable"]) == (0, [], [])
        assert [line["finding"]["code"] for line in told["settled"]] == list(codes)
        return [line["event"] for line in told["decided"]]


def states(told: dict[str, Any]) -> list[tuple[str, str]]:
    return [(line["fault"], line["state"]) for line in told["disputes"]]


def events(told: dict[str, Any]) -> list[str]:
    return [line["event"] for line in told["decided"]]


@pytest.fixture
def story(engine: str, tmp_path: Path):
    """Trains to the end; a question that a stranger asks while the peers wait for their pay is answered by them."""
    require(engine)
    secrets, out = tmp_path / "mine", tmp_path / "run"
    keys = create_with_random_password(secrets, "challenger")
    with devnet.start(engine, tmp_path / "chain", accounts={keys.account.address: 10**22}) as chain:
        ledger = {"engine": chain.rpc_url, "activation_delay": DELAY, "answer_seconds": ANSWER, "bond": str(BOND)}
        settings = toml(tmp_path / "federation.toml", {"peers": PEERS, "rounds": ROUNDS, "ledger": ledger})
        password = read_password(password_file(secrets, "challenger"))
        paid = {"PEERAGE_KEYSTORE": str(secrets / "challenger.json"), "PEERAGE_PASSWORD": password}
        arguments: list[object] = ["--out", out, "--country", "DEU", settings]
        with run(arguments, tmp_path, **paid) as live:
            wait_until(lambda: (out / "deployment.json").exists() or live.process.poll(), 60, "the contracts")
            assert live.process.poll() is None, live.said
            place = Deployment.read(out / "deployment.json")
            told = Story(tmp_path, out, place, connect(place.rpc, place.chain_id), keys.account, secrets)
            wait_until(lambda: told.ask("RewardVault", "published") == 1 or live.process.poll(), 120, "the reward root")
            name, record = told.records()[0]
            told.send(keys.account, "PeerageToken", "approve", place.round_arbiter, BOND)
            told.send(keys.account, "RoundArbiter", "challengeAcknowledgements", record.as_tuple())
            question = told.ask("RoundArbiter", "acknowledgementsQuestion", name)
            wait_until(
                lambda: told.ask("RoundArbiter", "challengeOf", question)[3] or live.process.poll(), 60, "an answer"
            )
            told.later(DELAY)
            assert live.end() == 0, live.said
        yield told


def test_honest_peers_answer_by_themselves_and_frauds_are_settled_by_commands(story: Story) -> None:
    honest(story)
    two_votes(story)
    wrong_pay_and_nobodys_round(story)
    griefing(story)


def honest(story: Story) -> None:
    """The griefing question cost its bond, nobody anything else; there is nothing to dispute and nothing to find."""
    assert not any(story.ask("RoundArbiter", "voided", name) for name, _ in story.records())
    assert [story.stake(name) for name in NAMES] == [STAKE] * PEERS
    assert story.pool() == story.place.pool + BOND
    assert (audit := story.audit())["ok"], audit["findings"]
    code, told = story.dispute()
    assert (code, told["disputes"], told["questions"], told["undecided"]) == (0, [], [], [])
    assert [line["event"] for line in told["before"]] == ["QuestionAsked", "QuestionAnswered"]


def two_votes(story: Story) -> None:
    """F1: the evidence that a witness keeps."""
    liar, sid = story.peer("peer-04"), story.records()[0][1].sid
    domain = signing_domain(story.place.chain_id, story.place.ledger)
    one, other = (sign(Vote(sid, sha256(text)), liar, domain) for text in (b"one", b"other"))
    blob = equivocation.encode(equivocation.evidence_of(domain, one, other))
    (story.out / "store" / sha256(blob).hex()).write_bytes(blob)
    before = story.audit()
    assert {finding["code"] for finding in before["findings"]} == {"equivocation"}
    assert [line["fault"] for line in before["decidable"]] == ["F1"]
    code, told = story.dispute()
    assert (code, states(told)) == (1, [("F1", "open")])
    assert (told["disputes"][0]["loses"], told["disputes"][0]["gets"]) == (str(STAKE), str(STAKE // 10))
    purse, pool = story.purse(), story.pool()
    code, told = story.dispute("--file")
    assert (code, events(told)) == (1, ["PeerConvicted", "PeerSlashed"])
    assert story.stake("peer-04") == 0
    assert (story.purse(), story.pool()) == (purse + STAKE // 10, pool + STAKE - STAKE // 10)
    code, told = story.dispute("--file")
    assert (code, told["disputes"], told["decided"]) == (0, [], [])
    assert story.settled("equivocation")[-2:] == ["PeerConvicted", "PeerSlashed"]
    assert "PeerConvicted" in [line["event"] for line in told["before"]]


def wrong_pay_and_nobodys_round(story: Story) -> None:
    """F5 and F6: the three that are left record a round that never was and sign pay for it."""
    last, _ = story.records()[-1]
    poster, signers = story.peer("peer-03"), [story.peer(name) for name in NAMES[:3]]
    nothing = bytes(32)
    made_up = [sha256(text) for text in (b"sid", b"model", b"joins", b"masked", b"acks", b"transcript")]
    sid, model, joins, masked, acks, transcript = made_up
    fake = RoundRecord(3, sid, (2,), (last,), model, joins, masked, acks, nothing, nothing, transcript, 4)
    story.send(poster, "RoundLedger", "recordRound", fake.as_tuple())
    steps = Steps((fake.record_hash(),), (sha256(b"a state of our own"),))
    due = {poster.address: story.ask("RewardVault", "funded")}
    root = RewardRoot(2, claim_root(due), sum(due.values()), nothing, steps.digest())
    digest = root.digest(story.place.chain_id, story.place.vault)
    signatures = packed([a.sign(digest) for a in sorted(signers, key=lambda a: a.address)])
    told_chain = (2, root.root, root.total, nothing, list(steps.records), list(steps.states), signatures)
    story.send(poster, "RewardVault", "publish", *told_chain)

    code, told = story.dispute()
    assert (code, states(told)) == (1, [("F5", "open"), ("F6", "open")])
    assert [line["bond"] for line in told["disputes"]] == [str(BOND), "0"]
    purse, pool = story.purse(), story.pool()
    code, told = story.dispute("--file")
    assert code == 1
    assert events(told) == ["QuestionAsked", "RootTakenBack", *["SignerConvicted", "PeerSlashed"] * 3]
    fifth = STAKE // 5
    assert [story.stake(name) for name in NAMES[:3]] == [STAKE - fifth] * 3
    assert (story.purse(), story.pool()) == (purse + 3 * (fifth // 10) - BOND, pool + 3 * (fifth - fifth // 10))
    assert story.ask("RewardVault", "published") == 1
    code, told = story.dispute("--expire")
    assert (code, events(told)) == (1, [])  # there is still time

    story.later(ANSWER)
    purse, pool, left = story.purse(), story.pool(), story.stake("peer-03")
    code, told = story.dispute("--expire")
    assert (code, events(told)) == (1, ["QuestionExpired", "RoundVoided", "PeerSlashed"])
    fifth = left // 5
    assert story.stake("peer-03") == left - fifth
    assert (story.purse(), story.pool()) == (purse + BOND + fifth // 10, pool + fifth - fifth // 10)
    assert story.ask("RoundArbiter", "voided", fake.record_hash())
    code, told = story.dispute("--file", "--expire")
    assert (code, told["disputes"], told["questions"], told["decided"]) == (0, [], [], [])
    said = story.settled("equivocation", "transcript-missing")
    assert "RootTakenBack" in said
    assert said.count("SignerConvicted") == 3
    assert said[-3:] == ["QuestionExpired", "RoundVoided", "PeerSlashed"]


def griefing(story: Story) -> None:
    """A question about an honest round, answered from the store after all peers have gone: the bond is lost."""
    name, record = story.records()[1]
    story.send(story.challenger, "PeerageToken", "approve", story.place.round_arbiter, BOND)
    story.send(story.challenger, "RoundArbiter", "challengeAcknowledgements", record.as_tuple())
    pool, stakes = story.pool(), [story.stake(peer) for peer in NAMES]
    code, told = story.dispute()
    assert (code, told["disputes"]) == (1, [])
    assert "can be answered from here" in told["questions"][0]["done"]
    code, told = story.dispute("--answer")
    assert (code, events(told)) == (0, ["QuestionAnswered"])
    assert (story.pool(), [story.stake(peer) for peer in NAMES]) == (pool + BOND, stakes)
    story.later(ANSWER)
    code, told = story.dispute("--expire")
    assert (code, told["decided"], told["questions"]) == (0, [], [])
    assert not story.ask("RoundArbiter", "voided", name)
