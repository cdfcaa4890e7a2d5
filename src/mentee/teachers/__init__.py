"""What the student learns from: networks that are read while it trains."""

from mentee.teachers.live import LiveTeacher

__all__ = ["LiveTeacher"]
