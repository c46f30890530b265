"""What each peer was paid."""

from peerage.report import charts
from peerage.report.html import Html, el, folded, join, table
from peerage.report.reading import Told

TOKEN = 10**18
MOST_DIGITS = 60


def body(told: Told) -> Html:
    if told.summary is None or not told.summary.rewards.by_peer:
        return el("p", "Nothing was paid, or nothing is known about it.", class_="none")
    rewards = told.summary.rewards
    paid = {told.name(address): _units(text) for address, text in rewards.by_peer.items()}
    earned = {name: paid.get(name, 0) for name in sorted({*told.summary.accounts, *paid})}
    rows = [charts.Bar(name, units / TOKEN, 0, 0, tokens(units), 2) for name, units in earned.items()]
    plot = charts.bars("Rewards per peer", "Tokens claimed at the end of the run.", rows)
    data = table("Rewards per peer", ("peer", "tokens", "smallest units"),
                 [(name, tokens(units), str(units)) for name, units in earned.items()])  # fmt: skip
    words = f"Paid: {tokens(_units(rewards.paid))} of a pool of {tokens(_units(rewards.pool))}. "
    return join([
        el("p", words + "Why a peer earned what it earned: peerage audit RUN_DIR --explain PEER."),
        el("figure", el("figcaption", "Rewards per peer, tokens"), plot, folded("The figures as a table", data)),
    ])  # fmt: skip


def _units(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else 0


def tokens(units: int) -> str:
    return f"{units / TOKEN:.2f}"
