"""Where and when the same run would have emitted less: regions with their factors, and windows in a forecast.

Nothing here asks a network. `regions` reads tables, `elsewhere` moves a run's energy to them, `trace` reads intensity
over time, `window` finds the best stretch in it, `facility` has the ratios of data centres with their definitions.
"""

from peerage.adviser.elsewhere import Move, move, moves
from peerage.adviser.facility import carbon_usage, green_share, itue, tue
from peerage.adviser.regions import Region, catalogue, find, parse_table, shipped
from peerage.adviser.trace import IntensitySource, JsonFile, Kind, Trace, parse_trace
from peerage.adviser.window import Amount, Window, best_window, total

__all__ = [
    "Amount",
    "IntensitySource",
    "JsonFile",
    "Kind",
    "Move",
    "Region",
    "Trace",
    "Window",
    "best_window",
    "carbon_usage",
    "catalogue",
    "find",
    "green_share",
    "itue",
    "move",
    "moves",
    "parse_table",
    "parse_trace",
    "shipped",
    "total",
    "tue",
]
