"""What one peer knows during its rounds. The steps of a round are functions over this state, one module each:

    freshness -> joining -> leaving -> results -> openings -> standing -> settlement

`out` gathers the effects of the event at hand; nothing here does I/O.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from peerage import messages as m
from peerage.effects import Effect, Journal, PrivateState, Report, Save, Scored
from peerage.rounds.aggregation import AUXILIARY, Grid, Metrics, base_of, merge, split_sum, sum_within_bounds
from peerage.rounds.membership import Membership
from peerage.rounds.version import OwnVersion, Status
from peerage_crypto.thresholds import colluders
from peerage_ledger.rewards import Pay, RoundScores, pay_rounds
from peerage_ledger.transcript import NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from peerage.messages import Message
    from peerage.rounds.chase import Chase
    from peerage.rounds.results import Outcome
    from peerage.rounds.scoring_step import Candidate, Scoring
    from peerage.rounds.session_run import SessionRun
    from peerage.rounds.settlement import Settlement
    from peerage_crypto.identity import Account
    from peerage_crypto.opening import Gate, Openings
    from peerage_crypto.statements import ResultAck, Signed, Statement
    from peerage_ledger.judgement import Federation, Judged, Standing

    Vector = NDArray[np.float32]

EARLY_MESSAGES = 64  # of each peer kept for a session or a round that I have not reached yet


@dataclass(frozen=True, slots=True)
class Rules:
    """The agreed numbers of a federation, and this peer's patience (seconds)."""

    rounds: int
    momentum: float
    grid: Grid
    novelty: int
    cap: int
    window: int
    pool: int
    patience: float  # how long the fresh wait for those who are there but not fresh
    step_seconds: float  # the deadline of each step of a session
    stall_seconds: float  # without a step of a session for so long, it is left
    stagger: float  # the next in turn waits so much longer


@dataclass(frozen=True, slots=True)
class Manifests:
    """What a join states of this peer's data and code (hashes only)."""

    data: bytes
    code: bytes


