"""A layer: one point where a network is read, and the form in which its tensor is delivered."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from torch import Tensor

IO: TypeAlias = Literal["output", "input"]
Layout: TypeAlias = Literal["map", "tokens", "vector"]

LAYOUTS: dict[int, Layout] = {2: "vector", 3: "tokens", 4: "map"}
"""The layout by the number of axes, with the batch's."""


@dataclass(frozen=True)
class Layer:
    """Where a network is read, and what is delivered from there.

    Attributes:
        name: its key among the features: `logits`, `stages.1`, `layer2.0.conv1`, ...
        path: the module's path in the network; "" is the whole network.
        io: whether the module's output is read, or its input.
        shape: the delivered shape without the batch.
        layout: "map" `[c, h, w]`, "tokens" `[t, d]` or "vector" `[d]`.
        channel_axis: where the network itself has the channels, 1 or -1.
        overwritten: a later in-place operation writes over the tensor, so it is cloned.
        prefix: leading tokens that stand for no patch (class token, registers); 0 where the
            network does not declare them.
    """

    name: str
    path: str
    io: IO
    shape: tuple[int, ...]
    layout: Layout
    channel_axis: int = 1
    overwritten: bool = False
    prefix: int = 0

    @property
    def is_result(self) -> bool:
        """Whether it is the output of the whole network."""
        return self.path == "" and self.io == "output"

    def deliver(self, tensor: Tensor) -> Tensor:
        """The network's tensor in this layer's layout; a view, no copy.

        Example:
            >>> import torch
            >>> layer = Layer("stages.0", "layers.0", "output", (96, 7, 5), "map", channel_axis=-1)
            >>> layer.deliver(torch.zeros(2, 7, 5, 96)).shape
            torch.Size([2, 96, 7, 5])
        """
        if self.layout == "vector":
            return tensor.flatten(1)
        axis = 1 if self.layout == "map" else -1
        return tensor if axis == self.channel_axis else tensor.movedim(self.channel_axis, axis)


def layout_of(tensor: Tensor, examples: int) -> Layout | None:
    """The layout by the number of axes; None where the first axis is not the batch."""
    if tensor.ndim == 0 or tensor.shape[0] != examples:
        return None
    return LAYOUTS.get(tensor.ndim)


def first_tensor(value: object) -> Tensor | None:
    """The tensor that a module's output stands for, or None where there is none.

    It is the output itself; else `logits` of a mapping or object; else the first tensor inside.

    Example:
        >>> import torch
        >>> first_tensor({"loss": torch.zeros(()), "logits": torch.zeros(2, 3)}).shape
        torch.Size([2, 3])
    """
    if isinstance(value, Tensor):
        return value
    named = value.get("logits") if isinstance(value, Mapping) else getattr(value, "logits", None)
    if isinstance(named, Tensor):
        return named
    tensors = (first_tensor(part) for part in _parts(value))
    return next((tensor for tensor in tensors if tensor is not None), None)


def named_tensors(value: object, name: str = "") -> dict[str, Tensor]:
    """All tensors of a module's output by name: `logits`, `aux.0`; a tensor alone has no name.

    Example:
        >>> import torch
        >>> list(named_tensors({"loss": torch.zeros(()), "heads": (torch.ones(1), None)}))
        ['loss', 'heads.0']
    """
    if isinstance(value, Tensor):
        return {name: value}
    tensors: dict[str, Tensor] = {}
    for key, part in zip(_names(value), _parts(value), strict=True):
        tensors |= named_tensors(part, f"{name}.{key}" if name else str(key))
    if not tensors and isinstance(logits := getattr(value, "logits", None), Tensor):
        return {f"{name}.logits" if name else "logits": logits}
    return tensors


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        return value.values()
    if isinstance(value, (tuple, list)):
        return value
    if dataclasses.is_dataclass(value):
        return [getattr(value, field.name) for field in dataclasses.fields(value)]
    return ()


def _names(value: object) -> Iterable[object]:
    """Those of `_parts`."""
    if isinstance(value, Mapping):
        return value.keys()
    if isinstance(value, (tuple, list)):
        return getattr(value, "_fields", range(len(value)))
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value)]
    return ()
