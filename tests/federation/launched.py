"""Real federations under test: started as a person starts them, watched through what they write, and never left behind.

Each command gets an environment variable of its own that everything it starts inherits, so `Launched.pids` finds every
process of it (Linux), whatever group or session the process has moved to.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import pytest

from peerage_ledger.devnets.engines import Engine, find

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")
Done = subprocess.CompletedProcess[str]

PEERAGE = [sys.executable, "-m", "peerage"]
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("PEERAGE_")}
NODE_MODULES = Path(__file__).parents[2] / "contracts" / "node_modules"
MARK = "PEERAGE_TEST_MARK"
LOOK_SECONDS = 0.02

# a fault-free run waits for everybody, however busy the machine; a run with losses must notice them soon
PATIENT = {"join": 60.0, "step": 60.0, "stall": 90.0}
QUICK = {"join": 1.0, "step": 2.0, "stall": 4.0}


def require(engine: str) -> None:
    """Skip without the engine, but not where CI demands it."""
    if find(Engine(engine)) is None:
        sentence = f"{engine} is not installed: run scripts/test once with Node.js"
        if os.environ.get("CI") == "true":
            pytest.fail(sentence)
        pytest.skip(sentence)


def command(
    *arguments: object, folder: Path, seconds: float = 60, inside: Sequence[str] = (), **environment: str
) -> Done:
    """A command that ends by itself. `inside`: what runs it elsewhere, such as `ip netns exec NAME`."""
    return subprocess.run(
        [*inside, *PEERAGE, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=folder,
        env=_environment(environment),
        timeout=seconds,
        check=False,
    )


def wait_until(look: Callable[[], T], seconds: float, what: str) -> T:
    """The first truthy answer."""
    deadline = time.monotonic() + seconds
    while not (answer := look()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(LOOK_SECONDS)
    return answer


def toml(path: Path, settings: dict[str, Any]) -> Path:
    """One level of tables; `cast` is a list of tables."""

    def lines(table: dict[str, Any]) -> str:
        return "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())

    plain = {key: value for key, value in settings.items() if not isinstance(value, dict) and key != "cast"}
    text = lines(plain)
    text += "".join(f"[{key}]\n{lines(value)}" for key, value in settings.items() if isinstance(value, dict))
    text += "".join(f"[[cast]]\n{lines(part)}" for part in settings.get("cast", []))
    path.write_text(text)
    return path


def sentence_of(done: Done) -> str:
    """What a refused command said: one sentence on stderr, nothing on stdout, exit code 2."""
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("peerage: ")
    return line.removeprefix("peerage: ")


@dataclass(frozen=True)
class RunFolder:
    """What a run has written so far."""

    path: Path

    @functools.cached_property
    def summary(self) -> dict[str, Any]:
        return json.loads((self.path / "summary.json").read_text())

    @property
    def deployment(self) -> dict[str, Any]:
        return json.loads((self.path / "deployment.json").read_text())

    def journal(self, peer: str, kind: str = "") -> list[dict[str, Any]]:
        """Its whole lines; a torn last one does not count."""
        try:
            raw = (self.path / "peers" / peer / "journal.jsonl").read_bytes()
        except FileNotFoundError:
            return []
        lines = [json.loads(line) for line in raw.split(b"\n")[:-1]]
        return [line for line in lines if not kind or line["kind"] == kind]

    def metrics(self, peer: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.path / "peers" / peer / "metrics.jsonl").read_text().splitlines()]

    def closed(self, peer: str) -> dict[int, dict[str, Any]]:
        return {line["round"]: line for line in self.journal(peer, "closed")}

    def aggregates(self, peer: str) -> list[str]:
        return [line["aggregate"] for _, line in sorted(self.closed(peer).items())]

    def pid(self, peer: str) -> int:
        return int((self.path / "peers" / peer / "pid").read_text())


@dataclass
class Launched:
    """A command in a session of its own; leaving the block kills whatever is left of it."""

    arguments: list[str]
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    inside: Sequence[str] = ()  # what runs it elsewhere, such as `ip netns exec NAME`

    def __enter__(self) -> Self:
        self.log = self.folder / f"{self.mark}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*self.inside, *PEERAGE, *self.arguments],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=_environment({**self.environment, MARK: self.mark}),
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for pid in self.pids():
            kill(pid)

    @property
    def said(self) -> str:
        return self.log.read_text()

    def wait_for_words(self, words: str, seconds: float = 90) -> None:
        wait_until(lambda: words in self.said or self.process.poll() is not None, seconds, f"{words!r} in {self.said}")
        assert words in self.said

    def interrupt(self) -> None:
        """Ctrl-C: the terminal tells the whole group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self, seconds: float = 100) -> int:
        return self.process.wait(seconds)

    def pids(self) -> set[int]:
        """Every living process that this command has started, itself included."""
        return {pid for pid in _all_pids() if self.mark in _read(pid, "environ") and _state(pid) not in {"Z", ""}}

    def pids_of(self, words: str, *, without: str = "\n") -> set[int]:
        """Those whose command line has these words and not those."""
        lines = {pid: _read(pid, "cmdline") for pid in self.pids()}
        return {pid for pid, line in lines.items() if words in line and without not in line}


def run(arguments: list[object], folder: Path, **environment: str) -> Launched:
    return Launched(["run", *map(str, arguments)], folder, environment)


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _environment(more: dict[str, str]) -> dict[str, str]:
    return {**ENVIRONMENT, "PEERAGE_NODE_MODULES": str(NODE_MODULES), **more}


def _all_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _state(pid: int) -> str:
    return _read(pid, "stat").rpartition(") ")[2][:1]
