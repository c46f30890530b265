"""The auditor's contracts against the compiled ones: the same transactions, the same refusals, the same events."""

import random
from hashlib import sha256

from peerage_crypto.digest import claim_proof, claim_root
from peerage_crypto.identity import Account, eip712_digest, eip712_domain
from peerage_ledger import events, rawtx
from peerage_ledger.audit.admission import invitation_digest
from peerage_ledger.audit.contracts import Contracts, proves
from peerage_ledger.audit.registry import Reverted
from peerage_ledger.blueprint import DeployTerms, plan
from peerage_ledger.contracts import OPTIONAL, contract
from peerage_ledger.devnets.evm import EmbeddedChain
from peerage_ledger.records import RewardRoot, RoundRecord, Steps, packed
from peerage_ledger.wishes import FOREVER, PERMIT

CHAIN = 31337
FEDERATION = sha256(b"federation").digest()
STAKE = 1000
CORE = ("PeerageToken", "PeerRegistry", "RoundLedger", "RewardVault")


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
        # two people play the arbiters, so that verdicts need no evidence here; every second federation is closed
        self.arbiters = [self.operator, self.people[0]]
        terms = DeployTerms(
            min_stake=STAKE,
            supply=10**24,
            unbonding_seconds=30,
            activation_delay=self.random.choice([0, 20]),
            answer_seconds=10,
            founders=tuple(p.address for p in self.people[:3]) if seed % 2 else (),
        )
        planned = plan(self.operator.address, 0, FEDERATION, terms)
        names = [name for name in planned.names() if name in {*CORE, *OPTIONAL}]
        self.at = {name: planned.at[name] for name in names}
        self.mine = Contracts(CHAIN, self.at)
        self.records = [FEDERATION]
        self.rounds = {FEDERATION: 0}
        self.outcomes: list[tuple[str, bool]] = []
        for name in names:
            arguments = list(planned.arguments(name))
            if name == "PeerRegistry":
                arguments[4] = [a.address for a in self.arbiters]
            if name == "RewardVault":
                arguments[3] = bytes(20)
            self.create(name, *arguments)
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
        acts += [self.record_several, self.invited, self.verdict, self.recovery, self.peer]
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

    def record_several(self) -> None:
        """A line of rounds; some of them recorded already, some on nothing, some of a stranger."""
        r, parent = self.random, self.random.choice(self.records[-3:])
        number, batch = self.rounds[parent], list[RoundRecord]()
        for _ in range(r.choice([0, 1, 3])):
            on = r.randbytes(32) if r.random() < 0.1 else parent
            number += 1
            batch.append(RoundRecord(number, b"s" * 32, (number - 1,), (on,), *[b"s" * 32] * 7, members=3))
            parent = batch[-1].record_hash()
        if self.call(self.someone(), "RoundLedger", "recordRounds", [one.as_tuple() for one in batch]):
            for one in batch:
                if one.record_hash() not in self.rounds:
                    self.records.append(one.record_hash())
                    self.rounds[one.record_hash()] = one.round
        for record in self.records[-2:]:
            self.same("RoundLedger", "posterOf", self.rounds[record], record)

    def invited(self) -> None:
        r, who = self.random, self.people[-1]
        registry = self.mine.built["PeerRegistry"]
        self.call(who, "PeerageToken", "approve", self.at["PeerRegistry"], STAKE)
        deadline = self.evm.next_time(0) + r.choice([-50, 10_000, 10_000])
        admission = self.at.get("MemberAdmission", bytes(20))
        digest = invitation_digest(CHAIN, admission, self.at["PeerRegistry"], who.address, deadline)
        active = sorted((p for p in self.people if registry.is_active(p.address)), key=lambda a: a.address)
        signers = r.choice([active, active, active, active[:1], active[::-1], self.people])
        invitation = [deadline.to_bytes(32, "big"), *(s.sign(digest) for s in signers)]
        if r.random() < 0.2:
            invitation[-1] = r.choice([b"", bytes(65), invitation[-1][:64]])
        key = sha256(who.address).digest()
        self.call(who, "PeerRegistry", "registerInvited", key, "tcp://here", STAKE, invitation)

    def verdict(self) -> None:
        r = self.random
        part = r.choice([0, 1, 2000, 2000, 2000, 10_001] + [10_000] * (r.random() < 0.2))
        challenger = r.choice([self.someone().address] * 9 + [bytes(20)])
        sender, convicted = r.choice([*self.arbiters, *self.arbiters, self.people[1]]), r.choice(self.people[1:])
        self.call(sender, "PeerRegistry", "slash", convicted.address, part, challenger)
        self.same("PeerRegistry", "seatOf", convicted.address)
        self.same("PeerRegistry", "activeCount")

    def recovery(self) -> None:
        r, who = self.random, self.people[1]
        match r.choice(["setRecovery", "setRecovery", "recover", "withdrawFor", "withdrawFor"]):
            case "setRecovery":
                chosen = r.choice([bytes(20), who.address, self.operator.address])
                self.call(who, "PeerRegistry", "setRecovery", chosen)
            case "recover" if r.random() < 0.7 and len(self.outcomes) < 250:
                self.call(self.people[2], "PeerRegistry", "recover", who.address)
            case act:
                self.call(self.operator, "PeerRegistry", act, who.address)
        self.same("PeerRegistry", "payeeOf", who.address)

    def same(self, name: str, view: str, *arguments: object) -> None:
        """A view says what the auditor's contracts say."""
        one = contract(name)
        (told,) = one.result(view, self.evm.call(self.operator.address, self.at[name], one.call(view, *arguments)))
        model = self.mine.built[name]
        names = {
            "posterOf": "poster_of",
            "seatOf": "seat_of",
            "activeCount": "active_count",
            "payeeOf": "payee_of",
            "isBarred": "is_barred",
        }
        assert told == getattr(model, names[view])(*arguments), view

    def publish(self) -> None:
        r, vault = self.random, self.mine.built["RewardVault"]
        self.table = {p.address: r.randint(0, 50) for p in self.people}
        total = sum(self.table.values()) + r.choice([0, 0, 0, -10])
        lists = [tuple(r.randbytes(32) for _ in range(count)) for count in r.choice([(0, 0), (2, 2), (3, 3), (1, 2)])]
        steps = Steps(*lists)
        root = RewardRoot(
            vault.published.epoch + r.choice([1, 1, 1, 2]),
            claim_root(self.table),
            max(total, 0),
            bytes(32),
            steps.digest(),
        )
        registry = self.mine.built["PeerRegistry"]
        active = [p for p in self.people if registry.is_active(p.address)]
        signers = sorted(r.choice([active, active, active, self.people, self.people[:2]]), key=lambda a: a.address)
        if r.random() < 0.1:
            signers.reverse()
        signatures = [s.sign(root.digest(CHAIN, self.at["RewardVault"])) for s in signers]
        if r.random() < 0.1 and signatures:
            signatures[0] = r.choice([signatures[0][:63], bytes(64)])
        blob = b"".join(packed([s]) if len(s) == 65 and any(s) else s for s in signatures)
        values = (root.epoch, root.root, root.total, root.emission_root, *map(list, lists), blob)
        if self.call(self.someone(), "RewardVault", "publish", *values):
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
        for _ in range(160):
            twin.step()
        outcomes |= set(twin.outcomes)
    both = {"register", "registerWithPermit", "setEndpoint", "rotateKey", "leave", "recordRound", "publish", "fund"}
    both |= {"claim", "claimMany", "recordRounds", "registerInvited", "slash"}
    assert {(what, good) for what in both for good in (True, False)} - outcomes == set()
    assert {("withdraw", False), ("withdrawFor", False)} <= outcomes


