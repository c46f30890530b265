"""The auditor's contracts against the compiled ones: the same transactions, the same refusals, the same events."""

import random
from hashlib import sha256

from peerage_crypto.digest import claim_proof, claim_root
from peerage_crypto.identity import Account, eip712_digest, eip712_domain
from peerage_ledger import events, rawtx
from peerage_ledger.audit.contracts import Contracts, created_address, proves
from peerage_ledger.audit.registry import Reverted
from peerage_ledger.contracts import contract
from peerage_ledger.devnets.evm import EmbeddedChain
from peerage_ledger.records import RewardRoot, RoundRecord
from peerage_ledger.wishes import FOREVER, PERMIT

CHAIN = 31337
FEDERATION = sha256(b"federation").digest()
STAKE = 1000


def account(name: str) -> Account:
    return Account.from_secret(sha256(name.encode()).digest())


class Twin:
    """Every transaction goes to the EVM and to the auditor; `send` compares what they say."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.operator = account("operator")
        self.people = [account(f"person {i}") for i in range(5)]
        everybody = [self.operator, *self.people]
        self.evm = EmbeddedChain(CHAIN, 1_700_000_000, {a.address: 10**20 for a in everybody})
        names = ("PeerageToken", "PeerRegistry", "RoundLedger", "RewardVault")
        places = [created_address(self.operator.address, nonce) for nonce in range(4)]
        self.at = dict(zip(names, places, strict=True))
        self.mine = Contracts(CHAIN, self.at)
        self.records = [FEDERATION]
        self.rounds = {FEDERATION: 0}
        self.outcomes: list[tuple[str, bool]] = []
        token, registry, _, _ = places
        self.create("PeerageToken", self.operator.address, 10**24)
        self.create("PeerRegistry", token, STAKE, 30)
        self.create("RoundLedger", registry, FEDERATION)
        self.create("RewardVault", token, registry, self.random.choice([0, 20]))
        for person in self.people:
            self.call(self.operator, "PeerageToken", "transfer", person.address, 3 * STAKE)

    def create(self, name: str, *arguments: object) -> None:
        assert self.send(self.operator, None, contract(name).creation(*arguments), name)

    def call(self, who: Account, name: str, function: str, *arguments: object) -> bool:
        return self.send(who, self.at[name], contract(name).call(function, *arguments), function)

    def send(self, who: Account, to: bytes | None, data: bytes, what: str) -> bool:
        time = self.evm.next_time(0) + self.random.choice([0, 0, 0, 25])
        fee = int(self.evm.head.header.base_fee_per_gas) * 2
        raw = rawtx.sign(
            who,
            chain_id=CHAIN,
            nonce=self.evm.nonce(who.address),
            to=to,
            data=data,
            gas=5_000_000,
            max_fee=fee,
            priority_fee=0,
        )
        # py-evm executes under the header that it has ready, whatever time the block is mined with
        self.evm._chain.header = self.evm._chain.header.copy(timestamp=time)
        block = self.evm.mine(raw, time)
        mine, error = self.by_the_auditor(raw, time)
        assert (block.status == 0) == bool(error), f"{what}: EVM {block.status}, auditor {error or 'takes it'}"
        if error:
            self.outcomes.append((what, False))
            return False
        by_address = {address: name for name, address in self.at.items()}
        told = [
            events.from_log(contract(by_address[log.address]).decode_event(log.topics, log.data)) for log in block.logs
        ]
        assert mine == [event for event in told if event is not None], what
        self.outcomes.append((what, True))
        return True

    def by_the_auditor(self, raw: bytes, time: int) -> tuple[list[events.ContractEvent], str]:
        try:
            return self.mine.execute(rawtx.decode(raw), time), ""
        except Reverted as error:
            return [], str(error) or "?"

    # -- things that people do, rightly and wrongly --------------------------------------------------------------------

    def step(self) -> None:
        acts = [self.register, self.permit, self.record, self.record, self.publish, self.claim, self.peer, self.money]
        self.random.choice(acts)()

    def someone(self) -> Account:
        return self.random.choice(self.people)

    def register(self) -> None:
        who, r = self.someone(), self.random
        self.call(who, "PeerageToken", "approve", self.at["PeerRegistry"], r.choice([0, STAKE, FOREVER]))
        own = sha256(who.address).digest()
        key = r.choice([own, own, own, bytes(32), sha256(b"shared").digest()])
        endpoint = r.choice(["tcp://here", "tcp://here", "tcp://here", "", "x" * 256])
        self.call(who, "PeerRegistry", "register", key, endpoint, r.choice([STAKE - 1, STAKE, STAKE]))

    def permit(self) -> None:
        who, r = self.someone(), self.random
        nonce = self.mine.built["PeerageToken"].nonces[who.address] + r.choice([0, 0, 0, 1])
        deadline = r.choice([FOREVER, FOREVER, 5])
        domain = eip712_domain("Peerage Credit", "1", CHAIN, self.at["PeerageToken"])
        digest = eip712_digest(domain, PERMIT, [who.address, self.at["PeerRegistry"], STAKE, nonce, deadline])
        s = who.sign(digest)
        arguments = (sha256(who.address).digest(), "tcp://here", STAKE, deadline, s[64], s[:32], s[32:64])
        self.call(who, "PeerRegistry", "registerWithPermit", *arguments)

    def peer(self) -> None:
        who, r = self.someone(), self.random
        match r.choice(["leave", "withdraw", "setEndpoint", "rotateKey"]):
            case "setEndpoint":
                self.call(who, "PeerRegistry", "setEndpoint", r.choice(["", "tcp://there"]))
            case "rotateKey":
                self.call(
                    who, "PeerRegistry", "rotateKey", r.choice([bytes(32), r.randbytes(32), sha256(b"shared").digest()])
                )
            case act:
                if r.random() < 0.4:
                    self.call(who, "PeerRegistry", act)

    def record(self) -> None:
        r = self.random
        parents = r.choices(self.records[-3:], k=r.choice([1, 1, 1, 1, 2, 0]))
        rounds = [self.rounds[p] for p in parents]
        if r.random() < 0.1 and parents:
            parents[0] = r.randbytes(32)
        number = max(rounds, default=0) + r.choice([1, 1, 1, 1, 2])
        fields = [r.choice([b"a", b"b"]) * 32 for _ in range(8)]
        record = RoundRecord(number, fields[0], tuple(rounds), tuple(parents), *fields[1:], members=3)
        if self.call(self.someone(), "RoundLedger", "recordRound", record.as_tuple()):
            self.records.append(record.record_hash())
            self.rounds[record.record_hash()] = number

    def publish(self) -> None:
        r, vault = self.random, self.mine.built["RewardVault"]
        self.table = {p.address: r.randint(0, 50) for p in self.people}
        total = sum(self.table.values()) + r.choice([0, 0, 0, -10])
        root = RewardRoot(
            vault.published.epoch + r.choice([1, 1, 1, 2]), claim_root(self.table), max(total, 0), bytes(32)
        )
        registry = self.mine.built["PeerRegistry"]
        active = [p for p in self.people if registry.is_active(p.address)]
        signers = sorted(r.choice([active, active, active, self.people, self.people[:2]]), key=lambda a: a.address)
        if r.random() < 0.1:
            signers.reverse()
        signatures = [s.sign(root.digest(CHAIN, self.at["RewardVault"])) for s in signers]
        if r.random() < 0.1 and signatures:
            signatures[0] = r.choice([signatures[0][:64], bytes(65)])
        if self.call(
            self.someone(), "RewardVault", "publish", root.epoch, root.root, root.total, root.emission_root, signatures
        ):
            self.live = dict(self.table)

    def claim(self) -> None:
        r = self.random
        table = getattr(self, "live", {p.address: 1 for p in self.people})
        accounts = r.sample(sorted(table), r.choice([1, 2, 3]))
        totals = [table[a] + r.choice([0, 0, 0, 0, 1]) for a in accounts]
        proofs = [list(claim_proof(table, a)) for a in accounts]
        if r.random() < 0.5:
            self.call(self.someone(), "RewardVault", "claim", accounts[0], totals[0], proofs[0])
        else:
            self.call(
                self.someone(),
                "RewardVault",
                "claimMany",
                accounts,
                totals[: r.choice([len(totals)] * 4 + [0])],
                proofs,
            )

    def money(self) -> None:
        r = self.random
        self.call(self.operator, "PeerageToken", "approve", self.at["RewardVault"], r.choice([100, 300]))
        self.call(self.operator, "RewardVault", "fund", r.choice([100, 301]))


def test_auditor_and_evm_agree_on_every_transaction() -> None:
    outcomes: set[tuple[str, bool]] = set()
    for seed in range(3):
        twin = Twin(seed)
        for _ in range(100):
            twin.step()
        outcomes |= set(twin.outcomes)
    both = {"register", "registerWithPermit", "setEndpoint", "rotateKey", "leave", "recordRound", "publish", "fund"}
    both |= {"claim", "claimMany"}
    assert {(what, good) for what in both for good in (True, False)} - outcomes == set()
    assert ("withdraw", False) in outcomes


def test_a_proof_of_another_leaf_proves_nothing() -> None:
    table = {account(f"person {i}").address: 10 + i for i in range(5)}
    first = min(table)
    assert not proves(claim_proof(table, first), claim_root(table), bytes(32))


def test_what_is_not_ours_changes_nothing() -> None:
    twin = Twin(0)
    assert twin.send(twin.people[0], twin.people[1].address, b"", "ether")
    assert not twin.send(twin.people[0], twin.at["RoundLedger"], b"\x01\x02\x03\x04", "garbage")
