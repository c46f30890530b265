"""Provenance outside the ledger: files to read, what a peer states of itself, answers in words, other registries."""
