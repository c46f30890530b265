"""Robust rules: one vector out of many, of which some are lies. Pure, and the same bits on every machine."""
