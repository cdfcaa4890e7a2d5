"""The margin: the mean of a channel's negative entries, over all batches seen."""

import numpy as np
import torch

from mentee.representations import margin_relu


def test_it_is_the_mean_of_the_negatives_of_all_batches_so_far():
    _, side = margin_relu((2, 4, 4), (3, 4, 4))
    side.double()
    batches = [torch.randn(b, 3, 4, 4, dtype=torch.float64) for b in (5, 1, 3)]
    for number, batch in enumerate(batches):
        output = side(side.precompute(batch))
        seen = torch.cat(batches[: number + 1]).transpose(0, 1).flatten(1).numpy()
        margins = np.array([channel[channel < 0].mean() for channel in seen])
        expected = np.maximum(batch.numpy(), margins[:, None, None])
        np.testing.assert_allclose(output.numpy(), expected, rtol=1e-9)


def test_in_evaluation_nothing_is_measured():
    _, side = margin_relu((2, 4, 4), (3, 4, 4))
    side.eval()
    x = torch.randn(5, 3, 4, 4)
    torch.testing.assert_close(side(side.precompute(x)), x.clamp(min=0))
    assert not side.count.any()


def test_behind_a_relu_it_is_zero():
    _, side = margin_relu((2, 4, 4), (3, 4, 4))
    x = torch.randn(5, 3, 4, 4).relu()
    assert torch.equal(side(side.precompute(x)), x)
    assert not side.mean.any()


def test_it_is_kept_with_the_heads():
    _, side = margin_relu((2, 4, 4), (3, 4, 4))
    side(side.precompute(torch.randn(5, 3, 4, 4)))
    _, again = margin_relu((2, 4, 4), (3, 4, 4))
    again.load_state_dict(side.state_dict())
    assert torch.equal(again.mean, side.mean)
    assert side.mean.all()
