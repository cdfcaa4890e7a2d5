"""musicnn: a convolutional network trained on the 50 commonest tags of MagnaTagATune.

Pons and Serra, "musicnn: Pre-trained convolutional neural networks for music audio tagging", 2019,
arXiv:1909.06654. The package's TensorFlow 1 checkpoint is read with NumPy; front end and network
are expressed here in torch, so neither TensorFlow nor librosa is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mentee.errors import MenteeError, suggest
from mentee.models.packages import carried_file, fill, origin
from mentee.teachers.pretrained.embedder import ReadyEmbedder
from mentee.teachers.pretrained.mel import mel_filters, mel_spectrogram
from mentee.teachers.pretrained.tensorflow_checkpoint import read_tensorflow_checkpoint

RATE, WINDOW, HOP, BANDS = 16000, 512, 256, 96
FRAMES = 187  # of one window, 3 s
FEATURES = 561 + 3 * 64
LAYERS = {"pools": 2 * FEATURES, "penultimate": 200}
SHORT = ("own", "repeat")
BATCH = 8  # windows at once: 8 · 204 · 187 · 59 floats, 72 MB
EPSILON = 1e-3  # TensorFlow's, in every batch norm


class MusicnnNetwork(nn.Module):
    """Filters as tall as timbres and as long as rhythms, three layers over time, two pools."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1, EPSILON)
        self.timbral = nn.ModuleList(_Filters(204, (7, height)) for height in (38, 67))
        self.temporal = nn.ModuleList(_Filters(51, (long, 1)) for long in (128, 64, 32))
        self.middle = nn.ModuleList(nn.Conv1d(width, 64, 7, padding=3) for width in (561, 64, 64))
        self.middle_norms = nn.ModuleList(nn.BatchNorm1d(64, EPSILON) for _ in range(3))
        self.pool_norm = nn.BatchNorm1d(2 * FEATURES, EPSILON)
        self.dense = nn.Linear(2 * FEATURES, 200)
        self.dense_norm = nn.BatchNorm1d(200, EPSILON)

    def forward(self, x: Float[Tensor, "b t bands"]) -> Float[Tensor, "b pools"]:
        """Log-mel frames → mean over time, then maximum over time, of all 753 features."""
        x = self.norm(x[:, None])
        front = torch.cat([each(x) for each in (*self.timbral, *self.temporal)], 1)
        layers = [front]
        for number, (layer, norm) in enumerate(zip(self.middle, self.middle_norms, strict=True)):
            output = norm(F.relu(layer(layers[-1])))
            layers.append(output if number == 0 else output + layers[-1])
        features = torch.cat(layers, 1)
        return torch.cat([features.mean(2), features.amax(2)], 1)

    def penultimate(self, pools: Float[Tensor, "b pools"]) -> Float[Tensor, "b 200"]:
        """The layer before the tags."""
        mean, largest = pools.chunk(2, 1)
        interleaved = torch.stack([largest, mean], 2).flatten(1)
        penultimate: Tensor = self.dense_norm(F.relu(self.dense(self.pool_norm(interleaved))))
        return penultimate


