"""Finding layers in networks written by hand: rules, layouts, what is left undisturbed, errors."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from mentee.errors import LayerError
from mentee.features import Capture, Layer, list_layers, resolve

from .networks import Answering, Block, ChannelsLast, Declared, Undeclared, Waves


def paths(network: nn.Module, wanted: list[str], example: Tensor) -> list[str]:
    return [layer.path for layer in resolve(network, wanted, example)]


def images(size: int = 16) -> Tensor:
    return torch.randn(2, 3, size, size)


def test_general_rule() -> None:
    result = paths(Undeclared(), ["stem", "stages", "embedding", "logits"], images())
    assert result == ["act", "body.0", "body.1", "body.2", "out", ""]


def test_declared_places_come_first() -> None:
    result = paths(Declared(), ["stem", "stages", "embedding"], images())
    assert result == ["norm", "body.0", "body.2", "out"]


def test_explicit_paths_and_sides() -> None:
    wanted = ["body.1.0.conv1", "body.1:in", "body.1:out", "body.1"]
    layers = resolve(Undeclared(), wanted, images())
    assert [layer.name for layer in layers] == wanted
    assert [layer.io for layer in layers] == ["output", "input", "output", "output"]
    assert [layer.shape for layer in layers] == [(12, 8, 8), (8, 16, 16), (12, 8, 8), (12, 8, 8)]


def test_the_last_stage_has_a_name_of_its_own() -> None:
    last, numbered = resolve(Undeclared(), ["stages.last", "stages.2"], images())
    assert last.name == "stages.last"
    assert dataclasses.replace(last, name="stages.2") == numbered


def test_a_name_given_twice_counts_once() -> None:
    layers = resolve(Undeclared(), ["stages.1", "stages", "stages.1"], images())
    assert [layer.name for layer in layers] == ["stages.1", "stages.0", "stages.2"]


@settings(deadline=None, max_examples=12)
@given(
    widths=st.lists(st.integers(1, 20), min_size=2, max_size=4),
    height=st.integers(16, 40),
    width=st.integers(16, 40),
)
def test_shapes_for_any_size(widths: list[int], height: int, width: int) -> None:
    network, inputs = Undeclared(tuple(widths)).eval(), torch.randn(2, 3, height, width)
    layers = resolve(network, ["stages"], inputs)
    with torch.no_grad(), Capture(network, layers) as capture:
        features = capture.capture(inputs)
    x = torch.relu(network.norm(network.entry(inputs)))
    for layer, stage in zip(layers, network.body, strict=True):
        x = stage(x)
        assert layer.layout == "map"
        assert layer.shape == tuple(x.shape[1:])
        torch.testing.assert_close(features[layer.name], x)


@pytest.mark.parametrize("form", ["tuple", "mapping", "object"])
def test_logits_inside_other_outputs(form: str) -> None:
    network, inputs = Answering(form).eval(), images()
    layers = resolve(network, ["logits", "embedding"], inputs)
    with torch.no_grad(), Capture(network, layers) as capture:
        features = capture.capture(inputs)
        assert torch.equal(features["logits"], network.inner(inputs))
        torch.testing.assert_close(network.inner.out(features["embedding"]), features["logits"])


def test_series_are_delivered_as_tokens() -> None:
    network, inputs = Waves().eval(), torch.randn(2, 1, 40)
    layers = resolve(network, ["stages", "embedding"], inputs)
    assert [layer.shape for layer in layers] == [(20, 10), (10, 12), (12,)]
    with torch.no_grad(), Capture(network, layers) as capture:
        features = capture.capture(inputs)
        expected = network.second(network.first(inputs))
    for example in range(2):
        for time in range(20):
            assert torch.equal(features["stages.0"][example, time], expected[example, :, time])


def test_maps_with_channels_last_are_turned() -> None:
    network, inputs = ChannelsLast().eval(), torch.randn(2, 3, 12, 20)
    (layer,) = resolve(network, ["mix"], inputs)
    assert (layer.shape, layer.channel_axis) == ((40, 6, 10), -1)
    with torch.no_grad(), Capture(network, [layer]) as capture:
        mixed = capture.capture(inputs)["mix"]
        expected = network.mix(network.entry(inputs).permute(0, 2, 3, 1))
    assert torch.equal(mixed.permute(0, 2, 3, 1), expected)


def test_declared_format_decides_where_the_shape_cannot() -> None:
    network, inputs = ChannelsLast(), torch.randn(2, 3, 80, 80)  # 40 × 40 points, 40 channels
    assert resolve(network, ["mix"], inputs)[0].channel_axis == 1
    network.output_fmt = "NHWC"
    assert resolve(network, ["mix"], inputs)[0].channel_axis == -1


def test_embedding_before_a_convolutional_head_is_a_vector() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Conv2d(6, 4, 1), nn.Flatten()
    )
    layers = resolve(network, ["embedding", "2"], images())
    assert [(layer.path, layer.layout, layer.shape) for layer in layers] == [
        ("3", "vector", (6,)),
        ("2", "map", (6, 1, 1)),
    ]


def test_classifier_under_a_softmax() -> None:
    network = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4), nn.LogSoftmax(1))
    assert paths(network, ["embedding"], torch.randn(2, 6)) == ["2"]


def test_a_linear_layer_is_a_network_too() -> None:
    network, inputs = nn.Linear(6, 4), torch.randn(2, 6)
    layers = resolve(network, ["embedding", "logits"], inputs)
    with Capture(network, layers) as capture:
        features = capture.capture(inputs)
    assert torch.equal(features["embedding"], inputs)
    assert torch.equal(features["logits"], network(inputs))


class Drawing(Undeclared):
    """Draws random numbers in eval mode too."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + torch.rand_like(x))


