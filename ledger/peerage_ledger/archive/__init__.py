"""The neutral record of a chain: written during a run, read back believing nothing."""
