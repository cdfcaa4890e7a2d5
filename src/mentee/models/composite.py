"""Networks of networks: an ensemble, and a student that ends in its teacher's classifier."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mentee.errors import MenteeError
from mentee.features import Layer
from mentee.features.layer import first_tensor
from mentee.models.contract import Contract, InputContract, normalize
from mentee.models.layers import conv1x1, conv3x3

Mean: TypeAlias = Literal["probabilities", "logits"]

PROJECTOR = "projector"
"""The layer at which a student that reuses a classifier is compared with its teacher."""


class Ensemble(nn.Module):
    r"""Networks of the same classes as one, by the mean of their outputs.

    .. math:: z = \log \frac{1}{m} \sum_j \mathrm{softmax}(z_j)
              \quad \text{or} \quad z = \frac{1}{m} \sum_j z_j

    The arithmetic mean of their probabilities, or, up to a constant, the geometric one. Where an
    example may have several classes, the probabilities are those of each class alone, and z is
    their mean's log-odds.

    Args:
        networks: at least one.
        contracts: the input contract of each, for inputs that are not normalized yet.
        mean: of probabilities or of logits.
        several: whether an example may have several classes.

    Raises:
        MenteeError: there are none, or not as many contracts.

    Example:
        >>> none = InputContract((0.0,), (1.0,))
        >>> two = Ensemble([nn.Identity(), nn.ReLU()], [none, none], mean="logits")
        >>> two(torch.tensor([[[[-2.0, 4.0]]]])).flatten().tolist()
        [-1.0, 4.0]

    Source: Hinton et al. 2015 (arXiv:1503.02531) for both means; Lakshminarayanan et al. 2017
    (arXiv:1612.01474), deep ensembles, for that of probabilities.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        contracts: Sequence[Contract],
        *,
        mean: Mean = "probabilities",
        several: bool = False,
    ) -> None:
        super().__init__()
        if not networks or len(networks) != len(contracts):
            raise MenteeError(
                f"an ensemble of {len(networks)} networks got {len(contracts)} input contracts; "
                "expected at least one network, and as many of either"
            )
        self.networks, self.contracts = nn.ModuleList(networks), tuple(contracts)
        self.mean, self.several = mean, several

    def forward(self, x: Tensor) -> Float[Tensor, "b ..."]:
        """The mean, in float32 at least."""
        pairs = zip(self.networks, self.contracts, strict=True)
        outputs = [network(normalize(x, contract)) for network, contract in pairs]
        taken = [first_tensor(each) for each in outputs]
        logits = [each.float() for each in taken if each is not None]
        if len({each.shape for each in logits}) > 1:
            counts = ", ".join(str(each.shape[-1]) for each in logits)
            raise MenteeError(
                f"the networks of an ensemble have {counts} outputs; expected the same classes in "
                "the same order"
            )
        return mean_of(torch.stack(logits), self.mean, several=self.several)

    @property
    def contract(self) -> Contract:
        """Its own input contract: images as they are, else that of its networks."""
        first = self.contracts[0]
        return InputContract((0.0,), (1.0,)) if isinstance(first, InputContract) else first

    @property
    def fingerprint_settings(self) -> str:
        """Its settings, which its state dict does not hold."""
        members = [getattr(each, "fingerprint_settings", "") for each in self.networks]
        return repr((self.contracts, self.mean, self.several)) + "".join(members)


def mean_of(logits: Float[Tensor, "m ..."], mean: Mean, *, several: bool) -> Tensor:
    """The logits of the mean of `[m, b, k]` over the first axis."""
    if mean == "logits":
        return logits.mean(0)
    count = math.log(len(logits))
    if several:  # log p̄ − log(1 − p̄)
        return F.logsigmoid(logits).logsumexp(0) - F.logsigmoid(-logits).logsumexp(0)
    return logits.log_softmax(-1).logsumexp(0) - count


