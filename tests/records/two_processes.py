"""Teachers and data that the tests of records share."""

from dataclasses import dataclass, field

import numpy as np
import torch

from mentee.data import open_arrays


@dataclass
class Fake:
    """A teacher whose vectors are known: powers of the mean of what it is given.

    It counts as `spent` one second for each number (or letter) in an example.
    """

    name: str = "fake"
    kind: str = "image"
    rate: int | None = None
    width: int = 5
    contract: dict = field(default_factory=lambda: {"pooling": "powers of the mean"})
    scale: float = 1.0
    calls: int = 0
    spent: float = 0.0

    def pooled(self, contents):
        self.calls += 1
        rows = []
        for item in contents:
            x = torch.tensor([float(len(item))]) if isinstance(item, str) else item.float()
            self.spent += len(item) if isinstance(item, str) else x.numel()
            rows.append(self.scale * x.mean().div(256) ** torch.arange(1, self.width + 1))
        return torch.stack(rows)

    def frames(self, contents):
        return torch.stack([self.pooled(contents) + number for number in range(3)], dim=1)

    def fingerprint(self):
        return "0123456789abcdef" * 2


def images(n=10, seed=0, ids=None, name="pictures"):
    pixels = np.random.default_rng(seed).integers(0, 256, (n, 4, 4), dtype=np.uint8)
    ids = [f"{name}/{i}.png" for i in range(n)] if ids is None else ids
    return open_arrays({"image": pixels, "id": ids}, name=name)


def expected(examples, width=5):
    """What `Fake` says of images, in float64."""
    pixels = examples.read(np.arange(len(examples))).numpy().astype(np.float64)
    return (pixels.mean(axis=(1, 2, 3)) / 256)[:, None] ** np.arange(1, width + 1)
