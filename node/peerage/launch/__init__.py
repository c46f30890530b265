"""Many peers on one machine: starting, watching, ending, and what is left afterwards."""
