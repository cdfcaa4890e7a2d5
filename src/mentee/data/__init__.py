"""Examples → batches: sources, splits, reproducible views, and the loader."""

from mentee.data.arrays import open_arrays
from mentee.data.embedded import EMBEDDED, find_cifar10, open_embedded
from mentee.data.examples import Examples, ImageTensors, Task
from mentee.data.hashing import hash_id, hash_ids
from mentee.data.loader import batches, read_batch, steps_per_epoch
from mentee.data.sources import open_examples
from mentee.data.splits import check_classes, limit, split
from mentee.data.views import VIEWS, Views, build_views

__all__ = [
    "EMBEDDED",
    "VIEWS",
    "Examples",
    "ImageTensors",
    "Task",
    "Views",
    "batches",
    "build_views",
    "check_classes",
    "find_cifar10",
    "hash_id",
    "hash_ids",
    "limit",
    "open_arrays",
    "open_embedded",
    "open_examples",
    "read_batch",
    "split",
    "steps_per_epoch",
]