class RoundState:
    """State of one peer. `draw` gives 32 fresh secret bytes; `dither` the seed of a version's stochastic rounding."""

    def __init__(
        self,
        *,
        rules: Rules,
        federation: Federation,
        account: Account,
        genesis: Standing,
        manifests: Manifests,
        draw: Callable[[], bytes],
        dither: Callable[[int], bytes],
    ) -> None:
        self.rules, self.federation, self.account, self.me = rules, federation, account, account.address
        self.manifests, self.draw, self.dither = manifests, draw, dither
        self.membership = Membership(self.me, federation.registered)
        self.out: list[Effect] = []
        # where I stand
        self.genesis = genesis
        self.history: list[Judged] = []
        self.chase: Chase | None = None
        self.rejected: set[bytes] = set()  # heads of branches that lost against mine
        self.awaiting: bytes | None = None  # after a restart: the record on which I stood in my earlier life
        self.settled_on: dict[bytes, set[bytes]] = {}  # record -> who says that the rewards were published on it
        # my version
        base = base_of(genesis.model, genesis.step, rules.momentum)
        self.own = OwnVersion(0, Status.TRAINING, b"", base.copy(), base, Metrics(1, 0, 0, 0))
        self.training_from: Vector | None = None  # what the fine-tune that runs now started from
        self.ill_on: bytes | None = None  # the record on which training failed: this round is sat out
        self.announced: m.Fresh | None = None
        # the session I am in
        self.session: SessionRun | None = None
        self.joined: m.Join | None = None
        self.been_in: set[bytes] = set()  # sessions on this record that I joined: never twice, not even after a restart
        self.update: NDArray[np.int64] | None = None  # what I put into the current or adopted session
        self.left: SessionRun | None = None  # a session left after masking: its version waits for abstentions
        self.abstentions: dict[bytes, set[bytes]] = {}
        self.attempts = 0  # sessions on this record that failed
        self.retrying = False  # the last announcement came after such a one
        self.distrusted: set[bytes] = set()  # initiators whose session on this record broke a rule
        # its result
        self.outcomes: dict[m.Result, Outcome] = {}
        self.acks: dict[bytes, dict[bytes, Signed[ResultAck]]] = {}  # by session and signer
        self.acked: m.Result | None = None  # the one result on this record that I acknowledged
        self.bound = False  # to it: until it is adopted, or clearly never will be
        self.candidate: Candidate | None = None  # a result that T members acknowledged: it waits for its record
        # its numbers
        self.closing: SessionRun | None = None  # the adopted round's session: its pair keys, its vectors
        self.scoring: Scoring | None = None
        self.scored: Scored | None = None
        self.directed: m.Direction | None = None
        self.pledged: Openings | None = None  # my numbers, once I signed them
        self.let_go = False  # and whether they have left
        self.gate: Gate | None = None  # holds my numbers back until a quorum has pledged the same direction
        # the end
        self.disputed: dict[bytes, str] = {}  # records with a number that cannot be right: I sign no pay on them
        self.settlement: Settlement | None = None
        # what came too early
        self.early: dict[bytes, deque[Message]] = {}  # by sender, so that nobody crowds out another
        self.replay = False

    # -- where I stand -------------------------------------------------------------------------------------------------

    @property
    def head(self) -> Standing:
        return self.history[-1].standing if self.history else self.genesis

    @property
    def target(self) -> int:
        """The round whose model my local work counts from."""
        return self.candidate.round if self.candidate else self.head.round

    @property
    def applied(self) -> tuple[Vector, ...]:
        """The last applied steps, newest first."""
        return tuple(j.standing.step for j in reversed(self.history[max(0, len(self.history) - self.rules.novelty) :]))

    @property
    def scores(self) -> list[RoundScores]:
        """What each closed round opened."""
        rounds: list[RoundScores] = []
        for judged in self.history:
            t = judged.transcript
            numbers = dict(zip(judged.proven.u3, t.numbers, strict=True)) if t.direction != NOTHING else {}
            rounds.append(RoundScores(t.round, numbers, t.exponent))
        return rounds

    @property
    def pay(self) -> list[Pay]:
        r = self.rules
        return pay_rounds(self.scores, pool=r.pool, planned=r.rounds, cap=r.cap, window=r.window)

    @property
    def done(self) -> bool:
        """The rewards are settled: nothing changes any more."""
        return self.settlement is not None and self.settlement.over

    def settles(self, record: bytes) -> bool:
        """More peers than can collude say that a quorum settled on this record."""
        return len(self.settled_on.get(record, ())) > colluders(len(self.federation.registered))

    def news(self) -> m.Fresh:
        free = self.own.status is Status.FREE and self.candidate is None and not self.bound
        ready = free and self.head.round < self.rules.rounds
        return m.Fresh(self.head.record, self.head.round, self.head.transcript, self.own.number, ready)

    def closed(self) -> m.Closed:
        sid = self.history[-1].transcript.sid if self.history else NOTHING
        return m.Closed(sid, self.head.record, self.head.round, self.head.transcript)

    # -- the agreed arithmetic -----------------------------------------------------------------------------------------

    def merge(self, model: Vector, step: Vector, total: NDArray[np.unsignedinteger], members: int) -> Vector | str:
        """The next model from a parent's model and step and a proven sum; a sentence when the sum cannot be honest."""
        sums, update = split_sum(total)
        if sums.peers != members:
            return f"the sum counts {sums.peers} peers where {members} survived"
        if not sum_within_bounds(update, members, self.rules.grid):
            return "the sum lies outside what honest peers can add up to"
        return merge(base_of(model, step, self.rules.momentum), update, members, self.rules.grid)

    @property
    def parameters(self) -> int:
        return int(self.head.model.size)

    @property
    def vector_bytes(self) -> int:
        """Length of a masked vector, and of a sum."""
        return (AUXILIARY + self.parameters) * self.rules.grid.ring_bits // 8

    # -- what is written down ------------------------------------------------------------------------------------------

    def journal(self, kind: str, **fields: object) -> None:
        self.out.append(Journal(kind, self.head.round + 1, dict(fields)))

    def signing(self, statement: Statement) -> None:
        """Journal that this slot of its session is taken, before the statement leaves."""
        digest = statement.digest(self.federation.domain).hex()
        self.journal("signed", type=type(statement).__name__, sid=statement.sid.hex(), digest=digest)

    def fault(self, culprit: bytes | None, sentence: str) -> None:
        self.journal("fault", culprit="0x" + culprit.hex() if culprit else "", sentence=sentence)
        self.out.append(Report("warning", sentence, self.head.round + 1, culprit))

    def distrust(self, initiator: bytes, sentence: str) -> None:
        """A fault of an initiator: on this record I join no other session of its."""
        self.fault(initiator, sentence)
        self.distrusted.add(initiator)

    def save(self) -> None:
        own, head = self.own, self.head
        state = PrivateState(
            version=own.number,
            status=own.status.value,
            sid=own.sent_sid,
            head=head.record,
            head_transcript=head.transcript,
            head_round=head.round,
            local=own.local,
            base=own.base,
            metrics=(own.own.examples, own.own.correct, own.own.loss),
            acked=m.encode(self.acked) if self.acked else b"",
            been_in=tuple(sorted(self.been_in)),
        )
        self.out.append(Save(state))

    def keep_early(self, sender: bytes, message: Message) -> None:
        """A message for something that I have not reached yet; it is looked at again when I have moved."""
        self.early.setdefault(sender, deque(maxlen=EARLY_MESSAGES)).append(message)

    def stand_on(self, model: Vector, step: Vector, *, consumed: bool) -> None:
        """Move my local work onto a new model; `consumed` says that the model contains what I sent."""
        if consumed and self.training_from is not None and self.own.sent is not None:
            self.training_from = self.own.sent  # what runs now had started from work that the model contains
        self.own = self.own.adopted(base_of(model, step, self.rules.momentum), consumed=consumed)
        self.save()

    def drop_session(self, why: str) -> None:
        """Another result overtook the session I am in."""
        session, self.session = self.session, None
        if session is None:
            return
        self.journal("left", sid=session.sid.hex(), why=why)
        nothing_left = session.member is None or not session.member.u2
        if nothing_left and self.own.status is Status.LOCKED and self.own.sid == session.sid:
            self.own = self.own.released()
