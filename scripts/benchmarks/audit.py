"""`audit-long`: rounds a second and memory of audits of long histories, the first one and one that comes again."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.result import Result, at_least, at_most, say

if TYPE_CHECKING:
    import argparse

TESTS = Path(__file__).resolve().parents[2] / "tests"
MAKE = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from long_history import make_history
make_history(Path(sys.argv[2]), rounds=int(sys.argv[3]), peers=int(sys.argv[4]))
"""
ONE_AUDIT = """
import json, resource, sys, time
from pathlib import Path
from peerage.audit.run import Manner, audit
started, used = time.perf_counter(), time.process_time()
report = audit(Path(sys.argv[1]), Manner(cache=Path(sys.argv[2])))
print(json.dumps({
    "seconds": time.perf_counter() - started,
    "cpu_seconds": time.process_time() - used,
    "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "findings": len(report.findings),
}))
"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("audit-long", help="rounds a second and memory of audits of long histories")
    parser.add_argument("--rounds", type=int, nargs=2, default=[250, 1000], metavar=("FEW", "MANY"))
    parser.add_argument("--peers", type=int, default=4)
    parser.set_defaults(measure=audit_long)


def audit_long(args: argparse.Namespace) -> Result:
    """Each audit in a process of its own; seconds of the CPU, so that a busy machine says the same."""
    taken: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="peerage-bench-") as folder:
        for rounds in args.rounds:
            run, cache = Path(folder) / f"run-{rounds}", Path(folder) / f"cache-{rounds}"
            say(f"audit-long: making {rounds} rounds of {args.peers} peers")
            made = [sys.executable, "-c", MAKE, str(TESTS), str(run), str(rounds), str(args.peers)]
            subprocess.run(made, check=True)
            taken[f"{rounds} rounds"] = _audited(run, cache, rounds)
            taken[f"{rounds} rounds, again"] = _audited(run, cache, rounds)
    few, many = (taken[f"{rounds} rounds"] for rounds in args.rounds)
    again = taken[f"{args.rounds[1]} rounds, again"]
    per_round = many["cpu_seconds"] / args.rounds[1] / (few["cpu_seconds"] / args.rounds[0])
    more_mb = (many["memory_mb"] - few["memory_mb"]) / (args.rounds[1] - args.rounds[0]) * 1000
    ratios = {
        "CPU of a round, many rounds / few": per_round,
        "CPU of an audit that comes again / the first": again["cpu_seconds"] / many["cpu_seconds"],
        "MB for a thousand rounds more": more_mb,
    }
    aims = (
        at_most("CPU of a round, many rounds / few: linear", per_round, 1.2),
        at_least("rounds a second of CPU", many["rounds_per_cpu_second"], 20.0),
    )
    return Result("audit-long", {"peers": args.peers, "rounds": args.rounds}, taken, {}, ratios, aims)


def _audited(run: Path, cache: Path, rounds: int) -> dict[str, Any]:
    import json

    command = [sys.executable, "-c", ONE_AUDIT, str(run), str(cache)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told | {"rounds_per_cpu_second": rounds / told["cpu_seconds"]}
