"""Finding a teacher by name: unknown names and options, missing packages."""

import importlib.util

import pytest

from mentee.errors import MenteeError
from mentee.teachers.pretrained import EMBEDDERS, GENERAL, find_embedder


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("musicn", "there is no teacher 'musicn'; did you mean 'musicnn'"),
        ("onx:a.onnx", "others: timm:NAME, transformers:NAME, onnx:NAME, network:NAME"),
        ("network:", "there is no teacher 'network:'"),
        ("network:resnet8-cifar", "missing a required argument: 'weights'"),
    ],
)
def test_an_unknown_name_is_answered_with_the_close_ones(name, said):
    with pytest.raises(MenteeError, match=said):
        find_embedder(name)


OWN_OPTIONS = [*EMBEDDERS, *(f"{way}:it" for way in GENERAL if way != "network")]


@pytest.mark.parametrize("name", OWN_OPTIONS)
def test_an_unknown_option_is_refused_before_anything_is_loaded(name):
    with pytest.raises(MenteeError, match=f"{name} has no option 'wdith'"):
        find_embedder(name, wdith=3)


@pytest.mark.parametrize("name", EMBEDDERS)
def test_a_missing_package_is_named_with_its_one_line(name, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    with pytest.raises(MenteeError, match=f"{name} needs .* not installed: pip install "):
        find_embedder(name)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("aisfx", {"hop": 0.0}, r"hop is a share of a block, in \(0, 1\], not 0"),
        ("pesto", {"hop": 0.0}, "hop is a number of seconds"),
        ("pesto", {"pooling": "max"}, "pooling has no 'max'; did you mean 'mean'"),
        ("pesto", {"layer": "feature"}, "layer has no 'feature'; did you mean 'features'"),
        ("musicnn", {"layer": "pool"}, "layer has no 'pool'; did you mean 'pools'"),
        ("efficientnet-lite0", {"size": 16}, "at least 32 pixels a side, not 16"),
    ],
)
def test_an_option_out_of_range_is_refused(name, options, said):
    with pytest.raises(MenteeError, match=said):
        find_embedder(name, **options)
