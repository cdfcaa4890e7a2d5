"""Any Python function that gives vectors, as a teacher."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from mentee.errors import MenteeError
from mentee.teachers.pretrained.ready import Contents, ReadyEmbedder, check_kind


def embedder(
    function: Callable[[Contents], Any],
    *,
    name: str,
    kind: str,
    width: int | None = None,
    sample_rate: int | None = None,
    version: str = "1",
    contract: Mapping[str, Any] | None = None,
) -> ReadyEmbedder:
    """A teacher made of a function of your own.

    Args:
        function: a list of examples → `[b, d]`, or `[b, t, d]` for frames (clips then come with
            others of their length, and `pooled` is the mean over t); a tensor, an array or lists.
            An example is an image uint8 `[h, w, c]`, a clip float32 `[samples]` in [-1, 1], or a
            str.
        name: what to call it.
        kind: `image`, `audio` or `text`.
        width: d; None: found out by one call with a small example.
        sample_rate: samples a second of the clips; needed for audio.
        version: stands for the function's weights in the fingerprint: change it when they change.
        contract: what to note in the record about how inputs are prepared.

    Returns:
        The teacher, ready to be recorded.

    Raises:
        MenteeError: the kind is unknown, audio has no rate, or the function gives no vectors.

    Example:
        >>> def lengths(texts):
        ...     return [[len(text), text.count(" ")] for text in texts]
        >>> embedder(lengths, name="lengths", kind="text").pooled(["a b", "cde"])
        tensor([[3., 1.],
                [3., 0.]])
    """
    check_kind(kind, name)
    if (kind == "audio") != (sample_rate is not None):
        raise MenteeError(
            f"{name}: audio has a rate, other kinds have none; got {kind}, {sample_rate=}"
        )

    def said(contents: Contents) -> Tensor:
        given = torch.as_tensor(function(contents), dtype=torch.float32)
        if given.ndim not in (2, 3) or len(given) != len(contents):
            raise MenteeError(
                f"{name} gave {list(given.shape)} for {len(contents)} examples; expected "
                f"[{len(contents)}, d] or [{len(contents)}, t, d]"
            )
        return given

    example = None
    if width is None:
        example = said(_smallest(kind, sample_rate))
        width = int(example.shape[-1])
    has_frames = example is not None and example.ndim == 3

    def vectors(contents: Contents) -> Tensor:
        if has_frames:
            return torch.stack([said([one])[0].mean(0) for one in contents])
        return _pooled(said(list(contents)))

    return ReadyEmbedder(
        name=name,
        kind=kind,
        sample_rate=sample_rate,
        width=width,
        vectors=vectors,
        sequences=None if example is not None and not has_frames else _list_first(said),
        weights={name: f"{kind} {sample_rate} {version}".encode()},
        contract={
            "source": "a function",
            "version": version,
            "sample_rate": sample_rate,
            **(contract or {}),
        },
    )


def _pooled(said: Tensor) -> Tensor:
    return said.mean(1) if said.ndim == 3 else said


def _list_first(said: Callable[[Contents], Tensor]) -> Callable[[Contents], Tensor]:
    return lambda contents: said(list(contents))


def _smallest(kind: str, sample_rate: int | None) -> Contents:
    if kind == "text":
        return ["a word"]
    if kind == "audio":
        return [torch.zeros(sample_rate or 1)]
    return [torch.zeros(32, 32, 3, dtype=torch.uint8)]
