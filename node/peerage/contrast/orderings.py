"""The published orderings (a) to (d) of federated against centralised training, asked of our own measurements.

Sources: Qiu et al., JMLR 24 (2023) and its earlier version 2010.06537, as far as their abstracts and citing texts say;
no cell of their tables is known here, so only orders are asked. Ours: the data sets of the grid, not theirs.

    (a) the network's share of a federated training is larger with 1 local epoch than with 5
    (b) federated emits more than centralised, up to two orders of magnitude
    (c) federated in France emits less than centralised in China or the USA (the earlier version's reading)
    (d) FedAdam below FedAvg where rows are alike, above it where they are skewed; 5 local epochs below 1; skew costs
        rounds
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import msgspec

from peerage.contrast.decisions import Verdict, Weighed, agreed, exactly, less
from peerage.emissions.labels import Band
from peerage.emissions.network import LEAST, MOST

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from peerage.contrast.side import Cell, Side
    from peerage.emissions.factors import Factor

HOME: Final = "FRA"
ELSEWHERE: Final = ("CHN", "USA")
MOST_TIMES: Final = 100  # two orders of magnitude
PER_MILLE: Final = 1000
SHARE: Final = "(a) the network's share is larger with 1 local epoch than with 5"
MORE: Final = "(b) federated emits more than centralised"
WITHIN: Final = "(b) and no more than 100 times as much"
ALIKE: Final = "(d) FedAdam emits less than FedAvg where rows are alike"
SKEWED: Final = "(d) FedAdam emits more than FedAvg where rows are skewed"
LOCAL: Final = "(d) 5 local epochs emit less than 1"
ROUNDS: Final = "(d) skewed rows need more rounds"


def abroad(country: str, preset: str) -> str:
    return f"(c) federated in {HOME} emits less than centralised in {country}, factors {preset}"


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One ordering at one place of the grid. `own`: by bands; `common`: with the power model's error common to both
    sides, where they have one (`common_known`). `figures` says the middles that were compared.
    """

    claim: str
    where: str
    seed: int
    own: Verdict
    common: Verdict
    common_known: bool
    figures: str
    why: str = ""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A claim over the whole grid: how many places say what, seeds of one place agreeing or not deciding."""

    claim: str
    own: dict[Verdict, int]
    common: dict[Verdict, int]
    split: int = 0  # of the undecided places (common error), those whose seeds say different things
    why: str = ""


@dataclass(frozen=True)
class Ground:
    """What the statements are asked of: `pue` in thousandths, `grids` by (preset, country)."""

    sides: Mapping[Cell, Side]
    pue_milli: int
    grids: Mapping[tuple[str, str], Factor]

    def like(self, side: Side, **changes: object) -> Side | None:
        return self.sides.get(msgspec.structs.replace(side.cell, **changes))

    def centre(self, side: Side) -> Side | None:
        return self.like(side, optimiser="", epochs=1)


def orderings(sides: Iterable[Side], pue_milli: int, grids: Mapping[tuple[str, str], Factor]) -> tuple[Statement, ...]:
    ground = Ground({side.cell: side for side in sides}, pue_milli, grids)
    federated = [side for side in ground.sides.values() if side.cell.optimiser]
    return tuple(one for side in federated for one in _of(side, ground))


def _of(side: Side, ground: Ground) -> Iterator[Statement]:
    cell, centre = side.cell, ground.centre(side)
    if cell.epochs == 1 and (five := ground.like(side, epochs=5)):
        yield _share(side, five)
        yield _told(LOCAL, side, Weighed(five.metered, exactly(1), five.reached), _whole(side))
    if centre:
        inside = Weighed(centre.metered, exactly(ground.pue_milli), centre.reached)
        outside = Weighed(side.metered, exactly(PER_MILLE), side.reached)
        yield _told(MORE, side, inside, outside)
        most = Weighed(centre.metered, exactly(MOST_TIMES * ground.pue_milli), centre.reached)
        yield _told(WITHIN, side, outside, most)
        yield from _elsewhere(side, centre, ground)
    if cell.optimiser == "fedadam" and (plain := ground.like(side, optimiser="fedavg")):
        if cell.partition == "iid":
            yield _told(ALIKE, side, _whole(side), _whole(plain))
        else:
            yield _told(SKEWED, side, _whole(plain), _whole(side))
    if cell.partition != "iid" and (alike := ground.like(side, partition="iid")):
        yield _more_rounds(side, alike)


def _whole(side: Side) -> Weighed:
    return Weighed(side.metered, exactly(1), side.reached)


def _told(claim: str, side: Side, small: Weighed, large: Weighed) -> Statement:
    """`figures` are what the claim is about: the energies, each times its weight, as one ratio of middles."""
    found = less(small, large)
    ratio = Fraction(small.band.mid, large.band.mid) if large.band.mid else None
    return Statement(
        claim=claim,
        where=_where(side),
        seed=side.cell.seed,
        own=found.own,
        common=found.common,
        common_known=found.common_known,
        figures="unknown" if ratio is None else f"{float(ratio):.3g} times what it is held to lie below",
        why=found.why,
    )


def _share(one: Side, five: Side) -> Statement:
    """n/(n+e) > n'/(n'+e') where n = bytes x a figure: the figure falls out, and e b' < e' b is left."""
    found = less(
        Weighed(one.metered, exactly(five.bytes_out)),
        Weighed(five.metered, exactly(one.bytes_out)),
    )
    return Statement(
        claim=SHARE,
        where=_where(one, local=False),
        seed=one.cell.seed,
        own=found.own,
        common=found.common,
        common_known=found.common_known,
        figures=f"1: {_shares(one)}; 5: {_shares(five)}",
        why=found.why,
    )


