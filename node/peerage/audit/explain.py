"""Why a peer earned what it earned, for whoever signs the transfer: a line for each round, and what it comes to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from peerage.launch.live import amount
from peerage_ledger.rewards import EXPONENT_RANGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peerage_ledger.audit.pay import Earning

HEAD: Final = ("round", "number", "counts as", "mean", "share", "pot", "pay", "in all", "why")


class Row(msgspec.Struct, frozen=True):
    """One round in `--json`: amounts are decimal strings of the smallest unit, numbers exact integers as strings.

    The opened number is `number` x 2^-`exponent`; `value` and `mean` are in units of 2^-127. `reason` is a code.
    """

    round: int
    reason: str
    number: str | None
    exponent: int
    value: str
    mean: str
    counted: int
    share: float
    pot: str
    pay: str
    cumulative: str


@dataclass(frozen=True)
class Explanation:
    """`called` is the peer as people call it; amounts in the smallest unit."""

    called: str
    rows: Sequence[Earning]
    window: int
    cap: int
    due: int
    claimed: int
    settled: int = 0  # rounds whose pay a quorum has signed

    def table(self) -> tuple[Row, ...]:
        return tuple(
            Row(
                round=r.round,
                reason=reason_of(r),
                number=None if r.number is None else str(r.number),
                exponent=r.exponent,
                value=str(r.value),
                mean=str(r.mean),
                counted=r.counted,
                share=r.share,
                pot=str(r.pot),
                pay=str(r.pay),
                cumulative=str(r.cumulative),
            )
            for r in self.rows
        )

    def in_words(self) -> str:
        """The table with its legend, and what it comes to."""
        cells = [HEAD, *(self._cells(row) for row in self.rows)]
        widths = [max(len(line[i]) for line in cells) for i in range(len(HEAD) - 1)]
        lines = ["  ".join([*(c.rjust(w) for c, w in zip(line, widths, strict=False)), line[-1]]) for line in cells]
        return "\n".join([f"{self.called}, round by round:", *lines, "", self._legend(), self._total()])

    def _cells(self, row: Earning) -> tuple[str, ...]:
        start, end = f"round {row.round}", (amount(str(row.pot)), amount(str(row.pay)), amount(str(row.cumulative)))
        reason = reason_of(row)
        if reason in {"absent", "unscored", "voided"}:
            shown = "-" if row.number is None else points(row.number, row.exponent)
            return (start, shown, "-", "-", "-", *end, WHY[reason])
        number = "closed" if row.number is None else points(row.number, row.exponent)
        counted = (points(row.value), points(row.mean))
        return (start, number, *counted, f"{100 * row.share:.1f} %", *end, WHY[reason])

    def _legend(self) -> str:
        return (
            "number: what the peer's masked update was worth along the direction of the round, opened by all; counts "
            f"as: the same, cut at {self.cap} times the median of the positive ones; mean: over the last {self.window} "
            "rounds that it attended; share: its mean over the sum of all positive means of the round; pay: that share "
            "of the pot."
        )

    def _total(self) -> str:
        reasons = Counter(reason_of(row) for row in self.rows)
        attended = sum(row.attended for row in self.rows)
        pots = sum(row.pot for row in self.rows)
        parts = [f"In all {amount(str(self.due))} PEER, of which {amount(str(self.claimed))} are claimed"]
        parts.append(
            f"; {amount(str(self.due - self.claimed))} can still be claimed." if self.due > self.claimed else "."
        )
        parts.append(f" It attended {attended} of {len(self.rows)} rounds and was paid in {_paid(self.rows)} of them.")
        for reason, sentence in TOTALS.items():
            if reasons[reason]:
                parts.append(f" {reasons[reason]} {sentence}.")
        later = sum(row.pay for row in self.rows[self.settled :]) if self.settled else 0
        if later:
            rounds = len(self.rows) - self.settled
            parts.append(f" The last {rounds} rounds are not settled yet: they bring {amount(str(later))} more.")
        if pots:
            of_pots = f"{100 * (self.due + later) / pots:.1f} % of them"
            parts.append(f" The pots of these rounds hold {amount(str(pots))} PEER; this peer has {of_pots}.")
        return "".join(parts)


WHY: Final = {
    "paid": "paid by its share",
    "capped": "paid by its share; the number was cut at the cap",
    "closed": "its number stayed closed and counts as 0; paid by its earlier rounds",
    "nothing": "nothing: its mean is not positive",
    "closed-nothing": "nothing: its number stayed closed and counts as 0, and its mean is not positive",
    "absent": "nothing: its update is not in the sum",
    "unscored": "nothing for anybody: the round was closed without scores, its pot stays in the pool",
    "voided": "nothing for anybody: the round was proven wrong on the chain, its pot stays in the pool",
}
TOTALS: Final = {
    "absent": "rounds without its update paid it nothing",
    "unscored": "rounds were closed without scores and paid nobody",
    "voided": "rounds were voided on the chain and paid nobody",
    "capped": "times its number was cut at the cap",
    "nothing": "times its mean was not positive",
    "closed": "times its number stayed closed and counted as 0",
    "closed-nothing": "times its number stayed closed and its mean was not positive",
}


def reason_of(row: Earning) -> str:
    """One word for why a round paid what it paid: a key of WHY."""
    if not row.scored:
        return "unscored"
    if row.voided:
        return "voided"
    if not row.attended:
        return "absent"
    if row.number is None:
        return "closed" if row.mean > 0 else "closed-nothing"
    if row.mean <= 0:
        return "nothing"
    return "capped" if row.capped else "paid"


def points(number: int, exponent: int = EXPONENT_RANGE) -> str:
    """Number x 2^-exponent with four digits; for people, exact integers are in `--json`."""
    value = number / 2**exponent if exponent >= 0 else float(number * 2**-exponent)
    return f"{value:.4g}"


def _paid(rows: Sequence[Earning]) -> int:
    return sum(row.pay > 0 for row in rows)
