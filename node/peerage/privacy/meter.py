"""The privacy meter: what a run has given away of each peer so far, from who was in which sum.

Every figure follows from the rounds' transcripts, so whoever has those gets the same meter.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from msgspec import Struct

from peerage.privacy.accounting import spent
from peerage.privacy.participation import Differences, Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from peerage.privacy.noise import Noise


@dataclass(frozen=True, slots=True)
class RoundSeen:
    """One closed round; peers are addresses. `sums`: who is in each sum that was unmasked, one for each bucket."""

    round: int
    sid: str
    roster: frozenset[str]
    sums: tuple[frozenset[str], ...]
    opened: frozenset[str] = field(default_factory=frozenset[str])  # whose number was opened
    halves: tuple[frozenset[str], ...] = ()  # where validation is private: whose path gradients were summed together


class PeerMeter(Struct, frozen=True, kw_only=True):
    """One peer's meter. Counts are of peers unless they say otherwise; null where there is nothing to say yet."""

    sums: int = 0  # that hold this peer's update
    perhaps: int = 0  # sessions that it voted in and whose sum, if there is one, nobody published
    smallest_honest_sum: int | None = None  # fewest peers in such a sum, less those that may collude
    numbers_opened: int = 0
    roster_change: int | None = None  # smallest non-zero difference between two rosters that it was in
    survivor_change: int | None = None  # the same of the sums
    hidden_among: int | None = None  # fewest peers whose sum is known, by itself or as the difference of two
    rank: int = 0  # independent sums of all rounds, of `peers` peers: equal means that all are solved for
    peers: int = 0
    solved_in_round: int | None = None  # since then its update follows from the sums, if it is the same in every round
    rounds_until_solved: int | None = None  # at the pace so far; null: already, or never with rounds like these
    half_sums: int = 0  # of path gradients, that hold this peer's (private validation)
    smallest_honest_half: int | None = None  # fewest peers in such a sum, less those that may collude
    halves_solved_in_round: int | None = None  # since then its path gradient follows, if it is the same in every round
    epsilon: float | None = None  # against outsiders, the initiator and c colluding peers; null: no noise, no epsilon
    epsilon_alone: float | None = None  # if all other peers collude
    delta: float | None = None


@dataclass(frozen=True, slots=True)
class Ground:
    """What the meter needs beside the rounds; `noise` is None without differential privacy."""

    colluders: int
    noise: Noise | None = None
    parameters: int = 0
    delta: float = 0.0


class Meter:
    """Takes closed rounds one by one, each session once; `of` reads any peer's meter."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._sids: set[str] = set()
        self._span = Span[str]()
        self._rounds = self._useful = 0
        self._solved: dict[str, int] = {}
        self._half_span, self._half_solved = Span[str](), dict[str, int]()
        self._halves: dict[str, Counter[int]] = defaultdict(Counter)  # by peer: honest peers of a half -> how many
        self._honest: dict[str, Counter[int]] = defaultdict(Counter)  # by peer: honest peers of a sum -> how many sums
        self._opened: Counter[str] = Counter()
        self._rosters, self._sums = Differences[str](), Differences[str]()

    def add(self, one: RoundSeen) -> None:
        """One more closed round."""
        if one.sid in self._sids:
            return
        self._sids.add(one.sid)
        self._rounds += 1
        self._useful += max([self._span.add(members) for members in one.sums], default=False)
        self._opened.update(one.opened)
        self._rosters.add(one.roster)
        for members in one.sums:
            self._sums.add(members)
            for peer in members:
                self._honest[peer][max(1, len(members) - self._ground.colluders)] += 1
        for peer in self._span.solved():
            self._solved.setdefault(peer, one.round)
        for half in one.halves:
            self._half_span.add(half)
            for peer in half:
                self._halves[peer][max(1, len(half) - self._ground.colluders)] += 1
        for peer in self._half_span.solved():
            self._half_solved.setdefault(peer, one.round)

    def of(self, peer: str, perhaps: int = 0) -> PeerMeter:
        """`perhaps` counts sums that may exist unpublished, with the fewest honest peers that a sum may have."""
        honest, ground, budget = self._honest.get(peer, Counter[int]()), self._ground, None
        if ground.noise is not None:
            counts = honest + Counter({ground.noise.honest: perhaps})
            budget = spent(ground.noise, ground.parameters, counts, ground.delta)
        return PeerMeter(
            sums=honest.total(),
            perhaps=perhaps,
            smallest_honest_sum=min(honest, default=None),
            numbers_opened=self._opened[peer],
            roster_change=self._rosters.least_change(peer),
            survivor_change=self._sums.least_change(peer),
            hidden_among=self._sums.hidden_among(peer),
            rank=self._span.rank,
            peers=self._span.peers,
            solved_in_round=self._solved.get(peer),
            rounds_until_solved=self._until_solved() if honest and peer not in self._solved else None,
            half_sums=self._halves.get(peer, Counter[int]()).total(),
            smallest_honest_half=min(self._halves.get(peer, ()), default=None),
            halves_solved_in_round=self._half_solved.get(peer),
            epsilon=budget.epsilon if budget else None,
            epsilon_alone=budget.alone if budget else None,
            delta=budget.delta if budget else None,
        )

    def _until_solved(self) -> int | None:
        """Rounds until the sums would solve for everybody, if new ones appear as often as after the first round."""
        if self._useful < 2:
            return None
        missing = self._span.peers - self._span.rank
        return -(-missing * (self._rounds - 1) // (self._useful - 1))


def meters(
    rounds: Iterable[RoundSeen], peers: Iterable[str], ground: Ground, perhaps: Mapping[str, int] | None = None
) -> dict[str, PeerMeter]:
    """The meter of each peer after these rounds, in any order; a session told twice counts once, with all openings."""
    meter = Meter(ground)
    closed: dict[tuple[int, str], RoundSeen] = {}
    for one in rounds:
        before = closed.get((one.round, one.sid))
        both = replace(one, opened=one.opened | before.opened, halves=one.halves or before.halves) if before else one
        closed[one.round, one.sid] = both
    for _, one in sorted(closed.items()):
        meter.add(one)
    return {peer: meter.of(peer, (perhaps or {}).get(peer, 0)) for peer in peers}


def perhaps_revealed(entries: Iterable[tuple[str, str, str]]) -> frozenset[str]:
    """Sessions that a journal leaves open: voted in, neither adopted nor released. Entries are (kind, type, sid)."""
    voted: set[str] = set()
    known: set[str] = set()
    for kind, type_, sid in entries:
        if kind == "signed" and type_ == "Vote":
            voted.add(sid)
        elif kind in {"adopted", "released"}:
            known.add(sid)
    return frozenset(voted - known)


class PrivacySummary(Struct, frozen=True, kw_only=True):
    """`privacy` in summary.json. The unit is one peer with all its data; `against` says whom the figures speak of."""

    noise: float
    unit: str = "one peer's whole update (against zeros), in every round"
    against: str = ""
    colluders: int = 0
    parameters: int = 0
    by_peer: dict[str, PeerMeter] = {}  # by account address


def against(colluders: int) -> str:
    """Whom epsilon and the counts speak of."""
    return f"outsiders, the initiator, and up to {colluders} colluding peers, each a party of its own"
