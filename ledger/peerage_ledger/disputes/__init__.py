"""Disputes: who broke a rule that a chain can decide, which call proves it, and which call answers a question."""
