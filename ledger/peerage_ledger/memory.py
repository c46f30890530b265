"""A ledger in one process: the contracts' rules in Python, no chain, no disk. For tests, and as their plain reading.

`MemoryChain` is the chain that all peers of a test share; `MemoryLedger` is one peer's way to it. Wishes are fulfilled
when the peer polls, so a test decides when; `chain.up = False` plays an outage.
"""

from __future__ import annotations

from collections import deque
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
    from peerage_ledger.interface import Registration, VaultState
    from peerage_ledger.records import RewardRoot, RoundRecord

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
            token=places["PeerageToken"],
            registry=places["PeerRegistry"],
            ledger=places["RoundLedger"],
            vault=places["RewardVault"],
            start_block=0,
            min_stake=min_stake,
            pool=pool,
            code_hashes={name: contract(name).code_hash(contract(name).runtime) for name in NAMES},
        )
        self.up = True
        self.view = View()
        self.log: list[ContractEvent] = []
        self._newest = 0
        self._owners: dict[bytes, bytes] = {}  # of transport keys, for good
        if pool:
            self.emit(events.VaultFunded(b"\0" * 20, pool))

    def emit(self, event: ContractEvent) -> None:
        self.log.append(event)
        self.view.apply(event)

    def register(self, sender: bytes, key: bytes, endpoint: str, stake: int) -> None:
        """Registers, or changes key or endpoint of whom is registered: what `wishes.Caller` would send."""
        known = self.view.peers.get(sender)
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

    def _is_recorded(self, number: int, name: bytes) -> bool:
        if number <= self._newest - WINDOW:
            return False
        if number == 0:
            return name == self.deployment.federation
        held = self.view.records.get(name)
        return held is not None and held.round == number

    def publish(self, reward: RewardRoot, signatures: Sequence[bytes]) -> None:
        vault = self.view.vault
        if reward.epoch != vault.epoch + 1:
            raise Reverted("WrongEpoch")
        if vault.published is not None and reward.total < vault.published.total:
            raise Reverted("TotalBelowPrevious")
        if reward.total > vault.funded:
            raise Reverted("TotalAboveFunded")
        if len(signatures) < quorum(self.view.active()):
            raise Reverted("QuorumMissing")
        digest = reward.digest(self.deployment.chain_id, self.deployment.vault)
        previous = b"\0" * 20
        for signature in signatures:
            signer = recover(digest, signature)
            if signer <= previous:
                raise Reverted("SignersNotAscending")
            self._need_active(signer)
            previous = signer
        self.emit(events.RootPublished(reward))

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

    def vault_state(self) -> VaultState:
        return self._chain.view.vault

    def register(self, transport_key: bytes, endpoint: str, stake: int) -> None:
        me = self._account.address
        key = wishes.registration(transport_key, endpoint, stake).key
        self._want(key, lambda: self._chain.register(me, transport_key, endpoint, stake))

    def submit_round(self, record: RoundRecord) -> None:
        me = self._account.address
        self._want(wishes.round_record(record).key, lambda: self._chain.record(me, record))

    def publish_rewards(self, reward: RewardRoot, signatures: Mapping[bytes, bytes]) -> None:
        ordered = [signatures[signer] for signer in sorted(signatures)]
        self._want(wishes.reward_root(reward, signatures).key, lambda: self._publish(reward, ordered))

    def _publish(self, reward: RewardRoot, signatures: Sequence[bytes]) -> None:
        if self._chain.view.vault.published != reward:
            self._chain.publish(reward, signatures)

    def claim_many(self, totals: Mapping[bytes, int]) -> None:
        copy = dict(totals)
        for wish in wishes.claims(copy):
            self._want(wish.key, lambda: self._chain.claim_many(copy))

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

    def pending(self) -> int:
        return len(self._wishes)

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
