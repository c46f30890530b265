"""How many peers a round needs, may lose, and never exposes.

One rule for everybody, computed from two counts that everybody knows: N registered peers and n in the roster.
c peers may collude (the initiator may be one of them). Two quorums of T share an honest voter, so no two survivor
sets of one session can both be certified; t = T - 1 shares open a secret, so fewer than a quorum of the others
never can. Source of the rule and its table: Bonawitz et al. 2017 §6 with a quorum argument; see docs/round.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from peerage_crypto.errors import InputError

MIN_MASKED_PEERS = 3
COMPLETE_GRAPH_LIMIT = 32  # up to here everybody shares secrets and masks with everybody
LARGEST_ROSTER = 128


@dataclass(frozen=True, slots=True)
class Thresholds:
    """All limits of one session; every field counts peers."""

    registered: int
    roster: int
    colluders: int
    smallest_roster: int
    quorum: int
    losses: int
    degree: int
    shares: int

    @property
    def complete(self) -> bool:
        """Everybody is everybody's neighbour."""
        return self.degree == self.roster - 1

    @property
    def smallest_honest_sum(self) -> int:
        """The fewest honest updates that any revealed sum can contain."""
        return self.roster - self.losses - self.colluders


def colluders(registered: int) -> int:
    """c: a quarter of the registered peers; none among three."""
    return 0 if registered <= MIN_MASKED_PEERS else registered // 4


def smallest_roster(registered: int) -> int:
    """K_min: below it a sum would hide too little behind the honest."""
    return colluders(registered) + 3


def quorum(roster: int, c: int) -> int:
    """T = ceil((n + c) / 2) + 1, and all three (or three of four) where that would ask for more than there are."""
    return 3 if roster <= 4 else -(-(roster + c) // 2) + 1


def opening_quorum(survivors: int, c: int) -> int:
    """How many survivors must have signed one direction before anybody's pair numbers leave.

    Two such quorums share an honest survivor, who signs one direction only: so the numbers of all honest survivors
    are for one and the same g, and nobody can be opened twice. Among three peers, where c is 0, a single bad
    initiator must not succeed either: all three pledge.
    """
    return (survivors + max(c, 1)) // 2 + 1


def thresholds(registered: int, roster: int) -> Thresholds:
    """The limits for a roster of `roster` among `registered` peers; InputError where the rule forbids the round."""
    if registered < MIN_MASKED_PEERS:
        raise InputError(
            f"masked rounds need at least {MIN_MASKED_PEERS} registered peers, there are {registered}: "
            "use --exchange plain for two"
        )
    c = colluders(registered)
    least = smallest_roster(registered)
    if not least <= roster <= registered:
        msg = f"a roster of {roster} among {registered} registered peers is outside the legal {least} to {registered}"
        raise InputError(msg)
    if roster > LARGEST_ROSTER:
        msg = f"a roster of {roster} is above {LARGEST_ROSTER}, the largest that one masked session may hold"
        raise InputError(msg)
    t = quorum(roster, c)
    losses = roster - t
    k = degree(roster, losses, c)
    return Thresholds(registered, roster, c, least, t, losses, k, k - losses)


def degree(roster: int, losses: int, c: int) -> int:
    """k, how many neighbours each member shares its secrets and its masks with.

    The graph is the Harary graph H(k, n), which stays connected when fewer than k members are taken out of it (Harary
    1962). With k of at least D + c + 1 the honest survivors are connected whoever vanishes and whoever colludes, so
    that only their total can be known; of k holders at least k - D answer, and the c colluders are fewer than that.
    """
    if roster <= COMPLETE_GRAPH_LIMIT:
        return roster - 1
    even = losses + c + 1 + (losses + c + 1) % 2
    return min(even, roster - 1)


def neighbours(place: int, roster: int, k: int) -> tuple[int, ...]:
    """The neighbours of the member at `place` in H(k, n), ascending: the k / 2 next on either side of the ring.

    Fixed by the sorted roster: there is nothing that an initiator could choose or grind.
    """
    if k == roster - 1:
        return tuple(i for i in range(roster) if i != place)
    half = k // 2
    return tuple(sorted((place + step) % roster for step in (*range(-half, 0), *range(1, half + 1))))
