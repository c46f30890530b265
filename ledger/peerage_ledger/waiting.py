"""Asking a node until it knows: the one place where we poll with a pause, because HTTP nodes cannot call us."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Answer = TypeVar("Answer")
_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.1


def wait_until(ask: Callable[[], Answer | None], seconds: float) -> Answer | None:
    """The first answer that is not None, or None when the time is up."""
    deadline, pause, never = time.monotonic() + seconds, _FIRST_PAUSE, threading.Event()
    while True:
        answer = ask()
        if answer is not None or time.monotonic() >= deadline:
            return answer
        never.wait(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
