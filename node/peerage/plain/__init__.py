"""Plain exchange: BrainTorrent as published, for peers that trust each other."""
