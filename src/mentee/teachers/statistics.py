"""How a teacher's vectors are distributed, measured on some clean examples."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import torch
from torch import Tensor

from mentee.errors import MenteeError
from mentee.parallel import gather_objects
from mentee.records.statistics import fit
from mentee.types import Batch, Features, Statistics


def measure(
    teacher: Callable[[Batch], Features],
    sample: Callable[[], Iterable[Batch]] | None,
    device: torch.device,
    names: Collection[str] | None = None,
) -> dict[str, Statistics]:
    """The statistics of everything a teacher says, over all processes' shares of a sample.

    Args:
        teacher: says features of a batch; maps and tokens are averaged to vectors.
        sample: gives the batches.
        device: where the teacher wants them.
        names: of what it says, those to measure; None: all. What is d wide takes O(d³).

    Returns:
        By the name of what it says.

    Raises:
        MenteeError: there is no sample.
    """
    if sample is None:
        raise MenteeError("the teacher has no examples to measure its vectors on")
    said: dict[str, list[Tensor]] = {}
    for batch in sample():
        for name, features in teacher(batch.to(device)).items():
            if names is not None and name not in names:
                continue
            axes = {2: (), 3: (1,), 4: (2, 3)}[features.ndim]
            vectors = (features.mean(axes) if axes else features).float().cpu()
            said.setdefault(name, []).append(vectors)
    mine = {name: torch.cat(parts) for name, parts in said.items()}
    shares = gather_objects(mine or None)  # of a small sample a process may have none
    return {
        name: fit([share[name].numpy() for share in shares], vectors.shape[1])
        for name, vectors in (shares[0] if shares else {}).items()
    }
