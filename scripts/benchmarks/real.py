"""`bytes`, `round`, `sum`, `startup` and `audit`: real runs beside their yardsticks."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from benchmarks.result import Aim, Result, at_least, at_most, say, side_by_side

if TYPE_CHECKING:
    import argparse

    from peerage.config import Federation, MaskingSettings


HERE = Path(__file__).parent
MNIST = HERE.parents[2] / "shared" / "data" / "mnist"
WEIGHTS_OF = 75  # parameters of the digits model per hidden unit: 64 in, 1 bias, 10 out; and 10 biases


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("bytes", help="bytes per peer and round over 4 bytes a parameter")
    sizes(parser, peers=8, rounds=3, parameters=1_000_000)
    parser.add_argument("--keep", type=Path, help="keep the first run here, for `scripts/bench audit --runs`")
    parser.add_argument("--ring-bits", type=int, nargs="+", default=[32, 16])
    parser.set_defaults(measure=count_bytes)
    parser = commands.add_parser("round", help="whole runs and rounds against bare torch on the same peers")
    sizes(parser, peers=8, rounds=10)
    parser.add_argument("--jobs", nargs="+", choices=["J1", "J2"], default=["J1", "J2"])
    parser.add_argument("--data-dir", type=Path, default=MNIST, help="J2: the folder with MNIST's IDX files")
    parser.add_argument("--without-plain", action="store_true", help="do not run plain exchange beside")
    parser.set_defaults(measure=rounds)
    parser = commands.add_parser("sum", help="a masked sum among real processes")
    sizes(parser, peers=8, rounds=4, parameters=1_000_000)
    parser.set_defaults(measure=masked_sum)
    parser = commands.add_parser("startup", help="seconds to ready peers and their memory, against plain spawning")
    sizes(parser, peers=8, rounds=1)
    parser.set_defaults(measure=startup)
    parser = commands.add_parser("audit", help="rounds a second, and whether the time is linear in rounds")
    sizes(parser, peers=8, rounds=10)
    parser.add_argument("--runs", type=Path, nargs="+", help="audit these instead of making runs")
    parser.add_argument("--repeats", type=int, default=3)
    parser.set_defaults(measure=auditing)


def sizes(parser: argparse.ArgumentParser, *, peers: int, rounds: int, parameters: int | None = None) -> None:
    parser.add_argument("--peers", type=int, default=peers)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--ledger", default="auto")
    if parameters:
        parser.add_argument("--parameters", type=int, default=parameters, help="about so many: a hidden layer's width")


def large(args: argparse.Namespace, masking: MaskingSettings | None = None) -> Federation:
    """Digits with one hidden layer of the asked size; little training, because the exchange is what counts here."""
    from peerage.config import (
        DataSettings,
        Federation,
        LedgerSettings,
        MaskingSettings,
        ModelSettings,
        TimingSettings,
        TrainSettings,
    )

    return Federation(
        peers=args.peers,
        rounds=args.rounds,
        data=DataSettings(partition="iid"),
        model=ModelSettings(hidden=max(1, round((args.parameters - 10) / WEIGHTS_OF))),
        training=TrainSettings(epochs=1, batch_size=64, learning_rate=0.01),
        ledger=LedgerSettings(engine=args.ledger),
        timing=TimingSettings(join=20.0, step=60.0, stall=120.0),
        masking=masking or MaskingSettings(),
    )


def count_bytes(args: argparse.Namespace) -> Result:
    from benchmarks.runs import real_run, traffic
    from peerage.config import MaskingSettings

    ours: dict[str, Any] = {}
    ratios: dict[str, float] = {}
    aims: list[Aim] = []
    keep: Path | None = args.keep
    for bits in args.ring_bits:
        masking = MaskingSettings() if bits == 32 else MaskingSettings(ring_bits=bits, frac_bits=bits // 4, clip=1.0)
        with real_run(large(args, masking=masking), keep=keep) as run:
            found = traffic(run)
            ours[f"ring {bits}"] = {
                "everyone": found.everyone,
                "members": found.members,
                "initiators": found.initiators,
                "sent": run.summary.bytes.sent,
                "raw": run.summary.bytes.raw,
                "rounds_summed": len({row.round for lines in run.metrics.values() for row in lines if row.took_part}),
            }
        keep = None
        ratios[f"sent by all / 4 B x parameters, ring {bits}"] = found.everyone
        ratios[f"sent by all / every vector to every peer, ring {bits}"] = found.everyone * 32 / bits / (args.peers - 1)
        ratios[f"sent by a member / 4 B x parameters, ring {bits}"] = found.members
        limit = 1.02 * bits / 32 if bits == 32 else 0.52
        aims.append(at_most(f"a member's bytes over 4 B x parameters, ring {bits}", found.members, limit))
        aims.append(at_most(f"everybody's bytes over 4 B x parameters, ring {bits}", found.everyone, limit))
    return Result(
        "bytes",
        {"peers": args.peers, "rounds": args.rounds, "parameters": args.parameters},
        ours,
        {"bytes_per_parameter": 4},
        ratios,
        tuple(aims),
        (
            "A member's vector goes to the initiator, who sends the sum back to each. Where all vectors of a round are",
            "2 MiB or less together, every member pulls all of them and adds them up itself: n - 1 times the bytes.",
        ),
    )


def jobs(args: argparse.Namespace) -> dict[str, Federation]:
    from peerage.config import DataSettings, Federation, LedgerSettings, ModelSettings, TrainSettings

    common = {"peers": args.peers, "rounds": args.rounds, "ledger": LedgerSettings(engine=args.ledger)}
    known = {
        "J1": Federation(training=TrainSettings(epochs=2, batch_size=32, learning_rate=0.1), **common),
        "J2": Federation(
            data=DataSettings(source="mnist:10000", data_dir=str(args.data_dir.resolve()), partition="iid"),
            model=ModelSettings(hidden=128),
            training=TrainSettings(epochs=1, batch_size=64, learning_rate=0.1),
            **common,
        ),
    }
    return {name: known[name] for name in args.jobs}


AIMS = {"J1": (15.0, 0.20), "J2": (16.0, 0.40)}
MASKING_ADDS = 0.10


def rounds(args: argparse.Namespace) -> Result:
    """Each job three times: bare torch in one process, plain exchange, and masked with everything."""
    from msgspec.structs import replace

    ours: dict[str, Any] = {}
    yardsticks: dict[str, Any] = {}
    ratios: dict[str, float] = {}
    aims: list[Aim] = []
    for name, federation in jobs(args).items():
        bare = bare_torch(federation)
        plain = None if args.without_plain else timed_run(replace(federation, exchange="plain"))
        masked = timed_run(federation)
        ours[name] = masked
        yardsticks[name] = {"bare_torch": bare, "plain_exchange": plain}
        ratios[f"{name}: run / bare torch"] = masked["total"] / bare["total"]
        ratios[f"{name}: round / bare torch"] = masked["round"] / bare["round"]
        whole, each = AIMS[name]
        aims.append(at_most(f"{name}: seconds of the whole run", masked["total"], whole))
        aims.append(at_most(f"{name}: seconds a round", masked["round"], each))
        masked["over_bare_per_round"] = masked["round"] - bare["round"]
        if plain:
            masked["over_plain_per_round"] = masked["round"] - plain["round"]
            if name == "J2":
                aims.append(
                    at_most("J2: seconds a round that masking adds", masked["over_plain_per_round"], MASKING_ADDS)
                )
    return Result(
        "round",
        {"peers": args.peers, "rounds": args.rounds, "jobs": args.jobs},
        ours,
        yardsticks,
        ratios,
        tuple(aims),
        (
            "total: as in summary.json, from the command's start to the last peer's end, without yardsticks and audit.",
            "round: mean from the first round's closing to the last one's.",
            "Bare torch trains the same peers on the same rows one after the other in one process and averages them.",
        ),
    )


def bare_torch(federation: Federation) -> dict[str, float]:
    """In a process of its own, so that importing torch counts for it too."""
    from peerage.config_toml import to_toml

    say("round: bare torch")
    with tempfile.TemporaryDirectory() as scratch:
        settings = Path(scratch) / "federation.toml"
        settings.write_text(to_toml(federation))
        started = time.perf_counter()
        done = subprocess.run([sys.executable, HERE / "bare.py", settings], check=True, stdout=subprocess.PIPE)
        wall = time.perf_counter() - started
    found: dict[str, float] = json.loads(done.stdout)
    return {"total": wall, **found}


def timed_run(federation: Federation) -> dict[str, Any]:
    from benchmarks.runs import real_run, round_seconds

    with real_run(federation) as run:
        between = round_seconds(run.journals())
        seconds = run.summary.seconds
        return {
            "total": seconds.total,
            "startup": seconds.startup,
            "round": fmean(between) if between else seconds.total - seconds.startup,
            "round_median": median(between) if between else 0.0,
            "command": run.wall,
            "accuracy": run.summary.accuracy.aggregate,
            "engine": run.summary.ledger.engine,
            "gas_per_peer_round": run.summary.ledger.gas_per_peer_round,
        }


def masked_sum(args: argparse.Namespace) -> Result:
    import numpy as np

    from benchmarks.runs import real_run, sum_seconds

    with real_run(large(args)) as run:
        taken = sum_seconds(run.journals())
        sent = sum(row.bytes_sent for lines in run.metrics.values() for row in lines)
        done = {row.round for lines in run.metrics.values() for row in lines if row.took_part}
        parameters = max(row.parameters for lines in run.metrics.values() for row in lines)
        engine = run.summary.ledger.engine
    vectors = [np.random.default_rng(n).integers(0, 1 << 32, parameters, dtype=np.uint32) for n in range(args.peers)]
    bare = side_by_side({"numpy": lambda: np.add.reduce(vectors)}, 5)["numpy"]
    megabytes = sent / len(done) / 1e6
    seconds = median(taken)
    return Result(
        "sum",
        {"peers": args.peers, "rounds": args.rounds, "parameters": parameters, "engine": engine},
        {"seconds": seconds, "seconds_each": taken, "megabytes": megabytes},
        {
            "bare_sum_seconds": bare,
            "least_megabytes": 2 * (args.peers - 1) * 4 * parameters / 1e6,
            "published": {"hivemind all-reduce, another machine": {"seconds": 1.14, "megabytes": 230}},
        },
        {
            "seconds / adding in one process": seconds / bare,
            "bytes / every vector once there, the sum once back": sent
            / len(done)
            / (2 * (args.peers - 1) * 4 * parameters),
        },
        (at_most("seconds of a masked sum", seconds, 0.5), at_most("megabytes of a round", megabytes, 70.0)),
        ("From the last signed join to the last peer that has recomputed the sum: shares, masks, votes, unmasking.",),
    )


def startup(args: argparse.Namespace) -> Result:
    from benchmarks.runs import real_run
    from peerage.config import Federation, LedgerSettings

    federation = Federation(peers=args.peers, rounds=args.rounds, ledger=LedgerSettings(engine=args.ledger))
    with real_run(federation, weigh=True) as run:
        seconds, memory, engine = run.summary.seconds.startup, run.memory, run.summary.ledger.engine
    assert memory is not None
    say("startup: plain spawning")
    done = subprocess.run([sys.executable, HERE / "spawned.py", str(args.peers)], check=True, stdout=subprocess.PIPE)
    spawned: dict[str, float] = json.loads(done.stdout)
    gigabytes = memory.proportional / 1e9
    return Result(
        "startup",
        {"peers": args.peers, "engine": engine},
        {"seconds": seconds, "gigabytes": gigabytes, "unshared_gigabytes": memory.unshared / 1e9},
        {"spawned": spawned},
        {
            "ours / spawned, seconds": seconds / spawned["seconds"],
            "ours / spawned, memory": gigabytes / spawned["gigabytes"],
        },
        (at_most("seconds until all peers are ready", seconds, 10.0), at_most("gigabytes in all", gigabytes, 2.0)),
        (
            "Ours: devnet, contracts, keys, registered peers; memory is the peak of launcher, chain and peers.",
            "Spawned: as many processes that import torch, web3 and zmq and take one step; no chain, no contracts.",
        ),
    )


def auditing(args: argparse.Namespace) -> Result:
    if importlib.util.find_spec("peerage.audit.run") is None:
        raise SystemExit("scripts/bench audit: this version has no peerage.audit.run to measure")
    if args.runs:
        taken = [audited(folder, args.repeats) for folder in args.runs]
        return audit_result(args, taken)
    from benchmarks.runs import real_run
    from peerage.config import Federation, LedgerSettings

    taken = []
    for count in (args.rounds, 2 * args.rounds):
        federation = Federation(peers=args.peers, rounds=count, ledger=LedgerSettings(engine=args.ledger))
        with real_run(federation) as run:
            taken.append(audited(run.folder, args.repeats))
    return audit_result(args, taken)


ONE_AUDIT = """
import sys, time
from pathlib import Path
from peerage.audit import run as audit_run
started = time.perf_counter()
report = audit_run.audit(Path(sys.argv[1]))
print(time.perf_counter() - started, len(report.findings))
"""


def audited(folder: Path, repeats: int) -> dict[str, float]:
    """Each audit in a process of its own: recovered signers are cached, and a second one would find them."""
    from peerage.config_toml import load_federation

    federation = load_federation(folder / "federation.toml")
    taken, findings = [], 0
    for _ in range(repeats):
        command = [sys.executable, "-c", ONE_AUDIT, str(folder.resolve())]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        told, found = done.stdout.split()
        taken.append(float(told))
        findings = int(found)
    say(f"audit: {federation.rounds} rounds, {findings} findings")
    seconds = median(taken)
    return {
        "rounds": federation.rounds,
        "seconds": seconds,
        "rounds_per_second": federation.rounds / seconds,
        "findings": findings,
        "reading_seconds": reading(folder),
    }


def reading(folder: Path) -> float:
    """The yardstick: reading and hashing every artefact once, which no audit can do without."""
    import hashlib

    def read() -> None:
        for path in (folder / "store").iterdir():
            hashlib.sha256(path.read_bytes()).digest()

    return side_by_side({"reading": read}, 3)["reading"]


def audit_result(args: argparse.Namespace, taken: list[dict[str, float]]) -> Result:
    last = taken[-1]
    ratios = {"audit / reading and hashing the store": last["seconds"] / last["reading_seconds"]}
    aims = [at_least("rounds a second", last["rounds_per_second"], 20.0)]
    if len(taken) > 1:
        growth = (taken[-1]["seconds"] / taken[0]["seconds"]) / (taken[-1]["rounds"] / taken[0]["rounds"])
        ratios["growth of time over growth of rounds"] = growth
        aims.append(at_most("growth of time over growth of rounds", growth, 1.2))
    return Result(
        "audit",
        {"peers": args.peers, "repeats": args.repeats},
        {"runs": taken},
        {"reading_seconds": last["reading_seconds"]},
        ratios,
        tuple(aims),
        ("1.0 in the growth is linear; below it, because each audit also has a fixed part.",),
    )
