"""Records: what a teacher computes of each example, written once, read while a student trains."""

from mentee.records.cost import Estimate, estimate
from mentee.records.importing import import_record
from mentee.records.manifest import Manifest
from mentee.records.reader import Record, open_record
from mentee.records.writer import write_record

__all__ = [
    "Estimate",
    "Manifest",
    "Record",
    "estimate",
    "import_record",
    "open_record",
    "write_record",
]
