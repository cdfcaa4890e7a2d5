"""The bins of a reliability diagram: their error is that of other people's code."""

from __future__ import annotations

import pytest
import torch

from mentee.metrics import classification_scores, reliability


@pytest.mark.parametrize("seed", range(3))
def test_the_calibration_error_of_the_bins_is_that_of_torchmetrics(seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    logits, labels = (
        3 * torch.randn(200, 5, generator=draw),
        torch.randint(5, (200,), generator=draw),
    )
    confidence, predicted = logits.softmax(1).max(1)
    bins = reliability(confidence, predicted == labels)
    assert sum(each["examples"] for each in bins) == 200
    error = (
        sum(each["examples"] * abs(each["accuracy"] - each["confidence"]) for each in bins) / 200
    )
    assert error == pytest.approx(classification_scores(logits, labels)["ece"], abs=1e-5)


def test_ends_belong_to_the_outermost_bins() -> None:
    bins = reliability(torch.tensor([0.0, 1.0]), torch.tensor([False, True]), bins=4)
    assert [(each["low"], each["high"]) for each in bins] == [(0.0, 0.25), (0.75, 1.0)]
