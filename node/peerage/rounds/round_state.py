"""What one peer knows during its rounds. The steps of a round are functions over this state, one module each:

    freshness -> joining -> leaving -> results (-> gradients) -> openings -> standing -> settlement

`out` gathers the effects of the event at hand; nothing here does I/O.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from peerage import messages as m
from peerage.effects import Effect, Journal, PrivateState, Report, Save, Scored
from peerage.rounds.aggregation import Grid, Metrics, Update, update_of
from peerage.rounds.epochs import Books, Paid
from peerage.rounds.membership import Membership
from peerage.rounds.merging import Merging
from peerage.rounds.sampling import ALL, Sampling
from peerage.rounds.version import OwnVersion, Status
from peerage_crypto.thresholds import colluders
from peerage_ledger.records import Steps
from peerage_ledger.rewards import Pay, PayState, RoundScores, Rule, pay_rounds, states
from peerage_ledger.transcript import NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from numpy.typing import NDArray

    from peerage.messages import Message
    from peerage.privacy.noise import Noise
    from peerage.rounds.chase import Chase
    from peerage.rounds.gradients import Gradients
    from peerage.rounds.optimisers import Optimiser
    from peerage.rounds.recovery import Recovery
    from peerage.rounds.results import Outcome
    from peerage.rounds.scoring_step import Candidate, Scoring
    from peerage.rounds.session_run import SessionRun
    from peerage.rounds.settlement import Settlement
    from peerage.scheduling import FedAU
    from peerage_crypto.identity import Account
    from peerage_crypto.opening import Gate, Openings
    from peerage_crypto.pair_audit import Drawn, Shown, Spoken
    from peerage_crypto.statements import ResultAck, Signed, Statement
    from peerage_ledger.judgement import Federation, Judged, Merge, Standing
    from peerage_ledger.records import RewardRoot

    Vector = NDArray[np.float32]

EARLY_MESSAGES = 64  # of each peer kept for a session or a round that I have not reached yet


@dataclass(frozen=True, slots=True)
class Rules:
    """The agreed numbers of a federation, and this peer's patience (seconds)."""

    rounds: int
    optimiser: Optimiser
    grid: Grid
    novelty: int
    cap: int
    window: int
    pool: int
    patience: float  # how long the fresh wait for those who are there but not fresh
    step_seconds: float  # the deadline of each step of a session
    stall_seconds: float  # without a step of a session for so long, it is left
    stagger: float  # the next in turn waits so much longer
    leaves: int = 0  # random leaves that a member checks of a sum too large to add up again
    rule: str = "mean"  # over bucket means
    byzantine: int = 0  # how many buckets may be bad
    over: int = 0  # peers that a scaled sum is divided by; 0: the survivors
    fedau: FedAU | None = None  # scales follow from who was in the sums of earlier rounds
    openings: bool = True  # False: no number of any update is opened, rounds close without scores
    noise: Noise | None = None  # differential privacy: what each peer adds to its update
    batch: int = 1  # rounds that go to the ledger in one transaction
    epoch: int = 0  # rounds after which pay is settled; 0: once, when the run ends
    sampling: Sampling = ALL
    open_at: int = 0  # fresh peers that wait for nobody else; 0: all that are there are waited for
    least_roster_change: int = 1  # a roster differs from each earlier one by so many peers, or not at all


@dataclass(frozen=True, slots=True)
class Manifests:
    """What a join states of this peer's data and code (hashes only)."""

    data: bytes
    code: bytes


