"""The attack lab's federations: training, clipping, quantising, merging, scoring are the product's own functions.

Masked: peers in buckets, attackers in as many different buckets as there are of them (their best seats), the sums
merged by `rounds.merging`. Plain: every peer merges what it is served. No networks, masks or chains: what those add
against attackers is tested elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.attack_kinds import Knowledge, crafted, flipped
from peerage.learning.data import Dataset, load
from peerage.learning.model import build, from_vector, to_vector
from peerage.learning.partitions import partition
from peerage.learning.scoring import integer_direction, novel, path_gradient
from peerage.learning.trainer import TrainSettings, draw_seed, evaluate, train
from peerage.plain.rules import MergeRule
from peerage.rounds.aggregation import Grid, base_of, masked_input, metrics, update_of
from peerage.rounds.merging import Merging
from peerage.rounds.optimisers import Optimiser
from peerage_crypto.digest import tagged
from peerage_crypto.masking import total_of
from peerage_ledger.judgement import genesis
from peerage_ledger.plain_judgement import weights_of
from peerage_ledger.rewards import comparable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Model = NDArray[np.float32]
    Units = NDArray[np.int64]

    # seats that a check on single updates leaves out before the sum is unmasked
    Screen = Callable[[Mapping[int, Units], Grid], frozenset[int]]

SCREENS: dict[str, Screen] = {}  # name -> screen; opened sketches register theirs here


@dataclass(frozen=True)
class Setup:
    """`bad` attackers sit in the first seats; `buckets` matters to masked rounds alone."""

    exchange: str = "masked"
    rule: str = "mean"
    attack: str = "none"
    partition: str = "iid"
    peers: int = 35
    buckets: int = 7
    bad: int = 2
    rounds: int = 10
    momentum: float = 0.9
    clip: float = 8.0
    frac_bits: int = 16
    screens: tuple[str, ...] = ()


@dataclass
class Played:
    """`accuracy` of the honest, on the test rows; `named` says which detector named how many of whom."""

    accuracy: float = 0.0
    attackers: float = 0.0  # accuracy of the attackers' own models (plain)
    void: int = 0  # rounds without a model
    named: dict[str, set[int]] = field(default_factory=dict[str, set[int]])

    def name(self, detector: str, seats: set[int] | frozenset[int]) -> None:
        self.named.setdefault(detector, set()).update(seats)


class Site:
    """All peers' rows and one network that they take turns with."""

    def __init__(self, setup: Setup, seed: int) -> None:
        splits = load("digits", seed)
        assert splits.validation is not None
        parts = partition(splits.train.labels, setup.partition, setup.peers, seed)
        self.rows = [splits.train.take(part) for part in parts]
        self.test, self.validation, self.seed = splits.test, splits.validation, seed
        self.model = build(splits.train.input_shape, 10, seed)
        self.first = to_vector(self.model)
        self.settings = TrainSettings(2, 16, 0.3)

    def trained(self, seat: int, start: Model, number: int, rows: Dataset | None = None) -> NDArray[np.float64]:
        """The update that a fine-tune of this seat gives."""
        from_vector(self.model, start)
        train(self.model, self.rows[seat] if rows is None else rows, self.settings, draw_seed(self.seed, seat, number))
        return to_vector(self.model).astype(np.float64) - start.astype(np.float64)

    def accuracy(self, model: Model) -> float:
        from_vector(self.model, np.nan_to_num(model))
        return evaluate(self.model, self.test).accuracy


def play(setup: Setup, seed: int) -> Played:
    """One federation from its first model to its last round."""
    site = Site(setup, seed)
    return _masked(setup, site) if setup.exchange == "masked" else _plain(setup, site)


# -- masked rounds -----------------------------------------------------------------------------------------------------


