"""Invitations: how a federation that is not open to everybody admits a peer. Pure.

A quorum of active peers signs EIP-712 `Invitation(registry, account, deadline)` under the admission contract's domain.
The file is passed from peer to peer, each adds its signature, and the invited peer brings it to the register. It says
nothing secret, and nobody but the account that it names can use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from peerage_crypto.errors import InputError
from peerage_crypto.identity import BadSignature, eip712_digest, eip712_domain, recover
from peerage_crypto.statements import Bytes20, Bytes65

if TYPE_CHECKING:
    from peerage_crypto.identity import Account
    from peerage_ledger.deployment import Deployment

SCHEMA = 1
TYPE = "Invitation(address registry,address account,uint64 deadline)"
MAX_BYTES = 1 << 17  # 400 signatures and more


class Invitation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may register until when (Unix seconds), and the members' signatures under it."""

    schema: int
    chain_id: Annotated[int, msgspec.Meta(ge=1)]
    admission: Bytes20
    registry: Bytes20
    account: Bytes20
    deadline: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    signatures: Annotated[tuple[Bytes65, ...], msgspec.Meta(max_length=512)] = ()

    def digest(self) -> bytes:
        """The 32 bytes that members sign."""
        domain = eip712_domain("PeerageAdmission", "1", self.chain_id, self.admission)
        return eip712_digest(domain, TYPE, [self.registry, self.account, self.deadline])

    def signers(self) -> dict[bytes, bytes]:
        """Signer -> signature, by address; InputError for a signature that nobody made."""
        found: dict[bytes, bytes] = {}
        for signature in self.signatures:
            try:
                found[recover(self.digest(), signature)] = signature
            except BadSignature as error:
                raise InputError(f"the invitation carries a signature that is none: {error}") from None
        return dict(sorted(found.items()))

    def signed_by(self, account: Account) -> Invitation:
        """With one signature more; signing again changes nothing."""
        known = self.signers()
        known.setdefault(account.address, account.sign(self.digest()))
        return msgspec.structs.replace(self, signatures=tuple(known[signer] for signer in sorted(known)))

    def blobs(self) -> list[bytes]:
        """What `registerInvited` takes: the deadline in a word, then the signatures in ascending order of signers."""
        return [self.deadline.to_bytes(32, "big"), *self.signers().values()]


def invite(deployment: Deployment, account: bytes, deadline: int) -> Invitation:
    """Nobody has signed it yet. InputError when the federation is open to everybody."""
    admission = deployment.places.get("MemberAdmission")
    if admission is None:
        raise InputError("this federation's register is open to everybody: nobody needs an invitation")
    return Invitation(SCHEMA, deployment.chain_id, admission, deployment.registry, account, deadline)


def to_json(invitation: Invitation) -> bytes:
    """Addresses and signatures in hex, for people and other programs."""
    return msgspec.json.format(msgspec.json.encode(_hexed(msgspec.structs.asdict(invitation))), indent=2) + b"\n"


def from_json(text: bytes, where: str, deployment: Deployment | None = None) -> Invitation:
    """InputError that names `where` for anything but an invitation, or one to another federation."""
    if len(text) > MAX_BYTES:
        raise InputError(f"{where} is no invitation: it is larger than {MAX_BYTES} bytes")
    try:
        raw = msgspec.json.decode(text, type=dict[str, Any])
        invitation = msgspec.convert({key: _unhexed(key, value) for key, value in raw.items()}, Invitation)
        if invitation.schema != SCHEMA:
            raise ValueError(f"its schema is {invitation.schema}, not {SCHEMA}")  # noqa: TRY301 - one sentence for all that is wrong
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{where} is no invitation: {error}") from None
    here = deployment
    if here is not None and (invitation.chain_id, invitation.admission, invitation.registry) != (
        here.chain_id,
        here.places.get("MemberAdmission"),
        here.registry,
    ):
        raise InputError(f"{where} invites to another federation: ask its members for one to this registry")
    invitation.signers()
    return invitation


_BYTES = ("admission", "registry", "account")


def _hexed(fields: dict[str, Any]) -> dict[str, Any]:
    fields |= {name: "0x" + fields[name].hex() for name in _BYTES}
    return fields | {"signatures": ["0x" + signature.hex() for signature in fields["signatures"]]}


def _unhexed(key: str, value: Any) -> Any:  # noqa: ANN401 - whatever the file holds; msgspec checks it next
    if key in _BYTES:
        return bytes.fromhex(str(value).removeprefix("0x"))
    if key == "signatures" and isinstance(value, list):
        return [bytes.fromhex(str(one).removeprefix("0x")) for one in value]
    return value
