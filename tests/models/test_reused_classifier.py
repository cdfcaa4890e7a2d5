"""A student that ends in a teacher's classifier: what it says, keeps and drops."""

import copy

import numpy as np
import pytest
import torch
from tests.representations import formulas
from torch import nn

from mentee.features import resolve
from mentee.models import ReusedClassifierStudent, build, count_parameters


def reusing(trunk, name, x, shape, **more):
    (layer,) = resolve(trunk, [name], x)
    return ReusedClassifierStudent(trunk, layer, shape=shape, classes=7, **({"drops": []} | more))


def small(**more):
    """A trunk of one convolution, in double precision, with norms that are no identities."""
    torch.manual_seed(1)
    trunk = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Flatten(), nn.Linear(48, 5)).double()
    x = torch.randn(4, 2, 4, 4, dtype=torch.float64)
    student = reusing(trunk, "0", x, **({"shape": (6, 4, 4), "drops": ["2"]} | more)).double()
    for module in student.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return student.eval(), x


def normed(x, norm):
    a = norm.weight / (norm.running_var + norm.eps).sqrt()
    b = norm.bias - norm.running_mean * a
    return x * a.detach().numpy()[:, None, None] + b.detach().numpy()[:, None, None]


def said_in_loops(student, example):
    """Convolutions, norms and ReLU of the projector, the mean, the classifier."""
    for layer in student.projector:
        if isinstance(layer, nn.Conv2d):
            weight = layer.weight.detach().numpy()
            example = formulas.convolved(example, weight, np.zeros(len(weight)))
        elif isinstance(layer, nn.BatchNorm2d):
            example = normed(example, layer)
        else:
            example = np.maximum(example, 0)
    classifier = student.classifier
    mean = np.array([channel.mean() for channel in example])
    return mean @ classifier.weight.numpy().T + classifier.bias.numpy()


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("factor", [2, 3, 100])
def test_it_says_the_classifier_of_the_projected_map(factor, signed):
    student, x = small(factor=factor, signed=signed)
    maps = student.trunk[0](x).detach().numpy()
    expected = [said_in_loops(student, example) for example in maps]
    np.testing.assert_allclose(student(x).detach().numpy(), expected, rtol=1e-9)
    assert student.projector[0].out_channels == max(6 // factor, 1)
    assert isinstance(student.projector[-1], nn.BatchNorm2d if signed else nn.ReLU)


def test_a_finer_map_is_averaged_first_and_a_coarser_one_is_not():
    student, x = small(shape=(6, 2, 8))
    maps = student.trunk[0](x).detach().numpy()
    halves = maps.reshape(4, 3, 2, 2, 4).mean(3)
    expected = [said_in_loops(student, example) for example in halves]
    np.testing.assert_allclose(student(x).detach().numpy(), expected, rtol=1e-9)


def test_vectors_go_through_linear_layers():
    trunk = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    student = reusing(trunk, "embedding", torch.zeros(2, 4), (9,), drops=["2"]).eval()
    x = torch.randn(5, 4)
    expected = student.classifier(student.projector(trunk[1](trunk[0](x))))
    assert torch.equal(student(x), expected)
    kinds = [type(layer).__name__ for layer in student.projector]
    assert kinds == ["Linear", "BatchNorm1d", "ReLU"] * 3


def test_the_classifier_is_taken_over_and_never_trained():
    student, x = small()
    weight, bias = torch.randn(7, 6).double(), torch.randn(7).double()
    student.copy_classifier(weight, bias)
    student.train()(x).square().sum().backward()
    assert torch.equal(student.classifier.weight, weight)
    assert torch.equal(student.classifier.bias, bias)
    learned = {name for name, p in student.named_parameters() if p.requires_grad}
    assert {name.partition(".")[0] for name in learned} == {"trunk", "projector"}
    assert all(p.grad.any() for p in student.parameters() if p.requires_grad)
    without, _ = small(bias=False)
    without.copy_classifier(weight, None)
    assert without.classifier.bias is None


def test_what_is_dropped_is_neither_counted_nor_kept():
    trunk = build("mobilenetv2-cifar", classes=5, seed=0)
    whole = count_parameters(trunk)
    tail = sum(count_parameters(getattr(trunk, name)) for name in ("conv2", "bn2", "fc"))
    x = torch.zeros(2, 3, 32, 32)
    student = reusing(trunk, "stages.last", x, (64, 8, 8), drops=["conv2", "bn2", "fc"])
    end = count_parameters(student.projector) + count_parameters(student.classifier)
    assert count_parameters(student) == whole - tail + end
    assert not [n for n in student.state_dict() if n.startswith(("trunk.conv2", "trunk.fc"))]


def test_a_copy_reads_its_own_trunk():
    """As the moving average and a trial of layouts copy it."""
    student, x = small()
    twin = copy.deepcopy(student)
    with torch.no_grad():
        for p in twin.trunk.parameters():
            p.zero_()
    assert not torch.equal(student(x), twin(x))
    assert torch.equal(student(x), copy.deepcopy(student)(x))


def test_a_map_that_is_written_over_is_read_before():
    trunk = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(64, 5))
    x = torch.randn(2, 3, 4, 4)
    student = reusing(trunk, "0", x, (8, 4, 4), drops=["3"]).eval()
    assert student.layer.overwritten
    expected = student.classifier(student.projector(trunk[0](x)).mean((2, 3)))
    torch.testing.assert_close(student(x), expected)


def test_its_places_are_found():
    trunk = build("resnet8-cifar", classes=5, seed=0)
    x = torch.zeros(2, 3, 16, 16)
    student = reusing(
        trunk, "stages.last", x, (24, 4, 4), drops=["fc"], layers=trunk.feature_layers
    )
    result = resolve(student, ["stem", "stages", "projector", "embedding", "logits"], x)
    assert {layer.name: layer.shape for layer in result} == {
        "stem": (16, 16, 16),
        "stages.0": (16, 16, 16),
        "stages.1": (32, 8, 8),
        "stages.2": (64, 4, 4),
        "projector": (24, 4, 4),
        "embedding": (24,),
        "logits": (7,),
    }
