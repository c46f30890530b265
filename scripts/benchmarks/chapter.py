"""`chapter`: the source chapter's MNIST example by our meter, and by CodeCarbon's machine mode at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.result import Result, say

if TYPE_CHECKING:
    import argparse


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("chapter", help="MLP 784-128-10 on MNIST, 10 epochs: ours beside CodeCarbon's figure")
    parser.add_argument("--data-dir", required=True, help="the folder with MNIST's IDX files")
    parser.add_argument("--country", default="USA")
    parser.set_defaults(measure=chapter)


def chapter(args: argparse.Namespace) -> Result:
    """CodeCarbon watches the machine from this process; the training, with our meter, runs in another."""
    from codecarbon import OfflineEmissionsTracker

    from peerage.contrast.contrast import EXAMPLE_KG, example
    from peerage.emissions.codecarbon_door import probe_host

    probe = probe_host(args.country)
    options = {"country_iso_code": args.country, "save_to_file": False, "log_level": "critical"}
    say("chapter: 10 epochs on MNIST")
    tracker = OfflineEmissionsTracker(
        tracking_mode="machine", measure_power_secs=1, allow_multiple_runs=True, **options
    )
    tracker.start()
    told = example(args.data_dir, args.country, probe)
    kg = tracker.stop()
    theirs = tracker.final_emissions_data
    used = told.side.metered
    return Result(
        "chapter",
        {"model": told.example, "rows": told.rows, "country": args.country, "label": str(used.label)},
        {
            "kg": used.co2e_ug.mid / 1e9,
            "kg_low": used.co2e_ug.low / 1e9,
            "kg_high": used.co2e_ug.high / 1e9,
            "joules": used.joules,
            "memory_joules": used.ram.uj / 1e6,
            "seconds": told.side.seconds,
            "accuracy": told.side.accuracy,
            "host_joules": (told.side.host_uj or 0) / 1e6,
        },
        {
            "codecarbon_kg": kg,
            "codecarbon_joules": theirs.energy_consumed * 3.6e6,
            "codecarbon_memory_joules": theirs.ram_energy * 3.6e6,
            "codecarbon_seconds": theirs.duration,
            "chapter_kg": EXAMPLE_KG,
        },
        {
            "CodeCarbon's kg over ours": kg / (used.co2e_ug.mid / 1e9),
            "the chapter's kg over ours": EXAMPLE_KG / (used.co2e_ug.mid / 1e9),
            "the chapter's kg over CodeCarbon's here": EXAMPLE_KG / kg,
        },
        (),
        (
            "Ours counts one process and the host's idle power; CodeCarbon's machine mode counts the machine, whose",
            "memory it guesses at 5 W a module, and the start of the process. On which machine and where",
            "the chapter's figure was taken is not told.",
        ),
    )
