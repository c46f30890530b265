"""What was said about this run before and from its first rounds, beside what the meter then found."""

from peerage.emissions.labels import Band
from peerage.report import energy
from peerage.report.amounts import UJ_PER_WH, energy_band, percent, scaled
from peerage.report.amounts import energy as energy_of
from peerage.report.html import Html, el, join, table
from peerage.report.reading import Told


def body(told: Told) -> Html:
    known = told.estimate
    if known is None:
        said = "No estimate is kept with this run: `peerage estimate --calibrate RUN_DIR` writes one when it is over."
        return el("p", said, class_="none")
    measured = energy.whole(told)
    rows: list[tuple[str, ...]] = []
    if prior := known.prior:
        before = Band(*(round(wh * UJ_PER_WH) for wh in (prior.low_wh, prior.energy_wh, prior.high_wh)))
        rows.append((f"before the run, from {prior.source}", energy_of(before), energy_band(before), "parametric",
                     signed(prior.error)))  # fmt: skip
    if known.error is not None:
        mid = measured.energy.mid / UJ_PER_WH * (1 + known.error)
        first = f"from its first {known.first} of {known.rounds} rounds"
        rows.append((first, scaled(mid, "Wh"), "", "parametric", signed(known.error)))
    found = measured.label.value
    rows.append(("measured", energy_of(measured.energy), energy_band(measured.energy), found, ""))
    notes = ["Error: estimated over metered, less 1, of the middles."]
    if not known.prior:
        notes.append("Nothing was estimated before this run (peerage run --calibration RUN_DIR).")
    if known.error is None:
        notes.append("The run was too short to be predicted from its first rounds.")
    head = ("estimate", "energy", "low to high", "label", "error")
    return join([
        table("Estimate beside the meter, energy of the whole run", head, rows),
        el("p", " ".join(notes), class_="soft"),
    ])  # fmt: skip


def signed(error: float) -> str:
    return ("+" if error >= 0 else "\N{MINUS SIGN}") + percent(abs(error))
