"""The peers of one run from first start to last exit: reading their pipes, playing the cast, noticing who is gone.

One loop waits for pipes; a tick in it serves the screen and whatever the run supervises beside the peers.
"""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing import connection
from multiprocessing.connection import Connection
from typing import cast as typed

import msgspec

from peerage.launch.cast import Act, Cast
from peerage.launch.live import Screen, View
from peerage.launch.processes import EXIT_INPUT, PeerLauncher, PeerProcess, stop_all
from peerage.status import PeerSpec, receive_status
from peerage_crypto.errors import InputError, Unreachable

TICK_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Times:
    """On the monotonic clock; None where the run did not come so far."""

    started: float
    ready: float | None = None  # every peer was ready
    trained: float | None = None  # every peer had finished


class Crew:
    """Owns the processes. `say` receives one sentence per event for the log."""

    def __init__(
        self,
        launcher: PeerLauncher,
        specs: Sequence[PeerSpec],
        view: View,
        cast: Cast,
        say: Callable[[str], None],
        *,
        patience_seconds: float,
    ) -> None:
        self._launcher = launcher
        self._specs = {spec.name: spec for spec in specs}
        self._running: dict[str, PeerProcess] = {}
        self._say = say
        self._patience = patience_seconds
        self._progress = time.monotonic()
        self.view = view
        self.cast = cast
        self.lost: dict[str, str] = {}  # ended without being told to: name -> sentence
        self.times = Times(time.monotonic())

    def start(self) -> None:
        for spec in self._specs.values():
            self._running[spec.name] = self._launcher.start(spec)
        self._progress = time.monotonic()

    def run(self, screen: Screen, tick: Callable[[], Sequence[str]]) -> None:
        """Until every peer that will ever finish has. `tick` is called a few times a second, its sentences shown."""
        with screen:
            while not self._over():
                self._receive(TICK_SECONDS)
                self._play()
                for note in tick():
                    self._note(note)
                self._check_stall()
                screen.show(self.view, time.monotonic())
            self.times = replace(self.times, trained=time.monotonic())
            screen.show(self.view, time.monotonic())

    def stop(self, *, at_once: bool = False) -> None:
        stop_all(list(self._running.values()), at_once=at_once)
        self._running.clear()

    def _over(self) -> bool:
        states = {name: status.state for name, status in self.view.statuses.items()}
        if any(self.cast.awaits(name) for name in self._specs):
            return False
        return all(states.get(name) == "finished" for name in self._running)

    def _receive(self, seconds: float) -> None:
        """Empty every pipe that has something; a closed one means that its peer is gone."""
        by_pipe: Mapping[Connection, str] = {peer.pipe: name for name, peer in self._running.items()}
        for ready in connection.wait(list(by_pipe), seconds):
            pipe = typed("Connection", ready)
            name = by_pipe[pipe]
            try:
                while pipe.poll():
                    self._heard(name, pipe)
            except (EOFError, OSError):
                self._gone(name)

    def _heard(self, name: str, pipe: Connection) -> None:
        try:
            status = receive_status(pipe)
        except msgspec.DecodeError as error:
            self._note(f"{name} sent a status that cannot be read: {error}")
            return
        if status.peer != name:
            self._note(f"{name} sent the status of {status.peer}: ignored")
            return
        before = self.view.statuses.get(name)
        if before is None or (before.round, before.state, before.phase) != (status.round, status.state, status.phase):
            self._progress = time.monotonic()
        if status.note and (before is None or before.note != status.note):
            self._say(f"{name}: {status.note}")
        self.view = self.view.with_status(status, time.monotonic())
        if self.times.ready is None and self._all_in({"ready", "running", "finished"}):
            self.times = replace(self.times, ready=time.monotonic())

    def _all_in(self, states: set[str]) -> bool:
        known = self.view.statuses
        return all(name in known and known[name].state in states for name in self._running)

    def _gone(self, name: str) -> None:
        peer = self._running.pop(name)
        peer.process.join()
        peer.pipe.close()
        status = self.view.statuses.get(name)
        if status is not None and status.state == "finished" and peer.process.exitcode == 0:
            return
        said = status.note if status is not None and status.state == "failed" else ""
        sentence = said or f"ended with exit code {peer.process.exitcode}"
        if peer.process.exitcode == EXIT_INPUT:
            raise InputError(f"{name}: {sentence}")
        if status is None or (status.state in {"starting", "failed"} and self.times.ready is None):
            raise Unreachable(f"{name} did not come up: {sentence} (see peers/{name}/log.txt); the others wait for all")
        self.lost[name] = sentence
        self.view = self.view.with_away(name, away=True)
        self._note(f"{name} is gone: {sentence} (see peers/{name}/log.txt)")
        if not self._running:
            raise Unreachable(f"every peer has ended; the last was {name}: {sentence}")

    def _play(self) -> None:
        for act, name in self.cast.due(self.view.statuses, time.monotonic()):
            if act is Act.KILL and name in self._running:
                self._running.pop(name).kill()
                self._note(f"{name} was killed in round {self.view.statuses[name].round}, as the cast says")
            elif act is Act.RETURN:
                self._running[name] = self._launcher.start(msgspec.structs.replace(self._specs[name], resume=True))
                self._note(f"{name} comes back in round {self.view.round}")
            elif act in {Act.FREEZE, Act.THAW} and name in self._running:
                self._running[name].freeze(on=act is Act.FREEZE)
                done = "was frozen" if act is Act.FREEZE else "thaws"
                self._note(f"{name} {done} in round {self.view.round}, as the cast says")
            self.cast = self.cast.done(act, name, time.monotonic())
            self.view = self.view.with_away(name, away=act in {Act.KILL, Act.FREEZE})

    def _note(self, sentence: str) -> None:
        self._say(sentence)
        self.view = self.view.with_note(sentence)

    def _check_stall(self) -> None:
        silent = time.monotonic() - self._progress
        if silent > self._patience:
            phases = sorted({f"{s.state} {s.phase}".strip() for s in self.view.statuses.values()})
            raise Unreachable(
                f"nothing has moved for {silent:.0f} s in round {self.view.round} "
                f"(peers are: {', '.join(phases) or 'silent'}); see the peers' log.txt, and go on with --resume"
            )


def kill_hard(crew: Crew) -> None:
    """The second Ctrl-C."""
    with contextlib.suppress(OSError):
        crew.stop(at_once=True)