def test_a_peer_is_recovered_as_the_evm_has_it() -> None:
    """The whole of it, rightly and wrongly: too early, by strangers, twice; and no way back."""
    twin = Twin(0)
    owner, safe, thief = twin.people[1:4]
    key = sha256(b"a key").digest()
    twin.call(owner, "PeerageToken", "approve", twin.at["PeerRegistry"], FOREVER)
    assert twin.call(owner, "PeerRegistry", "register", key, "tcp://here", STAKE)
    assert not twin.call(owner, "PeerRegistry", "withdrawFor", owner.address)
    assert twin.call(owner, "PeerRegistry", "setRecovery", safe.address)
    assert not twin.call(owner, "PeerRegistry", "setRecovery", thief.address)
    assert not twin.call(thief, "PeerRegistry", "recover", owner.address)
    assert not twin.call(safe, "PeerRegistry", "withdrawFor", owner.address)
    assert twin.call(safe, "PeerRegistry", "recover", owner.address)
    assert not twin.call(safe, "PeerRegistry", "recover", owner.address)
    assert twin.call(twin.operator, "PeerRegistry", "slash", owner.address, 2000, thief.address)
    twin.same("PeerRegistry", "payeeOf", owner.address)
    twin.same("PeerRegistry", "seatOf", owner.address)
    free = twin.mine.built["PeerRegistry"].peers[owner.address].withdrawable_at
    while twin.evm.next_time(0) < free:  # every try takes a while
        assert not twin.call(owner, "PeerRegistry", "withdraw")
    for other in (owner, thief):
        assert not twin.call(other, "PeerRegistry", "withdrawFor", owner.address)
    assert twin.call(safe, "PeerRegistry", "withdrawFor", owner.address)
    assert twin.mine.built["PeerageToken"].balances[safe.address] == 3 * STAKE + STAKE * 4 // 5
    assert not twin.call(safe, "PeerRegistry", "withdrawFor", owner.address)
    assert not twin.call(owner, "PeerRegistry", "register", key, "tcp://here", STAKE)


