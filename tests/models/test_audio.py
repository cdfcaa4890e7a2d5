"""What the networks of audio promise; `test_sizes.py` counts their parameters."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mentee.errors import MenteeError
from mentee.features import Capture, list_layers, resolve
from mentee.models import CPResNet, MobileFCN, SmallFCN, build
from mentee.models.audio import MelInput
from mentee.models.cp_resnet import kernels_of

RATE = 8000
WANTED = ["stem", "stages", "embedding", "logits"]
THIN = {
    "small-fcn": {"widths": (4, 6, 8, 10)},
    "mobile-fcn": {},
    "cp-resnet": {"width": 4},
}


def thin(name, seed=0):
    return build(name, classes=5, sample_rate=RATE, seed=seed, **THIN[name])


def settled(name):
    """In evaluation mode, with the statistics of a batch: a new network says its bias to all."""
    network, x = thin(name), 0.1 * torch.randn(4, RATE) * torch.logspace(-2, 0, 4)[:, None]
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.momentum = None  # the average of all batches seen, here of one
    with torch.no_grad():
        network(x)
        network.eval()
        assert float(network(x).std(0).max()) > 0.01, "the logits do not depend on the clip"
    return network, x


# Stem, stages and embedding of one second at the rate that the network is meant for.
SHAPES = {
    "small-fcn": (16000, [(16, 32, 32), (48, 16, 16), (96, 8, 8), (160, 4, 4), (160,)]),
    "mobile-fcn": (16000, [(64, 48, 32), (128, 24, 16), (128, 12, 8), (256, 12, 8), (256,)]),
    "cp-resnet": (32000, [(128, 64, 51), (128, 8, 7), (256, 8, 7), (512, 8, 7), (512,)]),
}


@pytest.mark.parametrize("name", SHAPES)
def test_places_are_maps_of_mels_and_frames(name):
    sample_rate, shapes = SHAPES[name]
    network = build(name, classes=6, sample_rate=sample_rate, seed=0)
    layers = resolve(network, WANTED, torch.randn(2, sample_rate))
    names = ["stem", "stages.0", "stages.1", "stages.2", "embedding", "logits"]
    assert [layer.name for layer in layers] == names
    assert [layer.shape for layer in layers] == [*shapes, (6,)]
    assert [layer.layout for layer in layers] == ["map"] * 4 + ["vector"] * 2
    assert all(layer.channel_axis == 1 for layer in layers)


@pytest.mark.parametrize("name", THIN)
def test_every_parameter_learns_from_the_layers(name):
    network, x = thin(name), 0.1 * torch.randn(3, RATE)
    with Capture(network, resolve(network, WANTED, x)) as capture:
        features = capture.capture(x)
    sum(value.square().mean() for value in features.values()).backward()
    for path, parameter in network.named_parameters():
        assert parameter.grad is not None, path
        assert parameter.grad.isfinite().all(), path
        assert bool(parameter.grad.any()), path


@pytest.mark.parametrize("name", THIN)
@pytest.mark.parametrize("samples", [1, 333, 4001, 20000])
def test_clips_of_any_length_are_read(name, samples):
    network = thin(name).eval()
    with torch.no_grad():
        out = network(torch.randn(2, samples))
    assert out.shape == (2, 5)
    assert bool(out.isfinite().all())


@pytest.mark.parametrize("name", THIN)
def test_silence_and_a_batch_of_one_are_finite_in_training(name):
    network = thin(name)
    loss = network(torch.zeros(1, RATE)).square().sum()
    loss.backward()
    assert bool(loss.isfinite())
    assert all(bool(p.grad.isfinite().all()) for p in network.parameters())


@pytest.mark.parametrize("name", THIN)
def test_evaluation_repeats_and_no_clip_sees_another(name):
    network, x = settled(name)
    with torch.no_grad():
        assert torch.equal(network(x), network(x))
        torch.testing.assert_close(network(x[1:2]), network(x)[1:2], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", THIN)
def test_mixed_precision_is_close(name):
    network, x = settled(name)
    with torch.no_grad():
        want = network(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            given = network(x).float()
    # Of the differences between clips: bfloat16 rounds by 2⁻⁹ in each of up to 25 layers.
    assert float((given - want).norm()) < 0.25 * float((want - want.mean(0)).norm())


@pytest.mark.parametrize("name", THIN)
def test_channels_last_changes_nothing(name):
    network, x = settled(name)
    with torch.no_grad():
        want = network(x)
        given = network.to(memory_format=torch.channels_last)(x)
    torch.testing.assert_close(given, want, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", THIN)
def test_a_state_dict_holds_what_is_learned_and_makes_the_same_network(name):
    (network, x), other = settled(name), thin(name, seed=1)
    assert not any("logmel" in key for key in network.state_dict())
    other.load_state_dict(network.state_dict())
    with torch.no_grad():
        assert torch.equal(network.eval()(x), other.eval()(x))


@pytest.mark.parametrize("name", THIN)
def test_the_whole_network_can_be_exported(name):
    network, x = settled(name)
    exported = torch.export.export(network, (x,), dynamic_shapes=({0: torch.export.Dim.AUTO},))
    more = 0.1 * torch.randn(3, RATE)
    torch.testing.assert_close(exported.module()(more), network(more), rtol=1e-4, atol=1e-5)


def test_loudness_of_the_data_is_normalized_away_in_training():
    front = MelInput(RATE, window=0.032, hop=0.016, mels=16)
    out = front(torch.randn(8, RATE) * torch.logspace(-3, 0, 8)[:, None])
    torch.testing.assert_close(out.mean((0, 1, 3)), torch.zeros(16), atol=1e-4, rtol=0)
    torch.testing.assert_close(out.std((0, 1, 3)), torch.ones(16), atol=1e-2, rtol=0)


def test_windows_follow_the_rate():
    front = CPResNet(classes=2, sample_rate=32000, width=2).mel.logmel
    assert (front.window, front.hop, front.fourier.shape[1]) == (800, 320, 1024 + 2)
    front = SmallFCN(classes=2, sample_rate=44100).mel.logmel
    assert (front.window, front.hop, front.fourier.shape[1]) == (1412, 706, 2048 + 2)


def test_dropout_stands_behind_the_embedding():
    network, x = MobileFCN(classes=5, sample_rate=RATE, dropout=0.9), torch.randn(4, RATE)
    with Capture(network, resolve(network, ["stages.2", "embedding"], x)) as capture:
        features = capture.capture(x)
    want = features["stages.2"].flatten(2).mean(2)
    torch.testing.assert_close(features["embedding"], want, rtol=1e-4, atol=1e-5)


def test_list_places_knows_the_spectrogram():
    names = [layer.name for layer in list_layers(thin("small-fcn"), torch.randn(2, RATE))]
    assert {"logits", "embedding", "stem", "mel", "mel.logmel"} <= set(names)


# (3 where the published rule has a 3×3): first and second convolutions of the three stages.
@pytest.mark.parametrize(
    ("rho", "first", "second"),
    [
        (7, ("3333", "3111", "1111"), ("1333", "1333", "1111")),
        (4, ("3331", "1111", "1111"), ("1331", "1331", "1111")),
        (1, ("3311", "1111", "1111"), ("1111", "1111", "1111")),
        (11, ("3333", "3331", "1111"), ("1333", "1333", "1111")),
        (17, ("3333", "3333", "3311"), ("1333", "1333", "3111")),
    ],
)
def test_kernels_of_cp_resnet_follow_rho(rho, first, second):
    stages = kernels_of(rho)
    assert tuple("".join(str(a) for a, _ in stage) for stage in stages) == first
    assert tuple("".join(str(b) for _, b in stage) for stage in stages) == second


def test_cp_resnet_is_its_formula():
    network = CPResNet(classes=3, sample_rate=RATE, width=3)
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    network.eval()
    state, clip = network.state_dict(), 0.1 * torch.randn(2, 2500)

    def norm(path, x):
        names = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(state[f"{path}.{name}"] for name in names))

    def conv(path, x):
        weight = state[f"{path}.weight"]
        return F.conv2d(x, weight, padding=weight.shape[2] // 2)

    with torch.no_grad():
        x = norm("mel.norm", network.mel.logmel(clip)[:, 0])[:, None]
        x = F.relu(norm("stem.1", F.conv2d(x, state["stem.0.weight"], stride=2, padding=2)))
        for stage, paths in (("stage1", "0P2P45P"), ("stage2", "0123"), ("stage3", "0123")):
            number = 0
            for mark in paths:
                if mark == "P":
                    x, number = F.max_pool2d(x, 2, ceil_mode=True), number + 1
                    continue
                path = f"{stage}.{number}"
                out = F.relu(norm(f"{path}.bn1", conv(f"{path}.conv1", x)))
                out = norm(f"{path}.bn2", conv(f"{path}.conv2", out))
                if f"{path}.downsample.0.weight" in state:
                    x = norm(f"{path}.downsample.1", conv(f"{path}.downsample.0", x))
                x, number = F.relu(out + x), number + 1
        want = F.linear(x.flatten(2).mean(2), state["fc.weight"], state["fc.bias"])
        torch.testing.assert_close(network(clip), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SmallFCN(classes=2, sample_rate=16), "at least 1000, not 16"),
        (lambda: CPResNet(classes=2, rho=0), "at least 1, not 0 and 128"),
        (lambda: CPResNet(classes=2, width=0), "at least 1, not 7 and 0"),
    ],
)
def test_wrong_numbers_are_refused(make, message):
    with pytest.raises(MenteeError, match=message):
        make()
