"""Read a network at its places while it runs, whether plain, compiled or wrapped."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from types import TracebackType

from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.utils.hooks import RemovableHandle

from mentee.errors import LayerError, suggest
from mentee.features.layer import Layer, first_tensor
from mentee.types import Features


@dataclass
class _Shelf:
    """Where the hooks of one capture put what they see, while it is open."""

    is_open: bool = False
    kept: dict[str, Tensor] = field(default_factory=dict)
    edges: dict[str, GradientEdge] | None = None

    def note(self, place: Layer, tensor: Tensor) -> None:
        """Keep the tensor's place in the graph, where that is asked for."""
        if self.edges is not None and tensor.requires_grad:
            self.edges[place.name] = get_gradient_edge(tensor)


class Capture:
    """Reads one network at named places, by forward hooks.

    The network's class, weights and outputs stay as they are. Build the capture **before**
    `torch.compile` or a wrapper (DDP), then pass the compiled or wrapped network to `run`. A
    module that is called several times in one forward is read at its last call. Between calls
    the hooks do nothing, and nothing is held; several captures of one network are independent.

    Args:
        network: the network itself, not wrapped and not compiled.
        places: from `mentee.features.resolve`, for a network of this kind.

    Raises:
        LayerError: a place names a module that this network does not have.

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

    def __init__(self, network: nn.Module, places: Sequence[Layer]) -> None:
        self.network = network
        self.places = tuple(places)
        self._shelf = _Shelf()
        modules = dict(network.named_modules(remove_duplicate=False))
        for place in self.places:
            if place.path not in modules:
                raise LayerError(
                    f"the place {place.name!r} is the module {place.path!r}, which this "
                    f"{type(network).__name__} does not have; {suggest(place.path, modules)}"
                )
        hooked = [place for place in self.places if not place.is_result]
        self._handles = [_listen(modules[place.path], place, self._shelf) for place in hooked]

    def capture(self, inputs: Tensor) -> Features:
        """Run the network and return what it says at its places.

        Args:
            inputs: a batch for the network, `[b, ...]`.

        Returns:
            Place name to tensor: `[b, c, h, w]`, `[b, t, d]` or `[b, d]`, as the place states.
            Gradients flow where they are enabled.

        Raises:
            LayerError: a place said nothing.
        """
        return self.run(self.network, inputs)

    def run(
        self,
        call: Callable[[Tensor], object],
        inputs: Tensor,
        edges: dict[str, GradientEdge] | None = None,
    ) -> Features:
        """Run something that calls the network, and return what the network says at its places.

        Args:
            call: the network compiled or wrapped *after* this capture was built.
            inputs: a batch for it, `[b, ...]`.
            edges: is filled with each place's own point of the graph, for gradients with respect
                to what is said there; not for a network that is compiled.

        Returns:
            Place name to tensor, as `capture` does; `logits` is what `call` returns.

        Raises:
            LayerError: a place said nothing; the text says which and why.
        """
        with self._listening(edges) as kept, _hooks_are_guarded():
            result = first_tensor(call(inputs))
            for place in self.places:
                if place.is_result and result is not None:
                    self._shelf.note(place, result)
            said = {
                place.name: result if place.is_result else kept.get(place.name)
                for place in self.places
            }
        missing = [place for place in self.places if said[place.name] is None]
        if missing:
            raise LayerError(self._silence(missing))
        return {
            place.name: place.deliver(tensor)
            for place in self.places
            if (tensor := said[place.name]) is not None
        }

    def close(self) -> None:
        """Remove the hooks; closing twice is harmless."""
        while self._handles:
            self._handles.pop().remove()

    def __enter__(self) -> Capture:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def _listening(
        self, edges: dict[str, GradientEdge] | None = None
    ) -> Iterator[dict[str, Tensor]]:
        self._shelf.is_open, self._shelf.edges = True, edges
        try:
            yield self._shelf.kept
        finally:
            self._shelf.is_open, self._shelf.edges = False, None
            self._shelf.kept.clear()

    def _silence(self, missing: list[Layer]) -> str:
        names = ", ".join(f"{place.name!r} (module {place.path!r})" for place in missing)
        if not self._handles and any(not place.is_result for place in self.places):
            return f"nothing was read at {names}: this capture is closed; build a new one"
        return (
            f"nothing was read at {names}: its hook was not called. Either the network was "
            "compiled and run before the capture was built (build the Capture first, then "
            "torch.compile), or what was run does not call this network, or forward leaves the "
            "module out in this mode"
        )


def _hooks_are_guarded() -> AbstractContextManager[object]:
    """Have torch.compile look at each module's hooks before it reuses what it has compiled.

    By default it does not. Where the graph breaks, blocks of one class then share their code,
    and the one with a hook may be run by that of another without.
    """
    dynamo = sys.modules.get("torch._dynamo")
    if dynamo is None:  # nothing is compiled, and the import would cost seconds
        return nullcontext()
    patch: AbstractContextManager[object] = dynamo.config.patch(skip_nnmodule_hook_guards=False)
    return patch


def _listen(module: nn.Module, place: Layer, shelf: _Shelf) -> RemovableHandle:
    def keep(value: object) -> None:
        tensor = first_tensor(value) if shelf.is_open else None
        if tensor is not None:
            shelf.note(place, tensor)
            shelf.kept[place.name] = tensor.clone() if place.overwritten else tensor

    def before(module: nn.Module, args: object, kwargs: object) -> None:
        keep((args, kwargs))

    def after(module: nn.Module, args: object, kwargs: object, output: object) -> None:
        keep(output)

    if place.side == "input":
        return module.register_forward_pre_hook(before, with_kwargs=True)
    return module.register_forward_hook(after, with_kwargs=True)
