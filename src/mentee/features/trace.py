"""One dry forward through a network: what every module was given and said, and in which order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from mentee.errors import LayerError
from mentee.features.layer import Adapter, first_tensor


@dataclass(frozen=True)
class Reading:
    """One side of one module in its last call.

    Attributes:
        tensor: what stood there; held for as long as the trace is.
        tick: when, counted in module borders crossed.
        version: the tensor's counter of in-place writes at that time.
    """

    tensor: Tensor
    tick: int
    version: int


@dataclass
class Trace:
    """What one dry forward has shown.

    Attributes:
        network: the network that was run.
        example: the batch it was run on.
        result: what the network returned, as a tensor.
        modules: every module by its path; a shared module has several paths.
        leaves: modules with weights and without children, each with the tick it ended at.
    """

    network: nn.Module
    example: Tensor
    result: Tensor
    modules: dict[str, nn.Module]
    leaves: list[tuple[int, nn.Module]] = field(default_factory=list)
    readings: dict[tuple[nn.Module, Adapter], Reading] = field(default_factory=dict)
    written: dict[int, int] = field(default_factory=dict)
    tick: int = 0

    def at(self, path: str, side: Adapter = "output") -> Reading | None:
        """What was read at a module's side; None where it was not called or said no tensor."""
        module = self.modules.get(path)
        return None if module is None else self.readings.get((module, side))

    def called(self) -> list[str]:
        """Paths of all modules with a tensor output, in the order in which their last call ended.

        Each module is named once, by its first path; the network itself is left out.
        """
        first: dict[nn.Module, str] = {}
        for path, module in self.modules.items():
            first.setdefault(module, path)
        ticks = {
            first[module]: reading.tick
            for (module, side), reading in self.readings.items()
            if side == "output" and first[module]
        }
        return sorted(ticks, key=ticks.__getitem__)

    def is_overwritten(self, reading: Reading) -> bool:
        """Whether the tensor is written over between its reading and the end of the forward.

        The counter shows what eval mode does; the in-place modules that took the tensor up later
        are counted too, for those which act in training only (dropout).
        """
        storage = reading.tensor.untyped_storage().data_ptr()
        later = self.written.get(storage, -1) > reading.tick
        return later or reading.tensor._version != reading.version

    def leaf_at(self, tick: int) -> nn.Module | None:
        """The last module with weights that had ended by `tick`."""
        ended = [leaf for end, leaf in self.leaves if end <= tick]
        return ended[-1] if ended else None

    def _before(self, module: nn.Module, args: object, kwargs: object) -> None:
        self._note(module, "input", (args, kwargs))
        reading = self.readings.get((module, "input"))
        if reading is not None and getattr(module, "inplace", False) is True:
            self.written[reading.tensor.untyped_storage().data_ptr()] = self.tick

    def _after(self, module: nn.Module, args: object, kwargs: object, output: object) -> None:
        self._note(module, "output", output)
        if not any(True for _ in module.children()) and any(True for _ in module.parameters()):
            self.leaves.append((self.tick, module))

    def _note(self, module: nn.Module, side: Adapter, value: object) -> None:
        self.tick += 1
        self.readings.pop((module, side), None)
        tensor = first_tensor(value)
        if tensor is not None:
            self.readings[module, side] = Reading(tensor, self.tick, tensor._version)


def dry_run(network: nn.Module, example: Tensor) -> Trace:
    """Run a network once, in eval mode and without gradients, and note every module's borders.

    Training flags, batch-norm statistics and the global random state are as before afterwards.
    All activations of the example are held while the trace lives: O(b × activations).

    Args:
        network: any module, not wrapped and not compiled.
        example: a small batch of its inputs, `[b, ...]`; two examples are enough.

    Returns:
        The trace.

    Raises:
        LayerError: the network is compiled, or returns no tensor.
    """
    if hasattr(network, "_orig_mod"):
        raise LayerError(
            f"got a compiled {type(network._orig_mod).__name__}: hooks that come after "
            "torch.compile are never called. Find the places and build the Capture from the "
            "network itself, then compile it"
        )
    modules = dict(network.named_modules(remove_duplicate=False))
    trace = Trace(network, example, example, modules)
    with _undisturbed(network, example), ExitStack() as stack:
        for module in network.modules():
            before = module.register_forward_pre_hook(trace._before, with_kwargs=True)
            stack.callback(before.remove)
            after = module.register_forward_hook(trace._after, with_kwargs=True)
            stack.callback(after.remove)
        result = first_tensor(network(example.clone()))
    if result is None:
        raise LayerError(
            f"{type(network).__name__} returned no tensor; a network returns its logits, or a "
            "tuple, mapping or object that holds them as `logits`"
        )
    trace.result = result
    return trace


@contextmanager
def _undisturbed(network: nn.Module, example: Tensor) -> Iterator[None]:
    """Eval mode without gradients; flags and random state are put back."""
    flags = {module: module.training for module in network.modules()}
    gpus = [example.device] if example.is_cuda else []
    with torch.random.fork_rng(devices=gpus), torch.inference_mode(False), torch.no_grad():
        network.eval()
        try:
            yield
        finally:
            for module, flag in flags.items():
                module.training = flag
