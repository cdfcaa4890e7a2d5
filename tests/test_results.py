"""What docs/results.md says is what the committed measurements say."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
QUALITY = json.loads((ROOT / "benchmarks/quality/cifar10.json").read_text(encoding="utf-8"))
CONTRAST = json.loads((ROOT / "benchmarks/speed/contrast.json").read_text(encoding="utf-8"))
STEPS = json.loads((ROOT / "benchmarks/speed/step.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("row", QUALITY["rows"], ids=lambda row: row["row"])
def test_every_row_of_the_quality_table(row):
    line = next(line for line in PAGE.splitlines() if line.startswith(f"| `{row['row']}` |"))
    assert f"{row['mean']:.2f} ± {row['spread']:.2f}" in line
    assert f"{row['calibration_error']:.3f}" in line
    assert f"{row['seconds_per_epoch']:.1f}" in line
    if row["row"] != "none":
        assert f"{row['above_scratch']:+.2f} ± {row['above_scratch_spread']:.2f}" in line


@pytest.mark.parametrize("name", STEPS["steps"])
def test_every_row_of_the_step_table(name):
    line = next(line for line in PAGE.splitlines() if line.startswith(f"| {name} |"))
    assert f"{STEPS['steps'][name]['times_kd']:.2f}" in line


def test_the_promises_of_one_contrast_term():
    floor = CONTRAST["against_floor"]["shared"]["times_floor"]
    literal = CONTRAST["against_literal"]["literal"]["times_shared"]
    memory = CONTRAST["extra_memory_mb"]
    assert floor <= 3
    assert literal >= 20
    assert memory["shared"] < 40
    assert memory["literal"] > 1000
    for said in (f"{floor:.1f}×", f"{literal:.0f}×", f"{memory['shared']:.0f} MB"):
        assert said in PAGE


def test_the_promise_of_a_whole_step():
    assert STEPS["steps"]["cktf, K 4096"]["times_kd"] <= 1.4


def test_the_readme_shows_the_table_of_the_results_page():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = [line for line in readme.splitlines() if " parameters " in line and " % " in line]
    assert len(rows) == 5
    assert all(row in PAGE for row in rows)
