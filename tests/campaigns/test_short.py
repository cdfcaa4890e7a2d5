"""The short forms of the campaigns: some of the bad inputs, a few random examples of each kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.campaigns import fuzz
from tests.campaigns.bad_inputs import TABLE, Case, load_everything, run_all, run_case, totals
from tests.campaigns.boxes import fill
from tests.campaigns.cases import CASES

EACH = 21
SLOW = ("python/labels of 50,000,000", "vectors/zip bomb")
FIRST = 20
"""Random examples of a kind; the command tries thousands."""


def test_a_part_of_the_bad_inputs_has_the_outcomes_of_the_table(tmp_path: Path) -> None:
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    load_everything()
    fill(tmp_path / "box")
    cases = [case for case in CASES[::EACH] if case.name in table and case.name not in SLOW]
    cases = [
        case for case in cases if not callable(case.run)
    ]  # the tests check types by themselves
    outcomes, faults = run_all(cases, tmp_path / "box", table)
    print(totals(outcomes, faults, 0))
    assert len(cases) >= 30
    assert faults == {}


def test_the_memory_of_a_bad_input_is_what_it_takes_itself(tmp_path: Path) -> None:
    """Also where the process that is forked had more of it once."""
    assert len(b"x" * 400_000_000) == 400_000_000
    outcome = run_case(Case("python/large", lambda: len(b"x" * 300_000_000)), tmp_path)
    assert 2.9e8 < outcome.memory < 3.9e8


def test_the_table_has_enough_bad_inputs() -> None:
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    names = {case.name for case in CASES}
    assert not table.keys() - names
    assert len(table) >= 250


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # NumPy's, of zips
@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_random_input_ends_in_a_result_or_a_sentence(kind: str) -> None:
    counts = fuzz.fuzz(kind, FIRST)
    assert sum(counts.values()) >= FIRST // 2
    assert counts["read"] > 0
