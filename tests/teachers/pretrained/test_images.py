"""Images of any size on their way to a network."""

import pytest
import torch

from mentee.models import InputContract
from mentee.teachers.pretrained.batching import embed_images, groups

CONTRACT = InputContract((0.5, 0.25, 0.0), (0.5, 0.25, 1.0))


def means(images):
    return images.mean((2, 3))


@pytest.mark.parametrize("size", [None, 8])
def test_bytes_are_normalized_and_gray_becomes_three_channels(size):
    color = torch.tensor([255, 51, 0], dtype=torch.uint8).expand(8, 8, 3)
    gray = torch.full((8, 8, 1), 51, dtype=torch.uint8)
    said = embed_images(means, CONTRACT, size=size)([color, gray, color])
    first, second = [1.0, -0.2, 0.0], [-0.6, -0.2, 0.2]
    torch.testing.assert_close(said, torch.tensor([first, second, first]))


def test_sizes_may_differ_where_they_are_not_resized():
    images = [torch.full((n, 2 * n, 3), n, dtype=torch.uint8) for n in (4, 9, 4)]
    said = embed_images(means, InputContract((0.0,), (1.0,)), size=None)(images)
    torch.testing.assert_close(said[:, 0] * 255, torch.tensor([4.0, 9.0, 4.0]))
    assert groups(images, None) == [[0, 2], [1]]


def test_one_channel_is_the_mean_of_three():
    color = torch.tensor([30, 60, 90], dtype=torch.uint8).expand(1, 4, 4, 3)
    said = embed_images(means, InputContract((0.0,), (1.0,)), size=None, channels=1)(color)
    torch.testing.assert_close(said * 255, torch.tensor([[60.0]]))


def test_only_so_many_are_read_at_once():
    seen = []

    def read(images):
        seen.append(len(images))
        return means(images)

    pixels = torch.zeros(5, 6, 6, 3, dtype=torch.uint8)
    assert embed_images(read, CONTRACT, size=6, batch=2)(pixels).shape == (5, 3)
    assert seen == [2, 2, 1]
