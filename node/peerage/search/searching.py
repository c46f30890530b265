"""A search as it runs: one real federation after the other, each in a folder of its own, and what came of them.

What is done lies in the folders of the trials, so a search that was cut short goes on where it stood: a trial that has
a summary is not run again, one that has not goes on from its own last round.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from peerage.config_toml import load_federation, to_toml
from peerage.launch.federation import Options, run_federation
from peerage.launch.live import Screen
from peerage.launch.summary import Summary
from peerage.rundir import RunDir, write_whole
from peerage.search.plan import Axis, Plan, Value, plan_of, settings_of, tried
from peerage_crypto.errors import InputError, OurError, PeerageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from peerage.config import Federation

SCHEMA = 1


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for, kept so that a search goes on."""

    schema: int
    axes: tuple[Axis, ...]
    trials: int
    halving: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One trial in one rung; `validated` is the share of all peers' held-out rows, over all its rounds so far."""

    trial: int
    rung: int
    rounds: int
    validated: float
    joules: float
    bytes: int
    seconds: float
    quality: str  # the label of the joules
    goes_on: bool = False


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """`joules_left_out` is modelled: the rounds that the grid would have trained beyond these, at each trial's own."""

    schema: int
    axes: tuple[Axis, ...]
    trials: dict[int, dict[str, Value]]
    outcomes: tuple[Outcome, ...]
    best: int
    settings: dict[str, Value]
    validated: float
    ahead: float  # of the next one in the last rung
    rounds: int
    rounds_of_all: int
    joules: float
    joules_left_out: float
    quality: str


@dataclass(frozen=True)
class Place:
    """The folder of a search."""

    root: Path

    @property
    def asked(self) -> Path:
        return self.root / "asked.json"

    @property
    def base(self) -> Path:
        return self.root / "base.toml"

    @property
    def found(self) -> Path:
        return self.root / "search.json"

    @property
    def chosen(self) -> Path:
        return self.root / "federation.toml"

    def trial(self, number: int, rung: int) -> Path:
        return self.root / "trials" / f"{number:02}" / f"rung-{rung}"

    def opened(self, base: Federation, asked: Asked) -> Plan:
        """A new folder with the question in it. InputError: there is something in it, or no trial can run."""
        plan = plan_of(base, asked.axes, trials=asked.trials, halving=asked.halving)
        if self.root.exists() and (not self.root.is_dir() or any(self.root.iterdir())):
            raise InputError(f"--out {self.root} is not empty: choose another, or --resume that search")
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            write_whole(self.base, to_toml(base).encode())
            write_whole(self.asked, msgspec.json.encode(asked))
        except OSError as error:
            raise InputError(f"--out {self.root} cannot be made: {error}") from None
        return plan

    def resumed(self) -> tuple[Federation, Plan]:
        """The question of an earlier session; InputError where the folder holds none."""
        try:
            asked = msgspec.json.decode(self.asked.read_bytes(), type=Asked)
        except OSError:
            raise InputError(f"--resume: {self.root} holds no search (no asked.json)") from None
        except msgspec.MsgspecError as error:
            raise InputError(f"--resume: {self.asked} is not what a search writes: {error}") from None
        base = load_federation(self.base)
        return base, plan_of(base, asked.axes, trials=asked.trials, halving=asked.halving)


def search(base: Federation, plan: Plan, place: Place, say: Callable[[str], None]) -> Found:
    """Every rung in turn. PeerageError where a trial cannot run: what others have found stays."""
    outcomes: list[Outcome] = []
    left = [trial.number for trial in plan.trials]
    for number, rung in enumerate(plan.rungs, 1):
        say(
            f"Step {number} of {len(plan.rungs)}: {rung.trials} trials, {rung.rounds} rounds each, {rung.total} in all."
        )
        here: list[Outcome] = []
        for trial in left:
            one = _tried(base, plan, place, trial, number)
            before = max((o.validated for o in outcomes if o.trial == trial), default=0.0)
            here.append(replace(one, validated=max(one.validated, before)))
            settings = _words(plan.trials[trial - 1].settings)
            say(f"  {trial:2}  {settings}: {100 * here[-1].validated:.1f} % of held-out rows, {one.joules:.1f} J")
        keep = plan.rungs[number].trials if number < len(plan.rungs) else 1
        left = sorted(one.trial for one in sorted(here, key=lambda o: (-o.validated, o.trial))[:keep])
        outcomes += [replace(one, goes_on=one.trial in left) for one in here]
    found = _found(plan, outcomes, left[0])
    write_whole(place.found, msgspec.json.format(msgspec.json.encode(found), indent=1))
    write_whole(place.chosen, to_toml(settings_of(base, found.settings)).encode())
    return found


def _tried(base: Federation, plan: Plan, place: Place, trial: int, rung: int) -> Outcome:
    """One trial's federation of one rung, from the model that its rung before ended with."""
    out, before = place.trial(trial, rung), place.trial(trial, rung - 1)
    run = RunDir(out)
    if not run.summary.exists():
        start = str(before.absolute()) if rung > 1 else ""
        federation = tried(base, plan.trials[trial - 1].settings, plan.rungs[rung - 1].rounds, start)
        _play(federation, Options(out=out, resume=run.federation.exists(), force=out.exists(), baselines=False))
    summary = msgspec.json.decode(run.summary.read_bytes(), type=Summary)
    if summary.best is None:
        raise OurError(f"the run in {out} has no round that was validated: run.log there says how it ended")
    return Outcome(
        trial=trial,
        rung=rung,
        rounds=summary.rounds,
        validated=summary.best.validated,
        joules=3600 * summary.emissions.energy_wh,
        bytes=summary.bytes.sent,
        seconds=summary.seconds.total,
        quality=summary.emissions.quality,
    )


def _play(federation: Federation, options: Options) -> None:
    """A whole run, chain and masks and audit included. What it says goes into its own run.log."""
    if options.resume:
        options = Options(out=options.out, resume=True, baselines=False)
    said = io.StringIO()
    try:
        run_federation(federation, options, Screen(to_stderr=True, file=said))
    except PeerageError:
        raise
    except Exception as error:  # its last words are the only ones that say why
        raise OurError(f"the run in {options.out} ended: {error}; it last said: {said.getvalue()[-500:]}") from error


def _found(plan: Plan, outcomes: Sequence[Outcome], best: int) -> Found:
    last = [one for one in outcomes if one.rung == len(plan.rungs)]
    ranked = sorted((one.validated for one in last), reverse=True)
    spared = 0.0
    for trial in plan.trials:
        own = [one for one in outcomes if one.trial == trial.number]
        trained = sum(one.rounds for one in own)
        spared += sum(one.joules for one in own) / trained * (plan.rungs[-1].total - trained)
    return Found(
        schema=SCHEMA,
        axes=plan.axes,
        trials={trial.number: trial.settings for trial in plan.trials},
        outcomes=tuple(outcomes),
        best=best,
        settings=plan.trials[best - 1].settings,
        validated=ranked[0],
        ahead=ranked[0] - ranked[1],
        rounds=plan.trained,
        rounds_of_all=plan.exhaustive,
        joules=sum(one.joules for one in outcomes),
        joules_left_out=spared,
        quality=", ".join(sorted({one.quality for one in outcomes})),
    )


def _words(settings: dict[str, Value]) -> str:
    return ", ".join(f"{path.partition('.')[2]} {value}" for path, value in settings.items())