def test_a_ruined_peer_is_out_for_good_as_the_evm_has_it() -> None:
    twin = Twin(0)
    ruined, winner = twin.people[1:3]
    twin.call(ruined, "PeerageToken", "approve", twin.at["PeerRegistry"], FOREVER)
    assert twin.call(ruined, "PeerRegistry", "register", sha256(b"a key").digest(), "tcp://here", STAKE + 7)
    assert not twin.call(winner, "PeerRegistry", "slash", ruined.address, 10_000, winner.address)
    assert not twin.call(twin.operator, "PeerRegistry", "slash", ruined.address, 10_001, winner.address)
    assert not twin.call(twin.operator, "PeerRegistry", "slash", ruined.address, 2000, bytes(20))
    assert twin.call(twin.people[0], "PeerRegistry", "slash", ruined.address, 3, winner.address)
    assert twin.call(twin.operator, "PeerRegistry", "slash", ruined.address, 10_000, winner.address)
    assert twin.mine.built["RewardVault"].funded + twin.mine.built["PeerageToken"].balances[winner.address] == (
        4 * STAKE + 7
    )
    assert twin.call(twin.operator, "PeerRegistry", "slash", ruined.address, 10_000, winner.address), "nothing left"
    assert not twin.call(ruined, "PeerRegistry", "register", sha256(b"b").digest(), "tcp://here", STAKE)
    assert not twin.call(ruined, "PeerRegistry", "withdraw")


def test_a_verdict_that_finds_no_stake_bars_the_account_as_the_evm_has_it() -> None:
    twin = Twin(0)
    gone, winner, stranger = twin.people[1:4]
    twin.call(gone, "PeerageToken", "approve", twin.at["PeerRegistry"], FOREVER)
    assert twin.call(gone, "PeerRegistry", "register", sha256(b"a key").digest(), "tcp://here", STAKE)
    assert twin.call(gone, "PeerRegistry", "leave")
    assert any(twin.call(gone, "PeerRegistry", "withdraw") for _ in range(50)), "every try takes a while"
    for account in (gone.address, stranger.address, bytes(20)):
        for part in (9_999, 10_000):
            assert twin.call(twin.operator, "PeerRegistry", "slash", account, part, winner.address)
            twin.same("PeerRegistry", "isBarred", account)
            twin.same("PeerRegistry", "activeCount")
    for who in (gone, stranger):
        assert not twin.call(who, "PeerRegistry", "register", sha256(b"b").digest(), "tcp://here", STAKE)


