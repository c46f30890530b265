"""Peers reach each other: ZeroMQ with CURVE, or a dictionary in tests."""
