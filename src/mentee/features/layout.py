"""Which axis of a tensor holds the channels: from what is declared first, from the trace else."""

from __future__ import annotations

from torch import Tensor, nn

from mentee.features.layer import Layout
from mentee.features.trace import Reading, Trace

_LAYOUTS: dict[int, Layout] = {2: "vector", 3: "tokens", 4: "map"}


def layout_of(tensor: Tensor, examples: int) -> Layout | None:
    """The layout by the number of axes; None where the rows are not the examples."""
    if tensor.ndim == 0 or tensor.shape[0] != examples:
        return None
    return _LAYOUTS.get(tensor.ndim)


def channel_axis(trace: Trace, reading: Reading, channels: int | None = None) -> int:
    """Where the network keeps the channels of a tensor of three or four axes.

    Args:
        trace: the dry run.
        reading: the tensor, with three or four axes.
        channels: their number, where the network declares it.

    Returns:
        1 or -1.
    """
    shape = reading.tensor.shape
    if channels is not None and (shape[1] == channels) != (shape[-1] == channels):
        return 1 if shape[1] == channels else -1
    if len(shape) == 4:
        return _map_axis(trace, shape)
    return 1 if _is_from_convolution(trace, reading) else -1


def resolution(trace: Trace, reading: Reading) -> tuple[int, ...] | None:
    """`(h, w)` of a map, `(t,)` of tokens; None for anything else and for a single point."""
    layout = layout_of(reading.tensor, len(trace.example))
    if layout not in ("map", "tokens"):
        return None
    axis = channel_axis(trace, reading)
    shape = tuple(reading.tensor.shape[2:] if axis == 1 else reading.tensor.shape[1:-1])
    return None if all(size == 1 for size in shape) else shape


def _map_axis(trace: Trace, shape: tuple[int, ...]) -> int:
    """Channels are first or last; height to width is what it is in the input, to a pixel."""
    first = _is_scaled(trace, shape[2], shape[3])
    last = _is_scaled(trace, shape[1], shape[2])
    if first != last:
        return 1 if first else -1
    return -1 if getattr(trace.network, "output_fmt", None) == "NHWC" else 1


def _is_from_convolution(trace: Trace, reading: Reading) -> bool:
    """Whether the last weights before it were one-dimensional convolution's: `[b, c, t]`.

    All else speaks in tokens, `[b, t, d]`.
    """
    leaf = trace.leaf_at(reading.tick)
    if not isinstance(leaf, (nn.Conv1d, nn.ConvTranspose1d, nn.BatchNorm1d)):
        return False
    said = trace.readings[leaf, "output"].tensor
    return said.ndim == 3 and said.shape[1] == reading.tensor.shape[1]


def _is_scaled(trace: Trace, height: int, width: int) -> bool:
    if trace.example.ndim != 4:
        return False
    whole_height, whole_width = trace.example.shape[-2:]
    slack = max(whole_height, whole_width)
    return abs(height * whole_width - width * whole_height) <= slack
