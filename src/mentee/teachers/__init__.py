"""Teachers: networks read while the student trains, and records of what others computed."""

from mentee.teachers.multi import MultiTeacher
from mentee.teachers.online import EmaTeacher, OnlineTeacher
from mentee.teachers.recorded import RecordedLayer, RecordedTeacher
from mentee.teachers.teacher import FeatureSpec, Teacher

__all__ = [
    "EmaTeacher",
    "FeatureSpec",
    "MultiTeacher",
    "OnlineTeacher",
    "RecordedLayer",
    "RecordedTeacher",
    "Teacher",
]
