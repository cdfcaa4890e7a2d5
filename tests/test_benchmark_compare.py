"""The statistics of the quality benchmark, against SciPy and the numbers that are committed."""

import importlib.util
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

QUALITY = Path(__file__).parents[1] / "benchmarks" / "quality"


@pytest.fixture(scope="module")
def compare():
    spec = importlib.util.spec_from_file_location("benchmark_compare", QUALITY / "compare.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses looks its annotations up there
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def rows():
    rng = np.random.default_rng(3)
    seeds = rng.normal(60, 2, 5)  # what the seeds have in common
    return {
        "none": (seeds + rng.normal(0, 0.5, 5)).tolist(),
        "better": (seeds + 3 + rng.normal(0, 0.5, 5)).tolist(),
        "same": (seeds + rng.normal(0, 0.5, 5)).tolist(),
    }


def test_the_interval_is_scipys(compare, rows):
    for confidence in (0.9, 0.95, 0.99):
        pairs = np.subtract(rows["better"], rows["none"])
        low, high = stats.t.interval(confidence, 4, pairs.mean(), stats.sem(pairs))
        found = compare.difference(rows["better"], rows["none"], confidence)
        assert (found.mean - found.half, found.mean + found.half) == pytest.approx((low, high))


def test_clear_says_what_the_paired_t_test_says(compare):
    rng = np.random.default_rng(0)
    said = []
    for _ in range(200):
        a, b = rng.normal(0.6, 1, 6), rng.normal(0, 1, 6)
        said.append(compare.difference(a.tolist(), b.tolist()).clear)
        assert said[-1] == (stats.ttest_rel(a, b).pvalue < 0.05)
    assert 10 < sum(said) < 190


def test_mean_and_spread(compare):
    assert compare.mean([1.0, 2.0, 6.0]) == 3.0
    assert compare.spread([1.0, 2.0, 6.0]) == pytest.approx(math.sqrt((4 + 1 + 9) / 2))
    assert compare.spread([4.0]) == 0.0


def test_pairing_takes_out_what_seeds_have_in_common(compare, rows):
    paired = compare.difference(rows["better"], rows["none"])
    assert paired.spread < 0.5 * compare.spread(rows["better"])
    assert paired.clear
    assert not compare.difference(rows["same"], rows["none"]).clear


def test_one_seed_says_little(compare):
    found = compare.difference([61.0], [60.0])
    assert found.half == math.inf
    assert not found.clear
    assert str(found) == "+1.00"
    assert compare.table({"none": [60.0], "kd": [61.0]}, "none", "score")[3] == (
        "| `kd` | 61.00 | +1.00 |"
    )


@pytest.mark.parametrize("baseline", [[], [1.0]])
def test_rows_with_other_seeds_are_refused(compare, baseline):
    with pytest.raises(ValueError, match="for every seed"):
        compare.difference([1.0, 2.0][: len(baseline) * 2], baseline)


def test_the_table_of_the_committed_runs(compare):
    """Mean, spread and difference are those that the last benchmark committed."""
    content = json.loads((QUALITY / "cifar10.json").read_text(encoding="utf-8"))
    rows = {row["row"]: row["accuracy"] for row in content["rows"]}
    for said, line, old in zip(
        compare.summary(rows, "none"),
        compare.table(rows, "none", "test accuracy, %")[2:],
        content["rows"],
        strict=True,
    ):
        assert said["mean"] == pytest.approx(old["mean"], abs=0.01)
        assert said["spread"] == pytest.approx(old["spread"], abs=0.02)
        assert line.startswith(f"| `{old['row']}` | {said['mean']:.2f} ± {said['spread']:.2f} |")
        if old["row"] == "none":
            assert said["above"] is None
        else:
            pairs = np.subtract(rows[old["row"]], rows["none"])
            assert said["above"]["mean"] == pytest.approx(old["above_scratch"], abs=0.02)
            half = stats.t.ppf(0.975, 2) * stats.sem(pairs)
            assert said["above"]["half"] == pytest.approx(half, abs=1e-3)
            assert f"{pairs.mean():+.2f} ± {half:.2f}" in line
            assert ("**" in line) == (abs(pairs.mean()) > half)
    json.dumps(compare.summary(rows, "none"))
