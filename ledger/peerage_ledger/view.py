"""What the contracts' events add up to. Pure: fed by the chain in its order, and anew from the start after a rewind."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from peerage_ledger import events
from peerage_ledger.interface import Registration, VaultState

if TYPE_CHECKING:
    from peerage_ledger.events import ContractEvent
    from peerage_ledger.records import RoundRecord


class View:
    def __init__(self) -> None:
        self.peers: dict[bytes, Registration] = {}
        self.records: dict[bytes, RoundRecord] = {}
        self.vault = VaultState()

    def apply(self, event: ContractEvent) -> None:
        match event:
            case events.PeerRegistered(address, key, endpoint, stake):
                self.peers[address] = Registration(address, key, endpoint, stake)
            case events.EndpointChanged(address, endpoint):
                self.peers[address] = replace(self.peers[address], endpoint=endpoint)
            case events.TransportKeyRotated(address, key):
                self.peers[address] = replace(self.peers[address], transport_key=key)
            case events.PeerLeft(address, _):
                self.peers[address] = replace(self.peers[address], active=False)
            case events.StakeWithdrawn(address, _):
                self.peers.pop(address, None)
            case events.RoundRecorded(record, name, _):
                self.records[name] = record
            case events.RootPublished(reward):
                self.vault = replace(self.vault, published=reward)
            case events.RewardClaimed(account, _, cumulative):
                self.vault = replace(self.vault, claimed={**self.vault.claimed, account: cumulative})
            case events.VaultFunded(_, amount):
                self.vault = replace(self.vault, funded=self.vault.funded + amount)

    def registrations(self) -> tuple[Registration, ...]:
        return tuple(self.peers[address] for address in sorted(self.peers))

    def active(self) -> int:
        return sum(peer.active for peer in self.peers.values())


def quorum(active: int) -> int:
    """Signatures that a reward root needs; the same as `RewardVault.quorum`."""
    if active <= 4:
        return max(1, min(active, 3))
    return -(-(active + active // 4) // 2) + 1
