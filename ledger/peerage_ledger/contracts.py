"""The compiled contracts as Python sees them: calls, results, events and errors to bytes and back.

Reads the committed artefacts in `abi/`. Pure after that: the auditor decodes with it, without web3 and without a node.
Addresses are 20 raw bytes here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import msgspec
from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError

from peerage_crypto.digest import keccak256
from peerage_crypto.errors import OurError
from peerage_ledger.names import NAMES, OPTIONAL, ORDER, PENDING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["NAMES", "OPTIONAL", "ORDER", "BadEncoding", "Contract", "Decoded", "Item", "contract", "revert_reason"]


class BadEncoding(ValueError):
    """These bytes are no call, result or event of this contract."""


@dataclass(frozen=True, slots=True)
class Item:
    """One function, event or error; `indexed` marks the topics of an event. What has no name is _0, _1, …."""

    name: str
    selector: bytes
    names: tuple[str, ...]
    types: tuple[str, ...]
    indexed: tuple[bool, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Decoded:
    name: str
    values: dict[str, Any]


class Contract:
    def __init__(self, artefact: dict[str, Any]) -> None:
        self.name = str(artefact["contractName"])
        self.bytecode = _unhex(artefact["bytecode"])
        self.runtime = _unhex(artefact["deployedBytecode"])
        spans = [(s["start"], s["length"]) for group in artefact["immutableReferences"].values() for s in group]
        self._immutables: tuple[tuple[int, int], ...] = tuple(sorted(spans))
        items = [(entry["type"], _item(entry)) for entry in artefact["abi"] if "name" in entry]
        self._functions = {item.name: item for kind, item in items if kind == "function"}
        self._by_selector = {item.selector[:4]: item for item in self._functions.values()}
        self._events = {item.selector: item for kind, item in items if kind == "event"}
        self.errors = {item.selector[:4]: item for kind, item in items if kind == "error"}
        creations = [entry for entry in artefact["abi"] if entry["type"] == "constructor"]
        self._constructor = tuple(_type(i) for entry in creations for i in entry["inputs"])

    def creation(self, *arguments: object) -> bytes:
        """What a transaction without recipient carries to deploy this contract."""
        return self.bytecode + encode(self._constructor, arguments)

    def creation_arguments(self, data: bytes) -> tuple[Any, ...]:
        """What a transaction that deploys this contract calls its constructor with; BadEncoding for other code."""
        if not data.startswith(self.bytecode):
            raise BadEncoding(f"this is not the code of {self.name}")
        return _decode(self._constructor, data[len(self.bytecode) :], f"the constructor of {self.name}")

    def call(self, function: str, *arguments: object) -> bytes:
        item = self._functions[function]
        return item.selector[:4] + encode(item.types, arguments)

    def result(self, function: str, data: bytes) -> tuple[Any, ...]:
        item = self._functions[function]
        return _decode(item.outputs, data, f"{self.name}.{function}")

    def decode_call(self, data: bytes) -> Decoded:
        """BadEncoding when the selector is none of ours or the arguments do not fit."""
        item = self._by_selector.get(data[:4])
        if item is None:
            raise BadEncoding(f"{self.name} has no function 0x{data[:4].hex()}")
        return Decoded(item.name, dict(zip(item.names, _decode(item.types, data[4:], item.name), strict=True)))

    def decode_event(self, topics: Sequence[bytes], data: bytes) -> Decoded:
        item = self._events.get(topics[0]) if topics else None
        if item is None:
            raise BadEncoding(f"{self.name} has no such event")
        hashed = [t for t, indexed in zip(item.types, item.indexed, strict=True) if indexed]
        plain = [t for t, indexed in zip(item.types, item.indexed, strict=True) if not indexed]
        if len(topics) != len(hashed) + 1:
            raise BadEncoding(f"{self.name}.{item.name}: {len(topics) - 1} topics where {len(hashed)} belong")
        from_topics = iter(_decode((t,), topic, item.name)[0] for t, topic in zip(hashed, topics[1:], strict=True))
        from_data = iter(_decode(plain, data, item.name))
        values = [next(from_topics) if indexed else next(from_data) for indexed in item.indexed]
        return Decoded(item.name, dict(zip(item.names, values, strict=True)))

    def topic(self, event: str) -> bytes:
        return next(item.selector for item in self._events.values() if item.name == event)

    def code_hash(self, runtime: bytes) -> bytes:
        """Keccak of the runtime code with what the constructor wrote into it (immutables) set to zero."""
        blank = bytearray(runtime)
        for start, length in self._immutables:
            blank[start : start + length] = bytes(len(blank[start : start + length]))
        return keccak256(bytes(blank))

    def is_code(self, runtime: bytes) -> bool:
        return len(runtime) == len(self.runtime) and self.code_hash(runtime) == self.code_hash(self.runtime)


@lru_cache(maxsize=len(ORDER) + len(OPTIONAL) + len(PENDING))
def contract(name: str) -> Contract:
    """By its Solidity name, from the committed artefact."""
    path = files("peerage_ledger") / "abi" / f"{name}.json"
    try:
        return Contract(msgspec.json.decode(path.read_bytes()))
    except FileNotFoundError:
        raise OurError(f"{path} is missing; run scripts/compile_contracts") from None


def revert_reason(data: bytes) -> tuple[str, tuple[Any, ...]]:
    """The custom error behind revert bytes and its arguments; ("", ()) for none that we know."""
    if data[:4] == bytes.fromhex("08c379a0"):  # Error(string)
        try:
            return "Error", _decode(("string",), data[4:], "Error")
        except BadEncoding:
            return "", ()
    for name in (*NAMES, *OPTIONAL, *PENDING):
        item = contract(name).errors.get(data[:4])
        if item is not None:
            try:
                return item.name, _decode(item.types, data[4:], item.name)
            except BadEncoding:
                return item.name, ()
    return "", ()


def _item(entry: dict[str, Any]) -> Item:
    inputs = entry.get("inputs", [])
    types = tuple(_type(i) for i in inputs)
    name = str(entry["name"])
    return Item(
        name,
        keccak256(f"{name}({','.join(types)})".encode()),
        tuple(i["name"] or f"_{at}" for at, i in enumerate(inputs)),
        types,
        tuple(bool(i.get("indexed")) for i in inputs),
        tuple(_type(o) for o in entry.get("outputs", [])),
    )


def _type(entry: dict[str, Any]) -> str:
    kind = str(entry["type"])
    if kind.startswith("tuple"):
        return "(" + ",".join(_type(c) for c in entry["components"]) + ")" + kind.removeprefix("tuple")
    return kind


def _decode(types: Sequence[str], data: bytes, what: str) -> tuple[Any, ...]:
    try:
        values = decode(tuple(types), data)
    except (DecodingError, ValueError, OverflowError) as error:
        raise BadEncoding(f"{what}: {error}") from None
    return tuple(_raw(kind, value) for kind, value in zip(types, values, strict=True))


def _raw(kind: str, value: Any) -> Any:  # noqa: ANN401 - whatever the ABI says
    if kind == "address":
        return bytes.fromhex(value[2:])
    if kind.startswith("address["):
        return tuple(bytes.fromhex(v[2:]) for v in value)
    return value


def _unhex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
