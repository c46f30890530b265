"""What an audit says: while it works, how much time is left; afterwards, why a peer earned what it earned."""

from __future__ import annotations

import io
from dataclasses import replace

import msgspec
import pytest

from peerage.audit.explain import TOTALS, WHY, Explanation, Row, points, reason_of
from peerage.audit.progress import Progress, seconds
from peerage_ledger.audit.pay import Earning

CREDIT = 10**18
EARNED = Earning(
    1, True, True, 3 << 10, 10, False, 3 << 127, 1, False, 3 << 127, 0.25, CREDIT, CREDIT // 4, CREDIT // 4
)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_takes_less_than_a_second_says_nothing() -> None:
    stream, clock = Terminal(), Clock()
    told = Progress(stream, clock)
    for done in range(10):
        clock.now += 0.05
        told("rounds", done, 10)
    assert stream.getvalue() == ""


def test_the_time_left_follows_from_the_speed() -> None:
    stream, clock = Terminal(), Clock()
    told = Progress(stream, clock)
    for done in range(1, 302):
        told("rounds", done, 1000)
        clock.now += 0.1
    told.end()
    assert "audit: rounds 300 of 1000, 10 a second, 1:10 left" in stream.getvalue()
    assert stream.getvalue().endswith("\n")


def test_a_log_gets_a_line_now_and_then() -> None:
    stream, clock = io.StringIO(), Clock()
    told = Progress(stream, clock)
    for done in range(1, 302):
        told("rounds", done, 1000)
        clock.now += 0.1
    assert stream.getvalue().count("\n") in {2, 3}
    assert "\r" not in stream.getvalue()


def test_times_are_written_as_people_do() -> None:
    assert [seconds(n) for n in (3, 62, 3723)] == ["3 s", "1:02", "1:02:03"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (EARNED, "paid"),
        (replace(EARNED, capped=True), "capped"),
        (replace(EARNED, number=None), "closed"),
        (replace(EARNED, number=None, mean=0), "closed-nothing"),
        (replace(EARNED, mean=-1, pay=0), "nothing"),
        (replace(EARNED, attended=False, number=None, pay=0), "absent"),
        (replace(EARNED, scored=False, number=None, pay=0), "unscored"),
        (replace(EARNED, voided=True, pay=0), "voided"),
    ],
)
def test_every_round_has_its_reason_in_words(row: Earning, reason: str) -> None:
    assert reason_of(row) == reason
    why = Explanation("peer-01", [row], 12, 2, row.pay, 0)
    assert WHY[reason] in why.in_words()
    assert reason == "paid" or TOTALS[reason] in why.in_words()
    (line,) = why.table()
    assert (line.reason, line.pay) == (reason, str(row.pay))


def test_the_end_adds_up() -> None:
    rows = [EARNED, replace(EARNED, round=2, attended=False, number=None, pay=0)]
    words = Explanation("peer-01", rows, 12, 2, CREDIT // 4, CREDIT // 8).in_words()
    assert "In all 0.25 PEER, of which 0.12 are claimed; 0.12 can still be claimed." in words
    assert "attended 1 of 2 rounds and was paid in 1 of them" in words
    assert "1 rounds without its update paid it nothing" in words
    assert "hold 2.00 PEER; this peer has 12.5 % of them" in words


def test_numbers_are_shown_in_the_unit_of_their_round() -> None:
    assert points(3 << 10, 10) == "3"
    assert points(-5, -2) == "-20"


def test_the_keys_of_a_row_are_those_of_the_page() -> None:
    keys = "round reason number exponent value mean counted share pot pay cumulative"
    assert list(msgspec.structs.asdict(Explanation("p", [EARNED], 12, 2, 1, 1).table()[0])) == keys.split()
    assert list(Row.__struct_fields__) == keys.split()
