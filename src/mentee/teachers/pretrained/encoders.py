"""Encoders of clips and images of the transformers package, by their folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mentee.errors import MenteeError
from mentee.models.packages import origin
from mentee.teachers.pretrained.images import groups
from mentee.teachers.pretrained.loading import load
from mentee.teachers.pretrained.ready import Contents, ReadyEmbedder

BATCH = 16  # images at once
SHORTEST = 0.1  # seconds that a clip is filled up to with zeros: the first layers need 25 ms


def build_encoder(
    name: str, where: Path | str, kind: str, *, normalize: bool, said: Mapping[str, str]
) -> ReadyEmbedder:
    """The mean of the last layer over time frames, or over the patches or cells of an image.

    Clips are read one by one, so that none is padded for another's sake.

    Args:
        name: of the teacher.
        where: a folder with `preprocessor_config.json`, or a cached hub name.
        kind: `audio` or `image`.
        normalize: divide each vector by its length.
        said: what to note in the record.

    Raises:
        MenteeError: it cannot be loaded, or does not read one kind of input alone.
    """
    audio = kind == "audio"
    prepare, network = load(name, where, "AutoFeatureExtractor" if audio else "AutoImageProcessor")
    if network.config.is_encoder_decoder:
        network = network.get_encoder()
    sample_rate = int(prepare.sampling_rate) if audio else None

    def last(**inputs: Tensor) -> Tensor:
        layer: Tensor = network(**inputs).last_hidden_state
        return layer.flatten(2).transpose(1, 2) if layer.ndim == 4 else layer

    def heard(clip: Tensor) -> Tensor:
        filled = F.pad(clip.float(), (0, max(0, round(SHORTEST * (sample_rate or 0)) - len(clip))))
        return last(**prepare(filled.numpy(), sampling_rate=sample_rate, return_tensors="pt"))[0]

    def seen(images: Contents) -> Tensor:
        pixels = [_prepared(prepare, image) for image in images]
        found: dict[int, Tensor] = {}
        for rows in groups(pixels, None):
            for at in range(0, len(rows), BATCH):
                part = rows[at : at + BATCH]
                batch = torch.stack([pixels[row] for row in part])
                found.update(zip(part, last(pixel_values=batch).mean(1), strict=True))
        return torch.stack([found[row] for row in range(len(pixels))])

    def vectors(contents: Contents) -> Tensor:
        pooled = torch.stack([heard(c).mean(0) for c in contents]) if audio else seen(contents)
        return F.normalize(pooled, dim=1) if normalize else pooled

    def sequences(clips: Sequence[Tensor]) -> Tensor:
        return torch.stack([heard(clip) for clip in clips])

    trial: Contents = (
        [torch.zeros(sample_rate)] if sample_rate else torch.zeros(1, 32, 32, 3, dtype=torch.uint8)
    )
    try:
        with torch.no_grad():
            width = vectors(trial).shape[1]
    except (TypeError, ValueError, AttributeError) as error:
        reason = str(error).partition("\n")[0]
        raise MenteeError(
            f"{name} does not read {kind} alone ({reason}); wrap the part that does in a function: "
            "mentee.teachers.pretrained.embedder"
        ) from error
    places = "time frames" if audio else "patches"
    return ReadyEmbedder(
        name=name,
        kind=kind,
        sample_rate=sample_rate,
        width=width,
        vectors=vectors,
        sequences=sequences if audio and not normalize else None,
        weights=network.state_dict(),
        contract={
            **said,
            "loaded_by": origin("transformers"),
            "prepared_by": type(prepare).__name__,
            "pooling": f"mean over {places}" + (", length 1" if normalize else ""),
        },
    )


def _prepared(prepare: Any, image: Tensor) -> Tensor:
    """Pixels as the network reads them, `[c, h, w]`; gray as three channels."""
    pixels = image.expand(-1, -1, 3).numpy()
    said: Tensor = prepare(pixels, return_tensors="pt", input_data_format="channels_last")[
        "pixel_values"
    ][0]
    return said
