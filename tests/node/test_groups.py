"""Groups of peers side by side: who divides them, what is counted, and when one is said to lag."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from peerage.config import DataSettings, Energy, Federation, Region, ScoreSettings
from peerage.launch.groups import Groups, compose, divided, in_sums
from peerage.learning.data import load
from peerage.learning.learner import rows_of
from peerage.learning.own_rows import right_by_peer
from peerage.metrics import RoundMetrics

NAMES = tuple(f"peer-{n:02d}" for n in range(1, 7))
ACCOUNTS = {name: "0x" + f"{n:02X}" * 20 for n, name in enumerate(NAMES, 0xA1)}
ALL = frozenset(NAMES)
NORTH, SOUTH = NAMES[:3], NAMES[3:]


class Memory(torch.nn.Module):
    """Right on the rows that it knows, wrong on all others."""

    def __init__(self, known: dict[bytes, int]) -> None:
        super().__init__()
        self._known = known

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        logits = torch.full((len(features), 10), float("nan"))  # not finite: counted as wrong
        for place, row in enumerate(features.numpy()):
            label = self._known.get(row.tobytes())
            if label is not None:
                logits[place] = torch.nn.functional.one_hot(torch.tensor(label), 10).float()
        return logits


def regions(**more: object) -> Federation:
    lower = [ACCOUNTS[name].lower() for name in NAMES]
    fields = {"peers": 6, "regions": (Region(name="north", peers=tuple(lower[:3])), Region(name="south", peers=SOUTH))}
    return Federation(**(fields | more))  # type: ignore[arg-type]


def two(
    rows: dict[str, tuple[int, int]],
    survivors: dict[int, frozenset[str]] | None = None,
    scales: dict[tuple[str, int], Fraction] | None = None,
) -> Groups:
    division = divided(regions(), ACCOUNTS, {})
    assert division is not None
    return compose(division, {1: ALL, 2: ALL} if survivors is None else survivors, rows, scales or {})


def test_regions_divide_first_then_energy_then_country() -> None:
    assert divided(regions(), ACCOUNTS, {}) == ("region", {"north": list(NORTH), "south": list(SOUTH)})
    sunny = Federation(peers=6, energy=(Energy(peer="peer-06", profile="solar:24:100"),))
    assert divided(sunny, ACCOUNTS, {}) == ("energy", {"solar": ["peer-06"], "steady": list(NAMES[:5])})
    homes = dict.fromkeys(NAMES[:5], "FRA")
    assert divided(Federation(peers=6), ACCOUNTS, homes) == (
        "country",
        {"FRA": list(NAMES[:5]), "unknown": ["peer-06"]},
    )
    assert divided(Federation(peers=6), ACCOUNTS, dict.fromkeys(NAMES, "FRA")) is None


def test_the_counts_are_those_of_the_members() -> None:
    rows = {"peer-01": (10, 9), "peer-02": (30, 24), "peer-04": (20, 20), "peer-05": (0, 0)}
    north, south = two(rows, {1: ALL, 2: ALL - {"peer-04", "peer-05"}}).groups
    assert (north.taken, north.turns, north.weight) == (6, 6, 0.6)
    assert (south.taken, south.turns, south.weight) == (4, 6, 0.4)
    assert (north.rows, north.right, north.mean, north.worst) == (40, 33, pytest.approx(0.85), 0.8)
    assert (south.rows, south.right, south.mean, south.worst) == (20, 20, 1.0, 1.0)
    assert two(rows).worst == 33 / 40


def test_a_group_that_the_model_does_not_know_is_said_to_lag() -> None:
    rows = dict.fromkeys(NORTH, (100, 95)) | dict.fromkeys(SOUTH, (100, 70))
    (sentence,) = two(rows).lagging
    assert sentence == (
        "south lags in accuracy: the final model is right on 70.0 % of its 300 held-out rows, on 95.0 % of the others' "
        "300"
    )


@pytest.mark.parametrize(
    "rows",
    [
        dict.fromkeys(NORTH, (1000, 950)) | dict.fromkeys(SOUTH, (1000, 910)),  # surely, but four points only
        dict.fromkeys(NORTH, (5, 5)) | dict.fromkeys(SOUTH, (5, 4)),  # twenty points, of fifteen rows
        dict.fromkeys(NORTH, (100, 95)),  # nothing is known of the south
        {},
    ],
)
def test_chance_and_trifles_are_not_called_lagging(rows: dict[str, tuple[int, int]]) -> None:
    assert two(rows).lagging == ()


def test_a_group_that_is_rarely_in_the_sums_is_said_to_take_part_less() -> None:
    without = two({}, {1: ALL, 2: frozenset(NORTH), 3: frozenset(NORTH)})
    assert without.lagging == (
        "south takes part less: 3 of its 9 turns are in the sums, 25.0 % of all weight, 12 of 18 for all",
    )
    assert two({}, {1: ALL, 2: ALL - {"peer-05"}}).lagging == ()
    assert two({}, {}).groups[0].taken is None


def test_a_schedule_that_scales_rare_turns_up_keeps_a_groups_weight() -> None:
    rare = {1: ALL, 2: frozenset(NORTH), 3: frozenset(NORTH)}
    scaled = two({}, rare, {(peer, 1): Fraction(3) for peer in SOUTH})
    assert [g.weight for g in scaled.groups] == [0.5, 0.5]
    assert scaled.lagging == ()
    division = divided(regions(), ACCOUNTS, {})
    assert division is not None
    unknown = compose(division, rare, {}, None)
    assert [g.weight for g in unknown.groups] == [None, None]
    assert unknown.lagging == ("south takes part less: 3 of its 9 turns are in the sums, 12 of 18 for all",)


def test_sums_are_read_from_the_members_own_lists() -> None:
    lines = [
        RoundMetrics(round=1, survivors=(ACCOUNTS["peer-01"], ACCOUNTS["peer-02"], "0xnobody")),
        RoundMetrics(round=1, survivors=(ACCOUNTS["peer-02"],)),
        RoundMetrics(round=2),
    ]
    assert in_sums(lines, ACCOUNTS) == {1: {"peer-01", "peer-02"}}


@pytest.mark.parametrize(
    "settings",
    [
        DataSettings(partition="dirichlet:0.5"),
        DataSettings(partition="dirichlet:0.5", validation_donor="peer-02"),
        DataSettings(partition="iid", validation="private"),
    ],
    ids=["public", "donor", "private"],
)
def test_the_rows_are_those_that_no_peer_trains_on(settings: DataSettings) -> None:
    """A model that is right on exactly the held-out rows gets all of them, for every peer."""
    federation = Federation(peers=3, data=settings, scores=ScoreSettings(holdout=0.2))
    train = load("digits", 0, public=settings.validation != "private").train
    for index, name in enumerate(federation.peer_names()):
        held_out = rows_of(federation, index, "honest").held_out
        known = {row.tobytes(): int(label) for row, label in zip(held_out.features, held_out.labels, strict=True)}
        found = right_by_peer(Memory(known), train, federation)
        assert found[name] == (len(held_out), len(held_out))
        assert all(right < rows for other, (rows, right) in found.items() if other != name)
