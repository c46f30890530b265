"""How far an audit is, for people who wait: one line on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

SILENT_SECONDS: Final = 1.0  # what takes less says nothing
TERMINAL_SECONDS: Final = 0.2
ELSEWHERE_SECONDS: Final = 10.0


class Progress:
    """Called with what is counted, how many are done, and of how many."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream or sys.stderr, clock
        self._terminal = self._stream.isatty()
        self._what, self._began, self._first, self._said = "", 0.0, 0, 0.0
        self._open = False  # a line on the terminal that is not ended

    def __call__(self, what: str, done: int, of: int, /) -> None:
        now = self._clock()
        if what != self._what:
            self.end()
            self._what, self._began, self._first, self._said = what, now, done, now
            return
        passed = now - self._began
        every = TERMINAL_SECONDS if self._terminal else ELSEWHERE_SECONDS
        if passed < SILENT_SECONDS or (now - self._said < every and not (done == of and self._open)):
            return
        self._said = now
        speed = (done - self._first) / passed if passed else 0.0
        left = f", {seconds((of - done) / speed)} left" if speed and done < of else ""
        line = f"audit: {what} {done} of {of}, {speed:.0f} a second{left}"
        if self._terminal:
            self._stream.write(f"\r{line}\x1b[K")
            self._open = True
        else:
            self._stream.write(line + "\n")
        self._stream.flush()

    def end(self) -> None:
        """Leave the terminal on a line of its own."""
        if self._open:
            self._stream.write("\n")
            self._stream.flush()
            self._open = False


def seconds(count: float) -> str:
    """1:02:03, 2:03 or 3 s."""
    whole = round(count)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
