"""Options by name: those there are, of the right type, or one clear error."""

from pathlib import Path

import pytest

from mentee.errors import MenteeError
from mentee.teachers.pretrained import EMBEDDERS, GENERAL, find_embedder
from mentee.teachers.pretrained.options import checked_options


def build(
    name: str, *, size: int | None = None, mean: tuple[float, ...] = (0.0,), **more: object
) -> None:
    """It takes any further option."""


def test_what_is_given_comes_back_as_the_function_wants_it():
    said = checked_options("it", build, {"size": 3, "mean": [1, 2.5], "other": Path("a")})
    assert said == {"size": 3, "mean": (1.0, 2.5), "other": Path("a")}


@pytest.mark.parametrize("name", [*EMBEDDERS, *GENERAL])
def test_every_teachers_options_have_types_that_can_be_checked(name):
    assert checked_options(name, (EMBEDDERS | GENERAL)[name], {}) == {}


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        (
            "onnx:a.onnx",
            {"mean": 0.5},
            r"onnx:a\.onnx: option mean is 0\.5: input should be a list; by default \[0\.0\]$",
        ),
        (
            "onnx:a.onnx",
            {"sample_rate": "abc"},
            "option sample_rate is 'abc': input should be a valid integer",
        ),
        ("timm:resnet18", {"size": "abc"}, "timm:resnet18: option size is 'abc': .*valid integer"),
        ("efficientnet-lite0", {"size": "abc"}, "option size is 'abc': .*valid integer"),
        ("pesto", {"hop": "x"}, r"pesto: option hop is 'x': .*number.*; by default 0\.02$"),
        ("aisfx", {"hop": "x"}, r"aisfx: option hop is 'x': .*number.*; by default 0\.5$"),
        ("minilm", {"tokens": 2.5}, "minilm: option tokens is 2.5: .*integer.*; by default 256$"),
        ("minilm", {"normalize": "maybe"}, "option normalize is 'maybe': .*boolean"),
        ("network:resnet8-cifar", {"weights": 3}, "option weights is 3: input should be a valid"),
        ("pesto", {"hopp": 0.1}, "pesto has no option 'hopp'; did you mean 'hop'"),
        (
            "network:resnet8-cifar",
            {},
            "missing a required .*'weights'; its options: weights, input",
        ),
    ],
)
def test_an_option_of_another_type_is_named(name, options, text):
    with pytest.raises(MenteeError, match=text):
        find_embedder(name, **options)
