"""`run.log`: what the launcher saw while it happened, and at the end every peer's log merged in by time."""

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from peerage.rundir import RunDir, write_whole

LAUNCHER = "launcher"
_STAMP = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ")


class RunLog:
    """Appends the launcher's lines; flushed one by one, since a killed launcher writes no end."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def say(self, sentence: str) -> None:
        now = dt.datetime.now(dt.UTC).astimezone()
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{now:%Y-%m-%d %H:%M:%S},{now.microsecond // 1000:03d} {LAUNCHER}: {sentence}\n")


def merge_into(run: RunDir, names: Iterable[str]) -> None:
    """Rewrite run.log with all peers' lines. What an earlier merge brought in is left out before."""
    mine = run.log.read_text(encoding="utf-8") if run.log.exists() else ""
    sources = {name: _read(run.peer(name) / "log.txt") for name in names}
    merged = merge(_only_launcher(mine), sources)
    write_whole(run.log, merged.encode())


def merge(launcher: str, peers: Mapping[str, str]) -> str:
    """Lines ordered by their time stamp, each named; a line without a stamp (a traceback) stays below its own."""
    entries = list(_entries(launcher, ""))
    for name, text in peers.items():
        entries += _entries(text, f"{name}: ")
    return "".join(text for _, text in sorted(entries, key=lambda entry: entry[0]))


def _entries(text: str, label: str) -> Iterator[tuple[str, str]]:
    stamp, block = "", ""
    for line in text.splitlines():
        if _STAMP.match(line):
            if block:
                yield stamp, block
            stamp, block = line[:23], f"{line[:24]}{label}{line[24:]}\n"
        else:
            block += f"    {line}\n"
    if block:
        yield stamp, block


def _only_launcher(text: str) -> str:
    return "".join(f"{line}\n" for line in text.splitlines() if line[24:].startswith(f"{LAUNCHER}: "))


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
