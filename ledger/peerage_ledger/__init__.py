"""What the chain remembers and how we ask it."""
