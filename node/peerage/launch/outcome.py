"""After the last round: final model, the host's energy, the chain's figures, yardsticks and audit, in one summary.

What cannot be had (the chain is gone, the data are not on this machine) is null in the summary, never a guess.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from eth_utils.address import to_checksum_address
from msgspec.structs import replace

from peerage.audit.door import audit
from peerage.config import Federation
from peerage.emissions import BadRecord, EmissionRecord, HostMeter, decode_record, summarise
from peerage.emissions.record import MAX_RECORD_BYTES
from peerage.launch import summary as s
from peerage.launch.cast import announced
from peerage.launch.chain_totals import ChainTotals, read_totals
from peerage.launch.crew import Times
from peerage.launch.faults import faults_of
from peerage.launch.groups import Groups, divided, in_sums
from peerage.launch.groups import compose as compose_groups
from peerage.launch.live import View
from peerage.launch.overhead import Cpu, of_run
from peerage.launch.processes import PeerLauncher
from peerage.launch.turns import rests, scales, told_of
from peerage.metrics import read_all_metrics
from peerage.own_meter import entries_of
from peerage.privacy.meter import perhaps_revealed
from peerage.privacy.noise import promised
from peerage.rundir import RunDir, write_whole
from peerage_crypto.errors import InputError, Unreachable
from peerage_ledger.audit.findings import Notebook
from peerage_ledger.audit.journal import Journal, read_journal
from peerage_ledger.deployment import Deployment

WRITE_MODEL = "peerage.launch.product:write_model"
YARDSTICKS = "peerage.launch.product:yardsticks"


@dataclass(frozen=True, slots=True)
class Ended:
    """A run whose peers have all stopped; accounts are 20 bytes by peer name."""

    federation: Federation
    run: RunDir
    deployment: Deployment
    engine: str
    accounts: Mapping[str, bytes]
    view: View
    lost: Mapping[str, str]
    times: Times
    began: Cpu


def gather(
    ended: Ended, launcher: PeerLauncher, stop_chain: Callable[[], None], say: Callable[[str], None], *, baselines: bool
) -> s.Summary:
    """Writes model, card, host record and `summary.json`; the audit runs last, when the chain has stopped."""
    run = ended.run
    records = tuple(emission_records(run.store))
    chain = _chain(ended.deployment, say)
    stop_chain()
    summary = compose(ended, records, chain)
    right: Mapping[str, tuple[int, int]] = {}
    if summary.aggregate_sha256:
        summary, right = _with_model(summary, run, launcher)
    summary = replace(summary, groups=_groups(ended, summary.accounts, records, right))
    summary = replace(summary, seconds=replace(summary.seconds, total=time.monotonic() - ended.times.started))
    if baselines and not summary.selection:  # where nothing was trained, nobody would have trained alone
        say("Measuring the yardsticks: each peer alone, and all rows in one place (outside the run's clock).")
        summary = _with_yardsticks(summary, run, launcher)
    write_whole(run.summary, summary.to_json())
    summary = replace(summary, audit=_audited(run.root, say))
    summary = replace(summary, overhead=of_run(ended.began, run.host_log))  # the audit was part of it
    write_whole(run.summary, summary.to_json())
    return summary


def compose(ended: Ended, records: tuple[EmissionRecord, ...], chain: ChainTotals | None) -> s.Summary:
    federation, statuses = ended.federation, ended.view.statuses
    metrics = read_all_metrics(ended.run.root, federation)
    accounts = {name: str(to_checksum_address(address)) for name, address in ended.accounts.items()}
    aggregate = s.last_aggregate(metrics)
    mean, least = s.peer_accuracies(statuses)
    times = ended.times
    masked = federation.exchange == "masked"
    missing, resting = s.parted(s.absent(metrics, accounts), rests(federation, accounts))
    return s.Summary(
        name=federation.name,
        peers=federation.peers,
        rounds=federation.rounds,
        exchange=federation.exchange,
        seed=federation.seed,
        aggregate_sha256=aggregate,
        accuracy=s.Accuracy(mean=mean, min=least, aggregate=s.aggregate_accuracy(metrics, aggregate)),
        seconds=s.Seconds(
            startup=(times.ready or time.monotonic()) - times.started,
            training=s.phase_seconds(metrics, ("train",)),
            exchange=s.phase_seconds(metrics, ("mask", "exchange", "unmask")),
            score=s.phase_seconds(metrics, ("score",)),
            ledger=s.phase_seconds(metrics, ("ledger",)),
        ),
        bytes=s.traffic(metrics, statuses),
        ledger=_cost(ended, chain),
        rewards=s.Rewards(
            pool=federation.rewards.pool,
            paid=str(chain.paid if chain else 0),
            epochs=chain.epochs if chain else 0,
            by_peer={str(to_checksum_address(a)): str(n) for a, n in sorted((chain.claimed if chain else {}).items())},
        ),
        emissions=_emissions(records),
        missing=missing,
        resting=resting,
        schedule=told_of(federation),
        clipped=s.clipped(metrics) if masked else s.Clipped(),
        smallest_honest_sum=promised(federation),
        validation=s.validation_of(federation),
        accounts=accounts,
        lost=dict(ended.lost),
        parts=announced(federation),
        faults=faults_of(_journals(ended.run, federation), ended.accounts),
        privacy=s.privacy(federation, metrics, accounts, _open_sessions(ended.run, federation)),
        best=s.best(metrics),
    )


def _open_sessions(run: RunDir, federation: Federation) -> dict[str, frozenset[str]]:
    """By peer name: sessions that it voted in and that its journal leaves open, so that their sum may be known."""
    return {
        journal.name: perhaps_revealed(entries_of((entry.kind, entry.fields) for entry in journal.entries))
        for journal in _journals(run, federation)
    }


def _journals(run: RunDir, federation: Federation) -> Iterator[Journal]:
    """As an auditor reads them; what is wrong with them is the auditor's to say."""
    for name in federation.peer_names():
        path = run.peer(name) / "journal.jsonl"
        if path.exists():
            yield read_journal(name, path.read_bytes(), Notebook())


