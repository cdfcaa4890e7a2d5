"""What every teacher checks of what goes in and comes out, and its fingerprint."""

import pytest
import torch

from mentee.errors import DataError, MenteeError
from mentee.teachers.pretrained.embedder import ReadyEmbedder, check_kind, fingerprint_of


def lengths(**changed):
    settings = {
        "name": "lengths",
        "kind": "audio",
        "sample_rate": 100,
        "width": 1,
        "vectors": lambda clips: torch.tensor([[float(len(clip))] for clip in clips]),
        "weights": {"a": torch.ones(2)},
        "contract": {},
    }
    return ReadyEmbedder(**{**settings, **changed})


def test_vectors_come_without_gradients():
    weight = torch.ones(1, requires_grad=True)
    it = lengths(vectors=lambda clips: torch.stack([clip.sum() * weight for clip in clips]))
    said = it.pooled([torch.ones(3)])
    assert said.tolist() == [[3.0]]
    assert not said.requires_grad


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        (["text"], "reads audio, each a float32 tensor .*; got <class 'str'>"),
        ([torch.zeros(0)], r"not empty; got torch.float32 \[0\]"),
        ([torch.zeros(2, 3)], r"got torch.float32 \[2, 3\]"),
        ("text", "reads a batch of audio examples; got one str"),
    ],
)
def test_other_contents_are_refused(contents, said):
    with pytest.raises(DataError, match=said):
        lengths().pooled(contents)


def test_other_vectors_than_promised_are_refused():
    with pytest.raises(MenteeError, match=r"lengths gave \[1, 1\]; expected \[1, 2\]"):
        lengths(width=2).pooled([torch.zeros(3)])
    wrong = lengths(sequences=lambda clips: torch.zeros(1, 4, 3))
    with pytest.raises(MenteeError, match=r"gave \[1, 4, 3\]; expected \[1, 4, 1\]"):
        wrong.frames([torch.zeros(3)])


def test_the_fingerprint_follows_names_shapes_and_bits():
    one = fingerprint_of({"a": torch.ones(2), "b": b"x"})
    assert one == fingerprint_of({"b": b"x", "a": torch.ones(2)})
    others = [
        {"a": torch.ones(2), "b": b"y"},
        {"a": torch.ones(2, 1), "b": b"x"},
        {"c": torch.ones(2), "b": b"x"},
        {"a": torch.tensor([1.0, 1.0 + 2**-23]), "b": b"x"},
    ]
    assert len({one, *map(fingerprint_of, others)}) == 5
    assert lengths().fingerprint() == fingerprint_of({"a": torch.ones(2)})


def test_an_unknown_kind_is_refused():
    with pytest.raises(MenteeError, match="no kind of data 'sound'"):
        check_kind("sound", "mine")
