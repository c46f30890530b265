"""What a federation is made of: every setting, once, with its default and its range.

`federation.toml` in a run directory is this structure written out in full (`config_toml`); the launcher, each peer and
the auditor read the same file. Nothing here reads a file, a clock or the machine.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from peerage_crypto.errors import InputError
from peerage_crypto.thresholds import thresholds

FEW_PEERS = 4  # rules.md §1: three and four are allowed with a visible warning

Exchange = Literal["masked", "plain"]
Behaviour = Literal["honest", "parent-back", "random-labels", "replay", "replay-3x", "nan"]

_Positive = Annotated[int, Meta(ge=1)]
_Natural = Annotated[int, Meta(ge=0)]
_Seconds = Annotated[float, Meta(gt=0, le=86_400)]
_Units = Annotated[
    str, Meta(pattern=r"^(0|[1-9][0-9]{0,59})$", description="a whole number of the smallest unit, in quotes")
]
_Country = Annotated[
    str, Meta(pattern=r"^([A-Z]{3})?$", description="an ISO 3166 alpha-3 code such as DEU, in capitals")
]
_Kept = Annotated[str, Meta(pattern=r"^(all|[1-9][0-9]{0,8})$", description="all, or a number of rounds, in quotes")]
_Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._ -]{0,63}$", description="at most 64 letters, digits, spaces, dots and dashes"
    ),
]


class DataSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose rows train the model. The last two fields are agreed by the federation, not guessed by a peer."""

    source: str = "digits"  # digits | mnist | csv:PATH | module:factory
    label: str = ""  # the CSV column to predict
    data_dir: str = ""  # where mnist's IDX files lie
    partition: str = "dirichlet:0.5"  # iid | dirichlet:ALPHA | shards:K | quantity:ALPHA
    validation: Literal["shared"] = "shared"
    validation_file: str = ""  # a public file for validation; empty: the source's declared public slice
    validation_donor: str = ""  # the peer that donates its validation rows, if one does
    classes: tuple[str, ...] = ()  # CSV: the sorted label values; the launcher fills it in
    columns: str = ""  # CSV: the agreed schema as JSON; the launcher fills it in


class ModelSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    factory: str = ""  # module:factory giving any torch.nn.Module; empty: one hidden layer
    hidden: _Positive = 64


class TrainSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    epochs: _Positive = 2
    batch_size: _Positive = 32
    learning_rate: Annotated[float, Meta(gt=0, le=1000)] = 0.1


class MaskingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    ring_bits: Literal[16, 32, 64] = 32
    frac_bits: Annotated[int, Meta(ge=1, le=40)] = 16
    clip: Annotated[float, Meta(gt=0, le=1e6)] = 8.0  # largest L2 norm of one update


class MergeSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rule: Literal["fedavg"] = "fedavg"
    momentum: Annotated[float, Meta(ge=0, lt=1)] = 0.9


class ScoreSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`scoring.md` §2: novelty in applied steps, cap in medians of the positive scores, window in rounds attended."""

    novelty: Annotated[int, Meta(ge=0, le=3)] = 3
    cap: _Positive = 2
    window: _Positive = 12


class RewardSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Integers as strings: TOML's integers end at 2^63, a pool of 1000 credits does not."""

    pool: _Units = "1000000000000000000000"
    min_stake: _Units = "1000000000000000000"


class LedgerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    engine: str = "auto"  # auto | anvil | ganache | embedded | the http(s) URL of a node
    chain_id: Annotated[int, Meta(ge=1, le=2**53)] = 31337


class EmissionSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    country: _Country = ""  # ISO 3166 alpha-3; empty: assumed, and said so
    resolution: str = ""  # coarsest step published per peer; empty: as measured


class StoreSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    keep: _Kept = "all"  # or the number of rounds whose vectors stay


class TimingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Deadlines in seconds. `join`: how long fresh peers wait for those that are there and still train; `step`: each
    step of a session; `stall`: without a result for so long, a session is left.
    """

    join: _Seconds = 5.0
    step: _Seconds = 10.0
    stall: _Seconds = 20.0


class Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A peer that plays a part in a demonstration: it misbehaves, or is killed and perhaps returns. Rounds from 1."""

    peer: str
    behaviour: Behaviour = "honest"
    kill_in_round: _Natural = 0  # 0: never
    return_in_round: _Natural = 0  # 0: never


