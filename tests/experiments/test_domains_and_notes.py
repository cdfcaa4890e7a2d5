"""Comparisons: other domains are judged, tables explain themselves, notes tell the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mentee.experiments.comparison_report import markdown, page, plain
from mentee.experiments.results import results
from mentee.experiments.rows import Row
from mentee.experiments.statistics import difference, holm, noise, verdict
from tests.experiments.test_results import named, run, seeded


def with_domains(method: str, height: float, seed: int, gains: dict[str, float]) -> Row:
    scores = seeded(height, seed)
    runs = {}
    for s, score in scores.items():
        domains = {
            name: {"examples": 50, "scores": {"accuracy": score + gain}, "drop": -gain}
            for name, gain in gains.items()
        }
        runs[s] = run(score, score, out_of_domain=domains)
    return Row("net", method, runs, {})


def test_each_domain_has_scores_intervals_and_verdicts_of_its_own() -> None:
    rows = [
        with_domains("none", 0.5, 0, {"noisy": -0.1, "far": -0.2}),
        with_domains("kd", 0.5, 1, {"noisy": 0.1, "far": -0.2}),
        with_domains("sp", 0.5, 2, {"noisy": -0.3, "far": -0.2}),
        *(with_domains(f"r{i}", 0.5, i, {"noisy": -0.1, "far": -0.2}) for i in range(3, 7)),
    ]
    content = results(rows, [0, 1, 2])
    found = named(content)
    assert {name: found[name]["verdict"] for name in ("kd", "sp")} == {
        "kd": "INCONCLUSIVE",
        "sp": "INCONCLUSIVE",
    }
    verdicts = {
        (name, domain): each["verdict"]
        for name in ("none", "kd", "sp")
        for domain, each in found[name]["out_of_domain"].items()
    }
    assert verdicts == {
        ("none", "noisy"): None,
        ("none", "far"): None,
        ("kd", "noisy"): "HELPS",
        ("kd", "far"): "INCONCLUSIVE",
        ("sp", "noisy"): "HURTS",
        ("sp", "far"): "INCONCLUSIVE",
    }
    each = found["kd"]["out_of_domain"]["noisy"]
    assert each["score"] == pytest.approx(np.mean(list(seeded(0.6, 1).values())))
    assert each["to_scratch"]["difference"] == pytest.approx(0.2, abs=0.01)
    for text in (plain(content), markdown(content, "compare")):
        (line,) = [x for x in text.splitlines() if "noisy" in x and "kd" in x]
        assert f"{each['score']:.4f} ± {each['deviation']:.4f}" in line
        assert "HELPS" in line
        assert "[+" in line
    assert "<td>noisy</td><td>kd</td>" in page(content, "compare")


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("rows", "seeds"), [(3, 2), (5, 3), (9, 5)])
def test_the_interval_shown_leaves_out_0_exactly_where_there_is_a_verdict(
    rows: int, seeds: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 0.01, (rows, seeds)) + rng.normal(0, 0.03, (rows, 1))
    scores[0] = rng.normal(0, 0.03, seeds)
    table = {f"m{i}": dict(enumerate(row.tolist())) for i, row in enumerate(scores)}
    table["none"] = table.pop("m0")
    made = [Row("n", name, {s: run(x, x) for s, x in by.items()}, {}) for name, by in table.items()]
    found = named(results(made, list(range(seeds))))
    pooled = noise(scores)
    each = [difference(scores, i, 0, pooled) for i in range(1, rows)]
    for i, (d, p) in enumerate(zip(each, holm([d.p for d in each]), strict=True)):
        low, high = found[f"m{i + 1}"]["to_scratch"]["judged"]
        assert (low > 0 or high < 0) == (verdict(d, p) != "INCONCLUSIVE")
        assert low <= d.mean <= high  # type: ignore[operator]


def of_two_seeds(**more: Any) -> dict[str, Any]:
    rows = [
        Row("net", name, {0: run(a, a, **more), 1: run(b, b, **more)}, {})
        for name, a, b in (("none", 0.5, 0.5), ("kd", 0.6, 0.65), ("at", 0.5, 0.54))
    ]
    return results(rows, [0, 1])


def test_two_seeds_are_shown_and_have_no_deviation() -> None:
    content = of_two_seeds()
    for text in (plain(content), markdown(content, "compare")):
        assert "0.5000 (0.5000, 0.5000)" in text
        assert "0.6250 (0.6000, 0.6500)" in text
        assert "±" not in text.partition("How to read")[0]
    assert "To see a difference of 0.02 takes about" in markdown(content, "compare")
    needed = content["students"]["net"]["seeds_needed"]
    assert needed > 2


def test_how_many_examples_a_difference_takes() -> None:
    content = of_two_seeds(examples={"validation": 100, "test": 500})
    mean = (0.5 + 0.5 + 0.6 + 0.65 + 0.5 + 0.54) / 6
    wanted = 2 * mean * (1 - mean) * (1.959964 / 0.02) ** 2
    assert content["students"]["net"]["examples_needed"] == pytest.approx(wanted, abs=1)
    line = "of test examples takes about 4,757 of them (there are 500)"
    assert line in markdown(content, "compare")
    one = Row("net", "none", {0: run(0.5, 0.5, examples={"test": 500})}, {})
    assert "takes about 4,802 of them" in markdown(results([one], [0]), "compare")
    error = {"score": {"name": "mae", "higher_is_better": False}}
    other = Row("net", "none", {0: {**run(0.5, 0.5), **error, "test": {"mae": 0.5}}}, {})
    assert "of them (there are" not in markdown(results([other], [0]), "compare")


DETAILS = {
    "majority": 0.625,
    "classes": {
        "cat": {"examples": 5, "predicted": 8, "recall": 1.0},
        "dog": {"examples": 3, "predicted": 0, "recall": 0.0},
    },
}


@pytest.mark.parametrize(
    ("more", "text"),
    [
        pytest.param(
            {"details": {"test": DETAILS}},
            "Always predicting the most frequent class: accuracy 0.6250.",
            id="majority",
        ),
        pytest.param(
            {"details": {"test": DETAILS}},
            "net kd: class dog is never predicted on test in 2 of 2 runs.",
            id="never predicted",
        ),
        pytest.param({"examples": {"validation": 32}}, "± 0.17 at most", id="32 clips"),
        pytest.param({"examples": {"validation": 100}}, "± 0.10 at most", id="100 texts"),
        pytest.param(
            {"reading": "views=8"}, "Every run reads the same 8 recorded views", id="record"
        ),
    ],
)
def test_what_a_reader_has_to_know_stands_in_text_and_page(more: dict[str, Any], text: str) -> None:
    content = of_two_seeds(**more)
    assert text in plain(content)
    assert text in markdown(content, "compare")
    assert text in page(content, "compare")
    assert text not in plain(of_two_seeds(examples={"validation": 5000}, reading="live"))


def test_balanced_accuracy_stands_beside_accuracy() -> None:
    runs = {s: {**run(0.9), "test": {"accuracy": 0.9, "balanced_accuracy": 0.5125}} for s in (0, 1)}
    head, line = plain(results([Row("net", "none", runs, {})], [0, 1])).splitlines()[:2]
    assert "balanced" in head
    assert "0.5125" in line
