"""What a peer learns from and how: data, models, training, and the direction in which a round is scored."""