def _masked(setup: Setup, site: Site) -> Played:
    played, grid = Played(), Grid(32, setup.frac_bits, setup.clip)
    buckets = 1 if setup.rule == "mean" else setup.buckets
    merging = Merging(grid, Optimiser(momentum=setup.momentum), setup.rule, 0 if setup.rule == "mean" else setup.bad)
    model, step, applied = site.first, np.zeros_like(site.first), list[np.ndarray]()
    scores: dict[int, list[int]] = {}
    for number in range(1, setup.rounds + 1):
        base = base_of(model, step, setup.momentum)
        updates = _updates(setup, site, base, number, grid, played, -(-setup.peers // buckets))
        units = {seat: _units(update) for seat, update in updates.items()}
        for screen in setup.screens:
            out = SCREENS[screen](units, grid)
            played.name(screen, out)
            units = {seat: unit for seat, unit in units.items() if seat not in out}
        sums, counts = _sums(units, updates, site, grid, buckets)
        merged = merging.merge(replace(genesis(b"", model, b""), step=step), sums, counts)
        if isinstance(merged, str):
            played.void += 1
            continue
        found = merged.model
        moved = (found.astype(np.float64) - base.astype(np.float64)).astype(np.float32)
        gbar = novel(path_gradient(site.model, base, moved, site.validation), applied)
        g, exponent = integer_direction(gbar, tagged("lab", number.to_bytes(8, "big")), grid)
        for seat, unit in units.items():
            score = int(np.dot(unit, g)) % (1 << 32)  # the opened number is one of the ring
            score -= (score >> 31) << 32
            scores.setdefault(seat, []).append(comparable(score, exponent))
        step = (found.astype(np.float64) - model.astype(np.float64)).astype(np.float32)
        applied, model = [step, *applied][:3], found
    played.name("unpaid", {seat for seat, mine in scores.items() if fmean(mine) <= 0})
    played.accuracy = site.accuracy(model)
    return played


def _updates(
    setup: Setup, site: Site, base: Model, number: int, grid: Grid, played: Played, members: int
) -> dict[int, object]:
    """Every seat's update as `update_of` or an attacker gives it."""
    bad = range(setup.bad if setup.attack != "none" else 0)
    flips = setup.attack == "label-flip"
    honest = {seat: site.trained(seat, base, number) for seat in range(setup.peers) if seat not in bad}
    updates: dict[int, object] = {}
    for seat in bad:
        own = site.trained(seat, base, number, flipped(site.rows[seat]) if flips else None)
        # others in the sum take up some of the bound
        known = Knowledge(own, list(honest.values()), setup.peers, setup.bad, setup.clip, 0.8 * members * setup.clip)
        vector = crafted(setup.attack, known)
        if setup.attack in {"huge", "oversize"}:
            template = update_of(base, base, grid, b"lab")
            units = np.rint(vector * 2.0**setup.frac_bits).astype(np.int64)
            updates[seat] = replace(template, units=units) if hasattr(template, "units") else units
            continue
        try:
            updates[seat] = update_of((base + vector).astype(np.float32), base, grid, _dither(seat, number))
        except ValueError:
            played.name("refused", {seat})
    for seat, delta in honest.items():
        updates[seat] = update_of((base + delta).astype(np.float32), base, grid, _dither(seat, number))
    return updates


def _dither(seat: int, number: int) -> bytes:
    return tagged("lab", seat.to_bytes(4, "big"), number.to_bytes(4, "big"))


def _units(update: object) -> Units:
    found: Units = getattr(update, "units", update)  # type: ignore[assignment]
    return found


def _sums(
    units: Mapping[int, Units], updates: Mapping[int, object], site: Site, grid: Grid, buckets: int
) -> tuple[list[np.ndarray], list[int]]:
    """The sum of each bucket in the ring, as it stands there once the masks are gone."""
    sums: dict[int, np.ndarray] = {}
    counts: dict[int, int] = {}
    for seat in units:
        own = metrics(len(site.rows[seat]), 0, 0.0)
        vector = masked_input(updates[seat], own, grid)  # type: ignore[arg-type]
        bucket = seat % buckets
        sums[bucket] = total_of([sums[bucket], vector], grid.ring) if bucket in sums else vector
        counts[bucket] = counts.get(bucket, 0) + 1
    return [sums[bucket] for bucket in sorted(sums)], [counts[bucket] for bucket in sorted(counts)]


# -- plain exchange ----------------------------------------------------------------------------------------------------


def _plain(setup: Setup, site: Site) -> Played:
    played, rule = Played(), MergeRule(setup.rule, 0 if setup.rule == "mean" else setup.bad, setup.rounds)
    bad = range(setup.bad if setup.attack != "none" else 0)
    models = [site.first] * setup.peers
    convicted: set[int] = set()
    for number in range(1, setup.rounds + 1):
        served = _served(setup, site, models, number, bad)
        for seat in bad:
            if len({served[seat, to].tobytes() for to in range(setup.peers)}) > 1 and setup.attack != "selfish-unseen":
                played.name("convicted", {seat})  # by two signed statements, which the next pull brings together
        known: dict[tuple[bytes, int | None], Model] = {}
        merged: list[Model] = []
        for me in range(setup.peers):
            taken = [seat for seat in range(setup.peers) if seat == me or seat not in convicted]
            good = [
                seat for seat in taken if not isinstance(weights_of(_bytes(served[seat, me]), len(site.first)), str)
            ]
            played.name("refused", set(taken) - set(good))
            own = good.index(me) if me in good else None
            key = (b"".join(served[seat, me].tobytes() for seat in good), own if _local(setup) else None)
            if rule.rule != "mean" and rule.too_few(len(good), brings_own=own is not None):
                merged.append(models[me])
                continue
            if key not in known:
                rows = [len(site.rows[seat]) for seat in good]
                known[key] = rule([served[seat, me] for seat in good], rows, own, number)
            merged.append(known[key])
        models = merged
        convicted |= played.named.get("convicted", set())
    played.named = {name: seats for name, seats in played.named.items() if seats}
    values = {model.tobytes(): site.accuracy(model) for model in {m.tobytes(): m for m in models}.values()}
    found = [values[model.tobytes()] for model in models]
    played.accuracy = fmean(found[len(bad) :])
    played.attackers = fmean(found[: len(bad)]) if bad else played.accuracy
    return played


def _local(setup: Setup) -> bool:
    return setup.rule == "local-reference"


def _bytes(model: Model) -> bytes:
    return model.astype("<f4").tobytes()


def _served(setup: Setup, site: Site, models: list[Model], number: int, bad: range) -> dict[tuple[int, int], Model]:
    """(whose, to whom) -> the model served. Selfish attackers serve each other the truth."""
    honest = {seat: site.trained(seat, models[seat], number) for seat in range(setup.peers) if seat not in bad}
    served: dict[tuple[int, int], Model] = {}
    for seat in range(setup.peers):
        base = models[seat]
        if seat in honest:
            model = (base + honest[seat]).astype(np.float32)
            served |= {(seat, to): model for to in range(setup.peers)}
            continue
        rows = flipped(site.rows[seat]) if setup.attack == "label-flip" else None
        own = site.trained(seat, base, number, rows)
        known = Knowledge(own, list(honest.values()), setup.peers, setup.bad, setup.clip, 10 * setup.clip)
        if setup.attack.startswith("selfish"):
            truth = (base + own).astype(np.float32)
            lies = {to: (base + crafted(setup.attack, known, to)).astype(np.float32) for to in honest}
            served |= {(seat, to): lies.get(to, truth) for to in range(setup.peers)}
        else:
            model = (base + crafted(setup.attack, known)).astype(np.float32)
            served |= {(seat, to): model for to in range(setup.peers)}
    return served
