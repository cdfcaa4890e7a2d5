"""The named tensors of a file: safetensors, or what training scripts save with torch."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mentee import files
from mentee.errors import MenteeError, first_few
from mentee.files import usable

TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".tar")
STATE_KEYS = (
    "state_dict",
    "model_state_dict",
    "model",
    "student",
    "net",
    "network",
    "module",
    "weights",
    "params",
    "model_ema",
    "state_dict_ema",
    "ema_state_dict",
    "ema",
)
"""Keys of the weights in the files of training scripts that save more than that, the first first:
torch's examples, Lightning and mmengine have `state_dict`; timm that and `state_dict_ema`."""
COMPILED = "_orig_mod."
"""What `torch.compile` puts into the names, at any depth."""
OF_EMA = "n_averaged"
"""The counter of `torch.optim.swa_utils.AveragedModel`."""
WRAPPERS = frozenset(
    ["", "module", "model", "student", "net", "network", "backbone", "encoder", "ema", "ema_model"]
)
"""Attributes under which training scripts keep a network beside other things."""
PREFERRED = ("", "student.", "model.", "module.", "net.", "network.")
"""Which weights are taken, where a file has those of several networks that fit."""
DEEPEST = 4


def read_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The named tensors of a file, on the CPU; see `load_weights` for the formats.

    Raises:
        MenteeError: where there is no such file, or it holds no named tensors.
    """
    path = usable(Path(path))
    if not path.is_file():
        raise MenteeError(f"there is no file {path}")
    if path.suffix not in (".safetensors", *TORCH_SUFFIXES):
        raise MenteeError(
            f"weights are read from .safetensors, {', '.join(TORCH_SUFFIXES)} files, not {path}"
        )
    try:
        content = files.read_tensors(path) if path.suffix == ".safetensors" else read_torch(path)
    except MenteeError:
        raise
    except Exception as error:  # a damaged file shows in many ways
        text = "" if isinstance(error, KeyError) else str(error).strip()
        reason = text.partition("\n")[0][:200] or type(error).__name__
        raise MenteeError(
            f"{path} cannot be read as weights ({reason}); expected a safetensors file, or what "
            "torch.save(network.state_dict(), path) writes"
        ) from error
    tensors = named_tensors(content, path)
    for name, tensor in tensors.items():
        if what := unusable(tensor):
            raise MenteeError(
                f"{path}: {name} is {what}; expected plain tensors, as "
                "torch.save(network.state_dict(), path) writes of a network in float32 or float16"
            )
    return tensors


def read_torch(path: Path) -> object:
    """What a file of torch holds; objects of other packages in it become empty stand-ins.

    No code that the file names is imported or run.
    """
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # of a version of torch before 1.6, or no file of torch, told by `load`
        names = []
    kinds = [type(name.rpartition(".")[2], (StandIn,), {}) for name in names]
    stand_ins: list[Any] = list(zip(kinds, names, strict=True))
    with torch.serialization.safe_globals(stand_ins):
        return torch.load(path, map_location="cpu", weights_only=True)


class StandIn:
    """Stands for an object of a package that is not needed; it does nothing."""

    def __init__(self, *arguments: object, **more: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        """Forget it."""


def named_tensors(content: object, path: Path) -> dict[str, Tensor]:
    """The state dict in the content of a file: itself, or under a key.

    Raises:
        MenteeError: there is none, or which one is meant is not clear.
    """
    for _ in range(DEEPEST):
        if not isinstance(content, Mapping):
            raise MenteeError(
                f"{path} holds a {type(content).__name__}, not named tensors; expected what "
                "torch.save(network.state_dict(), path) writes"
            )
        inner = {str(key): value for key, value in content.items() if _holds_tensors(value)}
        if not inner:
            break
        key = next((key for key in STATE_KEYS if key in inner), next(iter(inner)))
        if key not in STATE_KEYS and len(inner) > 1:
            raise MenteeError(
                f"{path} holds several sets of weights: {first_few(list(inner))}; save the one "
                "that is meant alone"
            )
        content = inner[key]
    if not isinstance(content, Mapping):
        raise MenteeError(f"{path} holds a {type(content).__name__}, not named tensors")
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors or len(tensors) != len(content):
        others = [str(name) for name in content if str(name) not in tensors]
        raise MenteeError(f"{path} holds more than named tensors, or none: {first_few(others)}")
    return tensors


def _holds_tensors(value: object, depth: int = DEEPEST) -> bool:
    """Whether it is a mapping from names to tensors, or has one inside."""
    if not isinstance(value, Mapping) or depth == 0:
        return False
    named = all(isinstance(key, str) for key in value)
    return named and any(
        isinstance(each, Tensor) or _holds_tensors(each, depth - 1) for each in value.values()
    )


def unusable(tensor: Tensor) -> str | None:
    """Why a tensor cannot be a weight, in words; None: it can."""
    if tensor.is_quantized:
        return "quantized"
    if tensor.layout != torch.strided:
        return "sparse"
    if tensor.is_meta:
        return "without content (of the device meta)"
    if tensor.is_complex() or (tensor.is_floating_point() and tensor.element_size() < 2):
        return f"of {str(tensor.dtype).removeprefix('torch.')}"
    return None


def with_names_of(
    own: Mapping[str, object], tensors: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], str | None]:
    """Tensors with a prefix of their names removed, as far as that gives a network's own names.

    With what was changed, in words; None: nothing.

    Raises:
        MenteeError: they are of several networks that fit.

    Example:
        >>> tensors = {"n_averaged": torch.ones(()), "module.fc.weight": torch.ones(2)}
        >>> with_names_of({"fc.weight": 0}, tensors)[1]
        "the prefix 'module.' of its names was removed"
    """
    plain = dict(tensors)
    if COMPILED not in "".join(own):
        plain = {name.replace(COMPILED, ""): value for name, value in tensors.items()}
    # For each prefix how many of the network's names the file has behind it.
    counts: Counter[str] = Counter()
    for name in plain:
        parts = name.split(".")
        for cut in range(len(parts)):
            if ".".join(parts[cut:]) in own:
                counts[".".join([*parts[:cut], ""]) if cut else ""] += 1
    best = [prefix for prefix, count in counts.items() if count == max(counts.values())]
    prefix = next((each for each in PREFERRED if each in best), best[0] if best else "")
    if len(best) > 1 and prefix not in PREFERRED:
        raise MenteeError(
            f"the file has weights of several networks that fit, under {first_few(best)}; save "
            "those that are meant alone"
        )
    if prefix and not (
        {*prefix.split(".")} <= WRAPPERS or all(n.startswith(prefix) for n in plain)
    ):
        prefix = ""
    inside = {n.removeprefix(prefix): v for n, v in plain.items() if n.startswith(prefix)}
    others = [name for name in plain if not name.startswith(prefix) and name != OF_EMA]
    changes = [COMPILED] if plain.keys() != tensors.keys() else []
    changes += [prefix] if prefix else []
    if not changes:
        return plain, None
    note = f"the prefix {' and '.join(map(repr, changes))} of its names was removed"
    if others:
        note += f", and {len(others)} others were left out: {first_few(others)}"
    return inside, note
