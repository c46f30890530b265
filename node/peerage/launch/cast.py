"""The demonstration's stage directions: whom to kill or freeze in which round, and when to bring them back.

A value that sees statuses and answers with what is due; `crew` does it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from peerage.behaviour import is_lie
from peerage.config import Federation, Part
from peerage.status import Status


class Act(Enum):
    KILL = "kill"
    RETURN = "return"
    FREEZE = "freeze"
    THAW = "thaw"


@dataclass(frozen=True, slots=True)
class Cast:
    """`frozen` holds since when (monotonic seconds) a peer is stopped; who is `thawed` is not stopped again."""

    parts: tuple[Part, ...]
    killed: frozenset[str] = field(default=frozenset())
    returned: frozenset[str] = field(default=frozenset())
    frozen: Mapping[str, float] = field(default_factory=dict[str, float])
    thawed: frozenset[str] = field(default=frozenset())

    def due(self, statuses: Mapping[str, Status], now: float = 0.0) -> Sequence[tuple[Act, str]]:
        """What the newest statuses call for. A peer is killed in *its* round, and returns in the others'."""
        acts: list[tuple[Act, str]] = []
        for part in self.parts:
            status = statuses.get(part.peer)
            mine = status.round if status is not None and status.state == "running" else 0
            others = max((s.round for name, s in statuses.items() if name != part.peer), default=0)
            if part.peer in self.frozen:
                if now - self.frozen[part.peer] >= part.freeze_seconds:
                    acts.append((Act.THAW, part.peer))
            elif part.freeze_in_round and part.peer not in self.thawed and mine >= part.freeze_in_round:
                acts.append((Act.FREEZE, part.peer))
            elif part.kill_in_round and part.peer not in self.killed:
                if mine >= part.kill_in_round:
                    acts.append((Act.KILL, part.peer))
            elif part.return_in_round and part.peer not in self.returned and others >= part.return_in_round:
                acts.append((Act.RETURN, part.peer))
        return acts

    def done(self, act: Act, peer: str, now: float = 0.0) -> "Cast":
        match act:
            case Act.KILL:
                return replace(self, killed=self.killed | {peer})
            case Act.RETURN:
                return replace(self, returned=self.returned | {peer})
            case Act.FREEZE:
                return replace(self, frozen={**self.frozen, peer: now})
            case Act.THAW:
                rest = {name: since for name, since in self.frozen.items() if name != peer}
                return replace(self, frozen=rest, thawed=self.thawed | {peer})

    def away(self, peer: str) -> bool:
        return peer in self.killed and peer not in self.returned

    def awaits(self, peer: str) -> bool:
        """Away now, and the script brings it back."""
        return self.away(peer) and any(part.peer == peer and part.return_in_round for part in self.parts)


def played(parts: tuple[Part, ...]) -> Cast:
    """The cast of a resumed run: what was to happen has happened."""
    names = frozenset(part.peer for part in parts)
    return Cast(parts, killed=names, returned=names, thawed=names)


def announced(federation: Federation) -> dict[str, str]:
    """What each peer of the cast is made to do, in words; nobody shall take a demonstration for a failure."""
    return {part.peer: said for part in federation.cast if (said := _words(part))}


def _words(part: Part) -> str:
    said: list[str] = []
    if part.behaviour != "honest":
        said.append(f"plays {part.behaviour}" if is_lie(part.behaviour) else part.behaviour)
    if part.slow > 1:
        said.append(f"{part.slow} times slower")
    if part.freeze_in_round:
        said.append(f"frozen for {part.freeze_seconds:g} s in round {part.freeze_in_round}")
    if part.kill_in_round:
        back = f", back in round {part.return_in_round}" if part.return_in_round else " for good"
        said.append(f"killed in round {part.kill_in_round}{back}")
    return ", ".join(said)
