r"""Sums over the rows of a memory in one pass on a GPU, by a Triton kernel.

Both losses are, for each anchor g, a scalar and a vector that are summed over rows m_k. With scores
s_k in base 2:

.. math:: \text{softmax:} \; \sum_k 2^{s_k}, \; \sum_k 2^{s_k} m_k \qquad
          \text{ratio:} \; \sum_k \log(1 + r_k), \; \sum_k \frac{r_k}{1 + r_k} m_k,
          \; r_k = 2^{s_k - \text{shift}}

A program holds some anchors, streams over a part of the rows, and keeps scores and exponentials of
one tile of rows on the chip. The parts are summed by torch, so the order of all sums is fixed.

Roofline of n rows of d numbers and b anchors: it reads n d numbers once for every tile of
anchors, and computes 4 b n d operations. Partial sums are b (d + 2) float32 for each part.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from mentee.losses.negatives import Draw

LONGEST_ROW = 512
LEAST_ROWS = 256
"""Of a part."""
LOWEST = -1e30
CAP = 80 * math.log2(math.e)
"""The highest score less its shift: r / (1 + r) is 1 already."""


def _jit(function: Callable[..., None]) -> Any:
    """Compiled on its first call, from its source: without what checks its arguments in tests."""
    return triton.jit(inspect.unwrap(function))


@_jit
def _sums(  # type: ignore[no-untyped-def]
    anchors,
    bank,
    drawn,
    groups,
    own_groups,
    tops,
    totals,
    vectors,
    b,
    m,
    d,
    stride,
    part,
    shift,
    cap,
    lowest,
    is_softmax: tl.constexpr,
    is_drawn: tl.constexpr,
    is_grouped: tl.constexpr,
    keeps_dtype: tl.constexpr,
    precision: tl.constexpr,
    tile_anchors: tl.constexpr,
    tile_rows: tl.constexpr,
    width: tl.constexpr,
):
    at = tl.program_id(0) * tile_anchors + tl.arange(0, tile_anchors)
    column = tl.arange(0, width)
    inside = (at < b)[:, None] & (column < d)[None, :]
    anchor = tl.load(anchors + at[:, None] * d + column[None, :], mask=inside, other=0.0)
    top = tl.full([tile_anchors], lowest, tl.float32)
    total = tl.zeros([tile_anchors], tl.float32)
    vector = tl.zeros([tile_anchors, width], tl.float32)
    begin = tl.program_id(1) * part
    end = tl.minimum(begin + part, m)
    for start in range(begin, end, tile_rows):
        number = start + tl.arange(0, tile_rows)
        there = number < end
        row = tl.load(drawn + number, mask=there, other=0) if is_drawn else number.to(tl.int64)
        tile = tl.load(
            bank + row[:, None] * stride + column[None, :],
            mask=there[:, None] & (column < d)[None, :],
            other=0.0,
        )
        if not keeps_dtype:
            tile = tile.to(tl.float32)
        scores = tl.dot(anchor.to(tile.dtype), tl.trans(tile), input_precision=precision)
        counts = there[None, :] & (at < b)[:, None]
        if is_grouped:
            group = tl.load(groups + number, mask=there, other=0)
            own = tl.load(own_groups + at, mask=at < b, other=0)
            counts = counts & (group[None, :] != own[:, None])
        if is_softmax:
            scores = tl.where(counts, scores, -float("inf"))
            highest = tl.maximum(top, tl.max(scores, 1))
            shrink = tl.exp2(top - highest)
            share = tl.exp2(scores - highest[:, None])
            total = total * shrink + tl.sum(share, 1)
            vector = vector * shrink[:, None]
            top = highest
        else:
            power = tl.minimum(scores - shift, cap, propagate_nan=tl.PropagateNan.ALL)
            ratio = tl.where(counts, tl.exp2(power), 0.0)
            whole = 1.0 + ratio
            # log(1 + r) to the last bit, of a small r too
            exact = tl.log(whole) * (ratio / tl.where(whole == 1.0, 1.0, whole - 1.0))
            total += tl.sum(tl.where(whole == 1.0, ratio, exact), 1)
            share = ratio / whole
        vector += tl.dot(share.to(tile.dtype), tile, input_precision=precision)
    place = tl.program_id(1) * b + at
    tl.store(tops + place, top, mask=at < b)
    tl.store(totals + place, total, mask=at < b)
    tl.store(vectors + place[:, None] * d + column[None, :], vector, mask=inside)


def softmax_sums(scaled: Tensor, bank: Tensor, draw: Draw) -> tuple[Tensor, Tensor, Tensor]:
    r"""The highest score, and relative to it the sum of exponentials, and of rows weighted by them.

    Args:
        scaled: the anchors divided by tau, `[b, d]` in float32.
        bank: the rows are taken from, `[n, d]`.
        draw: which of them, shared by all anchors.

    Returns:
        `[b]`, below −1e29 where an anchor has no row; `[b]`; `[b, d]`.
    """
    tops, totals, vectors = _launch(scaled * math.log2(math.e), bank, draw, None)
    top = tops.amax(0)
    shrink = (tops - top).exp2()
    mean = (vectors * shrink[..., None]).sum(0)
    return top * math.log(2), (totals * shrink).sum(0), mean


def ratio_sums(scaled: Tensor, bank: Tensor, draw: Draw, shift: float) -> tuple[Tensor, Tensor]:
    """Sum over the rows of log(1 + ratio), `[b]`, and of the rows times ratio / (1 + ratio).

    Args:
        scaled: the anchors times log2(e) / tau, `[b, d]` in float32.
        bank: the rows are taken from, `[n, d]`.
        draw: which of them, shared by all anchors.
        shift: log2 of what the exponentials are divided by.
    """
    _, totals, vectors = _launch(scaled, bank, draw, shift)
    return totals.sum(0), vectors.sum(0)


def _launch(scaled: Tensor, bank: Tensor, draw: Draw, shift: float | None) -> list[Tensor]:
    """The sums of each part: top `[parts, b]`, total `[parts, b]`, vector `[parts, b, d]`."""
    (b, d), scaled = scaled.shape, scaled.contiguous()
    m = len(bank) if draw.rows is None else len(draw.rows)
    tiles = tile_sizes(d)
    part = rows_of_part(b, m, tiles, processors(bank.device))
    parts = max(1, triton.cdiv(m, part))
    tops, totals = (scaled.new_empty(parts, b) for _ in range(2))
    vectors = scaled.new_empty(parts, b, d)
    grouped = draw.groups is not None and draw.anchors is not None
    # float16 would lose small ratios; the interpreter has no products of bfloat16
    keeps_dtype = bank.dtype == torch.bfloat16 and bank.is_cuda
    exact = torch.get_float32_matmul_precision() == "highest"
    given = (draw.rows, *((draw.groups, draw.anchors) if grouped else (None, None)))
    with torch.cuda.device_of(bank):  # type: ignore[no-untyped-call]
        _sums[(triton.cdiv(b, tiles[0]), parts)](
            scaled,
            bank,
            # the anchors stand for a pointer that is not read
            *(scaled if each is None else each.contiguous() for each in given),
            *(tops, totals, vectors),
            *(b, m, d, bank.stride(0), part),
            *(shift or 0.0, CAP, LOWEST),
            is_softmax=shift is None,
            is_drawn=draw.rows is not None,
            is_grouped=grouped,
            keeps_dtype=keeps_dtype,
            precision="ieee" if exact and not keeps_dtype else "tf32",
            **dict(zip(("tile_anchors", "tile_rows", "width"), tiles, strict=True)),
            num_warps=4 if tiles[2] == LONGEST_ROW else 8,
            num_stages=2,
        )
    return [tops, totals, vectors]


def tile_sizes(d: int) -> tuple[int, int, int]:
    """Anchors and rows of a tile, and its width, which fit into 96 KiB and the registers.

    Example:
        >>> tile_sizes(128), tile_sizes(5), tile_sizes(256), tile_sizes(512)
        ((64, 32, 128), (64, 32, 16), (32, 32, 256), (16, 16, 512))
    """
    width = max(16, triton.next_power_of_2(d))
    return min(64, 8192 // width), min(32, 8192 // width), width


def rows_of_part(b: int, m: int, tiles: tuple[int, int, int], processors: int) -> int:
    """How many rows a program streams over: two programs for each processor, where rows suffice.

    Example:
        >>> rows_of_part(64, 65_536, (64, 32, 128), 132)
        256
    """
    parts = max(1, 2 * processors // triton.cdiv(b, tiles[0]))
    rows = max(LEAST_ROWS, triton.cdiv(m, parts))
    return int(triton.cdiv(rows, tiles[1]) * tiles[1])


def processors(device: torch.device) -> int:
    """Multiprocessors of a GPU; 1 elsewhere, where the interpreter runs."""
    if device.type != "cuda":
        return 1
    return int(torch.cuda.get_device_properties(device).multi_processor_count)
