"""Starting peers as processes that share their imports, and making sure that none outlives us.

A fork server imports `preload` once; each peer is a fork of it. A peer holds one end of a pipe; when the other
end closes, because we ask it to stop or because we were killed, it stops, and if it does not within `GRACE_SECONDS` a
guard thread ends it. Ctrl-C reaches the whole process group, so peers ignore it and leave the decision to us.
"""

import contextlib
import logging
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Generator
from dataclasses import dataclass
from multiprocessing import connection, forkserver
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from peerage.learning.factory import load_factory
from peerage.status import PeerSpec, Status, send_status
from peerage_crypto.digest import tagged
from peerage_crypto.errors import InputError, PeerageError, Unreachable

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

GRACE_SECONDS = 4.0  # how long a peer may take to stop by itself
PRELOAD = ("peerage.launch.preload",)
RUN_PEER = "peerage.peer:run_peer"

EXIT_FAULT, EXIT_INPUT, EXIT_UNREACHABLE = 1, 2, 3


class Runner(Protocol):
    """A peer's life: blocks until it is over or the pipe reports EOF, and returns the exit code."""

    def __call__(self, spec: PeerSpec, status: Connection) -> int: ...


@dataclass(frozen=True, slots=True, eq=False)
class PeerProcess:
    spec: PeerSpec
    process: BaseProcess
    pipe: Connection

    def kill(self) -> None:
        """SIGKILL: what a power cut looks like to the others."""
        self.process.kill()
        self.process.join()
        self.pipe.close()

    def freeze(self, *, on: bool) -> None:
        """SIGSTOP, later SIGCONT: a machine that stands still for a while and does not know it."""
        pid = self.process.pid
        if pid is not None and self.process.is_alive():
            os.kill(pid, signal.SIGSTOP if on else signal.SIGCONT)

    def ask_to_stop(self) -> None:
        self.pipe.close()

    @property
    def alive(self) -> bool:
        return self.process.is_alive()


class PeerLauncher:
    """One fork server for a run. `note` is a sentence for the user where the system has no fork server."""

    def __init__(self, preload: tuple[str, ...] = PRELOAD, runner: str = RUN_PEER) -> None:
        self._runner = runner
        if "forkserver" in multiprocessing.get_all_start_methods():
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(list(preload))
            self.context: BaseContext = context
            self.note = ""
        else:
            self.context = multiprocessing.get_context("spawn")
            self.note = "this system has no fork server: each peer imports everything anew, which takes longer"

    def warm_up(self) -> None:
        """Start the imports now; they run beside whatever we do next."""
        if not self.note:
            with default_interrupt_ignored():
                forkserver.ensure_running()

    def start(self, spec: PeerSpec) -> PeerProcess:
        ours, theirs = self.context.Pipe(duplex=True)
        process = self.context.Process(  # type: ignore[attr-defined]  # every concrete context has it
            target=peer_main, args=(self._runner, spec, theirs), name=spec.name
        )
        process.start()
        theirs.close()  # else we would hold the pipe open for a peer that is gone
        return PeerProcess(spec, cast("BaseProcess", process), ours)

    def run_aside(self, target: str, argument: str) -> "Aside":
        """Run `module:function(argument, pipe)` in a fork of the same server: for work that needs torch."""
        ours, theirs = self.context.Pipe(duplex=True)
        process = self.context.Process(  # type: ignore[attr-defined]
            target=aside_main, args=(target, argument, theirs), name=target
        )
        process.start()
        theirs.close()
        return Aside(cast("BaseProcess", process), ours)


