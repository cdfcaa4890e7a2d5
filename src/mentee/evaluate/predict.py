"""Run a network over a set, without gradients."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from mentee.capture.place import first_tensor
from mentee.errors import MenteeError
from mentee.models import InputContract, normalise
from mentee.parallel import gather_objects
from mentee.types import Batch


@torch.no_grad()
def predict(
    network: nn.Module,
    contract: InputContract,
    batches: Iterable[Batch],
    device: torch.device | str = "cpu",
) -> Tensor:
    """The logits of all examples of all processes, in the order of the examples' rows.

    Args:
        network: run in evaluation mode; its training flags are put back.
        contract: how images in [0, 1] have to be changed for it.
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
            said = first_tensor(network(normalise(batch.inputs.to(device), contract)))
            if said is None:
                raise MenteeError(f"{type(network).__name__} gives no tensor to take as logits")
            rows.append(batch.rows)
            logits.append(said.float().cpu())
    finally:
        for module, training in flags.items():
            module.training = training
    pairs = gather_objects((torch.cat(rows), torch.cat(logits)) if rows else None)
    order = torch.cat([rows for rows, _ in pairs]).argsort()
    return torch.cat([logits for _, logits in pairs])[order]