class Federation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema: Literal[1] = 1
    name: _Name = "federation"
    peers: Annotated[int, Meta(ge=1, le=1000)] = 8
    rounds: Annotated[int, Meta(ge=1, le=1_000_000)] = 10
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    exchange: Exchange = "masked"
    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    training: TrainSettings = TrainSettings()
    masking: MaskingSettings = MaskingSettings()
    merge: MergeSettings = MergeSettings()
    scores: ScoreSettings = ScoreSettings()
    rewards: RewardSettings = RewardSettings()
    ledger: LedgerSettings = LedgerSettings()
    emissions: EmissionSettings = EmissionSettings()
    store: StoreSettings = StoreSettings()
    timing: TimingSettings = TimingSettings()
    cast: tuple[Part, ...] = ()

    def peer_name(self, index: int) -> str:
        """`peer-01` for index 0: what people read, and the folder under `peers/`."""
        return f"peer-{index + 1:0{max(2, len(str(self.peers)))}d}"

    def peer_names(self) -> tuple[str, ...]:
        return tuple(self.peer_name(index) for index in range(self.peers))

    def part(self, peer: str) -> Part:
        return next((part for part in self.cast if part.peer == peer), Part(peer=peer))


def check_federation(federation: Federation) -> tuple[str, ...]:
    """Refuse what `rules.md` refuses and return the warnings that the user must see.

    Ranges of single fields are the types' business; this looks at fields together.
    """
    warnings = list(_check_peers(federation.peers, federation.exchange))
    _check_source(federation.data)
    _check_ledger(federation.ledger)
    if federation.masking.frac_bits >= federation.masking.ring_bits:
        raise InputError(
            f"masking.frac_bits = {federation.masking.frac_bits} leaves nothing of a ring of "
            f"{federation.masking.ring_bits} bits: choose at most {federation.masking.ring_bits // 2}"
        )
    if federation.data.validation_donor and federation.data.validation_donor not in federation.peer_names():
        raise InputError(
            f"data.validation_donor = {federation.data.validation_donor!r} is no peer of this federation: "
            f"the peers are {_span(federation)}"
        )
    _check_cast(federation)
    return tuple(warnings)


def _check_peers(peers: int, exchange: Exchange) -> tuple[str, ...]:
    if peers == 1:
        raise InputError('peers = 1 is no federation: choose at least 2 with exchange = "plain", or 3 with masks')
    if exchange == "plain":
        return ("plain exchange: an initiator sees the updates it pulls; for peers that trust each other",)
    if peers == 2:
        raise InputError('peers = 2 cannot hide in a sum of two: choose exchange = "plain", or at least 3 peers')
    limits = thresholds(peers, peers)
    if peers > FEW_PEERS:
        return ()
    lost = "no peer may" if limits.losses == 0 else f"at most {limits.losses} may"
    smallest = limits.smallest_honest_sum
    return (f"{peers} peers are few: a round reveals sums of {smallest} honest peers at least, {lost} vanish in it",)


def _check_source(data: DataSettings) -> None:
    from peerage.learning.partitions import parse  # noqa: PLC0415 - brings numpy, which reading a setting does not need

    kind, colon, rest = data.source.partition(":")
    if kind not in {"digits", "mnist"} and not (colon and rest):
        raise InputError(f"data.source = {data.source!r} is not known: use digits, mnist, csv:PATH or module:factory")
    if kind == "csv" and not data.label:
        raise InputError(f"data.source = {data.source!r} needs data.label (--label): the column to predict")
    if kind == "mnist" and not data.data_dir:
        raise InputError('data.source = "mnist" needs data.data_dir (--data-dir): the folder with the IDX files')
    parse(data.partition)


def _check_ledger(ledger: LedgerSettings) -> None:
    if ledger.engine in {"auto", "anvil", "ganache", "embedded"} or ledger.engine.startswith(("http://", "https://")):
        return
    raise InputError(
        f"ledger.engine = {ledger.engine!r} is not known: "
        "use auto, anvil, ganache, embedded or the http(s) URL of a node"
    )


def _check_cast(federation: Federation) -> None:
    names = federation.peer_names()
    seen: set[str] = set()
    for part in federation.cast:
        if part.peer not in names:
            raise InputError(f"cast: {part.peer!r} is no peer of this federation: the peers are {_span(federation)}")
        if part.peer in seen:
            raise InputError(f"cast: {part.peer} is listed twice: put its settings into one entry")
        seen.add(part.peer)
        if part.kill_in_round > federation.rounds:
            raise InputError(f"cast: {part.peer} is to be killed in round {part.kill_in_round} of {federation.rounds}")
        if part.return_in_round and not 0 < part.kill_in_round < part.return_in_round <= federation.rounds:
            raise InputError(
                f"cast: {part.peer} cannot return in round {part.return_in_round}: it must be after its kill_in_round "
                f"({part.kill_in_round}) and within {federation.rounds} rounds"
            )


def _span(federation: Federation) -> str:
    names = federation.peer_names()
    return f"{names[0]} to {names[-1]}"