@dataclass(frozen=True, slots=True, eq=False)
class Aside:
    """One piece of work in a process of its own; `result` blocks."""

    process: BaseProcess
    pipe: Connection

    def result(self) -> bytes:
        """What the function returned. An error of the user's is raised again here with its sentence."""
        try:
            outcome = self.pipe.recv_bytes()
        except EOFError:
            self.process.join()
            raise Unreachable(f"{self.process.name} ended without a result (exit {self.process.exitcode})") from None
        self.pipe.close()
        self.process.join()
        if outcome[:1] == b"!":
            raise InputError(outcome[1:].decode())
        return outcome[1:]

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def stop_all(peers: "list[PeerProcess]", *, at_once: bool = False) -> None:
    """Ask all, wait together for at most the grace period, kill the rest."""
    for peer in peers:
        with contextlib.suppress(OSError):
            peer.ask_to_stop()
    deadline = time.monotonic() + (0.0 if at_once else GRACE_SECONDS + 1.0)
    waiting = {peer.process.sentinel for peer in peers if peer.alive}
    while waiting and time.monotonic() < deadline:
        waiting -= set(cast("list[int]", connection.wait(waiting, max(0.0, deadline - time.monotonic()))))
    for peer in peers:
        if peer.alive:
            peer.process.kill()
        peer.process.join()


@contextlib.contextmanager
def default_interrupt_ignored() -> Generator[None]:
    """A process started inside inherits an ignored SIGINT, from its first instruction on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def peer_main(runner: str, spec: PeerSpec, pipe: Connection) -> None:
    """The first function of a peer's process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _become(spec)
    _guard(pipe)
    sys.exit(_run(runner, spec, pipe))


def aside_main(target: str, argument: str, pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _guard(pipe)
    try:
        outcome = b"=" + cast("bytes", load_factory(target)(argument))
    except PeerageError as error:
        outcome = b"!" + str(error).encode()
    pipe.send_bytes(outcome)


def _become(spec: PeerSpec) -> None:
    """A folder, a pid, a log and a randomness of its own: a fork starts with its siblings' generator state."""
    folder = Path(spec.run_dir) / "peers" / spec.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pid").write_text(f"{os.getpid()}\n")
    log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr, force=True
    )
    reseed(spec.seed, spec.index)


def reseed(seed: int, index: int) -> None:
    """The process-wide generators; training draws from its own, but a model of the user's may ask these."""
    draw = int.from_bytes(tagged("peerage/process", seed.to_bytes(8, "big"), index.to_bytes(8, "big"))[:8], "big")
    random.seed(draw)
    if "numpy" in sys.modules:
        import numpy as np  # noqa: PLC0415 - only when something has loaded it

        np.random.seed(draw % 2**32)  # noqa: NPY002 - the legacy generator is the one that forks share
    if "torch" in sys.modules:
        import torch  # noqa: PLC0415

        torch.manual_seed(draw)  # pyright: ignore[reportUnknownMemberType]


def _guard(pipe: Connection) -> None:
    """The launcher never writes to a peer, so a readable pipe means that the launcher is gone or wants us gone."""

    def watch() -> None:
        connection.wait([pipe])
        time.sleep(GRACE_SECONDS)
        os._exit(EXIT_UNREACHABLE)

    threading.Thread(target=watch, name="launcher-guard", daemon=True).start()


def _run(runner: str, spec: PeerSpec, pipe: Connection) -> int:
    try:
        return cast("Runner", load_factory(runner))(spec, pipe)
    except Unreachable as error:
        return _failed(spec, pipe, str(error), EXIT_UNREACHABLE)
    except PeerageError as error:
        return _failed(spec, pipe, str(error), EXIT_INPUT if isinstance(error, InputError) else EXIT_FAULT)
    except Exception as error:  # noqa: BLE001 - the process's last line: it must say why it ends
        traceback.print_exc()
        return _failed(spec, pipe, f"ended by a bug ({type(error).__name__}: {error}); see its log.txt", EXIT_FAULT)


def _failed(spec: PeerSpec, pipe: Connection, sentence: str, code: int) -> int:
    logging.getLogger("peerage").error("%s", sentence)
    with contextlib.suppress(OSError):
        send_status(pipe, Status(peer=spec.name, state="failed", note=sentence))
    return code
