"""A federation on the embedded EVM with a market and a watch: each transaction is also read by the auditor's Python."""

from dataclasses import astuple
from hashlib import sha256

from peerage_crypto.digest import claim_proof, claim_root
from peerage_crypto.identity import Account
from peerage_crypto.keysale import OneTimeKey, key_commitment, seal_key
from peerage_ledger import rawtx
from peerage_ledger.audit.contracts import Contracts
from peerage_ledger.audit.registry import Reverted
from peerage_ledger.blueprint import DeployTerms, plan
from peerage_ledger.contracts import contract, revert_reason
from peerage_ledger.devnets.evm import EmbeddedChain, Refused
from peerage_ledger.market.statements import Listing, sale_name
from peerage_ledger.records import RewardRoot, RoundRecord, Steps, packed

CHAIN, STAKE, PRICE, DELIVERY, PERIOD = 31337, 1000, 1000, 3600, 60
FEDERATION = sha256(b"federation").digest()
CONTENT_KEY = sha256(b"content key").digest()
NAMES = ("PeerageToken", "PeerRegistry", "RoundLedger", "RewardVault", "ModelMarket", "ModelWatch")


def account(name: object) -> Account:
    return Account.from_secret(sha256(repr(name).encode()).digest())


def one_time(name: object) -> OneTimeKey:
    return OneTimeKey.from_secret(sha256(b"one-time" + repr(name).encode()).digest())


