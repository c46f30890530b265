"""Whether the register would let an account in, and the file that it brings."""

from pathlib import Path

from peerage_crypto.errors import InputError
from peerage_ledger.contracts import contract
from peerage_ledger.deployment import Deployment
from peerage_ledger.invitations import Invitation, from_json
from peerage_ledger.rpc import Rpc, connect


def read_invitation(path: Path, deployment: Deployment | None = None) -> Invitation:
    """InputError for a file that is none, or one for another federation."""
    try:
        return from_json(path.read_bytes(), str(path), deployment)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None


def may_register(deployment: Deployment, account: bytes, invitation: list[bytes]) -> bool:
    """True as well for who is a peer already. Unreachable when the chain is."""
    admission = deployment.places.get("MemberAdmission")
    if admission is None:
        return True
    rpc = connect(deployment.rpc, deployment.chain_id)
    (active,) = ask(rpc, deployment, "PeerRegistry", "isActive", account)
    (admitted,) = ask(rpc, deployment, "MemberAdmission", "admits", account, invitation)
    return bool(active or admitted)


def ask(rpc: Rpc, deployment: Deployment, name: str, function: str, *arguments: object) -> tuple[object, ...]:
    """One view of one of the federation's contracts, now."""
    data = contract(name).call(function, *arguments)
    call = {"to": "0x" + deployment.places[name].hex(), "data": "0x" + data.hex()}
    return contract(name).result(function, bytes.fromhex(rpc.call("eth_call", call, "latest")[2:]))
