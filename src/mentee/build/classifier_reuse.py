"""A student that keeps its teacher's classifier: where that is had from, and how it is built."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mentee.errors import LayerError, PairError
from mentee.features import Capture, Layer, resolve
from mentee.features.trace import dry_run
from mentee.models import Contract, ReusedClassifierStudent, normalize
from mentee.recipe import Reuse
from mentee.types import Batch

POOLED = "use simkd-pooled, which compares the vectors that the two classifiers read"
EXACT = 1e-3
"""By how much of the largest logit a classifier may be off what the teacher says."""


@dataclass(frozen=True)
class Classifier:
    """What a teacher's classifier is.

    Attributes:
        weight: `[k, c]`.
        bias: `[k]`, or None.
        shape: of what it reads the mean of, `(c, h, w)`, or of the vector that it reads, `(c,)`.
        signed: whether that may be below zero.
    """

    weight: Tensor
    bias: Tensor | None
    shape: tuple[int, ...]
    signed: bool


def find_classifier(network: nn.Module, contract: Contract, batch: Batch, name: str) -> Classifier:
    """The classifier of a network, made sure that it reads the mean of what is said at a place.

    Args:
        network: the teacher.
        contract: what it reads.
        batch: some examples.
        name: of the place.

    Raises:
        PairError: it does not; says what stands between.
    """
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    inputs = normalize(batch.inputs.to(device), contract)
    try:
        places = resolve(network, [name, "embedding", "logits"], inputs)
    except LayerError as error:
        raise PairError(f"the teacher has no classifier to be kept: {error}") from error
    module = network.get_submodule({p.name: p.path for p in places}["embedding"])
    flags = {each: each.training for each in network.modules()}
    with Capture(network.eval(), places) as read, torch.no_grad():
        said = read.capture(inputs)
    for each, training in flags.items():
        each.training = training
    features = said[name]
    if features.ndim == 3:
        raise PairError(
            f"the teacher says tokens at {name}, expected maps whose mean its classifier reads; "
            f"{POOLED}"
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
    off = (logits - said["logits"]).abs().max() / said["logits"].abs().max().clamp(min=1e-6)
    if off > EXACT:
        raise PairError(
            f"the teacher's logits are not its classifier's of the mean of {name} (off by "
            f"{off:.1%}): something stands "
            + (
                f"between, such as a norm; {POOLED}"
                if name != "embedding"
                else "behind it; use a method that keeps no classifier, such as kd or crd"
            )
        )
    return Classifier(
        weight.clone(),
        None if bias is None else bias.detach().clone(),
        tuple(features.shape[1:]),
        bool((features < 0).any()),
    )


def with_reused_classifier(
    trunk: nn.Module, said: Reuse, inputs: Tensor, *, classes: int, seed: int
) -> ReusedClassifierStudent:
    """A student of a trunk and the end that a resolved recipe says.

    The trunk's own classifier, and what else it has behind the place, is dropped; where a trunk
    does not run without that, it stays and says nothing.

    Args:
        trunk: a network; a copy of it is changed.
        said: what is known of the end.
        inputs: a batch for it.
        classes: of the classifier.
        seed: of the projector.

    Raises:
        PairError: the trunk says no maps where the teacher does.
    """
    shape, name = said.shape or [], said.layer or "embedding"
    place = resolve(trunk, [name], inputs)[0]
    if len(place.shape) != len(shape):
        raise PairError(
            f"the student says {list(place.shape)} at {name} and the teacher {shape}, and a "
            f"projector makes maps of maps and vectors of vectors; {POOLED}"
        )
    places = stages_of(trunk, inputs)

    def student(drops: list[str]) -> ReusedClassifierStudent:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return ReusedClassifierStudent(
                copy.deepcopy(trunk),
                place,
                drops=drops,
                shape=shape,
                classes=classes,
                factor=said.factor,
                bias=said.bias,
                signed=said.signed,
                layers=places,
            )

    found = student(behind(trunk, place, inputs))
    try:
        dry_run(found, inputs)
    except Exception:  # its forward asks more of them than that they pass on what they are given
        return student([])
    return found


def behind(trunk: nn.Module, place: Layer, inputs: Tensor) -> list[str]:
    """The outermost modules with weights that begin after a place is read."""
    trace = dry_run(trunk, inputs)
    read = trace.at(place.path, place.io)
    begun = -1 if read is None else read.tick
    found: list[str] = []
    for path, module in trace.modules.items():
        entered = trace.at(path, "input")
        late = path and entered is not None and entered.tick >= begun
        inside = any(path.startswith(f"{outer}.") for outer in found)
        if late and not inside and any(True for _ in module.parameters()):
            found.append(path)
    return found


def stages_of(trunk: nn.Module, inputs: Tensor) -> dict[str, str | tuple[str, ...]]:
    """Where the stem and the stages of a trunk are, as far as it has them."""
    found: dict[str, str | tuple[str, ...]] = {}
    for name in ("stem", "stages"):
        try:
            paths = [each.path for each in resolve(trunk, [name], inputs)]
        except LayerError:
            continue
        found[name] = paths[0] if name == "stem" else tuple(paths)
    return found
