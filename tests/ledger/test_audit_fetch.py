"""Reading a chain from a node that limits: ranges shrink and grow, pauses are kept, and an end comes when it must."""

from __future__ import annotations

from typing import Any

import pytest

from peerage_crypto.errors import ChainError, Unreachable
from peerage_ledger.archive import fetch
from peerage_ledger.archive.fetch import Fetcher
from peerage_ledger.devnets.follow import Block
from peerage_ledger.rpc import NotAnEvm, RpcError, TooBusy


class Node:
    """Blocks 0..99; `most` at once; `moods` are raised first, one a question."""

    url = "http://node"

    def __init__(self, most: int = 1000, moods: tuple[Exception, ...] = ()) -> None:
        self.most, self.moods = most, list(moods)
        self.asked: list[tuple[int, int]] = []

    def blocks(self, _: object, first: int, last: int, *, receipts: bool) -> list[Block]:
        assert receipts
        self.asked.append((first, last))
        if self.moods:
            raise self.moods.pop(0)
        if last - first + 1 > self.most:
            raise RpcError("eth_getBlockByNumber", -32005, "too many", b"")
        return [Block(n, f"0x{n:064x}", f"0x{n - 1:064x}", {}, (), ()) for n in range(first, min(last, 99) + 1)]


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Any:
    def made(node: Node, last: int = 99) -> tuple[list[int], list[float]]:
        monkeypatch.setattr(fetch.follow, "blocks", node.blocks)
        pauses: list[float] = []
        fetcher = Fetcher(node, pauses.append)  # type: ignore[arg-type]
        return [block.number for block in fetcher.blocks(0, last)], pauses

    return made


def test_everything_once_and_in_order(reading: Any) -> None:
    node = Node()
    assert reading(node) == (list(range(100)), [])
    assert len(node.asked) == 2


@pytest.mark.parametrize("most", [1, 5, 17])
def test_a_node_that_limits_ranges_is_asked_for_less(reading: Any, most: int) -> None:
    numbers, pauses = reading(Node(most=most))
    assert numbers == list(range(100))
    assert pauses == []  # a refusal of many is answered at once with few


def test_a_busy_node_is_given_the_time_it_asks_for(reading: Any) -> None:
    moods = (TooBusy("busy", 7.0), TooBusy("busy", 0.0), Unreachable("gone"))
    numbers, pauses = reading(Node(moods=moods))
    assert numbers == list(range(100))
    assert pauses == [7.0, 0.5, 1.0]


def test_patience_ends(reading: Any) -> None:
    with pytest.raises(Unreachable):
        reading(Node(moods=tuple(Unreachable("gone") for _ in range(99))))
    with pytest.raises(ChainError, match="refuses even one block"):
        reading(Node(most=0))


def test_what_is_no_node_is_said_at_once(reading: Any) -> None:
    with pytest.raises(NotAnEvm):
        reading(Node(moods=tuple(NotAnEvm("a web page") for _ in range(99))))
