"""A student that ends in its teacher's classifier: trunk, projector, classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mentee.models.layers import conv1x1, conv3x3

PROJECTOR = "projector"
"""Where a student that reuses a classifier is compared with its teacher."""


@runtime_checkable
class Read(Protocol):
    """Where a trunk is read: `mentee.features.Layer` is one."""

    @property
    def path(self) -> str:
        """The module's path."""
        ...

    @property
    def side(self) -> str:
        """`input` or `output` of it."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """What is read of one example: `(c, h, w)` or `(d,)`."""
        ...

    @property
    def overwritten(self) -> bool:
        """Whether the trunk writes over it afterwards."""
        ...

    def deliver(self, tensor: Tensor) -> Tensor:
        """What is read, in that layout."""
        ...


class ReusedClassifierStudent(nn.Module):
    r"""A trunk whose features are projected to a teacher's, which its classifier reads.

    .. math:: z = W \, \mathrm{mean}(P f) + b

    with f what the trunk says at a place (a map finer than the teacher's averaged to that
    resolution), P three convolutions or linear layers, each with a batch norm and a ReLU, and W, b
    the teacher's classifier, which stays as it is. What the trunk has behind the place is dropped.

    Args:
        trunk: a network; it is changed in place.
        place: where it is read.
        drops: paths of the modules behind that, each to become an identity.
        shape: of what the teacher says: `(c, h, w)` or `(d,)`, as the trunk does.
        classes: of the teacher's classifier.
        factor: the projector is so many times narrower within than the teacher.
        bias: whether the classifier has one.
        signed: whether the teacher's features may be below zero; else the projector ends in a ReLU.
        places: where `stem` and `stages` of the trunk are, by paths in it.

    Example:
        >>> import torch
        >>> from mentee.features import resolve
        >>> trunk = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 5))
        >>> (place,) = resolve(trunk, ["0"], torch.zeros(2, 3, 8, 8))
        >>> student = ReusedClassifierStudent(
        ...     trunk, place, drops=["2"], shape=(16, 4, 4), classes=7)
        >>> student(torch.zeros(2, 3, 8, 8)).shape, trunk[2]
        (torch.Size([2, 7]), Identity())

    Source: Chen et al. 2022 (arXiv:2203.14001).
    """

    def __init__(
        self,
        trunk: nn.Module,
        place: Read,
        *,
        drops: Sequence[str],
        shape: Sequence[int],
        classes: int,
        factor: int = 2,
        bias: bool = True,
        signed: bool = False,
        places: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        for path in drops:
            trunk.set_submodule(path, nn.Identity())
        self.trunk, self.place, self.size = trunk, place, tuple(shape[1:])
        inner = max(shape[0] // factor, 1)
        self.projector = projector(place.shape[0], inner, shape[0], maps=len(shape) == 3)
        if not signed:
            self.projector.append(nn.ReLU(inplace=True))
        self.classifier = nn.Linear(shape[0], classes, bias=bias).requires_grad_(False)
        self.places = prefixed(places or {}) | {"classifier": "classifier"}
        self._said: Any = None
        module = trunk.get_submodule(place.path)
        if place.side == "input":
            module.register_forward_pre_hook(self._before)
        else:
            module.register_forward_hook(self._after)

    def forward(self, x: Tensor) -> Float[Tensor, "b k"]:
        """The logits of the teacher's classifier."""
        self.trunk(x)
        said, self._said = self.place.deliver(self._said), None
        if self.size:
            size = min(said.shape[2], self.size[0]), min(said.shape[3], self.size[1])
            said = said if said.shape[2:] == size else F.adaptive_avg_pool2d(said, size)
        projected: Tensor = self.projector(said)
        logits: Tensor = self.classifier(projected.flatten(2).mean(2) if self.size else projected)
        return logits

    def take(self, weight: Tensor, bias: Tensor | None) -> None:
        """Take over a teacher's classifier: `[k, c]` and `[k]`."""
        self.classifier.weight.data.copy_(weight)
        if bias is not None:
            self.classifier.bias.data.copy_(bias)

    def _before(self, module: nn.Module, args: tuple[Tensor, ...]) -> None:
        self._keep(args[0])

    def _after(self, module: nn.Module, args: object, output: Any) -> None:
        self._keep(output)

    def _keep(self, said: Any) -> None:
        tensor = said if isinstance(said, Tensor) else said[0]
        self._said = tensor.clone() if self.place.overwritten else tensor


def projector(inputs: int, inner: int, outputs: int, *, maps: bool) -> nn.Sequential:
    """Three convolutions, the middle one 3×3, or three linear layers, each with a norm behind."""
    layers: list[nn.Module] = (
        [conv1x1(inputs, inner), conv3x3(inner, inner), conv1x1(inner, outputs)]
        if maps
        else [
            nn.Linear(a, b, bias=False)
            for a, b in ((inputs, inner), (inner, inner), (inner, outputs))
        ]
    )
    norm = nn.BatchNorm2d if maps else nn.BatchNorm1d
    first, middle, last = layers
    return nn.Sequential(
        *(first, norm(inner), nn.ReLU(inplace=True)),
        *(middle, norm(inner), nn.ReLU(inplace=True)),
        *(last, norm(outputs)),
    )


def prefixed(places: Mapping[str, Any]) -> dict[str, str | tuple[str, ...]]:
    """Paths in the trunk as paths in the whole.

    Example:
        >>> prefixed({"stem": "conv1", "stages": ("layer1", "layer2")})
        {'stem': 'trunk.conv1', 'stages': ('trunk.layer1', 'trunk.layer2')}
    """
    return {
        name: f"trunk.{said}" if isinstance(said, str) else tuple(f"trunk.{each}" for each in said)
        for name, said in places.items()
    }
