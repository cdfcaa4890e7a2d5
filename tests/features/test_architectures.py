"""Networks that others wrote: every short name, with the network's own arithmetic as the oracle."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mentee.features import Capture, Layer, resolve

from .networks import TIMM, from_timm

pytest.importorskip("timm")

NAMES = ("stem", "stages", "embedding", "logits")
ONE_HEAD = sorted(
    set(TIMM) - {"deit_tiny_distilled_patch16_224", "levit_128s", "efficientformer_l1"}
)
PYRAMIDS = sorted(
    set(TIMM) - {"vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "mixer_s32_224"}
)
INTERMEDIATE = (
    "resnet18",
    "mobilenetv3_small_050",
    "convnext_atto",
    "regnetx_002",
    "swin_tiny_patch4_window7_224",
    "levit_128s",
)


def read(network: nn.Module, inputs: Tensor) -> tuple[tuple[Layer, ...], dict[str, Tensor]]:
    layers = resolve(network, NAMES, inputs)
    with torch.no_grad(), Capture(network, layers) as capture:
        return layers, capture.capture(inputs)


def stages_of(features: dict[str, Tensor]) -> list[Tensor]:
    return [tensor for name, tensor in features.items() if name.startswith("stages.")]


def points(stage: Tensor) -> int:
    return stage[0, 0].numel() if stage.ndim == 4 else stage.shape[1]


@pytest.mark.parametrize("name", TIMM)
def test_short_names_resolve_and_change_nothing(name: str) -> None:
    network, inputs = from_timm(name)
    with torch.no_grad():
        plain = network(inputs)
    layers, features = read(network, inputs)
    assert {layer.name.partition(".")[0] for layer in layers} == set(NAMES)
    assert torch.equal(features["logits"], plain)
    assert len(stages_of(features)) >= 3
    for layer in layers:
        assert features[layer.name].shape == (2, *layer.shape)
        assert len(layer.shape) == {"map": 3, "tokens": 2, "vector": 1}[layer.layout]
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("name", ONE_HEAD)
def test_classifier_of_the_embedding_is_the_logits(name: str) -> None:
    network, inputs = from_timm(name)
    _, features = read(network, inputs)
    head = network.get_classifier()
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        torch.testing.assert_close(head(features["embedding"]), features["logits"])


@pytest.mark.parametrize("name", PYRAMIDS)
def test_stages_get_coarser_and_have_the_declared_channels(name: str) -> None:
    network, inputs = from_timm(name)
    _, features = read(network, inputs)
    stages = stages_of(features)
    sizes = [points(stage) for stage in stages]
    assert sizes == sorted(set(sizes), reverse=True)
    info = [row["num_chs"] for row in getattr(network.feature_info, "info", network.feature_info)]
    widths = [stage.shape[1] if stage.ndim == 4 else stage.shape[2] for stage in stages]
    assert widths == info[-len(widths) :]
    assert len(info) - len(widths) <= 1, "the stem's own entry, and nothing else, is left out"


@pytest.mark.parametrize("name", INTERMEDIATE)
def test_stages_are_what_timm_gives_itself(name: str) -> None:
    network, inputs = from_timm(name)
    _, features = read(network, inputs)
    stages = stages_of(features)
    with torch.no_grad():
        stages_of_timm = network.forward_intermediates(
            inputs, output_fmt="NCHW", intermediates_only=True
        )
    for stage, expected in zip(stages, stages_of_timm[-len(stages) :], strict=True):
        own = stage if stage.ndim == 4 else stage.transpose(1, 2).reshape(expected.shape)
        torch.testing.assert_close(own, expected)


def test_vit_is_read_at_the_quarters_of_its_depth() -> None:
    network, inputs = from_timm("vit_tiny_patch16_224")
    layers, features = read(network, inputs)
    stages = [layer for layer in layers if layer.name.startswith("stages.")]
    assert [layer.path for layer in stages] == ["blocks.2", "blocks.5", "blocks.8", "blocks.11"]
    assert {layer.prefix for layer in stages} == {1}
    with torch.no_grad():
        stages_of_timm = network.forward_intermediates(
            inputs, indices=[2, 5, 8, 11], output_fmt="NLC", intermediates_only=True
        )
    for stage, expected in zip(stages_of(features), stages_of_timm, strict=True):
        torch.testing.assert_close(stage[:, 1:], expected)


@pytest.mark.parametrize("name", ["resnet18", "mobilevit_xxs", "vit_tiny_patch16_224"])
def test_gradients_reach_the_stem(name: str) -> None:
    network, inputs = from_timm(name)
    weight = next(network.get_submodule("patch_embed" if "vit_tiny" in name else "").parameters())
    layers = resolve(network, ["stages", "embedding"], inputs)
    with Capture(network, layers) as capture:
        features = capture.capture(inputs)
    for tensor in features.values():
        (slope,) = torch.autograd.grad(tensor.square().sum(), weight, retain_graph=True)
        assert slope.abs().sum() > 0


def test_of_several_heads_the_first_is_read() -> None:
    network, inputs = from_timm("deit_tiny_distilled_patch16_224")
    _, features = read(network, inputs)
    with torch.no_grad():
        tokens = network.forward_features(inputs)
    torch.testing.assert_close(features["embedding"], tokens[:, 0])


@pytest.mark.parametrize(
    ("name", "stem", "stages", "classifier"),
    [
        ("resnet18", "relu", ["layer1", "layer2", "layer3", "layer4"], "fc"),
        (
            "mobilenet_v2",
            "features.0",
            ["features.1", "features.3", "features.6", "features.13", "features.18"],
            "classifier.1",
        ),
    ],
)
def test_torchvision_by_the_general_rule(
    name: str, stem: str, stages: list[str], classifier: str
) -> None:
    models = pytest.importorskip("torchvision.models")
    network, inputs = getattr(models, name)(weights=None).eval(), torch.randn(2, 3, 96, 96)
    layers, features = read(network, inputs)
    assert [layer.path for layer in layers] == [stem, *stages, classifier, ""]
    with torch.no_grad():
        plain = network(inputs)
        torch.testing.assert_close(network.get_submodule(classifier)(features["embedding"]), plain)
    assert torch.equal(features["logits"], plain)
