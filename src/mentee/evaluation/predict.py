"""Run a network over a set, without gradients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from mentee.errors import MenteeError
from mentee.features import Capture, Layer
from mentee.features.layer import first_tensor
from mentee.models import Contract, normalize
from mentee.parallel import gather_objects
from mentee.types import Batch, Features


@torch.no_grad()
def collect_features(
    network: nn.Module,
    places: Sequence[Layer],
    contract: Contract,
    batches: Iterable[Batch],
    device: torch.device | str = "cpu",
) -> Features:
    """What a network says of all examples of all processes, in the order of the examples' rows.

    Args:
        network: run in evaluation mode; its training flags are put back.
        places: where it is read, from `mentee.features.resolve`.
        contract: what it reads.
        batches: this process's share of the examples.
        device: where the network is.

    Returns:
        Place name to float32 `[n, ...]` on the CPU.
    """
    flags = {module: module.training for module in network.modules()}
    network.eval()
    rows: list[Tensor] = []
    said: list[Features] = []
    try:
        with Capture(network, places) as capture:
            for batch in batches:
                features = capture.capture(normalize(batch.inputs.to(device), contract))
                rows.append(batch.rows)
                said.append({name: x.float().cpu() for name, x in features.items()})
    finally:
        for module, training in flags.items():
            module.training = training
    mine = {p.name: torch.cat([each[p.name] for each in said]) for p in places if said}
    return in_order(rows, mine)


@torch.no_grad()
def predict(
    network: nn.Module,
    contract: Contract,
    batches: Iterable[Batch],
    device: torch.device | str = "cpu",
) -> Tensor:
    """The logits of all examples of all processes, in the order of the examples' rows.

    Args:
        network: run in evaluation mode; its training flags are put back.
        contract: what it reads.
        batches: this process's share of the examples.
        device: where the network is.

    Returns:
        float32 `[n, k]` on the CPU.

    Raises:
        MenteeError: the network gives no tensor.
    """
    flags = {module: module.training for module in network.modules()}
    network.eval()
    rows, logits = [], []
    try:
        for batch in batches:
            said = first_tensor(network(normalize(batch.inputs.to(device), contract)))
            if said is None:
                raise MenteeError(f"{type(network).__name__} gives no tensor to take as logits")
            rows.append(batch.rows)
            logits.append(said.float().cpu())
    finally:
        for module, training in flags.items():
            module.training = training
    return in_order(rows, {"logits": torch.cat(logits)} if logits else {})["logits"]


def in_order(rows: Sequence[Tensor], mine: Features) -> Features:
    """What all processes have of some examples, in the order of their rows.

    Args:
        rows: of this process's batches.
        mine: what it has of them, by name; empty where it has no batch.
    """
    pairs = gather_objects((torch.cat([*rows]), mine) if rows else None)
    order = torch.cat([each for each, _ in pairs]).argsort()
    return {name: torch.cat([said[name] for _, said in pairs])[order] for name in pairs[0][1]}
