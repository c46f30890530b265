"""The cursor's file: what it brings back, what it throws away."""

import random
from types import SimpleNamespace

import pytest

from peerage_ledger.cursor import CursorFile, Log, Span

PLACE = SimpleNamespace(chain_id=31337, ledger=b"\x01" * 20, start_block=5)
LOG = Log("01" * 20, ("ab" * 32,), "00", "cd" * 32)


def spans(count):
    return [Span(5 + 3 * i, 7 + 3 * i, f"0x{i:064x}", (LOG,) * (i % 3)) for i in range(count)]


def filled(path, count):
    cursor = CursorFile(path, PLACE)
    for span in spans(count):
        cursor.append(span)
    return cursor


def test_it_comes_back_as_it_was(tmp_path):
    filled(tmp_path / "c", 4)
    again = CursorFile(tmp_path / "c", PLACE)
    assert again.spans == spans(4)
    assert again.seen == (16, f"0x{3:064x}")
    assert CursorFile(tmp_path / "new" / "c", PLACE).seen == (4, "")


def test_what_is_cut_is_gone_from_the_disk_too(tmp_path):
    cursor = filled(tmp_path / "c", 4)
    cursor.cut(12)
    assert cursor.spans == spans(2)
    assert CursorFile(tmp_path / "c", PLACE).spans == spans(2)
    cursor.append(spans(3)[2])
    assert CursorFile(tmp_path / "c", PLACE).spans == spans(3)
    cursor.cut(-1)
    assert CursorFile(tmp_path / "c", PLACE).spans == []


def test_spans_follow_one_another(tmp_path):
    cursor = filled(tmp_path / "c", 2)
    for wrong in (Span(10, 12, "0x"), Span(12, 13, "0x"), Span(11, 10, "0x")):
        with pytest.raises(ValueError, match="do not follow block 10"):
            cursor.append(wrong)


@pytest.mark.parametrize("seed", range(40))
def test_a_torn_or_foreign_file_keeps_its_good_beginning(tmp_path, seed):
    dice = random.Random(seed)
    path = tmp_path / "c"
    filled(path, 5)
    blob = bytearray(path.read_bytes())
    at = dice.randrange(len(blob))
    damaged = blob[:at] if seed % 2 else blob[:at] + bytes([blob[at] ^ 0x20]) + blob[at + 1 :]
    path.write_bytes(damaged)
    cursor = CursorFile(path, PLACE)
    good = bytes(blob[:at]).count(b"\n") - 1  # whole lines before the damage, without the header
    assert [s.last for s in cursor.spans[: max(good, 0)]] == [s.last for s in spans(max(good, 0))]
    cursor.append(Span(cursor.seen[0] + 1, cursor.seen[0] + 1, "0x"))
    assert CursorFile(path, PLACE).spans == cursor.spans


def test_another_deployments_cursor_is_thrown_away(tmp_path):
    filled(tmp_path / "c", 3)
    other = SimpleNamespace(chain_id=31337, ledger=b"\x02" * 20, start_block=5)
    assert CursorFile(tmp_path / "c", other).spans == []
