"""What a person sees while peers train: a live table on a terminal, plain lines elsewhere.

`View` is a value made from statuses; `table` and `line` draw it; `Screen` is the only part that writes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import IO, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from peerage.status import Status

NOTES_SHOWN = 4
WEI = 10**18

_STYLES = {
    "starting": "dim",
    "ready": "cyan",
    "running": "default",
    "finished": "green",
    "failed": "red",
    "away": "red",
}


@dataclass(frozen=True, slots=True)
class View:
    """Seconds are on a monotonic clock; `trained_at` is when the first peer ran."""

    names: tuple[str, ...]
    rounds: int
    statuses: Mapping[str, Status]
    behaviours: Mapping[str, str]
    away: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    trained_at: float | None = None
    symbol: str = "PEER"
    synthetic: frozenset[str] = frozenset()  # whose energy nobody has measured
    rests: Mapping[str, frozenset[int]] = field(default_factory=dict[str, frozenset[int]])  # rounds, by name

    def resting(self, name: str) -> bool:
        """Whether its schedule gives this peer no turn in the round that the others work on."""
        return self.round in self.rests.get(name, ())

    @property
    def round(self) -> int:
        """The furthest round that anybody works on."""
        return max((status.round for status in self.statuses.values()), default=0)

    @property
    def closed(self) -> int:
        finished = any(status.state == "finished" for status in self.statuses.values())
        return self.rounds if finished else max(0, self.round - 1)

    def with_status(self, status: Status, now: float) -> "View":
        trained_at = self.trained_at
        if trained_at is None and status.state == "running":
            trained_at = now
        notes = self.notes
        if status.note and (old := self.statuses.get(status.peer), old and old.note)[1] != status.note:
            notes = (*notes, f"{status.peer}: {status.note}")
        return replace(self, statuses={**self.statuses, status.peer: status}, trained_at=trained_at, notes=notes)

    def with_note(self, note: str) -> "View":
        return replace(self, notes=(*self.notes, note))

    def with_away(self, peer: str, away: bool) -> "View":
        return replace(self, away=self.away | {peer} if away else self.away - {peer})

    def eta_seconds(self, now: float) -> float | None:
        """The pace so far, carried on; None before the first round has closed."""
        if self.trained_at is None or not self.closed:
            return None
        return (now - self.trained_at) / self.closed * (self.rounds - self.closed)


def table(view: View, now: float) -> Table:
    grid = Table(title=_title(view, now), title_justify="left", caption=_caption(view), caption_justify="left")
    for heading in ("peer", "state", "phase"):
        grid.add_column(heading, no_wrap=True)
    for heading in ("round", "version", "accuracy", "sent", "Wh", f"earned {view.symbol}"):
        grid.add_column(heading, justify="right", no_wrap=True)
    for name in view.names:
        status = view.statuses.get(name)
        state = "away" if name in view.away else status.state if status else "starting"
        behaviour = view.behaviours.get(name, "honest")
        label = name if behaviour == "honest" else f"{name} ({behaviour})"
        label += " (synthetic energy)" if name in view.synthetic else ""
        if status is None:
            grid.add_row(label, Text(state, _STYLES[state]), *[""] * 7)
            continue
        grid.add_row(
            label,
            Text(state, _STYLES[state]),
            "" if state != "running" else "rest" if view.resting(name) else status.phase,
            str(status.round),
            str(status.version),
            percent(status.accuracy),
            size(status.bytes_sent),
            f"{status.energy_wh:.3f}",
            amount(status.earned),
        )
    return grid


def line(view: View, now: float) -> str:
    """One sentence a round, for logs and pipes."""
    accuracies = [s.accuracy for s in view.statuses.values() if s.accuracy is not None]
    mean = f", mean accuracy {percent(sum(accuracies) / len(accuracies))}" if accuracies else ""
    sent = size(sum(s.bytes_sent for s in view.statuses.values()))
    energy = sum(s.energy_wh for s in view.statuses.values())
    eta = view.eta_seconds(now)
    left = "" if eta is None or view.closed == view.rounds else f", about {eta:.0f} s left"
    gone = f", away: {', '.join(sorted(view.away))}" if view.away else ""
    rested = ", ".join(name for name in view.names if view.closed in view.rests.get(name, ()))
    gone += f", resting: {rested}" if rested else ""
    return f"round {view.closed} of {view.rounds} closed{mean}, {sent} sent, {energy:.3f} Wh{gone}{left}"


def _title(view: View, now: float) -> str:
    eta = view.eta_seconds(now)
    left = "" if eta is None or view.closed == view.rounds else f" · about {eta:.0f} s left"
    return f"round {min(view.round, view.rounds)} of {view.rounds}{left}"


def _caption(view: View) -> str:
    return "\n".join(view.notes[-NOTES_SHOWN:])


def percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def size(count: int) -> str:
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def amount(smallest_unit: str, places: int = 2) -> str:
    """Whole credits of a token with 18 decimals, rounded down: nobody is shown more than there is."""
    whole, part = divmod(int(smallest_unit), WEI)
    return f"{whole}.{part // 10 ** (18 - places):0{places}d}"


class Screen:
    """Draws views. With `json` the caller keeps stdout for the document, so everything here goes to stderr."""

    def __init__(self, *, to_stderr: bool, file: IO[str] | None = None) -> None:
        self.console = Console(stderr=to_stderr, file=file, highlight=False, soft_wrap=True)
        self._live: Live | None = None
        self._rounds_said = 0
        self._notes_said = 0

    def say(self, sentence: str) -> None:
        self.console.print(sentence, markup=False)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live = Live(console=self.console, auto_refresh=False, transient=False)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def show(self, view: View, now: float) -> None:
        if self._live is not None:
            self._live.update(table(view, now), refresh=True)
            return
        for note in view.notes[self._notes_said :]:
            self.say(note)
        self._notes_said = len(view.notes)
        if view.closed > self._rounds_said:
            self._rounds_said = view.closed
            self.say(line(view, now))
