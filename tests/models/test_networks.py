"""What every network of images promises, and each family against an independent forward."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mentee.errors import MenteeError
from mentee.models import (
    NETWORKS,
    VGG,
    CifarResNet,
    MobileNetV2,
    ResNet,
    ShuffleNetV1,
    ShuffleNetV2,
    WideResNet,
    build,
    kind_of,
)
from mentee.models.mobilenet import InvertedResidual
from mentee.models.shufflenet import GroupedBlock, HalvingBlock, SplitBlock

FAMILIES = [
    "resnet8-cifar",
    "resnet10-64",
    "resnet50-64",
    "wrn-16-1",
    "wrn-16-2",
    "vgg8",
    "mobilenetv2-cifar",
    "shufflenetv1-cifar",
    "shufflenetv2-cifar",
]


def read(network, x):
    """Stem, stages, embedding (each as it was when its module returned) and logits."""
    seen, now = {}, {}

    def output(name):
        def hook(module, args, out):
            assert name not in seen, f"{name} was called twice"
            seen[name], now[name] = out, out.detach().clone()

        return hook

    def first_input(module, args):
        seen["embedding"] = args[0]

    layers = network.feature_layers
    modules = {"stem": layers["stem"]}
    modules.update({f"stages.{i}": path for i, path in enumerate(layers["stages"])})
    handles = [
        network.get_submodule(path).register_forward_hook(output(name))
        for name, path in modules.items()
    ]
    classifier = network.get_submodule(layers["classifier"])
    assert isinstance(classifier, nn.Linear)
    handles.append(classifier.register_forward_pre_hook(first_input))
    seen["logits"] = network(x)
    for handle in handles:
        handle.remove()
    for name, value in now.items():
        assert torch.equal(seen[name], value), f"{name} was overwritten by a later layer"
    return seen


@pytest.mark.parametrize("name", [name for name in NETWORKS if kind_of(name) == "image"])
def test_every_network_reads_the_smallest_image(name):
    network = build(name, classes=7, seed=0).eval()
    with torch.no_grad():
        seen = read(network, torch.rand(2, 3, 8, 8))
        assert seen["logits"].shape == (2, 7)
        assert seen["embedding"].shape == (2, network.fc.in_features)
        assert torch.equal(network.fc(seen["embedding"]), seen["logits"])


@pytest.mark.parametrize("name", FAMILIES)
def test_every_parameter_learns_from_the_layers(name):
    network = build(name, classes=7, seed=0)
    seen = read(network, torch.rand(2, 3, 8, 8))
    sum(value.square().mean() for value in seen.values()).backward()
    for path, parameter in network.named_parameters():
        assert parameter.grad is not None, path
        assert parameter.grad.isfinite().all(), path


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(("channels", "height", "width"), [(1, 28, 28), (3, 64, 64), (4, 9, 17)])
def test_other_sizes_and_channels(name, channels, height, width):
    network = build(name, classes=5, channels=channels, seed=0).eval()
    with torch.no_grad():
        assert network(torch.rand(1, channels, height, width)).shape == (1, 5)


@pytest.mark.parametrize(("stride", "side"), [(1, 96), (2, 48), (3, 32), (7, 14)])
def test_a_stride_of_the_stem_makes_large_images_small(stride, side):
    network = build("resnet8-cifar", classes=5, stem_stride=stride).eval()
    assert network.relu(network.conv1(torch.rand(1, 3, 96, 96))).shape == (1, 16, side, side)
    assert network.conv1.kernel_size == (2 * stride + 1, 2 * stride + 1)


# Sizes of the heads of CKTF: stem, stages | embedding (papers' code, averaged 8×8 by 8×8 or whole).
POOLED = {
    "resnet20-cifar": (8, [256, 256, 128, 64], 64),
    "resnet56-cifar": (8, [256, 256, 128, 64], 64),
    "resnet8x4-cifar": (8, [512, 1024, 512, 256], 256),
    "wrn-16-2": (8, [256, 512, 256, 128], 128),
    "wrn-40-1": (8, [256, 256, 128, 64], 64),
    "vgg8": (None, [64, 128, 256, 512, 512], 512),
    "vgg19": (None, [64, 128, 256, 512, 512], 512),
    "resnet10-64": (None, [64, 64, 128, 256, 512], 512),
    "resnet34-64": (None, [64, 64, 128, 256, 512], 512),
    "resnet50-64": (None, [64, 256, 512, 1024, 2048], 2048),
}


@pytest.mark.parametrize("name", POOLED)
def test_places_have_the_widths_of_cktfs_heads(name):
    kernel, widths, embedding = POOLED[name]
    network = build(name, classes=10).eval()
    with torch.no_grad():
        seen = read(network, torch.rand(1, 3, 32, 32))
    maps = [seen["stem"], *(seen[f"stages.{i}"] for i in range(len(widths) - 1))]
    pooled = [F.avg_pool2d(x, kernel) if kernel else F.adaptive_avg_pool2d(x, 1) for x in maps]
    assert [x.flatten(1).shape[1] for x in pooled] == widths
    assert seen["embedding"].shape == (1, embedding)


@pytest.mark.parametrize(
    ("name", "size", "shapes"),
    [
        ("resnet20-cifar", 32, [(16, 32), (16, 32), (32, 16), (64, 8)]),
        ("wrn-16-2", 32, [(16, 32), (32, 32), (64, 16), (128, 8)]),
        ("resnet18-64", 64, [(64, 64), (64, 64), (128, 32), (256, 16), (512, 8)]),
        ("vgg8", 32, [(64, 32), (128, 16), (256, 8), (512, 4), (512, 4)]),
        ("vgg8", 64, [(64, 64), (128, 32), (256, 16), (512, 8), (512, 4)]),
        ("mobilenetv2-cifar", 32, [(16, 16), (12, 16), (16, 8), (48, 4), (160, 2)]),
        ("shufflenetv1-cifar", 32, [(24, 32), (240, 16), (480, 8), (960, 4)]),
        ("shufflenetv2-cifar", 32, [(24, 32), (116, 16), (232, 8), (464, 4)]),
    ],
)
def test_places_have_the_resolution_of_the_papers(name, size, shapes):
    network = build(name, classes=10).eval()
    with torch.no_grad():
        seen = read(network, torch.rand(1, 3, size, size))
    maps = [seen["stem"], *(seen[f"stages.{i}"] for i in range(len(shapes) - 1))]
    assert [tuple(x.shape[1:]) for x in maps] == [(c, side, side) for c, side in shapes]


@pytest.mark.parametrize("name", FAMILIES)
def test_places_are_activated_but_for_the_networks_that_say_otherwise(name):
    network = build(name, classes=10, seed=0)
    with torch.no_grad():
        seen = read(network, torch.randn(4, 3, 16, 16))
    plain_stem = name.startswith("wrn")
    plain_stages = name.startswith(("wrn", "mobilenet"))
    assert (float(seen["stem"].min()) < 0) == plain_stem
    for layer, value in seen.items():
        if layer.startswith("stages"):
            assert (float(value.min()) < 0) == plain_stages, layer
    assert float(seen["embedding"].min()) >= 0


@pytest.mark.parametrize("name", FAMILIES)
def test_channels_last_goes_through_and_changes_nothing(name):
    network = build(name, classes=6, seed=0).eval()
    x = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        want = network(x)
        network.to(memory_format=torch.channels_last)
        seen = read(network, x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(seen["logits"], want, rtol=1e-3, atol=1e-4)
    for layer, value in seen.items():
        if value.ndim == 4:
            assert value.is_contiguous(memory_format=torch.channels_last), layer


def spread(network):
    """Batch norms that are not the identity, so that a forgotten one is seen."""
    torch.manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()


@pytest.mark.parametrize("depth", [18, 34, 50])
def test_resnet_is_torchvisions_with_a_small_stem(depth):
    models = pytest.importorskip("torchvision.models")
    network = spread(ResNet(depth, classes=9))
    other = models.get_model(f"resnet{depth}", num_classes=9).eval()
    other.conv1, other.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    other.load_state_dict(network.state_dict(), strict=True)
    x = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(network(x), other(x), rtol=1e-4, atol=1e-4)


def norm(state, path, x):
    names = ("running_mean", "running_var", "weight", "bias")
    return F.batch_norm(x, *(state[f"{path}.{name}"] for name in names))


def cifar_forward(state, x, blocks):
    x = F.relu(norm(state, "bn1", F.conv2d(x, state["conv1.weight"], padding=1)))
    for number in (1, 2, 3):
        for block in range(blocks):
            path = f"layer{number}.{block}"
            stride = 2 if number > 1 and block == 0 else 1
            out = F.conv2d(x, state[f"{path}.conv1.weight"], stride=stride, padding=1)
            out = F.relu(norm(state, f"{path}.bn1", out))
            out = norm(
                state, f"{path}.bn2", F.conv2d(out, state[f"{path}.conv2.weight"], padding=1)
            )
            if f"{path}.downsample.0.weight" in state:
                x = F.conv2d(x, state[f"{path}.downsample.0.weight"], stride=stride)
                x = norm(state, f"{path}.downsample.1", x)
            x = F.relu(out + x)
    return F.linear(x.flatten(2).mean(2), state["fc.weight"], state["fc.bias"])


@pytest.mark.parametrize("options", [{}, {"widths": (4, 12, 8), "stem": 6}])
def test_cifar_resnet_is_its_formula(options):
    network = spread(CifarResNet(14, classes=5, channels=1, **options))
    x = torch.rand(2, 1, 16, 16)
    with torch.no_grad():
        want = cifar_forward(network.state_dict(), x, 2)
        torch.testing.assert_close(network(x), want, rtol=1e-4, atol=1e-4)


def wide_forward(state, x, blocks):
    x = F.conv2d(x, state["conv1.weight"], padding=1)
    for number in (1, 2, 3):
        for block in range(blocks):
            path = f"layer{number}.{block}"
            stride = 2 if number > 1 and block == 0 else 1
            active = F.relu(norm(state, f"{path}.bn1", x))
            out = F.conv2d(active, state[f"{path}.conv1.weight"], stride=stride, padding=1)
            out = F.relu(norm(state, f"{path}.bn2", out))
            out = F.conv2d(out, state[f"{path}.conv2.weight"], padding=1)
            if f"{path}.downsample.weight" in state:
                x = F.conv2d(active, state[f"{path}.downsample.weight"], stride=stride)
            x = out + x
    x = F.relu(norm(state, "bn1", x))
    return F.linear(x.flatten(2).mean(2), state["fc.weight"], state["fc.bias"])


@pytest.mark.parametrize("factor", [1, 2])
def test_wide_resnet_is_its_formula(factor):
    network = spread(WideResNet(16, factor, classes=5))
    x = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        want = wide_forward(network.state_dict(), x, 2)
        torch.testing.assert_close(network(x), want, rtol=1e-4, atol=1e-4)


def vgg_forward(state, x, counts, pools):
    for group, count in enumerate(counts):
        for number in range(count):
            path = f"layer{group}.{number}"
            x = F.conv2d(x, state[f"{path}.conv.weight"], state[f"{path}.conv.bias"], padding=1)
            x = F.relu(norm(state, f"{path}.bn", x))
        x = F.max_pool2d(x, 2) if group < pools else x
    return F.linear(x.flatten(2).mean(2), state["fc.weight"], state["fc.bias"])


@pytest.mark.parametrize(("size", "pools"), [(16, 3), (32, 3), (64, 4)])
def test_vgg_is_its_formula(size, pools):
    network = spread(VGG(11, classes=5))
    x = torch.rand(1, 3, size, size)
    with torch.no_grad():
        want = vgg_forward(network.state_dict(), x, (1, 1, 2, 2, 2), pools)
        torch.testing.assert_close(network(x), want, rtol=1e-4, atol=1e-4)


def same_weights(source, target):
    """Copy by order: the two name the same tensors differently."""
    values = source.state_dict().values()
    names = target.state_dict().keys()
    target.load_state_dict(dict(zip(names, values, strict=True)), strict=True)
    return target.eval()


@pytest.mark.parametrize(("inputs", "outputs", "stride"), [(8, 8, 1), (8, 12, 1), (8, 8, 2)])
def test_inverted_residual_is_torchvisions_below_its_limit_of_six(inputs, outputs, stride):
    teacher = pytest.importorskip("torchvision.models.mobilenetv2")
    block = spread(InvertedResidual(inputs, outputs, stride, 6))
    other = same_weights(block, teacher.InvertedResidual(inputs, outputs, stride, 6))
    x = torch.randn(2, inputs, 9, 9)
    with torch.no_grad():
        torch.testing.assert_close(block(x), other(x), rtol=1e-4, atol=1e-5)


def test_blocks_of_shufflenetv2_are_torchvisions():
    teacher = pytest.importorskip("torchvision.models.shufflenetv2")
    x = torch.randn(2, 12, 9, 9)
    for block, other in [
        (SplitBlock(12), teacher.InvertedResidual(12, 12, 1)),
        (HalvingBlock(12, 20), teacher.InvertedResidual(12, 20, 2)),
    ]:
        other = same_weights(spread(block), other)
        with torch.no_grad():
            torch.testing.assert_close(block(x), other(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("inputs", "outputs", "halve"), [(24, 48, True), (36, 36, False)])
def test_block_of_shufflenetv1_is_its_formula(inputs, outputs, halve):
    block = spread(GroupedBlock(inputs, outputs, groups=3, halve=halve))
    state = block.state_dict()
    first, stride = (1, 2) if halve else (3, 1)
    x = torch.randn(2, inputs, 8, 8)
    with torch.no_grad():
        inner = F.relu(norm(state, "bn1", F.conv2d(x, state["conv1.weight"], groups=first)))
        order = [g * (inner.shape[1] // first) + i for i in range(inner.shape[1] // first)
                 for g in range(first)]  # fmt: skip
        inner = inner[:, order]
        inner = F.conv2d(
            inner, state["conv2.weight"], stride=stride, padding=1, groups=inner.shape[1]
        )
        inner = F.relu(norm(state, "bn2", inner))
        out = norm(state, "bn3", F.conv2d(inner, state["conv3.weight"], groups=3))
        pooled = F.avg_pool2d(x, 3, 2, 1)
        want = F.relu(torch.cat([out, pooled], 1) if halve else out + x)
        torch.testing.assert_close(block(x), want, rtol=1e-4, atol=1e-5)


def test_pre_activation_of_a_resnet_block_can_be_read():
    network = CifarResNet(8, classes=3, widths=(4, 4, 4))
    seen = {}
    block = network.layer3[-1]
    block.relu2.register_forward_pre_hook(lambda module, args: seen.update(before=args[0]))
    block.register_forward_hook(lambda module, args, out: seen.update(after=out))
    with torch.no_grad():
        network(torch.randn(4, 3, 16, 16))
    assert float(seen["before"].min()) < 0
    assert torch.equal(seen["before"].clamp(min=0), seen["after"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CifarResNet(21, classes=2), r"6 n \+ 2 layers .*, not 21"),
        (lambda: CifarResNet(2, classes=2), r"6 n \+ 2 layers .*, not 2"),
        (lambda: ResNet(11, classes=2), "has 10, 18, 34, 50 layers, not 11"),
        (lambda: WideResNet(17, 1, classes=2), r"6 n \+ 4 layers .*, not 17"),
        (lambda: WideResNet(16, 0, classes=2), "at least 1, not 0"),
        (lambda: VGG(10, classes=2), "has 8, 11, 13, 16, 19 layers, not 10"),
        (lambda: MobileNetV2(classes=2, width=0.01), "width=0.01"),
        (lambda: MobileNetV2(classes=2, expansion=0), "expansion=0"),
        (lambda: ShuffleNetV1(classes=2, groups=7), "into 7 groups"),
        (lambda: ShuffleNetV2(classes=2, widths=(15, 30, 60, 64)), r"even widths, not \(15"),
    ],
)
def test_wrong_sizes_are_refused(make, message):
    with pytest.raises(MenteeError, match=message):
        make()


@pytest.mark.parametrize("name", [name for name in FAMILIES if not name.startswith("shuffle")])
def test_weights_are_drawn_as_in_the_lineage(name):
    network = build(name, classes=100, seed=0)
    for path, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            area = module.kernel_size[0] * module.kernel_size[1]
            want = (2 / (area * module.out_channels)) ** 0.5
            tolerance = 5 / (2 * module.weight.numel()) ** 0.5
            assert float(module.weight.detach().std()) == pytest.approx(want, rel=tolerance), path
    small = name.startswith(("vgg", "mobilenet"))
    uniform = (3 * network.fc.in_features) ** -0.5  # U(-1/√d, 1/√d), as PyTorch draws it
    want = 0.01 if small else uniform
    assert float(network.fc.weight.detach().std()) == pytest.approx(want, rel=0.05)
    assert bool(network.fc.bias.any()) != (small or name.startswith("wrn"))
