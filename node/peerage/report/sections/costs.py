"""What hiding each update cost, what writing to the chain cost, and what the network may have used beyond the hosts."""

from peerage.emissions import network
from peerage.launch.overhead import in_words
from peerage.report import energy
from peerage.report.amounts import co2e, co2e_band, energy_band, percent, size
from peerage.report.amounts import energy as energy_of
from peerage.report.html import Html, el, join, table
from peerage.report.reading import Told


def body(told: Told) -> Html:
    if not told.records:
        return el("p", "Without emission records these costs are unknown.", class_="none")
    whole = energy.whole(told).energy.mid
    rows: list[tuple[str, ...]] = []
    for name, phases in (("privacy", energy.PRIVACY), ("ledger", energy.LEDGER)):
        cost = energy.cost(told, phases)
        amount = cost.amount
        rows.append((
            f"{name} ({', '.join(phases)})", energy_of(amount.energy), energy_band(amount.energy),
            percent(amount.energy.mid / whole if whole else None), co2e(amount.co2e), co2e_band(amount.co2e),
            amount.co2e_label.value, f"{cost.seconds:.2f} s", size(cost.bytes_out),
        ))  # fmt: skip
    head = ("what", "energy", "low to high", "of all", "CO2e", "low to high", "label", "time of all peers", "sent")
    return join([
        table("Phases that would not be there without masks, or without a chain", head, rows),
        *(el("p", sentence) for sentence in _sentences(told)),
        *_network(told),
    ])  # fmt: skip


def _network(told: Told) -> list[Html]:
    """All published figures side by side: whoever picks one picks the answer."""
    moved = energy.moved(told)
    rows = [
        (one.name, f"{one.kwh_per_gb:g} kWh/GB", energy_of(one.energy(moved)), energy_band(one.energy(moved)),
         one.label.value, one.source)
        for one in network.PRESETS.values()
    ]  # fmt: skip
    head = ("figure", "factor", "energy", "low to high", "label", "source")
    said = (
        f"The peers sent {size(moved)} to each other, by their own records. What a network uses to carry them is beyond"
        " the hosts and in no sum of this page. Published figures differ by a thousand; on one machine it is nothing."
    )
    return [el("p", said), table("Energy in the network, by published figures per byte", head, rows)]


def _sentences(told: Told) -> list[str]:
    said = [("Masks also make messages of the exchange larger: those bytes cannot be told apart there, so the cost of "
            "privacy is a lower bound.")]  # fmt: skip
    if told.summary:
        ledger = told.summary.ledger
        count = "an unknown number of" if ledger.transactions is None else f"{ledger.transactions}"
        gas = "unknown" if ledger.gas is None else f"{ledger.gas:,}".replace(",", " ")
        said.append(f"The ledger ({ledger.engine}) took {count} transactions; gas: {gas}. What the chain's own nodes "
                    "consume is not in the peers' energy; a devnet on the host is in the host's “other”.")  # fmt: skip
        if told.summary.exchange == "plain":
            said.append("The exchange was plain: nothing was masked, so privacy cost nothing and hid nothing.")
        if told.summary.overhead is not None:
            said.append(in_words(told.summary.overhead))
    return said
