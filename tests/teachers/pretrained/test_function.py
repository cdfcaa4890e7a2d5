"""A function of your own as a teacher."""

import numpy as np
import pytest
import torch

from mentee.errors import MenteeError
from mentee.teachers.pretrained import embedder


def loudness(clips):
    return np.array([[float(clip.abs().max()), float(clip.square().mean())] for clip in clips])


def test_a_function_of_clips_becomes_a_teacher():
    it = embedder(loudness, name="loudness", kind="audio", sample_rate=8000)
    said = it.pooled([torch.ones(3), torch.full((5,), 0.5)])
    assert said.tolist() == [[1.0, 1.0], [0.5, 0.25]]
    assert (it.width, it.sample_rate, it.kind) == (2, 8000, "audio")
    with pytest.raises(MenteeError, match="no frames"):
        it.frames([torch.ones(3)])


def test_frames_of_clips_of_any_length_are_averaged():
    def halves(clips):
        return torch.stack([clip.reshape(-1, 2) for clip in clips])

    it = embedder(halves, name="halves", kind="audio", sample_rate=100)
    clips = [torch.arange(4.0), torch.arange(6.0)]
    assert it.pooled(clips).tolist() == [[1.0, 2.0], [2.0, 3.0]]
    assert it.frames(clips[:1]).tolist() == [[[0.0, 1.0], [2.0, 3.0]]]


def test_a_function_of_images_sees_them_one_by_one_or_together():
    def mean(images):
        return [[float(image.float().mean())] for image in images]

    it = embedder(mean, name="mean", kind="image", width=1)
    pixels = torch.full((2, 4, 4, 3), 7, dtype=torch.uint8)
    assert it.pooled(pixels).tolist() == [[7.0], [7.0]]


def test_the_fingerprint_follows_name_and_version():
    def made(name="a", version="1"):
        it = embedder(loudness, name=name, kind="audio", sample_rate=8000, version=version)
        return it.fingerprint()

    assert made() == made()
    assert len({made(), made(name="b"), made(version="2")}) == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "sound"}, "no kind of data 'sound'"),
        ({"kind": "audio"}, "audio has a rate, other kinds have none; got audio, sample_rate=None"),
        ({"kind": "text", "sample_rate": 8000}, "got text, sample_rate=8000"),
    ],
)
def test_kind_and_rate_have_to_fit(options, said):
    with pytest.raises(MenteeError, match=said):
        embedder(loudness, name="mine", **options)


def test_what_is_no_batch_of_vectors_is_refused():
    with pytest.raises(MenteeError, match=r"mine gave \[3\] for 1 examples; expected \[1, d\]"):
        embedder(lambda texts: [1, 2, 3], name="mine", kind="text")