class Twin:
    """Four peers (a quorum is three) with a recorded model and rewards in force; a buyer with money."""

    def __init__(self) -> None:
        self.operator, self.buyer = account("operator"), account("buyer")
        self.peers = sorted((account(i) for i in range(4)), key=lambda a: a.address)
        everybody = [self.operator, self.buyer, *self.peers]
        self.evm = EmbeddedChain(CHAIN, 1_700_000_000, {a.address: 10**20 for a in everybody})
        terms = DeployTerms(
            min_stake=STAKE, supply=10**24, delivery_seconds=DELIVERY, period_seconds=PERIOD, unbonding_seconds=3600
        )
        planned = plan(self.operator.address, 0, FEDERATION, terms)
        self.at = {name: planned.at[name] for name in NAMES}
        self.mine = Contracts(CHAIN, self.at)
        self.time = self.evm.next_time(0)
        for name in planned.names():
            if name not in NAMES:  # the others' addresses count it all the same
                assert self.send(self.operator, self.buyer.address, b"") == ""
                continue
            arguments = list(planned.arguments(name))
            if name == "RewardVault":
                arguments[3] = bytes(20)
            assert self.send(self.operator, None, contract(name).creation(*arguments)) == ""
        for number, peer in enumerate(self.peers):
            self.do(self.operator, "PeerageToken", "transfer", peer.address, STAKE)
            self.do(peer, "PeerageToken", "approve", self.at["PeerRegistry"], STAKE)
            self.do(peer, "PeerRegistry", "register", sha256(peer.address).digest(), f"tcp://{number}", STAKE)
        self.do(self.operator, "PeerageToken", "transfer", self.buyer.address, 10 * PRICE)
        self.do(self.buyer, "PeerageToken", "approve", self.at["ModelMarket"], 10 * PRICE)
        self.do(self.operator, "PeerageToken", "approve", self.at["RewardVault"], 10**6)
        self.do(self.operator, "RewardVault", "fund", 10**6)
        self.record = RoundRecord(1, b"s" * 32, (0,), (FEDERATION,), b"a" * 32, *[bytes(32)] * 6, 4)
        self.do(self.peers[0], "RoundLedger", "recordRound", self.record.as_tuple())
        self.totals = {peer.address: 100 * (i + 1) + 1 for i, peer in enumerate(self.peers)}
        self.publish(1)

    def publish(self, epoch: int) -> None:
        root = RewardRoot(epoch, claim_root(self.totals), sum(self.totals.values()), bytes(32), Steps((), ()).digest())
        digest = root.digest(CHAIN, self.at["RewardVault"])
        blob = packed([peer.sign(digest) for peer in self.peers])
        values = (root.epoch, root.root, root.total, root.emission_root, [], [], blob)
        self.do(self.peers[0], "RewardVault", "publish", *values)

    # -- transactions

    def do(self, who: Account, name: str, function: str, *arguments: object, wait: int = 0) -> None:
        assert self.refusal(who, name, function, *arguments, wait=wait) == ""

    def refusal(self, who: Account, name: str, function: str, *arguments: object, wait: int = 0) -> str:
        """The name of the error; empty when it was taken. Both readings must agree on that."""
        return self.send(who, self.at[name], contract(name).call(function, *arguments), wait)

    def send(self, who: Account, to: bytes | None, data: bytes, wait: int = 0) -> str:
        self.time = self.evm.next_time(0) + wait
        raw = rawtx.sign(
            who,
            chain_id=CHAIN,
            nonce=self.evm.nonce(who.address),
            to=to,
            data=data,
            gas=6_000_000,
            max_fee=int(self.evm.head.header.base_fee_per_gas) * 2,
            priority_fee=0,
        )
        # py-evm executes under the header that it has ready, whatever time the block is mined with
        self.evm._chain.header = self.evm._chain.header.copy(timestamp=self.time)
        reason = self.reason(who, to, data)
        block = self.evm.mine(raw, self.time)
        try:
            self.mine.execute(rawtx.decode(raw), self.time)
            read = ""
        except Reverted as error:
            read = str(error)
        assert (block.status == 0) == bool(read), f"EVM {block.status}, auditor {read or 'takes it'}"
        assert read.startswith("ECDSA") or (not reason if block.status else reason in {read, "?"}), (reason, read)
        return read

    def reason(self, who: Account, to: bytes | None, data: bytes) -> str:
        """What the EVM itself says, where a call can be simulated."""
        if to is None:
            return ""
        try:
            self.evm.call(who.address, to, data)
        except Refused as refused:
            return revert_reason(refused.data or b"")[0] or "?"
        return ""

    def view(self, name: str, function: str, *arguments: object) -> object:
        call = contract(name).call(function, *arguments)
        (value,) = contract(name).result(function, self.evm.call(bytes(20), self.at[name], call))
        return value

    # -- words of the market

    def listing(self, **other: object) -> Listing:
        terms = {
            "aggregate": self.record.aggregate,
            "record": self.record.record_hash(),
            "round": 1,
            "price": PRICE,
            "licence": sha256(b"licence").digest(),
            "ciphertext": sha256(b"ciphertext").digest(),
            "key_commitment": key_commitment(CONTENT_KEY),
            "epoch": 1,
        }
        return Listing(**(terms | other))

    def signed(self, digest: bytes, count: int = 3) -> list[bytes]:
        return [peer.sign(digest) for peer in self.peers[:count]]

    def put(self, listing: Listing) -> str:
        digest = listing.digest(CHAIN, self.at["ModelMarket"])
        return self.refusal(
            self.buyer, "ModelMarket", "list", astuple(listing), self.record.as_tuple(), self.signed(digest)
        )

    def listed(self, **other: object) -> bytes:
        listing = self.listing(**other)
        assert self.put(listing) == ""
        return listing.digest(CHAIN, self.at["ModelMarket"])

    def bought(self, listing: bytes, name: object) -> bytes:
        key = one_time(name)
        self.do(self.buyer, "ModelMarket", "buy", listing, key.public)
        return sale_name(listing, self.buyer.address, key.public)

    def delivered(self, sale: bytes, name: object, content: bytes = CONTENT_KEY) -> None:
        mine = one_time(("sender", name))
        sealed = seal_key(content, sale, mine, one_time(name).public)
        self.do(self.peers[1], "ModelMarket", "deliver", sale, mine.public, sealed)

    def claims(self) -> tuple[list[bytes], list[int], list[list[bytes]]]:
        accounts = sorted(self.totals)
        return accounts, [self.totals[a] for a in accounts], [list(claim_proof(self.totals, a)) for a in accounts]

    def mine_sale(self, listing: bytes, key: bytes) -> bytes:
        return sale_name(listing, self.buyer.address, key)
