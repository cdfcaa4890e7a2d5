"""Records: what a teacher said of each example, written once, looked up while a student trains."""

from mentee.teachers.record.estimating import Estimate, estimate
from mentee.teachers.record.importing import import_record
from mentee.teachers.record.manifest import Manifest
from mentee.teachers.record.reading import Record, open_records
from mentee.teachers.record.recording import record

__all__ = [
    "Estimate",
    "Manifest",
    "Record",
    "estimate",
    "import_record",
    "open_records",
    "record",
]
