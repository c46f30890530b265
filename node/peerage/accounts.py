"""What a peer keeps count of and tells: phases and energy, a line of metrics per round, its status to the launcher."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from eth_utils.address import to_checksum_address

from peerage.emissions import (
    EmissionsCsv,
    Meter,
    counters_of,
    equal_reservation,
    parse_resolution,
    probe_from_json,
)
from peerage.metrics import MetricsLog, RoundMetrics
from peerage.own_meter import OwnMeter
from peerage.privacy.meter import RoundSeen
from peerage.status import Status, send_status
from peerage_ledger.plain_judgement import PlainJudged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from multiprocessing.connection import Connection

    from peerage.config import Federation
    from peerage.effects import Progress
    from peerage.emissions import EmissionRecord, Phase
    from peerage.status import PeerSpec, State
    from peerage_ledger.judgement import Judged

STATUS_SECONDS = 0.2
UJ_PER_WH = 3.6e9


class Accounts:
    """`traffic` gives the bytes (received, sent) since the start."""

    def __init__(
        self,
        spec: PeerSpec,
        federation: Federation,
        me: bytes,
        pipe: Connection,
        traffic: Callable[[], tuple[int, int]],
    ) -> None:
        folder = Path(spec.run_dir) / "peers" / spec.name
        self._spec, self._rounds, self._pipe, self._traffic, self._me = spec, federation.rounds, pipe, traffic, me
        self.state: State = "starting"
        self.phase, self.note, self.round, self.version, self.earned = "wait", "", 0, 0, 0
        self.accuracy: float | None = None
        self._validates = federation.training.counts == "held-out"
        probe, reserved = probe_from_json(Path(spec.host_probe).read_text()), equal_reservation(federation.peers)
        devices, own_devices = counters_of(probe, reserved, alone=spec.alone)
        self._meter = Meter(
            probe,
            me,
            reserved_ppm=reserved,
            resolution_us=parse_resolution(federation.emissions.resolution),
            traffic=traffic,
            gpu_uj=devices,
            own_gpu_uj=own_devices,
        )
        self._emissions = EmissionsCsv(folder / "emissions.csv")
        self._metrics = MetricsLog(folder / "metrics.jsonl")
        self._given_away = OwnMeter(federation, str(to_checksum_address(me)), folder / "journal.jsonl")
        self._seconds: dict[str, float] = {}
        self._since = time.monotonic()
        self._traffic_before = (0, 0)
        self._told = 0.0

    def enter(self, phase: str) -> None:
        """The phase changes: energy and seconds so far belong to the one before."""
        if phase != self.phase:
            self._lap()
            self.phase = phase
            self._meter.enter(cast("Phase", phase))

    def close_emissions(self, round_: int) -> EmissionRecord:
        """The record of everything since the last one."""
        record = self._meter.close_round(round_)
        self._emissions.append(record)
        return record

    def closed_round(self, done: Progress, judged: Judged | PlainJudged) -> None:
        """One line of metrics for people."""
        self.earned = done.earned.get(self._me, 0)
        received, sent = self._traffic()
        before_received, before_sent = self._traffic_before
        self._traffic_before = (received, sent)
        self._lap()
        seconds, self._seconds = self._seconds, {}
        facts = _facts(judged)
        sid, roster = facts.sid.hex(), _names(facts.roster)
        sums, opened = tuple(_names(group) for group in facts.sums), _names(facts.opened)
        halves = tuple(_names(half) for half in facts.halves)
        grouped, halved = tuple(map(frozenset, sums)), tuple(map(frozenset, halves))
        seen = RoundSeen(done.round, sid, frozenset(roster), grouped, frozenset(opened), halved)
        self._metrics.append(
            RoundMetrics(
                round=done.round,
                sid=sid,
                initiator=str(to_checksum_address(facts.initiator)),
                aggregate=done.aggregate.hex(),
                roster=roster,
                survivors=_names(done.members),
                version=self.version,
                took_part=self._me in done.members,
                accuracy=self.accuracy,
                validated=done.train_accuracy_ppm / 1e6 if self._validates else None,
                parameters=facts.parameters,
                seconds={name: round(s, 6) for name, s in seconds.items()},
                bytes_sent=sent - before_sent,
                bytes_received=received - before_received,
                clipped_updates=done.clipped.updates if done.clipped else 0,
                clipped_coordinates=done.clipped.coordinates if done.clipped else 0,
                score=str(facts.numbers.get(self._me) or 0),
                earned=str(self.earned),
                sums=sums,
                opened=opened,
                halves=halves,
                privacy=self._given_away.take(seen, facts.parameters) if sums else None,
            )
        )

    def say(self, *, soon: bool = False) -> None:
        """Send the status up; `soon` keeps to a few a second."""
        now = time.monotonic()
        if soon and now - self._told < STATUS_SECONDS:
            return
        self._told = now
        received, sent = self._traffic()
        status = Status(
            peer=self._spec.name,
            state=self.state,
            phase=self.phase,
            round=min(self.round + 1, self._rounds) if self.state != "starting" else 0,
            version=self.version,
            accuracy=self.accuracy,
            bytes_sent=sent,
            bytes_received=received,
            energy_wh=self._meter.energy_uj / UJ_PER_WH,
            earned=str(self.earned),
            note=self.note,
        )
        with contextlib.suppress(OSError):  # the launcher is gone; the watcher says so
            send_status(self._pipe, status)

    def close(self) -> None:
        self._emissions.close()

    def _lap(self) -> None:
        now = time.monotonic()
        self._seconds[self.phase] = self._seconds.get(self.phase, 0.0) + now - self._since
        self._since = now


def round_of(done: Progress, history: Sequence[Judged | PlainJudged]) -> Judged | PlainJudged | None:
    """The round that is told of: a peer that catches up adopts several in one step, and then is told of each.

    None for one that was left for another branch within that step.
    """
    found = [judged for judged in history if judged.record.aggregate == done.aggregate]
    return max(found, key=lambda judged: judged.record.round == done.round, default=None)


@dataclass(frozen=True, slots=True)
class _Facts:
    """What a line of metrics takes from a round's record."""

    sid: bytes
    initiator: bytes
    roster: tuple[bytes, ...]
    numbers: Mapping[bytes, int | None]
    parameters: int
    sums: tuple[tuple[bytes, ...], ...] = ()
    halves: tuple[tuple[bytes, ...], ...] = ()

    @property
    def opened(self) -> tuple[bytes, ...]:
        return tuple(peer for peer, number in self.numbers.items() if number is not None)


def _names(peers: Iterable[bytes]) -> tuple[str, ...]:
    return tuple(str(to_checksum_address(peer)) for peer in peers)


def _facts(judged: Judged | PlainJudged) -> _Facts:
    if isinstance(judged, PlainJudged):
        size = 0 if judged.model is None else int(judged.model.size)
        return _Facts(judged.record.sid, judged.body.initiator, judged.participants.peers, {}, size)
    roster = judged.proven.roster
    numbers = dict(zip(judged.proven.u3, judged.transcript.numbers, strict=True))
    size = int(judged.standing.model.size)
    groups, halves = judged.proven.groups, judged.known_halves
    return _Facts(roster.plan.sid, roster.plan.initiator, roster.members, numbers, size, groups, halves)
