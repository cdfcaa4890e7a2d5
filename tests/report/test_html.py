"""Pages of runs as text: what is there, what is absent, and that everything is escaped."""

from __future__ import annotations

import copy
import re
import xml.etree.ElementTree as ET

import pytest

from mentee.report import RunFiles, html, run_page
from mentee.report.citations import citations
from mentee.report.plots import Estimate, forest, heat_map, lines, reliability
from tests.report.test_page import METRICS, SUMMARY

EVIL = "<script>alert(1)</script>"
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY"
    "42YAAAAASUVORK5CYII="
)


def many(classes: int) -> RunFiles:
    """A run of so many classes, with everything that a page can show and names that attack it."""
    names = [EVIL, *(f"class {i}" for i in range(1, classes))]
    each = {"examples": 10, "predicted": 9, "recall": 0.8, "precision": 0.75, "f1": 0.77}
    few = classes <= 50
    counts = [
        [8 if i == j else int(j == (i + 1) % classes) for j in range(classes)]
        for i in range(classes)
    ]
    part = {
        "examples": 500,
        "interval": {"score": "accuracy", "low": 0.88, "high": 0.94},
        "majority": 0.1,
        "classes": dict.fromkeys(names, each),
        "confusion": counts if few else None,
    }
    summary = {
        **copy.deepcopy(SUMMARY),
        "score": {"name": "accuracy", "higher_is_better": True},
        "seed": 3,
        "classes": names,
        "details": {"test": part, "validation": part},
        "data_notes": [f'left out of train: 2 files that cannot be read: "a\'b".png, {EVIL}'],
        "warnings": [f"a class is never predicted: {EVIL}"],
        "out_of_domain": {
            f"bad/{kind}-{s}": {"scores": {"accuracy": 0.9 - s / 10}, "examples": 10}
            for kind in ("fog", EVIL)
            for s in range(1, 6)
        }
        | {"bad": {"scores": {"accuracy": 0.6}, "examples": 100, "drop": 0.1, "similarity": None}},
    }
    example = {"id": "a\"b'<i>.png", "confidence": 0.9}
    pair = {"true": EVIL, "predicted": "class 1", "count": 4, "of": 10}
    bins = [
        {"low": 0.5, "high": 0.75, "examples": 20, "confidence": 0.6, "accuracy": 0.5},
        {"low": 0.75, "high": 1.0, "examples": 480, "confidence": 0.9, "accuracy": 0.93},
    ]
    names = ["stem", "embedding", "logits"]
    cka = [[0.9, 0.2, -0.01], [0.2, 0.8, 0.6], [0.1, 0.5, 1.0]]
    layers = {"part": "validation", "examples": 130, "student": names}
    diagnostics = {
        "part": "test",
        "reliability": bins,
        "confused": [
            pair | {"examples": [example | {"image": PIXEL}]},
            pair | {"examples": [example | {"text": f"a text {EVIL}"}]},
            pair | {"examples": [example]},
        ],
        "layers": {**layers, "teachers": {"": {"layers": names, "cka": cka}}},
    }
    rows = [
        {"who": who, "way": "linear", "share": n / 100, "labels": n, "seed": s, "score": score}
        for who, base in (("student", 0.8), ("untrained", 0.5))
        for n in (10, 100)
        for s, score in enumerate((base, base + 0.01, base + 0.03))
    ]
    settings = {"by": "accuracy", "test": {"examples": 5}, "train": {"examples": 9}}
    return RunFiles(
        summary,
        METRICS,
        f"data: {{source: a}}\n# {EVIL}\n",
        {"rows": rows, "settings": settings, "notes": []},
        {"mentee": "0.2.0", "command": ["mentee", "train", EVIL], "data": {"train": "ab"}},
        diagnostics,
        {"test": {"accuracy": 0.9}},
    )


