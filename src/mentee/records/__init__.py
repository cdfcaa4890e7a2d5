"""Records: what a teacher said of each example, written once, looked up while a student trains."""

from mentee.records.embedding_recording import record
from mentee.records.estimating import Estimate, estimate
from mentee.records.importing import import_record
from mentee.records.manifest import Manifest
from mentee.records.reader import Record, open_records

__all__ = [
    "Estimate",
    "Manifest",
    "Record",
    "estimate",
    "import_record",
    "open_records",
    "record",
]
