"""What a peer remembers of each round for people: one JSON line in `peers/<name>/metrics.jsonl`.

These lines feed the summary and the plots. They are the peer's own word, not evidence: the auditor never reads them.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from peerage.config import Federation
from peerage.privacy.meter import PeerMeter, RoundSeen

PHASES = ("wait", "train", "mask", "exchange", "unmask", "score", "ledger")


class RoundMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """One round as one peer lived it. Addresses are checksummed hex, artefacts plain lower hex; amounts are strings."""

    round: int
    sid: str = ""
    initiator: str = ""
    aggregate: str = ""  # artefact id of the model adopted
    roster: tuple[str, ...] = ()
    survivors: tuple[str, ...] = ()  # whose updates are in the sum
    version: int = 0  # this peer's version that went into the sum, or its newest
    took_part: bool = True
    accuracy: float | None = None  # of the adopted model on the test split
    loss: float | None = None
    validated: float | None = None  # by all peers' held-out rows, of the model that this round started from
    parameters: int = 0
    seconds: dict[str, float] = {}  # by phase
    bytes_sent: int = 0  # in this round
    bytes_received: int = 0
    energy_wh: dict[str, float] = {}  # by phase
    co2e_g: tuple[float, float, float] = (0.0, 0.0, 0.0)  # low, mid, high
    quality: str = ""  # the worst label among the components
    clipped_updates: int = 0  # of all survivors' together, counted under the masks
    clipped_coordinates: int = 0
    score: str = "0"  # the opened, capped, integer score of this round
    earned: str = "0"  # cumulative, smallest unit
    sums: tuple[tuple[str, ...], ...] = ()  # the survivors again, by the bucket in whose sum they are
    opened: tuple[str, ...] = ()  # whose number was opened
    halves: tuple[tuple[str, ...], ...] = ()  # private validation: whose path gradients were summed together
    privacy: PeerMeter | None = None  # what all rounds so far have given away of this peer
    schema: int = 1


class MetricsLog:
    """Appends one line a round; a restarted peer appends to the same file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, metrics: RoundMetrics) -> None:
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(metrics) + b"\n")


def read_metrics(path: Path) -> tuple[RoundMetrics, ...]:
    """Every whole line that decodes. A line cut short by a kill is left out: these are no evidence."""
    return tuple(_decoded(path)) if path.exists() else ()


def _decoded(path: Path) -> Iterator[RoundMetrics]:
    decoder = msgspec.json.Decoder(RoundMetrics)
    for line in path.read_bytes().splitlines():
        try:
            yield decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue


def read_all_metrics(run_dir: Path, federation: Federation) -> dict[str, tuple[RoundMetrics, ...]]:
    return {name: read_metrics(run_dir / "peers" / name / "metrics.jsonl") for name in federation.peer_names()}


def rounds_seen(lines: Iterable[RoundMetrics]) -> Iterator[RoundSeen]:
    """What the privacy meter takes from the lines of all peers; rounds in plain exchange have no sums."""
    for line in lines:
        if line.sums:
            sums = tuple(frozenset(members) for members in line.sums)
            halves = tuple(frozenset(members) for members in line.halves)
            yield RoundSeen(line.round, line.sid, frozenset(line.roster), sums, frozenset(line.opened), halves)
