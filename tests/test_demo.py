"""The demo's table says what its runs found."""

import dataclasses
import json
import statistics

import pytest
from scipy import stats

from mentee import demo
from mentee.errors import MenteeError


@pytest.fixture
def hurried(monkeypatch):
    """The demo on digits with few epochs."""
    digits = demo.SETTINGS["digits"]
    quick = dataclasses.replace(
        digits, teacher=(digits.teacher[0], 1), student=(digits.student[0], 2)
    )
    monkeypatch.setitem(demo.SETTINGS, "digits", quick)


def test_the_table_says_what_the_runs_found(hurried, tmp_path, capsys):
    runs = demo.demo("digits", seeds=2, out=tmp_path)
    printed = capsys.readouterr().out.splitlines()
    assert list(runs) == ["none", "kd", "cktf", "cktf+kd"]
    for method, of in runs.items():
        found = []
        for seed, run in enumerate(of):
            summary = json.loads((tmp_path / f"{method}-seed{seed}" / "summary.json").read_text())
            assert summary["seed"] == seed
            assert summary["examples"]["train"] == 100
            assert summary["examples"]["validation"] == 0
            assert summary == run.summary
            found.append(100 * summary["test"]["accuracy"])
        row = next(line for line in printed if line.startswith(f"{method} "))
        assert f"{statistics.mean(found):.1f} %" in row
        assert f"{statistics.stdev(found):.1f} " in row
        assert "19,810 parameters" in row
    assert any(line.startswith("teacher ") for line in printed)


def test_a_teacher_of_ones_own_is_not_trained_again(hurried, tmp_path, capsys):
    demo.demo("digits", seeds=1, out=tmp_path / "first")
    weights = tmp_path / "first" / "teacher" / "student.safetensors"
    demo.demo("digits", seeds=1, out=tmp_path / "second", teacher=weights)
    assert not (tmp_path / "second" / "teacher").exists()
    assert "one seed says little" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("differences", "word"),
    [
        ([4.0, 5.0, 4.5], "helps"),
        ([-4.0, -5.0, -4.5], "hurts"),
        ([4.0, -5.0, 1.0], "no clear difference"),
        ([0.0, 0.0, 0.0], "no clear difference"),
    ],
)
def test_the_verdict_is_the_paired_interval_of_student_t(differences, word):
    said = demo.verdict(differences)
    assert said.endswith(word)
    if statistics.stdev(differences):
        low, high = stats.ttest_1samp(differences, 0.0).confidence_interval(0.95)
        assert f"{statistics.mean(differences):+.1f} ± {(high - low) / 2:.1f}" in said
        assert (low > 0) == (word == "helps")
        assert (high < 0) == (word == "hurts")


def test_unknown_data_are_refused():
    with pytest.raises(MenteeError, match="no demo on 'digit'; did you mean 'digits'"):
        demo.demo("digit")
