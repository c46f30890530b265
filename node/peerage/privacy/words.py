"""The privacy meter in words: figures with their adversary, never a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from peerage.privacy.meter import PeerMeter, PrivacySummary


def in_words(
    privacy: PrivacySummary, names: Mapping[str, str], *, clip: float, openings: bool, sketches: int = 0
) -> Iterator[str]:
    """`names` of peers by account address; `sketches`: how many projections of each update a session opens."""
    told = {names.get(address, address): meter for address, meter in privacy.by_peer.items() if meter.sums}
    if not told:
        yield "Privacy: no sum was unmasked."
        return
    smallest = min(meter.smallest_honest_sum or 0 for meter in told.values())
    opened = max(meter.numbers_opened for meter in told.values())
    perhaps = sum(meter.perhaps for meter in told.values())
    yield (
        f"Privacy: every sum held at least {smallest} honest peers if {privacy.colluders} collude; "
        f"{f'opened besides: up to {opened} numbers of each update, for pay' if openings else 'no number was opened'}"
        f"{f'; {perhaps} votes were for sums that nobody published' if perhaps else ''}."
    )
    if sketches:
        yield (
            f"Opened besides in each session, before its sum: {sketches} random projections of every update, "
            "also of those that were left out of it."
        )
    if any(meter.half_sums for meter in told.values()):
        yield _halves(told)
    yield _differences(told)
    yield _solved(told)
    yield _epsilon(privacy, told, clip)


def _halves(told: Mapping[str, PeerMeter]) -> str:
    """Private validation: what was summed, and from when on single gradients could be solved for."""
    smallest = min(meter.smallest_honest_half or 0 for meter in told.values() if meter.half_sums)
    sums = max(meter.half_sums for meter in told.values())
    solved = [meter.halves_solved_in_round for meter in told.values() if meter.halves_solved_in_round]
    if solved:
        since = f"since round {min(solved)} those sums would give away single peers' (each round draws other halves)"
    else:
        since = "those sums would give away nobody's"
    return (
        f"Known besides: up to {sums} sums that hold a peer's path gradient on the rows that it holds back, each of at "
        f"least {smallest} honest peers; were path gradients the same in every round, {since}."
    )


def _differences(told: Mapping[str, PeerMeter]) -> str:
    narrow = min(meter.hidden_among or 0 for meter in told.values())
    who = [name for name, meter in told.items() if meter.hidden_among == narrow]
    changes = [meter.survivor_change for meter in told.values() if meter.survivor_change]
    if not changes:
        return f"All sums were over the same {narrow} peers: no difference between two of them tells more."
    return (
        f"Two sums differed by {min(changes)} of their peers at the least; the fewest peers whose sum is known are "
        f"{narrow} ({', '.join(who[:4])}{' ...' if len(who) > 4 else ''})."
    )


def _solved(told: Mapping[str, PeerMeter]) -> str:
    solved = {name: meter.solved_in_round for name, meter in told.items() if meter.solved_in_round}
    some = next(iter(told.values()))
    until = {meter.rounds_until_solved for meter in told.values()} - {None}
    if solved:
        said = ", ".join(f"{name} since round {number}" for name, number in list(solved.items())[:4])
        more = f" and {len(solved) - 4} more" if len(solved) > 4 else ""
        first = f"Were updates the same in every round, the sums would give away {said}{more}"
    else:
        first = "Were updates the same in every round, the sums would give away nobody"
    pace = f"; at this pace all of them after {max(u for u in until if u)} more rounds" if until else ""
    return f"{first} ({some.rank} independent sums of {some.peers} peers{pace})."


def _epsilon(privacy: PrivacySummary, told: Mapping[str, PeerMeter], clip: float) -> str:
    if not privacy.noise:
        return f"Updates clipped at L2 norm {clip:g}; no differential privacy (epsilon: none)."
    delta = next(iter(told.values())).delta
    sums = max(meter.sums + meter.perhaps for meter in told.values())
    return (
        f"Differential privacy: noise {privacy.noise:g} at clip {clip:g}, unit {privacy.unit.partition(',')[0]}. "
        f"After {sums} sums epsilon is {_largest(m.epsilon for m in told.values())} at delta {delta:g} against "
        f"{privacy.against}; {_largest(m.epsilon_alone for m in told.values())} if all others collude. "
        "No amplification is claimed; times, energy and who took part are not covered."
    )


def _largest(values: Iterator[float | None]) -> str:
    """The worst of the peers; where no number holds, its place is not left to hope."""
    found = list(values)
    return "too large to state" if None in found else f"{max(v for v in found if v is not None):.3g}"
