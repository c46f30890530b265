"""Control frames that wait for one peer to be reachable: counted, weighed and dated."""

from collections import deque

from peerage.transport.limits import TransportSettings


class Waiting:
    """First in, first out; what is too old leaves unsent."""

    def __init__(self, settings: TransportSettings) -> None:
        self._settings = settings
        self._frames: deque[tuple[float, bytes]] = deque()
        self._bytes = 0
        self._aged = 0

    def __len__(self) -> int:
        return len(self._frames)

    def offer(self, frame: bytes, now: float) -> bool:
        """False if there is no room even after what is too old has left."""
        self._let_age(now)
        settings = self._settings
        if len(self._frames) >= settings.pending_frames or self._bytes + len(frame) > settings.pending_bytes:
            return False
        self._frames.append((now + settings.pending_age, frame))
        self._bytes += len(frame)
        return True

    def first(self, now: float) -> bytes | None:
        self._let_age(now)
        return self._frames[0][1] if self._frames else None

    def left(self) -> None:
        """The first is on its way."""
        self._bytes -= len(self._frames.popleft()[1])

    def clear(self) -> None:
        self._frames.clear()
        self._bytes = 0

    def take_aged(self) -> int:
        """Frames that waited too long since this was last asked."""
        aged, self._aged = self._aged, 0
        return aged

    def _let_age(self, now: float) -> None:
        while self._frames and self._frames[0][0] < now:
            self.left()
            self._aged += 1
