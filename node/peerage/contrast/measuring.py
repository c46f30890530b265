"""The two ways to train, run and read: in one place by the worker, in a federation by `peerage run` itself."""

from __future__ import annotations

import io
from collections import Counter
from typing import TYPE_CHECKING

from peerage.contrast.amounts import metered
from peerage.contrast.jobs import Alone, AloneTold, Judge, JudgeTold, asked
from peerage.contrast.side import Side, stop
from peerage.emissions import MARKED, check_run, decode_host_record, decode_record
from peerage.launch.federation import Options, run_federation
from peerage.launch.live import Screen
from peerage.launch.outcome import emission_records
from peerage.metrics import read_all_metrics
from peerage_crypto.errors import OurError, PeerageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from peerage.config import Federation
    from peerage.contrast.side import Cell
    from peerage.emissions import EmissionFinding, EmissionRecord, HostRecord
    from peerage.metrics import RoundMetrics
    from peerage.rundir import RunDir


def in_one_place(cell: Cell, job: Alone, target: float) -> tuple[Side, AloneTold]:
    told = asked(job, AloneTold)
    records = tuple(decode_record(raw.encode()) for raw in told.records)
    host = decode_host_record(told.host.encode())
    return side_of(cell, target, told.curve, records, (host,)), told


def federated(cell: Cell, federation: Federation, out: Path, target: float) -> Side:
    """One whole run, chain and masks and audit included, in `out`. What it says goes into its own run.log."""
    said = io.StringIO()
    try:
        summary, run = run_federation(federation, Options(out=out, baselines=False), Screen(to_stderr=True, file=said))
    except PeerageError:
        raise
    except Exception as error:  # its last words are the only ones that say why
        raise OurError(f"the run in {out} ended: {error}; it last said: {said.getvalue()[-500:]}") from error
    return read_side(cell, federation, run, target, audit_ok=summary.audit.ok)


def read_side(cell: Cell, federation: Federation, run: RunDir, target: float, *, audit_ok: bool | None) -> Side:
    """What a finished run tells of itself; its models are judged here, on the same test rows as the other side's."""
    aggregates = by_round(read_all_metrics(run.root, federation))
    told = asked(Judge(federation=federation, store=str(run.store.absolute()), aggregates=aggregates), JudgeTold)
    hosts = tuple(decode_host_record(line) for line in run.host_log.read_bytes().splitlines())
    return side_of(cell, target, told.curve, tuple(emission_records(run.store)), hosts, audit_ok=audit_ok)


def by_round(metrics: Mapping[str, Sequence[RoundMetrics]]) -> tuple[str, ...]:
    """The model of each round, as most peers adopted it."""
    found: dict[int, Counter[str]] = {}
    for lines in metrics.values():
        for line in lines:
            if line.aggregate:
                found.setdefault(line.round, Counter())[line.aggregate] += 1
    if sorted(found) != list(range(1, len(found) + 1)):
        raise OurError("the run has no model of some round: its accuracy by round cannot be told")
    return tuple(found[number].most_common(1)[0][0] for number in sorted(found))


def side_of(
    cell: Cell,
    target: float,
    curve: Sequence[float],
    records: Sequence[EmissionRecord],
    hosts: Sequence[HostRecord],
    *,
    audit_ok: bool | None = None,
) -> Side:
    """Energy up to the round that reached the target; what came after is not counted."""
    last, reached = stop(curve, target)
    counted = [record for record in records if record.round <= last]
    return Side(
        cell=cell,
        target=target,
        reached=reached,
        rounds=last,
        curve=tuple(curve),
        metered=metered(counted),
        seconds=(max(r.end_us for r in counted) - min(r.start_us for r in counted)) / 1e6,
        bytes_out=sum(row.bytes_out for record in counted for row in record.use),
        findings=len(faults(check_run(records, hosts))),
        host_uj=sum(host.host.total_uj for host in hosts),
        audit_ok=audit_ok,
    )


def faults(found: Iterable[EmissionFinding]) -> list[EmissionFinding]:
    """Without what a meter says against itself, which is no fault."""
    return [one for one in found if one.code != MARKED]
