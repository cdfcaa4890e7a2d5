"""Modalities: what one kind of input is, from its files to what a network reads.

Image, audio and text are three entries of `MODALITIES`. One of your own is a `Modality` that is
passed beside them: `open_examples(source, modalities={"vector": VECTOR})`, and so for
`mentee.train`. Nothing else has to know of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Int64
from torch import Tensor

from mentee.data.audio import EncodedClips, array_clips, measure_clips, silent_clips
from mentee.data.audio_views import AUDIO_VIEWS
from mentee.data.image_views import IMAGE_VIEWS, black_images, channel_statistics
from mentee.data.images import EncodedImages, array_images
from mentee.data.payload import Files, Payload, ReadOptions, ViewOptions
from mentee.data.texts import TEXT_VIEWS, check_texts, measure_texts, two_texts
from mentee.errors import DataError, suggest
from mentee.types import Batch


@runtime_checkable
class Views(Protocol):
    """Augmentation as a pure function of (seed, id, view): contents to what a network reads.

    The same (seed, id, view) gives the same input in any order, batch, worker or process, so that
    a teacher's outputs for a view can be recorded once and found again.

    Attributes:
        fast: worker processes would not help: at least 20,000 small images, 5,000 clips of a
            second at 16 kHz, or 100,000 short texts a second.
    """

    fast: ClassVar[bool]

    def __call__(self, contents: Any, keys: Int64[Tensor, " b"], view: int) -> Tensor:
        """One view of each example.

        Args:
            contents: what `Examples.read` returns.
            keys: the examples' keys.
            view: the number of the view, from 0; or `CLEAN`: not augmented.

        Returns:
            `Batch.inputs`, as `Modality.layout` says.

        Raises:
            DataError: the contents have several sizes or lengths, and none was chosen.
        """
        ...


def refuse_files(files: Files, ids: Sequence[str], options: ReadOptions) -> Payload:
    """What reads the files of a modality that has none."""
    raise DataError(f"{options.name} holds no encoded files; pass arrays, or a table of values")


@dataclass(frozen=True, eq=False, repr=False)
class Modality:
    """One kind of input.

    Attributes:
        name: the value of `data.kind`, and the key of an array mapping.
        units: what several examples are called in messages.
        layout: what a network reads, with its legend.
        read_arrays: decodes what is in memory: `(values, ids, options)` to a payload.
        views: name to what collates contents into a batch, augmented or not.
        default_views: of a recipe that names none.
        measure_input: what gives batches of the training part, not augmented, and the options of
            the views, to the default input contract of a network, as a recipe writes it.
        dry_run: `(options, channels)` to two examples that a network can be tried on, as they are
            read.
        fits: whether one example that was read is of this kind.
        expected: what `fits` looks for, in words.
        network_args: what a network is told about the data.
        array_keys: further keys of an array mapping, such as `layout`.
        columns: the usual names of a column of a table.
        feature: the type of such a column in `datasets`.
        suffixes: how the names of its encoded files end; none: it has no such files.
        files: what those are called in messages.
        read_files: decodes files: `(files, ids, options)` to a payload.
        prefetch: a batch is made in a thread while the one before it is in use. Worth it where
            making it leaves the interpreter free, as NumPy does on clips; on texts it does not, and
            images are done before a thread has begun.
    """

    name: str
    units: str
    layout: str
    read_arrays: Callable[[Any, Sequence[str], ReadOptions], Payload]
    views: Mapping[str, Callable[[ViewOptions], Views]]
    measure_input: Callable[[Callable[[], Iterable[Batch]], ViewOptions], dict[str, Any]]
    dry_run: Callable[[ViewOptions, int], list[Any]]
    fits: Callable[[Any], bool]
    expected: str
    default_views: str = "none"
    network_args: tuple[str, ...] = ("classes",)
    array_keys: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    feature: str | None = None
    suffixes: tuple[str, ...] = ()
    files: str = "files"
    read_files: Callable[[Files, Sequence[str], ReadOptions], Payload] = refuse_files
    prefetch: bool = False

    def __repr__(self) -> str:
        return f"Modality({self.name!r})"

    def build_views(self, name: str | None, options: ViewOptions) -> Views:
        """The views of a name; None: the default.

        Raises:
            DataError: there is no such name, or a number is missing or out of range.
        """
        name = self.default_views if name is None else name
        if name not in self.views:
            raise DataError(f"no views {name!r} of {self.name}: {suggest(name, self.views)}")
        options.check(name)
        return self.views[name](options)


def _is_image(one: Any) -> bool:
    pixels = isinstance(one, Tensor) and one.ndim == 3 and one.dtype == torch.uint8
    return pixels and one.shape[2] in (1, 3)


def _is_clip(one: Any) -> bool:
    return isinstance(one, Tensor) and one.ndim == 1 and one.is_floating_point() and len(one) > 0


def _is_text(one: Any) -> bool:
    return isinstance(one, str)


_IMAGE_SUFFIXES = (
    *(".apng", ".avif", ".bmp", ".dib", ".gif", ".j2c", ".j2k", ".jfif", ".jp2", ".jpc", ".jpe"),
    *(".jpeg", ".jpf", ".jpg", ".jpx", ".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tga"),
    *(".tif", ".tiff", ".webp"),
)
_AUDIO_SUFFIXES = (
    *(".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".mp2", ".mp3", ".oga", ".ogg", ".opus"),
    *(".rf64", ".snd", ".w64", ".wav", ".wave"),
)

IMAGE = Modality(
    name="image",
    units="images",
    layout="float32 [b, c, h, w] in [0, 1], channels-last memory format",
    read_arrays=array_images,
    views=IMAGE_VIEWS,
    measure_input=channel_statistics,
    dry_run=black_images,
    fits=_is_image,
    expected="a uint8 tensor [h, w, c] of 1 or 3 channels",
    default_views="crop-flip",
    network_args=("classes", "channels"),
    array_keys=("layout",),
    columns=("image", "img", "images"),
    feature="Image",
    suffixes=_IMAGE_SUFFIXES,
    files="images",
    read_files=EncodedImages,
)

AUDIO = Modality(
    name="audio",
    units="clips",
    layout="float32 [b, samples] in [-1, 1]",
    read_arrays=array_clips,
    views=AUDIO_VIEWS,
    measure_input=measure_clips,
    dry_run=silent_clips,
    fits=_is_clip,
    expected="a float32 tensor [samples], not empty",
    network_args=("classes", "sample_rate"),
    array_keys=("sample_rate",),
    columns=("audio",),
    feature="Audio",
    suffixes=_AUDIO_SUFFIXES,
    files="audio files",
    read_files=EncodedClips,
    prefetch=True,
)

TEXT = Modality(
    name="text",
    units="texts",
    layout="uint8 [b, t], UTF-8, 0 behind the end",
    read_arrays=check_texts,
    views=TEXT_VIEWS,
    measure_input=measure_texts,
    dry_run=two_texts,
    fits=_is_text,
    expected="a str",
    columns=("text",),
)

MODALITIES: Mapping[str, Modality] = {each.name: each for each in (IMAGE, AUDIO, TEXT)}
"""The kinds of input that there are, by name."""


def find_modality(kind: str, modalities: Mapping[str, Modality] = MODALITIES) -> Modality:
    """The modality of a name."""
    if kind not in modalities:
        raise DataError(f"kind {kind!r}: {suggest(kind, modalities)}")
    return modalities[kind]


def build_views(
    name: str,
    *,
    kind: str = "image",
    seed: int,
    size: int | None = None,
    pad: int = 4,
    seconds: float | None = None,
    sample_rate: int = 16_000,
    max_bytes: int | None = None,
    interpolation: str = "bilinear",
) -> Views:
    """Build the views of a name.

    Args:
        name: of images: `none`, `crop` (digits: what is mirrored is another sign), `crop-flip`
            (small photographs), `random-resized-crop` or `rand-augment` (large ones; with
            torchvision). Of audio: `none` (the beginning of each clip), `shift` (any piece of it),
            `mask` (a piece without one band of frequencies and one stretch of time). Of text:
            `none`, or `drop` (a tenth of the words left out).
        kind: `image`, `audio` or `text`.
        seed: another seed, other views.
        size: of images: height and width in pixels; None: as the images are.
        pad: how far `crop` and `crop-flip` move an image, in pixels; 4 for 32×32, 1 for 8×8.
        seconds: of audio: how long each input is; None: as long as the clips, all of one length.
        sample_rate: of audio: samples a second.
        max_bytes: of text: bytes of each input; None: of the longest in each batch.
        interpolation: of images: how they are resized, `bilinear` or `bicubic` (antialiased).

    Returns:
        A function `(contents, keys, view) → Batch.inputs`.

    Raises:
        DataError: there is no such name, a number is missing or out of range, or torchvision is
            missing.

    Example:
        >>> import torch
        >>> views = build_views("shift", kind="audio", seed=0, seconds=0.5)
        >>> clip, key = torch.linspace(-1, 1, 16_000), torch.tensor([7])
        >>> views([clip], key, 0).shape
        torch.Size([1, 8000])
        >>> build_views("none", kind="text", seed=0, max_bytes=4)(["tea"], key, 0).tolist()
        [[116, 101, 97, 0]]
    """
    options = ViewOptions(seed, size, pad, seconds, sample_rate, max_bytes, interpolation)
    return find_modality(kind).build_views(name, options)
