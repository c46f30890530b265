"""`summary.json`: what a run did, in keys that stay. `compose` is pure; `federation` gathers what it needs."""

import builtins
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from peerage.config import Federation
from peerage.launch.faults import Fault
from peerage.launch.groups import Groups
from peerage.launch.overhead import Overhead
from peerage.launch.selection import Selection
from peerage.launch.turns import ScheduleTold
from peerage.metrics import RoundMetrics, rounds_seen
from peerage.own_meter import ground_of
from peerage.privacy.meter import PrivacySummary, RoundSeen, against, meters
from peerage.status import Status

SUMMARY_SCHEMA = 2  # 1 lacks overhead, and what older versions did not have either


class Accuracy(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of the test split. `mean` and `min` over the peers' own models at the end."""

    mean: float | None = None
    min: float | None = None
    aggregate: float | None = None
    local_only: float | None = None
    pooled: float | None = None


class ClassQuality(msgspec.Struct, frozen=True, kw_only=True):
    """Of one class: its test rows, and shares; null where there is nothing to divide by."""

    rows: int
    recall: float | None = None
    precision: float | None = None
    f1: float | None = None
    auroc: float | None = None


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """Of the aggregate on the test split, every class weighing the same (`peerage.learning.quality`)."""

    macro_f1: float | None = None
    balanced_accuracy: float | None = None
    auroc: float | None = None  # one class against the rest, mean over classes
    imbalance: float | None = None  # test rows of the largest class over those of the smallest
    by_class: dict[str, ClassQuality] = {}


class FinalModel(msgspec.Struct, frozen=True, kw_only=True):
    """What `launch.product` found out about the aggregate that it wrote."""

    accuracy: float
    parameters: int
    quality: Quality
    best: float | None = None  # accuracy of the best round's, where that is another
    selection: Selection | None = None  # null where there was nothing to choose
    own: dict[str, tuple[int, int]] = {}  # rows that a peer held back, and how many of them it gets right


class Best(msgspec.Struct, frozen=True, kw_only=True):
    """The round whose model the masked validation found best; the last round's is not validated by any later one."""

    round: int
    aggregate_sha256: str
    validated: float  # share of all peers' held-out rows
    accuracy: float | None = None  # on the test split, for people: nothing is chosen by it


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
    """Smallest units as strings; `by_peer` by checksummed account address, as claimed in so many epochs of pay."""

    pool: str
    paid: str
    epochs: int = 0
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
    """A registered peer whose update is not in this round's sum, though its schedule, if any, gave it a turn."""

    round: int
    peer: str
    address: str = ""


class Clipped(msgspec.Struct, frozen=True, kw_only=True):
    """What the clips took away over the run: how many updates were shortened, how many coordinates cut."""

    updates: int = 0
    of: int = 0
    coordinates: int = 0


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    ok: bool | None = None  # null: not audited
    findings: int = 0


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    schema: int = SUMMARY_SCHEMA
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
    resting: tuple[Missing, ...] = ()  # not in the sum either, as the schedule says
    schedule: ScheduleTold | None = None  # null: everybody is due in every round
    smallest_honest_sum: int | None  # peers, as promised for any round; null in plain exchange, which hides nothing
    validation: str  # whose rows the scores were measured on
    accounts: dict[str, str]  # peer name -> account address
    clipped: Clipped = Clipped()
    lost: dict[str, str] = {}  # peers that ended unasked: name -> what they said
    parts: dict[str, str] = {}  # peers that the cast made misbehave or vanish: name -> how
    faults: tuple[Fault, ...] = ()  # what the peers wrote down of each other
    privacy: PrivacySummary | None = None  # null in plain exchange
    quality: Quality | None = None  # null where no model came out
    best: Best | None = None  # null without training.counts = "held-out"
    selection: Selection | None = None  # null without model.candidates
    groups: Groups | None = None  # null where nothing divides the peers
    audit: Verdict = Verdict()
    overhead: Overhead | None = None  # launcher, last audit and chain; null where no host record was written

    def to_json(self) -> builtins.bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def other_version(raw: builtins.bytes) -> str:
    """One sentence where this summary.json says another schema than ours; empty where it says ours, or nothing."""
    try:
        said = msgspec.json.decode(raw, type=_Versioned).schema
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""
    if said == SUMMARY_SCHEMA:
        return ""
    lacks = sorted(set(Summary.__struct_fields__) - set(msgspec.json.decode(raw)))
    without = f", and lacks {', '.join(lacks)}" if lacks else ""
    return f"summary.json has schema {said}{without}; this version writes schema {SUMMARY_SCHEMA}"


class _Versioned(msgspec.Struct, frozen=True):
    schema: int


def last_aggregate(metrics: Mapping[str, Sequence[RoundMetrics]]) -> str:
    """The artefact id of the newest round's model; where peers differ, the one that most of them adopted."""
    newest = max((m.round for lines in metrics.values() for m in lines if m.aggregate), default=0)
    found = [m.aggregate for lines in metrics.values() for m in lines if m.round == newest and m.aggregate]
    return max(sorted(set(found)), key=found.count, default="")


def aggregate_accuracy(metrics: Mapping[str, Sequence[RoundMetrics]], aggregate: str) -> float | None:
    told = [m.accuracy for lines in metrics.values() for m in lines if m.aggregate == aggregate]
    return next((accuracy for accuracy in told if accuracy is not None), None)


def best(metrics: Mapping[str, Sequence[RoundMetrics]]) -> Best | None:
    """The earliest of the best: what round r counts is of the model that came out of round r - 1."""
    adopted = {line.round: line.aggregate for line in _all(metrics) if line.aggregate}
    told: dict[int, list[float]] = {}
    for line in _all(metrics):
        if line.validated is not None and line.round - 1 in adopted:
            told.setdefault(line.round - 1, []).append(line.validated)
    if not told:
        return None
    counted = {number: max(sorted(set(found)), key=found.count) for number, found in told.items()}
    number = max(sorted(counted), key=lambda one: counted[one])
    return Best(round=number, aggregate_sha256=adopted[number], validated=counted[number])


def absent(metrics: Mapping[str, Sequence[RoundMetrics]], accounts: Mapping[str, str]) -> tuple[Missing, ...]:
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


def parted(
    absent: Iterable[Missing], rests: Mapping[str, frozenset[int]]
) -> tuple[tuple[Missing, ...], tuple[Missing, ...]]:
    """Those who were due and missing, and those who rested; `rests` are rounds by address."""
    resting = tuple(one for one in absent if one.round in rests.get(one.address, ()))
    return tuple(one for one in absent if one not in resting), resting


def clipped(metrics: Mapping[str, Sequence[RoundMetrics]]) -> Clipped:
    """Each round once: all members report the same counts, which they read from the same sum."""
    rounds = {line.round: line for line in _all(metrics) if line.survivors}
    return Clipped(
        updates=sum(line.clipped_updates for line in rounds.values()),
        of=sum(len(line.survivors) for line in rounds.values()),
        coordinates=sum(line.clipped_coordinates for line in rounds.values()),
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


def privacy(
    federation: Federation,
    metrics: Mapping[str, Sequence[RoundMetrics]],
    accounts: Mapping[str, str],
    open_sessions: Mapping[str, Iterable[str]],
) -> PrivacySummary | None:
    """The meter of every peer; `open_sessions` names those that a peer's journal leaves open, by peer name."""
    if federation.exchange == "plain":
        return None
    lines = list(_all(metrics))
    parameters = max((line.parameters for line in lines), default=0)
    return privacy_of(federation, list(rounds_seen(lines)), parameters, accounts, open_sessions)


def privacy_of(
    federation: Federation,
    rounds: Sequence[RoundSeen],
    parameters: int,
    accounts: Mapping[str, str],
    open_sessions: Mapping[str, Iterable[str]],
) -> PrivacySummary:
    """The same from the rounds themselves: what an auditor has."""
    closed = {one.sid for one in rounds}
    perhaps = {accounts[name]: len(set(sids) - closed) for name, sids in open_sessions.items() if name in accounts}
    ground = ground_of(federation, parameters)
    return PrivacySummary(
        noise=federation.privacy.noise,
        against=against(ground.colluders),
        colluders=ground.colluders,
        parameters=parameters,
        by_peer=meters(rounds, accounts.values(), ground, perhaps),
    )


def validation_of(federation: Federation) -> str:
    data = federation.data
    if data.validation == "private":
        return f"rows that each peer holds back ({federation.scores.holdout:.0%} of its own), seen by nobody else"
    if data.validation_file:
        return f"the public file {data.validation_file}"
    if data.validation_donor:
        return f"rows donated by {data.validation_donor}"
    return "" if data.source.startswith(("csv:", "npz:", "folder:")) else f"the declared public slice of {data.source}"


def _all(metrics: Mapping[str, Sequence[RoundMetrics]]) -> Iterable[RoundMetrics]:
    return (line for lines in metrics.values() for line in lines)
