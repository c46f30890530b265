"""`summary.json`: what a run did, in keys that stay. `compose` is pure; `federation` gathers what it needs."""

import builtins
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from peerage.config import Federation
from peerage.metrics import RoundMetrics
from peerage.status import Status


class Accuracy(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of the test split. `mean` and `min` over the peers' own models at the end."""

    mean: float | None = None
    min: float | None = None
    aggregate: float | None = None
    local_only: float | None = None
    pooled: float | None = None


class Seconds(msgspec.Struct, frozen=True, kw_only=True):
    """Wall clock of the run; training, exchange, score and ledger are means over peers of the time in those phases."""

    total: float = 0.0  # without the baselines
    startup: float = 0.0
    training: float = 0.0
    exchange: float = 0.0  # mask, exchange, unmask
    score: float = 0.0
    ledger: float = 0.0
    baselines: float = 0.0


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """`raw`: 4 bytes a parameter for each update that went into a round."""

    sent: int = 0
    raw: int = 0


class LedgerCost(msgspec.Struct, frozen=True, kw_only=True):
    """After registration and deployment; null where the chain could not be asked any more."""

    engine: str
    chain_id: int
    transactions: int | None = None
    gas: int | None = None
    gas_per_peer_round: float | None = None


class Rewards(msgspec.Struct, frozen=True, kw_only=True):
    """Smallest units as strings; `by_peer` by checksummed account address, as claimed."""

    pool: str
    paid: str
    by_peer: dict[str, str] = {}


class Co2e(msgspec.Struct, frozen=True, kw_only=True):
    low: float = 0.0
    mid: float = 0.0
    high: float = 0.0


class Emissions(msgspec.Struct, frozen=True, kw_only=True):
    energy_wh: float = 0.0
    co2e_g: Co2e = Co2e()
    by_phase: dict[str, float] = {}  # Wh
    by_peer: dict[str, float] = {}  # Wh, by account address
    quality: str = "assumed"
    country: str = ""


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """A registered peer whose update is not in this round's sum."""

    round: int
    peer: str
    address: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    ok: bool | None = None  # null: not audited
    findings: int = 0


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    schema: int = 1
    name: str
    peers: int
    rounds: int
    exchange: str
    seed: int
    aggregate_sha256: str
    accuracy: Accuracy
    seconds: Seconds
    bytes: Traffic
    ledger: LedgerCost
    rewards: Rewards
    emissions: Emissions
    missing: tuple[Missing, ...]
    smallest_honest_sum: int | None  # peers; null in plain exchange, which hides nothing
    validation: str  # whose rows the scores were measured on
    accounts: dict[str, str]  # peer name -> account address
    lost: dict[str, str] = {}  # peers that ended unasked: name -> what they said
    audit: Verdict = Verdict()

    def to_json(self) -> builtins.bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def last_aggregate(metrics: Mapping[str, Sequence[RoundMetrics]]) -> str:
    """The artefact id of the newest round's model; where peers differ, the one that most of them adopted."""
    newest = max((m.round for lines in metrics.values() for m in lines if m.aggregate), default=0)
    found = [m.aggregate for lines in metrics.values() for m in lines if m.round == newest and m.aggregate]
    return max(sorted(set(found)), key=found.count, default="")


def aggregate_accuracy(metrics: Mapping[str, Sequence[RoundMetrics]], aggregate: str) -> float | None:
    told = [m.accuracy for lines in metrics.values() for m in lines if m.aggregate == aggregate]
    return next((accuracy for accuracy in told if accuracy is not None), None)


def missing(metrics: Mapping[str, Sequence[RoundMetrics]], accounts: Mapping[str, str]) -> tuple[Missing, ...]:
    """Who is not in which sum, by the members' own lists of survivors; a round nobody reports has no line."""
    survivors: dict[int, set[str]] = {}
    for line in _all(metrics):
        if line.survivors:
            survivors.setdefault(line.round, set()).update(line.survivors)
    return tuple(
        Missing(round=number, peer=name, address=address)
        for number in sorted(survivors)
        for name, address in accounts.items()
        if address not in survivors[number]
    )


def phase_seconds(metrics: Mapping[str, Sequence[RoundMetrics]], phases: Iterable[str]) -> float:
    """Mean over peers of the time in these phases."""
    wanted = tuple(phases)
    per_peer = [sum(m.seconds.get(phase, 0.0) for m in lines for phase in wanted) for lines in metrics.values()]
    return sum(per_peer) / len(per_peer) if per_peer else 0.0


def traffic(metrics: Mapping[str, Sequence[RoundMetrics]], statuses: Mapping[str, Status]) -> Traffic:
    raw = sum(4 * m.parameters for m in _all(metrics) if m.took_part)
    return Traffic(sent=sum(status.bytes_sent for status in statuses.values()), raw=raw)


def peer_accuracies(statuses: Mapping[str, Status]) -> tuple[float | None, float | None]:
    known = [status.accuracy for status in statuses.values() if status.accuracy is not None]
    return (sum(known) / len(known), min(known)) if known else (None, None)


def gap_recovered(accuracy: Accuracy) -> float | None:
    """The share of the way from local-only to pooled accuracy that the aggregate went; None without a way to go."""
    ends = (accuracy.local_only, accuracy.aggregate, accuracy.pooled)
    if None in ends:
        return None
    local, reached, pooled = (float(end or 0.0) for end in ends)
    return (reached - local) / (pooled - local) if pooled > local else None


def validation_of(federation: Federation) -> str:
    data = federation.data
    if data.validation_file:
        return f"the public file {data.validation_file}"
    if data.validation_donor:
        return f"rows donated by {data.validation_donor}"
    return "" if data.source.startswith("csv:") else f"the declared public slice of {data.source}"


def _all(metrics: Mapping[str, Sequence[RoundMetrics]]) -> Iterable[RoundMetrics]:
    return (line for lines in metrics.values() for line in lines)
