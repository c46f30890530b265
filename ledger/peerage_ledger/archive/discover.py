"""A deployment from the address of its round ledger alone: the others stand at the deployer's neighbouring nonces.

What is found is checked by `deploy.verify_code`: every address holds our compiled code, wired to the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from peerage_crypto.errors import ChainError, InputError
from peerage_ledger import rawtx
from peerage_ledger.archive.fetch import Fetcher
from peerage_ledger.blueprint import NOBODY, created_address
from peerage_ledger.contracts import contract
from peerage_ledger.deploy import verify_code
from peerage_ledger.deployment import Deployment
from peerage_ledger.names import NAMES
from peerage_ledger.rpc import NONSENSE, RpcError

if TYPE_CHECKING:
    from peerage_ledger.rpc import Json, Rpc

LEDGER: Final = "RoundLedger"
READ_ALL: Final = 100_000  # blocks: a devnet or a young chain


def discover(rpc_url: str, ledger: bytes) -> Deployment:
    """InputError where no round ledger of this version stands, or the node keeps no states of the past."""
    fetcher = Fetcher.reach(rpc_url, None)
    try:
        return _discover(fetcher.rpc, fetcher, ledger)
    except NONSENSE as error:
        raise ChainError(f"{rpc_url} gave an answer that makes no sense: {error!r}") from error


def _discover(rpc: Rpc, fetcher: Fetcher, ledger: bytes) -> Deployment:
    where = f"0x{ledger.hex()} on {rpc.url}"
    code = _code(fetcher, ledger, "latest")
    if not code:
        raise InputError(
            f"there is no contract at {where}: give --contract the address of the federation's RoundLedger"
        )
    if not contract(LEDGER).is_code(code):
        known = [name for name in NAMES if contract(name).is_code(code)]
        what = f"it is a {known[0]}" if known else "its code is not that of this version"
        raise InputError(f"the contract at {where} is no RoundLedger: {what}")
    block = _creation_block(fetcher, ledger)
    deployer, nonce = _creator(fetcher, ledger, block)
    first = nonce - NAMES.index(LEDGER)
    places = {name: created_address(deployer, first + i) for i, name in enumerate(NAMES)}
    admission = _view(fetcher, "PeerRegistry", places["PeerRegistry"], "admission")
    if admission != NOBODY:
        places["MemberAdmission"] = admission
    earliest = places.get("MemberAdmission", places["PeerageToken"])
    found = Deployment(
        chain_id=int(fetcher.call("eth_chainId"), 16),
        rpc=rpc.url,
        federation=_view(fetcher, LEDGER, ledger, "federation"),
        places=places,
        start_block=_creation_block(fetcher, earliest, block),
        min_stake=_view(fetcher, "PeerRegistry", places["PeerRegistry"], "minStake"),
        pool=_view(fetcher, "RewardVault", places["RewardVault"], "funded"),
        code_hashes={name: contract(name).code_hash(contract(name).runtime) for name in places},
    )
    verify_code(found, rpc)
    return found


def _code(fetcher: Fetcher, address: bytes, block: str) -> bytes:
    return bytes.fromhex(fetcher.call("eth_getCode", "0x" + address.hex(), block)[2:])


def _view(fetcher: Fetcher, name: str, address: bytes, view: str) -> Json:
    question = {"to": "0x" + address.hex(), "data": "0x" + contract(name).call(view).hex()}
    return contract(name).result(view, bytes.fromhex(fetcher.call("eth_call", question, "latest")[2:]))[0]


def _creation_block(fetcher: Fetcher, address: bytes, last: int | None = None) -> int:
    """The first block with code at the address: by halves, or one after the other where the node forgets old states."""
    low, high = 0, fetcher.height() if last is None else last
    newest = high
    while low < high:
        middle = (low + high) // 2
        try:
            there = _code(fetcher, address, hex(middle))
        except RpcError as error:
            if newest <= READ_ALL:
                return _read_through(fetcher, address, newest)
            raise InputError(
                f"{fetcher.rpc.url} cannot say when the contracts were made ({error.message}): give --deployment, "
                "or the --rpc of a node that keeps old states"
            ) from None
        low, high = (low, middle) if there else (middle + 1, high)
    return low


def _read_through(fetcher: Fetcher, address: bytes, newest: int) -> int:
    for found in fetcher.blocks(0, newest):
        for raw in found.raws:
            signed = rawtx.decode(raw)
            if signed.to is None and created_address(signed.sender, signed.nonce) == address:
                return found.number
    raise InputError(f"no transaction up to block {newest} makes 0x{address.hex()}: give --deployment")


def _creator(fetcher: Fetcher, address: bytes, block: int) -> tuple[bytes, int]:
    """Who sent the transaction that made the contract, and its nonce."""
    for found in fetcher.blocks(block, block):
        for raw in found.raws:
            signed = rawtx.decode(raw)
            if signed.to is None and created_address(signed.sender, signed.nonce) == address:
                return signed.sender, signed.nonce
    raise InputError(f"no transaction of block {block} makes 0x{address.hex()}: give --deployment")
