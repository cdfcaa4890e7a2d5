"""Options of networks that leave a layer without channels, or need more memory than there is."""

from __future__ import annotations

from typing import Any

import pytest

from mentee import free_memory, models
from mentee.errors import MenteeError
from mentee.models import (
    NETWORKS,
    CharCNN,
    CifarResNet,
    MobileFCN,
    ShuffleNetV1,
    ShuffleNetV2,
    SmallFCN,
)

WIDTHS = {
    "resnet8-cifar": 3,
    "resnet32x4-cifar": 3,
    "resnet10-64": 4,
    "small-fcn": 4,
    "shufflenetv1-cifar": 3,
    "shufflenetv2-cifar": 4,
    "char-cnn": 4,
    "char-cnn-small": 4,
}


def test_all_networks_with_widths_are_tried_here() -> None:
    import inspect

    assert {
        n for n, make in NETWORKS.items() if "widths" in inspect.signature(make).parameters
    } == {
        *WIDTHS,
        *(n for n in NETWORKS if n.startswith("resnet") and n.endswith(("-cifar", "-64"))),
    }


@pytest.mark.parametrize("name", WIDTHS)
@pytest.mark.parametrize(
    ("widths", "message"),
    [
        pytest.param([16, 32], "has {n} widths, whole numbers; not [16, 32]", id="too few"),
        pytest.param([16], "has {n} widths, whole numbers; not [16]", id="one"),
        pytest.param([], "has {n} widths, whole numbers; not []", id="none"),
        pytest.param([8] * 9, "has {n} widths", id="too many"),
        pytest.param(16, "has {n} widths, whole numbers; not 16", id="a number"),
        pytest.param("abc", "has {n} widths, whole numbers; not 'abc'", id="a text"),
        pytest.param([16.0] * 4, "has {n} widths", id="floats"),
        pytest.param([True] * 4, "has {n} widths", id="booleans"),
    ],
)
def test_another_number_of_widths_is_refused(name: str, widths: Any, message: str) -> None:
    with pytest.raises(MenteeError) as error:
        models.build(name, classes=3, widths=widths)
    assert message.format(n=WIDTHS[name]) in str(error.value)


@pytest.mark.parametrize("name", WIDTHS)
@pytest.mark.parametrize("width", [0, -8, 10**9])
def test_a_width_that_no_layer_can_have_is_refused(name: str, width: int) -> None:
    with pytest.raises(MenteeError, match=r"^the widths of .* are from 1 to 65,536, not \["):
        models.build(name, classes=3, widths=[width] * WIDTHS[name])


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (CifarResNet, {"depth": 8, "widths": (16, 32)}),
        (CifarResNet, {"depth": 8, "widths": (16, 32, 0)}),
        (CifarResNet, {"depth": 8, "stem": 0}),
        (CifarResNet, {"depth": 8, "stem_stride": 0}),
        (CifarResNet, {"depth": 8, "stem_stride": 9}),
        (CifarResNet, {"depth": 8, "stem": -3}),
        (SmallFCN, {"widths": (8, 8)}),
        (ShuffleNetV1, {"widths": (240,)}),
        (ShuffleNetV2, {"widths": (0, 0, 0, 0)}),
        (ShuffleNetV2, {"widths": (116, 232, 464)}),
        (CharCNN, {"widths": (8, 8, 8, -1)}),
        (CharCNN, {"width": 0}),
        (MobileFCN, {"dropout": 2.0}),
        (MobileFCN, {"dropout": float("nan")}),
    ],
)
def test_the_classes_refuse_the_same(make: Any, options: dict[str, Any]) -> None:
    depth = [options.pop("depth")] if "depth" in options else []
    with pytest.raises(MenteeError):
        make(*depth, classes=3, **options)


@pytest.mark.parametrize(
    ("name", "option", "message"),
    [
        (
            "mobilenetv2-cifar",
            {"width": "wide"},
            "the option width of mobilenetv2-cifar is a number",
        ),
        ("mobilenetv2-cifar", {"expansion": 1.5}, "is a whole number, not 1.5"),
        ("shufflenetv1-cifar", {"groups": None}, "is a whole number, not None"),
        ("hashed-bag", {"buckets": True}, "is a whole number, not True"),
        ("hashed-bag", {"hidden": (3,)}, "is a whole number, not (3,)"),
        ("cp-resnet", {"rho": "7"}, "is a whole number, not '7'"),
        ("mobile-fcn", {"dropout": "x"}, "is a number, not 'x'"),
        ("char-cnn", {"width": 2.5}, "is a whole number, not 2.5"),
    ],
)
def test_an_option_of_another_type_is_refused(
    name: str, option: dict[str, Any], message: str
) -> None:
    with pytest.raises(MenteeError) as error:
        models.build(name, classes=3, **option)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("hashed-bag", {"buckets": 10**12}),
        ("cp-resnet", {"width": 10**6}),
        ("mobilenetv2-cifar", {"width": 1000.0}),
        ("resnet8-cifar", {"widths": (65_536,) * 3}),
    ],
)
def test_what_needs_more_memory_than_is_free_is_refused(
    name: str, option: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(free_memory, "available", lambda: 10**9)
    with pytest.raises(MenteeError, match=r"needs [\d,.]+ GB of memory and 1\.0 GB are free"):
        models.build(name, classes=3, **option)


@pytest.mark.parametrize(
    "option", [{"img_size": -1}, {"block_args": 3}, {"block": 3}, {"nonsense": 1}]
)
def test_whatever_a_zoo_makes_of_options_is_one_sentence(option: dict[str, Any]) -> None:
    pytest.importorskip("timm")
    with pytest.raises(MenteeError, match=r"^timm cannot build 'resnet18' with \{"):
        models.build("timm:resnet18", classes=3, **option)


def test_the_weights_of_a_network_with_options_are_those_of_before() -> None:
    import torch

    torch.manual_seed(7)
    with_options = models.build("resnet8-cifar", classes=3, widths=(16, 32, 64))
    torch.manual_seed(7)
    plain = models.build("resnet8-cifar", classes=3)
    for one, other in zip(with_options.parameters(), plain.parameters(), strict=True):
        assert torch.equal(one, other)
