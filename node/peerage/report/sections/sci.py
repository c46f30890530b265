"""Software carbon intensity after ISO/IEC 21031, one federated round as the functional unit."""

from peerage.report import charts, energy
from peerage.report.amounts import scaled
from peerage.report.html import Html, el, folded, join, table
from peerage.report.reading import Told


def body(told: Told) -> Html:
    rounds = energy.sci(told)
    if not rounds:
        return el("p", "No emission record could be read: there is no score.", class_="none")
    rows = [
        charts.Bar(f"round {n}", one.grams, one.operational_g[0] + (one.embodied_g or 0),
                   one.operational_g[2] + (one.embodied_g or 0), scaled(one.grams, "g"), 4)
        for n, one in rounds.items()
    ]  # fmt: skip
    lines = [
        (str(n), scaled(one.grams, "g"), scaled(one.operational_g[0], "g"), scaled(one.operational_g[2], "g"),
         scaled(one.energy_wh, "Wh"), "excluded" if one.embodied_g is None else scaled(one.embodied_g, "g"))
        for n, one in rounds.items()
    ]  # fmt: skip
    head = ("round", "SCI", "operational, low", "operational, high", "energy", "M")
    plot = charts.bars("SCI per round", "Grams of CO2e per federated round, with the operational band.", rows[:60])
    data = table("SCI = (E · I + M) per round", head, lines)
    return join([
        el("figure", el("figcaption", "SCI per round, g CO2e"), plot, folded("The figures as a table", data)),
        el("ul", *(el("li", sentence) for sentence in disclosures(told))),
    ])  # fmt: skip


def disclosures(told: Told) -> list[str]:
    """What the standard asks whoever states a score to say with it."""
    asked = told.asked
    embodied = "M, embodied emissions: excluded, because nobody stated TE and EL (--embodied-g, --lifespan-years)."
    if asked.embodied_g is not None and asked.lifespan_years:
        embodied = (f"M = TE · (TiR/EL) · (RR/ToR) with TE = {asked.embodied_g:g} g a host and EL = "
                    f"{asked.lifespan_years:g} years as stated by whoever made this page (assumed), TiR the record's "
                    "time, RR/ToR the share of the host that the peer declared.")  # fmt: skip
    return [
        "R, the functional unit: one federated round. A round of 0, and work after the last one, stand by themselves.",
        (
            "Boundary: the peers' processes on their hosts, idle and reserved power included. Not included: network, "
            "chain nodes, launcher, fans, power supply; PUE is taken as 1."
        ),
        "E: modelled, or attributed where a counter was readable; per component under “How do you know?”.",
        "I: location-based yearly average of the grid. Offsets and market-based factors have no place in this score.",
        embodied,
    ]