def sampling(meter: HostMeter, tick: Callable[[], Sequence[str]]) -> Callable[[], Sequence[str]]:
    """`tick`, and each time a look at the host: a counter that nobody reads for an hour may have wrapped unseen."""

    def both() -> Sequence[str]:
        meter.sample()
        return tick()

    return both


def close_host(run: RunDir, meter: HostMeter, host_id: str) -> None:
    """One line in `host.jsonl`: the host over this session, and what its peers' records leave to other processes."""
    mine = [record for record in emission_records(run.store) if record.host_id == host_id]
    with run.host_log.open("ab") as file:
        file.write(meter.close(mine).encode() + b"\n")


def emission_records(store: Path) -> Iterator[EmissionRecord]:
    """Every artefact that is a valid emission record; there is no index that could hide one."""
    for path in sorted(store.iterdir()):
        if path.is_file() and path.stat().st_size <= MAX_RECORD_BYTES:
            blob = path.read_bytes()
            if blob[:1] == b"{":
                try:
                    yield decode_record(blob)
                except BadRecord:
                    continue  # another kind of artefact; a forged record is the auditor's to name


def _chain(deployment: Deployment, say: Callable[[str], None]) -> ChainTotals | None:
    try:
        return read_totals(deployment)
    except Unreachable as error:
        say(f"the chain cannot be asked for costs and claims any more: {error}")
        return None


def _cost(ended: Ended, chain: ChainTotals | None) -> s.LedgerCost:
    federation, chain_id = ended.federation, ended.deployment.chain_id
    if chain is None:
        return s.LedgerCost(engine=ended.engine, chain_id=chain_id)
    each = chain.gas / (federation.peers * federation.rounds)
    return s.LedgerCost(
        engine=ended.engine,
        chain_id=chain_id,
        transactions=chain.transactions,
        gas=chain.gas,
        gas_per_peer_round=round(each, 1),
    )


def _emissions(records: tuple[EmissionRecord, ...]) -> s.Emissions:
    told = summarise(records)
    return s.Emissions(
        energy_wh=told["energy_wh"],
        co2e_g=s.Co2e(**told["co2e_g"]),
        by_phase=told["by_phase"],
        by_peer={str(to_checksum_address(peer)): wh for peer, wh in told["by_peer"].items()},
        quality=told["quality"],
        country=told["country"],
    )


def _with_model(
    summary: s.Summary, run: RunDir, launcher: PeerLauncher
) -> tuple[s.Summary, Mapping[str, tuple[int, int]]]:
    """The summary with what the final model is worth, and (held-out rows, right ones) by peer name."""
    best = summary.best
    order = {
        "run_dir": str(run.root),
        "aggregate": summary.aggregate_sha256,
        "best": best.aggregate_sha256 if best else "",
    }
    job = msgspec.json.encode(order).decode()
    final = msgspec.json.decode(launcher.run_aside(WRITE_MODEL, job).result(), type=s.FinalModel)
    accuracy = replace(summary.accuracy, aggregate=final.accuracy)
    best = replace(best, accuracy=final.best) if best else None
    found = replace(summary, accuracy=accuracy, quality=final.quality, best=best, selection=final.selection)
    return found, final.own


def _groups(
    ended: Ended,
    accounts: Mapping[str, str],
    records: Sequence[EmissionRecord],
    right: Mapping[str, tuple[int, int]],
) -> Groups | None:
    names = {address.lower(): name for name, address in accounts.items()}
    countries = {names[r.peer]: r.factor.place for r in records if r.peer in names}
    division = divided(ended.federation, accounts, countries)
    if division is None:
        return None
    metrics = read_all_metrics(ended.run.root, ended.federation)
    survivors = in_sums((m for lines in metrics.values() for m in lines), accounts)
    return compose_groups(division, survivors, right, scales(ended.federation, accounts))


def _with_yardsticks(summary: s.Summary, run: RunDir, launcher: PeerLauncher) -> s.Summary:
    started = time.monotonic()
    job = msgspec.json.encode({"run_dir": str(run.root)}).decode()
    found = msgspec.json.decode(launcher.run_aside(YARDSTICKS, job).result(), type=dict[str, float])
    seconds = time.monotonic() - started
    return replace(
        summary,
        accuracy=replace(summary.accuracy, local_only=found["local_only"], pooled=found["pooled"]),
        seconds=replace(summary.seconds, baselines=seconds),
    )


def _audited(root: Path, say: Callable[[str], None]) -> s.Verdict:
    try:
        report = audit(root)
    except InputError as error:
        say(f"the audit could not be done: {error}")
        return s.Verdict()
    for finding in report.findings:
        say(f"audit: {finding.code}: {finding.sentence}")
    return s.Verdict(ok=not report.findings, findings=len(report.findings))
