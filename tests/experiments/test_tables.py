"""The page and the text of a comparison: what stands where."""

from __future__ import annotations

from typing import Any

import pytest

from mentee.experiments.comparison_report import markdown, page, plain
from mentee.experiments.results import results
from mentee.experiments.rows import Row
from tests.experiments.test_results import row, seeded


@pytest.fixture
def content() -> dict[str, Any]:
    rows = [row("none", seeded(0.5, 0)), row("kd", seeded(0.6, 1)), row("r", seeded(0.5, 5))]
    rows += [row("sp<2>", {0: 0.4}, missing={1: "DIVERGED at step 7", 2: "failed: no space"})]
    rows += [Row("net", "east", {}, dict.fromkeys(range(3), "does not fit: why"))]
    return results(rows, [0, 1, 2], {("net", "kd"): 0.75}, ["a note"])


def lines(text: str, name: str) -> list[str]:
    return [line for line in text.splitlines() if line.lstrip("| ").startswith(name)]


def test_the_text_for_a_terminal(content: dict[str, Any]) -> None:
    text = plain(content)
    (kd,) = lines(text, "kd")
    assert "HELPS" in kd
    assert kd.endswith("best")
    assert f"{content['rows'][0]['to_scratch']['difference']:+.4f} [+" in kd
    (none,) = lines(text, "none")
    assert "scratch" in none
    (sp,) = lines(text, "sp<2>")
    assert "no verdict yet" in sp
    (east,) = lines(text, "east")
    assert east.split() == ["east", "does", "not", "fit"]
    assert "10 of 15 runs finished. Score: accuracy on test." in text
    assert "note: a note" in text
    assert "note: net east: does not fit: why (seeds 0, 1, 2)." in text
    assert not any(line.endswith(" ") for line in text.splitlines())


def test_the_page(content: dict[str, Any]) -> None:
    text = markdown(content, "compare")
    result, cost = lines(text, "kd")
    assert "HELPS" in result
    assert "| 0.7500 | 0.1250 | 2.00 | 1 min 00 s | 500 MB | 1,000 | 10 |" in cost
    fog = content["rows"][0]["out_of_domain"]["fog"]
    score = f"| fog | kd | {fog['score']:.4f} ± {fog['deviation']:.4f} | 0.2500 |"
    assert f"{score} {fog['to_scratch']['difference']:+.4f} [+" in text
    assert "GPU" not in text, "a column in which there is nothing is left out"
    assert "- a note" in text
    assert "![](compare.svg)" in text


def test_one_page_that_needs_nothing_else(content: dict[str, Any]) -> None:
    text = page(content, "compare")
    assert text.count("<svg") == text.count("</svg>") == 1
    assert "<td>sp&lt;2&gt;</td>" in text
    assert "sp<2>" not in text
    assert '<p class="verdict">Helps: kd. Inconclusive: r.</p>' in text
    for outside in ('src="', 'href="h', "<script", "@import", "url("):
        assert outside not in text


def test_nothing_is_finished() -> None:
    rows = [Row("net", m, {}, {0: "not started", 1: "not started"}) for m in ("none", "kd")]
    content = results(rows, [0, 1])
    assert "0 of 4 runs finished" in plain(content)
    assert "not started" in markdown(content, "compare")
    assert "net: from scratch is not finished" in plain(content)
    page(content, "compare")
