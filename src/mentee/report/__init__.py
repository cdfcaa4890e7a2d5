"""What a person reads: while a run goes on, and when it is done."""

from mentee.report.page import page
from mentee.report.probed import cells, spread
from mentee.report.progress import Reporter, duration

__all__ = ["Reporter", "cells", "duration", "page", "spread"]
