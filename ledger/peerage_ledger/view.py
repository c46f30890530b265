"""What the contracts' events add up to. Pure: fed by the chain in its order, and anew from the start after a rewind."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from peerage_ledger import events
from peerage_ledger.interface import OpenQuestion, Registration, VaultState

if TYPE_CHECKING:
    from peerage_ledger.events import ContractEvent
    from peerage_ledger.records import RoundRecord


class View:
    def __init__(self) -> None:
        self.peers: dict[bytes, Registration] = {}
        self.payees: dict[bytes, bytes] = {}  # of recovered accounts: who is paid what they earn
        self.records: dict[bytes, RoundRecord] = {}
        self.recorders: dict[bytes, bytes] = {}  # record -> the peer that recorded it
        self.vault = VaultState()
        self.voided: dict[bytes, events.RoundVoided] = {}  # by record
        self.questions: dict[bytes, events.QuestionAsked] = {}  # open ones
        self.seats: dict[bytes, int] = {}  # the newest seat of everybody who ever had one
        self._given = 0  # seats; they count from 1 and none is given twice

    def apply(self, event: ContractEvent) -> None:
        match event:
            case events.RoundRecorded(record, name, recorder):
                self.records[name] = record
                self.recorders[name] = recorder
            case events.RootPublished(reward):
                self.vault = replace(self.vault, roots=(*self.vault.roots, reward))
            case events.RootVoided():
                self.vault = replace(self.vault, roots=self.vault.roots[:-1])
            case events.RoundVoided(record):
                self.voided[record] = event
            case events.QuestionAsked(question):
                self.questions[question] = event
            case events.QuestionAnswered(question) | events.QuestionExpired(question):
                self.questions.pop(question, None)
            case events.RewardClaimed(account, _, cumulative):
                self.vault = replace(self.vault, claimed={**self.vault.claimed, account: cumulative})
            case events.VaultFunded(_, amount):
                self.vault = replace(self.vault, funded=self.vault.funded + amount)
            case _:
                self._about_peers(event)

    def _about_peers(self, event: ContractEvent) -> None:
        match event:
            case events.PeerRegistered(address, key, endpoint, stake):
                self.peers[address] = Registration(address, key, endpoint, stake)
                self._given += 1
                self.seats[address] = self._given
            case events.EndpointChanged(address, endpoint):
                self._change(address, endpoint=endpoint)
            case events.TransportKeyRotated(address, key):
                self._change(address, transport_key=key)
            case events.PeerLeft(address, _):
                self._change(address, active=False)
            case events.StakeWithdrawn(address, _):
                self.peers.pop(address, None)
            case events.PeerSlashed(address, _, amount, _) if address in self.peers:
                left = self.peers[address].stake - amount  # nothing left: ended for good
                self._change(address, stake=left, active=self.peers[address].active and left > 0)
            case events.PeerRecovered(address, recovery, _):
                self.payees[address] = recovery
                if address in self.peers:
                    self._change(address, active=False)
            case _:
                pass

    def _change(self, address: bytes, **values: Any) -> None:  # noqa: ANN401 - fields of a Registration
        self.peers[address] = replace(self.peers[address], **values)

    def open_questions(self) -> tuple[OpenQuestion, ...]:
        """Those about recorded rounds: a verdict about others costs nobody anything."""
        return tuple(
            OpenQuestion(asked, self.records[asked.record], self.recorders[asked.record], dict(self.seats))
            for asked in self.questions.values()
            if asked.record in self.records
        )

    def registrations(self) -> tuple[Registration, ...]:
        return tuple(self.peers[address] for address in sorted(self.peers))

    def active(self) -> int:
        return sum(peer.active for peer in self.peers.values())


def quorum(active: int) -> int:
    """Signatures that a reward root needs; the same as `RewardVault.quorum`."""
    if active <= 4:
        return max(1, min(active, 3))
    return -(-(active + active // 4) // 2) + 1
