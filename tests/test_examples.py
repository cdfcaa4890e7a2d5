"""The scripts of examples/ run as they are, print what they promise, and stay short."""

import ast
import re
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_prints_what_it_says(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(path)])
    runpy.run_path(str(path), run_name="__main__")
    printed = capsys.readouterr().out.splitlines()
    for line in expected(path):
        assert any(shape(line) == shape(other) for other in printed), (line, printed)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 80


def expected(path):
    """The indented block after "Expected output" in the docstring."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    block = docstring.partition("Expected output")[2].partition("\n\n")[2]
    lines = [line.strip() for line in block.splitlines() if line.startswith("    ")]
    assert lines, "an example says what it prints"
    return lines


def shape(line):
    """A printed line without its numbers, its verdict and its spaces: these vary by the machine."""
    return re.sub(r"[-+]?[\d.,]+|HELPS|HURTS|INCONCLUSIVE|\s+", " ", line).split()
