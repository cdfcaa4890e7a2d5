"""One dry forward through a network: every module's inputs and outputs, and their order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from mentee.errors import LayerError, MenteeError
from mentee.features.layer import IO, first_tensor, layout_of


@dataclass(frozen=True)
class Reading:
    """The input or output of one module in its last call; held for as long as the trace is.

    Attributes:
        tick: when, counted in module calls begun and ended.
        version: the tensor's counter of in-place writes at that time.
    """

    tensor: Tensor
    tick: int
    version: int


@dataclass
class Trace:
    """The record of one dry forward.

    Attributes:
        network: the network that was run.
        example: the batch it was run on.
        result: the network's output, as a tensor.
        modules: every module by its path; a shared module has several paths.
        leaves: modules with weights and without children, each with the tick it ended at.
        readings: the inputs and outputs of modules.
        written: the last tick at which an in-place module took a storage, by its address.
    """

    network: nn.Module
    example: Tensor
    result: Tensor
    modules: dict[str, nn.Module]
    leaves: list[tuple[int, nn.Module]] = field(default_factory=list)
    readings: dict[tuple[nn.Module, IO], Reading] = field(default_factory=dict)
    written: dict[int, int] = field(default_factory=dict)
    tick: int = 0

    def at(self, path: str, io: IO = "output") -> Reading | None:
        """A module's input or output; None where it was not called or that is no tensor."""
        module = self.modules.get(path)
        return None if module is None else self.readings.get((module, io))

    def called(self) -> list[str]:
        """Paths of all modules with a tensor output, in the order in which their last call ended.

        Each module is named once, by its first path; the network itself is left out.
        """
        first: dict[nn.Module, str] = {}
        for path, module in self.modules.items():
            first.setdefault(module, path)
        ticks = {
            first[module]: reading.tick
            for (module, io), reading in self.readings.items()
            if io == "output" and first[module]
        }
        return sorted(ticks, key=ticks.__getitem__)

    def is_overwritten(self, reading: Reading) -> bool:
        """Whether the tensor is written over between its reading and the end of the forward.

        The version counter shows what eval mode does; in-place modules that read the tensor later
        count too, because some act in training only (dropout).
        """
        storage = reading.tensor.untyped_storage().data_ptr()
        later = self.written.get(storage, -1) > reading.tick
        return later or reading.tensor._version != reading.version

    def leaf_at(self, tick: int) -> nn.Module | None:
        """The last module with weights that had ended by `tick`."""
        ended = [leaf for end, leaf in self.leaves if end <= tick]
        return ended[-1] if ended else None

    def _before(self, module: nn.Module, args: object, kwargs: object) -> None:
        self._add(module, "input", (args, kwargs))
        reading = self.readings.get((module, "input"))
        if reading is not None and getattr(module, "inplace", False) is True:
            self.written[reading.tensor.untyped_storage().data_ptr()] = self.tick

    def _after(self, module: nn.Module, args: object, kwargs: object, output: object) -> None:
        self._add(module, "output", output)
        if not any(True for _ in module.children()) and any(True for _ in module.parameters()):
            self.leaves.append((self.tick, module))

    def _add(self, module: nn.Module, io: IO, value: object) -> None:
        self.tick += 1
        self.readings.pop((module, io), None)
        tensor = first_tensor(value)
        if tensor is not None:
            self.readings[module, io] = Reading(tensor, self.tick, tensor._version)


def dry_run(network: nn.Module, example: Tensor) -> Trace:
    """Run a network once, in eval mode and without gradients, and trace every module's call.

    Two examples are enough. Training flags, batch-norm statistics and the global random state are
    as before afterwards. All activations are held while the trace lives: O(b × activations).

    Raises:
        LayerError: the network is compiled, cannot read the example, or returns no tensor.
    """
    if hasattr(network, "_orig_mod"):
        raise LayerError(
            f"got a compiled {type(network._orig_mod).__name__}: hooks that come after "
            "torch.compile are never called. Find the layers and build the Capture from the "
            "network itself, then compile it"
        )
    modules = dict(network.named_modules(remove_duplicate=False))
    trace = Trace(network, example, example, modules)
    with _undisturbed(network, example), ExitStack() as stack:
        for module in network.modules():
            if isinstance(module, torch.jit.ScriptModule):  # which takes no hooks
                continue
            before = module.register_forward_pre_hook(trace._before, with_kwargs=True)
            stack.callback(before.remove)
            after = module.register_forward_hook(trace._after, with_kwargs=True)
            stack.callback(after.remove)
        try:
            result = first_tensor(network(example.clone()))
        except Exception as error:  # whatever a module of someone else's may raise
            raise unreadable(network, example, error) from error
    if result is None:
        raise LayerError(
            f"{type(network).__name__} returned no tensor; a network returns its logits, or a "
            "tuple, mapping or object that holds them as `logits`"
        )
    trace.result = result
    return trace


def unreadable(network: nn.Module, inputs: Tensor, error: Exception) -> MenteeError:
    """The error of a network that cannot read some inputs; the project's own stay as they are."""
    if isinstance(error, MenteeError):
        return error
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    hint = (
        "the size of images is data.size, or the network's own (student.size, teacher.size); some "
        "networks are built for one (options: {img_size: ...})"
        if inputs.ndim == 4
        else "check what it is built for"
    )
    return LayerError(
        f"{type(network).__name__} cannot read {list(inputs.shape)}: {reason}. Perhaps its inputs "
        f"have another size: {hint}"
    )


@contextmanager
def evaluated(network: nn.Module) -> Iterator[nn.Module]:
    """A network in evaluation mode; the modes of its modules are put back."""
    modes = {module: module.training for module in network.modules()}
    try:
        yield network.eval()
    finally:
        for module, training in modes.items():
            module.training = training


@contextmanager
def _undisturbed(network: nn.Module, example: Tensor) -> Iterator[None]:
    """Eval mode without gradients; modes and random state are put back."""
    gpus = [example.device] if example.is_cuda else []
    seed = torch.random.fork_rng(devices=gpus)
    with seed, torch.inference_mode(False), torch.no_grad(), evaluated(network):
        yield


def channel_axis(trace: Trace, reading: Reading, channels: int | None = None) -> int:
    """The axis of the channels, 1 or -1, of a tensor of three or four axes.

    `channels` is their number, where the network declares it.
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
    """Whether the last weights before it are of a 1-D convolution: `[b, c, t]`, not tokens."""
    leaf = trace.leaf_at(reading.tick)
    if not isinstance(leaf, (nn.Conv1d, nn.ConvTranspose1d, nn.BatchNorm1d)):
        return False
    output = trace.readings[leaf, "output"].tensor
    return output.ndim == 3 and output.shape[1] == reading.tensor.shape[1]


def _is_scaled(trace: Trace, height: int, width: int) -> bool:
    if trace.example.ndim != 4:
        return False
    whole_height, whole_width = trace.example.shape[-2:]
    slack = max(whole_height, whole_width)
    return abs(height * whole_width - width * whole_height) <= slack
