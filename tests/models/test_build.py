from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from mentee.errors import MenteeError
from mentee.models import NETWORKS, build, contract_of, kind_of, resolve


def weights(network):
    return torch.cat([value.flatten().double() for value in network.state_dict().values()])


def test_seed_fixes_the_weights_and_leaves_the_global_state():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = weights(build("resnet8-cifar", classes=4, seed=11))
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    assert torch.equal(weights(build("resnet8-cifar", classes=4, seed=11)), first)
    assert not torch.equal(weights(build("resnet8-cifar", classes=4, seed=12)), first)


def test_without_a_seed_the_global_state_is_used():
    torch.manual_seed(3)
    first, second = (weights(build("wrn-16-1", classes=4)) for _ in range(2))
    torch.manual_seed(3)
    assert torch.equal(weights(build("wrn-16-1", classes=4)), first)
    assert not torch.equal(first, second)


def test_global_state_survives_a_network_that_cannot_be_built():
    before = torch.get_rng_state()
    with pytest.raises(MenteeError):
        build("shufflenetv1-cifar", classes=4, seed=1, groups=7)
    assert torch.equal(torch.get_rng_state(), before)


def test_options_make_a_thin_network():
    network = build("resnet8-cifar", classes=10, channels=1, widths=(4, 8, 16))
    assert network.conv1.weight.shape == (4, 1, 3, 3)
    assert network(torch.rand(2, 1, 8, 8)).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet20", {}, r"no network 'resnet20'; did you mean 'resnet20-cifar'"),
        ("ResNet18", {}, r"no network 'ResNet18'; did you mean 'resnet18-64'\? \(others"),
        ("WRN_16_2", {}, r"did you mean 'wrn-16-2'.*others: timm:NAME, torchvision:NAME"),
        ("tim:resnet18", {}, r"no network 'tim:resnet18'"),
        ("resnet20-cifar", {"width": 3}, r"no option 'width'; did you mean 'widths'"),
        ("vgg8", {"depth": 9}, r"vgg8 has no option 'depth'; there are none"),
    ],
)
def test_unknown_names_are_answered_with_close_ones(name, options, message):
    with pytest.raises(MenteeError, match=message):
        build(name, classes=10, **options)


@pytest.mark.parametrize(("classes", "channels"), [(0, 3), (10, 0)])
def test_numbers_below_one_are_refused(classes, channels):
    with pytest.raises(MenteeError, match="at least 1 class and 1 channel"):
        build("vgg8", classes=classes, channels=channels)


def test_names_of_the_table_are_plain():
    for name in NETWORKS:
        assert name == name.lower()
        assert ":" not in name


def test_resolve_takes_names_modules_functions_and_classes():
    assert resolve("resnet8-cifar", classes=3, channels=1).fc.out_features == 3
    module = nn.Linear(2, 2)
    assert resolve(module, classes=5) is module

    def make(classes, *, channels=3, width=7):
        return nn.Conv2d(channels, classes, width)

    made = resolve(make, classes=4, channels=2)
    assert made.weight.shape == (4, 2, 7, 7)
    assert resolve(lambda **sizes: nn.Linear(*sizes.values()), classes=4).weight.shape == (3, 4)

    class Net(nn.Module):
        def __init__(self, classes):
            super().__init__()
            self.fc = nn.Linear(2, classes)

    assert torch.equal(
        resolve(Net, classes=6, seed=5).fc.weight, resolve(Net, classes=6, seed=5).fc.weight
    )


def test_resolve_refuses_what_makes_no_network():
    def hungry(classes, sizes):
        return nn.Linear(sizes, classes)

    with pytest.raises(MenteeError, match=r"hungry\(classes, sizes\) cannot be called with.*sizes"):
        resolve(hungry, classes=3)

    def empty(classes):
        return None

    with pytest.raises(MenteeError, match=r"empty returned a NoneType; expected a torch"):
        resolve(empty, classes=3)


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050", "vit_tiny_patch16_224"])
def test_timm_networks_by_name(name):
    timm = pytest.importorskip("timm")
    network = build(f"timm:{name}", classes=5, channels=1, seed=0).eval()
    size = 224 if "vit" in name else 32
    with torch.no_grad():
        assert network(torch.rand(1, 1, size, size)).shape == (1, 5)
    again = build(f"timm:{name}", classes=5, channels=1, seed=0)
    assert torch.equal(weights(network), weights(again))
    contract = contract_of(f"timm:{name}")
    assert contract.mean == tuple(network.pretrained_cfg["mean"])
    assert contract.std == tuple(network.pretrained_cfg["std"])
    assert contract.size == tuple(network.pretrained_cfg["input_size"][1:])
    assert timm.is_model(name)


