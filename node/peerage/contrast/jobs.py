"""What the worker is asked and answers, and how it is asked: one process a job, so that its meter sees nothing else."""

from __future__ import annotations

import subprocess
import sys
from typing import Literal, TypeVar

import msgspec

from peerage.config import Federation
from peerage_crypto.errors import InputError, OurError

WORKER = "peerage.contrast.worker"
T = TypeVar("T")


class Alone(msgspec.Struct, frozen=True, kw_only=True, tag="alone"):
    """Train the rows of a federation in one place. `target` None: to the last epoch. `learning_rate` 0: its own."""

    federation: Federation
    probe: str
    target: float | None
    most_epochs: int
    optimiser: Literal["sgd", "adam"] = "sgd"
    learning_rate: float = 0.0


class AloneTold(msgspec.Struct, frozen=True, kw_only=True):
    """`curve` begins with the first model; records and host record as their meters encode them."""

    curve: tuple[float, ...]
    rows: int
    parameters: int
    records: tuple[str, ...]
    host: str


class Judge(msgspec.Struct, frozen=True, kw_only=True, tag="judge"):
    federation: Federation
    store: str
    aggregates: tuple[str, ...]


class JudgeTold(msgspec.Struct, frozen=True):
    curve: tuple[float, ...]


Job = Alone | Judge


def asked(job: Alone | Judge, answer: type[T]) -> T:
    """InputError in the worker's own words where the job cannot be done."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", WORKER], input=msgspec.json.encode(job), capture_output=True, check=False
    )
    if done.returncode == InputError.exit_code:
        raise InputError(done.stderr.decode(errors="replace"))
    if done.returncode:
        raise OurError(f"a training in one place ended with {done.returncode}: {done.stderr.decode(errors='replace')}")
    return msgspec.json.decode(done.stdout, type=answer)
