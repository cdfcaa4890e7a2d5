"""Common corruptions: the same examples, as a bad sensor, weather or channel would give them.

The fifteen of images have the strengths of CIFAR-10-C (arXiv:1903.12261), in which lengths are
those of 32×32 images; on larger images they grow with the shorter side. They are written from
scratch: the published libraries draw from one random state of the whole process, and have the
strengths of 224×224 images. Each function says what differs from the published images: frost is
generated, a warp samples the image once, a zoom is not rounded to whole pixels, and values are
rounded, not cut off.

Every corruption is a function of (seed, id of the example, name, severity). Severities of a
corruption have their random numbers in common: the same noise, only stronger.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mentee.data.corruptions import audio, noise_blur, weather_digital
from mentee.data.corruptions.payload import CorruptedPayload, Corruption
from mentee.data.examples import Examples
from mentee.errors import DataError, suggest

__all__ = ["CORRUPTIONS", "SEVERITIES", "CorruptedPayload", "Corruption", "corrupt", "names"]

SEVERITIES = (1, 2, 3, 4, 5)

CORRUPTIONS: dict[str, dict[str, Corruption]] = {
    "image": {
        "gaussian_noise": noise_blur.gaussian_noise,
        "shot_noise": noise_blur.shot_noise,
        "impulse_noise": noise_blur.impulse_noise,
        "defocus_blur": noise_blur.defocus_blur,
        "glass_blur": noise_blur.glass_blur,
        "motion_blur": noise_blur.motion_blur,
        "zoom_blur": noise_blur.zoom_blur,
        "snow": weather_digital.snow,
        "frost": weather_digital.frost,
        "fog": weather_digital.fog,
        "brightness": weather_digital.brightness,
        "contrast": weather_digital.contrast,
        "elastic_transform": weather_digital.elastic_transform,
        "pixelate": weather_digital.pixelate,
        "jpeg_compression": weather_digital.jpeg_compression,
    },
    "audio": {
        "white_noise": audio.white_noise,
        "pink_noise": audio.pink_noise,
        "gain": audio.gain,
        "band_limit": audio.band_limit,
        "reverberation": audio.reverberation,
        "mu_law": audio.mu_law,
        "mp3": audio.mp3,
        "vorbis": audio.vorbis,
    },
    "text": {},
}
"""Modality and name to what corrupts it; there is none of texts."""


def names(kind: str) -> tuple[str, ...]:
    """The corruptions of a modality, in the order of the table.

    Raises:
        DataError: the table does not know this kind.

    Example:
        >>> len(names("image")), names("audio")[:2], names("text")
        (15, ('white_noise', 'pink_noise'), ())
    """
    if kind not in CORRUPTIONS:
        raise DataError(f"kind {kind!r}: {suggest(kind, CORRUPTIONS)}")
    return tuple(CORRUPTIONS[kind])


def corrupt(examples: Examples, name: str, severity: int, *, seed: int = 0) -> Examples:
    """The same examples, corrupted.

    Args:
        examples: images or audio; they are corrupted when they are read.
        name: one of `names(examples.kind)`.
        severity: 1 (slight) to 5 (strong).
        seed: another seed, other noise.

    Returns:
        Examples with the same ids, keys, labels and classes. Images stay uint8 of the same size,
        clips float32 of the same length in [-1, 1].

    Raises:
        DataError: there is no such corruption of this kind of data, or no such severity.

    Example:
        >>> from mentee.data import open_examples
        >>> digits = open_examples("embedded:digits", limit=20)
        >>> noisy = corrupt(digits, "gaussian_noise", 3)
        >>> noisy.name, noisy.read(np.arange(4)).shape, noisy.ids == digits.ids
        ('digits, gaussian_noise 3', torch.Size([4, 8, 8, 1]), True)
    """
    known = CORRUPTIONS.get(examples.kind, {})
    if name not in known:
        raise DataError(
            f"there is no corruption {name!r} of {examples.kind}; {suggest(name, known)}"
        )
    if severity not in SEVERITIES:
        raise DataError(f"severity {severity!r} of {name}: expected 1, 2, 3, 4 or 5")
    rows, first = np.unique(examples.rows, return_index=True)
    contents = CorruptedPayload(
        examples.contents,
        rows,
        examples.keys[first],
        name=name,
        function=known[name],
        severity=severity,
        seed=seed,
    )
    return replace(examples, contents=contents, name=f"{examples.name}, {name} {severity}")
