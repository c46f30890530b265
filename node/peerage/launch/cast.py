"""The demonstration's stage directions: whom to kill in which round, and when to bring them back.

A value that sees statuses and answers with what is due; `federation` does it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from peerage.config import Part
from peerage.status import Status


class Act(Enum):
    KILL = "kill"
    RETURN = "return"


@dataclass(frozen=True, slots=True)
class Cast:
    parts: tuple[Part, ...]
    killed: frozenset[str] = field(default=frozenset())
    returned: frozenset[str] = field(default=frozenset())

    def due(self, statuses: Mapping[str, Status]) -> Sequence[tuple[Act, str]]:
        """What the newest statuses call for. A peer is killed in *its* round, and returns in the others'."""
        acts: list[tuple[Act, str]] = []
        for part in self.parts:
            status = statuses.get(part.peer)
            others = max((s.round for name, s in statuses.items() if name != part.peer), default=0)
            if part.kill_in_round and part.peer not in self.killed:
                if status is not None and status.state == "running" and status.round >= part.kill_in_round:
                    acts.append((Act.KILL, part.peer))
            elif part.return_in_round and part.peer not in self.returned and others >= part.return_in_round:
                acts.append((Act.RETURN, part.peer))
        return acts

    def done(self, act: Act, peer: str) -> "Cast":
        if act is Act.KILL:
            return replace(self, killed=self.killed | {peer})
        return replace(self, returned=self.returned | {peer})

    def away(self, peer: str) -> bool:
        return peer in self.killed and peer not in self.returned

    def awaits(self, peer: str) -> bool:
        """Away now, and the script brings it back."""
        return self.away(peer) and any(part.peer == peer and part.return_in_round for part in self.parts)
