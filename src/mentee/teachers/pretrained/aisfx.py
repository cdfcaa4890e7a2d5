"""aisfx: a convolutional network trained on the categories of five sound-effect libraries.

Ma and Kearney et al., "Representation Learning for the Automatic Indexing of Sound Effects
Libraries", ISMIR 2022, arXiv:2208.09096. The log-mel front end is the one of the package that needs
librosa, computed here in torch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mentee.errors import MenteeError
from mentee.models.packages import carried_file, fill, origin, read_checkpoint
from mentee.teachers.pretrained.embedder import ReadyEmbedder
from mentee.teachers.pretrained.mel import mel_filters, mel_spectrogram

RATE, WINDOW, HOP, BANDS = 44100, 2048, 1024, 96
BLOCK = 100  # frames of one input of the network, 2.3 s
LOUDEST = 9.457798957824707  # the largest value of its training spectrograms: the package's number
STRIDE = 8  # three poolings by 2
BATCH = 16  # blocks at once: 16 · 64 · 100 · 96 floats, 39 MB


class AisfxNetwork(nn.Module):
    """Four blocks of two 3×3 convolutions, 64 to 512 wide; the names are the checkpoint's."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_block1 = _Block(1, 64)
        self.conv_block2 = _Block(64, 128)
        self.conv_block3 = _Block(128, 256)
        self.conv_block4 = _Block(256, 512)

    def forward(self, x: Float[Tensor, "b t bands"]) -> Float[Tensor, "b 512 u"]:
        """Log-mel frames → features of every eighth frame, averaged over frequency."""
        x = x[:, None].contiguous(memory_format=torch.channels_last)
        for block in (self.conv_block1, self.conv_block2, self.conv_block3):
            x = F.max_pool2d(block(x), 2)
        features: Tensor = self.conv_block4(x)
        return features.mean(3)


class _Block(nn.Module):
    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inner, outer, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outer, outer, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(outer), nn.BatchNorm2d(outer)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


def build_aisfx(*, hop: float = 0.5) -> ReadyEmbedder:
    """The teacher `aisfx`, 512 entries.

    A clip is divided by its peak; its log-mel frames are cut into blocks of 100 frames (2.3 s), a
    last incomplete block is dropped, as the package does; the vector is the mean over blocks. A
    clip shorter than one block is filled up with zeros (silence) at the end. `frames` are what the
    network says every 8 · 1024 samples (186 ms) of the whole clip, before the maximum over time.

    Args:
        hop: from block to block, as a share of a block, in (0, 1].

    Raises:
        MenteeError: the package is missing, or `hop` is out of range.
    """
    step = round(BLOCK * hop)
    if not 1 <= step <= BLOCK:
        raise MenteeError(f"aisfx: hop is a share of a block, in (0, 1], not {hop}")
    path = carried_file("aisfx", "models/checkpoint.pth", teacher="aisfx")
    state, _ = read_checkpoint(path, ("numpy.dtype", "numpy.core.multiarray.scalar"))
    inner = "embedding_net."
    weights = {k.removeprefix(inner): v for k, v in state.items() if k.startswith(inner)}
    network = AisfxNetwork()
    fill(network, weights, path=path)
    network.to(memory_format=torch.channels_last)
    filters = mel_filters(RATE, WINDOW, BANDS, scale="htk", norm="sum")

    def vectors(clips: Sequence[Tensor]) -> Tensor:
        blocks = [_blocks(log_mel(clip, filters), step) for clip in clips]
        stacked = torch.cat(blocks)
        vectors = torch.cat([network(part).amax(2) for part in torch.split(stacked, BATCH)])
        of_clips = torch.split(vectors, [len(each) for each in blocks])
        return torch.stack([each.mean(0) for each in of_clips])

    def sequences(clips: Sequence[Tensor]) -> Tensor:
        spectra = torch.stack([log_mel(clip, filters) for clip in clips])
        missing = max(0, STRIDE - spectra.shape[1])
        padded = F.pad(spectra, (0, 0, 0, missing))
        return torch.cat([network(part).transpose(1, 2) for part in torch.split(padded, BATCH)])

    return ReadyEmbedder(
        name="aisfx",
        kind="audio",
        sample_rate=RATE,
        width=512,
        vectors=vectors,
        sequences=sequences,
        weights=weights,
        contract={
            "learned_from": "categories of sound-effect libraries",
            "source": origin("aisfx"),
            "license": "CC-BY-4.0",
            "sample_rate": RATE,
            "window": WINDOW,
            "hop": HOP,
            "bands": BANDS,
            "peak": 1.0,
            "block": {"frames": BLOCK, "step": step, "short": "zeros", "incomplete": "dropped"},
            "pooling": "maximum over time in a block, mean over blocks",
            "frame_hop": STRIDE * HOP,
        },
    )


def log_mel(
    clip: Float[Tensor, " samples"], filters: Float[Tensor, "bands bins"]
) -> Float[Tensor, "t bands"]:
    """log10(1 + 10⁴ · mel power of the clip at peak 1), divided by the largest in training."""
    peak = clip.abs().max()
    clip = clip.float() / torch.where(peak > 0, peak, torch.ones(()))
    return torch.log10(mel_spectrogram(clip, filters, hop=HOP) * 1e4 + 1) / LOUDEST


def _blocks(spectrum: Float[Tensor, "t bands"], step: int) -> Float[Tensor, "n block bands"]:
    if len(spectrum) < BLOCK:
        return F.pad(spectrum, (0, 0, 0, BLOCK - len(spectrum)))[None]
    return spectrum.unfold(0, BLOCK, step).transpose(1, 2)
