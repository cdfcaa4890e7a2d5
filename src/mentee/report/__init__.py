"""What a person reads: progress while a run trains, and its reports when it is finished."""

from mentee.report.blocks import markdown
from mentee.report.html import html
from mentee.report.page import RunFiles, page
from mentee.report.progress import Reporter, RowProgress, duration
from mentee.report.run_page import run_page
from mentee.report.tables import align, loss_lines, markdown_table, probe_cells, spread
from mentee.report.teachers import teacher_cells, teacher_lines, teacher_notes, teachers_of

__all__ = [
    "Reporter",
    "RowProgress",
    "RunFiles",
    "align",
    "duration",
    "html",
    "loss_lines",
    "markdown",
    "markdown_table",
    "page",
    "probe_cells",
    "run_page",
    "spread",
    "teacher_cells",
    "teacher_lines",
    "teacher_notes",
    "teachers_of",
]