def network_share(side: Side) -> tuple[float, float]:
    """The network's part of network and meter together, by the lowest and the highest published figure."""
    moved = [preset.energy(side.bytes_out).mid for preset in (LEAST, MOST)]
    low, high = (energy / max(1, energy + side.metered.energy_uj.mid) for energy in moved)
    return low, high


def _shares(side: Side) -> str:
    low, high = network_share(side)
    return f"{100 * low:.1f} % ({LEAST.name}) to {100 * high:.1f} % ({MOST.name})"


def _elsewhere(side: Side, centre: Side, ground: Ground) -> Iterator[Statement]:
    for (preset, country), there in ground.grids.items():
        if country == HOME:
            continue
        here = ground.grids[preset, HOME]
        yield _told(
            abroad(country, preset),
            side,
            Weighed(side.metered, _grams(here, PER_MILLE), side.reached),
            Weighed(centre.metered, _grams(there, ground.pue_milli), centre.reached),
        )


def _grams(factor: Factor, times: int) -> Band:
    return Band(factor.low_mg * times, factor.mid_mg * times, factor.high_mg * times)


def _more_rounds(skewed: Side, alike: Side) -> Statement:
    """Rounds are counted: no band, but a training that did not reach the target has a lower bound of them only."""
    verdict, why = Verdict.UNDECIDED, ""
    if not alike.reached:
        why = "rows alike did not reach the target"
    elif skewed.rounds > alike.rounds or not skewed.reached:
        verdict = Verdict.REPRODUCED if skewed.rounds >= alike.rounds else Verdict.UNDECIDED
        why = "" if skewed.reached else "the skewed training did not reach the target"
    else:
        verdict = Verdict.NOT_REPRODUCED
    more = "" if skewed.reached else "more than "
    return Statement(
        claim=ROUNDS,
        where=_where(skewed),
        seed=skewed.cell.seed,
        own=verdict,
        common=verdict,
        common_known=False,
        figures=f"{more}{skewed.rounds} rounds against {alike.rounds}",
        why=why,
    )


def _where(side: Side, *, local: bool = True) -> str:
    """The place without its seed."""
    text = side.cell.words.rpartition(", seed")[0]
    return text if local else text.rpartition(", ")[0]


def over_the_grid(statements: Sequence[Statement], claims: Mapping[str, str]) -> tuple[Told, ...]:
    """`claims`: each with what to say where nothing was asked of it."""
    return tuple(_over(claim, [one for one in statements if one.claim == claim], why) for claim, why in claims.items())


def _over(claim: str, found: Sequence[Statement], why: str) -> Told:
    own: dict[Verdict, int] = {}
    common: dict[Verdict, int] = {}
    for where in dict.fromkeys(one.where for one in found):
        here = [one for one in found if one.where == where]
        for counted, verdict in (
            (own, agreed(one.own for one in here)),
            (common, agreed(one.common for one in here)),
        ):
            counted[verdict] = counted.get(verdict, 0) + 1
    split = sum(
        len({one.common for one in found if one.where == where}) > 1
        for where in dict.fromkeys(one.where for one in found)
    )
    if not found:
        own, common = {Verdict.NOT_RUN: 1}, {Verdict.NOT_RUN: 1}
    return Told(claim=claim, own=own, common=common, split=split, why="" if found else why)
