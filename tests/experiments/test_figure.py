"""The figure as drawn: positions are read back from it."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from mentee.experiments.comparison_report import figure
from mentee.experiments.results import results
from mentee.report.svg import standalone, ticks
from tests.experiments.test_results import row, seeded

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def content() -> dict[str, Any]:
    rows = [row("none", seeded(0.5, 0)), row("kd", seeded(0.6, 1)), row("sp", seeded(0.4, 2))]
    return results([*rows, row("r&b", seeded(0.5, 5))], [0, 1, 2])


def test_a_dot_and_an_interval_for_each_row_in_the_order_of_the_table(
    content: dict[str, Any],
) -> None:
    drawn = ET.fromstring(figure(content))
    dots = drawn.findall(f"{SVG}circle")
    told = [entry for entry in content["rows"] if entry["to_scratch"]]
    assert len(dots) == len(told) == 3
    bars = [each for each in drawn.findall(f"{SVG}line") if each.get("class")[:3] == "bar"]
    styles = {"HELPS": "helps", "HURTS": "hurts", "INCONCLUSIVE": "neutral open"}
    assert [dot.get("class") for dot in dots] == [f"dot {styles[e['verdict']]}" for e in told]
    assert [dot[0].text.partition(":")[0] for dot in dots] == [
        f"{e['method']}{' (best)' * e['best']}" for e in told
    ]
    heights = [float(dot.attrib["cy"]) for dot in dots]
    assert heights == sorted(heights)
    # One scale for all: pixels per unit, and where 0 is.
    first, last = told[0]["to_scratch"], told[-1]["to_scratch"]
    x = [float(dot.attrib["cx"]) for dot in dots]
    unit = (x[0] - x[-1]) / (first["difference"] - last["difference"])
    zero = x[0] - unit * first["difference"]
    for entry, dot, bar in zip(told, x, bars, strict=True):
        found = entry["to_scratch"]
        assert dot == pytest.approx(zero + unit * found["difference"], abs=0.2)
        assert float(bar.attrib["x1"]) == pytest.approx(zero + unit * found["judged"][0], abs=0.2)
        assert float(bar.attrib["x2"]) == pytest.approx(zero + unit * found["judged"][1], abs=0.2)
    dark = [each for each in drawn.findall(f"{SVG}line") if each.get("class") == "zero"]
    assert [float(each.attrib["x1"]) for each in dark] == [pytest.approx(zero, abs=0.2)]
    names = [each.text for each in drawn.findall(f"{SVG}text")]
    assert {"kd (best)", "sp", "r&b"} < set(names)


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 0.0), (-0.3, 0.0), (0.0, 1e-6), (-2.0, 55.0), (0.02, 0.03)]
)
def test_marks_are_round_and_hold_what_is_drawn(low: float, high: float) -> None:
    found = ticks(low, high)
    assert found[0] <= low
    assert found[-1] >= high
    assert 2 <= len(found) <= 9
    steps = {float(f"{b - a:.6g}") for a, b in itertools.pairwise(found)}
    assert len(steps) == 1
    assert f"{steps.pop():.0e}"[0] in "125"


def test_nothing_to_draw() -> None:
    assert figure(results([row("none", {0: 0.5})], [0])) == ""


def test_a_file_of_its_own_brings_its_colors(content: dict[str, Any]) -> None:
    drawn = ET.fromstring(standalone(figure(content)))
    assert drawn[0].text == drawn.get("aria-label") == "test accuracy: difference to scratch"
    (style,) = drawn.findall(f"{SVG}style")
    assert ".helps{" in (style.text or "")
    assert drawn.findall(f"{SVG}circle")
