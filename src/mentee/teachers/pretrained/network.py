"""A network of `mentee.models` with weights of your own, read at its embedding."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mentee.data.texts import encode
from mentee.errors import MenteeError
from mentee.features import Capture, resolve
from mentee.models import (
    CONTRACTS,
    InputContract,
    build,
    contract_of,
    load_weights,
    read_weights,
    with_names_of,
)
from mentee.teachers.pretrained.batching import embed_clips, embed_images
from mentee.teachers.pretrained.embedder import Contents, ReadyEmbedder

Input = str | tuple[Sequence[float], Sequence[float]]


def build_network_embedder(
    name: str,
    *,
    weights: str | os.PathLike[str],
    input: Input = "none",
    size: int | None = None,
    channels: int = 3,
    sample_rate: int = 16000,
    seconds: float = 1.0,
    length: int = 512,
    learned_from: str = "see its source",
    license: str = "your own",
    **options: Any,
) -> ReadyEmbedder:
    """The teacher `network:NAME`, such as one that you trained without labels.

    It is read at the layer `embedding`, the input of its classifier; a map there is averaged over
    space. The classifier itself may be missing in the file, or have any number of classes.

    Args:
        name: a network as for `mentee.models.build`.
        weights: the file, `.safetensors` or a state dict of torch; weights that the network does
            not have (a projection head) are passed over.
        input: images: a name of `mentee.models.CONTRACTS`, or `(means, stds)`.
        size: images: what they are resized to; None: they stay as they are.
        channels: images: 1 or 3.
        sample_rate: audio: samples a second.
        seconds: audio: shorter clips are filled up with zeros to this length.
        length: text: bytes that are read.
        learned_from: what to note in the record.
        license: what to note in the record.
        options: of the network, such as `widths=[32, 64, 128]`.

    Raises:
        MenteeError: there is no such network, option or file, or the weights are of another
            network.
    """
    title = f"network:{name}"
    options = {key: tuple(x) if isinstance(x, list) else x for key, x in options.items()}
    network, state = _load(name, Path(weights), channels, sample_rate, options)
    kind = str(getattr(network, "kind", "image"))
    noted: dict[str, Any] = {}
    if kind == "image":
        contract = _contract(input)
        example = torch.zeros(2, channels, size or 32, size or 32)
        noted = {"size": size, "mean": list(contract.mean), "std": list(contract.std)}
    elif kind == "audio":
        example = torch.zeros(2, max(1, round(seconds * sample_rate)))
        noted = {"sample_rate": sample_rate, "shortest": example.shape[1], "short": "zeros"}
    else:
        example = encode(["some", "words"], length)
        noted = {"length": length}
    layers = resolve(network, ["embedding"], example)
    capture = Capture(network, layers)

    def read(inputs: Tensor) -> Tensor:
        features = capture.capture(inputs)["embedding"]
        return features.flatten(2).mean(2) if features.ndim == 4 else features

    vectors: Callable[[Contents], Tensor]
    if kind == "image":
        vectors = embed_images(read, contract, size=size, channels=channels)
    elif kind == "audio":
        vectors = embed_clips(read, shortest=example.shape[1])
    else:
        vectors = lambda texts: read(encode(list(texts), length))  # noqa: E731
    return ReadyEmbedder(
        name=title,
        kind=kind,
        sample_rate=sample_rate if kind == "audio" else None,
        width=layers[0].shape[0],
        vectors=vectors,
        weights=state,
        contract={
            "learned_from": learned_from,
            "source": Path(weights).name,
            "license": license,
            "layer": "embedding",
            "pooling": "as the network's own",
            **noted,
        },
    )


def _load(
    name: str, path: Path, channels: int, sample_rate: int, options: dict[str, Any]
) -> tuple[nn.Module, dict[str, Tensor]]:
    state = read_weights(path)

    def made(classes: int) -> nn.Module:
        return build(
            name, classes=classes, channels=channels, sample_rate=sample_rate, seed=0, **options
        )

    network = made(1)
    state, _ = with_names_of(network.state_dict(), state)
    layers = getattr(network, "feature_layers", None)
    classifier = str(layers.get("classifier", "")) if isinstance(layers, Mapping) else ""
    head = state.get(f"{classifier}.weight")
    if head is not None:
        network = made(len(head))
    missing = load_weights(network, path, strict=False)
    foreign = [each for each in missing if not classifier or not each.startswith(f"{classifier}.")]
    if foreign:
        raise MenteeError(_lacking(name, path, foreign, state, network.state_dict(), channels))
    network.eval().requires_grad_(False)
    own = {k: v for k, v in network.state_dict().items() if k not in missing}
    return network, own


def _lacking(
    name: str,
    path: Path,
    foreign: Sequence[str],
    state: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    channels: int,
) -> str:
    """The message for weights that a file does not have, or has in another shape."""
    text = f"{path} lacks {len(foreign)} weights of {name}, such as {foreign[0]}"
    other = next((each for each in foreign if each in state), None)
    if other is None:
        return f"{text}; it is of another network"
    file, network = list(state[other].shape), list(own[other].shape)
    text = (
        f"{path} lacks {len(foreign)} weights of {name}, such as {other}: {file} in the file, "
        f"{network} in the network"
    )
    if len(file) == 4 and [file[0], channels, *file[2:]] == network:
        return f"{text}; it reads {file[1]} channels: give the option channels={file[1]}"
    return f"{text}; it is of another network"


def _contract(input: Input) -> InputContract:
    if isinstance(input, str):
        contract = contract_of(input) if input not in CONTRACTS else CONTRACTS[input]
        if not isinstance(contract, InputContract):
            raise MenteeError(f"{input} is no contract of images")
        return contract
    mean, std = input
    return InputContract(tuple(map(float, mean)), tuple(map(float, std)))
