"""Load a network's weights from a file, with plain messages where they do not fit."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from mentee.errors import MenteeError, first_few
from mentee.features.trace import evaluated
from mentee.models.checkpoints import read_weights, with_names_of

COUNTER = "num_batches_tracked"


def load_weights(
    network: nn.Module,
    path: str | os.PathLike[str],
    *,
    strict: bool = True,
    notes: list[str] | None = None,
) -> list[str]:
    """Copy weights from a file into a network.

    Args:
        network: changed in place; untouched where an error is raised.
        path: a safetensors file, or one saved by torch (`.pt`, `.pth`, `.pth.tar`, `.bin`, `.ckpt`;
            read without running any code of the file). Weights that are kept under a key, as
            training scripts do, are found; a prefix of all names, such as `module.`, is removed
            where the network's names have none.
        strict: demand that names and shapes agree; otherwise load what fits.
        notes: gets a line where names were changed.

    Returns:
        The network's names that kept their value, because the file has nothing that fits them;
        empty where strict. Batch norm's step counters may be absent and are not listed.

    Raises:
        MenteeError: where there is no such file, it holds no weights, or they do not fit.

    Example:
        >>> load_weights(nn.Linear(2, 3), "nowhere.safetensors")
        Traceback (most recent call last):
        mentee.errors.MenteeError: there is no file nowhere.safetensors
    """
    path = Path(path)
    own: dict[str, Tensor] = network.state_dict()
    tensors, note = with_names_of(own, read_weights(path))
    missing = sorted(name for name in own.keys() - tensors.keys() if not name.endswith(COUNTER))
    unexpected = sorted(tensors.keys() - own.keys())
    shapes = {
        name: (tuple(tensors[name].shape), tuple(own[name].shape))
        for name in sorted(own.keys() & tensors.keys())
        if tensors[name].shape != own[name].shape
    }
    fitting = {name: tensors[name] for name in own.keys() & tensors.keys() if name not in shapes}
    if strict and (missing or unexpected or shapes):
        raise MenteeError(
            _other_classes(network, path, missing, unexpected, shapes)
            or _misfit(path, missing, unexpected, shapes)
        )
    if not fitting:
        raise MenteeError(f"nothing in {path} fits. {_misfit(path, missing, unexpected, shapes)}")
    named = network.named_parameters(remove_duplicate=False)
    learned = {name for name, each in named if each.is_floating_point()}
    whole = sorted(n for n in learned & fitting.keys() if not fitting[n].is_floating_point())
    if whole:
        raise MenteeError(
            f"{path} has whole numbers for weights ({len(whole)}): {first_few(whole)}; expected "
            "floating-point numbers, as torch.save(network.state_dict(), path) writes"
        )
    network.load_state_dict(fitting, strict=False)
    if note and notes is not None:
        notes.append(f"weights {path}: {note}")
    return sorted({*missing, *shapes})


def count_parameters(network: nn.Module) -> int:
    """How many numbers a network learns; a shared parameter counts once, buffers do not.

    Example:
        >>> count_parameters(nn.Linear(3, 2))
        8
    """
    return sum(parameter.numel() for parameter in network.parameters())


def classes_of(network: nn.Module, example: Tensor) -> int:
    """How many outputs a network, which is run once, has: the last dimension of what it gives.

    Raises:
        MenteeError: where the network gives something other than a tensor `[b, k]`.

    Example:
        >>> classes_of(nn.Sequential(nn.Flatten(), nn.Linear(4, 7)), torch.zeros(1, 1, 2, 2))
        7
    """
    with torch.no_grad(), evaluated(network):
        output = network(example)
    if not isinstance(output, Tensor) or output.ndim != 2:
        kind = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else type(output)
        raise MenteeError(f"expected logits [b, k] from {type(network).__name__}, got {kind}")
    return output.shape[1]


def _classifier(network: nn.Module) -> str:
    """The path of the layer that gives the logits: as declared, else the last linear one."""
    layers = getattr(network, "feature_layers", None)
    if isinstance(layers, Mapping) and "classifier" in layers:
        return str(layers["classifier"])
    linear = [path for path, module in network.named_modules() if isinstance(module, nn.Linear)]
    return linear[-1] if linear else ""


def _other_classes(
    network: nn.Module,
    path: Path,
    missing: Iterable[str],
    unexpected: Iterable[str],
    shapes: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]],
) -> str | None:
    """The message for a checkpoint that differs in the number of classes and in nothing else."""
    weight, bias = (f"{_classifier(network)}.{part}" for part in ("weight", "bias"))
    if any(missing) or any(unexpected) or weight not in shapes or not {weight, bias} >= {*shapes}:
        return None
    stored, own = shapes[weight]
    if stored[1:] != own[1:]:
        return None
    return (
        f"{path} has a classifier for {stored[0]} classes, this network has {own[0]}: build it "
        f"with classes={stored[0]}, or load the rest alone with strict=False"
    )


def _misfit(
    path: Path,
    missing: list[str],
    unexpected: list[str],
    shapes: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]],
) -> str:
    lines = [f"the weights of {path} are not of this network:"]
    if missing:
        lines.append(f"  missing in the file ({len(missing)}): {first_few(missing)}")
    if unexpected:
        lines.append(f"  unknown to the network ({len(unexpected)}): {first_few(unexpected)}")
    if shapes:
        pairs = [f"{name} {list(a)} against {list(b)}" for name, (a, b) in shapes.items()]
        lines.append(f"  other shape, file against network ({len(pairs)}): {first_few(pairs)}")
    return "\n".join(lines)
