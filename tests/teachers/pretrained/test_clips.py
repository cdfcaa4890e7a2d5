"""Clips of one length are read together, and none is padded for another's sake."""

import pytest
import torch

from mentee.teachers.pretrained.batching import by_length, embed_clips


@pytest.mark.parametrize("batch", [None, 1, 2])
def test_each_clip_keeps_its_place_and_its_length(batch):
    seen = []

    def read(clips):
        seen.append(tuple(clips.shape))
        return torch.stack([clips.sum(1), torch.full((len(clips),), float(clips.shape[1]))], 1)

    clips = [torch.full((n,), float(i)) for i, n in enumerate((5, 3, 5, 8, 5))]
    said = embed_clips(read, batch=batch)(clips)
    assert said.tolist() == [[0, 5], [3, 3], [10, 5], [24, 8], [20, 5]]
    assert max(b for b, _ in seen) == (batch or 3)


def test_short_clips_are_filled_with_zeros_at_the_end():
    said = embed_clips(lambda clips: clips, shortest=4)([torch.ones(2), torch.ones(4)])
    assert said.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]


def test_rows_by_length():
    assert by_length([]) == {}
    assert by_length([torch.ones(1), torch.ones(2), torch.ones(1)]) == {1: [0, 2], 2: [1]}
