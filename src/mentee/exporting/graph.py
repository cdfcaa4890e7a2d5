"""A student with its preprocessing as one network, which reads what is measured or typed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mentee.features.layer import Layer, first_tensor
from mentee.models.contract import resized
from mentee.representations.pooled import averaged


class ShippedStudent(nn.Module):
    r"""A student behind its normalization, and before the units of its labels.

    .. math:: z = f\bigl((x / 255 - m) / s\bigr), \qquad \hat y = \sigma z + \mu

    Images of uint8 are divided by 255; m, s, σ and μ are left out where they are not given. Audio
    and text are read as they are: their networks hold the log-mel spectrogram or the hashing.

    Args:
        network: the student f; its first output, or the one called `logits`, is taken.
        mean: m of each channel, or of all.
        std: s, as many.
        crop: images of any size come to this height and width first, see `cropped`.
        margin: of `cropped`.
        crop_interpolation: of `cropped`.
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
        crop: int | None = None,
        margin: float = 1.0,
        crop_interpolation: str = "bilinear",
        resize: int | None = None,
        interpolation: str = "bilinear",
        scale: Sequence[float] = (),
        shift: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self.network, self.crop, self.cropping = network, crop, (margin, crop_interpolation)
        self.resize, self.interpolation = resize, interpolation
        self.normalizes, self.has_units = len(mean) > 0, len(scale) > 0
        numbers = {"mean": mean, "std": std, "scale": scale, "shift": shift}
        for name, values in numbers.items():
            self.register_buffer(name, torch.tensor(values), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """The outputs, float32 `[b, k]`."""
        if self.normalizes:
            x = x if self.crop is None else cropped(x, self.crop, *self.cropping)
            x = x.to(torch.float32) / 255 if x.dtype == torch.uint8 else x
            x = x if self.resize is None else resized(x, self.resize, self.interpolation)
            other_axes = [1] * (x.ndim - 2)
            mean, std = (each.reshape(-1, *other_axes) for each in (self.mean, self.std))
            x = (x - mean) / std
        outputs = first_tensor(self.network(x))
        if outputs is None:
            raise TypeError(f"{type(self.network).__name__} returned no tensor")
        return outputs * self.scale + self.shift if self.has_units else outputs


def cropped(x: Tensor, size: int, margin: float, how: str) -> Tensor:
    r"""Images of any size as the views make them: the shorter side resized, the center cut out.

    .. math:: y = R x C^T, \quad
              R_{ij} \propto k\bigl(|j + 1/2 - (i + i_0 + 1/2) r| / \max(r, 1)\bigr)

    antialiased: r is the old side divided by the new one, i₀ where the center begins, and k the
    triangle 1 − d, or Keys' cubic with a = −1/2. Images of the size that is wanted stay as they
    are.

    Args:
        x: uint8 `[b, c, h, w]`.
        size: s, height and width wanted.
        margin: the shorter side comes to margin times size.
        how: the interpolation, `bilinear` or `bicubic`.

    Returns:
        uint8 `[b, c, s, s]`; by rounding, a pixel may be one level off that of the views.
    """
    ones = [torch.ones_like(x[0, 0, :, 0], dtype=torch.float32)]
    ones.append(torch.ones_like(x[0, 0, 0, :], dtype=torch.float32))
    sides = [each.sum() for each in ones]  # as tensors, since a graph has any
    ready = (sides[0] == size) & (sides[1] == size)
    shorter = torch.where(ready, float(size), float(round(size * margin)))
    weights = []
    for line, side in zip(ones, sides, strict=True):
        large = (side * shorter / torch.minimum(*sides)).round().clamp(min=size)
        ratio, first = side / large, ((large - size) / 2).floor()
        centers = (torch.arange(size, device=x.device) + first + 0.5) * ratio
        d = (line.cumsum(0) - 0.5 - centers[:, None]).abs() / ratio.clamp(min=1)
        weight = (1 - d).clamp(min=0)
        if how == "bicubic":
            far = torch.where(d < 2, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2, 0.0)
            weight = torch.where(d < 1, 1.5 * d**3 - 2.5 * d**2 + 1, far)
        weights.append(weight / weight.sum(1, keepdim=True))
    rows, columns = weights
    narrow = (x.to(torch.float32) @ columns.T).round().clamp(0, 255)  # rounded twice, as torch does
    return (rows @ narrow).round().clamp(0, 255).to(torch.uint8)


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
            module.register_forward_pre_hook(lambda module, args: self._store(args[0]))
        else:
            module.register_forward_hook(lambda module, args, output: self._store(output))

    def forward(self, x: Tensor) -> Tensor:
        """The layer, `[b, d]`."""
        self.network(x)
        return averaged(self.layer.deliver(self.read.pop()))

    def _store(self, value: Tensor) -> None:
        self.read[:] = [value]
