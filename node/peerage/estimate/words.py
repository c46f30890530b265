"""An answer as lines of text: a table that fits a terminal, sources under it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerage.report.amounts import figure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from peerage.emissions.factors import Factor
    from peerage.estimate.amounts import Spread
    from peerage.estimate.calibration import Calibration, Foreseen
    from peerage.estimate.devices import Device
    from peerage.estimate.documents import Answer, CentreTold, EstimateTold, InverseTold
    from peerage.estimate.links import PerByte
    from peerage.estimate.prediction import Prediction


def lines(told: Answer) -> Iterator[str]:
    yield from told.gaps
    if told.estimates:
        yield from _estimates(told.estimates)
    if told.centralised:
        yield from _centre(told.centralised)
    if told.inverse:
        yield from _inverse(told.inverse)
    if told.prediction:
        yield from _prediction(told.prediction)
    if told.federation:
        yield from foreseen(told.federation)
    if told.calibration:
        yield from learnt(told.calibration)
        yield f"Wrote {told.file}"
    yield from _known(told.devices, told.countries, told.networks)
    if told.basis:
        yield told.basis
    if told.left_out:
        yield told.left_out


def _known(devices: Sequence[Device], countries: Sequence[Factor], networks: Sequence[PerByte]) -> Iterator[str]:
    for device in devices:
        idle = "" if device.idle_watts is None else f", {device.idle_watts:g} W idle"
        yield f"{device.name}: {device.watts:g} W{idle} ({device.label}; {device.source})"
    for row in countries:
        ends = f"{figure(row.low_mg / 1000)}-{figure(row.high_mg / 1000)}"
        yield f"{row.country} {figure(row.mid_mg / 1000)} ({ends}) g/kWh, {row.year} ({row.label}; {row.source})"
    for one in networks:
        yield f"{one.preset}: {one.mid:g} ({one.low:g}-{one.high:g}) kWh/GB ({one.label}; {one.source})"


def _estimates(rows: Sequence[EstimateTold]) -> Iterator[str]:
    one = rows[0]
    yield (
        f"{one.topology}: {one.rounds} rounds, {one.active} active of {one.devices} devices, {one.local_epochs} local "
        f"epochs; in all {one.local_epochs_in_all} local epochs, {one.messages} messages, "
        f"{figure(one.bytes_moved / 1e6)} MB of models"
    )
    yield ""
    yield from _table(rows)
    for several in rows:
        if len(several.parts) > 1:
            yield from _breakdown(several)
    yield from _sources(rows)


def _table(rows: Sequence[EstimateTold]) -> Iterator[str]:
    head = ("devices", "device", "country", "g/kWh", "s/epoch", "train Wh", "network Wh", "Wh", "g CO2e (low-high)")
    cells = [
        (
            str(part.devices),
            part.device,
            f"{part.country} {part.factor_year}",
            figure(part.g_per_kwh.mid),
            figure(part.seconds_per_epoch),
            figure(part.train_wh.mid),
            figure(part.communication_wh.mid),
            figure(part.energy_wh.mid),
            _band(part.co2e_g),
        )
        for row in rows
        for part in row.parts
    ]
    yield from _aligned(head, cells)


def _breakdown(one: EstimateTold) -> Iterator[str]:
    yield ""
    for what, parts in (("device", one.by_device), ("country", one.by_country)):
        for part in parts:
            yield f"by {what}  {part.name}: {_band(part.energy_wh)} Wh, {_band(part.co2e_g)} g"
    yield f"together: {_band(one.energy_wh)} Wh, {_band(one.co2e_g)} g ({one.label})"


def _sources(rows: Sequence[EstimateTold]) -> Iterator[str]:
    yield ""
    if len(rows) == 1 and rows[0].communication_share is not None:
        yield f"communication is {100 * rows[0].communication_share:.3g} % of the energy, by this network figure"
    parts = [part for row in rows for part in row.parts]
    found = [f"network ({row.network}): {row.network_source}" for row in rows]
    found += [f"device {part.device} ({part.device_label}): {part.device_source}" for part in parts]
    found += [
        f"{part.country} {_band(part.g_per_kwh)} g/kWh, {part.factor_year}: {part.factor_source}" for part in parts
    ]
    yield from dict.fromkeys(found)
    yield f"label: {rows[0].label}"


def _centre(one: CentreTold) -> Iterator[str]:
    ratios = [f"{name} {value:g}" for name, value in (("PUE", one.pue), ("TUE", one.tue), ("ITUE", one.itue)) if value]
    yield ""
    yield (
        f"centralised, {one.watts:g} W for {one.hours:g} h in {one.country} {one.factor_year}, {', '.join(ratios)}: "
        f"{_band(one.energy_wh)} Wh, {_band(one.co2e_g)} g CO2e ({one.label})"
    )
    if one.cooling_wh:
        yield f"  of that cooling: {_band(one.cooling_wh)} Wh, within what PUE adds"
    yield f"  ratio: {one.facility_source}; {_band(one.g_per_kwh)} g/kWh: {one.factor_source}"
    for times in one.times:
        verdict = "the bands overlap: these figures do not tell which emits less"
        if times.low > 1:
            verdict = "more, over the whole band"
        elif times.high < 1:
            verdict = "less, over the whole band"
        yield f"  federated is {_band(times)} times that; {verdict}"


def _inverse(one: InverseTold) -> Iterator[str]:
    yield f"What would give {one.target_g:g} g:"
    yield ""
    if one.needs:
        head = ("country", "g/kWh", "device", "Wh in all", "network Wh", "J per local epoch", "s per local epoch")
        cells = [
            (
                f"{need.country} {need.factor_year}",
                figure(need.g_per_kwh),
                need.device,
                figure(need.energy_wh),
                figure(need.communication_wh),
                "not found: the network alone" if need.joules_per_epoch is None else figure(need.joules_per_epoch),
                "emits more" if need.seconds is None else figure(need.seconds),
            )
            for need in one.needs
        ]
        yield from _aligned(head, cells)
    if one.nearest is not None:
        yield f"{len(one.found)} of {one.tried} configurations print as {one.target_g:g} g" + (
            ":" if one.found else ". The nearest:"
        )
        yield from _table(one.found or (one.nearest,))
    yield ""
    yield one.note


def _prediction(one: Prediction) -> Iterator[str]:
    yield (
        f"From the first {one.first} rounds for {one.rounds}, {one.peers} peers: "
        f"{figure(one.wh_per_peer_round * 1000)} mWh a peer and round once started"
    )
    for form in one.forms:
        error = "" if form.error is None else f"; error {100 * form.error:+.1f} %"
        yield f"  {form.form}: {_milli(form.energy_wh)} mWh, {_milli(form.co2e_g)} mg CO2e ({one.label}){error}"
    yield f"  by the spread of rounds alone: {_milli(one.expected_wh)} mWh"
    if one.metered_wh and one.metered_g:
        yield f"  metered: {_milli(one.metered_wh)} mWh, {_milli(one.metered_g)} mg CO2e ({one.metered_label})"
        yield f"  the metered middle lies {'within' if one.within else 'outside'} the spread of rounds"


def foreseen(one: Foreseen) -> Iterator[str]:
    yield (
        f"{one.peers} peers, {one.rounds} rounds of {one.epochs} epochs: {_milli(one.energy_wh)} mWh, "
        f"{_milli(one.co2e_g)} mg CO2e ({one.label}), {figure(one.bytes_moved / 1e6)} MB between peers"
    )
    for name, part in one.phases_wh.items():
        if part.high:
            yield f"  {name}: {_milli(part)} mWh"
    yield f"  calibrated by {one.source}; " + (
        "its error is not known: it had too few rounds"
        if one.calibration_error is None
        else f"an estimate of that run itself was {100 * one.calibration_error:+.1f} % off"
    )
    for sentence in one.differs:
        yield f"  {sentence}: scaled, and the band with it"
    yield f"  {one.country}, {one.factor_year}: {one.factor_source}"
    if one.metered_wh and one.error is not None:
        yield f"  metered: {_milli(one.metered_wh)} mWh; error {100 * one.error:+.1f} %"


def learnt(one: Calibration) -> Iterator[str]:
    """How wrong a run's prediction from its first rounds was, and what was said before it."""
    if one.error is None:
        yield f"{one.source} has {one.rounds} rounds, too few to hold some back and learn a prediction's error."
    else:
        yield (
            f"From its first {one.first} of {one.rounds} rounds the energy of {one.source} was predicted "
            f"{100 * one.error:+.1f} % off ({one.label})."
        )
    if one.prior:
        yield f"Estimated before it ran, from {one.prior.source}: {100 * one.prior.error:+.1f} % off."


def _aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _band(spread: Spread) -> str:
    return f"{figure(spread.mid)} ({figure(spread.low)}-{figure(spread.high)})"


def _milli(spread: Spread) -> str:
    return f"{figure(spread.mid * 1000)} ({figure(spread.low * 1000)}-{figure(spread.high * 1000)})"
