"""A frozen teacher of another task, made of functions: examples in, vectors out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

from mentee.data import MODALITIES, ViewOptions
from mentee.errors import DataError, MenteeError, suggest

Contents: TypeAlias = Any
"""What `Examples.read` gives: image uint8 `[b, h, w, c]` or a list of `[h, w, c]`; audio a list of
float32 `[samples]` in [-1, 1] at the teacher's rate; text a list of str."""


@runtime_checkable
class Embedder(Protocol):
    """A frozen teacher of another task.

    Attributes:
        name: what it is called in records.
        kind: `image`, `audio` or `text`.
        sample_rate: audio: samples a second that it wants; else None.
        width: entries of one vector.
        contract: how the contents were prepared and pooled, JSON-able.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def sample_rate(self) -> int | None: ...  # noqa: D102
    @property
    def width(self) -> int: ...  # noqa: D102
    @property
    def contract(self) -> Mapping[str, Any]: ...  # noqa: D102

    def pooled(self, contents: Contents) -> Tensor:
        """One vector for each example, float32 `[b, d]`."""
        ...

    def frames(self, contents: Contents) -> Tensor:
        """One vector for each time frame, float32 `[b, t, d]`; all clips have one length."""
        ...

    def fingerprint(self) -> str:
        """32 hexadecimal digits of the weights."""
        ...


@dataclass(frozen=True, eq=False)
class ReadyEmbedder:
    """An `Embedder` made of functions; it checks what goes in and what comes out.

    Attributes:
        name: what it is called in records.
        kind: `image`, `audio` or `text`.
        width: entries of one vector.
        vectors: contents → `[b, d]`, each example on its own.
        weights: what the fingerprint is of: names to tensors, or to bytes.
        contract: how the contents are prepared and pooled, JSON-able.
        sample_rate: audio: samples a second; else None.
        sequences: contents of one length → `[b, t, d]`, or None where there are no frames.
    """

    name: str
    kind: str
    width: int
    vectors: Callable[[Contents], Tensor]
    weights: Mapping[str, Tensor | bytes]
    contract: Mapping[str, Any]
    sample_rate: int | None = None
    sequences: Callable[[Contents], Tensor] | None = None
    _digest: list[str] = field(default_factory=list, repr=False)

    def pooled(self, contents: Contents) -> Tensor:
        """One vector for each example, whatever else is in the batch.

        Args:
            contents: `b` examples as `Examples.read` gives them; clips of any length from 1 sample.

        Returns:
            float32 `[b, d]`, on the CPU, without gradients.

        Raises:
            DataError: the contents are of another kind or shape, or a clip is empty.
            MenteeError: the teacher says something else than `[b, d]`.
        """
        contents = self._listed(contents)
        b = len(contents)
        with torch.no_grad():
            vectors = self.vectors(contents) if b else torch.zeros(0, self.width)
        return self._checked(vectors, (b, self.width))

    def frames(self, contents: Contents) -> Tensor:
        """One vector for each time frame of each clip.

        Args:
            contents: at least one example; all clips of one length.

        Returns:
            float32 `[b, t, d]`, on the CPU, without gradients.

        Raises:
            DataError: as `pooled`, or the clips have several lengths.
            MenteeError: this teacher has no frames.
        """
        if self.sequences is None:
            raise MenteeError(f"{self.name} gives one vector an example and no frames; use pooled")
        contents = self._listed(contents)
        b = len(contents)
        lengths = sorted({len(clip) for clip in contents}) if self.sample_rate else []
        if len(lengths) > 1 or not b:
            raise DataError(
                f"frames of {self.name} need clips of one length, got {len(lengths)} lengths from "
                f"{lengths[:1]} to {lengths[-1:]} samples; record them with --seconds N, or leave "
                "out --frames"
            )
        with torch.no_grad():
            vectors = self.sequences(contents)
        return self._checked(
            vectors, (b, vectors.shape[1] if vectors.ndim == 3 else -1, self.width)
        )

    def fingerprint(self) -> str:
        """32 hexadecimal digits of the weights: BLAKE2b of the names and bytes, by name."""
        if not self._digest:
            self._digest.append(fingerprint_of(self.weights))
        return self._digest[0]

    def _listed(self, contents: Contents) -> Contents:
        check_contents(contents, self.kind, self.name)
        return contents if self.kind == "image" else list(contents)

    def _checked(self, vectors: Tensor, shape: tuple[int, ...]) -> Tensor:
        if tuple(vectors.shape) != shape:
            expected = ", ".join("t" if n < 0 else str(n) for n in shape)
            raise MenteeError(f"{self.name} gave {list(vectors.shape)}; expected [{expected}]")
        return vectors.detach().to("cpu", torch.float32).contiguous()


def fingerprint_of(weights: Mapping[str, Tensor | bytes]) -> str:
    """32 hexadecimal digits of named tensors or bytes, whatever order they stand in.

    Example:
        >>> fingerprint_of({"a": b"1"}) == fingerprint_of({"a": b"2"})
        False
    """
    digest = hashlib.blake2b(digest_size=16)
    for name, value in sorted(weights.items()):
        digest.update(name.encode())
        if isinstance(value, Tensor):
            digest.update(repr((tuple(value.shape), str(value.dtype))).encode())
            raw = value.detach().cpu().contiguous().reshape(-1)
            digest.update(raw.view(torch.uint8).numpy().data)
        else:
            digest.update(value)
    return digest.hexdigest()


def check_contents(contents: Contents, kind: str, name: str) -> None:
    """See that contents are what a teacher of this kind reads."""
    if not isinstance(contents, Tensor | Sequence) or isinstance(contents, str):
        raise DataError(
            f"{name} reads a batch of {kind} examples; got one {type(contents).__name__}"
        )
    modality = MODALITIES[kind]
    for one in contents:
        if not modality.fits(one):
            description = f"{one.dtype} {list(one.shape)}" if isinstance(one, Tensor) else type(one)
            raise DataError(f"{name} reads {kind}, each {modality.expected}; got {description}")


def check_kind(kind: str, name: str) -> str:
    """The kind itself, if there is such a kind.

    Raises:
        MenteeError: for another word; says the close ones.
    """
    if kind not in MODALITIES:
        raise MenteeError(f"{name}: there is no kind of data {kind!r}; {suggest(kind, MODALITIES)}")
    return kind


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
        width: d; None: measured by one call with a small example.
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
    if ("sample_rate" in MODALITIES[kind].network_args) != (sample_rate is not None):
        raise MenteeError(
            f"{name}: audio has a rate, other kinds have none; got {kind}, {sample_rate=}"
        )

    def call(contents: Contents) -> Tensor:
        vectors = torch.as_tensor(function(contents), dtype=torch.float32)
        if vectors.ndim not in (2, 3) or len(vectors) != len(contents):
            raise MenteeError(
                f"{name} gave {list(vectors.shape)} for {len(contents)} examples; expected "
                f"[{len(contents)}, d] or [{len(contents)}, t, d]"
            )
        return vectors

    example = None
    if width is None:
        example = call(MODALITIES[kind].dry_run(ViewOptions(sample_rate=sample_rate or 1), 3)[:1])
        width = int(example.shape[-1])
    has_frames = example is not None and example.ndim == 3

    def vectors(contents: Contents) -> Tensor:
        if has_frames:
            return torch.stack([call([one])[0].mean(0) for one in contents])
        outputs = call(list(contents))
        return outputs.mean(1) if outputs.ndim == 3 else outputs

    return ReadyEmbedder(
        name=name,
        kind=kind,
        sample_rate=sample_rate,
        width=width,
        vectors=vectors,
        sequences=None if example is not None and not has_frames else lambda c: call(list(c)),
        weights={name: f"{kind} {sample_rate} {version}".encode()},
        contract={
            "source": "a function",
            "version": version,
            "sample_rate": sample_rate,
            **(contract or {}),
        },
    )