def headings(text: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", text)


def test_the_verdict_comes_first_and_every_part_is_there() -> None:
    text = html(run_page(many(10)))
    assert '<p class="verdict">Test accuracy 0.9123, 0.0123 above scratch.</p>' in text
    assert '<dd class="value">+0.0123</dd><dd class="note">scratch 0.9000, same seed' in text
    assert "95 % [0.8800, 0.9400], 500 examples" in text
    assert headings(text) == [
        "Scores",
        "Notes",
        "Training",
        "Confusions",
        "Calibration",
        "Similarity of layers",
        "Classes",
        "Scores with few labels",
        "Out of domain",
        "Data",
        "Costs",
        "Recipe",
        "Environment",
        "Citation",
    ]
    assert "@misc{zhao2023contrastive," in text
    assert text.index("verdict") < text.index("<svg")


def test_a_part_without_data_is_absent() -> None:
    bare = {**SUMMARY, "teacher": None, "method": "mine", "test": None, "validation": None}
    assert headings(html(run_page(RunFiles(bare)))) == ["Scores", "Data", "Costs", "Recipe"]


@pytest.mark.parametrize("classes", [10, 51])
def test_whatever_a_user_names_is_escaped(classes: int) -> None:
    text = html(run_page(many(classes)))
    assert "<script" not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 8
    assert 'title="a&#34;b&#39;&lt;i&gt;.png"' in text
    for outside in ('src="h', 'href="h', "@import", "url(", "//cdn"):
        assert outside not in text
    for plot in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        drawn = ET.fromstring(plot)
        assert drawn.get("aria-label") == drawn[0].text


def test_a_thousand_classes_fit_into_3_megabytes() -> None:
    text = html(run_page(many(1000)))
    assert len(text.encode()) < 3_000_000
    assert "All 1,000 classes" in text
    assert "confusion matrix" not in text


def test_a_page_is_a_pure_function_of_the_files() -> None:
    assert html(run_page(many(10))) == html(run_page(many(10)))


def points(drawn: ET.Element, tag: str) -> list[ET.Element]:
    return [each for each in drawn.iter() if each.tag.endswith(tag)]


def test_lines_and_dots_lie_where_their_numbers_say() -> None:
    drawn = ET.fromstring(lines({"a": [(0, 0.0), (1, 1.0), (2, 0.5)]}, "a title"))
    (line,) = points(drawn, "polyline")
    (x0, y0), (x1, y1), (x2, y2) = [map(float, p.split(",")) for p in line.attrib["points"].split()]
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y2 == pytest.approx(y2 - y1, abs=0.2)
    assert y1 < y0
    rows = [Estimate("a", 0.5, 0.25, 0.75), Estimate("b", 1.0)]
    drawn = ET.fromstring(forest(rows, "differences"))
    a, b = (float(dot.attrib["cx"]) for dot in points(drawn, "circle"))
    (bar,) = [each for each in points(drawn, "line") if "bar" in each.attrib["class"]]
    assert a - float(bar.attrib["x1"]) == pytest.approx((b - a) / 2, abs=0.2)
    assert float(bar.attrib["x2"]) - a == pytest.approx((b - a) / 2, abs=0.2)


def test_a_cell_is_as_strong_as_its_value() -> None:
    drawn = ET.fromstring(heat_map([[0.25, None], [-0.1, 1.5]], ["r", "s"], ["c", "d"], "a map"))
    assert [cell.attrib["fill-opacity"] for cell in points(drawn, "rect")] == [
        "0.25",
        "0.00",
        "1.00",
    ]


def test_a_bin_stands_at_its_confidence_and_accuracy() -> None:
    bins = [{"low": 0.0, "high": 1.0, "examples": 8, "confidence": 0.5, "accuracy": 0.5}]
    drawn = ET.fromstring(reliability(bins, "diagram", "confidence", "accuracy"))
    (dot,) = points(drawn, "circle")
    (diagonal,) = [each for each in points(drawn, "line") if "dashed" in each.attrib["class"]]
    ends = [float(diagonal.attrib[key]) for key in ("x1", "x2", "y1", "y2")]
    assert float(dot.attrib["cx"]) == pytest.approx((ends[0] + ends[1]) / 2, abs=0.1)
    assert float(dot.attrib["cy"]) == pytest.approx((ends[2] + ends[3]) / 2, abs=0.1)


def test_papers_of_a_sum_once_each_and_none_of_a_users_own_method() -> None:
    text = citations(["crd+kd", "kd", "mine"])
    assert re.findall(r"@\w+{(\w+),", text) == ["tian2020contrastive", "hinton2015distilling"]


def test_numbers_that_are_not_finite_and_names_that_are_no_text_stop_no_page() -> None:
    run = many(10)
    summary = {**run.summary, "test": {"accuracy": float("nan"), "loss": float("inf")}}
    metrics = [
        {"step": 9 * e, "epoch": e, "losses": {"task": float("nan")}, "lr": 1e-320 * e}
        for e in range(4)
    ]
    diagnostics = copy.deepcopy(dict(run.diagnostics))
    diagnostics["confused"][0]["examples"][0]["id"] = "caf\udce9.png"
    text = html(run_page(RunFiles(summary, metrics, "a: [", None, {}, diagnostics)))
    assert "caf?.png" in text
    assert "<h2>Training</h2>" in text
