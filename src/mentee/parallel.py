"""Communication between the processes of a run; with one process, nothing happens."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

T = TypeVar("T")
PATIENCE = timedelta(seconds=10)
"""For the store of a launcher to answer."""


def world() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this one is, from 0."""
    return dist.get_rank() if world() > 1 else 0


def gather(x: Tensor) -> Tensor:
    """The rows `[b, ...]` of all processes in the order of their ranks; constants, no gradient."""
    if world() == 1:
        return x.detach()
    parts = [torch.empty_like(x) for _ in range(world())]
    dist.all_gather(parts, x.detach().contiguous())
    return torch.cat(parts)


def gather_with_grad(x: Tensor) -> Tensor:
    """As `gather`, but gradients flow back to the process that a row came from.

    Every process computes the same loss of the whole batch, so a row's gradient is the sum over
    the processes; the averaging of the trained parameters' gradients divides by their number.
    """
    if world() == 1:
        return x
    gathered: Tensor = _Gather.apply(x)
    return gathered


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        return gather(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, slope: Tensor) -> Tensor:
        slope = slope.contiguous()
        dist.all_reduce(slope)
        return slope.chunk(world())[rank()]


def all_reduce_sum(x: Tensor) -> Tensor:
    """The sum over the processes, entry by entry; in place, no gradient."""
    if world() > 1:
        dist.all_reduce(x)
    return x


def gather_shards(part: Tensor, parts: Sequence[range], block: int) -> Tensor:
    """Concatenate the parts `[a, rows, d]` that the processes hold, on the first one's CPU.

    `parts` are the rows that each process holds, in the order of their ranks; so many as `block`
    are sent at a time. Another process than the first gets its own part back.
    """
    if rank() != 0:
        for start in range(0, part.shape[1], block):
            dist.send(part[:, start : start + block].contiguous(), 0)
    if world() == 1 or rank() != 0:
        return part
    whole = part.new_empty(len(part), parts[-1].stop, part.shape[2], device="cpu")
    whole[:, parts[0].start : parts[0].stop] = part
    for owner, shard in enumerate(parts[1:], 1):
        for start in shard[::block]:
            rows = part.new_empty(len(part), min(block, shard.stop - start), part.shape[2])
            dist.recv(rows, owner)
            whole[:, start : start + rows.shape[1]] = rows
    return whole


def gather_objects(x: T | None) -> list[T]:
    """The objects, anything small that can be sent, of all processes in the order of their ranks.

    None is left out.
    """
    everything: list[T | None] = [x]
    if world() > 1:
        everything = [None] * world()
        dist.all_gather_object(everything, x)
    return [each for each in everything if each is not None]


def max_over_processes(number: int) -> int:
    """The largest of the processes' numbers, so that all act alike; no GPU is waited for."""
    if world() == 1:
        return number
    largest = torch.tensor(number)
    dist.all_reduce(largest, dist.ReduceOp.MAX, _host_group())
    return int(largest)


@cache
def _host_group() -> Any:
    """The processes' connection that needs no GPU; None: it is that of all else."""
    return dist.new_group(backend="gloo") if dist.get_backend() == "nccl" else None


def init_processes() -> None:
    """Open the connection to the other processes, where torchrun or accelerate started several."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and world() == 1:
        from accelerate import PartialState

        # torchrun may keep its store when it starts the processes again (torch 2.14): the addresses
        # in it are of those that have ended, so the new ones meet under another prefix.
        more: dict[str, Any] = {}
        if restarts():
            more = {key: int(os.environ[key.upper()]) for key in ("rank", "world_size")}
            more["store"] = _launcher_store()
        PartialState(cpu=not torch.cuda.is_available(), **more)


def connection_lost(error: RuntimeError) -> bool:
    """Whether an error tells that another of the processes is not there any more."""
    return world() > 1 and (isinstance(error, dist.DistError) or "gloo" in str(error))


def first_to_tell() -> bool:
    """Whether this process is the first of all that asks, since their launcher started them.

    The launcher keeps the count, or the first process; where none of them answers, it is True.
    """
    try:
        return bool(_launcher_store().add("told", 1) == 1)
    except (RuntimeError, KeyError, ValueError):
        return True


def _launcher_store() -> Any:
    """What the launcher, or the first process, keeps for all, since they were started last."""
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    stores: Any = dist  # its types do not name them
    store = stores.TCPStore(address, port, timeout=PATIENCE, wait_for_workers=False)
    return stores.PrefixStore(f"mentee/{restarts()}", store)


def restarts() -> int:
    """How often torchrun has started the processes again, since one of them had ended."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def broadcast_buffers(module: nn.Module) -> None:
    """Give the buffers of a module, such as batch norm's running statistics, the first's values.

    Where batches are normalized by each process for its own part, they differ after a step.
    """
    if world() > 1:
        alike: dict[Any, list[Tensor]] = {}
        for buffer in module.buffers():
            alike.setdefault((buffer.dtype, buffer.device), []).append(buffer)
        for buffers in alike.values():  # at once, since each message takes its time
            flat = torch.cat([buffer.flatten() for buffer in buffers])
            dist.broadcast(flat, 0)
            parts = torch.split(flat, [buffer.numel() for buffer in buffers])
            for buffer, part in zip(buffers, parts, strict=True):
                buffer.copy_(part.view_as(buffer))


def close_processes() -> None:
    """End the processes' connection once all of them are done.

    Threads of a connection that is still open may abort a process while it ends. Call it last, and
    only where all went well: after an error the others would be waited for in vain.
    """
    if dist.is_available() and dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()
        _host_group.cache_clear()


def exit_process(status: int, *, alone: bool = False) -> None:
    """Leave, and where there are several processes end this one too, with an exit status.

    `alone`: do not wait for the others, one of which has ended.

    Threads of a connection that has trained outlive `destroy_process_group` (torch 2.14), and now
    and then one of them aborts a process that ends as usual: so this one ends at once, after all
    that was to be done at its exit.
    """
    several = world() > 1
    if not alone:
        close_processes()
    if several:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
