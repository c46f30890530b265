"""`conservation` and `idle`: what a host's peers claim against what the host used; what metering and waiting cost."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.result import Aim, Result, at_most, say

if TYPE_CHECKING:
    import argparse

    from peerage.emissions import HostProbe

WORKER = Path(__file__).with_name("metered.py")
UJ = 1e6


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("conservation", help="peers of one host against the host, and CodeCarbon's own sums")
    parser.add_argument("--peers", type=int, nargs="+", default=[1, 3, 8])
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--edges", type=int, default=7000, help="phase changes to time")
    parser.set_defaults(measure=conservation)
    parser = commands.add_parser("idle", help="CPU of a peer that waits for slow ones")
    parser.add_argument("--slow", type=int, default=1000, help="how much longer the others train")
    parser.add_argument("--epochs", type=int, default=6, help="of the short round; the long one has six times as many")
    parser.add_argument("--ledger", default="auto")
    parser.set_defaults(measure=idle)


def conservation(args: argparse.Namespace) -> Result:
    from peerage.emissions.codecarbon_door import probe_host

    probe = probe_host("FRA")
    ours: dict[str, Any] = {}
    theirs: dict[str, Any] = {}
    ratios: dict[str, float] = {}
    aims: list[Aim] = []
    for peers in args.peers:
        say(f"conservation: {peers} peer(s), {args.seconds:g} s")
        name = f"{peers} peers"
        ours[name], theirs[name] = one_host(probe, peers, args.seconds)
        whole = theirs[name]["machine_one_j"]
        ratios[f"{name}: ours, peers and other over host"] = ours[name]["sum_over_host"]
        ratios[f"{name}: CodeCarbon, sum of machine mode over its own machine"] = theirs[name]["machine_sum_j"] / whole
        ratios[f"{name}: CodeCarbon, sum of process mode over its own machine"] = theirs[name]["process_sum_j"] / whole
        aims.append(at_most(f"{name}: energy claimed beyond the host", ours[name]["claimed_beyond_host"], 0.01))
        aims.append(at_most(f"{name}: findings of the audit", ours[name]["findings"], 0))
    edge_ms = phase_edge_ms(probe, args.edges)
    share = max(ours[f"{peers} peers"]["meter_core_share"] for peers in args.peers)
    aims += [
        at_most("milliseconds a phase edge", edge_ms, 1.0),
        at_most("of a core, at 20 edges and a record a second", share, 0.01),
    ]
    return Result(
        "conservation",
        {"peers": args.peers, "seconds": args.seconds, "duty": 0.3, "country": "FRA", "label": str(probe.cpu_label)},
        ours,
        theirs,
        ratios,
        tuple(aims),
        (
            "Each peer runs our meter and two CodeCarbon trackers (machine and process mode, a reading a second).",
            "host: metered by itself (HostMeter). machine_one_j: the median tracker's figure for the whole machine.",
            "sum_over_host is 1 because `other` is what is left; what can fail is a component that the peers outdo:",
            "claimed_beyond_host: the most that a component of the peers exceeds the host's, over the host's energy.",
        ),
    )


def one_host(probe: HostProbe, peers: int, seconds: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """Some peers at once; (ours, CodeCarbon's), in joules."""
    from peerage.emissions import HostMeter, check_run, decode_record

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "probe.json"
        path.write_text(probe.to_json())
        command = [sys.executable, str(WORKER), str(path)]
        pipe = subprocess.PIPE
        workers = [
            subprocess.Popen([*command, str(who), str(peers), str(seconds)], stdin=pipe, stdout=pipe, text=True)
            for who in range(1, peers + 1)
        ]
        try:
            for worker in workers:
                if worker.stdout is None or worker.stdout.readline() != "ready\n":
                    raise SystemExit("scripts/bench: a metered process did not start; its last lines say why")
            host = HostMeter(probe)
            for worker in workers:
                assert worker.stdin is not None
                worker.stdin.write("go\n")
                worker.stdin.flush()
            told = [json.loads(worker.communicate(timeout=seconds * 4 + 60)[0]) for worker in workers]
        finally:
            for worker in workers:
                worker.kill()
    records = [decode_record(text.encode()) for one in told for text in one["records"]]
    whole = host.close(records)
    least = min(whole.other.cpu_dyn_uj, whole.other.idle_uj, whole.other.ram_uj, whole.other.gpu_uj)
    machine = [one["codecarbon"]["machine"] for one in told]
    process = [one["codecarbon"]["process"] for one in told]
    ours = {
        "host_j": whole.host.total_uj / UJ,
        "peers_j": whole.peers.total_uj / UJ,
        "peers_cpu_j": (whole.peers.cpu_dyn_uj + whole.peers.idle_uj) / UJ,
        "peers_ram_j": whole.peers.ram_uj / UJ,
        "other_j": whole.other.total_uj / UJ,
        "sum_over_host": (whole.peers.total_uj + whole.other.total_uj) / whole.host.total_uj,
        "claimed_beyond_host": max(0, -least) / whole.host.total_uj,
        "findings": len(check_run(records, [whole])),
        "meter_core_share": median(one["meter_core_share"] for one in told),
    }
    theirs = {
        "machine_one_j": median(joules(one) for one in machine),
        "machine_sum_j": sum(joules(one) for one in machine),
        "machine_sum_cpu_j": sum(one["cpu_j"] for one in machine),
        "machine_sum_ram_j": sum(one["ram_j"] for one in machine),
        "process_sum_j": sum(joules(one) for one in process),
        "process_sum_cpu_j": sum(one["cpu_j"] for one in process),
        "process_sum_ram_j": sum(one["ram_j"] for one in process),
    }
    return ours, theirs


def joules(one: dict[str, float]) -> float:
    return one["cpu_j"] + one["ram_j"]


def phase_edge_ms(probe: HostProbe, edges: int) -> float:
    from peerage.emissions import PHASES, Meter

    meter = Meter(probe, bytes(20), reserved_ppm=1_000_000)
    started = time.perf_counter()
    for number in range(edges):
        meter.enter(PHASES[number % len(PHASES)])
    return (time.perf_counter() - started) / edges * 1000


def idle(args: argparse.Namespace) -> Result:
    """Two rounds that differ in how long the first peer waits for the other two: the difference is waiting."""
    short, long = (waiting(args, epochs) for epochs in (args.epochs, args.epochs * 6))
    wall, cpu = long[0] - short[0], long[1] - short[1]
    if wall < 1:
        raise SystemExit("scripts/bench: the long run waited no longer than the short one; give more --epochs")
    return Result(
        "idle",
        {"peers": 3, "slow": args.slow, "epochs": args.epochs, "ledger": args.ledger},
        {
            "short_wait_seconds": short[0],
            "short_cpu_seconds": short[1],
            "long_wait_seconds": long[0],
            "long_cpu_seconds": long[1],
        },
        {},
        {"CPU seconds a second of waiting": cpu / wall},
        (at_most("of a core while waiting", cpu / wall, 0.005),),
        ("As the peer's own emission records have it: all threads of the process, in the phase `wait`.",),
    )


def waiting(args: argparse.Namespace, epochs: int) -> tuple[float, float]:
    """(seconds, CPU seconds) of the phase `wait` of a peer whose two companions train a thousand times longer."""
    from benchmarks.runs import real_run
    from peerage.config import DataSettings, Federation, LedgerSettings, Part, TrainSettings
    from peerage.launch.outcome import emission_records

    federation = Federation(
        peers=3,
        rounds=1,
        data=DataSettings(partition="iid"),
        training=TrainSettings(epochs=epochs, batch_size=64, learning_rate=0.1),
        ledger=LedgerSettings(engine=args.ledger),
        cast=tuple(Part(peer=f"peer-0{who}", slow=args.slow) for who in (2, 3)),
    )
    with real_run(federation) as run:
        mine = run.summary.accounts["peer-01"].lower()
        rows = [
            row
            for record in emission_records(run.folder / "store")
            if record.peer == mine
            for row in record.use
            if row.phase == "wait"
        ]
    return sum(row.wall_us for row in rows) / UJ, sum(row.cpu_us for row in rows) / UJ
