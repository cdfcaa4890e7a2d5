"""What the student learns from: networks read while it trains, and records of what others said."""

from mentee.records import Record, open_records
from mentee.teachers.ema import EmaTeacher
from mentee.teachers.multi import MultiTeacher
from mentee.teachers.online import OnlineTeacher
from mentee.teachers.recorded import RecordedLayer, RecordedTeacher
from mentee.teachers.replayed import RecordedNetworkTeacher
from mentee.teachers.teacher import FeatureSpec, Teacher

__all__ = [
    "EmaTeacher",
    "FeatureSpec",
    "MultiTeacher",
    "OnlineTeacher",
    "Record",
    "RecordedLayer",
    "RecordedNetworkTeacher",
    "RecordedTeacher",
    "Teacher",
    "open_records",
]
