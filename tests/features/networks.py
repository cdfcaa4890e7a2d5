"""Small networks that are written by hand, and a table of architectures from timm."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

# Name and input size, the smallest the architecture allows.
TIMM = {
    "resnet18": 64,
    "resnet26d": 64,
    "mobilenetv3_small_050": 64,
    "efficientnet_lite0": 64,
    "convnext_atto": 64,
    "regnetx_002": 64,
    "densenet121": 64,
    "vgg11_bn": 32,
    "ghostnet_050": 64,
    "edgenext_xx_small": 64,
    "poolformer_s12": 64,
    "mobilevit_xxs": 64,
    "efficientvit_b0": 64,
    "repvgg_a0": 64,
    "vit_tiny_patch16_224": 64,
    "deit_tiny_distilled_patch16_224": 64,
    "mixer_s32_224": 224,
    "swin_tiny_patch4_window7_224": 224,
    "levit_128s": 224,
    "efficientformer_l1": 224,
    "coat_lite_tiny": 64,
}
SIZED = ("vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "coat_lite_tiny")


@functools.cache
def from_timm(name: str) -> tuple[nn.Module, Tensor]:
    """A network with random weights in eval mode, and two images for it."""
    import timm

    torch.manual_seed(0)
    smaller = {"img_size": TIMM[name]} if name in SIZED else {}
    smaller |= {"mlp_ratio": 0.01} if name.startswith("vgg") else {}  # its head is 120 M weights
    network = timm.create_model(name, pretrained=False, num_classes=7, **smaller).eval()
    return network, torch.randn(2, 3, TIMM[name], TIMM[name])


class Block(nn.Module):
    """A residual block whose last activation works in place, as most do."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1)
        self.bn1 = nn.BatchNorm2d(after)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1)
        self.short = nn.Conv2d(before, after, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(self.relu(self.bn1(self.conv1(x))))
        out += self.short(x)
        return self.relu(out)


class Undeclared(nn.Module):
    """A residual network of three stages that says nothing about itself."""

    def __init__(self, widths: tuple[int, ...] = (8, 12, 16), classes: int = 5) -> None:
        super().__init__()
        self.entry = nn.Conv2d(3, widths[0], 3, padding=1)
        self.norm = nn.BatchNorm2d(widths[0])
        self.act = nn.ReLU(inplace=True)
        pairs = zip((widths[0], *widths), widths, strict=False)
        self.body = nn.ModuleList(
            nn.Sequential(Block(a, b, 1 if i == 0 else 2), Block(b, b, 1))
            for i, (a, b) in enumerate(pairs)
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.out = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm(self.entry(x)))
        for stage in self.body:
            x = stage(x)
        return self.out(self.pool(x).flatten(1))


class Declared(Undeclared):
    """The same network, which names its layers itself, and not as the general rule would."""

    feature_layers: ClassVar = {"stem": "norm", "stages": ("body.0", "body.2"), "classifier": "out"}


@dataclass
class Answer:
    """What libraries of language models return."""

    loss: Tensor | None
    logits: Tensor


class Answering(nn.Module):
    """A network that returns a tuple, a mapping or an object."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form
        self.inner = Undeclared()

    def forward(self, x: Tensor) -> object:
        logits = self.inner(x)
        if self.form == "tuple":
            return logits, x
        if self.form == "mapping":
            return {"features": x, "logits": logits}
        return Answer(loss=None, logits=logits)


class Waves(nn.Module):
    """One-dimensional convolutions over `[b, c, t]`."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv1d(1, 6, 5, padding=2), nn.ReLU())
        self.second = nn.Sequential(nn.Conv1d(6, 10, 5, 2, 2), nn.BatchNorm1d(10), nn.ReLU())
        self.third = nn.Sequential(nn.Conv1d(10, 12, 5, 2, 2), nn.ReLU())
        self.head = nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.third(self.second(self.first(x))).mean(-1))


class ChannelsLast(nn.Module):
    """Works on `[b, h, w, c]` inside, and does not say so."""

    def __init__(self) -> None:
        super().__init__()
        self.entry = nn.Conv2d(3, 24, 2, 2)
        self.mix = nn.Linear(24, 40)
        self.head = nn.Linear(40, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.mix(self.entry(x).permute(0, 2, 3, 1)).mean((1, 2)))
