"""Examples → batches: sources, splits, reproducible views, and the loader."""

from mentee.data.arrays import EMBEDDED, find_cifar10, open_arrays, open_embedded
from mentee.data.counter_rng import hash_id, hash_ids, nfc
from mentee.data.examples import Examples
from mentee.data.loader import batches, mixup, read_batch, steps_per_epoch
from mentee.data.modality import MODALITIES, Modality, Views, build_views
from mentee.data.payload import ImageTensors, Payload, Read, ReadOptions, ViewOptions
from mentee.data.semi_supervised import join
from mentee.data.sources import open_examples
from mentee.data.splits import check_classes, limit, split
from mentee.data.texts import encode

__all__ = [
    "EMBEDDED",
    "MODALITIES",
    "Examples",
    "ImageTensors",
    "Modality",
    "Payload",
    "Read",
    "ReadOptions",
    "ViewOptions",
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
    "mixup",
    "nfc",
    "open_arrays",
    "open_embedded",
    "open_examples",
    "read_batch",
    "split",
    "steps_per_epoch",
]
