"""Copies of networks that were passed from Python, which stay as they are, in float32."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, is_lazy

from mentee.errors import MenteeError


def copied(network: nn.Module, *, shares_weights: bool = False) -> nn.Module:
    """A network of its own, with the weights, flags and modes of another.

    With `shares_weights` the copy has flags and modes of its own, but the tensors of the other; for
    a network whose weights nobody changes.

    Raises:
        MenteeError: it cannot be copied.

    Example:
        >>> layer = nn.Linear(2, 3)
        >>> other = copied(layer, shares_weights=True).eval().requires_grad_(False)
        >>> layer.training, layer.weight.requires_grad, other.weight is layer.weight
        (True, True, False)
    """
    name = type(network).__name__
    if function := next(_functions_that_hold(network), None):
        raise MenteeError(
            f"{name} cannot be copied: its function {function} refers to one of its own modules, "
            "which a copy would go on using; pass a function that makes the network instead of it"
        )
    # Tensors that were computed of others (weight_norm) are computed again in each forward.
    memo: dict[int, Any] = {
        id(value): value.detach().clone()
        for module in network.modules()
        for value in vars(module).values()
        if isinstance(value, Tensor) and not value.is_leaf
    }
    memo |= {  # which torch does not copy
        id(each): UninitializedBuffer(device=each.device, dtype=each.dtype)  # type: ignore[call-arg]
        for each in network.buffers()
        if is_lazy(each)
    }
    if shares_weights:
        memo |= {id(each): each.detach() for each in network.buffers() if not is_lazy(each)}
        memo |= {
            id(each): nn.Parameter(each.detach(), requires_grad=each.requires_grad)
            for each in network.parameters()
            if not is_lazy(each)
        }
    try:
        with torch.no_grad():  # a scripted network clones its weights
            return copy.deepcopy(network, memo)
    except Exception as error:  # whatever a module of someone else's may hold
        raise MenteeError(
            f"{name} cannot be copied ({str(error).partition(chr(10))[0]}), and each run needs a "
            "network of its own; pass a function that makes it, such as lambda: MyNetwork()"
        ) from error


def to_float32(network: nn.Module) -> str | None:
    """Change weights of another precision to float32, in place; its name, None: they were.

    Example:
        >>> to_float32(nn.Linear(2, 3).half())
        'float16'
    """
    tensors = [*network.parameters(), *network.buffers()]
    kinds = {each.dtype for each in tensors if each.is_floating_point()} - {torch.float32}
    if not kinds:
        return None
    network.float()
    return ", ".join(sorted(str(each).removeprefix("torch.") for each in kinds))


def _functions_that_hold(network: nn.Module) -> Iterator[str]:
    """The names of its hooks and replaced methods whose closures hold one of its modules."""
    own = {id(module) for module in network.modules()}
    for module in network.modules():
        values = list(vars(module).values())
        values += [
            hook
            for hooks in (module._forward_hooks, module._forward_pre_hooks)
            for hook in hooks.values()
        ]
        for value in values:
            cells = getattr(value, "__closure__", None) or ()
            if any(id(_content(cell)) in own for cell in cells):
                yield getattr(value, "__name__", repr(value))


def _content(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # nothing was put into it yet
        return None
