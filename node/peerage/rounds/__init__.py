"""A peer's rounds as values: events in, effects out; no clock, no socket, no file."""
