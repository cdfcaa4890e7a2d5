"""Parameter counts, by arithmetic that shares nothing with the package, and as published.

Published: the compression ratios of CKTF's README (tables for CIFAR-100 and Tiny-ImageNet), the
count of VGG-13 in a comment of its code, and the counts of the networks of CRD's code, which the
arithmetic here repeats one by one from the descriptions of the papers.
"""

from __future__ import annotations

import pytest
import torch

from mentee.models import NETWORKS, build, count_parameters


def conv(inputs, outputs, kernel, groups=1):
    return kernel * kernel * inputs * outputs // groups


def conv_norm(inputs, outputs, kernel, groups=1):
    return conv(inputs, outputs, kernel, groups) + 2 * outputs


def linear(inputs, outputs):
    return inputs * outputs + outputs


def cifar_resnet(depth, classes, stem=16, widths=(16, 32, 64)):
    n = (depth - 2) // 6
    total = conv_norm(3, stem, 3) + linear(widths[-1], classes)
    for number, (into, out) in enumerate(zip((stem, *widths), widths, strict=False)):
        total += conv_norm(into, out, 3) + (2 * n - 1) * conv_norm(out, out, 3)
        total += conv_norm(into, out, 1) if number > 0 or into != out else 0
    return total


def resnet(blocks, classes, bottleneck=False):
    total, into = conv_norm(3, 64, 3), 64
    for number, (width, count) in enumerate(zip((64, 128, 256, 512), blocks, strict=True)):
        for block in range(count):
            out = 4 * width if bottleneck else width
            if bottleneck:
                total += conv_norm(into, width, 1) + conv_norm(width, width, 3)
                total += conv_norm(width, out, 1)
            else:
                total += conv_norm(into, width, 3) + conv_norm(width, width, 3)
            if block == 0 and (number > 0 or bottleneck):
                total += conv_norm(into, out, 1)
            into = out
    return total + linear(into, classes)


def wide_resnet(depth, factor, classes):
    n = (depth - 4) // 6
    total, into = conv(3, 16, 3), 16
    for width in (16 * factor, 32 * factor, 64 * factor):
        for _ in range(n):
            total += 2 * into + conv(into, width, 3) + 2 * width + conv(width, width, 3)
            total += conv(into, width, 1) if into != width else 0
            into = width
    return total + 2 * into + linear(into, classes)


def vgg(counts, classes):
    total, into = 0, 3
    for width, count in zip((64, 128, 256, 512, 512), counts, strict=True):
        for _ in range(count):
            total += conv_norm(into, width, 3) + width  # the bias of the convolution
            into = width
    return total + linear(into, classes)


def mobilenetv2(classes):
    # The paper's table 2 (t, c, n) at half the width, the last convolution at full width.
    table = [(1, 8, 1), (6, 12, 2), (6, 16, 3), (6, 32, 4), (6, 48, 3), (6, 80, 3), (6, 160, 1)]
    total, into = conv_norm(3, 16, 3), 16
    for t, c, n in table:
        for _ in range(n):
            inner = t * into
            total += conv_norm(into, inner, 1) + conv_norm(inner, inner, 3, groups=inner)
            total += conv_norm(inner, c, 1)
            into = c
    return total + conv_norm(into, 1280, 1) + linear(1280, classes)


def shufflenetv1(classes):
    total, into = conv_norm(3, 24, 1), 24
    for width, count in ((240, 4), (480, 8), (960, 4)):
        for block in range(count):
            added = width - into if block == 0 else width
            inner = added // 4
            total += conv_norm(into, inner, 1, groups=1 if into == 24 else 3)
            total += conv_norm(inner, inner, 3, groups=inner) + conv_norm(inner, added, 1, groups=3)
            into = width
    return total + linear(960, classes)


def shufflenetv2(classes):
    total, into = conv_norm(3, 24, 1), 24
    for width, count in ((116, 4), (232, 8), (464, 4)):
        half = width // 2
        total += conv_norm(into, into, 3, groups=into) + 2 * conv_norm(into, half, 1)
        total += conv_norm(half, half, 3, groups=half) + conv_norm(half, half, 1)
        unit = 2 * conv_norm(half, half, 1) + conv_norm(half, half, 3, groups=half)
        total += (count - 1) * unit
        into = width
    return total + conv_norm(464, 1024, 1) + linear(1024, classes)


def mobile_fcn(classes):
    # Two convolutions, six separable ones, batch norm behind each filter and over 96 mels.
    total = 2 * 96 + conv_norm(1, 64, 3) + conv_norm(64, 128, 3)
    for into, out in ((128, 128), (128, 128), (128, 128), (128, 256), (256, 256), (256, 256)):
        total += conv_norm(into, into, 3, groups=into) + conv_norm(into, out, 1)
    return total + linear(256, classes)


def small_fcn(classes):
    total = 2 * 64 + conv_norm(1, 16, 3) + conv_norm(16, 48, 3)
    for into, out in ((48, 96), (96, 96), (96, 160), (160, 160)):
        total += conv_norm(into, into, 3, groups=into) + conv_norm(into, out, 1)
    return total + linear(160, classes)


def cp_resnet(classes):
    # rho = 7: kernels of the blocks' two convolutions, as published for the three stages.
    total, into = 2 * 128 + conv_norm(1, 128, 5), 128
    for out, kernels in (
        (128, [(3, 1), (3, 3), (3, 3), (3, 3)]),
        (256, [(3, 1), (1, 3), (1, 3), (1, 3)]),
        (512, [(1, 1), (1, 1), (1, 1), (1, 1)]),
    ):
        for first, second in kernels:
            total += conv_norm(into, out, first) + conv_norm(out, out, second)
            total += conv_norm(into, out, 1) if into != out else 0
            into = out
    return total + linear(512, classes)


