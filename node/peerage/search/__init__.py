"""Which settings to train with: many short federations, of which the better half goes on (`peerage search`)."""

from peerage.search.plan import Axis, Plan, Rung, Trial, axis_of, plan_of
from peerage.search.searching import Found, search
from peerage.search.words import beginning, in_words

__all__ = ["Axis", "Found", "Plan", "Rung", "Trial", "axis_of", "beginning", "in_words", "plan_of", "search"]
