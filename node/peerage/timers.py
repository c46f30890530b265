"""Named deadlines on the monotonic clock; setting a name again replaces it."""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass, field


@dataclass
class Timers:
    due: list[tuple[float, int, str]] = field(default_factory=list[tuple[float, int, str]])
    current: dict[str, int] = field(default_factory=dict[str, int])
    count: int = 0

    def set(self, name: str, seconds: float) -> None:
        self.count += 1
        self.current[name] = self.count
        heapq.heappush(self.due, (time.monotonic() + seconds, self.count, name))

    def cancel(self, name: str) -> None:
        self.current.pop(name, None)

    def running(self, name: str) -> bool:
        return name in self.current

    def wait(self) -> float:
        """Seconds until the next deadline may be over."""
        return max(0.0, self.due[0][0] - time.monotonic()) if self.due else 3600.0

    def ripe(self) -> list[str]:
        """The names whose time is over, in the order of their deadlines; each once."""
        names: list[str] = []
        while self.due and self.due[0][0] <= time.monotonic():
            _, mark, name = heapq.heappop(self.due)
            if self.current.get(name) == mark:
                del self.current[name]
                names.append(name)
        return names
