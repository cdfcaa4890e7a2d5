"""What the student learns from: networks read while it trains, and records of what others said."""

from mentee.teachers.live import LiveTeacher
from mentee.teachers.record import Record, open_records
from mentee.teachers.recorded import RecordedPlace, RecordedTeacher
from mentee.teachers.replayed import ReplayedTeacher
from mentee.teachers.teacher import Spot, Teacher

__all__ = [
    "LiveTeacher",
    "Record",
    "RecordedPlace",
    "RecordedTeacher",
    "ReplayedTeacher",
    "Spot",
    "Teacher",
    "open_records",
]
