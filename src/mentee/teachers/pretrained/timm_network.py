"""Any image network of timm, read after its last pooling."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from mentee.errors import MenteeError
from mentee.models import InputContract, contract_of, load_weights
from mentee.models.packages import imported, origin
from mentee.teachers.pretrained.images import embed_images
from mentee.teachers.pretrained.ready import ReadyEmbedder


def build_timm_embedder(
    name: str,
    *,
    weights: str | os.PathLike[str] | None = None,
    pretrained: bool = False,
    size: int | None = None,
    license: str = "see its source",
) -> ReadyEmbedder:
    """The teacher `timm:NAME`: the vector before the classifier.

    The shorter side is resized to the size (bilinear, antialiased), then the center is cut out;
    mean and std are those that timm states for the network.

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
    try:
        network = timm.create_model(name, pretrained=pretrained, num_classes=0)
    except Exception as error:
        raise MenteeError(
            f"timm cannot load {name!r} ({str(error).strip().partition(chr(10))[0]}); "
            "fetch its weights beforehand and give weights=FILE"
        ) from error
    if weights is not None:
        kept = load_weights(network, weights, strict=False)
        if kept:
            raise MenteeError(
                f"{weights} lacks {len(kept)} weights of timm:{name}, such as {kept[0]}; "
                "it is of another network"
            )
    network.eval().requires_grad_(False)
    with torch.no_grad():
        width = network(torch.zeros(1, 3, size, size)).shape[-1]
    return ReadyEmbedder(
        name=f"timm:{name}",
        kind="image",
        width=int(width),
        vectors=embed_images(network, contract, size=size),
        weights=network.state_dict(),
        contract={
            "learned_from": "see its source",
            "source": origin("timm") if weights is None else Path(weights).name,
            "license": license,
            "size": size,
            "mean": list(contract.mean),
            "std": list(contract.std),
            "pooling": "as the network's own",
        },
    )
