"""`joules`: what a point of accuracy costs in joules, by exchange, ring and local epochs, by the peers' own meters."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from benchmarks.result import Aim, Result, at_most, say

if TYPE_CHECKING:
    import argparse

    from peerage.config import Federation
    from peerage.contrast.side import Side
    from peerage.emissions import HostProbe

BASE = "masked, 1 local epoch"


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "joules", help="joules per accuracy point: masked, plain, 16-bit ring, random-k, local epochs"
    )
    parser.add_argument("--peers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=40, help="after so many the target counts as not reached")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", default="digits", help="digits, mnist or mnist:N")
    parser.add_argument("--data-dir", default="", help="mnist: the folder with the IDX files")
    parser.add_argument("--partition", default="iid")
    parser.add_argument("--target", type=float, default=0.0, help="share of the test rows; 0: the data set's own")
    parser.add_argument("--only", nargs="+", help="these variants")
    parser.add_argument("--ledger", default="auto")
    parser.set_defaults(measure=joules)


def joules(args: argparse.Namespace) -> Result:
    from peerage.contrast.grid import Plan, checked
    from peerage.emissions.codecarbon_door import probe_host

    plan = checked(
        Plan(
            data=(args.data,),
            partitions=(args.partition,),
            seeds=tuple(range(args.seeds)),
            peers=args.peers,
            rounds=args.rounds,
            target=args.target,
            data_dir=args.data_dir,
            ledger=args.ledger,
        )
    )
    probe = probe_host()
    found: dict[str, list[Side]] = {}
    for seed in plan.seeds:
        for name, side in trained(plan, probe, seed, args.only):
            found.setdefault(name, []).append(side)
            say(f"  seed {seed}, {name}: {side.metered.joules:.1f} J, {side.rounds} rounds, {side.accuracy:.3f}")
    alone = found.pop("in one place")
    ours = {name: told(sides) for name, sides in found.items()}
    base = ours.get(BASE)
    ratios = {
        f"joules per point, {name} / {BASE}": one["joules_per_point"] / base["joules_per_point"]
        for name, one in ours.items()
        if base and name != BASE and base["joules_per_point"]
    }
    beside = told(alone)
    if base and beside["joules_per_point"]:
        ratios[f"joules per point, {BASE} / in one place"] = base["joules_per_point"] / beside["joules_per_point"]
    labels = sorted({str(side.metered.label) for sides in (alone, *found.values()) for side in sides})
    settings = {
        "peers": args.peers,
        "data": args.data,
        "partition": args.partition,
        "target": plan.target_of(args.data),
        "seeds": args.seeds,
        "label": ", ".join(labels),
    }
    wrong = sum(side.findings for sides in (alone, *found.values()) for side in sides)
    aims: tuple[Aim, ...] = (at_most("findings in the emission records", wrong, 0),)
    return Result(
        "joules",
        settings,
        ours,
        {"in one place": beside},
        ratios,
        aims,
        (
            "A point is one per cent of the test rows more than the first model gets. Joules until the target was",
            "first reached, or over all rounds where it was not; means over the seeds, low and high: the meters' band.",
            "Not in it: the network beyond the host, the launcher, the chain's node. FedAvg without momentum.",
        ),
    )


def trained(plan: Any, probe: HostProbe, seed: int, only: list[str] | None) -> Any:  # noqa: ANN401 - pairs, lazily
    from peerage.contrast.grid import MOST_EPOCHS, federation_of
    from peerage.contrast.jobs import Alone
    from peerage.contrast.measuring import federated, in_one_place
    from peerage.contrast.side import Cell

    cell = Cell(data=plan.data[0], partition=plan.partitions[0], seed=seed)
    target = plan.target_of(cell.data)
    job = Alone(federation=federation_of(cell, plan), probe=probe.to_json(), target=target, most_epochs=MOST_EPOCHS)
    yield "in one place", in_one_place(cell, job, target)[0]
    for name, federation in variants(federation_of(cell, plan)).items():
        if only and name not in only:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            yield name, federated(cell, federation, Path(scratch) / "run", target)


def variants(base: Federation) -> dict[str, Federation]:
    from msgspec.structs import replace

    from peerage.config_toml import NARROW_RING

    narrow = replace(base.masking, ring_bits=16, **NARROW_RING)
    five = replace(base, training=replace(base.training, epochs=5))
    return {
        BASE: base,
        "masked, 5 local epochs": five,
        "masked, 16-bit ring": replace(base, masking=narrow),
        "masked, 16-bit ring, 5 local epochs": replace(five, masking=narrow),
        "masked, a quarter of the coordinates": replace(base, masking=replace(base.masking, random_k=0.25)),
        "masked, a quarter of the coordinates, 5 local epochs": replace(
            five, masking=replace(base.masking, random_k=0.25)
        ),
        "plain, 1 local epoch": replace(base, exchange="plain"),
        "plain, 5 local epochs": replace(five, exchange="plain"),
    }


def told(sides: list[Side]) -> dict[str, float]:
    """Means; the band is that of the energy, over the mean of the points."""
    points = fmean(side.points for side in sides)
    ends = {end: fmean(getattr(side.metered.energy_uj, end) for side in sides) / 1e6 for end in ("low", "mid", "high")}
    return {
        "joules_per_point": ends["mid"] / points if points > 0 else 0.0,
        "low": ends["low"] / points if points > 0 else 0.0,
        "high": ends["high"] / points if points > 0 else 0.0,
        "joules": ends["mid"],
        "points": points,
        "rounds": fmean(side.rounds for side in sides),
        "reached": fmean(side.reached for side in sides),
        "megabytes_sent": fmean(side.bytes_out for side in sides) / 1e6,
        "training_share": fmean(side.metered.by_phase_uj["train"] / side.metered.energy_uj.mid for side in sides),
    }
