"""All targets by name."""

from fuzz import agreed, arrays, artefacts, chain, evidence, history, peers, relayed, sessions, settings, tables, wire
from fuzz.target import TARGETS

__all__ = ["MODULES", "TARGETS"]

MODULES = (agreed, arrays, artefacts, chain, evidence, history, peers, relayed, sessions, settings, tables, wire)
