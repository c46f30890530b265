"""Runs side by side: grouped by what they were told to do, and which differences are more than seeds make."""

from peerage.comparison.groups import Difference, Group, Run, differences, grouped
from peerage.comparison.measures import MEASURES, Measure
from peerage.comparison.page import page
from peerage.comparison.reading import read_runs
from peerage.comparison.words import document, in_words

__all__ = [
    "MEASURES",
    "Difference",
    "Group",
    "Measure",
    "Run",
    "differences",
    "document",
    "grouped",
    "in_words",
    "page",
    "read_runs",
]
