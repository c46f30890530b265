"""One peer's energy and CO2e, metered by phase, with a label and a band on every number."""
