"""Measures for classes that are not alike, against scikit-learn and against counting pairs."""

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

from peerage.learning.data import Dataset
from peerage.learning.quality import auroc, quality, quality_of

NAMES = ("a", "b", "c")


def drawn(seed: int, rows: int, counts: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(seed)
    labels = draws.choice(len(counts), rows, p=counts)
    return draws.normal(size=(rows, len(counts))) + 1.2 * np.eye(len(counts))[labels], labels


@pytest.mark.parametrize(("counts", "names"), [((0.8, 0.15, 0.05), NAMES), ((0.9, 0.1), ("no", "yes"))])
@pytest.mark.parametrize("seed", range(3))
def test_it_says_what_scikit_learn_says(counts: tuple[float, ...], names: tuple[str, ...], seed: int) -> None:
    logits, labels = drawn(seed, 300, counts)
    found = quality(logits, labels, names)
    said, shares = logits.argmax(axis=1), torch.softmax(torch.from_numpy(logits), 1).numpy()
    binary = len(names) == 2
    assert found.macro_f1 == pytest.approx(f1_score(labels, said, average="macro"), abs=1e-12)
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, said), abs=1e-12)
    theirs = roc_auc_score(labels, shares[:, 1] if binary else shares, multi_class="ovr", average="macro")
    assert found.auroc == pytest.approx(theirs, abs=1e-12)
    sizes = np.bincount(labels)
    assert found.imbalance == sizes.max() / sizes.min()


def test_the_area_counts_pairs_and_ties_by_half() -> None:
    draws = np.random.default_rng(4)
    scores, true = draws.integers(0, 6, 80).astype(float), draws.random(80) < 0.3
    pairs = [(p > n) + (p == n) / 2 for p in scores[true] for n in scores[~true]]
    assert auroc(scores, true) == sum(pairs) / len(pairs)
    assert auroc(scores, np.ones(80, bool)) is None


def test_who_never_says_ill_is_accurate_and_no_good() -> None:
    labels = np.array([0] * 95 + [1] * 5)
    found = quality(np.tile([5.0, 0.0], (100, 1)), labels, ("well", "ill"))
    assert (labels == 0).mean() == 0.95
    assert (found.balanced_accuracy, found.auroc, found.by_class["ill"].recall) == (0.5, 0.5, 0.0)
    assert found.macro_f1 == pytest.approx(f1_score(labels, np.zeros(100), average="macro"))


def test_saturated_probabilities_still_have_an_order() -> None:
    """exp(-800) is zero in doubles, and two rows that are far apart would count as a tie."""
    logits = np.array([[800.0, 0.0], [900.0, 0.0], [1000.0, 0.0]])
    assert quality(logits, np.array([1, 0, 0]), ("no", "yes")).auroc == 1.0


def test_logits_that_are_no_numbers_are_wrong_and_last() -> None:
    logits = np.array([[2.0, 0.0], [np.nan, 0.0], [0.0, np.inf], [0.0, 1.0]])
    found = quality(logits, np.array([0, 0, 1, 1]), ("no", "yes"))
    assert (found.by_class["no"].recall, found.by_class["yes"].recall) == (0.5, 0.5)
    assert found.by_class["yes"].auroc == 0.625  # the rows without a number tie at the bottom: 2.5 of 4 pairs


def test_a_class_without_rows_has_no_recall_and_is_in_no_mean() -> None:
    found = quality(np.eye(3)[[0, 1, 1]], np.array([0, 1, 1]), NAMES)
    assert found.by_class["c"].recall is None
    assert (found.macro_f1, found.balanced_accuracy, found.auroc, found.imbalance) == (1.0, 1.0, 1.0, 2.0)


def test_of_a_model_in_pieces_and_in_its_own_mode() -> None:
    rows = Dataset(np.eye(2, dtype=np.float32)[[0, 1] * 3000], np.array([0, 1] * 3000), ("a", "b"))
    model = torch.nn.Sequential(torch.nn.Linear(2, 2, bias=False), torch.nn.Dropout(0.9))
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(2))
    assert quality_of(model, rows).macro_f1 == 1.0
    assert model.training
