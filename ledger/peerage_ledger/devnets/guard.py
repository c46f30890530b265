"""Stands between us and a devnet so that none is left behind: run as a script, with the devnet's command as arguments.

It starts the devnet, prints its pid, and ends it when its own standard input closes, which the kernel does for us when
the parent dies, however it dies. Imports the standard library only: it starts in milliseconds.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys

_GRACE_SECONDS = 5.0
_LOOK_SECONDS = 1.0  # for a parent whose pipe another process holds open


def _die_with_the_guard() -> None:
    """Linux only: kill -9 of the guard itself takes the devnet along (PR_SET_PDEATHSIG = 1)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def main(command: list[str]) -> int:
    parent = os.getppid()
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),
        stderr=sys.stderr.fileno(),
        preexec_fn=_die_with_the_guard if sys.platform == "linux" else None,  # noqa: PLW1509 - no threads here
    )
    sys.stdout.write(f"{child.pid}\n")
    sys.stdout.flush()
    while child.poll() is None:
        readable, _, _ = select.select([sys.stdin.fileno(), ended], [], [], _LOOK_SECONDS)
        if ended in readable:
            os.read(ended, 512)
        closed = sys.stdin.fileno() in readable and not os.read(sys.stdin.fileno(), 512)
        if closed or os.getppid() != parent:
            child.terminate()
            try:
                child.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
    return child.wait() % 256


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
