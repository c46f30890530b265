"""A ledger in one process: the contracts' rules in Python, no chain, no disk. For tests, and as their plain reading.

`MemoryChain` is the chain that all peers of a test share; `MemoryLedger` is one peer's way to it. Wishes are fulfilled
when the peer polls, so a test decides when; `chain.up = False` plays an outage.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from peerage_crypto.digest import claim_root, sha256
from peerage_crypto.identity import recover
from peerage_ledger import events, wishes
from peerage_ledger.contracts import NAMES, contract
from peerage_ledger.deployment import Deployment
from peerage_ledger.view import View, quorum
from peerage_ledger.wishes import Verdict, verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from peerage_crypto.identity import Account
    from peerage_ledger.events import ContractEvent, LedgerEvent
    from peerage_ledger.interface import OpenQuestion, Registration, VaultState
    from peerage_ledger.records import RewardRoot, RoundRecord, Steps

WINDOW: Final = 256  # rounds that RoundLedger remembers


class Reverted(Exception):
    """The contract's custom error, by its Solidity name."""


class MemoryChain:
    def __init__(self, federation: bytes, *, pool: int = 0, min_stake: int = 1, chain_id: int = 31337) -> None:
        places = {name: sha256(b"memory", name.encode())[:20] for name in NAMES}
        self.deployment = Deployment(
            chain_id=chain_id,
            rpc="memory:",
            federation=federation,
            places=places,
            start_block=0,
            min_stake=min_stake,
            pool=pool,
            code_hashes={name: contract(name).code_hash(contract(name).runtime) for name in NAMES},
        )
        self.up = True
        self.view = View()
        self.log: list[ContractEvent] = []
        self._newest = 0
        self.voided_roots: set[bytes] = set()
        self._owners: dict[bytes, bytes] = {}  # of transport keys, for good
        self._barred: set[bytes] = set()
        self._recoveries: dict[bytes, bytes] = {}
        if pool:
            self.emit(events.VaultFunded(b"\0" * 20, pool))

    def emit(self, event: ContractEvent) -> None:
        self.log.append(event)
        self.view.apply(event)

    def register(self, sender: bytes, key: bytes, endpoint: str, stake: int) -> None:
        """Registers, or changes key or endpoint of whom is registered: what `wishes.Caller` would send."""
        known = self.view.peers.get(sender)
        if sender in self._barred:
            raise Reverted("AccountBarred")
        if self._owners.get(key, sender) != sender:
            raise Reverted("TransportKeyTaken")
        if known is None:
            if stake < self.deployment.min_stake:
                raise Reverted("StakeTooLow")
            self._owners[key] = sender
            self.emit(events.PeerRegistered(sender, key, endpoint, stake))
            return
        if not known.active:
            raise Reverted("StakeLocked")
        if known.transport_key != key:
            self._owners[key] = sender
            self.emit(events.TransportKeyRotated(sender, key))
        if known.endpoint != endpoint:
            self.emit(events.EndpointChanged(sender, endpoint))

    def leave(self, sender: bytes) -> None:
        self._need_active(sender)
        self.emit(events.PeerLeft(sender, 0))

    def set_recovery(self, sender: bytes, recovery: bytes) -> None:
        self._need_active(sender)
        if sender in self._recoveries:
            raise Reverted("RecoveryFixed")
        if recovery in {bytes(20), sender}:
            raise Reverted("BadRecovery")
        self._recoveries[sender] = recovery
        self.emit(events.RecoverySet(sender, recovery))

    def recover(self, sender: bytes, account: bytes) -> None:
        if self._recoveries.get(account) != sender:
            raise Reverted("NotRecovery")
        if account in self.view.payees:
            raise Reverted("AccountBarred")
        self._barred.add(account)
        self.emit(events.PeerRecovered(account, sender, 0))

    def slash(self, account: bytes, basis_points: int, challenger: bytes) -> int:
        """An arbiter's verdict; what the stake lost."""
        peer = self.view.peers.get(account)
        amount = 0 if peer is None else peer.stake * basis_points // 10_000
        if basis_points == 10_000:  # also where nothing is left
            self._barred.add(account)
        elif amount == 0:
            return 0
        self.emit(events.PeerSlashed(account, challenger, amount, amount // 10))
        if amount == 0:
            return 0
        self.emit(events.VaultFunded(self.deployment.registry, amount - amount // 10))
        return amount

    def poster_of(self, number: int, name: bytes) -> bytes:
        """Who recorded a record; twenty zero bytes if it is not there, or behind the window."""
        return self.view.recorders.get(name, bytes(20)) if self._is_recorded(number, name) else bytes(20)

    def record(self, sender: bytes, record: RoundRecord) -> None:
        self._need_active(sender)
        if not record.parents or len(record.parents) != len(record.parent_rounds):
            raise Reverted("ParentsMismatch")
        for number, parent in zip(record.parent_rounds, record.parents, strict=True):
            if not self._is_recorded(number, parent):
                raise Reverted("UnknownParent")
        if record.round != max(record.parent_rounds) + 1:
            raise Reverted("WrongRound")
        if record.round <= self._newest - WINDOW:
            raise Reverted("RoundTooOld")
        if record.record_hash() in self.view.records:
            raise Reverted("AlreadyRecorded")
        self._newest = max(self._newest, record.round)
        self.emit(events.RoundRecorded(record, record.record_hash(), sender))

    def record_all(self, sender: bytes, records: Sequence[RoundRecord]) -> None:
        """Those that are not recorded yet; all of them or none."""
        for record in records:
            if record.record_hash() not in self.view.records:
                self.record(sender, record)

    def _is_recorded(self, number: int, name: bytes) -> bool:
        if number <= self._newest - WINDOW:
            return False
        if number == 0:
            return name == self.deployment.federation
        held = self.view.records.get(name)
        return held is not None and held.round == number

    def publish(self, reward: RewardRoot, steps: Steps, signatures: Sequence[bytes]) -> None:
        vault = self.view.vault
        reward = replace(reward, steps=steps.digest())  # the contract hashes what it is sent
        digest = reward.digest(self.deployment.chain_id, self.deployment.vault)
        if reward.epoch != vault.epoch + 1:
            raise Reverted("WrongEpoch")
        if vault.published is not None and reward.total < vault.published.total:
            raise Reverted("TotalBelowPrevious")
        if reward.total > vault.funded:
            raise Reverted("TotalAboveFunded")
        if len(signatures) < quorum(self.view.active()):
            raise Reverted("QuorumMissing")
        if digest in self.voided_roots:
            raise Reverted("RootWasVoided")
        previous = b"\0" * 20
        for signature in signatures:
            signer = recover(digest, signature)
            if signer <= previous:
                raise Reverted("SignersNotAscending")
            self._need_active(signer)
            previous = signer
        if len(steps.records) != len(steps.states):
            raise Reverted("LengthMismatch")
        if steps.records and steps.records[-1] not in self.view.records:
            raise Reverted("UnknownRecord")
        self.emit(events.RootPublished(reward))

    def void_root(self) -> None:
        """The last root, as the pay arbiter takes it back."""
        published = self.view.vault.published
        if published is None:
            raise Reverted("NotPending")
        digest = published.digest(self.deployment.chain_id, self.deployment.vault)
        self.voided_roots.add(digest)
        self.emit(events.RootVoided(published.epoch, digest))

    def void_round(self, record: bytes, challenger: bytes = bytes(20), fault: int = 0) -> None:
        """As the round arbiter says it."""
        self.emit(events.RoundVoided(record, self.view.records[record].round, challenger, fault))

    def ask(self, challenger: bytes, record: bytes, *, deadline: int = 0) -> bytes:
        """The question for a record's acknowledgements; no bond is modelled."""
        question = sha256(b"question", record)
        self.emit(events.QuestionAsked(question, record, challenger, 5, 2, bytes(32), deadline))
        return question

    def answer(self, sender: bytes, question: bytes) -> None:
        """Whatever the answer says: what is modelled is who is asked, and that one answer is enough."""
        if question not in self.view.questions:
            raise Reverted("NotOpen")
        self.emit(events.QuestionAnswered(question, sender))

    def claim_many(self, totals: Mapping[bytes, int]) -> None:
        published = self.view.vault.published
        if published is None or claim_root(totals) != published.root:
            raise Reverted("BadProof")
        for account, cumulative in sorted(totals.items()):
            paid = self.view.vault.claimed.get(account, 0)
            if cumulative > paid:
                if sum(self.view.vault.claimed.values()) + cumulative - paid > published.total:
                    raise Reverted("ClaimsAboveTotal")
                self.emit(events.RewardClaimed(account, cumulative - paid, cumulative))

    def _need_active(self, account: bytes) -> None:
        peer = self.view.peers.get(account)
        if peer is None or not peer.active:
            raise Reverted("NotAPeer")


class MemoryLedger:
    """`Ledger` on a MemoryChain."""

    def __init__(self, chain: MemoryChain, account: Account) -> None:
        self._chain, self._account = chain, account
        self._wishes: dict[str, Callable[[], None]] = {}
        self._asked: set[str] = set()
        self._delayed: set[str] = set()
        self._events: deque[LedgerEvent] = deque()
        self._heard = 0
        self._lost = False

    @property
    def deployment(self) -> Deployment:
        return self._chain.deployment

    @property
    def address(self) -> bytes:
        return self._account.address

    def registrations(self) -> tuple[Registration, ...]:
        return self._chain.view.registrations()

    def records(self) -> Mapping[bytes, RoundRecord]:
        return dict(self._chain.view.records)

    def voided(self) -> frozenset[bytes]:
        return frozenset(self._chain.view.voided)

    def questions(self) -> tuple[OpenQuestion, ...]:
        return self._chain.view.open_questions()

    def vault_state(self) -> VaultState:
        return self._chain.view.vault

    def register(self, transport_key: bytes, endpoint: str, stake: int, invitation: Sequence[bytes] = ()) -> None:
        me = self._account.address
        key = wishes.registration(transport_key, endpoint, stake, invitation)[-1].key
        self._want(key, lambda: self._chain.register(me, transport_key, endpoint, stake))

    def submit_round(self, record: RoundRecord) -> None:
        me = self._account.address
        self._want(wishes.round_record(record).key, lambda: self._chain.record(me, record))

    def submit_rounds(self, records: Sequence[RoundRecord]) -> None:
        lacking = [r for r in records if r.record_hash() not in self._chain.view.records]
        me = self._account.address
        for at, wish in enumerate(wishes.round_records(lacking)):
            some = lacking[at * wishes.ROUNDS_AT_ONCE : (at + 1) * wishes.ROUNDS_AT_ONCE]
            self._want(wish.key, partial(self._chain.record_all, me, some))

    def publish_rewards(self, reward: RewardRoot, steps: Steps, signatures: Mapping[bytes, bytes]) -> None:
        ordered = [signatures[signer] for signer in sorted(signatures)]
        self._want(wishes.reward_root(reward, steps, signatures).key, lambda: self._publish(reward, steps, ordered))

    def _publish(self, reward: RewardRoot, steps: Steps, signatures: Sequence[bytes]) -> None:
        if self._chain.view.vault.published != reward:
            self._chain.publish(reward, steps, signatures)

    def claim_many(self, totals: Mapping[bytes, int], reward: RewardRoot | None = None) -> None:
        place, copy = self._chain.deployment, dict(totals)
        digest = reward.digest(place.chain_id, place.vault) if reward else b""
        for wish in wishes.claims(copy, digest, reward.epoch if reward else 0):
            self._want(wish.key, lambda: self._claim(copy, reward))

    def _claim(self, totals: Mapping[bytes, int], reward: RewardRoot | None) -> None:
        if reward is None or self._chain.view.vault.epoch <= reward.epoch:
            self._chain.claim_many(totals)

    def answer(self, question: bytes, data: bytes) -> None:
        me = self._account.address
        self._want(wishes.answer(question, data).key, lambda: self._chain.answer(me, question))

    def poll(self) -> Sequence[LedgerEvent]:
        if self._chain.up == self._lost:
            self._lost = not self._chain.up
            self._events.append(events.ChainLost("the chain is down") if self._lost else events.ChainBack())
        if self._chain.up:
            for key in tuple(self._wishes):
                self._fulfil(key)
            self._events.extend(self._chain.log[self._heard :])
            self._heard = len(self._chain.log)
        found = tuple(self._events)
        self._events.clear()
        return found

    def pending(self, about: RewardRoot | None = None) -> int:
        if about is None:
            return len(self._wishes)
        digest = about.digest(self._chain.deployment.chain_id, self._chain.deployment.vault)
        return sum(wishes.about(key, about, digest) for key in self._wishes)

    def close(self) -> None:
        """Nothing runs."""

    def _want(self, key: str, act: Callable[[], None]) -> None:
        if key not in self._asked:
            self._asked.add(key)
            self._wishes[key] = act

    def _fulfil(self, key: str) -> None:
        try:
            self._wishes[key]()
        except Reverted as error:
            judged = verdict(str(error))
            if judged is Verdict.LATER:
                if key not in self._delayed:
                    self._delayed.add(key)
                    self._events.append(events.Delayed(key, str(error)))
                return
            if judged is Verdict.NEVER:
                del self._wishes[key]
                self._events.append(events.Refused(key, str(error)))
                return
        del self._wishes[key]
        self._events.append(events.Confirmed(key, None, 0, len(self._chain.log)))
