"""A peer that lies: a function of the user's own sees each effect of the peer's real engine before it is carried out,
and returns the effects to carry out instead.

For demonstrations and attack tests. It is named in the cast of a federation file (`behaviour = "file.py:function"`),
so only whoever starts the peer can choose it; nothing from the network reaches it, and it is not among the rules that
peers agree on. The peer's log, the run's log and the summary say that it plays. `examples/liars.py` has two dozen.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

from peerage.learning.factory import is_factory, load_factory
from peerage_crypto.statements import Signed, Statement, sign

if TYPE_CHECKING:
    from collections.abc import Callable

    from peerage.effects import Effect
    from peerage.plain.engine import PlainEngine
    from peerage.rounds.round import Engine
    from peerage_crypto.identity import Account

    Deed = Callable[["Stage", Effect], list[Effect]]

S = TypeVar("S", bound=Statement)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stage:
    """What a lying function gets beside each effect: who it is, what it may sign and serve, and a memory of its own.

    `engine` is the real one, to be read. `frame` sends raw bytes to one peer; `put` keeps an artefact and serves it
    (returns its id), `get` gives one that this peer holds.
    """

    name: str
    account: Account
    registered: frozenset[bytes]
    domain: bytes
    engine: Engine | PlainEngine
    put: Callable[[bytes], bytes]
    get: Callable[[bytes], bytes | None]
    frame: Callable[[bytes, bytes], None]
    memory: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def me(self) -> bytes:
        return self.account.address

    @property
    def others(self) -> list[bytes]:
        """Everybody else, sorted by address."""
        return sorted(self.registered - {self.me})

    def sign(self, statement: S) -> Signed[S]:
        """In its own name; it has no other."""
        return sign(statement, self.account, self.domain)


def is_lie(behaviour: str) -> bool:
    """Whether a behaviour is a function of the user's, not one of our own words."""
    return is_factory(behaviour)


def load_lie(behaviour: str) -> Deed:
    """The function behind `module:function` or `file.py:function`; InputError when there is none."""
    return cast("Deed", load_factory(behaviour))


def slowed(done: Callable[[T], None], times: int) -> Callable[[T], None]:
    """`done`, called by the thread that works, but as late as if its work since the last call took `times` as long."""
    if times <= 1:
        return done
    before = 0.0

    def late(result: T) -> None:
        nonlocal before
        spent = time.thread_time() - before
        time.sleep(spent * (times - 1))
        before = time.thread_time()
        done(result)

    return late
