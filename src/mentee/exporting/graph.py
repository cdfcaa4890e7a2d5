"""A student with its preprocessing as one network, which reads what is measured or typed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mentee.features.layer import Layer, first_tensor
from mentee.models.contract import resized


class ShippedStudent(nn.Module):
    r"""A student behind its normalization, and before the units of its labels.

    .. math:: z = f\bigl((x / 255 - m) / s\bigr), \qquad \hat y = \sigma z + \mu

    Images of uint8 are divided by 255; m, s, σ and μ are left out where they are not given. Audio
    and text are read as they are: their networks hold the log-mel spectrogram or the hashing.

    Args:
        network: the student f; its first output, or the one called `logits`, is taken.
        mean: m of each channel, or of all.
        std: s, as many.
        resize: images are resized to this height and width first, the center cut out.
        interpolation: by which they are.
        scale: σ of each output.
        shift: μ of each output.
    """

    mean: Tensor
    std: Tensor
    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
        resize: int | None = None,
        interpolation: str = "bilinear",
        scale: Sequence[float] = (),
        shift: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self.network, self.resize, self.interpolation = network, resize, interpolation
        self.normalizes, self.has_units = len(mean) > 0, len(scale) > 0
        numbers = {"mean": mean, "std": std, "scale": scale, "shift": shift}
        for name, values in numbers.items():
            self.register_buffer(name, torch.tensor(values), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """The outputs, float32 `[b, k]`."""
        if self.normalizes:
            x = x.to(torch.float32) / 255 if x.dtype == torch.uint8 else x
            x = x if self.resize is None else resized(x, self.resize, self.interpolation)
            other_axes = [1] * (x.ndim - 2)
            mean, std = (each.reshape(-1, *other_axes) for each in (self.mean, self.std))
            x = (x - mean) / std
        outputs = first_tensor(self.network(x))
        if outputs is None:
            raise TypeError(f"{type(self.network).__name__} returned no tensor")
        return outputs * self.scale + self.shift if self.has_units else outputs


class AtLayer(nn.Module):
    """A network that gives one of its layers as a vector: means over space or time.

    Args:
        network: any module; a hook is added to it.
        layer: where it is read, from `mentee.features.resolve`.
    """

    def __init__(self, network: nn.Module, layer: Layer) -> None:
        super().__init__()
        self.network, self.layer = network, layer
        self.read: list[Tensor] = []
        module = network.get_submodule(layer.path)
        if layer.io == "input":
            module.register_forward_pre_hook(lambda module, args: self.read.append(args[0]))
        else:
            module.register_forward_hook(lambda module, args, output: self.read.append(output))

    def forward(self, x: Tensor) -> Tensor:
        """The layer, `[b, d]`."""
        self.network(x)
        features = self.layer.deliver(self.read.pop())
        if self.layer.layout == "vector":
            return features
        return features.flatten(2).mean(2) if self.layer.layout == "map" else features.mean(1)
