"""Any value of a msgspec type from a source of choices: bytes for the fuzzer, Hypothesis for the round trips."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec
from msgspec import inspect as mi

PATTERNS = {
    "^0x[0-9a-f]{40}$": lambda raw: "0x" + raw[:20].ljust(20, b"\1").hex(),
    "^[0-9a-f]{16}$": lambda raw: raw[:8].ljust(8, b"\2").hex(),
    "^[0-9a-f]{64}$": lambda raw: raw[:32].ljust(32, b"\3").hex(),
}
ITEMS = 3  # of a list without a limit of its own
TEXT = 12
WIDEST = 2**63 - 1  # MessagePack has no longer integers, JSON would


class Choices(Protocol):
    def integer(self, low: int, high: int) -> int: ...
    def binary(self, low: int, high: int) -> bytes: ...


def build(kind: Any, choices: Choices) -> Any:
    """A value of this type that its encoder takes and its decoder gives back."""
    return _build(mi.type_info(kind), choices)


def _build(info: mi.Type, choices: Choices) -> Any:
    match info:
        case mi.StructType(cls=cls, fields=fields):
            return cls(**{field.name: _build(field.type, choices) for field in fields})
        case mi.UnionType(types=types):
            return _build(types[choices.integer(0, len(types) - 1)], choices)
        case mi.VarTupleType() | mi.ListType():
            low = info.min_length or 0
            high = min(low + ITEMS, ITEMS if info.max_length is None else info.max_length)
            items = [_build(info.item_type, choices) for _ in range(choices.integer(low, high))]
            return tuple(items) if isinstance(info, mi.VarTupleType) else items
        case mi.TupleType(item_types=kinds):
            return tuple(_build(kind, choices) for kind in kinds)
        case mi.DictType(value_type=value):
            return {f"k{i}": _build(value, choices) for i in range(choices.integer(0, ITEMS))}
        case mi.BytesType():
            low = info.min_length or 0
            return choices.binary(low, low + TEXT if info.max_length is None else info.max_length)
        case mi.StrType(pattern=str() as pattern):
            return PATTERNS[pattern](choices.binary(32, 32))
        case mi.StrType():
            high = TEXT if info.max_length is None else min(TEXT, info.max_length)
            return "".join(map(chr, choices.binary(0, high)))
        case mi.IntType():
            low = -WIDEST if info.ge is None else int(info.ge)
            return choices.integer(low, WIDEST if info.le is None else int(info.le))
        case mi.BoolType():
            return bool(choices.integer(0, 1))
        case mi.FloatType():
            return float(choices.integer(-(2**53), 2**53)) / 1024
        case mi.NoneType():
            return None
        case mi.LiteralType(values=values):
            return values[choices.integer(0, len(values) - 1)]
        case mi.EnumType(cls=cls):
            members = list(cls)
            return members[choices.integer(0, len(members) - 1)]
        case mi.AnyType():
            return choices.integer(0, 9)
        case _:
            raise NotImplementedError(f"no value of {info} can be built")


def tree(value: Any) -> Any:
    """A struct as dicts, lists and scalars, ready to be spoilt; bytes stay bytes."""
    return msgspec.to_builtins(value, builtin_types=(bytes,))
