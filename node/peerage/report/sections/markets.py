"""Location-based and market-based CO2e apart, and offsets on a line of their own: nothing is netted."""

from peerage.report import energy
from peerage.report.amounts import UJ_PER_WH, co2e, co2e_band, scaled
from peerage.report.html import Html, el, join, table
from peerage.report.reading import Told

NOT_GIVEN = "not given"


def body(told: Told) -> Html:
    whole, asked = energy.whole(told), told.asked
    location = (co2e(whole.co2e), co2e_band(whole.co2e), whole.co2e_label.value, "country factors of the records")
    known = location if told.records else ("unknown", "", "", "no emission record could be read")
    market: tuple[str, ...] = (NOT_GIVEN, "", "", "no contract's factor was stated (--market-factor)")
    if asked.market_g_per_kwh is not None and told.records:
        ends = [x / UJ_PER_WH / 1000 * asked.market_g_per_kwh for x in (whole.energy.low, whole.energy.high)]
        mid = whole.energy.mid / UJ_PER_WH / 1000 * asked.market_g_per_kwh
        source = f"{asked.market_g_per_kwh:g} g/kWh, {asked.market_source or 'source not stated'}"
        market = (scaled(mid, "g"), f"{scaled(ends[0], 'g')} to {scaled(ends[1], 'g')}", "assumed", source)
    offset: tuple[str, ...] = (NOT_GIVEN, "", "", "no offset was stated (--offset-g)")
    if asked.offset_g is not None:
        offset = (
            scaled(asked.offset_g, "g"),
            "",
            "assumed",
            f"{asked.offset_source or 'source not stated'}; by whoever made this page, not checked",
        )
    rows = [("location-based", *known), ("market-based", *market), ("offsets, not subtracted", *offset)]
    note = "The three lines are different quantities. None is subtracted from another."
    return join([table(note, ("line", "CO2e", "low to high", "label", "source"), rows, words=3)
                 , el("p", "Location-based: the average factor of the grid where the host stands. Market-based: the "
                           "factor of the contract that somebody holds.", class_="soft")])  # fmt: skip
