"""How much of a peer's traffic we are willing to take: generous for the honest, bounded for the rest."""

import resource
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """Seconds unless the name says otherwise. The defaults suit one machine and a LAN; a WAN wants heartbeat 5,
    silence 15.
    """

    heartbeat: float = 1.0
    silence: float = 4.0
    """A peer that says nothing for this long is down."""
    reconnect: float = 0.1
    reconnect_most: float = 2.0
    handshake: float = 5.0
    pending_frames: int = 1000
    pending_bytes: int = 16 * 1024 * 1024
    pending_age: float = 30.0
    """What waits for one peer that is connecting: so many frames, bytes, and no longer than this."""
    credits: int = 4
    """Chunks asked of one owner and not yet here: memory under way is owners x credits x 1 MiB."""
    resend: float = 5.0
    stall: float = 15.0
    """An owner that sends no chunk for this long has failed the fetch."""
    frames_a_second: float = 5000.0
    bytes_a_second: float = 16 * 1024 * 1024.0
    requests_a_second: float = 4000.0
    relayed_a_second: float = 256 * 1024 * 1024.0
    """Bytes that a relay forwards, a small envelope counting as 16 KiB.

    Each of these is per sender; a burst of two seconds' worth passes at once.
    """


_ENVELOPE = 16 * 1024


@dataclass(slots=True)
class TokenBucket:
    """``rate`` tokens a second up to ``burst``; time is whatever monotonic number the caller passes."""

    rate: float
    burst: float
    _level: float = field(init=False)
    _at: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._level = self.burst

    def take(self, tokens: float, now: float) -> bool:
        """Whether so many may pass now; if not, none are taken."""
        if self._at is not None:
            self._level = min(self.burst, self._level + (now - self._at) * self.rate)
        self._at = now
        if tokens > self._level:
            return False
        self._level -= tokens
        return True


class Allowance:
    """What one sender may still do; one per peer, kept across its reconnections."""

    def __init__(self, settings: TransportSettings) -> None:
        self._frames = TokenBucket(settings.frames_a_second, 2 * settings.frames_a_second)
        self._bytes = TokenBucket(settings.bytes_a_second, 2 * settings.bytes_a_second)
        self._requests = TokenBucket(settings.requests_a_second, 2 * settings.requests_a_second)
        self._relayed = TokenBucket(settings.relayed_a_second, 2 * settings.relayed_a_second)
        self._calls = TokenBucket(1.0, 20.0)  # a call costs the called four X25519
        self._faults = TokenBucket(1.0, 5.0)

    def frame(self, length: int, now: float) -> bool:
        return self._frames.take(1, now) and self._bytes.take(length, now)

    def request(self, now: float) -> bool:
        return self._requests.take(1, now)

    def relayed(self, length: int, now: float) -> bool:
        return self._relayed.take(max(length, _ENVELOPE), now)

    def call(self, now: float) -> bool:
        return self._calls.take(1, now)

    def fault(self, now: float) -> bool:
        """Whether one more complaint about this peer may be raised; a flood of garbage must not become a flood of
        events.
        """
        return self._faults.take(1, now)


_DESCRIPTORS = 65536


def raise_descriptor_limit() -> None:
    """As many open files as the operator allows this process. libzmq takes every connection until there are none left,
    so the soft limit (often 1024) is how many strangers it takes to keep a peer from opening anything.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # some systems allow less than they say
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