def test_nothing_is_disturbed() -> None:
    network, inputs = Drawing().train(), images()
    network.norm.eval()
    flags = [module.training for module in network.modules()]
    state = {key: value.clone() for key, value in network.state_dict().items()}
    saved = inputs.clone()
    before = torch.get_rng_state()
    list_layers(network, inputs)
    resolve(network, ["stages", "embedding"], inputs)
    assert torch.equal(torch.get_rng_state(), before)
    assert [module.training for module in network.modules()] == flags
    assert all(torch.equal(state[key], value) for key, value in network.state_dict().items())
    assert torch.equal(inputs, saved)
    assert not any(module._forward_hooks for module in network.modules())
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_flags_and_hooks_are_put_back_after_an_error() -> None:
    network = Undeclared().train()
    with pytest.raises(LayerError, match="to have 3 channels"):
        resolve(network, ["logits"], torch.randn(2, 4, 16, 16))
    assert all(module.training for module in network.modules())
    assert not any(module._forward_hooks for module in network.modules())


def test_list_places_names_all_modules() -> None:
    network, inputs = Undeclared(), images()
    layers = list_layers(network, inputs)
    names = [layer.name for layer in layers]
    assert names[:6] == ["logits", "embedding", "stages.0", "stages.1", "stages.2", "stem"]
    assert {"entry", "body.2.1.conv2", "out"} < set(names)
    assert "body" not in names
    assert all(isinstance(layer, Layer) for layer in layers)
    assert resolve(network, names, inputs) == tuple(layers)


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (
            "body.1.0.conv3",
            r"no layer 'body.1.0.conv3' in Undeclared; did you mean .*'body.1.0.conv1'",
        ),
        ("embeding", r"did you mean 'embedding'"),
        ("stage", r"did you mean .*'stages'"),
        ("stages.7", r"'stages' has 3 entries, stages.0 to stages.2"),
        ("body", r"the module 'body' is only a container .* inside it: body.0"),
        ("out:inn", r"':in' after a module's path reads its input"),
    ],
)
def test_wrong_layers(wanted: str, text: str) -> None:
    with pytest.raises(LayerError, match=text):
        resolve(Undeclared(), [wanted], images())


def test_module_that_is_not_called() -> None:
    network = Undeclared()
    network.spare = nn.Linear(2, 2)
    with pytest.raises(LayerError, match="'spare' is not called by forward"):
        resolve(network, ["spare"], images())


def test_declared_module_that_is_not_there() -> None:
    class Wrong(Undeclared):
        feature_layers: ClassVar = {"stem": "relu"}

    with pytest.raises(
        LayerError, match=r"Wrong.feature_layers names for 'stem' the module 'relu'"
    ):
        resolve(Wrong(), ["stem"], images())


def test_network_without_stages_or_classifier() -> None:
    with pytest.raises(LayerError, match="Sequential has no 'stages'"):
        resolve(nn.Sequential(nn.Linear(3, 3), nn.ReLU()), ["stages"], torch.randn(2, 3))
    with pytest.raises(LayerError, match=r"has no 'embedding'.*'fc:in'"):
        resolve(nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU()), ["embedding"], images())
    with pytest.raises(LayerError, match="has no 'stem'"):
        resolve(nn.ReLU(), ["stem"], images())


def test_rows_that_are_not_examples() -> None:
    network = nn.Sequential(nn.Flatten(0, 1), nn.Flatten())
    with pytest.raises(LayerError, match=r"'0' in Sequential gives \[6, 16, 16\] for 2 examples"):
        resolve(network, ["0"], images())


def test_network_without_a_tensor() -> None:
    class Silent(nn.Module):
        def forward(self, x: Tensor) -> None:
            return None

    with pytest.raises(LayerError, match="Silent returned no tensor"):
        resolve(Silent(), ["logits"], images())


def test_blocks_of_one_resolution_are_taken_at_the_quarters() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 2, 2), nn.ReLU(), nn.Sequential(*(Block(4, 4, 1) for _ in range(10)))
    )
    assert paths(network, ["stages"], images()) == ["2.2", "2.4", "2.7", "2.9"]