class _Filters(nn.Module):
    """A convolution over time and frequency; of all frequencies the largest counts."""

    def __init__(self, width: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, width, size), nn.BatchNorm2d(width, EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        long = self.conv.kernel_size[0]
        # As many frames come out as go in; where that is uneven, one zero more at the end.
        x = F.pad(x, (0, 0, (long - 1) // 2, long // 2))
        maps: Tensor = self.norm(F.relu(self.conv(x)))
        return maps.amax(3)


def build_musicnn(*, layer: str = "pools", short: str = "own") -> ReadyEmbedder:
    """The teacher `musicnn`: 1506 entries, or 200 at its penultimate layer.

    A clip is cut into windows of 187 frames (3 s), a last incomplete one is dropped, as the package
    does; the vector is the mean over windows. `frames` are the vectors of the windows.

    Args:
        layer: `pools` (mean, then maximum over time of 753 features) or `penultimate`.
        short: a clip of less than a window is read at its own length (`own`), which the network
            allows, or repeated until it fills one, as in its training (`repeat`), which is slower.

    Raises:
        MenteeError: the package is missing, or an option is unknown.
    """
    for option, value, known in (("layer", layer, tuple(LAYERS)), ("short", short, SHORT)):
        if value not in known:
            raise MenteeError(f"musicnn: {option} has no {value!r}; {suggest(value, known)}")
    path = carried_file("musicnn", "MTT_musicnn/.index", teacher="musicnn")
    network = MusicnnNetwork()
    weights = named_weights(read_tensorflow_checkpoint(path))
    fill(network, weights, path=path)
    filters = mel_filters(RATE, WINDOW, BANDS, scale="slaney", norm="slaney")

    def read(windows: Tensor) -> Tensor:
        pools = torch.cat([network(part) for part in torch.split(windows, BATCH)])
        return pools if layer == "pools" else network.penultimate(pools)

    def windows_of(clip: Tensor) -> Tensor:
        # log10(1 + 10⁴ · mel power); the package rounds to 16 bits before, which overflows
        spectrum = torch.log10(mel_spectrogram(clip.float(), filters, hop=HOP) * 1e4 + 1)
        if len(spectrum) >= FRAMES:
            return spectrum.unfold(0, FRAMES, FRAMES).transpose(1, 2)
        if short == "own":
            return spectrum[None]
        return spectrum.repeat(-(-FRAMES // len(spectrum)), 1)[None, :FRAMES]

    def of_windows(clips: Sequence[Tensor]) -> list[Tensor]:
        windows = [windows_of(clip) for clip in clips]
        by_row: dict[int, Tensor] = {}
        for length in sorted({each.shape[1] for each in windows}):
            rows = [row for row, each in enumerate(windows) if each.shape[1] == length]
            vectors = read(torch.cat([windows[row] for row in rows]))
            parts = torch.split(vectors, [len(windows[row]) for row in rows])
            by_row.update(zip(rows, parts, strict=True))
        return [by_row[row] for row in range(len(clips))]

    return ReadyEmbedder(
        name="musicnn",
        kind="audio",
        sample_rate=RATE,
        width=LAYERS[layer],
        vectors=lambda clips: torch.stack([each.mean(0) for each in of_windows(clips)]),
        sequences=lambda clips: torch.stack(of_windows(clips)),
        weights=weights,
        contract={
            "learned_from": "tags of MagnaTagATune",
            "source": origin("musicnn"),
            "license": "ISC",
            "sample_rate": RATE,
            "window": WINDOW,
            "hop": HOP,
            "bands": BANDS,
            "block": {"frames": FRAMES, "step": FRAMES, "short": short, "incomplete": "dropped"},
            "layer": layer,
            "pooling": "mean and maximum over time in a window, mean over windows",
        },
    )


def named_weights(variables: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, Tensor]:
    """TensorFlow's numbered layers under the names of `MusicnnNetwork`, axes moved.

    Kernels lie there as [height, width, in, out], dense ones as [in, out].
    """
    fronts = ["timbral.0", "timbral.1", "temporal.0", "temporal.1", "temporal.2"]
    convs = [f"{front}.conv" for front in fronts] + [f"middle.{i}" for i in range(3)]
    norms = ["norm", *(f"{front}.norm" for front in fronts)]
    norms += [*(f"middle_norms.{i}" for i in range(3)), "pool_norm", "dense_norm"]
    named: dict[str, Tensor] = {}

    def tensor(layer: str, part: str) -> Tensor:
        try:
            return torch.from_numpy(np.asarray(variables[f"{layer}/{part}"], np.float32))
        except KeyError as error:
            raise MenteeError(f"the checkpoint of musicnn lacks {error}") from error

    for number, name in enumerate(convs):
        layer = f"conv2d_{number}" if number else "conv2d"
        kernel = tensor(layer, "kernel").permute(3, 2, 0, 1)
        if name.startswith("middle"):  # [64, 1, 7, in] → [64, in, 7]
            kernel = kernel[:, 0].transpose(1, 2)
        named[f"{name}.weight"], named[f"{name}.bias"] = kernel.contiguous(), tensor(layer, "bias")
    for number, name in enumerate(norms):
        layer = f"batch_normalization_{number}" if number else "batch_normalization"
        named[f"{name}.weight"] = tensor(layer, "gamma")
        named[f"{name}.bias"] = tensor(layer, "beta")
        named[f"{name}.running_mean"] = tensor(layer, "moving_mean")
        named[f"{name}.running_var"] = tensor(layer, "moving_variance")
        named[f"{name}.num_batches_tracked"] = torch.zeros((), dtype=torch.int64)
    named["dense.weight"] = tensor("dense", "kernel").T.contiguous()
    named["dense.bias"] = tensor("dense", "bias")
    return named
