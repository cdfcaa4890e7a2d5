"""Where the examples of a batch stand among those that a teacher was made for."""

from __future__ import annotations

import torch
from torch import Tensor

from mentee.data import Examples
from mentee.errors import DataError
from mentee.types import Batch


class Rows:
    """Finds examples by their keys, which never change.

    Args:
        examples: `n` of them.

    Memory: O(n).
    """

    def __init__(self, examples: Examples) -> None:
        self._name, self._keys = examples.name, torch.from_numpy(examples.keys)
        self._sorted, self._order = self._keys.sort()

    def of(self, batch: Batch) -> Tensor:
        """`[b]` row numbers, on the device of the batch or on the CPU.

        Raises:
            DataError: an example is none of them.
        """
        self._keys = self._keys.to(batch.ids.device)
        rows = batch.rows.clamp(0, len(self._keys) - 1)
        if torch.equal(self._keys[rows], batch.ids) and torch.equal(rows, batch.rows):
            return batch.rows
        # Rows of another part of the examples: the keys never change.
        ids = batch.ids.cpu()
        found = torch.searchsorted(self._sorted, ids).clamp(max=len(self._sorted) - 1)
        missing = ids[self._sorted[found] != ids].tolist()
        if missing:
            raise DataError(
                f"{len(missing)} of the {len(ids)} examples of a batch are none of {self._name}, "
                f"whose vectors were looked up (first key: {missing[0]}); make the teacher of the "
                "examples that it is asked for"
            )
        return self._order[found]
