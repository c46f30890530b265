"""Groups of peers side by side, so that one whose data the model does not know is seen: regions, sorts of energy, or
countries.

Everybody adopts one model and measures it on one test split, so that figure is alike for all and hides who was left
out. Here the final model is counted on the rows that each peer held back from its own.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Final, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from peerage.config import Federation
    from peerage.metrics import RoundMetrics

Kind = Literal["region", "energy", "country"]
STEADY: Final = "steady"
LEAST_GAP: Final = 0.05  # of accuracy: less is not called lagging
ERRORS: Final = 2  # standard errors: what so few rows give by chance is not called lagging either
TURNOUT: Final = 0.75  # of its even share of the weight: below it a group is said to take part less


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """`taken` of `turns` (peers x reported rounds) are in the sums. Of `rows` held-out rows of the group's peers
    the final model gets `right` right; `mean` and `worst` are over its peers, where they have such rows.
    """

    name: str
    peers: tuple[str, ...]
    taken: int | None = None  # null: plain exchange has no sums
    turns: int | None = None
    weight: float | None = None  # its part of all updates in the sums, each times the scale of its turn; null: unknown
    rows: int = 0
    right: int = 0
    mean: float | None = None
    worst: float | None = None


class Groups(msgspec.Struct, frozen=True, kw_only=True):
    """`by` is what divides the peers; `lagging` are sentences, none where nothing lags."""

    by: Kind
    groups: tuple[Group, ...]
    lagging: tuple[str, ...] = ()

    @property
    def worst(self) -> float | None:
        """Accuracy of the group that the final model serves worst, over its held-out rows."""
        return min((g.right / g.rows for g in self.groups if g.rows), default=None)


def divided(
    federation: Federation, accounts: Mapping[str, str], countries: Mapping[str, str]
) -> tuple[Kind, dict[str, list[str]]] | None:
    """Names of peers by group: declared regions, else sorts of energy profiles, else countries; None where nothing
    divides them. `accounts` and `countries` are by peer name.
    """
    by_address = {address.lower(): name for name, address in accounts.items()}

    def called(peer: str) -> str:
        return by_address.get(peer.lower(), peer)

    if federation.regions:
        return "region", {region.name: sorted(map(called, region.peers)) for region in federation.regions}
    if federation.energy:
        sorts = {called(one.peer): one.profile.partition(":")[0] for one in federation.energy}
        return _apart("energy", {name: sorts.get(name, STEADY) for name in accounts})
    return _apart("country", {name: countries.get(name, "unknown") for name in accounts})


def _apart(kind: Kind, group_of: Mapping[str, str]) -> tuple[Kind, dict[str, list[str]]] | None:
    found: dict[str, list[str]] = {}
    for name in sorted(group_of):
        found.setdefault(group_of[name], []).append(name)
    return (kind, dict(sorted(found.items()))) if len(found) > 1 else None


def compose(
    division: tuple[Kind, Mapping[str, Sequence[str]]],
    survivors: Mapping[int, frozenset[str]],
    right: Mapping[str, tuple[int, int]],
    scales: Mapping[tuple[str, int], Fraction] | None,
) -> Groups:
    """`survivors`: names in the sum, by reported round; `right`: (rows, right ones) by peer name; `scales` by name and
    round, 1 where none is given (None: not known).
    """
    kind, members = division
    counts = {
        (name, number): Fraction(1) if scales is None else scales.get((name, number), Fraction(1))
        for number, names in survivors.items()
        for name in names
    }
    groups = tuple(
        _group(name, tuple(peers), (len(survivors), counts, scales is not None), right)
        for name, peers in members.items()
    )
    return Groups(by=kind, groups=groups, lagging=tuple(_lagging(groups)))


def in_sums(metrics: Iterable[RoundMetrics], accounts: Mapping[str, str]) -> dict[int, frozenset[str]]:
    """Names of those whose updates are in each round's sum, by the members' own lists."""
    names = {address: name for name, address in accounts.items()}
    found: dict[int, set[str]] = {}
    for line in metrics:
        if line.survivors:
            found.setdefault(line.round, set()).update(names[a] for a in line.survivors if a in names)
    return {number: frozenset(found[number]) for number in sorted(found)}


def _group(
    name: str,
    peers: tuple[str, ...],
    turns: tuple[int, Mapping[tuple[str, int], Fraction], bool],
    right: Mapping[str, tuple[int, int]],
) -> Group:
    rounds, counts, known = turns
    own = [scale for (peer, _), scale in counts.items() if peer in peers]
    everything = sum(counts.values())
    counted = [right[peer] for peer in peers if right.get(peer, (0, 0))[0]]
    shares = [hits / rows for rows, hits in counted]
    return Group(
        name=name,
        peers=peers,
        taken=len(own) if rounds else None,
        turns=len(peers) * rounds if rounds else None,
        weight=float(sum(own) / everything) if everything and known else None,
        rows=sum(rows for rows, _ in counted),
        right=sum(hits for _, hits in counted),
        mean=math.fsum(shares) / len(shares) if shares else None,
        worst=min(shares, default=None),
    )


def _lagging(groups: Sequence[Group]) -> Iterator[str]:
    """Each group against all the others together."""
    for one in groups:
        others = [g for g in groups if g is not one]
        rows, right = sum(g.rows for g in others), sum(g.right for g in others)
        if one.rows and rows:
            own, rest, pooled = one.right / one.rows, right / rows, (one.right + right) / (one.rows + rows)
            error = math.sqrt(pooled * (1 - pooled) * (1 / one.rows + 1 / rows))
            if rest - own > max(LEAST_GAP, ERRORS * error):
                yield (
                    f"{one.name} lags in accuracy: the final model is right on {100 * own:.1f} % of its {one.rows} "
                    f"held-out rows, on {100 * rest:.1f} % of the others' {rows}"
                )
        taken, turns = sum(g.taken or 0 for g in groups), sum(g.turns or 0 for g in groups)
        if one.taken is None or not one.turns or not taken:
            continue
        share = one.weight if one.weight is not None else one.taken / taken
        if share * turns < TURNOUT * one.turns:
            weighs = "" if one.weight is None else f", {100 * share:.1f} % of all weight"
            yield (
                f"{one.name} takes part less: {one.taken} of its {one.turns} turns are in the sums{weighs}, "
                f"{taken} of {turns} for all"
            )