class ReusedClassifierStudent(nn.Module):
    r"""A trunk whose features are projected to a teacher's, which its classifier reads.

    .. math:: z = W \, \mathrm{mean}(P f) + b

    with f the trunk's features at a layer (a map finer than the teacher's averaged to that
    resolution), P three convolutions or linear layers, each with a batch norm and a ReLU, and W, b
    the teacher's classifier, which is frozen. The modules after the layer are dropped.

    Args:
        trunk: a network; it is changed in place.
        layer: where it is read.
        drops: paths of the modules after that, each of which becomes an identity.
        shape: of the teacher's features, `(c, h, w)` or `(d,)`; the trunk's have as many axes.
        classes: of the teacher's classifier.
        factor: the projector's inner width is the teacher's divided by this.
        bias: whether the classifier has one.
        signed: whether the teacher's features may be below zero; else the projector ends in a ReLU.
        layers: where `stem` and `stages` of the trunk are, by paths in it.

    Example:
        >>> import torch
        >>> from mentee.features import resolve
        >>> trunk = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 5))
        >>> (layer,) = resolve(trunk, ["0"], torch.zeros(2, 3, 8, 8))
        >>> student = ReusedClassifierStudent(
        ...     trunk, layer, drops=["2"], shape=(16, 4, 4), classes=7)
        >>> student(torch.zeros(2, 3, 8, 8)).shape, trunk[2]
        (torch.Size([2, 7]), Identity())

    Source: Chen et al. 2022 (arXiv:2203.14001).
    """

    def __init__(
        self,
        trunk: nn.Module,
        layer: Layer,
        *,
        drops: Sequence[str],
        shape: Sequence[int],
        classes: int,
        factor: int = 2,
        bias: bool = True,
        signed: bool = False,
        layers: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        for path in drops:
            trunk.set_submodule(path, nn.Identity())
        self.trunk, self.layer, self.size = trunk, layer, tuple(shape[1:])
        inner = max(shape[0] // factor, 1)
        self.projector = projector(layer.shape[0], inner, shape[0], maps=len(shape) == 3)
        if not signed:
            self.projector.append(nn.ReLU(inplace=True))
        self.classifier = nn.Linear(shape[0], classes, bias=bias).requires_grad_(False)
        self.feature_layers = prefixed(layers or {}) | {"classifier": "classifier"}
        self._features: Any = None
        module = trunk.get_submodule(layer.path)
        if layer.io == "input":
            module.register_forward_pre_hook(self._on_input)
        else:
            module.register_forward_hook(self._on_output)

    def forward(self, x: Tensor) -> Float[Tensor, "b k"]:
        """The logits of the teacher's classifier."""
        self.trunk(x)
        f, self._features = self.layer.deliver(self._features), None
        if self.size:
            size = min(f.shape[2], self.size[0]), min(f.shape[3], self.size[1])
            f = f if f.shape[2:] == size else F.adaptive_avg_pool2d(f, size)
        projected: Tensor = self.projector(f)
        logits: Tensor = self.classifier(projected.flatten(2).mean(2) if self.size else projected)
        return logits

    def copy_classifier(self, weight: Tensor, bias: Tensor | None) -> None:
        """Copy a teacher's classifier: `[k, c]` and `[k]`."""
        self.classifier.weight.data.copy_(weight)
        if bias is not None:
            self.classifier.bias.data.copy_(bias)

    def _on_input(self, module: nn.Module, args: tuple[Tensor, ...]) -> None:
        self._store(args[0])

    def _on_output(self, module: nn.Module, args: object, output: Any) -> None:
        self._store(output)

    def _store(self, value: Any) -> None:
        tensor = value if isinstance(value, Tensor) else value[0]
        self._features = tensor.clone() if self.layer.overwritten else tensor


def projector(inputs: int, inner: int, outputs: int, *, maps: bool) -> nn.Sequential:
    """Three convolutions, the middle one 3×3, or three linear layers, each followed by a norm."""
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


def prefixed(layers: Mapping[str, Any]) -> dict[str, str | tuple[str, ...]]:
    """Paths in the trunk as paths in the student.

    Example:
        >>> prefixed({"stem": "conv1", "stages": ("layer1", "layer2")})
        {'stem': 'trunk.conv1', 'stages': ('trunk.layer1', 'trunk.layer2')}
    """
    return {
        name: f"trunk.{path}" if isinstance(path, str) else tuple(f"trunk.{each}" for each in path)
        for name, path in layers.items()
    }
