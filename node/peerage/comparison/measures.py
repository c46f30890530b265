"""What is compared: one number for each run, from its summary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from peerage.launch.summary import Summary


@dataclass(frozen=True, slots=True)
class Measure:
    """`of` gives None where a run does not know it. `more` says what a larger number is: better, worse, or neither."""

    key: str
    name: str
    unit: str
    of: Callable[[Summary], float | None]
    more: str = ""


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


MEASURES: Final = (
    Measure("accuracy", "accuracy of the final model", "%", lambda s: _percent(s.accuracy.aggregate), "better"),
    Measure(
        "accuracy_mean", "accuracy of the peers' own models, mean", "%", lambda s: _percent(s.accuracy.mean), "better"
    ),
    Measure("accuracy_min", "and of the worst peer", "%", lambda s: _percent(s.accuracy.min), "better"),
    Measure(
        "accuracy_group",
        "and on the held-out rows of the worst group of peers",
        "%",
        lambda s: _percent(s.groups.worst if s.groups else None),
        "better",
    ),
    Measure("macro_f1", "macro-F1", "", lambda s: s.quality.macro_f1 if s.quality else None, "better"),
    Measure(
        "balanced_accuracy",
        "balanced accuracy",
        "%",
        lambda s: _percent(s.quality.balanced_accuracy if s.quality else None),
        "better",
    ),
    Measure("auroc", "AUROC, mean over classes", "", lambda s: s.quality.auroc if s.quality else None, "better"),
    Measure("rounds", "rounds", "", lambda s: float(s.rounds)),
    Measure("seconds", "seconds", "s", lambda s: s.seconds.total, "worse"),
    Measure("bytes", "sent between peers", "MB", lambda s: s.bytes.sent / 1e6, "worse"),
    Measure("energy", "energy of all peers", "J", lambda s: 3600 * s.emissions.energy_wh, "worse"),
    Measure("co2e", "CO2e, middle", "mg", lambda s: 1000 * s.emissions.co2e_g.mid, "worse"),
    Measure("gas", "gas", "", lambda s: None if s.ledger.gas is None else float(s.ledger.gas), "worse"),
    Measure("missing", "updates that were missing", "", lambda s: float(len(s.missing)), "worse"),
)
