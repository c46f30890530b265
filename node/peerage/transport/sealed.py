"""Two peers with a relay between them: how they agree on keys that the relay does not have.

The caller sends an ephemeral key, the callee answers with its own. Both compute four X25519 secrets,

    ss = (static, static)   es = (caller's ephemeral, callee's static)   se = (caller's static, callee's ephemeral)   ee

with the CURVE keys that the ledger lists as the statics (the tokens of Noise's KK pattern, Perrin 2018), and HKDF makes
one key for each direction of them. ss, es and se prove both ends, also to one whose own key was stolen; ee is
forgotten, so that who records now and steals a key later reads nothing. A text is sealed with AES-256-GCM under a
counter, and a counter that is not higher than the last one is a replay. Randomness is an argument.
"""

from dataclasses import dataclass, field

from peerage_crypto.agreement import BadSeal, SessionKeys, derive, seal, shared, unseal

_DOMAIN = b"peerage/relay/1"


class Replayed(ValueError):
    """A text under a counter that has been used."""


@dataclass(slots=True)
class Channel:
    """One end of a session; its keys are never the other direction's, another pair's or another session's."""

    session: bytes
    sealing: bytes = field(repr=False)
    opening: bytes = field(repr=False)
    sent: int = 0
    heard: int = 0

    def seal(self, text: bytes) -> tuple[int, bytes]:
        """The counter to send along, and what it seals."""
        self.sent += 1
        return self.sent, seal(self.sealing, self.sent.to_bytes(12), text, _DOMAIN + self.session)

    def open(self, counter: int, sealed: bytes) -> bytes:
        """Raises BadSeal (changed, or from somebody else) or Replayed (sealed by the right peer, and here before)."""
        text = unseal(self.opening, counter.to_bytes(12), sealed, _DOMAIN + self.session)
        if counter <= self.heard:
            raise Replayed("the counter has been used")
        self.heard = counter
        return text


@dataclass(frozen=True, slots=True)
class Ends:
    """Who calls whom: addresses and the X25519 keys that the ledger lists for them."""

    caller: bytes
    callee: bytes
    caller_key: bytes
    callee_key: bytes


def as_caller(ends: Ends, static: bytes, session: bytes, mine: SessionKeys, theirs: bytes) -> Channel:
    """The caller's end, of its static secret and the ephemeral key in the answer. Raises BadKey."""
    secrets = (
        shared(static, ends.callee_key),
        shared(mine.secret, ends.callee_key),
        shared(static, theirs),
        shared(mine.secret, theirs),
    )
    out, back = _keys(ends, session, mine.public, theirs, secrets)
    return Channel(session, out, back)


def as_callee(ends: Ends, static: bytes, session: bytes, mine: SessionKeys, theirs: bytes) -> Channel:
    """The callee's end, of its static secret and the ephemeral key in the call. Raises BadKey."""
    secrets = (
        shared(static, ends.caller_key),
        shared(static, theirs),
        shared(mine.secret, ends.caller_key),
        shared(mine.secret, theirs),
    )
    out, back = _keys(ends, session, theirs, mine.public, secrets)
    return Channel(session, back, out)


def _keys(
    ends: Ends, session: bytes, caller: bytes, callee: bytes, secrets: tuple[bytes, bytes, bytes, bytes]
) -> tuple[bytes, bytes]:
    """Caller to callee, callee to caller."""
    salt = b"".join((session, caller, callee, ends.caller_key, ends.callee_key))
    both = derive(b"".join(secrets), salt, b"".join((_DOMAIN, ends.caller, ends.callee)), 64)
    return both[:32], both[32:]


__all__ = ["BadSeal", "Channel", "Ends", "Replayed", "as_callee", "as_caller"]
