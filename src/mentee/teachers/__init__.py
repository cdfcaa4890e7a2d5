"""What the student learns from: networks read while it trains, and records of what others said."""

from mentee.record import Record, open_records
from mentee.teachers.ema import AveragedTeacher
from mentee.teachers.multi import SeveralTeachers
from mentee.teachers.online import LiveTeacher
from mentee.teachers.recorded import RecordedPlace, RecordedTeacher
from mentee.teachers.replayed import ReplayedTeacher
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