def test_a_guest_is_invited_as_the_evm_has_it() -> None:
    twin = Twin(1)
    founders, guest = sorted(twin.people[:3], key=lambda a: a.address), twin.people[4]
    for who in (*founders, guest):
        twin.call(who, "PeerageToken", "approve", twin.at["PeerRegistry"], STAKE)
    for who in founders:
        key = sha256(who.address).digest()
        assert twin.call(who, "PeerRegistry", "register", key, "tcp://here", STAKE)
    key, now = sha256(guest.address).digest(), twin.evm.next_time(0)

    def comes(deadline: int, signers: list[Account], told: bytes = b"") -> bool:
        digest = invitation_digest(CHAIN, twin.at["MemberAdmission"], twin.at["PeerRegistry"], guest.address, deadline)
        invitation = [told or deadline.to_bytes(32, "big"), *(s.sign(digest) for s in signers)]
        return twin.call(guest, "PeerRegistry", "registerInvited", key, "tcp://here", STAKE, invitation)

    assert not twin.call(guest, "PeerRegistry", "register", key, "tcp://here", STAKE)
    assert not comes(now - 1, founders)
    assert not comes(now + 10**4, founders[:2])
    assert not comes(now + 10**4, founders[::-1])
    assert not comes(now + 10**4, [*founders[:2], founders[1]])
    assert not comes(now + 10**4, sorted([*founders[:2], guest], key=lambda a: a.address))
    assert not comes(now + 10**4, founders, told=b"\1" * 32)
    assert not comes(now + 10**4, founders, told=b"\1")
    assert comes(now + 10**4, founders)
    twin.same("PeerRegistry", "seatOf", guest.address)


def test_a_batch_is_recorded_whole_or_not_at_all() -> None:
    twin = Twin(0)
    who = twin.people[1]
    twin.call(who, "PeerageToken", "approve", twin.at["PeerRegistry"], STAKE)
    twin.call(who, "PeerRegistry", "register", sha256(b"a key").digest(), "tcp://here", STAKE)
    parent, line = FEDERATION, list[RoundRecord]()
    for number in range(1, 4):
        line.append(RoundRecord(number, b"s" * 32, (number - 1,), (parent,), *[b"s" * 32] * 7, members=3))
        parent = line[-1].record_hash()
    broken = [line[0].as_tuple(), line[2].as_tuple()]
    assert not twin.call(who, "RoundLedger", "recordRounds", broken)
    assert not twin.mine.built["RoundLedger"].is_recorded(1, line[0].record_hash())
    assert twin.call(who, "RoundLedger", "recordRound", line[0].as_tuple())
    assert twin.call(who, "RoundLedger", "recordRounds", [one.as_tuple() for one in line])
    assert twin.call(who, "RoundLedger", "recordRounds", [one.as_tuple() for one in line]), "all of them again"
    for one in line:
        twin.same("RoundLedger", "posterOf", one.round, one.record_hash())


def test_a_proof_of_another_leaf_proves_nothing() -> None:
    table = {account(f"person {i}").address: 10 + i for i in range(5)}
    first = min(table)
    assert not proves(claim_proof(table, first), claim_root(table), bytes(32))


def test_what_is_not_ours_changes_nothing() -> None:
    twin = Twin(0)
    assert twin.send(twin.people[0], twin.people[1].address, b"", "ether")
    assert not twin.send(twin.people[0], twin.at["RoundLedger"], b"\x01\x02\x03\x04", "garbage")
