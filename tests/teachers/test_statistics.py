"""Statistics of what a teacher says: maps and tokens by their means."""

import numpy as np
import pytest
import torch

from mentee.errors import MenteeError
from mentee.teachers.statistics import measure
from mentee.types import Batch


def batches():
    for start in range(0, 6, 2):
        rows = torch.arange(start, start + 2)
        yield Batch(rows.float()[:, None], rows, rows)


def says(batch):
    x = batch.inputs
    wide = torch.cat([x, x.square()], 1)
    return {
        "vectors": wide,
        "tokens": torch.stack([wide - 1, wide + 1], 1),
        "maps": wide[:, :, None, None] + torch.tensor([[-1.0, 1.0], [2.0, -2.0]]),
    }


def test_everything_is_averaged_to_vectors_first():
    found = measure(says, batches, torch.device("cpu"))
    x = np.arange(6.0)
    wanted = np.stack([x, x**2], 1)
    for name in ("vectors", "tokens", "maps"):
        np.testing.assert_allclose(found[name].mean, wanted.mean(0), rtol=1e-6)
        np.testing.assert_allclose(found[name].std, wanted.std(0), rtol=1e-6)


def test_only_what_is_named_is_measured():
    """A record has columns of many thousand numbers beside the vectors that are asked for."""
    found = measure(says, batches, torch.device("cpu"), ["maps", "not said"])
    assert list(found) == ["maps"]


def test_without_examples_nothing_is_measured():
    with pytest.raises(MenteeError, match="no examples to measure its vectors on"):
        measure(says, None, torch.device("cpu"))
