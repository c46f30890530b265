"""Where a federation's contracts are: `deployment.json`, written once and handed to every peer and auditor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
from eth_utils.address import is_checksum_address, is_checksum_formatted_address, to_checksum_address

from peerage_crypto.errors import InputError
from peerage_ledger.names import NAMES, OPTIONAL

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCHEMA: Final = 1


class _Place(msgspec.Struct, frozen=True):
    address: str
    code_keccak: str  # keccak of the runtime code, immutables zeroed


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: int
    chain_id: int
    rpc: str
    federation: str
    start_block: int
    min_stake: str
    pool: str
    contracts: dict[str, _Place]


@dataclass(frozen=True, slots=True)
class Deployment:
    """Addresses are 20 bytes, `federation` 32 (the genesis record); `start_block` is where its events begin.

    `places` maps contract name -> address, for every one of `names.NAMES` and those of `names.OPTIONAL` that were
    deployed; `code_hashes` likewise to the keccak of its runtime code with immutables zeroed.
    """

    chain_id: int
    rpc: str
    federation: bytes
    places: Mapping[str, bytes]
    start_block: int
    min_stake: int
    pool: int
    code_hashes: Mapping[str, bytes]

    def __post_init__(self) -> None:
        unknown = self.places.keys() - {*NAMES, *OPTIONAL}
        if unknown:
            raise ValueError(f"no contract of ours is called {min(unknown)}")
        ordered = {name: self.places[name] for name in (*NAMES, *OPTIONAL) if name in self.places or name in NAMES}
        object.__setattr__(self, "places", ordered)

    @property
    def token(self) -> bytes:
        return self.places["PeerageToken"]

    @property
    def registry(self) -> bytes:
        return self.places["PeerRegistry"]

    @property
    def ledger(self) -> bytes:
        return self.places["RoundLedger"]

    @property
    def vault(self) -> bytes:
        return self.places["RewardVault"]

    @property
    def round_arbiter(self) -> bytes:
        return self.places["RoundArbiter"]

    @property
    def pay_arbiter(self) -> bytes:
        return self.places["PayArbiter"]

    @property
    def market(self) -> bytes:
        return self.places["ModelMarket"]

    @property
    def watch(self) -> bytes:
        return self.places["ModelWatch"]

    def addresses(self) -> dict[str, bytes]:
        """Contract name -> address, in the order of deployment."""
        return dict(self.places)

    def to_json(self) -> bytes:
        places = {
            name: _Place(str(to_checksum_address(address)), self.code_hashes[name].hex())
            for name, address in self.addresses().items()
        }
        federation = self.federation.hex()
        stake, pool = str(self.min_stake), str(self.pool)
        file = _File(SCHEMA, self.chain_id, self.rpc, federation, self.start_block, stake, pool, places)
        return msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n"

    @classmethod
    def from_json(cls, text: bytes, where: str) -> Deployment:
        """InputError that names `where` for anything but a whole deployment."""
        try:
            return cls._from(msgspec.json.decode(text, type=_File))
        except KeyError as error:
            raise InputError(f"{where}: the contract {error} is missing; run `peerage deploy` again") from None
        except (ValueError, RecursionError, msgspec.MsgspecError) as error:
            raise InputError(f"{where}: not a deployment ({error}); run `peerage deploy` again") from None

    @classmethod
    def _from(cls, file: _File) -> Deployment:
        known = [*NAMES, *(name for name in OPTIONAL if name in file.contracts)]
        places = {name: _address(file.contracts[name].address) for name in known}
        hashes = {name: bytes.fromhex(file.contracts[name].code_keccak) for name in known}
        federation = bytes.fromhex(file.federation)
        if file.schema != SCHEMA or len(federation) != 32:
            raise ValueError(f"schema {SCHEMA} and a federation hash of 32 bytes are read here")
        return cls(
            chain_id=file.chain_id,
            rpc=file.rpc,
            federation=federation,
            places=places,
            start_block=file.start_block,
            min_stake=int(file.min_stake),
            pool=int(file.pool),
            code_hashes=hashes,
        )

    def write(self, path: Path) -> None:
        part = path.with_suffix(".part")
        part.write_bytes(self.to_json())
        part.replace(path)

    @classmethod
    def read(cls, path: Path) -> Deployment:
        try:
            return cls.from_json(path.read_bytes(), str(path))
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}; run `peerage deploy` first") from None


def _address(text: str) -> bytes:
    raw = bytes.fromhex(text.removeprefix("0x"))
    if len(raw) != 20 or (is_checksum_formatted_address(text) and not is_checksum_address(text)):
        raise ValueError(f"{text} is not an address")
    return raw
