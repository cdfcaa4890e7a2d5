"""Every score against scikit-learn, or a loop."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import sklearn.metrics
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mentee.errors import DataError
from mentee.metrics import classification_scores, multilabel_scores

Floats = npt.NDArray[np.float64]


def softmax(logits: Floats) -> Floats:
    raised = np.exp(logits - logits.max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)


def calibration_error(chances: Floats, labels: npt.NDArray[np.int64], bins: int = 15) -> float:
    """Σ (share of the bin) · |accuracy − confidence|, bins of equal width."""
    confidence, right = chances.max(1), chances.argmax(1) == labels
    error = 0.0
    for number in range(bins):
        low, high = number / bins, (number + 1) / bins
        within = (confidence > low) & (confidence <= high)
        if within.any():
            gap = abs(right[within].mean() - confidence[within].mean())
            error += within.mean() * gap
    return error


@given(st.integers(2, 12), st.integers(1, 60), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_scores_of_one_class_an_example(k: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(0, 2, (n, k)), rng.integers(0, k, n)
    found = classification_scores(torch.from_numpy(logits).float(), torch.from_numpy(labels))
    chances = softmax(logits)
    assert found["accuracy"] == pytest.approx(
        sklearn.metrics.accuracy_score(labels, logits.argmax(1))
    )
    assert found["loss"] == pytest.approx(
        sklearn.metrics.log_loss(labels, chances, labels=range(k)),
        rel=1e-4,
        abs=1e-6,  # a sure prediction's loss is a difference of float32 numbers near 1
    )
    assert found["ece"] == pytest.approx(calibration_error(chances, labels), abs=1e-5)
    assert ("top5" in found) == (k > 5)
    if k > 5:
        best = np.argsort(-logits, axis=1)[:, :5]
        assert found["top5"] == pytest.approx(
            np.mean([y in row for y, row in zip(labels, best, strict=True)])
        )


@given(st.integers(1, 6), st.booleans(), st.sampled_from([0.5, 0.4, 0.9]), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_scores_of_several_classes_with_unknown_labels(
    k: int, masked: bool, threshold: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    n = 40
    logits = rng.normal(0, 2, (n, k)).round(1)  # some are equal
    labels = (rng.random((n, k)) < 0.3).astype(np.float32)
    mask = rng.random((n, k)) < 0.7 if masked else np.ones((n, k), bool)
    labels[~mask] = rng.integers(0, 2, (~mask).sum())  # what is unknown must not count
    if k > 1:
        labels[:, 0] = 0.0  # no positive example: the class is left out of the mean
    expected: dict[str, list[float]] = {"map": [], "auroc": [], "f1": []}
    for column in range(k):
        known = mask[:, column]
        truth, chance = labels[known, column], 1 / (1 + np.exp(-logits[known, column]))
        if 0 < truth.sum() < len(truth):
            positive, negative = chance[truth == 1], chance[truth == 0]
            expected["map"].append(
                np.mean([(positive >= each).sum() / (chance >= each).sum() for each in positive])
            )
            gaps = positive[:, None] - negative
            expected["auroc"].append(((gaps > 0) + (gaps == 0) / 2).mean())
            expected["f1"].append(sklearn.metrics.f1_score(truth, chance > threshold))
    found = multilabel_scores(
        torch.from_numpy(logits).float(),
        torch.from_numpy(labels),
        torch.from_numpy(mask) if masked else None,
        threshold=threshold,
    )
    assert found == pytest.approx(
        {name: np.mean(each) for name, each in expected.items()}, abs=1e-5
    )


def test_nothing_to_score_is_said() -> None:
    with pytest.raises(DataError, match="there are no examples to score"):
        classification_scores(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))
    with pytest.raises(DataError, match="no class has both positive and negative examples"):
        multilabel_scores(torch.zeros(3, 2), torch.ones(3, 2))


def test_half_precision_is_scored_in_full() -> None:
    logits, labels = torch.randn(50, 10), torch.randint(10, (50,))
    rounded = logits.bfloat16()
    assert classification_scores(rounded, labels) == classification_scores(rounded.float(), labels)
