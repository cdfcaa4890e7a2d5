"""Records: what a teacher said of each example, written once, looked up while a student trains."""

from mentee.record.embedding_recording import record
from mentee.record.estimating import Estimate, estimate
from mentee.record.importing import import_record
from mentee.record.manifest import Manifest
from mentee.record.reader import Record, open_records

__all__ = [
    "Estimate",
    "Manifest",
    "Record",
    "estimate",
    "import_record",
    "open_records",
    "record",
]
