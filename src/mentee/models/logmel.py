"""The log-mel spectrogram as a layer: matrix products only, so that it can be exported."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mentee.errors import MenteeError

Scale: TypeAlias = Literal["slaney", "htk"]
BREAK = 1000.0
"""Hz; Slaney's scale is linear below, logarithmic above."""
MEL = 200 / 3
"""Hz of one of Slaney's mels, below the break."""
OCTAVE = math.log(6.4) / 27
"""Slaney's logarithmic step: 27 mels from the break to 6.4 times the break."""


class LogMel(nn.Module):
    r"""A waveform's log-mel spectrogram, without anything trained.

    .. math::

        y_n &= x_n - \alpha x_{n-1}, \qquad
        X_{k,t} = \sum_{n=0}^{w-1} v_n \, y_{n + t \cdot hop - w/2} \, e^{-2 \pi i k n / n_{fft}} \\
        s_{m,t} &= \log\Bigl(\sum_k H_{m,k} |X_{k,t}|^2 + \epsilon\Bigr)

    with Hann's window v, zeros before and after the clip, and `1 + samples // hop` frames, so that
    a clip of any length has at least one. Filter m is a triangle over the frequency f_k, one at its
    center and zero at its neighbors' centers,

    .. math::

        H_{m,k} = \max\Bigl(0, \min\Bigl(\frac{f_k - c_{m-1}}{c_m - c_{m-1}},
        \frac{c_{m+1} - f_k}{c_{m+1} - c_m}\Bigr)\Bigr)

    whose centers `c_0 … c_{mels+1}` lie evenly between `fmin` and `fmax` on a scale of pitch:

    * `htk`: mel(f) = 2595 log10(1 + f / 700);
    * `slaney`: mel(f) = f / 66.67 below 1 kHz, 15 + 27 log(f / 1000) / log 6.4 above. Its low
      filters are wider, so that with many mels fewer of them fall between two bins.

    There are no constants of normalization to write by hand: a network puts a batch norm over the
    mel bins behind. The Fourier matrix and the filters follow from the arguments, so they are in
    no state dict (at 16 kHz they are larger than a small network); an exported graph holds them.
    Mixed precision is switched off inside: the power of a note spans more than ten decades.
    Memory: O(b · frames · (window + n_fft)).

    Args:
        sample_rate: samples a second.
        n_fft: points of the Fourier transform, at least `window`.
        hop: samples from one frame to the next.
        window: samples of a frame, even; None: `n_fft`.
        mels: filters.
        fmin: lower edge of the first filter in Hz.
        fmax: upper edge of the last filter in Hz; None: half the rate.
        emphasis: the α of the pre-emphasis, in [0, 1); 0: none.
        offset: the ε in the logarithm, above 0.
        scale: the scale of pitch, `slaney` or `htk`.

    Raises:
        MenteeError: where a number is out of its range.

    Example:
        >>> mel = LogMel(sample_rate=16000, n_fft=512, hop=256, mels=64)
        >>> mel(torch.zeros(2, 16000)).shape
        torch.Size([2, 1, 64, 63])

    Source: Stevens, Volkmann and Newman 1937 for the mel; the scales as in the HTK book, §5.4, and
    in Slaney's Auditory Toolbox (1998).
    """

    fourier: Tensor
    filters: Tensor

    def __init__(
        self,
        *,
        sample_rate: int,
        n_fft: int,
        hop: int,
        window: int | None = None,
        mels: int = 64,
        fmin: float = 0.0,
        fmax: float | None = None,
        emphasis: float = 0.0,
        offset: float = 1e-5,
        scale: Scale = "slaney",
    ) -> None:
        super().__init__()
        window = n_fft if window is None else window
        fmax = sample_rate / 2 if fmax is None else fmax
        if hop < 1 or mels < 1 or not 2 <= window <= n_fft or window % 2:
            raise MenteeError(
                "a log-mel spectrogram has a hop and mels of at least 1 and an even window of at "
                f"most n_fft; got hop={hop}, mels={mels}, window={window}, n_fft={n_fft}"
            )
        if not 0 <= fmin < fmax <= sample_rate / 2:
            raise MenteeError(
                f"mel filters lie between 0 Hz and half the rate, {sample_rate / 2:g} Hz; got "
                f"fmin={fmin:g}, fmax={fmax:g}"
            )
        if not (0 <= emphasis < 1 and offset > 0):
            raise MenteeError(
                f"emphasis is in [0, 1) and offset above 0; got {emphasis:g} and {offset:g}"
            )
        self.sample_rate, self.hop, self.window, self.emphasis = sample_rate, hop, window, emphasis
        self.offset = offset
        filters = mel_filters(sample_rate, n_fft, mels, fmin, fmax, scale)
        self.register_buffer("fourier", fourier_matrix(window, n_fft).float(), persistent=False)
        self.register_buffer("filters", filters.float(), persistent=False)

    def forward(self, x: Float[Tensor, "b samples"]) -> Float[Tensor, "b 1 mels frames"]:
        """The spectrogram of a batch of clips, float32."""
        with _full_precision(x.device):
            x = x.to(self.fourier.dtype)
            if self.emphasis:
                x = x - self.emphasis * F.pad(x, (1, -1))
            frames = F.pad(x, (self.window // 2, self.window // 2)).unfold(1, self.window, self.hop)
            real, imaginary = (frames @ self.fourier).chunk(2, dim=2)  # [b, frames, n_fft / 2 + 1]
            power = real.square() + imaginary.square()
            levels = (power @ self.filters + self.offset).log()
        return levels.transpose(1, 2).unsqueeze(1)

    def extra_repr(self) -> str:
        """What `print(network)` shows of it."""
        mels = self.filters.shape[1]
        return f"rate={self.sample_rate}, window={self.window}, hop={self.hop}, mels={mels}"


def fourier_matrix(window: int, n_fft: int) -> Float[Tensor, "window twice"]:
    """Hann's window times cosines, then sines, of all frequencies up to half the rate; float64."""
    n = torch.arange(window)
    k = torch.arange(n_fft // 2 + 1)
    hann = 0.5 - 0.5 * torch.cos(2 * math.pi * n.double() / window)
    turn = (n[:, None] * k) % n_fft  # whole turns are left out before they cost digits
    angle = 2 * math.pi * turn.double() / n_fft
    return hann[:, None] * torch.cat([angle.cos(), angle.sin()], dim=1)


def mel_filters(
    sample_rate: int, n_fft: int, mels: int, fmin: float, fmax: float, scale: Scale
) -> Float[Tensor, "bins mels"]:
    """The triangles H of `LogMel`, one a column; float64."""
    if scale not in ("slaney", "htk"):
        raise MenteeError(f"the scale of a log-mel spectrogram is slaney or htk, not {scale!r}")
    low, high = (to_mel(edge, scale) for edge in (fmin, fmax))
    pitches = low + (high - low) * torch.arange(mels + 2, dtype=torch.float64) / (mels + 1)
    center = to_hertz(pitches, scale)
    bins = torch.arange(n_fft // 2 + 1, dtype=torch.float64)[:, None] * sample_rate / n_fft
    width = center.diff()
    rising = (bins - center[:-2]) / width[:-1]
    falling = (center[2:] - bins) / width[1:]
    return torch.minimum(rising, falling).clamp(min=0)


def to_mel(hertz: float, scale: Scale) -> float:
    """The pitch of a frequency.

    Example:
        >>> round(to_mel(1000.0, "htk")), round(to_mel(6400.0, "slaney"))
        (1000, 42)
    """
    if scale == "htk":
        return 2595 * math.log10(1 + hertz / 700)
    return hertz / MEL if hertz < BREAK else BREAK / MEL + math.log(hertz / BREAK) / OCTAVE


def to_hertz(mel: Float[Tensor, " n"], scale: Scale) -> Float[Tensor, " n"]:
    """The frequencies of pitches: the inverse of `to_mel`."""
    if scale == "htk":
        return 700 * (10 ** (mel / 2595) - 1)
    above = BREAK * torch.exp(OCTAVE * (mel - BREAK / MEL))
    return torch.where(mel < BREAK / MEL, mel * MEL, above)


def _full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Without mixed precision where there is some; nothing at all where a graph is traced."""
    if torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()
