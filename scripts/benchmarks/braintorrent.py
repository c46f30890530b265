"""BrainTorrent by its paper's algorithm 1, one peer after the other: the yardstick without rounds (arXiv 1905.06731).

A peer drawn at random asks who has something newer than it has merged, pulls those models, takes the mean by rows over
them and its own, and fine-tunes. So many fine-tunes in all as rounds of everybody would have.
"""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peerage.config import Federation


def play(federation: Federation) -> tuple[float, float]:
    """Test accuracy at the end: the mean of the peers' own models, and the mean model's."""
    import numpy as np

    from benchmarks.patterns import site
    from peerage.learning.model import from_vector, to_vector
    from peerage.learning.trainer import draw_seed, evaluate, settings_of, train
    from peerage.plain.rules import merge_rule_of

    splits, parts, model = site(federation)
    seed, n, settings = federation.seed, federation.peers, settings_of(federation.training)
    rule, rows = merge_rule_of(federation), [len(part) for part in parts]
    first = to_vector(model)
    models, versions = [first] * n, [0] * n
    merged = [[0] * n for _ in range(n)]  # [i][j]: the version of j that i merged last
    draws = np.random.default_rng([seed, *b"braintorrent"])

    def tune(peer: int) -> None:
        from_vector(model, models[peer])
        versions[peer] += 1
        train(model, parts[peer], settings, draw_seed(seed, peer, versions[peer]))
        models[peer], merged[peer][peer] = to_vector(model), versions[peer]

    def accuracy(vector: np.ndarray) -> float:
        from_vector(model, vector)
        return evaluate(model, splits.test).accuracy

    for peer in range(n):
        tune(peer)
    for turn in range((federation.rounds - 1) * n):
        i = int(draws.integers(n))
        newer = [j for j in range(n) if j != i and versions[j] > merged[i][j]]
        taken = sorted([i, *newer])
        models[i] = rule([models[j] for j in taken], [rows[j] for j in taken], taken.index(i), turn + 1)
        for j in newer:
            merged[i][j] = versions[j]
        tune(i)
    return fmean(map(accuracy, models)), accuracy(rule(models, rows, None, 1))
