"""Milliseconds of a student, as it would be exported."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from mentee.errors import MenteeError
from mentee.exporting.runtime import open_session, packages, silent
from mentee.exporting.timing import milliseconds

ROUNDS, CALLS, WARM_UP = 6, 10, 10
"""Of the network, to measure its latency."""
ROUGH_CALLS, FASTER, OVERHEAD = 4, 4.0, 10.0
"""A network is not exported whose least time of these in torch is above so many times the budget
and so many milliseconds: onnxruntime is faster, most of all where layers are small and many."""


def too_slow(network: nn.Module, example: Tensor, most: float | None) -> str:
    """Why a network is so slow in torch that it need not be exported; empty: it is not.

    Args:
        network: to be timed.
        example: one input.
        most: the milliseconds that it may take; None: any.
    """
    if most is None:
        return ""
    network = network.eval()
    with one_thread():
        ms = 1000 * min(seconds_of(lambda: network(example), ROUGH_CALLS))
    return f"{ms:.1f} ms (torch)" if ms > FASTER * most + OVERHEAD else ""


def latency(network: nn.Module, example: Tensor) -> tuple[float, str]:
    """Milliseconds of one example on one thread, and what ran it: onnxruntime, else torch.

    The least of the medians of some rounds: what else the machine does can only add to it. Weights
    may be untrained: they change no time.
    """
    network = network.eval()
    with one_thread():
        try:
            call, runtime = in_onnxruntime(network, example), "onnxruntime"
        except MenteeError:
            call, runtime = lambda: network(example), "torch"
        times = seconds_of(call, WARM_UP + ROUNDS * CALLS)
    rounds = [times[begin : begin + CALLS] for begin in range(WARM_UP, len(times), CALLS)]
    return min(milliseconds(each) for each in rounds), runtime


def seconds_of(call: Callable[[], Any], number: int) -> list[float]:
    """Of each of so many calls."""
    times = list[float]()
    with torch.inference_mode():
        for _ in range(number):
            began = time.perf_counter()
            call()
            times.append(time.perf_counter() - began)
    return times


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch has one thread inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def in_onnxruntime(network: nn.Module, example: Tensor) -> Callable[[], Any]:
    """One call of a network in onnxruntime, with as many threads as torch has.

    Raises:
        MenteeError: it, or what writes its files, is not installed; or the network cannot be
            written.
    """
    packages("export", "onnx", "onnxscript", "onnxruntime")
    with TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        try:
            with silent():
                torch.onnx.export(
                    network, (example,), file, dynamo=True, external_data=False, verbose=False
                )
        except Exception as error:  # of onnxscript, onnx or torch
            raise MenteeError(str(error)) from error
        session = open_session(file.read_bytes(), network)
    inputs = {session.get_inputs()[0].name: example.numpy()}
    return lambda: session.run(None, inputs)
