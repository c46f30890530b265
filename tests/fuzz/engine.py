"""Coverage-guided runs of the targets, each in a process of its own that is forked from one that has everything loaded.

libFuzzer (through atheris) mutates what reached new edges of our packages, of rlp, eth_abi and tomllib. The address
space of a run is bounded, so that an allocation which is never touched counts as well.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from fuzz import corpus
from fuzz.target import LONGEST_INPUT, SLOWEST_SECONDS, TARGETS, Target, TooMuchMemory, execute, measure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from _typeshed import StrPath

INSTRUMENTED = ["peerage", "peerage_ledger", "peerage_crypto", "rlp", "eth_abi", "tomllib"]
ROOM = 1 << 30  # bytes of address space above what is loaded: a keystore or a table may take a part of it, a bomb all
RSS_MB = 3072


@dataclass(frozen=True)
class Job:
    target: Target
    folder: Path  # inputs, those of the corpus and new ones
    findings: Path
    runs: int
    seconds: int
    seed: int

    @property
    def log(self) -> Path:
        return self.findings / "log"


class Outcome(msgspec.Struct, frozen=True):
    """`edges` and `features` are libFuzzer's; `peak` is what Python counted over all inputs, in bytes."""

    target: str
    executions: int
    edges: int
    features: int
    new: int
    peak: int
    finding: str = ""
    why: str = ""


def load() -> None:
    """Import the targets with their decoders instrumented; everything is forked from here."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        import fuzz.everything  # noqa: F401


def run_all(jobs: Sequence[Job], at_once: int) -> Iterator[Outcome]:
    """Outcomes in the order in which the jobs end."""
    waiting, running = list(jobs), dict[int, Job]()
    while waiting or running:
        while waiting and len(running) < at_once:
            job = waiting.pop(0)
            running[_forked(job)] = job
        pid, status = os.wait()
        yield _outcome(running.pop(pid), os.waitstatus_to_exitcode(status))


def _forked(job: Job) -> int:
    pid = os.fork()
    if pid == 0:
        with job.log.open("wb") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        try:
            _fuzz(job)
        finally:
            os._exit(99)  # the engine leaves by itself; never go back into the parent's code
    return pid


def _fuzz(job: Job) -> None:
    import atheris

    loaded = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (loaded + ROOM, resource.RLIM_INFINITY))
    flags = {
        "runs": job.runs,
        "max_total_time": job.seconds,
        "seed": job.seed,
        "timeout": SLOWEST_SECONDS,
        "rss_limit_mb": RSS_MB,
        "max_len": LONGEST_INPUT,
        "print_final_stats": 1,
        "artifact_prefix": f"{job.findings}/",
    }
    arguments = [sys.argv[0], *(f"-{name}={value}" for name, value in flags.items() if value), str(job.folder)]
    tempfile.tempdir = str(job.findings)  # what a target writes goes with the job
    atheris.Setup(arguments, lambda data: _one(job, bytes(data)))
    atheris.Fuzz()


def _one(job: Job, data: bytes) -> None:
    try:
        execute(job.target, data)
    except BaseException:
        path = job.findings / f"crash-{corpus.name_of(data)}"
        path.write_bytes(data)
        print(f"Test unit written to {path}", flush=True)
        raise


def _outcome(job: Job, code: int) -> Outcome:
    text = job.log.read_text(errors="replace")
    progress = re.findall(r"cov: (\d+) ft: (\d+)", text)
    edges, features = map(int, progress[-1]) if progress else (0, 0)
    found = re.findall(r"Test unit written to (\S+)", text)
    why = re.findall(r"=== Uncaught Python exception: ===\n(.*)", text)
    if code and not why:
        why = [f"the engine left with code {code}: see {job.log}"]
    peak, finding = 0, found[-1] if found else (str(job.log) if code else "")
    if not finding:
        for path in sorted(job.folder.iterdir()):
            try:
                peak = max(peak, measure(job.target, path.read_bytes()))
            except TooMuchMemory as error:
                finding, why = str(path), [str(error)]
    return Outcome(
        job.target.name,
        _number(text, "number_of_executed_units"),
        edges,
        features,
        sum(corpus.name_of(p.read_bytes()) not in _given(job.target) for p in job.folder.iterdir()),
        peak,
        finding,
        why[-1] if why else "",
    )


def _number(text: str, name: str) -> int:
    found = re.findall(rf"stat::{name}:\s+(\d+)", text)
    return int(found[-1]) if found else max([0, *map(int, re.findall(r"^#(\d+)", text, re.MULTILINE))])


def _given(target: Target) -> set[str]:
    return {corpus.name_of(data) for data in inputs_of(target)}


def inputs_of(target: Target) -> list[bytes]:
    """Valid ones, kept ones, and nothing at all."""
    return [b"", *target.seeds(), *(entry.input() for entry in corpus.load(target.name))]


def place(target: Target, root: Path, extra: StrPath | None, *, runs: int, seconds: int, seed: int) -> Job:
    """The job of one target, its inputs laid out as files: in `extra`/TARGET if that is given, else under root."""
    folder = (Path(extra) if extra else root / "inputs") / target.name
    findings = root / "findings" / target.name
    folder.mkdir(parents=True, exist_ok=True)
    findings.mkdir(parents=True, exist_ok=True)
    for data in inputs_of(target):
        (folder / corpus.name_of(data)).write_bytes(data)
    return Job(target, folder, findings, runs, seconds, seed)


def lines_of(target: Target, data: bytes) -> frozenset[tuple[str, int, int]]:
    """Which steps from line to line of our packages one input takes: a measure that needs no engine."""
    steps: set[tuple[str, int, int]] = set()
    last: dict[int, int] = {}

    def trace(frame: object, event: str, _: object) -> object:
        code = frame.f_code  # type: ignore[attr-defined]
        if not any(f"/{part}/peerage" in code.co_filename for part in ("crypto", "ledger", "node")):
            return None
        if event == "line":
            steps.add((code.co_filename, last.get(id(frame), 0), frame.f_lineno))  # type: ignore[attr-defined]
            last[id(frame)] = frame.f_lineno  # type: ignore[attr-defined]
        return trace

    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        with contextlib.suppress(Exception):
            execute(target, data)
    finally:
        sys.settrace(None)
    return frozenset(steps)


def keep(job: Job, seconds: float = 60) -> int:
    """Into the kept corpus what takes a step that nothing shorter takes; returns how many inputs it has now."""
    entries, seen = corpus.load(job.target.name), set[tuple[str, int, int]]()
    for data in inputs_of(job.target):
        seen |= lines_of(job.target, data)
    until = time.monotonic() + seconds
    for path in sorted(job.folder.iterdir(), key=lambda p: (p.stat().st_size, p.name)):
        data = path.read_bytes()
        fresh = lines_of(job.target, data) - seen
        if fresh and time.monotonic() < until:
            seen |= fresh
            entries.append(corpus.kept(data))
    return corpus.save(job.target.name, entries) if entries else 0


def named(names: Sequence[str]) -> list[Target]:
    """Targets by name or by the beginning of it; all of them for none. KeyError for a name that nothing has."""
    found = [t for name, t in sorted(TARGETS.items()) if not names or any(name.startswith(n) for n in names)]
    for name in names:
        if not any(t.name.startswith(name) for t in found):
            raise KeyError(name)
    return found
