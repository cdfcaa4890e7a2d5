"""What a person reads: progress while a run trains, and `report.md` when it is finished."""

from mentee.report.page import page
from mentee.report.progress import Reporter, RowProgress, duration
from mentee.report.tables import (
    align,
    html_table,
    loss_lines,
    markdown_table,
    probe_cells,
    spread,
)
from mentee.report.teachers import teacher_cells, teacher_lines, teacher_notes, teachers_of

__all__ = [
    "Reporter",
    "RowProgress",
    "align",
    "duration",
    "html_table",
    "loss_lines",
    "markdown_table",
    "page",
    "probe_cells",
    "spread",
    "teacher_cells",
    "teacher_lines",
    "teacher_notes",
    "teachers_of",
]
