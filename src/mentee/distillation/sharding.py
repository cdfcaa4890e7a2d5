"""A student that is split over the processes (torch's FSDP2), and what it is as a whole."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mentee import models
from mentee.errors import RecipeError
from mentee.features import Layer
from mentee.parallel import all_reduce_sum, broadcast_buffers, rank, world

if TYPE_CHECKING:
    from mentee.distillation.loop import DistillationModule

LARGEST, LEAST = 1 / 8, 1 / 64
"""Shares of the student's parameters: a larger module is split into its children, a smaller one
stays with what is gathered for the whole step."""
JOINS = "joins"
"""Marks a group of the optimizer that belongs to the one before it."""


def shard(module: DistillationModule, layers: Sequence[Layer], inputs: Tensor) -> None:
    """Split the student's parameters, their gradients and optimizer state over the processes.

    Each of the student's `blocks` is gathered for its forward and its backward pass. What is
    trained beside the student is whole in every process, and its gradients are averaged. Buffers
    are those of the first process in every forward pass, as with DDP.

    Args:
        module: changed in place; build the optimizer afterwards.
        layers: of the student that are read.
        inputs: a batch `[b, ...]` for the student, to see which of its modules are called.

    Raises:
        RecipeError: a parameter of the student is a single number.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    student = module.student
    if numbers := [name for name, each in student.named_parameters() if each.ndim == 0]:
        raise RecipeError(
            f"train.shard splits parameters along their first dimension, and the student's "
            f"{numbers[0]} is a single number; give it the shape [1], or leave train.shard out"
        )
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data = tensor.data.contiguous()
        dist.broadcast(tensor.data, 0)
    options: dict[str, Any] = {"mesh": init_device_mesh(inputs.device.type, (world(),))}
    for path, block in blocks(student, called_modules(module, inputs)).items():
        # What is read inside a block may be all of it that a loss depends on: then nothing tells
        # that its backward pass begins, for which it would have to be gathered again.
        inside = any(
            not each.is_result
            and (each.path.startswith(f"{path}.") or (each.path, each.io) == (path, "input"))
            for each in layers
        )
        fully_shard(block, reshard_after_forward=not inside, **options)
    own = set(student.parameters())
    beside = {each for each in module.criterion.parameters() if each not in own}
    fully_shard(module, ignored_params=beside, **options)
    for each in beside:
        if each.requires_grad:
            each.register_hook(averaged)  # type: ignore[no-untyped-call]
    module.register_forward_pre_hook(lambda module, _: broadcast_buffers(module))


def averaged(gradient: Tensor) -> Tensor:
    """The mean over the processes."""
    return all_reduce_sum(gradient.clone()) / world()


def called_modules(module: DistillationModule, inputs: Tensor) -> set[nn.Module]:
    """The modules of the student that are called in its forward pass, as it is evaluated."""
    called: set[nn.Module] = set()
    handles = [
        each.register_forward_hook(lambda module, *_: called.add(module))
        for each in module.student.modules()
    ]
    module.eval()
    with torch.no_grad():
        module.student(inputs)
    module.train()
    for handle in handles:
        handle.remove()
    return called


