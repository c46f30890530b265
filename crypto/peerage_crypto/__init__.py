"""Exact computation for Peerage: bytes and integers; no peers, no model, no I/O."""
