"""A student that reuses its teacher's classifier (SimKD): finding it, and building the student."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mentee.errors import LayerError, PairError, RecipeError
from mentee.features import Capture, Layer, resolve
from mentee.features.trace import dry_run, evaluated
from mentee.methods import Method
from mentee.models import Contract, ReusedClassifierStudent, normalize
from mentee.recipe import Network, Reuse
from mentee.types import Batch

POOLED = "use simkd-pooled, which compares the vectors that the two classifiers read"
EXACT = 1e-3
"""The largest error of a found classifier's logits, relative to the teacher's largest logit."""


@dataclass(frozen=True)
class Classifier:
    """A teacher's classifier: weight `[k, c]`, and bias `[k]` or None.

    Attributes:
        shape: of the feature map whose mean it reads, `(c, h, w)`, or of its input vector, `(c,)`.
        signed: whether its input may be negative.
    """

    weight: Tensor
    bias: Tensor | None
    shape: tuple[int, ...]
    signed: bool


def find_classifier(network: nn.Module, contract: Contract, batch: Batch, name: str) -> Classifier:
    """The classifier of a network, checked to read the spatial mean of a layer's features.

    Raises:
        PairError: it reads something else; the message names it.
    """
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    inputs = normalize(batch.inputs.to(device), contract)
    try:
        layers = resolve(network, [name, "embedding", "logits"], inputs)
    except LayerError as error:
        raise PairError(f"the teacher has no classifier to reuse: {error}") from error
    module = network.get_submodule({layer.name: layer.path for layer in layers}["embedding"])
    with evaluated(network), Capture(network, layers) as capture, torch.no_grad():
        outputs = capture.capture(inputs)
    features = outputs[name]
    if features.ndim == 3:
        raise PairError(
            f"the teacher's features at {name} are tokens, expected maps whose mean its classifier "
            f"reads; {POOLED}"
        )
    vectors = features.flatten(2).mean(2) if features.ndim == 4 else features
    weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
    if not isinstance(weight, Tensor) or weight.flatten(1).shape[1] != vectors.shape[1]:
        raise PairError(
            f"the teacher's classifier ({type(module).__name__}) does not read the "
            f"{vectors.shape[1]} channels of {name}: other layers stand between; {POOLED}"
        )
    weight = weight.detach().flatten(1)
    logits = vectors @ weight.T + (0 if bias is None else bias.detach())
    target = outputs["logits"]
    off = (logits - target).abs().max() / target.abs().max().clamp(min=1e-6)
    if off > EXACT:
        raise PairError(
            f"the teacher's logits are not its classifier's of the mean of {name} (off by "
            f"{off:.1%}): something stands "
            + (
                f"between, such as a norm; {POOLED}"
                if name != "embedding"
                else "behind it; use a method that reuses no classifier, such as kd or crd"
            )
        )
    return Classifier(
        weight.clone(),
        None if bias is None else bias.detach().clone(),
        tuple(features.shape[1:]),
        bool((features < 0).any()),
    )


def with_reused_classifier(
    trunk: nn.Module, reuse: Reuse, inputs: Tensor, *, classes: int, seed: int
) -> ReusedClassifierStudent:
    """A student of a copy of a trunk, a projector and the teacher's classifier, by its recipe.

    The trunk's own classifier, and all other modules behind the layer, are dropped; where a trunk
    does not run without them, they stay and are not used.

    Raises:
        PairError: the trunk has no maps at the layer where the teacher has.
    """
    shape, name = reuse.shape or [], reuse.layer or "embedding"
    layer = resolve(trunk, [name], inputs)[0]
    if len(layer.shape) != len(shape):
        raise PairError(
            f"the student's features at {name} have shape {list(layer.shape)} and the teacher's "
            f"{shape}; a projector maps feature maps to maps and vectors to vectors; {POOLED}"
        )
    stages = stem_and_stages(trunk, inputs)

    def build(drops: list[str]) -> ReusedClassifierStudent:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return ReusedClassifierStudent(
                copy.deepcopy(trunk),
                layer,
                drops=drops,
                shape=shape,
                classes=classes,
                factor=reuse.factor,
                bias=reuse.bias,
                signed=reuse.signed,
                layers=stages,
            )

    student = build(modules_behind(trunk, layer, inputs))
    try:
        dry_run(student, inputs)
    except Exception:  # the trunk's forward needs more of them than an identity
        return build([])
    return student


def modules_behind(trunk: nn.Module, layer: Layer, inputs: Tensor) -> list[str]:
    """The outermost modules with weights that start to run after a layer is read."""
    trace = dry_run(trunk, inputs)
    read = trace.at(layer.path, layer.io)
    start = -1 if read is None else read.tick
    paths: list[str] = []
    for path, module in trace.modules.items():
        entered = trace.at(path, "input")
        late = path and entered is not None and entered.tick >= start
        inside = any(path.startswith(f"{outer}.") for outer in paths)
        if late and not inside and any(True for _ in module.parameters()):
            paths.append(path)
    return paths


def stem_and_stages(trunk: nn.Module, inputs: Tensor) -> dict[str, str | tuple[str, ...]]:
    """The module paths of a trunk's stem and stages, as far as it has them."""
    layers: dict[str, str | tuple[str, ...]] = {}
    for name in ("stem", "stages"):
        try:
            paths = [each.path for each in resolve(trunk, [name], inputs)]
        except LayerError:
            continue
        layers[name] = paths[0] if name == "stem" else tuple(paths)
    return layers


def resolve_reuse(student: Network, method: Method, classifier: Classifier | None) -> Network:
    """The student with the shape of the classifier that it reuses.

    Raises:
        PairError: the teacher has other classes.
        RecipeError: the recipe has `student.reuse`, and there is no classifier to take.
    """
    if classifier is None:
        if student.reuse is not None and (student.reuse.shape is None or student.weights is None):
            raise RecipeError(
                f"student.reuse is for methods that keep the teacher's classifier, such as simkd; "
                f"method {method.name!r} does not. Leave it out (or give it whole, with weights, "
                "for a network that was trained so)"
            )
        return student
    if len(classifier.weight) != student.classes:
        raise PairError(
            f"method {method.name!r} keeps the teacher's classifier, which has "
            f"{len(classifier.weight)} classes, and the student is to have {student.classes}; use "
            "a teacher of these classes, or a method that reads features alone, such as crd"
        )
    update = {
        "layer": method.reuse,
        "shape": list(classifier.shape),
        "bias": classifier.bias is not None,
        "signed": classifier.signed,
    }
    reuse = (student.reuse or Reuse()).model_copy(update=update)
    return student.model_copy(update={"reuse": reuse})
