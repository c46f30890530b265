"""Raw signed transactions: to bytes and back, and who signed them. Pure; nothing here trusts a node's word.

Types 0 (legacy, EIP-155), 1 (EIP-2930) and 2 (EIP-1559); we send type 2 ourselves, which all three devnet engines take.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import rlp  # type: ignore[import-untyped]  # ships no types; wrapped here
from rlp.exceptions import RLPException  # type: ignore[import-untyped]

from peerage_crypto.digest import keccak256
from peerage_crypto.identity import Account, recover

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIELDS: Final = {0: 9, 1: 11, 2: 12}
DEEPEST: Final = 4  # a transaction, its access list, one entry, that entry's keys


class BadTransaction(ValueError):
    """These bytes are no signed transaction."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """What a raw transaction says, with its sender recovered from the signature; `to` is None for a creation."""

    hash: bytes
    sender: bytes
    chain_id: int | None
    nonce: int
    to: bytes | None
    value: int
    data: bytes
    gas: int
    max_fee: int
    priority_fee: int
    kind: int


def sign(
    account: Account,
    *,
    chain_id: int,
    nonce: int,
    to: bytes | None,
    data: bytes,
    gas: int,
    max_fee: int,
    priority_fee: int,
    value: int = 0,
) -> bytes:
    """A raw EIP-1559 transaction; fees in wei per gas."""
    body: list[Any] = [chain_id, nonce, priority_fee, max_fee, gas, to or b"", value, data, []]
    signature = account.sign(keccak256(b"\x02" + _encode(body)))
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    return b"\x02" + _encode([*body, signature[64] - 27, r, s])


def transaction_hash(raw: bytes) -> bytes:
    return keccak256(raw)


def decode(raw: bytes) -> Transaction:
    """Raises BadTransaction for anything but one well-formed signed transaction."""
    kind = raw[0] if raw and raw[0] < 0x7F else 0
    if kind not in _FIELDS or not raw:
        raise BadTransaction(f"transaction type {kind} is not one we know")
    body = raw[1:] if kind else raw
    if _nested(body):
        raise BadTransaction("lists within lists deeper than an access list has them")
    try:
        fields = rlp.decode(body, strict=True)
    except (RLPException, RecursionError) as error:
        raise BadTransaction(f"not RLP: {error}") from None
    if not isinstance(fields, list) or len(fields) != _FIELDS[kind]:
        raise BadTransaction(f"a type {kind} transaction has {_FIELDS[kind]} fields")
    if any(not isinstance(f, bytes) for i, f in enumerate(fields) if not (kind and i == len(fields) - 4)):
        raise BadTransaction("a field is a list where bytes belong")
    return _legacy(raw, fields) if kind == 0 else _typed(raw, kind, fields)


def _typed(raw: bytes, kind: int, fields: list[Any]) -> Transaction:
    *body, parity, r, s = fields
    if _int(parity) > 1:
        raise BadTransaction("the parity of a signature is 0 or 1")
    if kind == 2:
        chain, nonce, tip, price, gas, to, value, data, _ = body
    else:
        chain, nonce, price, gas, to, value, data, _ = body
        tip = price
    sender = _recover(keccak256(bytes([kind]) + _encode(body)), _int(parity), r, s)
    return Transaction(
        keccak256(raw),
        sender,
        _int(chain),
        _int(nonce),
        _to(to),
        _int(value),
        data,
        _int(gas),
        _int(price),
        _int(tip),
        kind,
    )


def _legacy(raw: bytes, fields: list[Any]) -> Transaction:
    nonce, price, gas, to, value, data, v, r, s = fields
    v_value = _int(v)
    chain = None if v_value in (27, 28) else (v_value - 35) // 2
    if chain is not None and chain < 0:
        raise BadTransaction("v of a legacy transaction is 27, 28 or 35 and more")
    body = fields[:6] if chain is None else [*fields[:6], chain, b"", b""]
    sender = _recover(keccak256(_encode(body)), (v_value - 27) if chain is None else (v_value - 35) % 2, r, s)
    price_value = _int(price)
    return Transaction(
        keccak256(raw),
        sender,
        chain,
        _int(nonce),
        _to(to),
        _int(value),
        data,
        _int(gas),
        price_value,
        price_value,
        0,
    )


def from_json(fields: Mapping[str, Any]) -> bytes:
    """The raw bytes behind a node's JSON of a transaction; checked against its hash, so a node cannot make them up."""
    kind = int(fields.get("type") or "0x0", 16)
    if kind not in _FIELDS:
        raise BadTransaction(f"transaction type {kind} is not one we know")
    head = [_quantity(fields["nonce"])]
    tail: list[Any] = [_quantity(fields["gas"]), _bytes(fields.get("to") or "0x"), _quantity(fields["value"])]
    tail.append(_bytes(fields.get("input") or fields.get("data") or "0x"))
    signature = [_quantity(fields["r"]), _quantity(fields["s"])]
    if kind == 0:
        raw = _encode([*head, _quantity(fields["gasPrice"]), *tail, _quantity(fields["v"]), *signature])
    else:
        prices = [
            _quantity(fields[k]) for k in (("maxPriorityFeePerGas", "maxFeePerGas") if kind == 2 else ("gasPrice",))
        ]
        access = [[_bytes(a["address"]), [_bytes(k) for k in a["storageKeys"]]] for a in fields.get("accessList") or []]
        parity = _quantity(fields.get("yParity") or fields["v"])
        body = [_quantity(fields["chainId"]), *head, *prices, *tail, access, parity, *signature]
        raw = bytes([kind]) + _encode(body)
    if keccak256(raw) != _bytes(fields["hash"]):
        raise BadTransaction(f"the node's fields of transaction {fields['hash']} do not hash to it")
    return raw


def _nested(raw: bytes) -> bool:
    """Whether lists are nested deeper than DEEPEST. rlp would copy all that is left at each of thousands of levels."""
    at, ends = 0, list[int]()
    while at < len(raw):
        while ends and ends[-1] <= at:
            ends.pop()
        first = raw[at]
        base = 0xC0 if first >= 0xC0 else 0x80
        wide = max(0, first - base - 55)  # bytes of a length that does not fit into the first byte
        size = int.from_bytes(raw[at + 1 : at + 1 + wide], "big") if wide else max(0, first - base)
        at += 1 + wide
        if base == 0xC0:
            ends.append(at + size)
            if len(ends) > DEEPEST:
                return True
        else:
            at += size
    return False


def _encode(fields: list[Any]) -> bytes:
    encoded: bytes = rlp.encode(fields)
    return encoded


def _recover(digest: bytes, parity: int, r: bytes, s: bytes) -> bytes:
    if len(r) > 32 or len(s) > 32:
        raise BadTransaction("r and s of a signature have at most 32 bytes")
    try:
        return recover(digest, r.rjust(32, b"\0") + s.rjust(32, b"\0") + bytes([27 + parity]))
    except ValueError as error:
        raise BadTransaction(f"signature: {error}") from None


def _int(value: bytes) -> int:
    if value[:1] == b"\0":
        raise BadTransaction("a number with leading zeros")
    return int.from_bytes(value, "big")


def _to(value: bytes) -> bytes | None:
    if len(value) not in (0, 20):
        raise BadTransaction("the recipient has 20 bytes, or none for a creation")
    return value or None


def _quantity(value: str | int) -> int:
    return int(value, 16) if isinstance(value, str) else int(value)


def _bytes(value: str) -> bytes:
    return bytes.fromhex(value[2:])
