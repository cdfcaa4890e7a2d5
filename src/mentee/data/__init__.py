"""Examples → batches: sources, splits, reproducible views, and the loader."""

from mentee.data.arrays import open_arrays
from mentee.data.builtin import EMBEDDED, find_cifar10, open_embedded
from mentee.data.counter_rng import hash_id, hash_ids
from mentee.data.examples import Examples, Task
from mentee.data.loader import batches, read_batch, steps_per_epoch
from mentee.data.mixup import mix
from mentee.data.payload import KINDS, ImageTensors, Kind, Payload, Read
from mentee.data.semi_supervised import join
from mentee.data.sources import open_examples
from mentee.data.splits import check_classes, limit, split
from mentee.data.texts import encode
from mentee.data.views import VIEWS, Views, build_views

__all__ = [
    "EMBEDDED",
    "KINDS",
    "VIEWS",
    "Examples",
    "ImageTensors",
    "Kind",
    "Payload",
    "Read",
    "Task",
    "Views",
    "batches",
    "build_views",
    "check_classes",
    "encode",
    "find_cifar10",
    "hash_id",
    "hash_ids",
    "join",
    "limit",
    "mix",
    "open_arrays",
    "open_embedded",
    "open_examples",
    "read_batch",
    "split",
    "steps_per_epoch",
]
