"""A run directory: where everything of one run lies, who may write it, and what may be mailed to an auditor.

`secrets/` (0700) stays home; all else is evidence or its summary. One launcher at a time holds the folder.
"""

import datetime as dt
import fcntl
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from peerage_crypto.errors import InputError

LEAST_FREE_BYTES = 200 << 20


@dataclass(frozen=True, slots=True)
class RunDir:
    root: Path

    @property
    def federation(self) -> Path:
        return self.root / "federation.toml"

    @property
    def deployment(self) -> Path:
        return self.root / "deployment.json"

    @property
    def summary(self) -> Path:
        return self.root / "summary.json"

    @property
    def host_probe(self) -> Path:
        return self.root / "host.json"

    @property
    def host_log(self) -> Path:
        return self.root / "host.jsonl"

    @property
    def model(self) -> Path:
        return self.root / "model.safetensors"

    @property
    def best_model(self) -> Path:
        return self.root / "best.safetensors"

    @property
    def model_card(self) -> Path:
        return self.root / "MODEL_CARD.md"

    @property
    def store(self) -> Path:
        return self.root / "store"

    @property
    def market(self) -> Path:
        return self.root / "market"

    @property
    def watch(self) -> Path:
        return self.root / "watch"

    @property
    def chain(self) -> Path:
        return self.root / "chain"

    @property
    def devnet(self) -> Path:
        return self.chain / "devnet"  # the engine's native state: for restarts, no evidence

    @property
    def pruned(self) -> Path:
        return self.root / "pruned.json"

    @property
    def log(self) -> Path:
        return self.root / "run.log"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    def own_model(self, name: str) -> Path:
        """Where a peer keeps its own model, if a part of it stays with the peer."""
        return self.secrets / f"{name}.model.safetensors"

    def peer(self, name: str) -> Path:
        return self.root / "peers" / name


def default_out(source: str, now: dt.datetime, runs: Path) -> Path:
    """`runs/20260131-235959-digits`; a second run within the second gets a suffix."""
    what = re.sub(r"[^A-Za-z0-9]+", "-", _short(source)).strip("-").lower() or "data"
    stem = f"{now:%Y%m%d-%H%M%S}-{what}"
    path, count = runs / stem, 2
    while path.exists():
        path, count = runs / f"{stem}-{count}", count + 1
    return path


def _short(source: str) -> str:
    kind, _, rest = source.partition(":")
    return Path(rest).stem if kind in {"csv", "npz", "folder"} else kind


def open_run_dir(root: Path, *, force: bool, resume: bool) -> RunDir:
    """Make the folders. A folder with something in it is refused unless the user said what to do with it."""
    run = RunDir(root.absolute())
    if root.exists() and not root.is_dir():
        raise InputError(f"--out {root} is a file: name a folder")
    filled = root.is_dir() and any(root.iterdir())
    if resume and not run.federation.exists():
        raise InputError(f"--resume: {root} holds no run (no federation.toml)")
    if filled and not (force or resume):
        raise InputError(f"--out {root} is not empty: choose another, --resume that run, or --force to delete it")
    if filled and force:
        _clear(run)
    try:
        for folder in (run.root, run.store, run.chain, run.root / "peers"):
            folder.mkdir(parents=True, exist_ok=True)
        run.secrets.mkdir(mode=0o700, exist_ok=True)
        run.secrets.chmod(0o700)
    except OSError as error:
        raise InputError(f"--out {root} cannot be made: {error}") from None
    free = shutil.disk_usage(run.root).free
    if free < LEAST_FREE_BYTES:
        raise InputError(f"{run.root} has {free >> 20} MB free: a run wants at least {LEAST_FREE_BYTES >> 20} MB")
    return run


def _clear(run: RunDir) -> None:
    """--force deletes what a run makes, and only in a folder that looks like one: a wrong --out is no home folder."""
    ours = {
        "federation.toml", "deployment.json", "summary.json", "host.json", "host.jsonl",
        "pruned.json", "estimate.json", "model.safetensors",
        "MODEL_CARD.md", "report.html", "run.log", "store", "peers", "chain", "secrets", "market", "watch",
    }  # fmt: skip
    foreign = sorted(entry.name for entry in run.root.iterdir() if entry.name not in ours)
    if foreign:
        raise InputError(f"--force: {run.root} holds {foreign[0]!r}, which no run makes: delete the folder yourself")
    lock = lock_run_dir(run) if run.secrets.is_dir() else None
    for entry in run.root.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    if lock is not None:
        lock.close()


def lock_run_dir(run: RunDir) -> IO[str]:
    """Held while the file is open; the system lets go of it when the process ends, however it ends."""
    lock = (run.secrets / "launcher.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise InputError(f"{run.root} is in use by another peerage run: wait for it or choose another --out") from None
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def link_latest(run: RunDir) -> None:
    """`latest` beside the run, replaced in one step; outside a folder `runs` nobody wants one."""
    link = run.root.parent / "latest"
    if run.root.parent.name != "runs" or (link.exists() and not link.is_symlink()):
        return
    partial = run.root.parent / f".latest-{os.getpid()}"
    partial.unlink(missing_ok=True)
    partial.symlink_to(run.root.name)
    partial.replace(link)


def write_whole(path: Path, data: bytes) -> None:
    """Readers see the old file or the new one, never half of it."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(data)
    partial.replace(path)
