"""Teachers and data that the tests of records share, and what is recorded of them."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch

from mentee.data import open_arrays, read_batch
from mentee.data.modality import build_views
from mentee.records import write_record
from mentee.records.columns import Column
from mentee.records.plan import RecordingJob

MEAN = Column(layer="stages.0", reduction="mean", shape=(3,), layer_shape=(3, 4, 4))
CELLS = Column(layer="stages.0", reduction="2x2 cells", shape=(12,), layer_shape=(3, 4, 4))
LOGITS = Column(layer="logits", reduction="", shape=(2,), layer_shape=(2,))
VIEWS = build_views("crop", seed=3, pad=1)


@dataclass
class Fake:
    """An embedder whose vectors are known: powers of the mean of what it is given.

    It counts as `spent` one second for each number (or letter) in an example.
    """

    name: str = "fake"
    kind: str = "image"
    sample_rate: int | None = None
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


def changed(n, which):
    """The same ids, with other pixels in one example."""
    pixels = images(n).read(np.arange(n)).numpy().copy()
    pixels[which] = 255 - pixels[which]
    return open_arrays({"image": pixels, "id": list(images(n).ids)}, name="pictures")


def expected(examples, width=5):
    """The vectors of `Fake` for images, in float64."""
    pixels = examples.read(np.arange(len(examples))).numpy().astype(np.float64)
    return (pixels.mean(axis=(1, 2, 3)) / 256)[:, None] ** np.arange(1, width + 1)


def outputs(batch):
    """The outputs of a network of 4×4 images, by column."""
    x = batch.inputs.expand(-1, 3, -1, -1)
    cells = x.reshape(len(x), 3, 2, 2, 2, 2).mean((3, 5)).flatten(1)
    logits = torch.stack([x.amax((1, 2, 3)), -x.amin((1, 2, 3))], 1)
    return {MEAN.name: x.mean((2, 3)), CELLS.name: cells, LOGITS.name: logits}


@dataclass
class Outputs:
    """Reads that network, counts its batches, and is interrupted after some of them."""

    calls: int = 0
    stop: int | None = None

    def __call__(self, examples, rows, view, columns):
        if self.calls == self.stop:
            raise Stopped
        self.calls += 1
        features = outputs(read_batch(examples, rows, views=VIEWS, view=view))
        return torch.cat([features[each.name] for each in columns], 1).numpy()


class Stopped(BaseException):
    """As Ctrl-C: an end that is no error."""


def network_job(n=10, columns=(MEAN, LOGITS), count=2, **changes):
    """What is recorded of that network; `job.read.calls` counts the batches."""
    job = RecordingJob(
        examples=images(n),
        read=Outputs(),
        columns=columns,
        teacher={"name": "fake", "fingerprint": "f" * 32, "network": {}},
        dtype="float32",
        batch=4,
        views={"views": "crop", "pad": 1, "view_seed": 3},
        count=count,
        methods=("kd",),
    )
    return replace(job, **changes)


def exact(job, rows, view, columns=None):
    """What the network computes, `[b, d]`, not counted."""
    return torch.from_numpy(Outputs()(job.examples, np.asarray(rows), view, columns or job.columns))


def joined(features, columns):
    """Features as `exact` has them."""
    return torch.cat([features[each.name] for each in columns], 1)


def interrupt(out, job, stop, **options):
    """Record until so many batches are done."""
    job.read.stop = job.read.calls + stop
    with pytest.raises(Stopped):
        write_record(out, job, **options)
    job.read.stop = None


def content(folder):
    """The bytes of all files below a folder, by name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
