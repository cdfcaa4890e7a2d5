from __future__ import annotations

import copy

from mentee.report import loss_lines, page
from mentee.report.tables import loss_cells
from tests.report.test_page import METRICS, SUMMARY, rows

FOUND = {
    "task": {"mean": 2.5, "weight": 0.1, "gradient_norm": 1.0},
    "kl/logits": {"mean": 0.04, "weight": 12.0, "gradient_norm": None},
}
MEASURED = {"steps": 10, "beside": "task", "losses": FOUND}


def test_columns_hold_what_a_loss_counts() -> None:
    assert loss_cells(FOUND) == [
        ["loss", "mean", "weight", "weighted", "gradient norm"],
        ["task", "2.5", "0.1", "0.25", "1"],
        ["kl/logits", "0.04", "12", "0.48", ""],
    ]


def test_lines_are_aligned() -> None:
    assert loss_lines(MEASURED) == [
        "measured in the first 10 steps  mean  weight  weighted  gradient norm",
        "task                             2.5     0.1      0.25              1",
        "kl/logits                       0.04      12      0.48",
    ]
    assert loss_lines({**MEASURED, "steps": 1})[0].startswith("measured in the first step ")


def test_the_page_has_them_with_the_weights_at_the_end() -> None:
    summary = copy.deepcopy(SUMMARY) | {
        "measured": MEASURED,
        "weights_used": {"task": 0.1, "kl/logits": 14.0},
        "balance": "unit",
    }
    text = page(summary, METRICS, "data: a\n")
    found = rows(text, "Losses at the start")
    assert found["kl/logits"] == ["0.04", "12", "0.48", "", "14"]
    assert "balance unit. Mean: of the unweighted loss." in text
    assert "over that of task there" in text
