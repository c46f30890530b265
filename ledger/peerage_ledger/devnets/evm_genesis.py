"""The first block of the embedded EVM, as a file: written by whoever starts it, read by the process that is it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import msgspec

from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCHEMA: Final = 1


class Genesis(msgspec.Struct, frozen=True):
    schema: int
    chain_id: int
    timestamp: int
    accounts: dict[str, str]  # address without 0x -> balance in wei as decimal text

    def balances(self) -> dict[bytes, int]:
        return {bytes.fromhex(address): int(wei) for address, wei in self.accounts.items()}


def write_genesis(state: Path, chain_id: int, balances: Mapping[bytes, int]) -> None:
    """Once per state folder; a folder that has its genesis keeps it."""
    path = state / "genesis.json"
    if path.exists():
        return
    accounts = {address.hex(): str(wei) for address, wei in sorted(balances.items())}
    genesis = Genesis(SCHEMA, chain_id, int(time.time()), accounts)
    part = path.with_suffix(".part")
    part.write_bytes(msgspec.json.encode(genesis))
    part.rename(path)


def read_genesis(state: Path, chain_id: int) -> Genesis:
    path = state / "genesis.json"
    try:
        genesis = msgspec.json.decode(path.read_bytes(), type=Genesis)
    except FileNotFoundError:
        raise InputError(f"{path}: no genesis here; start the devnet with `peerage devnet`") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not a genesis file ({error}); give another state folder") from None
    if genesis.chain_id != chain_id:
        raise InputError(f"{path}: made for chain id {genesis.chain_id}, not {chain_id}; give another state folder")
    return genesis
