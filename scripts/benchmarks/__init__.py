"""What scripts/bench and scripts/attack_lab run; a package, because other distributions bring a `benchmarks` too."""
