"""The bins of a reliability diagram: their error is that of other people's code."""

from __future__ import annotations

import pytest
import torch

from mentee.metrics import classification_scores, reliability
from mentee.metrics.calibration import calibration_error

OF_TORCHMETRICS = [0.522781252861023, 0.5842753052711487, 0.5887238383293152]
"""What version 1.9 of it computes of the same draws."""


@pytest.mark.parametrize(("seed", "expected"), [*enumerate(OF_TORCHMETRICS)])
def test_the_calibration_error_of_the_bins_is_that_of_torchmetrics(
    seed: int, expected: float
) -> None:
    draw = torch.Generator().manual_seed(seed)
    logits, labels = (
        3 * torch.randn(200, 5, generator=draw),
        torch.randint(5, (200,), generator=draw),
    )
    confidence, predicted = logits.softmax(1).max(1)
    bins = reliability(confidence, predicted == labels)
    assert sum(each["examples"] for each in bins) == 200
    assert calibration_error(bins) == pytest.approx(expected, abs=1e-6)
    assert classification_scores(logits, labels)["ece"] == calibration_error(bins)


def test_ends_belong_to_the_outermost_bins() -> None:
    bins = reliability(torch.tensor([0.0, 1.0]), torch.tensor([False, True]), bins=4)
    assert [(each["low"], each["high"]) for each in bins] == [(0.0, 0.25), (0.75, 1.0)]
