"""Bytes as choices: what a fuzzer mutates steers how a valid value is spoilt, so that most pass the first door."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

DEPTHS = (1, 40, 4000)
NUMBERS = (0, 1, -1, 2, 31, 64, 255, 2**31, 2**32 - 1, 2**53, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), 10**30)
TEXTS = ("", "0", "-1", "0x", "0x-5", "zz", "nan", "1e400", "9" * 5000, "\x00", "\ud7ff", "é" * 40, "a" * 300)
TIMES = (2, 40, 1100)


class Draw:
    """Reads choices from the front; when the bytes are used up every choice is the first one."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> bytes:
        found = self._data[self._at : self._at + count]
        self._at += count
        return found

    def rest(self) -> bytes:
        return self.take(max(0, len(self._data) - self._at))

    def integer(self, low: int, high: int) -> int:
        """Both ends included."""
        span = high - low + 1
        return low + int.from_bytes(self.take((span.bit_length() + 7) // 8), "little") % span

    def below(self, count: int) -> int:
        return self.integer(0, count - 1)

    def binary(self, low: int, high: int) -> bytes:
        size = self.integer(low, high)
        return self.take(size).ljust(size, b"\x5a")

    def pick(self, items: Sequence[Any]) -> Any:
        return items[self.below(len(items))]


def deep_json(depth: int) -> msgspec.Raw:
    return msgspec.Raw(b"[" * depth + b"]" * depth)


def deep_msgpack(depth: int) -> msgspec.Raw:
    return msgspec.Raw(b"\x91" * depth + b"\xc0")


def edited(tree: Any, draw: Draw, deep: Any = deep_json) -> Any:
    """The tree (dicts, lists, scalars) with one to four places changed."""
    for _ in range(1 + draw.below(4)):
        tree = _edit(tree, draw, deep)
    return tree


def _edit(node: Any, draw: Draw, deep: Any) -> Any:
    if isinstance(node, list | tuple | dict) and node and draw.below(6):
        changed: Any = dict(node) if isinstance(node, dict) else list(node)
        key = draw.pick(list(node) if isinstance(node, dict) else range(len(node)))
        changed[key] = _edit(node[key], draw, deep)
        return changed
    return _replaced(node, draw, deep)


def _replaced(node: Any, draw: Draw, deep: Any) -> Any:
    way = draw.below(8)
    if way == 0:
        return draw.pick((None, True, [], {}, "", b"", 0.5, 1e308, *NUMBERS))
    if way == 1:
        return deep(draw.pick(DEPTHS))
    match node:
        case dict() if way < 4 and node:
            gone = draw.pick(list(node))
            return {k: v for k, v in node.items() if k != gone}
        case dict():
            return {**node, draw.pick(("x", "schema", "")): deep(draw.pick(DEPTHS)) if way < 6 else draw.pick(NUMBERS)}
        case list() | tuple() if node:
            items, at = list(node), draw.below(len(node))
            return (
                items[:at] + items[at + 1 :]
                if way < 4
                else [*items, items[at]]
                if way < 6
                else items[at : at + 1] * draw.pick(TIMES)
                if way < 7
                else items[::-1]
            )
        case bool():
            return not node
        case int():
            return draw.pick((node + 1, node - 1, -node, *NUMBERS))
        case float():
            return draw.pick((-node, 0.0, 1e-320, 1.7e308))
        case bytes():
            at, flip = draw.below(max(1, len(node))), 1 << draw.below(8)
            if way < 4 and node:
                return node[:at] + bytes([node[at] ^ flip]) + node[at + 1 :]
            return draw.pick((node[:at], node + b"\0", draw.binary(0, 70), bytes(len(node)), b"\xff" * len(node)))
        case str():
            at = draw.below(max(1, len(node)))
            if way < 4 and node:
                return node[:at] + chr(32 + draw.below(95)) + node[at + 1 :]
            return draw.pick((node[:at], node + "0", node.upper(), *TEXTS))
        case _:
            return draw.pick(NUMBERS)
