"""MemberAdmission in Python, rule for rule as in `contracts/src`: founders, and who a quorum of peers invites."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from peerage_crypto.identity import BadSignature, eip712_digest, eip712_domain, recover
from peerage_ledger.view import quorum

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from peerage_ledger.audit.registry import Registry
    from peerage_ledger.events import ContractEvent

INVITATION: Final = "Invitation(address registry,address account,uint64 deadline)"


@dataclass(frozen=True)
class Admission:
    address: bytes
    chain_id: int
    founders: frozenset[bytes]

    def call(self, sender: bytes, name: str, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
        """It has nothing but views."""
        del sender, name, v, now
        return []

    def admits(self, account: bytes, invitation: Sequence[bytes], registry: Registry, now: int) -> bool:
        if account in self.founders:
            return True
        if len(invitation) < 2 or len(invitation[0]) != 32:
            return False
        deadline = int.from_bytes(invitation[0], "big")
        if deadline >= 2**64 or now > deadline or len(invitation) - 1 < quorum(registry.active_count()):
            return False
        digest = invitation_digest(self.chain_id, self.address, registry.address, account, deadline)
        previous = bytes(20)
        for signature in invitation[1:]:
            try:
                signer = recover(digest, signature)
            except BadSignature:
                return False
            if signer <= previous or not registry.is_active(signer):
                return False
            previous = signer
        return True


def invitation_digest(chain_id: int, admission: bytes, registry: bytes, account: bytes, deadline: int) -> bytes:
    """What peers sign to invite `account` until `deadline` (Unix seconds)."""
    domain = eip712_domain("PeerageAdmission", "1", chain_id, admission)
    return eip712_digest(domain, INVITATION, [registry, account, deadline])