def blocks(student: nn.Module, called: set[nn.Module]) -> dict[str, nn.Module]:
    """The modules, by path, that are gathered one at a time; inner ones first.

    The largest that have at most an eighth of the parameters, such as the layers of a transformer;
    a single layer may have more. A parameter that two modules share is in none of them.
    """
    registered = Counter(p for each in student.modules() for p in each._parameters.values())
    total = sum(each.numel() for each in student.parameters())

    def visit(path: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
        parameters = list(module.parameters())
        if sum(each.numel() for each in parameters) < LEAST * total:
            return
        usable = module in called and all(registered[each] == 1 for each in parameters)
        if usable and sum(each.numel() for each in parameters) <= LARGEST * total:
            yield path, module
            return
        for name, child in module.named_children():
            yield from visit(f"{path}.{name}" if path else name, child)
        if usable and path and sum(p.numel() for p in module.parameters(False)) >= LEAST * total:
            yield path, module

    return dict(visit("", student))


def whole(state: Any) -> Any:
    """Tensors, in dicts and lists, with what was split put together on the first process's CPU.

    Every process calls it; another than the first gets None for what was split.
    """
    if isinstance(state, dict):
        result = copy.copy(state)  # with the versions of modules, which torch keeps beside it
        result.update({key: whole(value) for key, value in state.items()})
        return result
    if isinstance(state, list):
        return [whole(value) for value in state]
    if not hasattr(state, "full_tensor"):
        return state
    tensor = state.full_tensor()
    return tensor.cpu() if rank() == 0 else None


def split_as(tensors: dict[Any, Any], own: Mapping[Any, Any]) -> dict[Any, Any]:
    """Whole tensors split as one's own of the same keys and shapes are; all else as it is."""

    def split(tensor: Any, own: Any) -> Any:
        if not hasattr(own, "full_tensor") or getattr(tensor, "shape", None) != own.shape:
            return tensor
        from torch.distributed.tensor import distribute_tensor

        where = own.device_mesh, own.placements
        return distribute_tensor(tensor.to(own.device), *where, src_data_rank=None)

    result = copy.copy(tensors)
    result.update({key: split(tensor, own.get(key)) for key, tensor in tensors.items()})
    return result


class WholeParameters:
    """The parameters of a split student, gathered, and its buffers: what an average follows."""

    def __init__(self, student: nn.Module) -> None:
        self.student = student

    def parameters(self) -> Iterator[Tensor]:
        """One at a time; every process asks for all."""
        for each in self.student.parameters():
            yield cast(Any, each).full_tensor() if hasattr(each, "full_tensor") else each

    def buffers(self) -> Iterator[Tensor]:
        """Which are not split."""
        return self.student.buffers()


def without_weights(student: nn.Module) -> nn.Module:
    """A copy that takes no memory for its parameters and buffers."""
    return models.copied(student).to("meta")


def gathered(student: nn.Module, blank: nn.Module, device: torch.device) -> nn.Module:
    """The whole student, in every process.

    Args:
        student: that is split.
        blank: what `without_weights` made of it.
        device: where the whole one is put.
    """
    network = models.copied(blank).to_empty(device=device)
    with torch.no_grad():
        own, other = (named(each) for each in (network, student))
        for name, each in other.items():
            own[name].copy_(each.full_tensor() if hasattr(each, "full_tensor") else each)
    return network.train(student.training)


def named(network: nn.Module) -> dict[str, Any]:
    """All parameters and buffers, one that two modules share by both names."""
    parameters = network.named_parameters(remove_duplicate=False)
    return dict([*parameters, *network.named_buffers(remove_duplicate=False)])


def split_groups(groups: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Groups of an optimizer whose parameters are all split, or all whole, as one kernel expects.

    Of a group with both kinds the whole ones follow in a group that is marked by `JOINS`.
    """
    result = []
    for group in groups:
        split = [each for each in group["params"] if hasattr(each, "full_tensor")]
        others = [each for each in group["params"] if not hasattr(each, "full_tensor")]
        if split and others:
            result += [group | {"params": split}, group | {"params": others, JOINS: True}]
        else:
            result.append(group)
    return result


def join_groups(groups: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The groups of an optimizer's state as they are where nothing is split."""
    result = list[dict[str, Any]]()
    for group in groups:
        if JOINS in group:
            result[-1]["params"] = result[-1]["params"] + group["params"]
        else:
            result.append(dict(group))
    return result


def groups_as(
    saved: Sequence[dict[str, Any]], own: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Joined groups of a saved state, divided as an optimizer's own groups are."""
    result, rest = list[dict[str, Any]](), iter(saved)
    for group in own:
        if JOINS in group:
            before, count = result[-1], len(group["params"])
            result.append(before | {"params": before["params"][-count:], JOINS: True})
            before["params"] = before["params"][:-count]
        else:
            result.append(dict(next(rest)))
    return result
