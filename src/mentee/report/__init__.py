"""What a person reads: while a run goes on, and when it is done."""

from mentee.report.page import page
from mentee.report.progress import Reporter, duration

__all__ = ["Reporter", "duration", "page"]
