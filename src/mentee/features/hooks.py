"""Read a network at its layers while it runs, whether plain, compiled or wrapped."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.utils.hooks import RemovableHandle

from mentee.errors import LayerError, suggest
from mentee.features.layer import Layer, first_tensor
from mentee.types import Features


@dataclass
class _Buffer:
    """The tensors that the hooks of one capture have read, while it is open."""

    is_open: bool = False
    tensors: dict[str, Tensor] = field(default_factory=dict)
    edges: dict[str, GradientEdge] | None = None

    def add_edge(self, layer: Layer, tensor: Tensor) -> None:
        """Store the tensor's point of the autograd graph, where edges are wanted."""
        if self.edges is not None and tensor.requires_grad:
            self.edges[layer.name] = get_gradient_edge(tensor)


class Capture:
    """Reads one network at named layers, by forward hooks.

    The network's class, weights and outputs stay as they are. Build the capture **before**
    `torch.compile` or a wrapper (DDP), then pass the compiled or wrapped network to `run`. A
    module that is called several times in one forward is read at its last call. Between calls
    the hooks do nothing, and nothing is held; several captures of one network are independent.

    Args:
        network: the network itself, not wrapped and not compiled.
        layers: from `mentee.features.resolve`, for a network of this kind.

    Raises:
        LayerError: a layer names a module that this network does not have.

    Example:
        >>> import torch
        >>> from mentee.features import resolve
        >>> network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> inputs = torch.randn(2, 4)
        >>> with Capture(network, resolve(network, ["embedding", "logits"], inputs)) as capture:
        ...     features = capture.capture(inputs)
        >>> {name: tuple(tensor.shape) for name, tensor in features.items()}
        {'embedding': (2, 8), 'logits': (2, 3)}
    """

    def __init__(self, network: nn.Module, layers: Sequence[Layer]) -> None:
        self.network = network
        self.layers = tuple(layers)
        self._buffer = _Buffer()
        modules = dict(network.named_modules(remove_duplicate=False))
        for layer in self.layers:
            if layer.path not in modules:
                raise LayerError(
                    f"the layer {layer.name!r} is the module {layer.path!r}, which this "
                    f"{type(network).__name__} does not have; {suggest(layer.path, modules)}"
                )
        hooked = [layer for layer in self.layers if not layer.is_result]
        self._handles = [_register(modules[layer.path], layer, self._buffer) for layer in hooked]

    def capture(self, inputs: Tensor) -> Features:
        """Run the network on a batch `[b, ...]` and return its features at the layers.

        Returns:
            Layer name to tensor: `[b, c, h, w]`, `[b, t, d]` or `[b, d]`, as the layer states.
            Gradients flow where they are enabled.

        Raises:
            LayerError: a layer was not called.
        """
        return self.run(self.network, inputs)

    def run(
        self,
        call: Callable[[Tensor], object],
        inputs: Tensor,
        edges: dict[str, GradientEdge] | None = None,
    ) -> Features:
        """Run something that calls the network, and return the network's features.

        Args:
            call: the network compiled or wrapped *after* this capture was built.
            inputs: a batch for it, `[b, ...]`.
            edges: is filled with each layer's point of the autograd graph, for gradients with
                respect to its features; not for a compiled network.

        Returns:
            Layer name to tensor, as `capture` does; `logits` is what `call` returns.

        Raises:
            LayerError: a layer was not called; the text says which and why.
        """
        with self._open(edges) as tensors, _hooks_are_guarded():
            result = first_tensor(call(inputs))
            for layer in self.layers:
                if layer.is_result and result is not None:
                    self._buffer.add_edge(layer, result)
            read = {
                layer: result if layer.is_result else tensors.get(layer.name)
                for layer in self.layers
            }
        if missing := [layer for layer, tensor in read.items() if tensor is None]:
            raise LayerError(self._not_called(missing))
        return {
            layer.name: layer.deliver(tensor)
            for layer, tensor in read.items()
            if tensor is not None
        }

    def close(self) -> None:
        """Remove the hooks; closing twice is harmless."""
        while self._handles:
            self._handles.pop().remove()

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @contextmanager
    def _open(self, edges: dict[str, GradientEdge] | None = None) -> Iterator[dict[str, Tensor]]:
        self._buffer.is_open, self._buffer.edges = True, edges
        try:
            yield self._buffer.tensors
        finally:
            self._buffer.is_open, self._buffer.edges = False, None
            self._buffer.tensors.clear()

    def _not_called(self, missing: list[Layer]) -> str:
        names = ", ".join(f"{layer.name!r} (module {layer.path!r})" for layer in missing)
        if not self._handles and any(not layer.is_result for layer in self.layers):
            return f"nothing was read at {names}: this capture is closed; build a new one"
        return (
            f"nothing was read at {names}: its hook was not called. Either the network was "
            "compiled and run before the capture was built (build the Capture first, then "
            "torch.compile), or what was run does not call this network, or forward leaves the "
            "module out in this mode"
        )


def _hooks_are_guarded() -> AbstractContextManager[object]:
    """Have torch.compile look at each module's hooks before it reuses what it has compiled.

    By default it does not. Where the graph breaks, blocks of one class then share compiled code,
    and one with a hook may run the code of another without.
    """
    dynamo = sys.modules.get("torch._dynamo")
    if dynamo is None:  # nothing is compiled, and the import would cost seconds
        return nullcontext()
    patch: AbstractContextManager[object] = dynamo.config.patch(skip_nnmodule_hook_guards=False)
    return patch


def _register(module: nn.Module, layer: Layer, buffer: _Buffer) -> RemovableHandle:
    def read(value: object) -> None:
        tensor = first_tensor(value) if buffer.is_open else None
        if tensor is not None:
            buffer.add_edge(layer, tensor)
            buffer.tensors[layer.name] = tensor.clone() if layer.overwritten else tensor

    def on_input(module: nn.Module, args: object, kwargs: object) -> None:
        read((args, kwargs))

    def on_output(module: nn.Module, args: object, kwargs: object, output: object) -> None:
        read(output)

    if layer.io == "input":
        return module.register_forward_pre_hook(on_input, with_kwargs=True)
    return module.register_forward_hook(on_output, with_kwargs=True)