def test_torchvision_networks_by_name():
    pytest.importorskip("torchvision")
    network = build("torchvision:squeezenet1_1", classes=5, seed=0).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, 32, 32)).shape == (1, 5)
    contract = contract_of("torchvision:squeezenet1_1")
    assert contract.mean == (0.485, 0.456, 0.406)
    assert contract.size == (224, 224)


@pytest.mark.parametrize(
    ("name", "channels", "options", "message"),
    [
        ("timm:resnet18x", 3, {}, "timm has no network 'resnet18x'; did you mean .*'resnet18'"),
        ("timm:resnet18.a1_in1", 3, {}, "timm has no weights 'a1_in1' of 'resnet18'; did you mean"),
        ("timm:resnet18", 3, {"breadth": 2}, "timm cannot build 'resnet18' with .*breadth"),
        ("torchvision:resnet81", 3, {}, "torchvision has no network 'resnet81'; did you mean"),
        ("torchvision:resnet18", 1, {}, "torchvision:resnet18 reads 3 channels, not 1"),
        ("torchvision:resnet18", 3, {"breadth": 2}, "torchvision cannot build 'resnet18' with"),
        ("torchvision:resnet18", 3, {"weights": "DEFAULT"}, "num_classes.*expected value 1000"),
    ],
)
def test_mistakes_in_zoo_names_are_explained(name, channels, options, message):
    pytest.importorskip(name.partition(":")[0])
    with pytest.raises(MenteeError, match=message):
        build(name, classes=10, channels=channels, **options)


@pytest.mark.parametrize(
    ("module", "name"),
    [("timm", "timm:resnet18"), ("torchvision.models", "torchvision:resnet18")],
)
def test_a_missing_package_is_named_with_its_extra(monkeypatch, module, name):
    monkeypatch.setitem(sys.modules, module, None)
    message = rf"{name} needs {name.partition(':')[0]}.*pip install 'mentee\[vision\]'"
    with pytest.raises(MenteeError, match=message):
        build(name, classes=10)
    with pytest.raises(MenteeError, match=message):
        contract_of(name)


@pytest.mark.parametrize(
    ("network", "kind"),
    [
        ("resnet20-cifar", "image"),
        ("timm:resnet18", "image"),
        ("small-fcn", "audio"),
        ("char-cnn-small", "text"),
        (nn.Linear(2, 2), "image"),
        (build("hashed-bag-small", classes=2), "text"),
        (type(build("mobile-fcn", classes=2)), "audio"),
        (lambda classes: nn.Linear(2, classes), "image"),
    ],
)
def test_kinds_of_networks(network, kind):
    assert kind_of(network) == kind


def test_kinds_of_unknown_networks_are_refused():
    with pytest.raises(MenteeError, match="no network 'smal-fcn'; did you mean 'small-fcn'"):
        kind_of("smal-fcn")
    odd = nn.Linear(2, 2)
    odd.kind = "video"
    with pytest.raises(MenteeError, match="kind of Linear is one of image, audio, text, not 'vid"):
        kind_of(odd)


def test_audio_alone_is_told_the_rate():
    assert build("small-fcn", classes=2, sample_rate=8000).mel.logmel.sample_rate == 8000
    assert build("small-fcn", classes=2).mel.logmel.sample_rate == 16000
    assert build("hashed-bag-small", classes=2, channels=1, sample_rate=8000).fc.out_features == 2
    assert build("resnet8-cifar", classes=2, sample_rate=8000).fc.out_features == 2
    with pytest.raises(MenteeError, match="small-fcn has no option 'channel'"):
        build("small-fcn", classes=2, channel=1)
    with pytest.raises(MenteeError, match="char-cnn has no option 'hop'"):
        build("char-cnn", classes=2, hop=1)
    with pytest.raises(MenteeError, match="at least 1 sample a second, not 0"):
        build("small-fcn", classes=2, sample_rate=0)


def test_functions_are_told_the_rate_where_they_ask_for_it():
    def make(classes, sample_rate):
        return nn.Linear(sample_rate, classes)

    def through(**options):
        assert set(options) == {"classes", "channels"}
        return nn.Linear(2, 2)

    assert resolve(make, classes=3, sample_rate=500).weight.shape == (3, 500)
    assert resolve(through, classes=3, sample_rate=500).weight.shape == (2, 2)
    assert resolve("small-fcn", classes=3, sample_rate=8000).mel.logmel.sample_rate == 8000
