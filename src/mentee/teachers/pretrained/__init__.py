"""Teachers of other tasks, by name: contents in, one vector (or one a frame) out.

Real ones from optional packages (`EMBEDDERS`), any network, file or function the general way
(`GENERAL`, `embedder`). No package is imported and no weights are read before one is asked for, and
nothing is fetched.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial

from mentee.errors import MenteeError, suggest
from mentee.teachers.pretrained.aisfx import build_aisfx
from mentee.teachers.pretrained.embedder import Embedder, ReadyEmbedder, embedder
from mentee.teachers.pretrained.glove import build_glove
from mentee.teachers.pretrained.hugging_face import build_minilm, build_transformers
from mentee.teachers.pretrained.image_networks import build_efficientnet_lite, build_timm_embedder
from mentee.teachers.pretrained.musicnn import build_musicnn
from mentee.teachers.pretrained.network import build_network_embedder
from mentee.teachers.pretrained.onnx_file import build_onnx
from mentee.teachers.pretrained.options import checked_options
from mentee.teachers.pretrained.pesto import build_pesto

__all__ = ["EMBEDDERS", "GENERAL", "Embedder", "ReadyEmbedder", "embedder", "find_embedder"]

EMBEDDERS: dict[str, Callable[..., ReadyEmbedder]] = {
    "aisfx": build_aisfx,
    "musicnn": build_musicnn,
    "pesto": build_pesto,
    "efficientnet-lite0": partial(build_efficientnet_lite, 0),
    "efficientnet-lite1": partial(build_efficientnet_lite, 1),
    "efficientnet-lite2": partial(build_efficientnet_lite, 2),
    "minilm": build_minilm,
    "glove": build_glove,
}
"""Real teachers whose weights come with a package. Call one with its options."""

GENERAL: dict[str, Callable[..., ReadyEmbedder]] = {
    "timm": build_timm_embedder,
    "transformers": build_transformers,
    "onnx": build_onnx,
    "network": build_network_embedder,
}
"""What stands before the colon of a name: `onnx:model.onnx`."""


def find_embedder(name: str, **options: object) -> Embedder:
    """A teacher of another task, loaded and ready.

    Args:
        name: a name of `EMBEDDERS`, or `timm:NAME`, `transformers:FOLDER`, `onnx:PATH` or
            `network:NAME`.
        options: of that teacher, such as `size=128` or `weights="mine.safetensors"`.

    Returns:
        The teacher.

    Raises:
        MenteeError: an unknown name or option, with the close ones; an option of another type; a
            package that is missing, with the line that installs it; weights that cannot be read.

    Example:
        >>> find_embedder("aisfxx")
        Traceback (most recent call last):
        mentee.errors.MenteeError: there is no teacher 'aisfxx'; did you mean 'aisfx'? ...
    """
    way, colon, rest = name.partition(":")
    if name in EMBEDDERS:
        build, arguments = EMBEDDERS[name], list[str]()
    elif colon and way in GENERAL and rest:
        build, arguments = GENERAL[way], [rest]
    else:
        ways = ", ".join(f"{each}:NAME" for each in GENERAL)
        raise MenteeError(
            f"there is no teacher {name!r}; {suggest(name, EMBEDDERS)} (others: {ways})"
        )
    options = checked_options(name, build, options)
    signature = inspect.signature(build)
    try:
        signature.bind(*arguments, **options)
    except TypeError as error:
        known = [p.name for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
        raise MenteeError(f"{name}: {error}; its options: {', '.join(known)}") from error
    return build(*arguments, **options)
