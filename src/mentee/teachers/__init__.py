"""What the student learns from: networks read while it trains, and records of what others said."""

from mentee.teachers.averaged import AveragedTeacher
from mentee.teachers.live import LiveTeacher
from mentee.teachers.record import Record, open_records
from mentee.teachers.recorded import RecordedPlace, RecordedTeacher
from mentee.teachers.replayed import ReplayedTeacher
from mentee.teachers.several import SeveralTeachers
from mentee.teachers.teacher import Spot, Teacher

__all__ = [
    "AveragedTeacher",
    "LiveTeacher",
    "Record",
    "RecordedPlace",
    "RecordedTeacher",
    "ReplayedTeacher",
    "SeveralTeachers",
    "Spot",
    "Teacher",
    "open_records",
]
