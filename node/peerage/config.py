"""What a federation is made of: every setting, once, with its default and its range.

`federation.toml` in a run directory is this structure written out in full (`config_toml`); the launcher, each peer and
the auditor read the same file. Nothing here reads a file, a clock or the machine.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Exchange = Literal["masked", "plain"]
RobustRule = Literal["mean", "median", "trimmed-mean", "krum", "multi-krum", "geometric-median", "local-reference"]
MergeOptimiser = Literal["fedavg", "momentum", "nesterov", "fedadam", "fedyogi"]
Augment = Literal["none", "oversample", "mixup", "shifts", "generated"]
ModelKind = Literal["perceptron", "linear", "cnn", "gru", "transformer", "embedding", "generator"]
Behaviour = Annotated[
    str,
    Meta(
        pattern=r"^(honest|parent-back|random-labels|replay|replay-3x|nan|[^:]+(\.py)?:[A-Za-z_][A-Za-z0-9_]*)$",
        description=(
            "honest, parent-back, random-labels, replay, replay-3x, nan, or a lie of your own as module:function or "
            "file.py:function"
        ),
    ),
]

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

    source: str = "digits"  # digits | mnist | csv:PATH | npz:PATH | folder:PATH | module:factory
    label: str = ""  # the CSV column to predict
    data_dir: str = ""  # where mnist's IDX files lie
    partition: str = "dirichlet:0.5"  # iid | dirichlet:ALPHA | shards:K | quantity:ALPHA
    validation: Literal["shared", "private"] = "shared"  # private: each peer holds rows of its own back
    validation_file: str = ""  # a public file for validation; empty: the source's declared public slice
    validation_donor: str = ""  # the peer that donates its validation rows, if one does
    classes: tuple[str, ...] = ()  # of files: the sorted label values; the launcher fills it in
    columns: str = ""  # CSV: the agreed schema as JSON; the launcher fills it in


class ModelSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    factory: str = ""  # module:factory giving any torch.nn.Module; empty: one of ours, as `kind` says
    hidden: _Positive = 64
    kind: ModelKind = "perceptron"
    steps: _Natural = 0  # gru, transformer: so many steps in a flat row; 0: the rows of a square, or a number a step
    norm: Literal["none", "group", "batch"] = "group"  # cnn: between its layers
    start: str = ""  # a safetensors file or a run directory whose model the first round begins from; empty: the seed's
    local: tuple[str, ...] = ()  # tensors that stay with each peer: "head", or names with * (docs/patterns.md)
    adapters: Annotated[int, Meta(ge=0, le=4096)] = 0  # rank: only low-rank adapters and the last layer are exchanged
    questions: str = ""  # what peers exchange answers to instead of weights: rows (npz), or a generator to draw them
    clusters: Annotated[int, Meta(ge=0, le=16)] = 0  # models in one, of which each peer trains the one that suits it
    candidates: tuple[str, ...] = ()  # finished models: nothing is trained, each peer chooses one of them in private
    base: str = ""  # adapters: the model that they are beside, a safetensors file; empty: the first model


class TrainSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    epochs: _Positive = 2
    batch_size: _Positive = 32
    learning_rate: Annotated[float, Meta(gt=0, le=1000)] = 0.1
    proximal: Annotated[float, Meta(ge=0, le=1000)] = 0.0  # mu of FedProx; 0: none
    scaffold: bool = False  # each peer corrects its steps by how it differs from the mean (docs/patterns.md)
    logit_adjustment: Annotated[float, Meta(ge=0, le=10)] = 0.0  # tau, by own label counts; 0: none
    augment: Augment = "none"  # each own label alike; copies mixed within it, or pictures moved; or drawn rows
    generator: str = ""  # augment = "generated": the run directory or safetensors file of model.kind = "generator"
    counts: Literal["training", "held-out"] = "training"  # the rows of which hits are summed under the masks
    head_epochs: _Natural = 0  # model.local: first so many for what stays, then `epochs` for the rest; 0: together
    function: str = ""  # module:function(model, rows, settings, seed) that fine-tunes in place; empty: plain SGD


class MaskingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    ring_bits: Literal[16, 32, 64] = 32
    frac_bits: Annotated[int, Meta(ge=1, le=40)] = 16
    clip: Annotated[float, Meta(gt=0, le=1e6)] = 8.0  # largest L2 norm of one update
    clip_each: Annotated[float, Meta(ge=0, le=1e6)] = 0.0  # largest single coordinate; 0: no other bound than the norm
    random_k: Annotated[float, Meta(gt=0, le=1)] = 1.0  # share of the coordinates that a round exchanges
    leaves: Annotated[int, Meta(ge=0, le=32)] = 4  # random leaves that a member checks of a sum too large to add again


class MergeSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`rule`: how updates are weighed. `optimiser`: what becomes of their mean (docs/patterns.md)."""

    rule: Literal["fedavg"] = "fedavg"
    graph: Annotated[
        str,
        Meta(
            pattern=r"^(all|ring|line|star|pairs|regular:[1-9][0-9]{0,2}|sample:[1-9][0-9]{0,2}|random:0?\.[0-9]{1,6})$",
            description="all, ring, line, star, regular:K, random:P with P below 1, sample:S or pairs",
        ),
    ] = "all"  # plain exchange: whose models a peer merges
    momentum: Annotated[float, Meta(ge=0, lt=1)] = 0.9  # beta1; fedavg has none
    optimiser: MergeOptimiser = "nesterov"
    learning_rate: Annotated[float, Meta(ge=0, le=1000)] = 0.0  # of the merge; 0: 1, adaptive optimisers 0.1
    beta2: Annotated[float, Meta(ge=0, lt=1)] = 0.99  # fedadam, fedyogi
    tau: Annotated[float, Meta(ge=1e-12, le=1e6)] = 1e-3  # fedadam, fedyogi: how much they adapt; less is more


class ScoreSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Novelty in applied steps, cap in medians of the positive scores, window in rounds attended."""

    novelty: Annotated[int, Meta(ge=0, le=3)] = 3
    cap: _Positive = 2
    window: _Positive = 12
    holdout: Annotated[float, Meta(gt=0, le=0.5)] = 0.2  # of its own rows, what a peer holds back to measure (private)
    openings: Literal["round", "off"] = "round"  # off: no number of any update is opened, and nobody is paid by score
    pair_audits: bool = True  # random pairs show the keys of their masks, so that two cannot move score unseen


class PrivacySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`noise` is the multiplier z: the noise of the smallest honest sum has z times the clip as standard deviation."""

    noise: Annotated[float, Meta(ge=0, le=1000)] = 0.0  # 0: no differential privacy, and the summary says so
    delta: Annotated[float, Meta(gt=0, lt=1)] = 1e-5
    least_roster_change: _Positive = 1  # from each earlier roster, or none; 1: any may follow
    lone_versions: bool = False  # model.clusters: whoever alone trains a version may be seen, though not who that is


class RobustSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rules over bucket means (masked) or over peers (plain); `byzantine` is f, how many of those may be bad."""

    rule: RobustRule = "mean"
    buckets: _Positive = 1
    byzantine: _Natural = 0
    sketches: Annotated[int, Meta(ge=0, le=64)] = 0  # random projections opened of each update; 0: none
    length_bound: Annotated[float, Meta(gt=1, le=1000)] = 3.0  # in medians of the sketched lengths


class RewardSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Integers as strings: TOML's integers end at 2^63, a pool of 1000 credits does not."""

    pool: _Units = "1000000000000000000000"
    min_stake: _Units = "1000000000000000000"
    epoch: Annotated[int, Meta(ge=0, le=10_000)] = 0  # rounds after which pay is settled; 0: once, when the run ends
    green_bonus: Annotated[int, Meta(ge=0, le=2_000)] = 0  # basis points of its pay that a peer can get on top; 0: none
    green_pool: _Units = "0"  # of which, promised by whoever funds it; the vault holds nothing of it


class LedgerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    engine: str = "auto"  # auto | anvil | ganache | embedded | the http(s) URL of a node
    chain_id: Annotated[int, Meta(ge=1, le=2**53)] = 31337
    batch: Annotated[int, Meta(ge=1, le=50)] = 1  # rounds that go into one transaction
    activation_delay: Annotated[int, Meta(ge=0, le=2**31)] = (
        0  # seconds in which pay can be disputed before it is claimed
    )
    answer_seconds: Annotated[int, Meta(ge=1, le=2**31)] = 600  # how long a question about a round waits for its answer
    bond: _Units = "100000000000000000"  # what a question costs if it is answered


class EmissionSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    country: _Country = ""  # ISO 3166 alpha-3; empty: assumed, and said so
    resolution: str = ""  # coarsest step published per peer; empty: as measured


class StoreSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    keep: _Kept = "all"  # or the number of rounds whose vectors stay


class TimingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Deadlines in seconds. `join`: how long fresh peers wait for those that are there and still train; `step`: each
    step of a session; `stall`: without a result for so long, a session is left. `open_at`: so many fresh peers wait for
    nobody; 0: for all that are there.
    """

    join: _Seconds = 5.0
    step: _Seconds = 10.0
    stall: _Seconds = 20.0
    open_at: _Natural = 0


class Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A peer that plays a part in a demonstration: it misbehaves, is slow, is killed and perhaps returns, or is frozen
    (SIGSTOP) for a while. Rounds from 1. A `behaviour` with a colon is a function of the user's: `peerage.behaviour`.
    """

    peer: str
    behaviour: Behaviour = "honest"
    kill_in_round: _Natural = 0  # 0: never
    return_in_round: _Natural = 0  # 0: never
    freeze_in_round: _Natural = 0  # 0: never
    freeze_seconds: _Seconds = 5.0
    slow: Annotated[int, Meta(ge=1, le=1000)] = 1  # times longer for the same training


class Region(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Peers whose vectors are summed together, gathered by a leader of theirs (empty: by each round's initiator)."""

    name: _Name
    peers: tuple[str, ...]
    leader: str = ""


class ScheduleSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who takes part in which round, and with which scale (docs/scheduling.md)."""

    policy: Literal[
        "none", "best-effort", "wait-for-all", "windows", "bernoulli", "fedau", "carbon-budget", "selection"
    ] = "none"
    cap: Annotated[int, Meta(ge=1, le=1000)] = 32  # the largest scale; a profile that needs more is refused
    count: _Natural = 0  # selection: how many peers each round draws
    cutoff: Annotated[int, Meta(ge=1, le=1000)] = 32  # fedau: an interval is closed after so many missed rounds
    percent: Annotated[int, Meta(ge=1, le=100)] = 100  # carbon-budget: of what all peers in all rounds would emit
    alpha: Annotated[str, Meta(pattern=r"^[1-9][0-9]?/[1-9][0-9]?$", description='a fraction such as "1/2"')] = "1/2"
    slack: _Natural = 0  # carbon-budget: early rounds that each peer sits out at least
    final: _Natural = 1  # carbon-budget: last rounds in which all take part


class Energy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A peer whose power is not steady, in one line (`peerage.scheduling.forms`); with a carbon budget, its grid."""

    peer: str
    profile: str


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
    privacy: PrivacySettings = PrivacySettings()
    robust: RobustSettings = RobustSettings()
    rewards: RewardSettings = RewardSettings()
    ledger: LedgerSettings = LedgerSettings()
    emissions: EmissionSettings = EmissionSettings()
    store: StoreSettings = StoreSettings()
    timing: TimingSettings = TimingSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    regions: tuple[Region, ...] = ()
    energy: tuple[Energy, ...] = ()
    cast: tuple[Part, ...] = ()

    def peer_name(self, index: int) -> str:
        """`peer-01` for index 0: what people read, and the folder under `peers/`."""
        return f"peer-{index + 1:0{max(2, len(str(self.peers)))}d}"

    def peer_names(self) -> tuple[str, ...]:
        return tuple(self.peer_name(index) for index in range(self.peers))

    def part(self, peer: str) -> Part:
        return next((part for part in self.cast if part.peer == peer), Part(peer=peer))