def hashed_bag(buckets, width, classes):
    return (buckets + 1) * width + linear(width, classes)


def char_cnn(width, widths, classes):
    total, into = 256 * width + conv_norm(width, widths[0], 5), widths[0]
    for out in widths[1:]:
        total += conv_norm(into, out, 3) - 6 * into * out + conv_norm(out, out, 3) - 6 * out * out
        into = out
    return total - 20 * width * widths[0] + linear(2 * into, classes)


def count(name, classes):
    with torch.device("meta"):  # shapes alone: no weights are drawn
        return count_parameters(build(name, classes=classes))


X4 = {"stem": 32, "widths": (64, 128, 256)}
COUNTS = {
    "resnet8-cifar": (cifar_resnet(8, 100), None),
    "resnet14-cifar": (cifar_resnet(14, 100), None),
    "resnet20-cifar": (cifar_resnet(20, 100), 278_324),
    "resnet32-cifar": (cifar_resnet(32, 100), 472_756),
    "resnet44-cifar": (cifar_resnet(44, 100), None),
    "resnet56-cifar": (cifar_resnet(56, 100), 861_620),
    "resnet110-cifar": (cifar_resnet(110, 100), 1_736_564),
    "resnet8x4-cifar": (cifar_resnet(8, 100, **X4), 1_233_540),
    "resnet32x4-cifar": (cifar_resnet(32, 100, **X4), 7_433_860),
    "resnet10-64": (resnet((1, 1, 1, 1), 100), None),
    "resnet18-64": (resnet((2, 2, 2, 2), 100), None),
    "resnet34-64": (resnet((3, 4, 6, 3), 100), None),
    "resnet50-64": (resnet((3, 4, 6, 3), 100, bottleneck=True), 23_705_252),
    "wrn-16-1": (wide_resnet(16, 1, 100), None),
    "wrn-16-2": (wide_resnet(16, 2, 100), 703_284),
    "wrn-40-1": (wide_resnet(40, 1, 100), 569_780),
    "wrn-40-2": (wide_resnet(40, 2, 100), 2_255_156),
    "vgg8": (vgg((1, 1, 1, 1, 1), 100), 3_965_028),
    "vgg11": (vgg((1, 1, 2, 2, 2), 100), None),
    "vgg13": (vgg((2, 2, 2, 2, 2), 100), 9_462_180),
    "vgg16": (vgg((2, 2, 3, 3, 3), 100), None),
    "vgg19": (vgg((2, 2, 4, 4, 4), 100), None),
    "mobilenetv2-cifar": (mobilenetv2(100), 812_836),
    "shufflenetv1-cifar": (shufflenetv1(100), 949_258),
    "shufflenetv2-cifar": (shufflenetv2(100), 1_355_528),
    "small-fcn": (small_fcn(100), None),
    "mobile-fcn": (mobile_fcn(100), None),
    "cp-resnet": (cp_resnet(100), None),
    "hashed-bag": (hashed_bag(60_000, 16, 100), None),
    "hashed-bag-small": (hashed_bag(5_800, 16, 100), None),
    "char-cnn": (char_cnn(32, (128, 128, 192, 256), 100), None),
    "char-cnn-small": (char_cnn(16, (48, 48, 64, 96), 100), None),
}


def test_every_network_of_the_table_is_counted_here():
    assert set(COUNTS) == set(NETWORKS)


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_are_those_of_the_arithmetic_and_of_the_papers(name):
    by_hand, published = COUNTS[name]
    given = count(name, 100)
    assert given == by_hand
    assert published in (None, given)


def test_the_shared_teacher_has_its_published_size():
    assert count("resnet20-cifar", 10) == 272_474


@pytest.mark.parametrize(
    ("name", "classes", "published"), [("cp-resnet", 20, 5.53e6), ("mobile-fcn", 50, 0.314e6)]
)
def test_students_of_east_have_their_published_sizes(name, classes, published):
    assert count(name, classes) == pytest.approx(published, rel=0.002)


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("small-fcn", 1e5),
        ("hashed-bag-small", 1e5),
        ("char-cnn-small", 1e5),
        ("hashed-bag", 1e6),
        ("char-cnn", 1e6),
    ],
)
def test_small_networks_of_audio_and_text_keep_their_limits(name, limit):
    assert count(name, 20) < limit


@pytest.mark.parametrize(
    ("teacher", "student", "classes", "ratio"),
    [
        ("wrn-40-2", "wrn-16-2", 100, 3.21),
        ("wrn-40-2", "wrn-40-1", 100, 3.96),
        ("resnet56-cifar", "resnet20-cifar", 100, 3.10),
        ("resnet110-cifar", "resnet20-cifar", 100, 6.24),
        ("resnet110-cifar", "resnet32-cifar", 100, 3.67),
        ("resnet32x4-cifar", "resnet8x4-cifar", 100, 6.03),
        ("vgg13", "vgg8", 100, 2.39),
        ("vgg19", "vgg8", 200, 5.01),
        ("vgg16", "vgg11", 200, 1.59),
        ("resnet34-64", "resnet10-64", 200, 4.28),
        ("resnet50-64", "resnet10-64", 200, 4.78),
    ],
)
def test_pairs_have_the_compression_ratio_of_cktfs_tables(teacher, student, classes, ratio):
    assert round(count(teacher, classes) / count(student, classes), 2) == ratio