class RoundState:
    """State of one peer. `draw` gives 32 fresh secret bytes; `dither` the seed of a version's stochastic rounding."""

    def __init__(  # noqa: PLR0915 - one line a field
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
        self.unpaid_heads: set[bytes] = set()  # and of those that leave out an epoch which is settled for good
        self.awaiting: bytes | None = None  # after a restart: the record on which I stood in my earlier life
        self.settled_on: defaultdict[bytes, deque[bytes]] = defaultdict(lambda: deque(maxlen=EARLY_MESSAGES))
        # who says so -> the records on which it says that rewards were settled
        # my version
        base = rules.optimiser.training_start(genesis.model, genesis.step)
        self.own = OwnVersion(0, Status.TRAINING, b"", base.copy(), base, Metrics(1, 0, 0, 0))
        self.training_from: Vector | None = None  # what the fine-tune that runs now started from
        self.ill_on: bytes | None = None  # the record on which training failed: this round is sat out
        self.announced: m.Fresh | None = None
        # the session I am in
        self.session: SessionRun | None = None
        self.joined: m.Join | None = None
        self.been_in: set[bytes] = set()  # sessions on this record that I joined: never twice, not even after a restart
        self.update: Update | None = None  # what I put into the current or adopted session
        self.opened_update: Update | None = None  # what the adopted session has of me: a later join leaves it
        self.leaf_questions: dict[bytes, dict[bytes, tuple[int, ...]]] = {}  # artefact -> who asked for which leaves
        self.left: SessionRun | None = None  # a session left after masking: its version waits for abstentions
        self.abstentions: dict[bytes, set[bytes]] = {}
        self.voted_for: dict[bytes, tuple[tuple[bytes, ...], tuple[bytes, ...]]] = {}  # by session: roster, survivors
        self.cautioned = ""  # why I last opened no round
        self.attempts = 0  # sessions on this record that failed
        self.retrying = False  # the last announcement came after such a one
        self.distrusted: set[bytes] = set()  # initiators whose session on this record broke a rule
        self.suspected: set[bytes] = set()  # one of each two lied in a screening, and its session came to nothing
        self.convicted: set[bytes] = set()  # peers whose own signatures prove that they lied in a screening
        self.false_leaders: set[bytes] = set()  # whose sums of their buckets were wrong: I gather those myself
        # its result
        self.outcomes: dict[m.Result, Outcome] = {}
        self.acks: dict[bytes, dict[bytes, Signed[ResultAck]]] = {}  # by session and signer
        self.acked: m.Result | None = None  # the one result on this record that I acknowledged
        self.bound = False  # to it: until it is adopted, or clearly never will be
        self.candidate: Candidate | None = None  # a result that T members acknowledged: it waits for its record
        # its numbers
        self.closing: SessionRun | None = None  # the adopted round's session: its pair keys, its vectors
        self.gradients: Gradients | None = None  # where validation is private: what the direction is made of
        self.scoring: Scoring | None = None
        self.scored: Scored | None = None
        self.directed: m.Direction | None = None
        self.pledged: Openings | None = None  # my numbers, once I signed them
        self.opened_along: NDArray[np.int64] | None = None  # the direction that they are for: the initiator's g
        self.let_go = False  # and whether they have left
        self.spoken: Spoken | None = None  # the numbers that the initiator has fixed
        self.drawn: Drawn | None = None  # what drew the audited pairs, from the initiator
        self.shown: Shown | None = None  # the keys that I have shown of them
        self.gate: Gate | None = None  # holds my numbers back until a quorum has pledged the same direction
        # the end
        self.disputed: dict[bytes, str] = {}  # records with a number that cannot be right: I sign no pay on them
        self.voided: set[bytes] = set()  # records of which the chain says that they pay nothing
        self.settlement: Settlement | None = None  # of the epoch whose last round is closed
        self.paid: list[Paid] = []  # epochs that are settled for good; no branch without them is taken
        self.proofs: dict[bytes, m.Settled] = {}  # what I say of them, by record
        self.roots: tuple[RewardRoot, ...] = ()  # on the chain
        # what came too early
        self.recovery: Recovery | None = None  # while it is set, this peer only follows: its disk was lost
        self.joins_of: dict[bytes, deque[m.Join]] = {}  # the newest of each peer, in case it loses its disk
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
        """What the last rounds told everybody, newest first: their applied steps (and means)."""
        last = self.history[max(0, len(self.history) - self.rules.novelty) :]
        return tuple(vector for judged in reversed(last) for vector in judged.standing.told)

    @property
    def scores(self) -> list[RoundScores]:
        """What each closed round opened."""
        rounds: list[RoundScores] = []
        for judged in self.history:
            t = judged.transcript
            numbers = dict(zip(judged.proven.u3, t.numbers, strict=True)) if t.direction != NOTHING else {}
            rounds.append(RoundScores(t.round, numbers, t.exponent, judged.standing.record))
        return rounds

    @property
    def paid_rounds(self) -> int:
        return self.paid[-1].books.after.rounds if self.paid else 0

    @property
    def unpaid(self) -> frozenset[bytes]:
        """Records that pay nothing. One that was proven wrong after its epoch was settled stays paid."""
        settled = {j.standing.record for j in self.history[: self.paid_rounds]}
        return frozenset(self.voided - settled).union(*(paid.books.voided for paid in self.paid))

    @property
    def pay(self) -> list[Pay]:
        r = self.rules
        rounds, voided = self.scores, self.unpaid
        return pay_rounds(rounds, pool=r.pool, planned=r.rounds, cap=r.cap, window=r.window, voided=voided)

    def books(self, end: int, voided: Collection[bytes] | None = None) -> Books:
        """The pay of the rounds after the last settled one up to `end`, as a quorum signs it."""
        r, scores = self.rules, self.scores[self.paid_rounds : end]
        left_out = (self.voided if voided is None else set(voided)).intersection(s.record for s in scores)
        start = self.paid[-1].books.after if self.paid else PayState(0, self.federation.genesis)
        after = states(start, scores, Rule(r.pool, r.rounds, r.cap, r.window), left_out)
        steps = Steps(tuple(s.record for s in after), tuple(s.digest() for s in after))
        return Books(after[-1] if after else start, steps, frozenset(left_out))

    @property
    def done(self) -> bool:
        """The rewards of the whole run are settled: nothing changes any more."""
        return self.settlement is not None and self.settlement.final and self.settlement.over

    def settles(self, record: bytes) -> bool:
        """More peers than can collude say that a quorum settled on this record."""
        return sum(record in said for said in self.settled_on.values()) > colluders(len(self.federation.registered))

    def news(self) -> m.Fresh:
        free = self.own.status is Status.FREE and self.candidate is None and not self.bound and self.recovery is None
        ready = free and self.head.round < self.rules.rounds and self.me not in self.membership.out
        return m.Fresh(self.head.record, self.head.round, self.head.transcript, self.own.number, ready)

    def closed(self) -> m.Closed:
        sid = self.history[-1].transcript.sid if self.history else NOTHING
        return m.Closed(sid, self.head.record, self.head.round, self.head.transcript)

    def contains(self, record: bytes) -> bool:
        """Whether I stand on this record, or on one that follows it."""
        return any(judged.standing.record == record for judged in self.history)

    def settled(self) -> m.Settled:
        """What I say of the last epoch that is settled for good."""
        return self.proofs[self.paid[-1].record]

    # -- the agreed arithmetic -----------------------------------------------------------------------------------------

    @property
    def merge(self) -> Merge:
        """The next model from a parent and proven sums; a sentence when a sum cannot be honest."""
        r = self.rules
        return Merging(r.grid, r.optimiser, r.rule, r.byzantine, r.over, r.sampling).merge

    @property
    def parameters(self) -> int:
        return int(self.head.model.size)

    @property
    def exchanged(self) -> int:
        """Coordinates of an update that a round exchanges."""
        return self.rules.sampling.exchanged(self.parameters)

    @property
    def kept(self) -> NDArray[np.int64] | None:
        """Which of them the round after my head exchanges; None: all."""
        return self.rules.sampling.kept(self.head)

    @property
    def vector_bytes(self) -> int:
        """Length of a masked vector, and of the sum of a bucket."""
        grid = self.rules.grid
        return grid.length(self.exchanged) * grid.ring.word_bytes

    @property
    def sum_bytes(self) -> int:
        """The most that the sums of all buckets take."""
        grouping = self.federation.grouping
        return self.vector_bytes * max(grouping.buckets, len(grouping.regions), 1)

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
        self.avoid(initiator)

    def avoid(self, initiator: bytes) -> None:
        """Join no other session of its on this record, unless so many seem to be bad that one of them is not.

        A member that speaks to some and not to others makes honest initiators look bad: more of them than can collude
        are the sign of it, and whoever avoided them all would never join a round again.
        """
        self.distrusted.add(initiator)
        if len(self.distrusted) > max(colluders(len(self.federation.registered)), 1):
            self.distrusted.clear()

    def save(self) -> None:
        if self.recovery is not None:
            return  # nothing is known yet that a next life should believe
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
            usual=own.usual,
        )
        self.out.append(Save(state))

    def keep_early(self, sender: bytes, message: Message) -> None:
        """A message for something that I have not reached yet; it is looked at again when I have moved."""
        self.early.setdefault(sender, deque(maxlen=EARLY_MESSAGES)).append(message)

    def learn_how_i_move(self) -> None:
        """What I sent is in the next model of my head: with SCAFFOLD it says how I usually move one."""
        own, optimiser, grid = self.own, self.rules.optimiser, self.rules.grid
        if optimiser.variates and own.sent is not None:
            units = update_of(own.sent, own.base, grid, self.dither(own.number)).units
            update = units / np.float64(1 << grid.frac_bits)
            self.own = replace(own, usual=optimiser.moved(self.head.state, own.usual, update))

    def stand_on(self, model: Vector, step: Vector, *, consumed: bool) -> None:
        """Move my local work onto a child of my head; `consumed` says that its model contains what I sent."""
        kept = self.kept if consumed else None
        if consumed and self.training_from is not None and self.own.sent is not None:
            self.training_from = self.own.contained(kept)  # what runs now had started from work that the model contains
        self.own = self.own.adopted(self.rules.optimiser.training_start(model, step), consumed=consumed, kept=kept)
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
