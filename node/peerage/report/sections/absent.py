"""Which peer is not in which sum: missing though it was due, or resting as its schedule says."""

from peerage.launch.summary import Missing, Summary
from peerage.report import energy
from peerage.report.amounts import Amount, figure
from peerage.report.html import Html, el, join, table
from peerage.report.reading import Told


def body(told: Told) -> Html:
    if told.summary is None:
        return el("p", "Without a summary this is unknown.", class_="none")
    return join([_missing(told.summary), *_schedule(told.summary), *_drained(told, told.summary)])


def _missing(summary: Summary) -> Html:
    if not summary.missing:
        due = "every registered peer" if summary.schedule is None else "every peer that was due"
        return el("p", f"Nobody: {due} is in the sum of every round that was reported.")
    note = "Their training was not lost: a version that missed one round goes into the next."
    rows = _by_peer(summary.missing)
    return join([el("p", note), table("Rounds without a peer's update", ("peer", "missed", "rounds"), rows)])


def _schedule(summary: Summary) -> list[Html]:
    schedule = summary.schedule
    if schedule is None:
        return []
    parts = [el("p", f"Schedule: {schedule.policy}. Who rests by it trains nothing in that round and is not missing.")]
    if summary.resting:
        parts.append(table("Rounds in which a peer rested", ("peer", "rested", "rounds"), _by_peer(summary.resting)))
    names = {address: name for name, address in summary.accounts.items()}
    rows = [
        (names.get(one.peer, one.peer), one.profile, "synthetic: made up" if one.synthetic else "measured, or steady")
        for one in schedule.profiles
    ]
    if rows:
        parts.append(table("Energy of the peers, as the settings have it", ("peer", "profile", "origin"), rows))
    return parts


def _drained(told: Told, summary: Summary) -> list[Html]:
    """What batteries gave by agreement, beside what the peers' own records say that they used."""
    absent = [one.address for one in (*summary.missing, *summary.resting)]
    metered, rows = energy.by_peer(told), list[tuple[str, str, str]]()
    for one in summary.schedule.profiles if summary.schedule else ():
        if one.cost_j is None:
            continue
        rounds = max(0, summary.rounds - absent.count(one.peer))
        used = next((x for address, x in metered.items() if address.lower() == one.peer.lower()), None)
        rows.append(
            (
                told.name(one.peer),
                f"{rounds} rounds of {one.cost_j} J: {rounds * one.cost_j} J (assumed)",
                _joules(used) if used else "no record",
            )
        )
    if not rows:
        return []
    note = "The schedule drained batteries by an agreed figure. Where the records say otherwise, agree on another one."
    heads = ("peer", "drained by agreement", "used, by its records over the whole run")
    return [el("p", note), table("Batteries", heads, rows)]


def _joules(used: Amount) -> str:
    low, mid, high = (figure(x / 1e6) for x in (used.energy.low, used.energy.mid, used.energy.high))
    return f"{mid} J, {low} to {high} J ({used.label.value})"


def _by_peer(absent: tuple[Missing, ...]) -> list[tuple[str, str, str]]:
    rounds: dict[str, list[int]] = {}
    for one in absent:
        rounds.setdefault(one.peer, []).append(one.round)
    return [(name, str(len(r)), ", ".join(map(str, sorted(r)))) for name, r in sorted(rounds.items())]
