"""`all`: every benchmark at its defaults, each in a process of its own, in one document; the long ones when asked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.result import Result, machine, say

if TYPE_CHECKING:
    import argparse

BENCH = Path(__file__).parents[1] / "bench"
NAMES = ("masking", "reconstruction", "gas", "gain", "rewards", "bytes", "round", "sum", "startup", "audit")
LONG = (
    "scale",
    "flood",
    "privacy",
    "he",
    "heterogeneity",
    "rings",
    "sketches",
    "halves",
    "conservation",
    "patterns",
    "idle",
    "placement",
    "joules",
    "attacks",
)  # minutes each; he needs an extra package
ELSEWHERE = {"attacks": (BENCH.parent / "attack_lab", "--json")}


class Everything:
    """All documents by name; a benchmark that failed has its exit code instead."""

    def __init__(self, documents: dict[str, object]) -> None:
        self.documents = documents

    def to_json(self) -> str:
        return json.dumps({"schema": 1, "bench": "all", "machine": machine(), "results": self.documents}, indent=1)


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("all", help="all of the above, one after the other")
    parser.add_argument("--out", type=Path, help="also write each document to this folder")
    parser.add_argument("--only", nargs="+", choices=(*NAMES, *LONG), help="these, the long ones among them")
    parser.add_argument("--long", action="store_true", help=f"also {', '.join(LONG)}")
    parser.add_argument("--flower", type=Path, help="as for masking")
    parser.add_argument("--real", action="store_true", help="as for gain and rewards")
    parser.set_defaults(measure=everything)


def everything(args: argparse.Namespace) -> Result | Everything:
    documents: dict[str, object] = {}
    for name in args.only or (*NAMES, *(LONG if args.long else ())):
        extra = ["--flower", str(args.flower)] if name == "masking" and args.flower else []
        extra += ["--real"] if name in {"gain", "rewards"} and args.real else []
        say(f"== {name}")
        command = ELSEWHERE.get(name, (BENCH, name, *extra))
        done = subprocess.run([sys.executable, *map(str, command)], check=False, stdout=subprocess.PIPE)
        if done.returncode:
            documents[name] = {"failed": done.returncode}
            continue
        documents[name] = json.loads(done.stdout)
        if args.out:
            args.out.mkdir(parents=True, exist_ok=True)
            (args.out / f"{name}.json").write_bytes(done.stdout)
    return Everything(documents)
