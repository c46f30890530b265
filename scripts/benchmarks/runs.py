"""A real `peerage run` with its processes, chain and masks, and what can be read from it afterwards."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

import msgspec
import psutil

from benchmarks.result import say
from peerage.config_toml import to_toml
from peerage.launch.summary import Summary
from peerage.metrics import RoundMetrics, read_all_metrics

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from peerage.config import Federation

PEERAGE = [sys.executable, "-c", "from peerage.cli.main import main; main()"]
SAMPLE_SECONDS = 0.4  # reading the page tables of a dozen processes takes a core a while


@dataclass(frozen=True)
class Memory:
    """Peaks in bytes over launcher, chain and peers; shared pages are divided among those that share them."""

    proportional: int
    unshared: int


@dataclass(frozen=True)
class Run:
    federation: Federation
    folder: Path
    summary: Summary
    wall: float  # seconds of the whole command, with yardsticks and audit
    memory: Memory | None

    @property
    def metrics(self) -> Mapping[str, Sequence[RoundMetrics]]:
        return read_all_metrics(self.folder, self.federation)

    def journals(self) -> dict[str, list[dict[str, Any]]]:
        return {
            name: [json.loads(line) for line in (self.folder / "peers" / name / "journal.jsonl").open()]
            for name in self.federation.peer_names()
        }


@contextlib.contextmanager
def real_run(federation: Federation, *, keep: Path | None = None, weigh: bool = False) -> Generator[Run]:
    """The command a user types, in a process of its own. `keep`: the run directory stays there."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = keep or Path(scratch) / "run"
        settings = Path(scratch) / "federation.toml"
        settings.write_text(to_toml(federation))
        say(f"real run: {federation.peers} peers, {federation.rounds} rounds, {federation.exchange}")
        command = [*PEERAGE, "run", str(settings), "--out", str(folder), "--json"]
        started = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=scratch) as process:
            memory = weighed(process) if weigh else None
            out, _ = process.communicate()
        wall = time.perf_counter() - started
        if not out:
            raise SystemExit(f"scripts/bench: the run ended with {process.returncode}; its last lines say why")
        yield Run(federation, folder, msgspec.json.decode(out, type=Summary), wall, memory)


def weighed(process: subprocess.Popen[bytes]) -> Memory:
    """Samples the process and all its descendants until it ends."""
    proportional = unshared = 0
    ended = threading.Event()
    threading.Thread(target=lambda: (process.wait(), ended.set()), daemon=True).start()
    while not ended.wait(SAMPLE_SECONDS):
        pss = uss = 0
        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(process.pid)
            for one in [root, *root.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied, ProcessLookupError):
                    info = one.memory_full_info()
                    pss += getattr(info, "pss", info.rss)
                    uss += info.uss
        proportional, unshared = max(proportional, pss), max(unshared, uss)
    return Memory(proportional, unshared)


def round_seconds(journals: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[float]:
    """Seconds from one round's closing to the next one's, training included; each closing is the peers' median."""
    closed: dict[int, list[int]] = defaultdict(list)
    for lines in journals.values():
        for line in lines:
            if line["kind"] == "closed":
                closed[line["round"]].append(line["at_ms"])
    moments = [median(closed[number]) for number in sorted(closed)]
    return [(later - before) / 1000 for before, later in pairwise(moments)]


def sum_seconds(journals: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[float]:
    """Per session: from the last signed join to the last peer that recomputed the sum and signed it."""
    joined: dict[str, int] = {}
    acked: dict[str, int] = {}
    for lines in journals.values():
        for line in lines:
            if line["kind"] == "signed":
                moments = {"JoinIntent": joined, "ResultAck": acked}.get(line["type"])
                if moments is not None:
                    moments[line["sid"]] = max(moments.get(line["sid"], 0), line["at_ms"])
    return [(acked[sid] - joined[sid]) / 1000 for sid in acked if sid in joined]


@dataclass(frozen=True)
class Traffic:
    """Bytes a peer sent in a round over 4 bytes a parameter."""

    everyone: float
    members: float  # without the round's initiator, who sends the sum back
    initiators: float


def traffic(run: Run) -> Traffic:
    rows = [(name, row) for name, lines in run.metrics.items() for row in lines if row.took_part and row.parameters]
    shares = [
        (row.initiator == run.summary.accounts[name], row.bytes_sent / (4 * row.parameters)) for name, row in rows
    ]
    mean = lambda picked: fmean(picked) if picked else 0.0  # noqa: E731 - a round without members has none to count
    return Traffic(
        everyone=run.summary.bytes.sent / run.summary.bytes.raw if run.summary.bytes.raw else 0.0,
        members=mean([share for initiator, share in shares if not initiator]),
        initiators=mean([share for initiator, share in shares if initiator]),
    )
