"""Views of audio clips."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from mentee.data.counter_rng import FloatArray, Int64Array, uniform
from mentee.data.payload import ViewOptions
from mentee.errors import DataError
from mentee.types import CLEAN

Waves = npt.NDArray[np.float32]


def cut(
    clips: list[Tensor], samples: int, positions: Int64Array | None = None
) -> Float[Tensor, "b samples"]:
    """Take as many samples of each clip, or surround it with silence.

    `positions`, `[b]` in [0, |own − samples|], says where the piece begins in a longer clip, or how
    much silence stands before a shorter one; None: 0.
    """
    pieces = np.zeros((len(clips), samples), np.float32)
    starts = [0] * len(clips) if positions is None else positions.tolist()
    for piece, clip, start in zip(pieces, clips, starts, strict=True):
        if len(clip) >= samples:
            piece[:] = clip.numpy()[start : start + samples]
        else:
            piece[start : start + len(clip)] = clip.numpy()
    return torch.from_numpy(pieces)


@dataclass(frozen=True)
class Cut:
    """Every view is the clip's beginning, with silence behind a shorter one; None: all of it."""

    samples: int | None = None
    fast: ClassVar[bool] = True

    def __call__(
        self, contents: list[Tensor], keys: Int64[Tensor, " b"], view: int
    ) -> Float[Tensor, "b samples"]:
        """The beginnings, whatever the view."""
        lengths = sorted({len(clip) for clip in contents})
        if self.samples is None and len(lengths) > 1:
            raise DataError(
                f"the clips have several lengths, such as {lengths[0]} and {lengths[1]} samples; "
                "choose `seconds` that all are cut or padded to"
            )
        return cut(contents, self.samples or lengths[0])


@dataclass(frozen=True)
class Shift:
    """Each view is another piece of so many samples; a shorter clip stands anywhere in silence."""

    seed: int
    samples: int
    fast: ClassVar[bool] = True

    def __call__(
        self, contents: list[Tensor], keys: Int64[Tensor, " b"], view: int
    ) -> Float[Tensor, "b samples"]:
        """The piece of each clip that this view has; the beginning in the clean view."""
        if view == CLEAN:
            return cut(contents, self.samples)
        own = np.array([len(clip) for clip in contents])
        room = np.abs(own - self.samples)
        share = uniform(self.seed, keys.numpy(), "shift", view)
        # ⌊u · (room + 1)⌋, each place equally likely
        return cut(contents, self.samples, np.floor(share * (room + 1)).astype(np.int64))


@dataclass(frozen=True)
class Mask:
    """A shifted piece without one band of frequencies and one stretch of time (SpecAugment's idea).

    The masks are laid on the waveform, so whatever reads it, student or teacher, sees the same:

        X = rfft(x),  X[f] = 0 where lo ≤ mel(f) < lo + w,  x = irfft(X),  x[s : s + n] = 0
        w ~ U[0, band · mel(rate / 2)],  lo ~ U[0, mel(rate / 2) − w]
        n ~ U[0, stretch · samples],  s ~ U[0, samples − n]
        mel(f) = 2595 log₁₀(1 + f / 700)

    The defaults are the largest shares of EAsT's training on OpenMIC-2018: 48 of 128 mel bands and
    192 of 1,000 frames. What leaves [-1, 1] when a band is gone is clipped.

    Attributes:
        seed: another seed, other views.
        samples: how many to take, as for `Shift`.
        sample_rate: samples a second.
        band: the largest share of the mel scale that is removed.
        stretch: the largest share of the time that is silenced.

    Reference:
        Park et al., SpecAugment, 2019, arXiv 1904.08779.
    """

    seed: int
    samples: int
    sample_rate: int
    band: float = 0.375
    stretch: float = 0.192
    fast: ClassVar[bool] = True

    def __call__(
        self, contents: list[Tensor], keys: Int64[Tensor, " b"], view: int
    ) -> Float[Tensor, "b samples"]:
        """The masked piece of each clip that this view has; the beginning in the clean view."""
        pieces = Shift(self.seed, self.samples)(contents, keys, view)
        if view == CLEAN:
            return pieces
        draw = [uniform(self.seed, keys.numpy(), "mask", view, i) for i in range(4)]
        return torch.from_numpy(
            self._silenced(self._filtered(pieces.numpy(), *draw[:2]), *draw[2:])
        )

    def _filtered(self, x: Waves, u: FloatArray, v: FloatArray) -> Waves:
        from scipy import fft

        n = x.shape[1]
        mel, top = _mels(n, self.sample_rate)
        width = u * self.band * top
        low = v * (top - width)
        spectrum = fft.rfft(x, axis=1)
        # mel(f) rises with f, so that the bins of a band are neighbors
        silence(spectrum, np.searchsorted(mel, low), np.searchsorted(mel, low + width))
        waves: Waves = fft.irfft(spectrum, n, axis=1)
        return np.clip(waves, -1, 1, out=waves)

    def _silenced(self, x: Waves, u: FloatArray, v: FloatArray) -> Waves:
        n = np.floor(u * (self.stretch * self.samples + 1)).astype(np.int64)
        start = np.floor(v * (self.samples - n + 1)).astype(np.int64)
        silence(x, start, start + n)
        return x


@lru_cache(maxsize=8)
def _mels(n: int, sample_rate: int) -> tuple[FloatArray, float]:
    """mel(f) of the bins of a Fourier transform of n samples, and of half the rate."""
    mel = 2595 * np.log10(1 + np.arange(n // 2 + 1) * sample_rate / n / 700)
    return mel, float(2595 * np.log10(1 + sample_rate / 2 / 700))


def silence(rows: npt.NDArray[Any], begins: Int64Array, ends: Int64Array) -> None:
    """Set the stretch [begin, end) of each row to zero, in place."""
    for row, begin, end in zip(rows, begins.tolist(), ends.tolist(), strict=True):
        row[begin:end] = 0


def _length(name: str, options: ViewOptions) -> int:
    if options.samples is None:
        raise DataError(f"the views {name!r} need `seconds`, such as 1: how much of a clip to take")
    return options.samples


def build_cut(options: ViewOptions) -> Cut:
    """`none`."""
    return Cut(options.samples)


def build_shift(options: ViewOptions) -> Shift:
    """`shift`."""
    return Shift(options.seed, _length("shift", options))


def build_mask(options: ViewOptions) -> Mask:
    """`mask`."""
    return Mask(options.seed, _length("mask", options), options.sample_rate)


AUDIO_VIEWS: dict[str, Callable[[ViewOptions], Cut | Shift | Mask]] = {
    "none": build_cut,
    "shift": build_shift,
    "mask": build_mask,
}
