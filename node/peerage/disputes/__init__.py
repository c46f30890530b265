"""Carrying disputes to a chain: what the audit found becomes calls, and what the chain decided becomes words."""
